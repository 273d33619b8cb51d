"""A whole gateway on a loopback socket, and the public client in both of its forms.

The gateway runs in a thread with a loop of its own. Tests call both clients in the same blocking
way: the synchronous one is itself, of the asynchronous one every call runs on the test's own loop.

Symbols `Q000`, `Q001`... stand still at 100 (99.99 bid, 100.01 asked) until a test moves them; all
others walk as the mock's do, only faster.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar, cast

import pytest
from msgspec.structs import replace
from tektii import AsyncTradingGateway, TradingGateway

from framework.model.market_data import Quote, Trade
from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.settings.structs import Settings
from tests.adapters.tektii.client_loops import closed_afterwards
from tests.source_code import ROOT

D = Decimal
DEADLINE_S = 60.0  # only what is broken takes so long, however busy the machine is
STEP_MS = 50  # of the market; the shipped configuration's is ten times as long
PART_MS = 200  # until the second part of an order trades, where it has two
SYMBOLS = 200
START_PRICE = 100
BALANCE = "1000000"
FORMS = ("sync", "async")
T = TypeVar("T")
Fixture = Any  # what pytest makes of a function, whose type is its own affair


def gateway_settings(
    *, key: str = "", port: int = 0, limits: dict[str, Any] | None = None, **changed: str
) -> Settings:
    """Return the shipped configuration on a free port with a faster market and still symbols.

    `changed` are variables of the environment; `key` is the secret itself.
    """
    variables = {"GATEWAY_PORT": str(port), "MOCK_INITIAL_BALANCE": BALANCE, **changed}
    chosen = load(ROOT / "config" / "tektii_gateway.yaml", environment=variables)
    venue = chosen.venues["mock"]
    still = [
        {"symbol": f"Q{number:03}", "start_price": START_PRICE, "volatility": 0}
        for number in range(SYMBOLS)
    ]
    market = {**(venue.settings or {}), "interval_ms": STEP_MS, "instruments": still}
    (listener,) = chosen.server
    (door,) = listener.doors
    if key:
        door = replace(door, tokens=[replace(door.tokens[0], secret=key)])
    listener = replace(listener, doors=[door], limits=replace(listener.limits, **(limits or {})))
    fills = {**cast(dict[str, Any], venue.fills), "partial_after_ms": PART_MS}
    venue = replace(venue, settings=market, fills=fills)
    return replace(chosen, venues={"mock": venue}, server=[listener])


class RunningGateway:
    """A gateway in a thread of its own.

    Attributes:
        url: where it listens.
        runtime: the system; only to be touched by `call` and `run`.
    """

    def __init__(self, settings: Settings) -> None:
        self.url = ""
        self.runtime: Runtime = cast(Runtime, None)
        self._settings = settings
        self._symbols = count()
        self._loop: asyncio.AbstractEventLoop = cast(asyncio.AbstractEventLoop, None)
        self._end: asyncio.Event = cast(asyncio.Event, None)
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._main, name="gateway", daemon=True)

    def __enter__(self) -> "RunningGateway":
        self._thread.start()
        self._started.result(DEADLINE_S)
        return self

    def __exit__(self, *args: object) -> None:
        self.begin_to_stop() if self._thread.is_alive() else None
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def begin_to_stop(self) -> None:
        """Close the front doors, and do not wait for it."""
        self._loop.call_soon_threadsafe(self._end.set)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def run(self, work: Awaitable[T]) -> T:
        """Return what a coroutine returns on the gateway's loop."""

        async def wait() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(DEADLINE_S)

    def call(self, function: Callable[[], T]) -> T:
        """Return what a function returns on the gateway's loop."""

        async def wait() -> T:
            return function()

        return self.run(wait())

    def publish(self, *events: Any) -> None:
        """Have the core hear of something, as a venue's adapter would."""
        bus = self.runtime.engine.bus

        def publish() -> None:
            for event in events:
                bus.publish(event)

        self.call(publish)

    @property
    def now_ns(self) -> int:
        """Market time."""
        return self.call(lambda: self.runtime.engine.clock.now_ns)

    def still_symbol(self) -> str:
        """Return a symbol that no test has used, which stands at 100."""
        return f"Q{next(self._symbols):03}"

    def move(self, symbol: str, price: float) -> None:
        """Let a still symbol trade at a price; while it is watched the next step takes it back.

        What the price sets off has been decided when this returns, and may still be on its way.
        """
        name, engine = f"mock:{symbol}", self.runtime.engine

        def trade() -> None:
            now_ns = engine.clock.now_ns  # none of the market's steps gets between
            quote = Quote(name, now_ns, now_ns, price - 0.01, price + 0.01, 100.0, 100.0)
            engine.bus.publish(quote)
            engine.bus.publish(Trade(name, now_ns, now_ns, price, 1.0))

        self.call(trade)

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if not self._started.done():
                self._started.set_exception(error)
            raise

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with Runtime(self._settings) as runtime:
            self.runtime = runtime
            (self.url,) = runtime.addresses
            self._started.set_result(None)
            await self._end.wait()


class BlockingClient:
    """The asynchronous client, each of whose calls runs on a loop until it is done."""

    def __init__(self, client: AsyncTradingGateway, runner: asyncio.Runner) -> None:
        self.client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            return self._runner.run(found(*arguments, **options))

        return call


@contextmanager
def a_client(url: str, form: str, **options: Any) -> Iterator[TradingGateway]:
    """Open the public client in one of its forms; calls block in both."""
    if form == "sync":
        with closed_afterwards(), TradingGateway(url, **options) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        inner = AsyncTradingGateway(url, **options)
        try:
            yield cast(TradingGateway, BlockingClient(inner, runner))
        finally:
            runner.run(inner.close())


# -- fixtures, made for the module that calls for them --------------------------------------------


def gateway_fixture(**options: Any) -> Fixture:
    """Return a fixture: one gateway for a whole module."""

    @pytest.fixture(scope="module")
    def gateway() -> Iterator[RunningGateway]:
        with RunningGateway(gateway_settings(**options)) as running:
            yield running

    return gateway


def client_fixture(*forms: str, **options: Any) -> Fixture:
    """Return a fixture: a client of each form; nothing is left working or held after a test."""

    @pytest.fixture(scope="module", params=forms or FORMS)
    def client(request: pytest.FixtureRequest, gateway: RunningGateway) -> Iterator[TradingGateway]:
        with a_client(gateway.url, request.param, **options) as opened:
            yield opened

    return client


def tidy_fixture() -> Fixture:
    """Return a fixture that has nothing work or be held after each test."""

    @pytest.fixture(autouse=True)
    def tidy(client: TradingGateway) -> Iterator[None]:
        yield
        client.cancel_all_orders()
        client.close_all_positions()
        eventually(client.list_positions, lambda found: not found)

    return tidy


def symbol_fixture() -> Fixture:
    """Return a fixture: a still symbol of the test's own."""

    @pytest.fixture
    def symbol(gateway: RunningGateway) -> str:
        return gateway.still_symbol()

    return symbol


# -- ports ----------------------------------------------------------------------------------------

FIRST_PORT, PORTS = 12_000, 10_000  # below those that the system gives away by itself


def lasting_port() -> int:
    """Return a free port that nobody is given by chance while nobody listens at it."""
    for number in range(PORTS):
        port = FIRST_PORT + (os.getpid() * 7 + number) % PORTS  # elsewhere in each process
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@contextmanager
def deserted_port() -> Iterator[int]:
    """Hold a port at which nobody listens, nor can anybody begin to."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


# -- waiting --------------------------------------------------------------------------------------


def eventually(read: Callable[[], T], is_so: Callable[[T], bool] = bool) -> T:
    """Read again and again until it is so, within a deadline; return what was read."""
    end_s = time.monotonic() + DEADLINE_S
    while True:
        found = read()
        if is_so(found):
            return found
        assert time.monotonic() < end_s, found
        time.sleep(0.01)


def is_filled(order: Any) -> bool:
    """Tell whether an order that was read has traded in full."""
    return bool(order.status.value == "FILLED")
