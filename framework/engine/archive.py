"""Orders from the log: any order's entries read back to its state, for those that left memory.

They answer for a repeated key and take a late fact over a restart too (R-23, R-24, R-29).
"""

from collections.abc import Callable, Sequence

from framework.interfaces import OrderLog
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.identity import EXTERNAL_RUN, OrderIds
from framework.model.instrument import Instrument
from framework.model.orders import Order, RequestState, Side
from framework.model.records import (
    AdoptOrder,
    CoverNoted,
    ExitsReplaced,
    HoldOrder,
    OrderTrailed,
    Record,
)
from framework.model.reports import (
    FillCorrection,
    OrderAccepted,
    OrderEnded,
    OrderFact,
    OrderFilled,
    OrderReplaced,
    OrderTriggered,
    RequestInDoubt,
    RequestRefused,
)
from framework.orders.denied import denied_order
from framework.orders.lifecycle import OrderFacts
from framework.orders.order_state import OrderState, highest
from framework.orders.registry import OrderRegistry
from framework.portfolio.holding import is_paid_in_full

FACTS = (
    OrderAccepted,
    OrderFilled,
    OrderTriggered,
    OrderReplaced,
    OrderEnded,
    RequestRefused,
    RequestInDoubt,
    FillCorrection,
)
EXECUTIONS = (OrderFilled, FillCorrection)
MAKES_ORDER = (SubmitOrder, HoldOrder, AdoptOrder)
REQUESTS = (ModifyOrder, CancelOrder, OrderTrailed, ExitsReplaced, CoverNoted)
NONE = RequestState.NONE

Definitions = Callable[[str], Instrument]


class Archive:
    """Answers from the log for orders that left memory (R-23, R-24, R-29).

    `before` bounds what it knows: while the log is read, nothing later has happened yet.
    """

    def __init__(self, order_log: OrderLog, ids: OrderIds, instrument: Definitions) -> None:
        self.before: int | None = None
        self._log = order_log
        self._ids = ids
        self._instrument = instrument

    def lookup_closed(self, run: str, key: str) -> Order | None:
        """Return the last state of the order a run asked for under this key."""
        order_id = self._ids.order_id(run, key)
        entries = self._entries(order_id)
        if not entries:  # as of almost every key that is asked about
            return None
        for entry in entries:
            if isinstance(entry, Order):
                return entry
        order = self._rebuild(OrderRegistry(), entries)
        return None if order is None else order.event()

    def read(self, registry: OrderRegistry, order_id: str) -> OrderState | None:
        """Return an order with everything the log has of it; None if it never left our gate."""
        return self._rebuild(registry, self._entries(order_id))

    def recall(self, registry: OrderRegistry, order_id: str) -> OrderState | None:
        """Return an order to be shown, a DENIED one too; None: nothing is known of it."""
        return self.rebuild(registry, self._entries(order_id))

    def rebuild(self, registry: OrderRegistry, entries: Sequence[Record]) -> OrderState | None:
        """Return the order that these are all entries of, oldest first; a DENIED one too."""
        order = self._rebuild(registry, entries)
        return denied_order(registry, entries, self._instrument) if order is None else order

    def attach(self, registry: OrderRegistry) -> None:
        """Let a registry ask here."""
        registry.archive = self

    def _entries(self, order_id: str) -> list[Record]:
        before, found = self.before, self._log.of_order(order_id)
        return [entry for at, entry in found if before is None or at < before]

    def _rebuild(self, registry: OrderRegistry, entries: Sequence[Record]) -> OrderState | None:
        order: OrderState | None = None
        for entry in entries:
            if order is None:
                if isinstance(entry, MAKES_ORDER):
                    order = make_order(registry, entry, self._instrument(entry.intent.instrument))
            elif isinstance(entry, FACTS):
                _take_fact(order, entry)
            elif isinstance(entry, AdoptOrder):  # given to another run
                order.intent = entry.intent
                order.working = registry.working(entry.intent.run, entry.intent.instrument)
            else:
                advance(order, entry)
        if order is not None:
            order.facts.take_anomalies()  # they were told when they happened
        return order


def make_order(
    registry: OrderRegistry, record: SubmitOrder | HoldOrder | AdoptOrder, instrument: Instrument
) -> OrderState:
    """Return the order that a record made, without any fact; it is not in `registry` yet."""
    intent = record.intent
    facts = OrderFacts(record.quantity, intent.price, intent.stop_price, record.time_ns)
    order = OrderState(
        record.order_id,
        intent,
        record.account,
        instrument,
        facts,
        registry.working(intent.run, intent.instrument),
        record.time_ns,
        intent.side is Side.BUY,
        registry.reserved_cash(record.account),
        is_paid_in_full(instrument),
        intent.reduce_only,
        highest(intent.price, intent.stop_price),
    )
    if isinstance(record, HoldOrder):
        facts.hold()
        order.role, order.parent = record.role, record.parent
    elif isinstance(record, AdoptOrder) or intent.run == EXTERNAL_RUN:
        facts.submit_request = facts.submit_state = NONE
    return order


def advance(order: OrderState, record: Record) -> None:
    """Apply one of our own requests about an order, a trail or other exits to its state."""
    if isinstance(record, SubmitOrder):
        order.facts.release()
        order.is_released = True
    elif isinstance(record, ModifyOrder):
        order.pending = record
        order.facts.request_modify(record.revision, record.quantity)
    elif isinstance(record, CancelOrder):
        order.facts.request_cancel()
    elif isinstance(record, OrderTrailed):
        order.extreme = record.extreme
        order.facts.stop_price = record.stop_price
        if record.trail is not None:
            order.changed_trail = record.trail
    elif isinstance(record, ExitsReplaced):
        order.replaced_exits = record
    elif isinstance(record, CoverNoted):
        order.noted_cover = record


def _take_fact(order: OrderState, fact: OrderFact) -> None:
    """Apply a fact to an order that is booked already."""
    is_news = order.facts.apply(fact)
    if is_news and not isinstance(fact, EXECUTIONS) and order.facts.modify_state is NONE:
        order.pending = None
