"""The one way from a wish to trade to the venue, and from the venue's facts to events.

Every door, strategy and command line submits here (law 7). A call runs registry and gate at
once, records, and queues what leaves the process; nothing in here waits or reads a clock of its
own. `record` gets, before anything is sent: `SubmitOrder` (with the intent in it), `ModifyOrder`,
`CancelOrder`, the DENIED `Order` of a refused intent, and every fact that came in.
"""

from collections.abc import Callable
from decimal import Decimal
from math import isfinite

import msgspec

from framework.errors import UnknownInstrument
from framework.interfaces import Clock, MarketView
from framework.model.account import Account, CashBooked, Position, Settled
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder, VenueCommand
from framework.model.decimals import ZERO, absolute, parse, subtract
from framework.model.events import OrderAnomaly
from framework.model.identity import EXTERNAL_RUN, OrderIds
from framework.model.instrument import Instrument
from framework.model.orders import (
    NO_BUCKET,
    Bucket,
    Fill,
    FillCorrected,
    Order,
    OrderIntent,
    OrderStatus,
    RequestState,
    Side,
)
from framework.model.reports import (
    EndKind,
    FillCorrection,
    OrderEnded,
    OrderFact,
    OrderFilled,
)
from framework.orders.lifecycle import Execution, OrderFacts
from framework.orders.registry import OrderRegistry, OrderState, WorkingOrders, highest
from framework.portfolio.exposure import PositionView, position_view
from framework.portfolio.ledger import Holding, Ledger, is_paid_in_full
from framework.risk.gate import Gate, Refused
from framework.risk.limits import Proposal, View, malformed, quantity_for

BUY = Side.BUY
SELL = Side.SELL
NONE = RequestState.NONE
WAITING = RequestState.WAITING
SENT = RequestState.SENT
HELD = OrderStatus.HELD
INITIALISED = OrderStatus.INITIALISED

BOOKINGS = (CashBooked, Settled)
EXECUTIONS = (OrderFilled, FillCorrection)

DeskInput = OrderFact | CashBooked | Settled
"""What `apply` takes: facts about orders, cash that moved by itself, an instrument's end."""


class Line(msgspec.Struct, eq=False):
    """What the desk keeps at hand of one run and instrument, to find it by one look-up."""

    account: str
    instrument: Instrument
    working: WorkingOrders
    holding: Holding
    holdings: list[Holding]
    reserved_cash: dict[str, Decimal]


class OrderDesk:
    """Submits, changes and ends orders, and turns facts into state and events.

    Attributes:
        on_change: called with (run, instrument) when a run's position or open orders of that
            instrument changed; None: nobody asks.
    """

    def __init__(
        self,
        *,
        ids: OrderIds,
        registry: OrderRegistry,
        gate: Gate,
        ledger: Ledger,
        instrument: Callable[[str], Instrument],
        clock: Clock,
        market: MarketView,
        emit: Callable[[object], None],
        wants: Callable[[type, str], bool],
        send: Callable[[VenueCommand], None],
        record: Callable[[object], None],
        account_of: Callable[[str], str],
    ) -> None:
        self.registry = registry
        self.gate = gate
        self.ledger = ledger
        self.on_change: Callable[[str, str], None] | None = None
        self._orders = registry.orders
        self._ids = ids
        self._instrument = instrument
        self._clock = clock
        self._market = market
        self._emit = emit
        self._wants = wants
        self._send = send
        self._record = record
        self._account_of = account_of
        self._lines: dict[tuple[str, str], Line] = {}
        self._closing: dict[tuple[str, str, Bucket], OrderState] = {}
        self._closing_count = 0

    def submit(self, intent: OrderIntent, *, is_closing: bool = False) -> OrderState:
        """Ask for an order; the answer is its state: SUBMITTED, or DENIED with the reason.

        The same key with the same content returns the order it was given the first time.
        `is_closing` marks an order of `close`, which no rate limit holds back.

        Raises:
            KeyConflict: the run has used this key for an order of other content.
        """
        known = self.registry.answer(intent)
        if known is not None:
            return known
        run, side = intent.run, intent.side
        now_ns = self._clock.now_ns
        order_id = self._ids.order_id(run, intent.key)
        try:
            instrument = self._instrument(intent.instrument)
        except UnknownInstrument as error:
            instrument = Instrument(intent.instrument)  # stands in: nothing reads its grid
            return self._deny(order_id, intent, instrument, str(error), now_ns)
        line = self._lines.get((run, intent.instrument))
        if line is None or line.instrument is not instrument:
            line = self._open_line(run, instrument)
        holding, working = line.holding, line.working
        if intent.bucket is not NO_BUCKET:
            holding = self.ledger.holding(line.account, run, instrument, intent.bucket)
        price = self._price_of(intent.instrument, intent.price, intent.stop_price)
        quantity = intent.quantity
        notional = self.gate.approve_plain(
            intent,
            instrument,
            price,
            position=holding.quantity
            if len(line.holdings) == 1
            else self.ledger.net_quantity(run, instrument.id),
            open_quantity=working.open_buy if side is BUY else working.open_sell,
            now_ns=now_ns,
        )
        if quantity is None or notional is None:
            verdict = self._judge(intent, line, holding, price, now_ns, is_closing=is_closing)
            if isinstance(verdict, Refused):
                return self._deny(order_id, intent, instrument, verdict.reason, now_ns)
            quantity = verdict
        order = OrderState(
            order_id,
            intent,
            line.account,
            instrument,
            OrderFacts(quantity, intent.price, intent.stop_price, now_ns),
            working,
            now_ns,
            side is BUY,
            line.reserved_cash,
            holding.is_paid_in_full,
            intent.reduce_only,
            price,
            holding=holding,
        )
        self.registry.add(order, notional)
        reduce_only = intent.reduce_only and self._shrinks_account(order)
        command = SubmitOrder(order_id, line.account, intent, quantity, now_ns, reduce_only)
        self._record(command)
        if self._wants(Order, run):
            self._emit(order.event())
        self._send(command)
        if self.on_change is not None:
            self.on_change(run, intent.instrument)
        return order

    def deny(self, intent: OrderIntent, reason: str) -> OrderState:
        """Answer an intent with a DENIED order for a reason found before the desk was asked.

        Raises:
            KeyConflict: the run has used this key for an order of other content.
        """
        known = self.registry.answer(intent)
        if known is not None:
            return known
        try:
            instrument = self._instrument(intent.instrument)
        except UnknownInstrument:
            instrument = Instrument(intent.instrument)
        order_id = self._ids.order_id(intent.run, intent.key)
        return self._deny(order_id, intent, instrument, reason, self._clock.now_ns)

    def cancel(self, order_id: str) -> str | None:
        """Take an order back: None when the request is on its way, else why it makes no sense."""
        order = self.registry.get(order_id)
        if order is None:
            return f"unknown order {order_id}"
        facts = order.facts
        if facts.is_closed:
            return f"order {order_id} is already {facts.status.value}"
        now_ns = self._clock.now_ns
        if facts.status is HELD or facts.status is INITIALISED:  # it never left
            self.apply(OrderEnded(order_id, EndKind.CANCELLED, now_ns, "cancelled", "core"))
            return None
        state = facts.cancel_state
        if state is WAITING or state is SENT:
            return None
        facts.request_cancel()
        self._request(order, CancelOrder(order_id, order.account, order.instrument.id, now_ns))
        return None

    def modify(
        self,
        order_id: str,
        *,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> str | None:
        """Change a working order: None when the request is on its way, else why it was refused.

        `quantity` is the new total, filled part included. Until the venue answers, the larger of
        old and new counts as reserved.
        """
        order = self.registry.get(order_id)
        if order is None:
            return f"unknown order {order_id}"
        reason = _unchangeable(order, quantity)
        if reason is not None:
            return reason
        facts, intent = order.facts, order.intent
        now_ns = self._clock.now_ns
        total = facts.quantity if quantity is None else quantity
        limit = facts.price if price is None else price
        stop = facts.stop_price if stop_price is None else stop_price
        proposal = Proposal(
            intent.run,
            order.instrument,
            intent.side,
            intent.type,
            total,
            subtract(total, facts.filled),
            max(ZERO, subtract(total, facts.quantity)),
            limit,
            stop,
            intent.trail is not None,
            order.reduce_only,
        )
        value = self._price_of(order.instrument.id, limit, stop)
        verdict = self.gate.check(
            proposal, self._view(order.working, self._holding(order), value, now_ns)
        )
        if isinstance(verdict, Refused):
            return verdict.reason
        revision = 1 + max(facts.modify_revision, facts.replaced.revision if facts.replaced else 0)
        order.pending = ModifyOrder(
            order_id,
            order.account,
            order.instrument.id,
            revision,
            now_ns,
            quantity,
            price,
            stop_price,
        )
        facts.request_modify(revision)
        self.registry.track(order)
        self._request(order, order.pending)
        self._changed(order)
        return None

    def cancel_all(self, run: str, instrument: str | None = None) -> list[OrderState]:
        """Take back a run's open orders, all or those of one instrument; return them."""
        orders = self.registry.open_orders(run, instrument)
        for order in orders:
            self.cancel(order.order_id)
        return orders

    def cancel_entries(self, run: str, instrument: str | None = None) -> list[OrderState]:
        """Take back a run's open orders that are not reduce-only; return them."""
        orders = self.registry.open_orders(run, instrument)
        entries = [order for order in orders if not order.reduce_only]
        for order in entries:
            self.cancel(order.order_id)
        return entries

    def close(self, run: str, instrument: str, bucket: Bucket = NO_BUCKET) -> OrderState | None:
        """Cancel the run's working entries and send one reducing order for what it holds.

        While that order works, it is the answer to every further call. None where nothing (or
        less than a lot) is held. Exits stay.
        """
        known = self._closing.get((run, instrument, bucket))
        if known is not None and not known.is_closed:
            return known
        for order in self.registry.open_orders(run, instrument):
            if not order.reduce_only and order.intent.bucket == bucket:
                self.cancel(order.order_id)
        holding = self._held(run, instrument, bucket)
        if holding is None:
            return None
        quantity = holding.instrument.round_quantity(absolute(holding.quantity))
        if not quantity:
            return None
        self._closing_count += 1
        order = self.submit(
            OrderIntent(
                run,
                f"close.{self._clock.now_ns}.{self._closing_count}",  # unique over restarts too
                instrument,
                SELL if holding.quantity > ZERO else BUY,
                quantity,
                reduce_only=True,
                bucket=bucket,
            ),
            is_closing=True,
        )
        self._closing[run, instrument, bucket] = order
        return order

    def flatten(self, run: str) -> list[OrderState]:
        """Cancel everything of a run, exits too, and close all it holds; return the closings."""
        closing = {order.order_id for order in self._closing.values()}
        for order in self.registry.open_orders(run):
            if order.order_id not in closing:
                self.cancel(order.order_id)
        orders = [
            self.close(run, holding.instrument.id, holding.bucket)
            for holding in list(self.ledger.holdings(run=run))
            if holding.quantity
        ]
        return [order for order in orders if order is not None]

    def position_view(self, run: str, instrument: str) -> PositionView:
        """Return what a run holds of an instrument, with its open orders beside it."""
        working = self.registry.working(run, instrument)
        return position_view(
            instrument,
            self.ledger.of_run(run, instrument),
            open_buy=working.open_buy,
            open_sell=working.open_sell,
            working_count=len(working.orders),
        )

    def mark_sent(self, command: VenueCommand) -> None:
        """Note that a command has been written to the venue; makes no event."""
        order = self.registry.get(command.order_id)
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

    def adopt(self, order_id: str, intent: OrderIntent, account: str) -> OrderState:
        """Take in an order that nobody here sent, with the facts kept about it (R-26).

        Its run is the intent's: `external`, unless a person said otherwise. It passes no gate:
        it exists already.
        """
        instrument = self._instrument(intent.instrument)
        order = self._new_order(order_id, intent, account, instrument, self._clock.now_ns)
        order.facts.submit_request = order.facts.submit_state = NONE
        order.valuation = self._price_of(instrument.id, intent.price, intent.stop_price)
        self._record(SubmitOrder(order_id, account, intent, order.quantity, order.created_ns))
        self.registry.add(order)
        for fact in self.registry.take_external(order_id):
            if isinstance(fact, EXECUTIONS):
                self._apply_execution(order, fact)
            else:
                self._apply_report(order, fact)
        self._changed(order)
        return order

    def apply(self, fact: DeskInput) -> None:
        """Take one fact: registry, then ledger, then the events that follow from it.

        Emits `Order`, `Fill` (or `FillCorrected`), `Position`, `Account`, `OrderAnomaly` in that
        order, each only where somebody wants it. A fact that is known already emits nothing.
        """
        if isinstance(fact, BOOKINGS):
            self._record(fact)
            self._apply_booking(fact)
            return
        order = self._orders.get(fact.order_id)
        if order is None:
            order = self.registry.find(fact.order_id)
        self._record(fact)
        if order is None:
            self._keep_external(fact)
        elif isinstance(fact, EXECUTIONS):
            self._apply_execution(order, fact)
        else:
            self._apply_report(order, fact)

    def _judge(
        self,
        intent: OrderIntent,
        line: Line,
        holding: Holding,
        price: Decimal | None,
        now_ns: int,
        *,
        is_closing: bool,
    ) -> Decimal | Refused:
        """Run every check; return the quantity to send, or the refusal."""
        instrument, quantity = line.instrument, intent.quantity
        reason = malformed(intent, now_ns)
        if reason is None and quantity is None:
            quantity = quantity_for(intent.quote_quantity, instrument, price)
            reason = f"quote quantity {intent.quote_quantity} does not make one lot"
        if quantity is None or (reason is not None and intent.quantity is not None):
            return Refused(reason or "", "malformed")
        proposal = Proposal(
            intent.run,
            instrument,
            intent.side,
            intent.type,
            quantity,
            quantity,
            quantity,
            intent.price,
            intent.stop_price,
            intent.trail is not None,
            intent.reduce_only,
            is_closing,
        )
        verdict = self.gate.check(proposal, self._view(line.working, holding, price, now_ns))
        return verdict if isinstance(verdict, Refused) else quantity

    def _open_line(self, run: str, instrument: Instrument) -> Line:
        """Gather what belongs to a run and instrument, again when its definition changed."""
        account = self._account_of(run)
        line = self._lines[run, instrument.id] = Line(
            account,
            instrument,
            self.registry.working(run, instrument.id),
            self.ledger.holding(account, run, instrument),
            self.ledger.of_run(run, instrument.id),
            self.registry.reserved_cash(account),
        )
        return line

    def _new_order(
        self, order_id: str, intent: OrderIntent, account: str, instrument: Instrument, now_ns: int
    ) -> OrderState:
        """Return an order outside the usual path: a denied or an adopted one."""
        quantity = intent.quantity if isinstance(intent.quantity, Decimal) else ZERO
        return OrderState(
            order_id,
            intent,
            account,
            instrument,
            OrderFacts(quantity, intent.price, intent.stop_price, now_ns),
            self.registry.working(intent.run, intent.instrument),
            now_ns,
            intent.side is BUY,
            self.registry.reserved_cash(account),
            is_paid_in_full(instrument),
            intent.reduce_only,
        )

    def _deny(
        self, order_id: str, intent: OrderIntent, instrument: Instrument, reason: str, now_ns: int
    ) -> OrderState:
        account = self._account_of(intent.run)
        order = self._new_order(order_id, intent, account, instrument, now_ns)
        order.facts.deny(reason)
        self.registry.add(order)
        denied = order.event()
        self._record(denied)
        if self._wants(Order, intent.run):
            self._emit(denied)
        return order

    def _request(self, order: OrderState, command: VenueCommand) -> None:
        """Write down, tell, act: the engine holds the command until it is durable."""
        self._record(command)
        if self._wants(Order, order.intent.run):
            self._emit(order.event())
        self._send(command)

    def _changed(self, order: OrderState) -> None:
        if self.on_change is not None:
            self.on_change(order.intent.run, order.intent.instrument)

    def _keep_external(self, fact: OrderFact) -> None:
        self.registry.keep_external(fact)
        if self._wants(OrderAnomaly, EXTERNAL_RUN):
            what = f"{type(fact).__name__} about an order that nobody here sent"
            self._emit(OrderAnomaly(fact.order_id, EXTERNAL_RUN, "", "", what, fact.time_ns))

    def _apply_report(self, order: OrderState, fact: OrderFact) -> None:
        facts = order.facts
        was_closed = facts.is_closed
        if facts.apply(fact):
            has_changed = facts.is_closed is not was_closed
            if order.pending is not None or facts.replaced is not None:
                if facts.modify_state is NONE:
                    order.pending = None
                has_changed = True
            if has_changed:
                has_changed = self.registry.track(order)
            if self._wants(Order, order.intent.run):
                self._emit(order.event())
            if has_changed:
                self._changed(order)
        if facts.anomalies is not None:
            self._tell_anomalies(order, fact.time_ns)

    def _apply_execution(self, order: OrderState, fact: Execution) -> None:  # noqa: C901
        """Carry an execution, or what a correction made of it, into the ledger and tell of it."""
        # One flat function on purpose: every fill passes here, and a call costs 0.1 µs.
        facts = order.facts
        known = facts.executions.get(fact.execution_id)
        if facts.apply(fact):
            holding = order.holding or self._holding(order)
            self.registry.track(order)
            if known is not None:
                self._unbook(order, holding, known)
            realised = self.ledger.book(
                holding,
                is_buy=order.is_buy,
                quantity=fact.quantity,
                price=fact.price,
                fees=fact.fees,
            )
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
                emit(self.ledger.account_event(holding.account, time_ns, order.reserved_cash))
            if self.on_change is not None:
                self.on_change(run, order.intent.instrument)
        if facts.anomalies is not None:
            self._tell_anomalies(order, fact.time_ns)

    def _unbook(self, order: OrderState, holding: Holding, known: Execution) -> None:
        self.ledger.unbook(
            holding,
            is_buy=order.is_buy,
            quantity=known.quantity,
            price=known.price,
            fees=known.fees,
        )

    def _tell_holding(self, holding: Holding, time_ns: int) -> None:
        run = holding.run
        if self._wants(Position, run):
            self._emit(holding.event(time_ns))
        if self._wants(Account, holding.account):
            self._emit(self._account_event(holding.account, time_ns))

    def _account_event(self, account: str, time_ns: int) -> Account:
        return self.ledger.account_event(account, time_ns, self.registry.reserved_cash(account))

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
        changed = self.ledger.book_cash(booking)
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
        for holding in self.ledger.settle(settled):
            if self._wants(Settled, holding.run):
                self._emit(settled)
            self._tell_holding(holding, settled.time_ns)
            if self.on_change is not None:
                self.on_change(holding.run, holding.instrument.id)

    def _held(self, run: str, instrument: str, bucket: Bucket) -> Holding | None:
        for holding in self.ledger.of_run(run, instrument):
            if holding.bucket == bucket and holding.quantity:
                return holding
        return None

    def _view(
        self, working: WorkingOrders, holding: Holding, price: Decimal | None, now_ns: int
    ) -> View:
        return View(
            self.ledger.net_quantity(working.run, working.instrument),
            holding.quantity,
            working.open_buy,
            working.open_sell,
            price,
            now_ns,
        )

    def _holding(self, order: OrderState) -> Holding:
        if order.holding is None:
            order.holding = self.ledger.holding(
                order.account, order.intent.run, order.instrument, order.intent.bucket
            )
        return order.holding

    def _price_of(
        self, instrument: str, price: Decimal | None, stop_price: Decimal | None
    ) -> Decimal | None:
        """Return the highest price the order could be worth: limit, stop, or the market's."""
        reference = self._market.reference_price(instrument)
        if reference is None or not isfinite(reference):
            return highest(price, stop_price)
        market = parse(repr(reference))
        if price is None and stop_price is None and market > ZERO:
            return market
        return highest(price, stop_price, market)

    def _shrinks_account(self, order: OrderState) -> bool:
        """Tell whether the account's net position shrinks too: only then may the venue enforce it.

        Another run may hold the other side, and the venue sees the sum of both.
        """
        net = self.ledger.account_quantity(order.account, order.instrument.id, order.intent.bucket)
        opposite = net < ZERO if order.is_buy else net > ZERO
        return opposite and order.quantity <= absolute(net)


def _unchangeable(order: OrderState, quantity: Decimal | None) -> str | None:
    """Return why this order cannot be changed now, or None."""
    facts = order.facts
    if facts.is_closed:
        return f"order {order.order_id} is already {facts.status.value}"
    if facts.modify_state is not NONE:
        return f"order {order.order_id} has a modify request without an answer"
    if quantity is not None and not (quantity.is_finite() and quantity > facts.filled):
        return f"quantity {quantity} is not above what is filled, {facts.filled}"
    return None
