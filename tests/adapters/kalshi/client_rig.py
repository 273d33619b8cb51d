"""A client in front of simulated streams whose exchange a test turns by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.kalshi import messages
from adapters.kalshi.client import KalshiClient
from adapters.kalshi.client_settings import ClientSettings
from adapters.kalshi.message_stream import MessageStream
from adapters.kalshi.reports import Report, Trouble
from adapters.kalshi.settings import SILENCE_S
from adapters.kalshi.simulated.auth import AuthMode, Gatekeeper
from adapters.kalshi.simulated.control import Control
from adapters.kalshi.simulated.domain import Side
from adapters.kalshi.simulated.faults import AnyFault, Inject
from adapters.kalshi.simulated.stream_settings import StreamSettings
from adapters.kalshi.simulated.streams import PATH, StreamServer
from framework.model.events import ConnectionState
from framework.net.link_options import LinkOptions
from framework.net.listening import listen
from framework.simulation.loop import run_simulated
from tests.adapters.kalshi.frames import CURRENT, sample, spell
from tests.adapters.kalshi.simulated.rest_rig import KEY, KEYS
from tests.adapters.kalshi.simulated.stream_rig import BOS, START_NS, HandExchange
from tests.adapters.kalshi.simulated.test_streams_network import LoopTime
from tests.broker.rig import simulated_loop

T = TypeVar("T")
ADDRESS = ("kalshi", 8000)
REST_URL = "http://{}:{}/trade-api/v2".format(*ADDRESS)
STREAM_URL = "ws://{}:{}".format(*ADDRESS) + PATH
PRIVATE_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
QUICK = LinkOptions(retries_first_connect=False, base_s=0.1, silence_s=SILENCE_S)
"""How quickly the tests' clients reconnect."""

FRAMES: dict[str, list[str]] = {
    "ticker": ["ticker"],
    "trade": ["trade"],
    "market_lifecycle_v2": ["market_lifecycle_v2", "event_lifecycle", "event_fee_update"],
    "multivariate": ["multivariate_lookup"],
    "multivariate_market_lifecycle": ["multivariate_market_lifecycle", "event_lifecycle"],
    "fill": ["fill"],
    "user_orders": ["user_order"],
    "market_positions": ["market_position"],
    "order_group_updates": ["order_group_updates"],
    "communications": [
        "rfq_created",
        "rfq_deleted",
        "quote_created",
        "quote_accepted",
        "quote_executed",
    ],
}
"""The types of frames of each channel but the order books."""

NUMBERED = {  # the field that tells one frame of a type from another
    "ticker": "market_ticker",
    "trade": "trade_id",
    "market_lifecycle_v2": "result",
    "event_lifecycle": "title",
    "event_fee_update": "fee_type_override",
    "multivariate_lookup": "collection_ticker",
    "multivariate_market_lifecycle": "result",
    "fill": "trade_id",
    "user_order": "order_id",
    "market_position": "user_id",
    "order_group_updates": "order_group_id",
    "rfq_created": "id",
    "rfq_deleted": "id",
    "quote_created": "quote_id",
    "quote_accepted": "quote_id",
    "quote_executed": "quote_id",
}


class Bench:
    """Streams that are served, and what the clients' hooks heard."""

    def __init__(self, exchange: HandExchange, server: StreamServer) -> None:
        self.exchange = exchange
        self.server = server
        self.control: Control = server.control
        self.moves: list[tuple[ConnectionState, ConnectionState]] = []
        self.reports: list[Report] = []
        self._number = 0

    def client(self, settings: ClientSettings | None = None, **more: Any) -> KalshiClient:
        """Return a client of these streams."""
        return KalshiClient(
            rest_url=REST_URL,
            stream_url=STREAM_URL,
            settings=settings or ClientSettings(link=QUICK),
            **{"on_state_change": self._on_state_change, "on_error": self._on_error, **more},
        )

    def say(self, channel: str, kind: str = "", count: int = 1) -> None:
        """Send frames of a type to whoever is subscribed to a channel."""
        kind = kind or FRAMES[channel][0]
        for _ in range(count):
            self._number += 1
            content = {**sample(kind), NUMBERED[kind]: f"n{self._number}"}
            body = msgspec.json.encode(spell(kind, content, CURRENT))
            for session in list(self.server.hub.sessions.values()):
                for subscription in session.subscriptions.values():
                    if subscription.channel.name == channel:
                        session.deliver(subscription, kind, body)

    def change(self, market: str = BOS, *, side: Side = "yes", price: int = 4_000) -> None:
        """Add a contract to a level."""
        self.exchange.change(market, side, price, 100)

    def inject(self, fault: AnyFault | str) -> None:
        """Let a fault happen, or send a text frame."""
        self.control.inject(Inject(text=fault) if isinstance(fault, str) else fault)

    def commands(self, cmd: str) -> list[dict[str, Any]]:
        """Return the parameters of the commands of one kind, or one action, so far."""
        asked = [(one.cmd, one.params or {}) for one in self.control.commands()]
        return [params for name, params in asked if cmd in (name, params.get("action"))]

    def troubles(self) -> list[Trouble]:
        """Return what was reported."""
        return [report.trouble for report in self.reports]

    async def _on_state_change(self, old: ConnectionState, new: ConnectionState) -> None:
        self.moves.append((old, new))

    async def _on_error(self, report: Report) -> None:
        self.reports.append(report)


@asynccontextmanager
async def bench(
    *, mode: AuthMode = AuthMode.OFF, keys: dict[str, tuple[bytes, str]] = KEYS, **settings: Any
) -> AsyncIterator[Bench]:
    """Serve streams."""
    clock = LoopTime(simulated_loop())
    exchange = HandExchange(clock)
    gatekeeper = Gatekeeper(keys, mode=mode)
    server = StreamServer(exchange, clock, Random(1), StreamSettings(**settings), gatekeeper)
    app = web.Application()
    app.router.add_get(PATH, server.handle)
    listener = await listen(app, *ADDRESS)
    try:
        yield Bench(exchange, server)
    finally:
        await server.aclose()
        await listener.aclose()


def simulated(scene: Callable[[Bench], Awaitable[None]], **settings: Any) -> None:
    """Play a scene in front of streams; no task may be left at its end."""

    async def main() -> None:
        async with bench(**settings) as made:
            await scene(made)
        await a_while()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_simulated(main, start_ns=START_NS)


async def a_while(seconds: float = 0.05) -> None:
    """Let simulated time pass."""
    await asyncio.sleep(seconds)


async def heard(stream: MessageStream[T], seconds: float = 0.05) -> list[T]:
    """Return what comes on a stream within a time; what it raises is raised."""
    found: list[T] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for message in stream:
                found.append(message)  # noqa: PERF401 -- what came is kept when time is up
    return found


async def rest_of(stream: MessageStream[T]) -> list[T]:
    """Return what is left of a stream that ends."""
    async with asyncio.timeout(60):
        return [message async for message in stream]


NAMES: dict[type, str] = {
    messages.MarketLifecycle: "result",
    messages.EventLifecycle: "title",
    messages.EventFeeUpdate: "fee_type_override",
    messages.MultivariateLookup: "collection_ticker",
    messages.Ticker: "market_ticker",
    messages.UserOrder: "order_id",
    messages.MarketPosition: "user_id",
    messages.OrderGroupUpdate: "order_group_id",
}


def name_of(message: Any) -> str:
    """Return what tells a message from others of its kind."""
    field = NAMES.get(type(message))
    if field is None:
        field = next(name for name in ("trade_id", "quote_id", "id") if hasattr(message, name))
    name = getattr(message, field)
    assert isinstance(name, str)
    return name
