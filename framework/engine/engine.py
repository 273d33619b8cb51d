"""The synchronous core: one numbered input to state and everything that follows from it.

The engine puts the parts together (bus, books, order path, ledger, outputs) and owns nothing
that waits. Adapters, timers and strategies reach it through `bus.publish` and `RunContext`.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from framework.bus.bus import Bus
from framework.bus.overflow import ChannelRule
from framework.bus.routes import Route
from framework.engine.books import Books
from framework.engine.market_state import MarketState
from framework.engine.market_watch import MarketWatch
from framework.engine.outputs import TOO_LATE, Outputs
from framework.errors import UnknownInstrument
from framework.interfaces import Broker, Clock, OrderLog
from framework.model.account import CashBooked, Settled
from framework.model.commands import CancelOrder, SubmitOrder, VenueCommand
from framework.model.events import OrderAnomaly, RunStarted
from framework.model.identity import OrderIds
from framework.model.instrument import Instrument, InstrumentChanged
from framework.model.market_data import BookDelta, BookSnapshot
from framework.model.orders import Fill, Order
from framework.model.records import Record
from framework.model.reports import (
    EndKind,
    FillCorrection,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderReplaced,
    OrderTriggered,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)
from framework.orders.registry import OrderRegistry
from framework.orders.submission import OrderDesk
from framework.portfolio.exposure import PositionView
from framework.portfolio.ledger import Ledger
from framework.risk.gate import Gate

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
BOOKINGS = (CashBooked, Settled)
Condition = Callable[[Order], bool]


class Engine:
    """All state in one place; it changes only inside a step, or by a call of the order desk."""

    def __init__(
        self,
        *,
        clock: Clock,
        log: OrderLog,
        ids: OrderIds,
        account_of: Callable[[str], str],
        rules: Mapping[str, ChannelRule] | None = None,
    ) -> None:
        self.clock = clock
        self.log = log
        self.instruments: dict[str, Instrument] = {}
        self.brokers: dict[str, Broker] = {}  # by account
        self.outputs = Outputs(log, self.brokers)
        self.bus = Bus(clock, rules=rules, after_handler=self.outputs.release)
        self.books = Books(self.bus, self.instruments, clock)
        self.market = MarketState(self.bus, self.books.by_instrument)
        self.market_watch = MarketWatch(self.bus)
        self.ledger = Ledger(self.instrument)
        self.registry = OrderRegistry()
        self.gate = Gate(())
        self.starting: dict[str, Callable[[], None]] = {}  # by run: what its start is to do
        self.fill_listeners: list[Callable[[Fill], None]] = []
        self.views: dict[str, dict[str, PositionView]] = {}  # by run and instrument: still true
        self.record_listeners: list[Callable[[Record], None]] = []
        self.desk = OrderDesk(
            ids=ids,
            registry=self.registry,
            gate=self.gate,
            ledger=self.ledger,
            instrument=self.instrument,
            clock=clock,
            market=self.market,
            emit=self._emit,
            wants=self._wants,
            send=self._send,
            record=self.record,
            account_of=account_of,
        )
        self.desk.on_change = self.position_changed
        self.outputs.mark_sent = self.desk.mark_sent
        self.outputs.refuse = self._refuse
        self.outputs.doubt = self._doubt
        self._routes: dict[tuple[type, str], Route] = {}  # of private events; they stay
        self._waiting: dict[str, list[tuple[Condition, asyncio.Future[Order]]]] = {}
        self._release_handle: asyncio.Handle | None = None
        for fact in (*FACTS, *BOOKINGS):
            self.bus.set_step(fact, self.desk.apply)
        self.bus.set_step(BookSnapshot, self.books.on_snapshot)
        self.bus.set_step(BookDelta, self.books.on_delta)
        self.bus.set_step(InstrumentChanged, self._define)
        self.bus.set_step(RunStarted, self._start_run)
        self.bus.set_step(Order, self._on_order)
        self.bus.set_step(Fill, self._on_fill)

    def instrument(self, name: str) -> Instrument:
        """Return an instrument's definition. Raises UnknownInstrument."""
        found = self.instruments.get(name)
        if found is None:
            raise UnknownInstrument(name)
        return found

    async def order_when(
        self, order_id: str, condition: Condition, timeout_s: float | None
    ) -> Order:
        """Wait until the order fits `condition`; the wait never changes the order.

        Raises:
            KeyError: there is no such order.
            TimeoutError: it did not within `timeout_s` of market time.
        """
        state = self.registry.get(order_id)
        if state is None:
            raise KeyError(order_id)
        order = state.event()
        if condition(order):
            return order
        future: asyncio.Future[Order] = asyncio.get_running_loop().create_future()
        entry = (condition, future)
        self._waiting.setdefault(order_id, []).append(entry)
        timer = None
        if timeout_s is not None:
            due_ns = self.clock.now_ns + round(timeout_s * 1e9)
            timer = self.clock.call_at(due_ns, lambda: _time_out(future, order_id))
        try:
            return await future
        finally:
            if timer is not None:
                timer.cancel()
            waiting = self._waiting.get(order_id, [])
            if entry in waiting:
                waiting.remove(entry)
            if not waiting:
                self._waiting.pop(order_id, None)

    def record(self, entry: Record) -> None:
        """Write an entry down behind the others."""
        self.log.append(entry)
        for note in self.record_listeners:
            note(entry)

    def _emit(self, event: Any) -> None:
        if event.__class__ in BOOKINGS:
            return  # it is the very input that is being stepped, and is fanned out as such
        self.bus.publish(event)

    def _wants(self, event_type: type, key: str) -> bool:
        if event_type is Order and self._waiting:
            return True
        if event_type is Fill and self.fill_listeners:
            return True
        route = self._routes.get((event_type, key))
        if route is None:
            route = self._routes[event_type, key] = self.bus.topic(event_type).open(key)
        return bool(route.takers) or event_type is OrderAnomaly  # the core itself may tell of it

    def _send(self, command: VenueCommand) -> None:
        self.outputs.add(command)
        if self.bus.running is None and self._release_handle is None and not self.bus.is_pumped:
            self._release_handle = asyncio.get_running_loop().call_soon(self._release)

    def _refuse(self, command: VenueCommand, reason: str) -> None:
        """End a command that never left: an order with it, a request about one alone."""
        now_ns = self.clock.now_ns
        if isinstance(command, SubmitOrder):
            kind = EndKind.EXPIRED if reason.startswith(TOO_LATE) else EndKind.REJECTED
            self.bus.publish(OrderEnded(command.order_id, kind, now_ns, reason, "core"))
        else:
            self.bus.publish(RequestRefused(command.order_id, kind_of(command), reason, now_ns))

    def _doubt(self, command: VenueCommand, reason: str) -> None:
        self.bus.publish(
            RequestInDoubt(command.order_id, kind_of(command), reason, self.clock.now_ns)
        )

    def _release(self) -> None:
        self._release_handle = None
        self.outputs.release()

    def position_changed(self, run: str, instrument: str) -> None:
        """Forget the view of an instrument: a run's position or open orders of it changed."""
        views = self.views.get(run)
        if views:
            views.pop(instrument, None)

    def _define(self, event: InstrumentChanged) -> None:
        if event.instrument not in self.instruments:
            self.record(event)  # a restart reads of its orders before anybody asks for it
        self.instruments[event.instrument] = event.definition

    def _start_run(self, event: RunStarted) -> None:
        """Let a run hear of its own from its start on, and of nothing before."""
        start = self.starting.pop(event.run, None)
        if start is not None:
            start()

    def _on_fill(self, fill: Fill) -> None:
        for listener in self.fill_listeners:
            listener(fill)

    def _on_order(self, order: Order) -> None:
        for condition, future in self._waiting.get(order.order_id, ()):
            if not future.done() and condition(order):
                future.set_result(order)


def kind_of(command: VenueCommand) -> RequestKind:
    """Return what a command asks for."""
    if isinstance(command, SubmitOrder):
        return RequestKind.SUBMIT
    return RequestKind.CANCEL if isinstance(command, CancelOrder) else RequestKind.MODIFY


def _time_out(future: "asyncio.Future[Order]", order_id: str) -> None:
    if not future.done():
        future.set_exception(TimeoutError(f"order {order_id}: not in time"))
