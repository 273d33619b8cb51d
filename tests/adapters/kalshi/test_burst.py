"""The adapter over real sockets against `headrace venue kalshi`, in a storm of level changes."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.kalshi import build
from framework.bus.bus import Bus
from framework.clock.clock import LiveClock
from framework.engine.books import Books
from framework.interfaces import AdapterContext, MarketView
from framework.model.events import ConnectionChanged, GapDetected
from framework.model.instrument import Instrument
from framework.model.market_data import BookDelta, BookSnapshot
from framework.net.connectors import open_connector
from framework.settings.secrets import Secret
from tests.adapters.kalshi.simulated.rest_rig import KEY, PEM
from tests.adapters.kalshi.test_venue_command import running

T = TypeVar("T")
MARKETS = 50
LIMIT_S = 90.0
PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class LiveContext:
    """What an adapter is given on a real loop, with the core's books behind it."""

    venue = "kalshi"

    def __init__(self) -> None:
        self.clock = LiveClock()
        self.market = cast(MarketView, None)
        self.bus = Bus(self.clock)
        self.instruments: dict[str, Instrument] = {}
        self.books = Books(self.bus, self.instruments, self.clock)
        self.gap_count = self.delta_count = 0
        self.bus.set_step(BookSnapshot, self.books.on_snapshot)
        self.bus.set_step(BookDelta, self.books.on_delta)
        self.bus.set_step(GapDetected, self.books.on_gap)
        self.bus.set_step(ConnectionChanged, self.books.on_connection)

    def publish(self, event: Any) -> None:
        """Let the core's books have it."""
        self.gap_count += isinstance(event, GapDetected)
        self.delta_count += isinstance(event, BookDelta)
        if isinstance(event, BookSnapshot | BookDelta | GapDetected | ConnectionChanged):
            self.bus.publish(event)

    def random_for(self, name: str) -> Random:
        return Random(name)

    async def blocking(self, function: Callable[[], T]) -> T:
        return await asyncio.to_thread(function)

    def connector(self) -> aiohttp.BaseConnector:
        return open_connector()

    def secret(self, reference: str) -> Secret:
        return Secret(reference)


async def until(condition: Callable[[], object], what: str) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not in {LIMIT_S:g} s: {what}"
        await asyncio.sleep(0.02)


async def storm(place: dict[str, Any], transport: str, deltas: int) -> LiveContext:
    """Subscribe to every book, let the storm come, and compare with the venue's truth."""
    context = LiveContext()
    context.clock.start()
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{place['rest']}/markets?limit=1000") as answer:
            tickers = [market["ticker"] for market in (await answer.json())["markets"]]
        assert len(tickers) >= MARKETS  # the venue opens some more by itself
        settings = {
            "key_id": "k1",
            "private_key": PRIVATE,
            "rest_url": place["rest"],
            "stream_url": place["ws"],
            "markets": tickers,
            "transport": transport,
        }
        adapter = build({"settings": settings}, cast(AdapterContext, context))
        assert adapter.feed is not None
        assert adapter.close is not None
        running_feed = asyncio.ensure_future(adapter.feed.run())
        books = context.books.by_instrument
        for ticker in tickers:
            adapter.feed.subscribe(f"kalshi:{ticker}", "book")
        await until(
            lambda: len(books) == len(tickers) and all(book.is_synced for book in books.values()),
            "every book is synced",
        )
        async with session.post(f"{place['control']}/burst?count={deltas}") as answer:
            assert (await answer.json())["changes"] >= deltas
        await until(lambda: context.delta_count >= deltas, "every delta came")
        for ticker in tickers:
            async with session.get(f"{place['control']}/books/{ticker}") as answer:
                truth = await answer.json()
            book = books[f"kalshi:{ticker}"]
            yes = {price / 10_000: size / 100 for price, size in truth["yes"]}
            no = {round(1 - price / 10_000, 4): size / 100 for price, size in truth["no"]}
            await until(
                lambda book=book, yes=yes, no=no: (  # type: ignore[misc] # bound now
                    dict(book.bids(1_000)) == yes and dict(book.asks(1_000)) == no
                ),
                f"{ticker} is the venue's",
            )
        assert all(book.is_synced for book in books.values())
        assert context.gap_count == 0
    running_feed.cancel()
    await asyncio.wait([running_feed])
    await adapter.close()
    context.clock.stop()
    return context


@pytest.mark.socket
@pytest.mark.slow
@pytest.mark.parametrize(("transport", "deltas"), [("aiohttp", 200_000), ("picows", 60_000)])
def test_a_burst_of_deltas_over_50_markets_loses_nothing(
    transport: str, deltas: int, tmp_path: Path
) -> None:
    """R-59: over real sockets, against the venue in a process of its own."""
    if transport == "picows":
        pytest.importorskip("picows", reason="picows is not installed")
    public_key = tmp_path / "key.pub"
    public_key.write_bytes(PEM)
    arguments = ("--key-id", "k1", "--public-key", str(public_key), "--markets", str(MARKETS))
    with running("--port", "0", *arguments, "--rate", "0.001") as venue:
        assert venue.stdout is not None
        place = json.loads(venue.stdout.readline())
        context = asyncio.run(storm(place, transport, deltas))

    assert context.delta_count >= deltas
