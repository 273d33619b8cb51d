"""What every feed of recorded data promises, over every adapter that has one."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters import mock, replay
from adapters.mock.sample import main as write_sample
from framework.interfaces import RecordedFeed
from framework.model.events import Event
from framework.model.identity import venue_of
from framework.model.market_data import BookDelta, BookSnapshot, Candle, Quote, Trade
from tests.adapters.mock.seams import HandContext

VENUE = "somewhere"
Market = Quote | Trade | Candle | BookSnapshot | BookDelta
Build = Callable[[Path, int], RecordedFeed]


def replayed(directory: Path, seed: int) -> RecordedFeed:
    """Candles of one file, quotes of another, and a book stream."""
    candles, quotes, books = (directory / name for name in ("c.csv", "q.csv", "b.jsonl"))
    write_sample([str(candles), "--seed", str(seed), "--candles", "500"])
    lines = [
        f"2024-01-01T0{i // 60}:{i % 60:02}:00Z,{100 + (seed + i) % 7},{108 + i % 3}"
        for i in range(500)
    ]
    quotes.write_text("\n".join(["timestamp,bid,ask", *lines]))
    data = {"s": "B", "b": [["1.5", "10"]], "a": [["1.6", str(seed)]]}
    messages: list[dict[str, Any]] = [
        {
            "topic": "orderbook.50.B",
            "type": "delta" if i else "snapshot",
            "ts": 1_704_067_200_000 + 100 * i,
            "data": {**data, "u": i},
        }
        for i in range(100)
    ]
    books.write_bytes(b"\n".join(msgspec.json.encode(message) for message in messages))
    files = [
        {"path": str(candles), "instrument": "C", "stamp": "open", "interval": "1m"},
        {"path": str(quotes), "instrument": "Q"},
        {"path": str(books), "kind": "book", "instrument": "B"},
    ]
    feed = replay.build({"source": {"files": files}}, HandContext(VENUE)).recorded
    assert feed is not None
    return feed


def synthetic(directory: Path, seed: int) -> RecordedFeed:
    """Every channel of two instruments."""
    section = {
        "settings": {"instruments": [{"symbol": "A"}, {"symbol": "B:2"}], "interval_ms": 5_000},
        "source": {"count": 60, "channels": ["candles", "quotes", "trades", "book"]},
    }
    feed = mock.build(section, HandContext(VENUE, seed=seed)).recorded
    assert feed is not None
    return feed


@pytest.fixture(params=[replayed, synthetic])
def build(request: pytest.FixtureRequest) -> Build:
    """Return a function that builds one kind of feed from a directory and a seed."""
    made: Build = request.param
    return made


def market_events(events: Iterable[Event]) -> Iterator[Market]:
    for event in events:
        assert isinstance(event, Market)
        yield event


def numbers_of(event: Market) -> list[float]:
    """Return every float of an event."""
    numbers = [value for value in msgspec.structs.astuple(event) if isinstance(value, float)]
    if isinstance(event, BookSnapshot | BookDelta):
        numbers += [number for level in (*event.bids, *event.asks) for number in level]
    return numbers


def test_events_come_in_time_order(build: Build, tmp_path: Path) -> None:
    times = [event.time_ns for event in market_events(build(tmp_path, 1).scan())]

    assert len(times) > 500
    assert all(before <= after for before, after in pairwise(times))


def test_every_instrument_is_listed_under_its_venue(build: Build, tmp_path: Path) -> None:
    feed = build(tmp_path, 1)
    listed = {instrument.id for instrument in feed.instruments}

    used = {event.instrument for event in market_events(feed.scan())}

    assert used == listed
    assert {venue_of(instrument) for instrument in used} == {VENUE}


def test_every_number_is_finite_and_every_price_possible(build: Build, tmp_path: Path) -> None:
    """T-21: nothing unreal enters an event."""
    for event in market_events(build(tmp_path, 1).scan()):
        assert all(isfinite(number) and number >= 0.0 for number in numbers_of(event))
        assert event.received_ns >= event.time_ns
        if isinstance(event, Candle):
            assert event.low <= min(event.open, event.close)
            assert max(event.open, event.close) <= event.high
            assert event.time_ns == event.close_ns > event.open_ns
        if isinstance(event, Quote):
            assert event.bid < event.ask


def test_a_candle_comes_once(build: Build, tmp_path: Path) -> None:
    candles = [
        (event.instrument, event.interval, event.open_ns)
        for event in build(tmp_path, 1).scan()
        if isinstance(event, Candle)
    ]

    assert candles
    assert len(set(candles)) == len(candles)


def test_a_seed_is_one_series_at_every_scan(build: Build, tmp_path: Path) -> None:
    """R-74: same inputs, same output."""
    feed = build(tmp_path, 1)
    first = list(feed.scan())

    assert list(feed.scan()) == first
    assert list(build(tmp_path, 1).scan()) == first
    assert list(build(tmp_path, 2).scan()) != first


def test_events_survive_json_and_messagepack(build: Build, tmp_path: Path) -> None:
    events = list(market_events(build(tmp_path, 1).scan()))

    text = msgspec.json.encode(events)
    packed = msgspec.msgpack.encode(events)

    assert msgspec.json.decode(text, type=list[Market]) == events
    assert msgspec.msgpack.decode(packed, type=list[Market]) == events


def test_a_scan_may_be_left_half_way(build: Build, tmp_path: Path) -> None:
    feed = build(tmp_path, 1)
    scan = feed.scan()
    first = next(scan)
    del scan

    assert next(feed.scan()) == first
