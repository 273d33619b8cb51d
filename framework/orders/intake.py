"""Venue reports taken in: whose each is, the facts that follow, what goes to the run `external`.

Steps `OrderReport`, `ExecutionReport` and `OrderNotFound`, pushed or asked for; reconciliation
passes the reports of a `VenueState` through here too, so that both ways mean the same. Reports that
brought something are written down before what they brought; repeats leave no trace.
"""

from collections.abc import Callable
from typing import Protocol

from framework.errors import UnknownInstrument
from framework.interfaces import Clock
from framework.model.identity import EXTERNAL_RUN, OrderIds
from framework.model.orders import OrderIntent, OrderStatus
from framework.model.records import Record
from framework.model.reports import OrderFact, OrderFilled
from framework.model.venue_state import ExecutionReport, OrderNotFound, OrderReport
from framework.orders.doubt import Doubts, TellAlert
from framework.orders.evidence import (
    ENDS,
    facts_from,
    flaw,
    mismatch,
    naming,
    replace_made_up,
)
from framework.orders.external import (
    RecentIds,
    Report,
    Unaccepted,
    Unclaimed,
    external_intent,
)
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry

REMEMBERED_CHANGES = 100_000
REMEMBERED_MISSES = 100_000
OVER = frozenset({OrderStatus.FILLED, *ENDS})


class Adopting(Protocol):
    """What the intake needs of the order desk."""

    def apply(self, fact: OrderFact) -> None: ...
    def adopt(self, order_id: str, intent: OrderIntent, account: str) -> OrderState: ...


class Intake:
    """Turns reports into facts of orders, ours or others'.

    Attributes:
        recent: how orders that left memory are found again; kept in snapshots.
        unclaimed: reports that may be about an order of ours whose acceptance is not known yet.
        unaccepted: those orders.
        on_unexplained: called with an order and a report that counts other fills than we know of.
        external_count: orders kept in the run `external` so far.
    """

    def __init__(
        self,
        *,
        desk: Adopting,
        registry: OrderRegistry,
        ids: OrderIds,
        doubts: Doubts,
        clock: Clock,
        record: Callable[[Record], None],
        alert: TellAlert,
    ) -> None:
        self.recent = RecentIds()
        self.unclaimed = Unclaimed()
        self.unaccepted = Unaccepted()
        self.on_unexplained: Callable[[OrderState, OrderReport], None] | None = None
        self.external_count = 0
        self._desk = desk
        self._registry = registry
        self._ids = ids
        self._doubts = doubts
        self._clock = clock
        self._record = record
        self._alert = alert
        self._changed_ns: dict[str, int] = {}
        self._missed: dict[str, None] = {}  # orders of others that the log does not know
        self._is_claiming = False

    def take(self, report: OrderReport | ExecutionReport | OrderNotFound) -> None:
        """Step one report."""
        if isinstance(report, OrderNotFound):
            self._record(report)
            self.apply(self._doubts.not_found(report, self._clock.now_ns))
            return
        reason = flaw(report)
        if reason:
            self._alert("report_refused", f"{describe(report)}: {reason}", key=report.account)
            return
        order = self.owner(report)
        if order is not None:
            self.apply_to(order, report)
        elif self.unaccepted.may_own(report) and report.venue_order_id:
            self._keep(report)
        elif isinstance(report, OrderReport):
            if report.status not in OVER:  # what is over leaves executions at most
                self.adopt(report)
        elif not report.quantity:
            return  # taken back before anybody here had heard of it
        elif report.time_ns <= self.recent.forgotten_ns.get(report.account, 0):
            what = f"{describe(report)}: it may be about an order long forgotten; not booked"
            self._alert("execution_too_old", what, key=report.account)
        else:
            self.adopt(report)

    def after_change(self, order: OrderState, fact: OrderFact | None) -> None:
        """Hear of a change: keep the ids at hand, let a real fill replace a made-up one."""
        now_ns = self._clock.now_ns
        changed = self._changed_ns
        changed.pop(order.order_id, None)
        changed[order.order_id] = now_ns
        if len(changed) > REMEMBERED_CHANGES:
            del changed[next(iter(changed))]
        if isinstance(fact, OrderFilled):
            self.recent.book(order.account, order.order_id, fact.execution_id)
            self.apply(replace_made_up(order, fact))
        if order.facts.is_closed:
            self.recent.close(order)
        if order.intent.run != EXTERNAL_RUN and self.unaccepted.note(order):
            self._claim(order.account)

    def has_changed(self, order_id: str, since_ns: int) -> bool:
        """Tell whether an order changed at or after a time of our clock."""
        return self._changed_ns.get(order_id, -1) >= since_ns

    def is_quiet(self, account: str, since_ns: int) -> bool:
        """Tell whether no order of an account changed at or after a time of our clock."""
        for order_id in reversed(self._changed_ns):
            if self._changed_ns[order_id] < since_ns:
                return True
            order = self._registry.get(order_id)
            if order is not None and order.account == account:
                return False
        return True

    def owner(self, report: Report) -> OrderState | None:
        """Return the order that a report is about, if anybody here knows it.

        One whose instrument, side or account contradicts the order it names is told of and belongs
        to nobody.
        """
        order = self._named(report)
        if order is None or report.order_id == "":
            return order
        wrong = mismatch(report, order)
        if not wrong:
            return order
        self._alert("report_contradicts", f"{describe(report)}: {wrong}", key=order.order_id)
        return None if report.venue_order_id == "" else self._by_venue_id(report)

    def name(self, report: OrderReport) -> OrderState | None:
        """Take from a report only that its order is accepted, and the venue's id; return the order.

        None where the report makes no sense or is about nobody's order.
        """
        order = None if flaw(report) else self.owner(report)
        if order is not None and report.status not in ENDS:
            self.apply(naming(report, order))
        return order

    def apply_to(self, order: OrderState, report: Report) -> None:
        """Apply what is news in a report about an order that is known."""
        if isinstance(report, ExecutionReport):
            if not self._is_booked(order, report):
                self._bring(report, facts_from(report, order))
            return
        self._bring(report, facts_from(report, order))
        self.apply(self._doubts.found(order, self._clock.now_ns))
        if report.filled != order.facts.filled and self.on_unexplained is not None:
            self.on_unexplained(order, report)

    def adopt(self, report: Report) -> OrderState | None:
        """Keep an order that nobody here sent in the run `external`; None: it cannot be."""
        intent = external_intent(report)
        order_id = self._ids.order_id(intent.run, intent.key)
        order = self._find_external(order_id)
        if order is None:
            try:
                order = self._desk.adopt(order_id, intent, report.account)
                self._missed.pop(order_id, None)
            except UnknownInstrument as error:
                self._alert("external_unknown", f"{describe(report)}: {error}", key=report.account)
                return None
            self.external_count += 1
            self._alert(
                "external_order", f"{describe(report)}", key=report.account, level="warning"
            )
        self.apply_to(order, report)
        return order

    def apply(self, facts: list[OrderFact]) -> None:
        """Hand facts to the desk in their order."""
        for fact in facts:
            self._desk.apply(fact)

    def claim_rest(self, account: str) -> None:
        """Look again at whose the waiting reports are: adopt what no order of ours may own."""
        self._claim(account)

    def _named(self, report: Report) -> OrderState | None:
        if report.order_id:
            order = self._registry.find(report.order_id)
            if order is not None:
                return order
        return self._by_venue_id(report)

    def _by_venue_id(self, report: Report) -> OrderState | None:
        account, name = report.account, report.venue_order_id
        if not name:
            return None
        order = self._registry.by_venue_id(account, name)
        if order is not None:
            return order
        order_id = self.recent.closed.get((account, name))
        if order_id is not None:
            return self._registry.find(order_id)
        intent = external_intent(report)
        return self._find_external(self._ids.order_id(intent.run, intent.key))

    def _find_external(self, order_id: str) -> OrderState | None:
        """Return an order of others; the log is asked once about each that is new."""
        if order_id in self._missed:
            return self._registry.get(order_id)
        order = self._registry.find(order_id)
        if order is None:
            if len(self._missed) >= REMEMBERED_MISSES:
                self._missed.clear()
            self._missed[order_id] = None
        return order

    def _is_booked(self, order: OrderState, report: ExecutionReport) -> bool:
        if report.is_correction or report.execution_id in order.facts.executions:
            return False  # looked at again: it may say something else now
        return self.recent.is_booked(report.account, order.order_id, report.execution_id)

    def _bring(self, report: Report, facts: list[OrderFact]) -> None:
        if facts:
            self._record(report)
            self.apply(facts)

    def _keep(self, report: Report) -> None:
        if self.unclaimed.is_full:
            self._alert("unclaimed_full", f"{describe(report)}: kept as external", key="")
            self.adopt(report)
        else:
            self._record(report)
            self.unclaimed.keep(report)

    def _claim(self, account: str) -> None:
        """Give waiting reports to the order they turn out to be about, or to `external`."""
        if self._is_claiming or not len(self.unclaimed):
            return  # what follows from a claim is looked at by the loop that made it
        self._is_claiming = True
        try:
            for candidate in self.unclaimed.of(account):
                first = candidate.reports()[0]
                if self.owner(first) is not None or not self.unaccepted.may_own(first):
                    for report in self.unclaimed.take(account, candidate.venue_order_id):
                        self.take(report)
        finally:
            self._is_claiming = False


def describe(report: Report) -> str:
    """Return a report in a few words, for a person."""
    what = "execution" if isinstance(report, ExecutionReport) else "order"
    name = report.execution_id if isinstance(report, ExecutionReport) else report.venue_order_id
    return (
        f"{what} {name!r} on account {report.account!r}:"
        f" {report.side.value} {report.quantity} {report.instrument}"
    )
