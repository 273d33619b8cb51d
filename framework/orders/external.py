"""What nobody here sent: whose a report is, and how others' orders are kept (R-26).

A report belongs to the order whose client id it carries, or to the one the venue has told us its
own id of. A report with neither waits while an order of ours in that instrument and direction has
no acceptance yet: it may be that order's. After that it is kept in the run `external`, under an
order id that is a pure function of (journal, account, venue order id). Ownership is never guessed;
only at a venue without client ids the one candidate that fits in everything is *probably* ours.
"""

from collections.abc import Iterator
from decimal import Decimal
from hashlib import blake2b

import msgspec

from framework.model.decimals import ZERO, add
from framework.model.identity import EXTERNAL_RUN
from framework.model.orders import OrderIntent, OrderStatus, OrderType
from framework.model.venue_state import ExecutionReport, OrderReport
from framework.orders.order_state import OrderState

LONGEST_KEY = 160
MOST_UNCLAIMED = 10_000
REMEMBERED = 100_000
CLOCK_SLACK_NS = 5_000_000_000  # how far behind ours a venue's clock may be in a match
HELD = OrderStatus.HELD

Report = OrderReport | ExecutionReport


def external_key(account: str, venue_order_id: str) -> str:
    """Return the key, in the run `external`, of an order that nobody here sent."""
    key = f"{account}/{venue_order_id}"
    if len(key) <= LONGEST_KEY:
        return key
    return f"{account[:100]}/{blake2b(key.encode(), digest_size=20).hexdigest()}"


def external_intent(report: Report) -> OrderIntent:
    """Return a report as the wish of somebody else, in the run `external`."""
    name = report.venue_order_id or report.order_id
    if isinstance(report, ExecutionReport):
        return OrderIntent(
            EXTERNAL_RUN,
            external_key(report.account, name or f"execution {report.execution_id}"),
            report.instrument,
            report.side,
            report.quantity,
            OrderType.MARKET,
            bucket=report.bucket,
        )
    return OrderIntent(
        EXTERNAL_RUN,
        external_key(report.account, name),
        report.instrument,
        report.side,
        report.quantity,
        report.type,
        report.price,
        report.stop_price,
        time_in_force=report.time_in_force,
        bucket=report.bucket,
        tags=report.tags,
    )


class Candidate(msgspec.Struct):
    """Everything reported under one venue order id that belongs to nobody yet."""

    venue_order_id: str
    order: OrderReport | None = None
    executions: dict[str, ExecutionReport] = {}

    def reports(self) -> list[Report]:
        """Return the order's report, then its executions."""
        first: list[Report] = [] if self.order is None else [self.order]
        return [*first, *self.executions.values()]

    def fits(self, order: OrderState) -> bool:
        """Tell whether this could be `order` by instrument, side, quantity, price, tag and time."""
        if not all(
            report.instrument == order.intent.instrument
            and report.side is order.intent.side
            and report.bucket == order.intent.bucket
            and report.time_ns >= order.created_ns - CLOCK_SLACK_NS
            for report in self.reports()
        ):
            return False
        if self.order is not None:
            return _is_like(self.order, order)
        total = ZERO
        for execution in self.executions.values():
            total = add(total, execution.quantity)
        return total <= order.facts.quantity


class Unclaimed:
    """Reports under venue ids that belong to nobody yet, per account; bounded."""

    def __init__(self) -> None:
        self._candidates: dict[str, dict[str, Candidate]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return how many venue order ids wait."""
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether no further venue order id can wait."""
        return self._count >= MOST_UNCLAIMED

    def keep(self, report: Report) -> None:
        """Keep a report until `take`; of two about one order the later one."""
        candidates = self._candidates.setdefault(report.account, {})
        candidate = candidates.get(report.venue_order_id)
        if candidate is None:
            candidate = candidates[report.venue_order_id] = Candidate(report.venue_order_id)
            self._count += 1
        if isinstance(report, ExecutionReport):
            if report.is_correction:
                candidate.executions[report.execution_id] = report
            candidate.executions.setdefault(report.execution_id, report)
        elif candidate.order is None or candidate.order.time_ns <= report.time_ns:
            candidate.order = report

    def of(self, account: str) -> list[Candidate]:
        """Return an account's candidates in the order in which they were first seen."""
        return list(self._candidates.get(account, {}).values())

    def take(self, account: str, venue_order_id: str) -> list[Report]:
        """Return and forget what is kept under a venue order id."""
        candidate = self._candidates.get(account, {}).pop(venue_order_id, None)
        if candidate is None:
            return []
        self._count -= 1
        return candidate.reports()


class Unaccepted:
    """Our orders that a venue may have without our knowing its id of them, per account."""

    def __init__(self) -> None:
        self._orders: dict[str, dict[str, OrderState]] = {}

    def note(self, order: OrderState) -> bool:
        """Look at an order that changed; tell whether it has just left this list."""
        orders = self._orders.setdefault(order.account, {})
        facts = order.facts
        if facts.is_closed or facts.is_accepted or facts.venue_order_ids or facts.status is HELD:
            return orders.pop(order.order_id, None) is not None
        orders[order.order_id] = order
        return False

    def of(self, account: str) -> Iterator[OrderState]:
        """Yield an account's orders without an acceptance, oldest first."""
        yield from self._orders.get(account, {}).values()

    def may_own(self, report: Report) -> bool:
        """Tell whether a report without a client id could be about one of these orders."""
        return not report.order_id and any(
            order.intent.instrument == report.instrument and order.intent.side is report.side
            for order in self.of(report.account)
        )


class RecentIds:
    """Venue ids of closed orders and booked executions, of the newest `capacity` each.

    An order that left memory is found again by the venue's id of it, and an execution that is
    told of once more is known without reading the log.
    """

    def __init__(self, capacity: int = REMEMBERED) -> None:
        self.closed: dict[tuple[str, str], str] = {}
        self.forgotten_ns: dict[str, int] = {}
        self._booked: dict[tuple[str, str, str], None] = {}
        self._capacity = capacity
        self._closed_ns: dict[tuple[str, str], int] = {}

    def close(self, order: OrderState) -> None:
        """Remember the venue's ids of an order that has ended."""
        for name in order.facts.venue_order_ids:
            self.remember(order.account, name, order.order_id, order.facts.updated_ns)

    def remember(self, account: str, venue_order_id: str, order_id: str, time_ns: int) -> None:
        """Remember that the venue calls this order so, and when it last changed."""
        key = (account, venue_order_id)
        if key in self.closed:
            return
        if len(self.closed) >= self._capacity:
            oldest = next(iter(self.closed))
            del self.closed[oldest]
            before = self.forgotten_ns.get(oldest[0], 0)
            self.forgotten_ns[oldest[0]] = max(before, self._closed_ns.pop(oldest, 0))
        self.closed[key] = order_id
        self._closed_ns[key] = time_ns

    def book(self, account: str, order_id: str, execution_id: str) -> None:
        """Remember that an execution of an order is booked."""
        if len(self._booked) >= self._capacity:
            del self._booked[next(iter(self._booked))]
        self._booked[account, order_id, execution_id] = None

    def is_booked(self, account: str, order_id: str, execution_id: str) -> bool:
        """Tell whether an execution is surely booked."""
        return (account, order_id, execution_id) in self._booked

    def entries(self) -> list[tuple[str, str, str, int]]:
        """Return (account, venue order id, order id, time) of what `remember` took, in order."""
        return [(*key, value, self._closed_ns.get(key, 0)) for key, value in self.closed.items()]


def find_match(
    orders: list[OrderState], candidates: list[Candidate]
) -> tuple[list[tuple[OrderState, Candidate]], list[OrderState]]:
    """Return the pairs that fit only each other, and the orders with several ways to fit (R-21)."""
    fitting = {order.order_id: [one for one in candidates if one.fits(order)] for order in orders}
    wanted: dict[str, int] = {}
    for found in fitting.values():
        for candidate in found:
            wanted[candidate.venue_order_id] = wanted.get(candidate.venue_order_id, 0) + 1
    pairs, ambiguous = [], []
    for order in orders:
        found = fitting[order.order_id]
        if len(found) == 1 and wanted[found[0].venue_order_id] == 1:
            pairs.append((order, found[0]))
        elif found:
            ambiguous.append(order)
    return pairs, ambiguous


def _is_like(report: OrderReport, order: OrderState) -> bool:
    facts, intent = order.facts, order.intent
    return (
        report.quantity == facts.quantity
        and _is_same(report.price, facts.price)
        and _is_same(report.stop_price, facts.stop_price)
        and (not report.tags or not intent.tags or report.tags == intent.tags)
    )


def _is_same(one: Decimal | None, other: Decimal | None) -> bool:
    """Compare two prices; one that is not stated says nothing."""
    return one is None or other is None or one == other
