"""A simulated venue and an adapter on it, on virtual time; what was published is kept."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from random import Random
from typing import Any, TypeVar, cast

import msgspec

from adapters.kalshi import build
from adapters.kalshi.broker import KalshiBroker
from adapters.kalshi.feed import KalshiFeed
from adapters.kalshi.simulated.activity import BACKGROUND_ACCOUNTS, TAKER, ActivitySettings
from adapters.kalshi.simulated.demo import demo_settings
from adapters.kalshi.simulated.domain import CONTRACT, DOLLAR, NewOrder, Order
from adapters.kalshi.simulated.rig import KEY_ID, rig_key
from adapters.kalshi.venue import KalshiVenue, KeySettings, VenueSettings
from framework.clock.clock import LiveClock
from framework.interfaces import AdapterContext
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.identity import instrument_id
from framework.model.orders import OrderIntent, OrderType, Side
from framework.simulation.loop import SimulatedLoop, run_simulated
from tests.broker.rig import RigContext

T = TypeVar("T")
START_NS = 1_780_000_020_000_000_000  # a whole minute
MINUTE_NS = 60_000_000_000
ADDRESS = ("kalshi", 8080)
CENT = DOLLAR // 100
TICKERS = tuple(market.ticker for market in demo_settings(START_NS, market_count=7).markets)
RAIN, SNOW = TICKERS[0], TICKERS[6]  # prices in cents; and in tenths near the ends
NAMES = tuple(instrument_id("x", ticker) for ticker in TICKERS)
X_RAIN, X_SNOW = NAMES[0], NAMES[6]
BUSY = ActivitySettings(steps_per_s=1.0, news_s=None)


class World:
    """The venue, its adapter, and the seams between them."""

    def __init__(self, venue: KalshiVenue, section: dict[str, Any], loop: SimulatedLoop) -> None:
        self.venue = venue
        self.section = section
        self.loop = loop
        self.context = RigContext(loop)
        self.clock = LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
        self.context.clock = self.clock
        self.clock.start()
        adapter = build(section, cast(AdapterContext, self.context))
        assert isinstance(adapter.feed, KalshiFeed)
        assert isinstance(adapter.broker, KalshiBroker)
        assert adapter.close is not None
        self.feed, self.broker, self._close = adapter.feed, adapter.broker, adapter.close
        self._running: list[asyncio.Task[None]] = []

    def run(self, *parts: KalshiFeed | KalshiBroker) -> None:
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

    def told(self, order_id: str, kind: type[T]) -> list[T]:
        """Return the facts of a type about an order."""
        return [fact for fact in self.heard(kind) if fact.order_id == order_id]  # type: ignore[attr-defined] # facts have one

    def commands(self, cmd: str, *, action: str = "") -> list[dict[str, Any]]:
        """Return the parameters of the commands that the venue heard."""
        heard = [command.params or {} for command in self.venue.control.commands(cmd=cmd)]
        return [params for params in heard if action in ("", params.get("action"))]

    def rest(self, is_bid: bool, price: int, contracts: int = 10, **terms: Any) -> Order:
        """Have somebody else give an order for the first market; `price` in cents."""
        order = NewOrder(
            ticker=RAIN,
            side="yes" if is_bid else "no",
            action="buy",
            price=price * CENT,
            count=contracts * CONTRACT,
        )
        return self.venue.exchange.orders.submit(TAKER, msgspec.structs.replace(order, **terms))

    def restarted(self) -> "World":
        """Return a new adapter on the same venue, which remembers nothing; to be closed."""
        return World(self.venue, self.section, self.loop)

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
    *,
    activity: ActivitySettings | None = None,
    venue: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """Start a venue, quiet unless told otherwise, and build an adapter, which does not run yet."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    clock = LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
    clock.start()
    public_key, private_key = rig_key()
    kalshi = KalshiVenue(
        VenueSettings(
            keys=(KeySettings(key_id=KEY_ID, public_key=public_key, account="main"),),
            exchange=demo_settings(clock.now_ns, market_count=7, accounts=BACKGROUND_ACCOUNTS),
            activity=activity,
            **(venue or {}),
        ),
        clock,
        Random(7),
    )
    await kalshi.start(*ADDRESS)
    connection = {
        "account": "main",
        "markets": list(TICKERS),
        "rest_url": kalshi.rest_url,
        "stream_url": kalshi.ws_url,
        "key_id": KEY_ID,
        "private_key": private_key,
    }
    one = World(kalshi, {"settings": connection | settings}, loop)
    try:
        yield one
    finally:
        await one.aclose()
        await kalshi.aclose()
        clock.stop()


def play(main: Callable[[], Awaitable[T]], *, seed: int = 7) -> T:
    """Run on a simulated loop at a date of our days; a day of virtual time is the limit."""
    return run_simulated(main, seed=seed, start_ns=START_NS, limit_ns=START_NS + 26 * 3_600 * 10**9)


def order(
    order_id: str,
    price: str | None = "0.40",
    *,
    side: Side = Side.BUY,
    quantity: str = "10",
    reduce_only: bool = False,
    instrument: str = X_RAIN,
    **intent: Any,
) -> SubmitOrder:
    """Return a command for the first market: a limit order, or with no price a market order."""
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    limit = None if price is None else Decimal(price)
    terms = {"type": kind, "price": limit, "reduce_only": reduce_only, **intent}
    wish = OrderIntent("run", order_id, instrument, side, Decimal(quantity), **terms)
    return SubmitOrder(order_id, "main", wish, Decimal(quantity), START_NS, reduce_only)


def cancel(order_id: str) -> CancelOrder:
    """Return a command to take an order back."""
    return CancelOrder(order_id, "main", X_RAIN, START_NS)


def modify(order_id: str, revision: int, **changes: Decimal) -> ModifyOrder:
    """Return a command to change `price` or `quantity`."""
    return ModifyOrder(order_id, "main", X_RAIN, revision, START_NS, **changes)
