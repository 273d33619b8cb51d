"""One path through everything: data, step, queue, strategy, gate, log, venue, fill, ledger, event.

The same strategy gives the same fills under the simulated driver and on a real loop (R-79), and
its log alone gives the same state again.
"""

import asyncio
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import anyio.lowlevel
import msgspec
import pytest

from framework import Candle, Fill, Order, OrderStatus, Position, Side, Strategy
from framework.clock.clock import VirtualClock
from framework.engine.engine import Engine
from framework.interfaces import AdapterContext, BrokerCapabilities
from framework.model.account import CashBooked
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder, VenueCommand
from framework.model.identity import OrderIds
from framework.model.orders import OrderIntent
from framework.model.records import JournalOpened
from framework.model.reports import OrderAccepted, OrderFilled
from framework.model.runs import Run
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.store.memory import MemoryLog
from tests.scripted_venue import (
    BTC,
    MINUTE_NS,
    START_NS,
    Script,
    candle,
    cash_of,
    orders_of,
    play,
    position_of,
    run_settings,
    settings,
    strategy_of,
)

CLOSES = (100.0, 101.0, 103.0, 102.0, 99.0, 98.0, 104.0, 105.0, 101.0, 100.5)
COSTS = {"costs": {"fees_bps": 10}}


class Momentum(Strategy):
    """Long while the price rises; rests a limit order beside it, moves it and takes it back."""

    def on_start(self) -> None:
        self.last = 0.0
        self.heard: list[Any] = []
        self.seen: list[Candle] = []
        self.watch_candles(BTC, "1m")

    def on_candle(self, candle: Candle) -> None:
        self.seen.append(candle)
        rises, self.last = candle.close > self.last > 0.0, candle.close
        position = self.position(BTC)
        if len(self.seen) == 2:
            self.resting = self.buy(BTC, "0.5", price="50.0")
        elif len(self.seen) == 4:
            self.modify(self.resting, price="51.0")
        elif len(self.seen) == 6:
            self.cancel(self.resting)
        if rises and position.quantity == 0:
            self.buy(BTC, 1)
        elif not rises and position.is_long:
            self.sell(BTC, 1)

    def on_order(self, order: Order) -> None:
        self.heard.append(order)

    def on_fill(self, fill: Fill) -> None:  # type: ignore[override] # no venue here corrects
        self.heard.append(fill)

    def on_position(self, position: Position) -> None:
        self.heard.append(position)


Outcome = tuple[list[Any], list[Any], Decimal, Decimal]


def outcome(runtime: Runtime) -> Outcome:
    """Return what must not depend on the driver: fills, orders, position, cash."""
    heard = strategy_of(runtime).heard
    fills = [
        (fill.execution_id, fill.side, fill.quantity, fill.price, fill.fees, fill.realised)
        for fill in heard
        if isinstance(fill, Fill)
    ]
    orders = [
        (order.status, order.side, order.quantity, order.price, order.filled, order.average_price)
        for order in orders_of(runtime)
    ]
    return fills, orders, position_of(runtime), cash_of(runtime)


def candles() -> list[Candle]:
    """Return candles of which each opens where the one before it closed."""
    opens = (CLOSES[0], *CLOSES)
    return [candle(n, close, open=opens[n]) for n, close in enumerate(CLOSES)]


def simulated() -> Runtime:
    """Play the candles on virtual time."""
    return play(settings(run_settings(Momentum), script=candles(), venue=COSTS))


def on_a_real_loop() -> Runtime:
    """Publish the same prices live: each candle opens after the orders of the one before left."""

    async def live(context: AdapterContext) -> None:
        for shape in candles():
            for _ in range(10):  # a turn for the strategy, one for the venue, and some to spare
                await anyio.lowlevel.checkpoint()
            open_ns = context.clock.now_ns
            now_ns = open_ns + 1
            context.publish(
                msgspec.structs.replace(
                    shape, time_ns=now_ns, received_ns=now_ns, open_ns=open_ns, close_ns=now_ns
                )
            )
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        has_ended.set()

    has_ended = asyncio.Event()

    async def main() -> Runtime:
        script = Script(live=live)
        chosen = settings(run_settings(Momentum), script=script, venue=COSTS, mode=Mode.PAPER)
        async with Runtime(chosen) as runtime:
            with anyio.fail_after(10):
                await has_ended.wait()
        return runtime

    return asyncio.run(main())


def test_a_candle_becomes_an_order_a_fill_a_position_and_cash() -> None:
    runtime = simulated()

    strategy = strategy_of(runtime)
    fills, orders, position, cash = outcome(runtime)
    # Rises at 1, so buys at the open of 2 (101); falls at 3: sells at the open of 4 (102);
    # rises at 6: buys at the open of 7 (104); falls at 8: sells at the open of 9 (101).
    assert [(side, price) for _, side, _, price, _, _ in fills] == [
        (Side.BUY, Decimal(101)),
        (Side.SELL, Decimal(102)),
        (Side.BUY, Decimal(104)),
        (Side.SELL, Decimal(101)),
    ]
    assert cash == Decimal(1_000_000) + (102 - 101) + (101 - 104) - Decimal("0.408")
    assert position == 0
    assert [status for status, *_ in orders].count(OrderStatus.FILLED) == 4
    assert [status for status, *_ in orders].count(OrderStatus.CANCELLED) == 1
    assert [type(event).__name__ for event in strategy.heard[:4]] == ["Order"] * 4
    bought = next(event for event in strategy.heard if isinstance(event, Position))
    assert (bought.quantity, bought.average_price) == (Decimal(1), Decimal(101))
    assert [closed.close for closed in strategy.seen] == list(CLOSES)


def test_r79_a_real_loop_gives_the_same_fills_orders_position_and_cash() -> None:
    assert outcome(on_a_real_loop()) == outcome(simulated())


def test_r03_the_log_has_every_order_before_the_venue_and_every_fact_before_the_strategy() -> None:
    runtime = simulated()

    kinds = [type(entry) for _, entry in runtime.engine.log.read()]
    by_order: dict[str, list[type]] = {}
    for _, entry in runtime.engine.log.read():
        by_order.setdefault(str(getattr(entry, "order_id", "")), []).append(type(entry))
    assert all(
        facts[:2] == [SubmitOrder, OrderAccepted] for name, facts in by_order.items() if name
    )
    assert kinds.count(SubmitOrder) == 5
    assert kinds.count(OrderFilled) == 4
    assert ModifyOrder in kinds
    assert CancelOrder in kinds


# -- output commit --------------------------------------------------------------------------------


class LaggingLog(MemoryLog):
    """Durable only as far as the test says."""

    durable = 0

    @property
    def durable_position(self) -> int:
        """Where the test has moved it."""
        return self.durable


class WritingBroker:
    """Writes down what it is sent, and how much of the log was durable then."""

    capabilities = BrokerCapabilities()

    def __init__(self, log: MemoryLog) -> None:
        self.sent: list[VenueCommand] = []
        self._log = log

    def send(self, command: VenueCommand) -> None:
        """Check that the command is durable already."""
        durable = [entry for at, entry in self._log.read() if at <= self._log.durable_position]
        assert command in durable
        self.sent.append(command)

    async def run(self) -> None:
        """Wait until cancelled."""
        await anyio.sleep_forever()


@pytest.fixture
def runtime_settings() -> Any:
    return settings(run_settings(Momentum), script=[candle(0, 100.0)])


def test_r03_nothing_leaves_before_the_log_is_durable_up_to_it(runtime_settings: Any) -> None:
    log = LaggingLog()
    engine = play(runtime_settings, order_log=log).engine
    broker = engine.brokers["main"] = WritingBroker(log)

    first = engine.desk.submit(OrderIntent("run", "a", BTC, Side.BUY, Decimal(1)))
    log.durable = log.position
    second = engine.desk.submit(OrderIntent("run", "b", BTC, Side.BUY, Decimal(2)))
    engine.desk.cancel(first.order_id)
    engine.outputs.release()

    assert [command.order_id for command in broker.sent] == [first.order_id]
    assert len(engine.outputs.pending) == 2

    log.durable = log.position
    engine.outputs.release()

    assert [(type(command), command.order_id) for command in broker.sent] == [
        (SubmitOrder, first.order_id),
        (SubmitOrder, second.order_id),
        (CancelOrder, first.order_id),
    ]


# -- replay ---------------------------------------------------------------------------------------


def replayed(entries: Sequence[object], like: Runtime) -> Engine:
    """Give a fresh engine the requests and facts of a log, and nothing else."""
    clock = VirtualClock()
    engine = Engine(
        clock=clock,
        log=MemoryLog(),
        ids=OrderIds("seed 0"),
        account_of=lambda run: "main",
    )
    engine.instruments.update(like.engine.instruments)
    engine.bus.pump()
    for entry in entries:
        clock.advance_to(max(clock.now_ns, time_of(entry)))
        if isinstance(entry, SubmitOrder):
            state = engine.desk.submit(entry.intent)
            assert state.order_id == entry.order_id
            assert OrderIds("seed 0").order_id("run", entry.intent.key) == entry.order_id
        elif isinstance(entry, CancelOrder):
            engine.desk.cancel(entry.order_id)
        elif isinstance(entry, ModifyOrder):
            engine.desk.modify(entry.order_id, quantity=entry.quantity, price=entry.price)
        elif isinstance(entry, Order):
            intent = OrderIntent("run", entry.key, entry.instrument, entry.side, entry.quantity)
            engine.desk.deny(intent, entry.reason)
        elif isinstance(entry, CashBooked):
            engine.ledger.book_cash(entry)
        else:
            engine.bus.publish(entry)
    return engine


def time_of(entry: object) -> int:
    """Return when an entry was written."""
    time_ns: int = getattr(entry, "time_ns", 0)
    return time_ns


def logged(runtime: Runtime) -> Iterator[object]:
    """Yield what the log has of orders and cash, without who wrote it and which runs there are."""
    for _, entry in runtime.engine.log.read():
        if not isinstance(entry, JournalOpened | Run):
            yield entry


def test_the_log_alone_gives_the_same_orders_position_and_cash_again() -> None:
    runtime = simulated()

    again = replayed(list(logged(runtime)), like=runtime)

    assert [state.event() for state in again.registry] == orders_of(runtime)
    assert again.ledger.net_quantity("run", BTC) == position_of(runtime)
    assert again.ledger.cash("main") == runtime.engine.ledger.cash("main")
    assert again.ledger.realised("main", run="run") == runtime.engine.ledger.realised(
        "main", run="run"
    )
    assert [entry for _, entry in again.log.read()] == [
        entry for entry in logged(runtime) if not isinstance(entry, CashBooked)
    ]


def test_an_order_of_a_candle_fills_from_the_next_one_on() -> None:
    runtime = simulated()

    fills = [event for event in strategy_of(runtime).heard if isinstance(event, Fill)]
    assert [(fill.time_ns - START_NS) // MINUTE_NS for fill in fills] == [3, 5, 8, 10]
