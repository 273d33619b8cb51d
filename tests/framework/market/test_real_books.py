"""Recorded books: a real stream plays through, and what does not follow on is a gap."""

import csv
import gzip
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from framework.market.book import OrderBook
from framework.market.fast_book import FastOrderBook
from framework.market.recovery import BookRecovery, RecoveryOptions
from framework.market.sequence import SequenceTracker, Verdict
from framework.model.events import GapDetected
from framework.model.market_data import BookDelta, BookSnapshot, Level
from tests.real_data import real_data_file

XRP = "bybit:XRPUSDT"
BTC = "binance:BTCUSDT"
MILLISECOND = 1_000_000
TextLevel: TypeAlias = tuple[str, str]


class StreamBook(msgspec.Struct):
    """The venue's words: `u` is the number of the message in its stream."""

    b: list[TextLevel]
    a: list[TextLevel]
    u: int


class StreamMessage(msgspec.Struct):
    type: str
    ts: int
    cts: int
    data: StreamBook


def floats(levels: list[TextLevel]) -> tuple[Level, ...]:
    return tuple((float(price), float(size)) for price, size in levels)


def xrp_messages() -> list[StreamMessage]:
    decode = msgspec.json.Decoder(StreamMessage).decode
    with gzip.open(real_data_file("xrpusdt-book500-2024-12-01.jsonl.gz")) as lines:
        return [decode(line) for line in lines]


def event_of(message: StreamMessage) -> BookSnapshot | BookDelta:
    data, time_ns, received_ns = message.data, message.cts * MILLISECOND, message.ts * MILLISECOND
    bids, asks = floats(data.b), floats(data.a)
    if message.type == "snapshot":
        return BookSnapshot(XRP, time_ns, received_ns, data.u, bids, asks)
    return BookDelta(XRP, time_ns, received_ns, data.u, data.u, bids, asks)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as lines:
        return list(csv.DictReader(lines))


def test_the_recording_has_50_messages_and_3966_levels_1000_of_them_in_the_snapshot() -> None:
    counts = [len(message.data.b) + len(message.data.a) for message in xrp_messages()]

    assert (len(counts), sum(counts), counts[0]) == (50, 3_966, 1_000)


@pytest.mark.parametrize("make_book", [OrderBook, FastOrderBook])
def test_a_recorded_stream_plays_through_and_equals_a_plain_replay(
    make_book: type[OrderBook] | type[FastOrderBook],
) -> None:
    recovery = BookRecovery(
        "orderbook.500",
        [XRP],
        RecoveryOptions(can_request_snapshot=False, snapshots_in_stream=True),
    )
    book = make_book(XRP)
    replay: tuple[dict[float, float], dict[float, float]] = ({}, {})

    for message in xrp_messages():
        event = event_of(message)
        if isinstance(event, BookSnapshot):
            assert recovery.on_snapshot(event) == [event]
            book.apply_snapshot(event)
        else:
            assert recovery.on_delta(event) == [event]
            book.apply_delta(event)
        for side, levels in zip(replay, (event.bids, event.asks), strict=True):
            side.update(levels)
        bids, asks = ({p: s for p, s in side.items() if s} for side in replay)
        assert book.bids(2_000) == sorted(bids.items(), reverse=True)
        assert book.asks(2_000) == sorted(asks.items())
        assert book.is_synced

    assert recovery.statistics.gaps == 0
    assert book.sequence == 20254918


def test_a_recorded_snapshot_and_update_that_do_not_follow_on_are_a_gap() -> None:
    snapshot_rows = rows(real_data_file("btcusdt-depth-snapshot.csv"))
    update_rows = rows(real_data_file("btcusdt-depth-updates.csv"))
    snapshot_last = int(snapshot_rows[0]["last_update_id"])
    update = update_rows[0]
    first, last = int(update["pu"]) + 1, int(update["last_update_id"])
    tracker = SequenceTracker[str]()
    tracker.start_at(snapshot_last)

    assert {row["last_update_id"] for row in update_rows} == {update["last_update_id"]}
    assert tracker.receive(first, last, "update") == (Verdict.GAP, ["update"])


def test_the_recorded_gap_leaves_the_book_as_the_snapshot_left_it() -> None:
    snapshot_rows = rows(real_data_file("btcusdt-depth-snapshot.csv"))
    update_rows = rows(real_data_file("btcusdt-depth-updates.csv"))
    sides = [
        tuple((float(r["price"]), float(r["qty"])) for r in snapshot_rows if r["side"] == side)
        for side in "ba"
    ]
    changes = [
        tuple((float(r["price"]), float(r["qty"])) for r in update_rows if r["side"] == side)
        for side in "ba"
    ]
    number = int(snapshot_rows[0]["last_update_id"])
    first, last = int(update_rows[0]["pu"]) + 1, int(update_rows[0]["last_update_id"])
    made_ns = int(snapshot_rows[0]["timestamp"]) * MILLISECOND
    changed_ns = int(update_rows[0]["timestamp"]) * MILLISECOND
    recovery = BookRecovery("depth", [BTC], RecoveryOptions(can_request_snapshot=False))
    recovery.on_snapshot(BookSnapshot(BTC, made_ns, made_ns, number, sides[0], sides[1]))

    outputs = recovery.on_delta(
        BookDelta(BTC, changed_ns, changed_ns, first, last, changes[0], changes[1])
    )

    assert outputs[0] == GapDetected(BTC, "depth", number + 1, first, changed_ns)
    assert not any(isinstance(output, BookDelta) for output in outputs)
