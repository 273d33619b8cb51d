"""The one way from a wish to trade to the venue, and from the venue's facts to events.

Every door, strategy and command line submits here (law 7). A call runs registry and gate at
once, records, and queues what leaves the process; nothing in here waits or reads a clock of its
own. `record` gets, before anything is sent: `SubmitOrder` (with the intent in it), `ModifyOrder`,
`CancelOrder`, the DENIED `Order` of a refused intent, and every fact that came in.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from framework.errors import UnknownInstrument
from framework.interfaces import Clock, MarketView
from framework.model.commands import SubmitOrder, VenueCommand
from framework.model.decimals import ZERO, absolute
from framework.model.identity import OrderIds
from framework.model.instrument import Instrument
from framework.model.orders import NO_BUCKET, Exits, Order, OrderIntent, RequestState, Side
from framework.model.records import AdoptOrder, HoldOrder, HoldRole, Record
from framework.orders.admission import Admission
from framework.orders.application import AfterChange, FactApplication
from framework.orders.baskets import Baskets
from framework.orders.closing import Closing
from framework.orders.denied import intent_denied
from framework.orders.held import HeldOrders
from framework.orders.lifecycle import OrderFacts
from framework.orders.order_state import OrderState, WorkingOrders
from framework.orders.registry import OrderRegistry
from framework.orders.requests import Requests
from framework.portfolio.exposure import PositionView, position_view
from framework.portfolio.holding import Holding, is_paid_in_full
from framework.portfolio.ledger import Ledger
from framework.risk.gate import Gate, Refused

SEND_BY_NS = 5_000_000_000  # after the event that caused an intent it is too late to send it
BUY = Side.BUY
NONE = RequestState.NONE


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
        apply, mark_sent: what came in and what went out, see `FactApplication`.
        cancel, modify: requests about one order, see `Requests`.
        cancel_all, cancel_entries, close, flatten: the way out of a run, see `Closing`.
        release, change_held, trail, replace_exits, note_cover, end_held: what the core does with
            orders it keeps, see `HeldOrders`; tell_anomaly: `FactApplication`.
        submit_basket: several legs under one key, see `Baskets`.
        needs_holding: tells whether the core has to keep an intent for its account's venue.
        change_exits, restart_exits: what `modify_exits` and `reset_exits` do, by order and by run.
        fault_in: tells why the exits of an intent make no sense; asked only where it has any.
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
        record: Callable[[Record], None],
        account_of: Callable[[str], str],
    ) -> None:
        self.registry = registry
        self.gate = gate
        self.ledger = ledger
        self.needs_holding: Callable[[OrderIntent, str], bool] | None = None
        self.change_exits: Callable[[str, Exits], str | None] | None = None
        self.restart_exits: Callable[[str], int] | None = None
        self.fault_in: Callable[[OrderIntent, str, Instrument], str | None] | None = None
        self._ids = ids
        self._instrument = instrument
        self._clock = clock
        self._emit = emit
        self._wants = wants
        self._send = send
        self._record = record
        self._account_of = account_of
        self._lines: dict[tuple[str, str], Line] = {}
        admission = Admission(gate=gate, ledger=ledger, market=market)
        application = FactApplication(
            registry=registry, ledger=ledger, clock=clock, emit=emit, wants=wants, record=record
        )
        held = HeldOrders(
            registry=registry,
            admission=admission,
            application=application,
            clock=clock,
            emit=emit,
            wants=wants,
            record=record,
            dispatch=self._dispatch,
            shrinks_account=self._shrinks_account,
        )
        requests = Requests(
            registry=registry,
            admission=admission,
            application=application,
            clock=clock,
            emit=emit,
            wants=wants,
            send=send,
            record=record,
            change_held=held.change,
            retrail=held.retrail,
        )
        closing = Closing(
            registry=registry,
            ledger=ledger,
            clock=clock,
            submit=self.submit,
            cancel=requests.cancel,
        )
        self._admission = admission
        self._application = application
        # Bound here instead of passed on by methods: a call costs 0.1 µs, and every fact comes by.
        self.apply, self.mark_sent = application.apply, application.mark_sent
        self.cancel, self.modify = requests.cancel, requests.modify
        self.cancel_all, self.cancel_entries = closing.cancel_all, closing.cancel_entries
        self.close, self.flatten = closing.close, closing.flatten
        self.release, self.end_held = held.release, held.end
        self.change_held, self.trail = held.change, held.trail
        self.replace_exits, self.note_cover = held.replace_exits, held.note_cover
        self.tell_anomaly = application.tell_anomaly
        self.submit_basket = Baskets(registry, self).submit

    @property
    def after_change(self) -> list[AfterChange]:
        """Who decides on from an order that changed, see `FactApplication`."""
        return self._application.after_change

    @after_change.setter
    def after_change(self, hooks: list[AfterChange]) -> None:
        self._application.after_change = hooks

    @property
    def on_change(self) -> Callable[[str, str], None] | None:
        """Called with (run, instrument) when a run's position or open orders of it changed."""
        return self._application.on_change

    @on_change.setter
    def on_change(self, call: Callable[[str, str], None] | None) -> None:
        self._application.on_change = call

    def submit(self, intent: OrderIntent, *, is_closing: bool = False) -> OrderState:
        """Ask for an order; the answer is its state: SUBMITTED, HELD, or DENIED with the reason.

        The same key with the same content returns the order it was given the first time.
        `is_closing` marks an order of `close`, which no rate limit holds back.

        Raises:
            KeyConflict: the run has used this key for an order of other content.
        """
        known = self.registry.answer(intent)
        if known is not None:
            return known
        order = self.admit(intent, is_closing=is_closing)
        if not order.facts.is_closed:
            command = self._command(order)
            self._record(command)
            if isinstance(command, HoldOrder):
                self._tell(order)
            else:
                self._dispatch(order, command)
        return order

    def modify_exits(self, order_id: str, exits: Exits) -> str | None:
        """Give an entry other exits: None when they hold, else why they make no sense.

        They hold for all that fills from now on, and for what has filled and is held: legs that are
        there already move to the new price, those that are new are made, those that are not asked
        for any more go. Where a stop or target names a price, its leg goes there even if somebody
        had moved it, and is made again if it had been cancelled; at the distance it had before, it
        stays as it is. What a venue answers to a leg's move comes later, as events of that leg.
        """
        if self.change_exits is None:
            return "nobody keeps exits here"
        return self.change_exits(order_id, exits)

    def reset_exits(self, run: str) -> int:
        """Send a run's exits again that were refused too often; return how many they are."""
        return 0 if self.restart_exits is None else self.restart_exits(run)

    def admit(self, intent: OrderIntent, *, is_closing: bool = False) -> OrderState:
        """Put a new intent before the gate; an approved one is reserved, but not written down yet.

        To be followed by `launch` or `withdraw` before anything else happens.
        """
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
        if intent.cause_ns and now_ns - intent.cause_ns > SEND_BY_NS and intent.send_by_ns is None:
            age_s = (now_ns - intent.cause_ns) / 1e9
            reason = f"stale_decision: what caused it happened {age_s:.1f} s ago"
            return self._deny(order_id, intent, instrument, reason, now_ns)
        if intent.exits is not None and self.fault_in is not None:
            fault = self.fault_in(intent, line.account, instrument)
            if fault is not None:
                return self._deny(order_id, intent, instrument, fault, now_ns)
        price = self._admission.price_of(intent.instrument, intent.price, intent.stop_price)
        quantity = intent.quantity
        notional = self.gate.approve_plain(
            intent,
            instrument,
            price,
            position=holding.quantity
            if intent.reduce_only or len(line.holdings) == 1
            else self.ledger.net_quantity(run, instrument.id),
            open_quantity=working.open_buy if side is BUY else working.open_sell,
            now_ns=now_ns,
        )
        if quantity is None or notional is None:
            verdict = self._admission.judge(
                intent, instrument, working, holding, price, now_ns, is_closing=is_closing
            )
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
        if self.needs_holding is not None and self.needs_holding(intent, line.account):
            order.facts.hold()
            order.role = HoldRole.ENTRY
        self.registry.add(order, notional)
        return order

    def launch(self, orders: Sequence[OrderState]) -> None:
        """Write down admitted orders, all before the first is told of or sent."""
        commands = [self._command(order) for order in orders]
        for command in commands:
            self._record(command)
        for order, command in zip(orders, commands, strict=True):
            if isinstance(command, HoldOrder):
                self._tell(order)
            else:
                self._dispatch(order, command)

    def withdraw(self, order: OrderState, reason: str) -> None:
        """Give back what an admitted order reserved: it is DENIED after all."""
        order.facts.deny(reason)
        self.registry.track(order)
        self._tell_denied(order)

    def hold(
        self,
        intent: OrderIntent,
        *,
        role: HoldRole,
        parent: str,
        quantity: Decimal | None = None,
    ) -> OrderState:
        """Keep an exit of the entry `parent`: HELD, past the gate, as it can only shrink.

        Raises:
            KeyConflict: the run has used this key for an order of other content.
        """
        known = self.registry.answer(intent)
        if known is not None:
            return known
        order = self._new_order(
            self._ids.order_id(intent.run, intent.key),
            intent,
            self._account_of(intent.run),
            self._instrument(intent.instrument),
            self._clock.now_ns,
        )
        if quantity is not None:
            order.facts.quantity = quantity
        order.facts.hold()
        order.role, order.parent = role, parent
        order.valuation = self._admission.price_of(
            intent.instrument, intent.price, intent.stop_price
        )
        self.registry.add(order)
        self.launch([order])
        return order

    def _command(self, order: OrderState) -> SubmitOrder | HoldOrder:
        facts, intent = order.facts, order.intent
        if order.role is not None:
            return HoldOrder(
                order.order_id,
                order.account,
                intent,
                facts.quantity,
                order.created_ns,
                order.role,
                order.parent,
            )
        reduce_only = intent.reduce_only and self._shrinks_account(order)
        return SubmitOrder(
            order.order_id, order.account, intent, facts.quantity, order.created_ns, reduce_only
        )

    def _dispatch(self, order: OrderState, command: SubmitOrder) -> None:
        if self._wants(Order, command.intent.run):
            self._emit(order.event())
        self._send(command)
        application = self._application
        if application.on_change is not None:
            application.on_change(command.intent.run, command.intent.instrument)
        for hear in application.after_change:
            hear(order, None)

    def _tell(self, order: OrderState) -> None:
        if self._wants(Order, order.intent.run):
            self._emit(order.event())
        self._application.tell_change(order)
        for hear in self._application.after_change:
            hear(order, None)

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

    def adopt(self, order_id: str, intent: OrderIntent, account: str) -> OrderState:
        """Take in an order that nobody here sent, with the facts kept about it (R-26).

        Its run is the intent's: `external`, unless a person said otherwise. It passes no gate:
        it exists already.
        """
        instrument = self._instrument(intent.instrument)
        order = self._new_order(order_id, intent, account, instrument, self._clock.now_ns)
        order.facts.submit_request = order.facts.submit_state = NONE
        order.valuation = self._admission.price_of(instrument.id, intent.price, intent.stop_price)
        self._record(AdoptOrder(order_id, account, intent, order.quantity, order.created_ns))
        self.registry.add(order)
        self._application.apply_kept(order)
        return order

    def give(self, order: OrderState, run: str) -> None:
        """Give an order that nobody here sent to a run; its fills go there from now on."""
        intent = msgspec.structs.replace(order.intent, run=run)
        names = order.facts.venue_order_ids
        self._record(
            AdoptOrder(
                order.order_id, order.account, intent, order.quantity, self._clock.now_ns, names
            )
        )
        self._application.tell_change(order)
        self.registry.reassign(order, intent)
        self._tell(order)

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
        self._tell_denied(order)
        return order

    def _tell_denied(self, order: OrderState) -> None:
        denied = order.event()
        said = intent_denied(order)
        if said is not None:
            self._record(said)
        self._record(denied)
        if self._wants(Order, order.intent.run):
            self._emit(denied)
        for hear in self._application.after_change:
            hear(order, None)

    def _shrinks_account(self, order: OrderState) -> bool:
        """Tell whether the account's net position shrinks too: only then may the venue enforce it.

        Another run may hold the other side, and the venue sees the sum of both.
        """
        net = self.ledger.account_quantity(order.account, order.instrument.id, order.intent.bucket)
        opposite = net < ZERO if order.is_buy else net > ZERO
        return opposite and order.quantity <= absolute(net)
