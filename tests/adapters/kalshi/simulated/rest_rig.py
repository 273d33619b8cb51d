"""The venue's REST side on the simulated network, with raw clients that sign what they send."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.kalshi.simulated.auth import AuthMode, Gatekeeper
from adapters.kalshi.simulated.domain import DOLLAR_OF_MONEY, EventInfo, Market, SeriesInfo
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.exchange_settings import AccountSettings, ExchangeSettings
from adapters.kalshi.simulated.http import LARGEST_BODY, RestApi, RestSettings
from framework.clock.clock import LiveClock
from framework.net.connectors import open_connector
from framework.net.listening import listen
from framework.simulation.loop import run_simulated
from tests.broker.rig import simulated_loop

T = TypeVar("T")
START_NS = 1_770_000_000_000_000_000
START_S = START_NS // 1_000_000_000
PREFIX = "/trade-api/v2"
ADDRESS = ("venue", 8000)
KEY = rsa.generate_private_key(65_537, 2048)
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
KEYS = {"key-alice": (PEM, "alice"), "key-bob": (PEM, "bob")}
A, B = "KXRAIN-26FEB02-BOS", "KXRAIN-26FEB02-NYC"  # B trades in fractions and tenths of a cent


class Client:
    """Says what it likes, signed by a key of its own unless it has none."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        key_id: str,
        base_url: str,
        *,
        now_ms: Callable[[], int] = lambda: simulated_loop().now_ns // 1_000_000,
    ) -> None:
        self._session = session
        self._now_ms = now_ms
        self._key_id = key_id
        self._base_url = base_url

    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Any = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Send a request; return status and body."""
        url = self._base_url + path
        signed = self.signed(method, PREFIX + path) if self._key_id else {}
        async with self._session.request(
            method, url, params=query, data=data, headers=signed | (headers or {})
        ) as response:
            return response.status, await response.read()

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Send a request and return the answer's JSON; its status must be 2xx."""
        status, content = await self.answer(method, path, body, **query)
        assert status < 300, (status, content)
        return content

    async def answer(
        self, method: str, path: str, body: Any = None, **query: Any
    ) -> tuple[int, Any]:
        """Send a request; return status and JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        status, content = await self.raw(method, path, query=query, data=data, headers=headers)
        return status, json.loads(content)

    async def get(self, path: str, **query: Any) -> Any:
        """Read something that is there."""
        return await self.call("GET", path, **query)

    async def post(self, path: str, body: Any) -> Any:
        """Create something that may be created."""
        return await self.call("POST", path, body)

    async def refused(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Send what is refused; return status and code."""
        status, content = await self.answer(method, path, body, **query)
        assert status >= 400
        return status, content["error"]["code"]

    async def buy(self, price: str, count: str = "10", *, ticker: str = A, **more: Any) -> Any:
        """Submit a limit order for yes contracts of the first generation; return the order."""
        body = {"ticker": ticker, "side": "yes", "action": "buy", "count_fp": count}
        answer = await self.post("/portfolio/orders", body | {"yes_price_dollars": price, **more})
        return answer["order"]

    async def buy_no(self, price: str, count: str) -> Any:
        """Submit a limit order for no contracts of market A; return the order."""
        body = {"ticker": A, "side": "no", "action": "buy", "count_fp": count}
        return (await self.post("/portfolio/orders", body | {"no_price_dollars": price}))["order"]

    def signed(self, method: str, path: str) -> dict[str, str]:
        """Return the headers that sign a request of this moment."""
        return self.signature(method, path, self._now_ms())

    def signature(self, method: str, path: str, time_ms: int) -> dict[str, str]:
        """Return the headers that sign a request."""
        scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        text = f"{time_ms}{method}{path}".encode()
        signature = base64.b64encode(KEY.sign(text, scheme, hashes.SHA256())).decode()
        return {
            "KALSHI-ACCESS-KEY": self._key_id,
            "KALSHI-ACCESS-TIMESTAMP": str(time_ms),
            "KALSHI-ACCESS-SIGNATURE": signature,
        }


class Desk:
    """A venue's REST side, two members, and somebody without a key."""

    def __init__(self, exchange: Exchange, api: RestApi, session: aiohttp.ClientSession) -> None:
        url = "http://{}:{}".format(*ADDRESS) + PREFIX
        self.exchange = exchange
        self.api = api
        self.alice = Client(session, "key-alice", url)
        self.bob = Client(session, "key-bob", url)
        self.nobody = Client(session, "", url)


def market(ticker: str, **more: Any) -> Market:
    """Return a market that is about to open."""
    return Market(
        ticker=ticker,
        event_ticker="KXRAIN-26FEB02",
        title="Rain?",
        open_ns=START_NS,
        close_ns=START_NS + 86_400 * 10**9,
        latest_expiration_ns=START_NS + 2 * 86_400 * 10**9,
        **more,
    )


def exchange_settings(**more: Any) -> ExchangeSettings:
    """Return two members and two markets."""
    b_grid = {"fractional_trading_enabled": True, "price_level_structure": "deci_cent"}
    return ExchangeSettings(
        accounts=tuple(
            AccountSettings(name=name, cash=1_000 * DOLLAR_OF_MONEY) for name in ("alice", "bob")
        ),
        series=(SeriesInfo(ticker="KXRAIN", title="Rain", category="Weather"),),
        events=(EventInfo(event_ticker="KXRAIN-26FEB02", series_ticker="KXRAIN", title="Rain?"),),
        markets=(market(A), market(B, **b_grid)),
        **more,
    )


@asynccontextmanager
async def desk(
    settings: RestSettings = RestSettings(),  # noqa: B008 -- it is frozen
    *,
    auth: AuthMode = AuthMode.REQUIRE,
    exchange: ExchangeSettings | None = None,
) -> AsyncIterator[Desk]:
    """Serve a venue's REST side with both markets open."""
    clock = started_clock()
    traded = Exchange(clock, Random(7), exchange or exchange_settings())
    for known in traded.data.markets():
        if known.status != "active":
            traded.lifecycle.activate(known.ticker)
    api = RestApi(traded, Gatekeeper(KEYS, mode=auth), clock, settings)
    app = web.Application(client_max_size=LARGEST_BODY)
    api.add_to(app)
    listener = await listen(app, *ADDRESS)
    async with aiohttp.ClientSession(connector=open_connector()) as session:
        yield Desk(traded, api, session)
    await listener.aclose()
    clock.stop()


def started_clock() -> LiveClock:
    """Return market time that is the simulated loop's, and fires its timers there."""
    loop = simulated_loop()
    clock = LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
    clock.start()
    return clock


def play(main: Callable[[], Awaitable[T]]) -> T:
    """Run on a simulated loop whose clock stands at a date of our days."""
    return run_simulated(main, seed=1, start_ns=START_NS)
