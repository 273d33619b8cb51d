"""A broker on the simulated network, with a raw client or the adapter's broker in front of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from random import Random
from typing import Any, TypeVar, cast

import aiohttp

from framework.clock.clock import LoopClock
from framework.interfaces import Clock, MarketView
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.orders import OrderIntent, OrderType, Side
from framework.net.connectors import open_connector
from framework.settings.secrets import Secret
from framework.simulation.loop import SimulatedLoop, run_simulated
from tests.broker import protocol as wire
from tests.broker.__main__ import opened_books
from tests.broker.adapter import WireBroker, WireSettings
from tests.broker.script import CALM, Script
from tests.broker.server import Server

T = TypeVar("T")
ADDRESS = ("broker", 7000)
START_NS = 1_700_000_000_000_000_000
BTC = "x:BTC"


def simulated_loop() -> SimulatedLoop:
    """Return the running loop, which is a simulated one."""
    return cast(SimulatedLoop, asyncio.get_running_loop())


async def started_server(script: Script = CALM, *, seed: int = 0, tick_ms: float = 0) -> Server:
    """Return a broker that listens on the simulated network."""
    loop = simulated_loop()
    server = Server(
        opened_books(Decimal(1_000_000)),
        random=Random(seed),
        now_ns=lambda: loop.now_ns,
        script=script,
        tick_ms=tick_ms,
    )
    await server.start(*ADDRESS)
    return server


class RawClient:
    """Says what it likes, and keeps everything that it hears but heartbeats."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard: list[wire.Message] = []
        self.is_over = False
        self._writer = writer
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))

    def say(self, *requests: wire.Request | bytes) -> None:
        """Send requests, or raw bytes."""
        for request in requests:
            self._writer.write(request if isinstance(request, bytes) else wire.encode(request))

    def take(self) -> list[wire.Message]:
        """Return what was heard since the last call."""
        heard, self.heard = self.heard, []
        return heard

    async def leave(self) -> None:
        """Close the connection."""
        self._writer.close()
        self._reading.cancel()
        await asyncio.wait([self._reading])

    async def _read(self, reader: asyncio.StreamReader) -> None:
        lines = wire.Lines()
        try:
            while data := await reader.read(65_536):
                messages = [wire.decode_message(line) for line in lines.feed(data)]
                self.heard += [m for m in messages if not isinstance(m, wire.Heartbeat)]
        except ConnectionResetError:
            pass
        self.is_over = True


async def raw_client(*, account: str = "main", symbols: tuple[str, ...] = ()) -> RawClient:
    """Connect and log in."""
    client = RawClient(*await asyncio.open_connection(*ADDRESS))
    client.say(wire.Login(0, account, symbols))
    await asyncio.sleep(0.001)
    return client


class RigContext:
    """What an adapter is given; `events` is what it published."""

    venue = "x"

    def __init__(self, loop: SimulatedLoop) -> None:
        self.clock: Clock = LoopClock(loop)
        self.market: MarketView = cast(MarketView, None)
        self.events: list[Any] = []
        self.random_for = loop.random_for

    def publish(self, event: Any) -> None:
        """Keep the event."""
        self.events.append(event)

    async def blocking(self, function: Callable[[], T]) -> T:
        """Call it."""
        return function()

    def connector(self) -> aiohttp.BaseConnector:
        """Return one of the simulated network."""
        return open_connector()

    def secret(self, reference: str) -> Secret:
        """Return the text itself."""
        return Secret(reference)

    def take(self, *kinds: type) -> list[Any]:
        """Return the events of these types since the last call, and forget all."""
        events, self.events = self.events, []
        return [event for event in events if isinstance(event, kinds)]


@asynccontextmanager
async def wire_broker(**settings: Any) -> AsyncIterator[tuple[WireBroker, RigContext]]:
    """Run the adapter's broker; let it log in first."""
    context = RigContext(simulated_loop())
    broker = WireBroker(WireSettings(account="main", **settings), context)
    running = asyncio.get_running_loop().create_task(broker.run())
    await asyncio.sleep(0.01)
    try:
        yield broker, context
    finally:
        running.cancel()
        await asyncio.wait([running])


def play(main: Callable[[], Awaitable[T]], *, seed: int = 0) -> T:
    """Run on a simulated loop whose clock stands at a date of our days."""
    return run_simulated(main, seed=seed, start_ns=START_NS)


def submit(name: str, quantity: str = "1", *, price: str | None = None) -> SubmitOrder:
    """Return a command to buy."""
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    limit = None if price is None else Decimal(price)
    intent = OrderIntent("run", name, BTC, Side.BUY, Decimal(quantity), kind, limit)
    return SubmitOrder(name, "main", intent, Decimal(quantity), START_NS)


def cancel(name: str) -> CancelOrder:
    """Return a command to take an order back."""
    return CancelOrder(name, "main", BTC, START_NS)


def modify(name: str, revision: int, **changes: Decimal) -> ModifyOrder:
    """Return a command to change an order."""
    return ModifyOrder(name, "main", BTC, revision, START_NS, **changes)
