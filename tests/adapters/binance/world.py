"""A simulated venue and an adapter on it, on virtual time; what was published is kept."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar, cast

from adapters.binance import build
from adapters.binance.broker import BinanceBroker
from adapters.binance.feed import BinanceFeed
from adapters.binance.simulated.rig import ADDRESS, BinanceRig
from adapters.binance.simulated.whole import BinanceVenue
from framework.clock.clock import LiveClock
from framework.interfaces import AdapterContext
from framework.model.commands import CancelOrder, SubmitOrder
from framework.model.orders import OrderIntent, OrderType, Side
from framework.simulation.loop import SimulatedLoop, run_simulated
from tests.broker.rig import RigContext

T = TypeVar("T")
START_NS = 1_780_000_000_000_000_000
BTC, ETH = "x:BTCUSDT", "x:ETHUSDT"
PLACE = f"{ADDRESS[0]}:{ADDRESS[1]}"


class World:
    """The venue, its adapter, and the seams between them."""

    def __init__(self, rig: BinanceRig, section: dict[str, Any], loop: SimulatedLoop) -> None:
        self.rig = rig
        self.section = section
        self.venue: BinanceVenue = rig.binance
        self.loop = loop
        self.context = RigContext(loop)
        self.clock = LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
        self.context.clock = self.clock
        self.clock.start()
        adapter = build(section, cast(AdapterContext, self.context))
        assert isinstance(adapter.feed, BinanceFeed)
        assert isinstance(adapter.broker, BinanceBroker)
        assert adapter.close is not None
        self.feed, self.broker, self._close = adapter.feed, adapter.broker, adapter.close
        self._running: list[asyncio.Task[None]] = []

    def run(self, *parts: BinanceFeed | BinanceBroker) -> None:
        """Let these parts run until the end."""
        self._running += [self.loop.create_task(part.run()) for part in parts]

    async def pass_time(self, seconds: float) -> None:
        """Let virtual time pass."""
        await self.loop.sleep_until(self.loop.now_ns + round(seconds * 1e9))

    async def until(self, condition: Callable[[], object], *, within_s: float = 30.0) -> float:
        """Wait for a condition; return the seconds it took."""
        began_ns = self.loop.now_ns
        while not condition():
            waited_s = (self.loop.now_ns - began_ns) / 1e9
            assert waited_s <= within_s, "it did not come true"
            await self.pass_time(0.005)
        return (self.loop.now_ns - began_ns) / 1e9

    def heard(self, kind: type[T]) -> list[T]:
        """Return every event of a type so far."""
        return [event for event in self.context.events if isinstance(event, kind)]

    def restarted(self) -> "World":
        """Return a new adapter on the same venue, which remembers nothing; to be closed."""
        return World(self.rig, self.section, self.loop)

    async def aclose(self) -> None:
        """Stop the adapter."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        await self._close()
        self.clock.stop()
        for task in self._running:
            if not task.cancelled():
                task.result()


@asynccontextmanager
async def world(
    *, seed: int = 7, venue: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[World]:
    """Start a venue and build an adapter on it, which does not run yet."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    rig = BinanceRig(seed, **(venue or {}))
    section: dict[str, Any] = dict(await rig.start())
    section["settings"] = {**section["settings"], **settings}
    one = World(rig, section, loop)
    try:
        yield one
    finally:
        await one.aclose()
        await rig.aclose()


def play(main: Callable[[], Awaitable[T]], *, seed: int = 7) -> T:
    """Run on a simulated loop at a date of our days; a day of virtual time is the limit."""
    return run_simulated(main, seed=seed, start_ns=START_NS, limit_ns=START_NS + 26 * 3_600 * 10**9)


def order(
    order_id: str,
    price: str | None = "50000",
    *,
    side: Side = Side.BUY,
    quantity: str = "0.002",
    **intent: Any,
) -> SubmitOrder:
    """Return a command for BTC: a limit order, or with no price a market order."""
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    limit = None if price is None else Decimal(price)
    terms = {"type": kind, "price": limit, **intent}
    wish = OrderIntent("run", order_id, BTC, side, Decimal(quantity), **terms)
    return SubmitOrder(order_id, "main", wish, Decimal(quantity), START_NS)


def cancel(order_id: str) -> CancelOrder:
    """Return a command to take an order back."""
    return CancelOrder(order_id, "main", BTC, START_NS)
