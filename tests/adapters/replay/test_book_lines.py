from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.replay.book_lines import decode_line
from adapters.replay.settings import Kind
from framework.errors import DataError
from framework.model.market_data import BookDelta, BookSnapshot, Candle, MarkPrice, Quote, Trade
from tests.adapters.replay.files import START_NS, feed_of, write

START_MS = START_NS // 1_000_000


def line(kind: str, *, ts: int = START_MS, **data: Any) -> str:
    content = {"s": "XRP", "b": [["1.5", "10"]], "a": [["1.6", "20"]], "u": 7, **data}
    message = {"topic": "orderbook.500.XRP", "type": kind, "ts": ts, "data": content, "cts": ts - 3}
    return msgspec.json.encode(message).decode()


def book(text: str) -> BookSnapshot | BookDelta:
    event = decode_line(text, Kind.BOOK, venue="venue", instrument="")
    assert isinstance(event, BookSnapshot | BookDelta)
    return event


def test_a_snapshot_is_ranked_best_first() -> None:
    text = line("snapshot", b=[["1.4", "1"], ["1.5", "2"]], a=[["1.7", "3"], ["1.6", "4"]])

    assert book(text) == BookSnapshot(
        "venue:XRP", START_NS, START_NS, 7, ((1.5, 2.0), (1.4, 1.0)), ((1.6, 4.0), (1.7, 3.0))
    )


def test_a_delta_follows_the_number_before_its_own() -> None:
    text = line("delta", b=[["1.5", "0"]], a=[], u=8)

    assert book(text) == BookDelta("venue:XRP", START_NS, START_NS, 8, 8, ((1.5, 0.0),), ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "unreadable line"),
        ("[]", "unreadable line"),
        (line("restart"), "unknown message type"),
        (line("delta", b=[["nan", "1"]]), "level is not finite"),
        (line("delta", b=[["1.5", "inf"]]), "level is not finite"),
        (line("delta", b=[["0", "1"]]), "level price is not above zero"),
        (line("delta", a=[["1.5", "-1"]]), "level size is negative"),
        (line("snapshot", b=[["1.6", "1"]]), "book is crossed"),
        (line("delta", ts=-1), "time is out of range"),
        (line("delta", ts=START_MS - 1), "time goes back"),
        (line("delta", s="BTC"), "of another instrument"),
    ],
)
def test_a_faulty_line_names_its_number_or_is_skipped(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = write(tmp_path, "b.jsonl", f"{line('snapshot')}\n\n{text}\n{line('delta')}\n")
    source = {"files": path, "kind": "book", "instrument": "XRP"}

    with pytest.raises(DataError, match=f":3: {reason}"):
        list(feed_of(source).scan())
    feed = feed_of({**source, "on_error": "skip"})
    assert len(list(feed.scan())) == 2
    assert list(feed.skipped.values()) == [1]


def test_a_truncated_stream_of_lines_is_an_error(tmp_path: Path) -> None:
    path = Path(write(tmp_path, "b.jsonl.gz", f"{line('snapshot')}\n" * 2_000))
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(DataError, match="truncated"):
        list(feed_of({"files": str(path), "kind": "book"}).scan())


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_line_breaks_the_decoder(data: bytes) -> None:
    """R-45: typed errors only."""
    for kind in (Kind.BOOK, Kind.EVENTS):
        with pytest.raises(ValueError):
            decode_line(data.decode(errors="replace"), kind, venue="venue", instrument="")


EVENTS = [
    Quote("venue:X", 1, 2, 1.5, 1.75, 0.0, 3.0),
    Trade("venue:X", 2, 3, 1.5, 2.0),
    Candle("venue:X", 60, 60, "1m", 0, 60, 1.0, 2.0, 1.0, 2.0, 5.0),
    BookSnapshot("venue:Y", 61, 61, 5, ((1.0, 2.0),), ((1.5, 2.0),)),
    BookDelta("venue:Y", 62, 62, 6, 6, ((1.0, 0.0),), ()),
    MarkPrice("venue:X", 63, 63, 1.6),
]


def test_our_own_events_read_back_as_they_were(tmp_path: Path) -> None:
    lines = "\n".join(msgspec.json.encode(event).decode() for event in EVENTS)
    path = write(tmp_path, "events.jsonl", lines)

    assert list(feed_of({"files": path, "kind": "events"}).scan()) == EVENTS


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (Quote("other:X", 1, 1, 1.0, 2.0), "of another venue"),
        (Quote("venue:X", 1, 1, -1.0, 2.0), "price is not above zero"),
        (Trade("venue:X", 1, 1, 1.0, -2.0), "size is negative"),
        (Candle("venue:X", 60, 60, "1m", 0, 60, 1, 2, 3, 2), "high is below low"),
        (Candle("venue:X", 60, 60, "1m", 0, 60, 1, 2, 1, 3), "open or close is outside"),
        (Candle("venue:X", 30, 30, "1m", 0, 60, 1, 2, 1, 2), "known before it could be"),
    ],
)
def test_our_own_events_are_judged_too(event: Any, reason: str) -> None:
    text = msgspec.json.encode(event).decode()

    with pytest.raises(ValueError, match=reason):
        decode_line(text, Kind.EVENTS, venue="venue", instrument="")
