"""A backtest driven by the public client over real sockets trades as the same logic inside does."""

import asyncio
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tektii import (
    AsyncTradingGateway,
    CandleEvent,
    ConnectionEvent,
    ConnectionEventType,
    TradingGateway,
)

from framework import Candle, Strategy
from framework.backtest.runner import play_recorded
from framework.model.orders import Fill
from framework.settings.decoding import decode_section
from framework.settings.structs import Settings
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.client_loops import closed_afterwards
from tests.scripted_venue import class_path

pytestmark = pytest.mark.socket

CANDLES = 500
FAST, SLOW = 5, 20
QUANTITY = Decimal("0.5")
SYMBOL = "DEMO"
Trades = list[tuple[int, str, Decimal, Decimal]]


def exits(close: Decimal) -> tuple[Decimal, Decimal]:
    """Return stop-loss and take-profit of an entry at a bar."""
    cent = Decimal("0.01")
    return (close * Decimal("0.998")).quantize(cent), (close * Decimal("1.003")).quantize(cent)


class Averages:
    """What both forms of the strategy decide by."""

    def __init__(self) -> None:
        self.closes: deque[Decimal] = deque(maxlen=SLOW)

    def update(self, close: Decimal) -> bool | None:
        """Return whether the fast average is above the slow one; None while it warms up."""
        self.closes.append(close)
        if len(self.closes) < SLOW:
            return None
        return sum(list(self.closes)[-FAST:]) * SLOW > sum(self.closes) * FAST


class Inside(Strategy):
    """The logic as a strategy of the framework."""

    def on_start(self) -> None:
        self.averages = Averages()
        self.watch_candles(f"sample:{SYMBOL}", "1m")

    def on_candle(self, candle: Candle) -> None:
        close = Decimal(repr(candle.close))
        is_up = self.averages.update(close)
        held = self.position(candle.instrument).quantity
        if is_up is None:
            return
        if held and not is_up:
            self.sell(candle.instrument, held, reduce_only=True)
        elif is_up and not held and not self.context.orders(candle.instrument):
            stop, target = exits(close)
            self.buy(candle.instrument, QUANTITY, stop_loss=stop, take_profit=target)


async def outside(url: str) -> None:
    """Be the logic as a program of its own."""
    averages = Averages()
    async with AsyncTradingGateway(url) as gateway, gateway.stream() as events:
        async for event in events:
            if isinstance(event, CandleEvent):
                close = Decimal(event.bar.close)
                is_up = averages.update(close)
                if is_up is None:
                    continue
                positions = await gateway.list_positions(symbol=SYMBOL)
                if positions and not is_up:
                    await gateway.close_position(positions[0].id)
                elif is_up and not positions and not await gateway.list_orders(symbol=SYMBOL):
                    stop, target = exits(close)
                    await gateway.submit_order(
                        SYMBOL, "buy", QUANTITY, stop_loss=stop, take_profit=target
                    )
            elif is_goodbye(event):
                return


def outside_in_a_thread(url: str) -> None:
    """Be the same with the synchronous client."""
    with closed_afterwards():
        follow(url)


def follow(url: str) -> None:
    """Follow the stream until the gateway says goodbye."""
    averages = Averages()
    with TradingGateway(url) as gateway, gateway.stream() as events:
        for event in events:
            if isinstance(event, CandleEvent):
                close = Decimal(event.bar.close)
                is_up = averages.update(close)
                if is_up is None:
                    continue
                positions = gateway.list_positions(symbol=SYMBOL)
                if positions and not is_up:
                    gateway.close_position(positions[0].id)
                elif is_up and not positions and not gateway.list_orders(symbol=SYMBOL):
                    stop, target = exits(close)
                    gateway.submit_order(
                        SYMBOL, "buy", QUANTITY, stop_loss=stop, take_profit=target
                    )
            elif is_goodbye(event):
                return


def is_goodbye(event: Any) -> bool:
    return isinstance(event, ConnectionEvent) and event.event is ConnectionEventType.DISCONNECTING


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from adapters.mock.sample import main as make_sample

    path = tmp_path_factory.mktemp("outside") / "candles.csv"
    make_sample([str(path), "--seed", "7", "--candles", str(CANDLES)])
    return path


def settings(candles: Path, *, is_outside: bool) -> Settings:
    chosen: dict[str, Any] = {
        "mode": "backtest",
        "seed": 3,
        "venues": {
            "sample": {
                "adapter": "replay",
                "source": {
                    "files": str(candles),
                    "instrument": SYMBOL,
                    "stamp": "open",
                    "interval": "1m",
                },
                "instruments": [{"symbol": SYMBOL, "tick": "0.01", "lot": "0.001"}],
                "costs": {"fees_bps": "5", "slippage_bps": "1"},
            }
        },
        "accounts": {"main": {"venue": "sample", "currency": "USD", "balances": {"USD": 100_000}}},
        "logging": {"level": "error"},
    }
    if is_outside:
        patient = {"provider": "sample", "ack_timeout_s": 60}  # however busy the machine is
        door = {"door": "tektii", "accounts": ["main"], "settings": patient}
        chosen["server"] = [{"listen": "127.0.0.1:0", "doors": [door]}]
    else:
        run = {"id": "tektii", "class": class_path(Inside), "account": "main"}
        chosen["strategies"] = [run]
    return decode_section(chosen, Settings, key="")


def trades_of(fills: Sequence[Fill]) -> Trades:
    return [(fill.time_ns, fill.side.value, fill.quantity, fill.price) for fill in fills]


def trades_outside(candles: Path, *, is_sync: bool) -> Trades:
    clients: list[asyncio.Task[None]] = []

    def connect(addresses: list[str]) -> None:
        (url,) = addresses
        work = asyncio.to_thread(outside_in_a_thread, url) if is_sync else outside(url)
        clients.append(asyncio.ensure_future(work))

    async def main() -> Trades:
        _, artifacts = await play_recorded(settings(candles, is_outside=True), on_listening=connect)
        async with asyncio.timeout(60):
            await asyncio.gather(*clients)
        return trades_of(artifacts.fills)

    return asyncio.run(main())


@pytest.fixture(scope="module")
def trades_inside(candles: Path) -> Trades:
    chosen = settings(candles, is_outside=False)
    _, artifacts = run_simulated(partial(play_recorded, chosen), seed=chosen.seed)
    trades = trades_of(artifacts.fills)
    assert len(trades) > 20
    return trades


@pytest.mark.parametrize("is_sync", [False, True], ids=["async", "sync"])
def test_trades_are_those_of_the_run_inside(
    candles: Path, trades_inside: Trades, is_sync: bool
) -> None:
    assert trades_outside(candles, is_sync=is_sync) == trades_inside


def test_a_second_run_trades_the_same(candles: Path, trades_inside: Trades) -> None:
    assert trades_outside(candles, is_sync=False) == trades_inside
