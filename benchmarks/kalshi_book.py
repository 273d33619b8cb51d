"""Workload `kalshi_book`: level changes through the whole Kalshi adapter into maintained books.

Frames of one subscription over 50 markets, as the venue writes them, enter where the link hands
them over, and leave as synced books of the core: decoder, session, the adapter's own books, the
feed's events, bus step, recovery, book. The floor is the decoder alone on the same frames.
"""

from collections.abc import Callable
from random import Random
from statistics import median
from time import perf_counter
from typing import Any, cast

import aiohttp
import msgspec
import uvloop

from adapters.kalshi import build
from adapters.kalshi.codec import decode_frame
from adapters.kalshi.feed import KalshiFeed
from framework.bus.bus import Bus
from framework.clock.clock import VirtualClock
from framework.engine.books import Books
from framework.interfaces import AdapterContext, MarketView
from framework.model.events import GapDetected
from framework.model.instrument import Instrument
from framework.model.market_data import BookDelta, BookSnapshot
from framework.net.connectors import no_connector
from framework.settings.secrets import Secret

MARKETS = [f"KXBENCH-26DEC31-{number:02}" for number in range(50)]
DELTAS = 200_000
ROUNDS = 3
START_NS = 1_780_000_000_000_000_000
LEVELS = range(5, 46)  # cents of a ladder


class Context:
    """What the adapter is given: the core's books behind a bus, and a clock that stands still."""

    venue = "kalshi"

    def __init__(self) -> None:
        self.clock = VirtualClock(START_NS)
        self.market = cast(MarketView, None)
        self.instruments: dict[str, Instrument] = {}
        self.bus = Bus(self.clock)
        self.books = Books(self.bus, self.instruments, self.clock)
        self.bus.set_step(BookSnapshot, self.books.on_snapshot)
        self.bus.set_step(BookDelta, self.books.on_delta)
        self.bus.set_step(GapDetected, self.books.on_gap)
        self.publish = self.bus.publish

    def random_for(self, name: str) -> Random:
        return Random(name)

    async def blocking(self, function: Callable[[], Any]) -> Any:
        return function()

    def connector(self) -> aiohttp.BaseConnector:
        return no_connector()

    def secret(self, reference: str) -> Secret:
        return Secret(reference)


def frames(seed: int = 1) -> tuple[list[bytes], list[bytes]]:
    """Return the snapshots and the changes of one subscription."""
    random, sequence = Random(seed), 0
    sizes: dict[tuple[str, str, int], int] = {}
    snapshots, changes = [], []

    def frame(kind: str, message: dict[str, Any]) -> bytes:
        nonlocal sequence
        sequence += 1
        return msgspec.json.encode({"type": kind, "sid": 1, "seq": sequence, "msg": message})

    for market in MARKETS:
        sides = {}
        for side in ("yes", "no"):
            for cents in LEVELS:
                sizes[market, side, cents] = 100_000
            sides[f"{side}_dollars_fp"] = [[f"0.{cents:02}00", "1000.00"] for cents in LEVELS]
        names = {"market_ticker": market, "market_id": "5f0c2a8e"}
        snapshots.append(frame("orderbook_snapshot", {**names, **sides}))
    for _ in range(DELTAS):
        market, side = random.choice(MARKETS), random.choice(("yes", "no"))
        cents, change = random.choice(LEVELS), random.choice((-1500, -400, 400, 1500))
        size = sizes[market, side, cents]
        change = max(change, -size)
        sizes[market, side, cents] = size + change
        sign = "-" if change < 0 else ""
        message = {
            "market_ticker": market,
            "market_id": "5f0c2a8e-90f1-4a7e-8a53-0a3b6e1c9d10",
            "price_dollars": f"0.{cents:02}00",
            "delta_fp": f"{sign}{abs(change) // 100}.{abs(change) % 100:02}",
            "side": side,
            "ts": "2026-05-28T20:26:40.118304Z",
            "ts_ms": 1_780_000_000_118,
        }
        changes.append(frame("orderbook_delta", message))
    return snapshots, changes


def decoded(changes: list[bytes]) -> float:
    """Return the seconds that decoding alone takes."""
    started = perf_counter()
    for data in changes:
        decode_frame(data)
    return perf_counter() - started


async def maintained(snapshots: list[bytes], changes: list[bytes]) -> float:
    """Return the seconds that the changes take into the core's books, which must stay synced."""
    context = Context()
    adapter = build({"settings": {"markets": MARKETS}}, cast(AdapterContext, context))
    feed = adapter.feed
    assert isinstance(feed, KalshiFeed)
    for market in MARKETS:
        feed.subscribe(f"kalshi:{market}", "book")
    connection = feed._connection  # stands in for the link, which has no socket here
    connection.session.on_open(START_NS)
    connection.on_text(b'{"id":1,"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}')
    for data in snapshots:
        connection.on_text(data)
    take = connection.on_text
    started = perf_counter()
    for data in changes:
        take(data)
    seconds = perf_counter() - started
    books = context.books.by_instrument.values()
    assert len(books) == len(MARKETS)
    assert all(book.is_synced for book in books)
    return seconds


def measure() -> list[dict[str, object]]:
    """Return one row: changes per second, and the ratio to decoding alone."""
    snapshots, changes = frames()
    rounds = [(uvloop.run(maintained(snapshots, changes)), decoded(changes)) for _ in range(ROUNDS)]
    best = min(seconds for seconds, _ in rounds)
    return [
        {
            "case": "into the core's books",
            "deltas_per_s": round(DELTAS / best),
            "decode_only_per_s": round(DELTAS / min(floor for _, floor in rounds)),
            "ratio_to_decode_only": round(median(floor / seconds for seconds, floor in rounds), 3),
        }
    ]
