"""Facts applied: what a venue reports, carried into orders and ledger, and told in events."""

from collections.abc import Callable

from framework.interfaces import Clock
from framework.model.account import Account, CashBooked, Position, Settled
from framework.model.commands import CancelOrder, SubmitOrder, VenueCommand
from framework.model.events import OrderAnomaly
from framework.model.identity import EXTERNAL_RUN
from framework.model.orders import Fill, FillCorrected, Order, RequestState
from framework.model.records import Record
from framework.model.reports import (
    FillCorrection,
    OrderAccepted,
    OrderFact,
    OrderFilled,
    OrderReplaced,
)
from framework.orders.executions import Execution
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.portfolio.holding import Holding
from framework.portfolio.ledger import Ledger

NONE = RequestState.NONE
WAITING = RequestState.WAITING
SENT = RequestState.SENT

BOOKINGS = (CashBooked, Settled)
EXECUTIONS = (OrderFilled, FillCorrection)
NAMING = (OrderAccepted, OrderReplaced)  # facts that may bring the venue's own id of the order

AfterChange = Callable[[OrderState, OrderFact | None], None]
"""Hears of an order and the fact that changed it; None: the order was added, or asked about."""

DeskInput = OrderFact | CashBooked | Settled
"""What `apply` takes: facts about orders, cash that moved by itself, an instrument's end."""


class FactApplication:
    """Applies every fact once, whichever way it came; `record` gets each before it counts.

    Attributes:
        on_change: called with (run, instrument) when a run's position or open orders of that
            instrument changed; None: nobody asks.
        after_change: called with (order, fact) once a fact that was news is in registry, ledger
            and events; what these decide belongs to the same commit.
    """

    def __init__(
        self,
        *,
        registry: OrderRegistry,
        ledger: Ledger,
        clock: Clock,
        emit: Callable[[object], None],
        wants: Callable[[type, str], bool],
        record: Callable[[Record], None],
    ) -> None:
        self.on_change: Callable[[str, str], None] | None = None
        self.after_change: list[AfterChange] = []
        self._registry = registry
        self._orders = registry.orders
        self._ledger = ledger
        self._clock = clock
        self._emit = emit
        self._wants = wants
        self._record = record
        self._settlements = ledger.settlements

    def apply(self, fact: DeskInput) -> None:
        """Take one fact: registry, then ledger, then the events that follow from it.

        Emits `Order`, `Fill` (or `FillCorrected`), `Position`, `Account`, `OrderAnomaly` in that
        order, each only where somebody wants it. A fact that is known already emits nothing.
        """
        if isinstance(fact, BOOKINGS):
            self._record(fact)
            self._apply_booking(fact)
            return
        order = self._orders.get(fact.order_id) or self._registry.find(fact.order_id)
        self._record(fact)
        if order is None:
            self._keep_external(fact)
        elif isinstance(fact, EXECUTIONS):
            self._apply_execution(order, fact)
        else:
            self._apply_report(order, fact)

    def apply_kept(self, order: OrderState) -> None:
        """Apply the facts kept about an order that nobody here knew until now."""
        for fact in self._registry.take_external(order.order_id):
            if isinstance(fact, EXECUTIONS):
                self._apply_execution(order, fact)
            else:
                self._apply_report(order, fact)
        self.tell_change(order)

    def mark_sent(self, command: VenueCommand) -> None:
        """Note that a command has been written to the venue; makes no event."""
        order = self._orders.get(command.order_id)
        if order is None:
            return
        facts = order.facts
        if isinstance(command, SubmitOrder):
            facts.submit_request = SENT
            if facts.submit_state is WAITING:
                facts.submit_state = SENT
            return
        if isinstance(command, CancelOrder):
            facts.cancel_request = SENT
        elif order.pending is command:
            facts.modify_request = SENT
        facts.refresh_requests()

    def holding_of(self, order: OrderState) -> Holding:
        """Return the position that the order's fills go to."""
        if order.holding is None:
            order.holding = self._ledger.holding(
                order.account, order.intent.run, order.instrument, order.intent.bucket
            )
        return order.holding

    def tell_change(self, order: OrderState) -> None:
        """Tell whoever asks that the position or open orders of its run changed."""
        if self.on_change is not None:
            self.on_change(order.intent.run, order.intent.instrument)

    def _keep_external(self, fact: OrderFact) -> None:
        self._registry.keep_external(fact)
        if self._wants(OrderAnomaly, EXTERNAL_RUN):
            what = f"{type(fact).__name__} about an order that nobody here sent"
            self._emit(OrderAnomaly(fact.order_id, EXTERNAL_RUN, "", "", what, fact.time_ns))

    def _apply_report(self, order: OrderState, fact: OrderFact) -> None:
        facts = order.facts
        was_closed = facts.is_closed
        if facts.apply(fact):
            if isinstance(fact, NAMING) and fact.venue_order_id:
                self._registry.name(order, fact.venue_order_id)
            has_changed = facts.is_closed is not was_closed
            if order.pending is not None or facts.replaced is not None:
                if facts.modify_state is NONE:
                    order.pending = None
                has_changed = True
            if has_changed:
                has_changed = self._registry.track(order)
            if self._wants(Order, order.intent.run):
                self._emit(order.event())
            if has_changed:
                self.tell_change(order)
            for hear in self.after_change:
                hear(order, fact)
        if facts.anomalies is not None:
            self._tell_anomalies(order, fact.time_ns)

    def _apply_execution(self, order: OrderState, fact: Execution) -> None:  # noqa: C901
        """Carry an execution, or what a correction made of it, into the ledger and tell of it."""
        # One flat function on purpose: every fill passes here, and a call costs 0.1 µs.
        facts = order.facts
        known = facts.executions.get(fact.execution_id)
        if facts.apply(fact):
            holding = order.holding or self.holding_of(order)
            self._registry.track(order)
            if known is not None:
                self._unbook(order, holding, known)
            realised = self._ledger.book(
                holding,
                is_buy=order.is_buy,
                quantity=fact.quantity,
                price=fact.price,
                fees=fact.fees,
            )
            if not self._settlements.are_none:
                self._ledger.settle_late(holding, fact.time_ns)
            wants, emit, run, time_ns = self._wants, self._emit, holding.run, fact.time_ns
            if wants(Order, run):
                emit(order.event())
            if known is None and isinstance(fact, OrderFilled):
                if wants(Fill, run):
                    emit(order.fill(fact, realised, self._clock.now_ns))
            elif wants(FillCorrected, run):
                emit(order.fill_corrected(fact, self._clock.now_ns))
            if wants(Position, run):
                emit(holding.event(time_ns))
            if wants(Account, holding.account):
                emit(self._ledger.account_event(holding.account, time_ns, order.reserved_cash))
            if self.on_change is not None:
                self.on_change(run, order.intent.instrument)
            for hear in self.after_change:
                hear(order, fact)
        if facts.anomalies is not None:
            self._tell_anomalies(order, fact.time_ns)

    def _unbook(self, order: OrderState, holding: Holding, known: Execution) -> None:
        self._ledger.unbook(
            holding,
            is_buy=order.is_buy,
            quantity=known.quantity,
            price=known.price,
            fees=known.fees,
        )

    def tell_anomaly(self, order: OrderState, what: str) -> None:
        """Tell of a contradiction that shows in several orders only."""
        order.facts.note(what)
        self._tell_anomalies(order, self._clock.now_ns)

    def _tell_anomalies(self, order: OrderState, time_ns: int) -> None:
        run = order.intent.run
        anomalies = order.facts.take_anomalies()
        if self._wants(OrderAnomaly, run):
            for what in anomalies:
                self._emit(
                    OrderAnomaly(
                        order.order_id, run, order.account, order.instrument.id, what, time_ns
                    )
                )

    def _apply_booking(self, fact: CashBooked | Settled) -> None:
        if isinstance(fact, CashBooked):
            self._apply_cash(fact)
        else:
            self._apply_settled(fact)

    def _apply_cash(self, booking: CashBooked) -> None:
        changed = self._ledger.book_cash(booking)
        if changed is None:  # this booking id is known
            return
        if self._wants(CashBooked, booking.run):
            self._emit(booking)
        for holding in changed:
            if self._wants(Position, holding.run):
                self._emit(holding.event(booking.time_ns))
            if self.on_change is not None:
                self.on_change(holding.run, holding.instrument.id)
        if self._wants(Account, booking.account):
            self._emit(self._account_event(booking.account, booking.time_ns))

    def _apply_settled(self, settled: Settled) -> None:
        for holding in self._ledger.settle(settled):
            if self._wants(Settled, holding.run):
                self._emit(settled)
            self._tell_holding(holding, settled.time_ns)
            if self.on_change is not None:
                self.on_change(holding.run, holding.instrument.id)

    def _tell_holding(self, holding: Holding, time_ns: int) -> None:
        run = holding.run
        if self._wants(Position, run):
            self._emit(holding.event(time_ns))
        if self._wants(Account, holding.account):
            self._emit(self._account_event(holding.account, time_ns))

    def _account_event(self, account: str, time_ns: int) -> Account:
        return self._ledger.account_event(account, time_ns, self._registry.reserved_cash(account))
