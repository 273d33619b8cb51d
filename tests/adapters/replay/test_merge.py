from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.replay.merge import Chunk, Stream, merge
from framework.errors import DataError
from framework.model.market_data import Candle, Quote
from tests.adapters.replay.files import (
    CANDLES,
    MINUTE_NS,
    QUOTES,
    SECOND_NS,
    START_NS,
    candles_feed,
    feed_of,
    write,
)

times = st.lists(st.integers(0, 12), max_size=25).map(sorted)


def stream(name: int, moments: list[int], chunk: int) -> Stream:
    quotes = [Quote(f"{name}:{i}", at, at, 1.0, 2.0) for i, at in enumerate(moments)]

    def opened() -> Iterator[Chunk]:
        for start in range(0, len(moments), chunk):
            part = slice(start, start + chunk)
            yield Chunk(np.array(moments[part], dtype=np.int64), quotes[part])

    return Stream(rank=(1, name), start_ns=moments[0] if moments else 0, open=opened)


@given(st.lists(st.tuples(times, st.integers(1, 4)), max_size=5))
def test_a_merge_is_a_stable_sort_of_everything(parts: list[tuple[list[int], int]]) -> None:
    streams = [stream(name, moments, chunk) for name, (moments, chunk) in enumerate(parts)]
    expected = sorted(
        (at, name, i) for name, (moments, _) in enumerate(parts) for i, at in enumerate(moments)
    )

    lists = list(merge(streams))

    assert all(lists)
    merged = [event for events in lists for event in events if isinstance(event, Quote)]
    assert [(quote.time_ns, quote.instrument) for quote in merged] == [
        (at, f"{name}:{i}") for at, name, i in expected
    ]


def test_a_stream_is_opened_when_time_comes_to_it() -> None:
    opened: list[int] = []

    def lazy(name: int, at: int) -> Stream:
        inner = stream(name, [at, at + 5], chunk=1)

        def announce() -> Iterator[Chunk]:
            opened.append(name)
            return inner.open()

        return Stream(inner.rank, inner.start_ns, announce)

    merged = (event for events in merge([lazy(1, 20), lazy(0, 10)]) for event in events)

    assert opened == []
    assert next(merged).time_ns == 10
    assert opened == [0]
    assert [event.time_ns for event in merged] == [15, 20, 25]
    assert opened == [0, 1]


def test_at_equal_time_candles_close_first_then_files_in_their_order(tmp_path: Path) -> None:
    minute = "timestamp,bid,ask\n2024-01-01T00:01:00Z,1,2\n"
    files = [
        {"path": write(tmp_path, "b.csv", minute), "instrument": "B"},
        {"path": write(tmp_path, "a.csv", minute), "instrument": "A"},
        {
            "path": write(tmp_path, "c.csv", CANDLES),
            "instrument": "C",
            "stamp": "open",
            "interval": "1m",
        },
    ]

    events = list(feed_of({"files": files}).scan())

    assert [event.instrument for event in events if isinstance(event, Quote | Candle)] == [
        "venue:C",
        "venue:B",
        "venue:A",
        "venue:C",
        "venue:C",
    ]


def test_daily_files_of_a_pattern_follow_each_other(tmp_path: Path) -> None:
    for day in (3, 1, 2):
        write(tmp_path, f"day-{4 - day}.csv", CANDLES.replace("2024-01-01", f"2024-01-0{day}"))
    pattern = str(tmp_path / "day-*.csv")

    closes = [event.time_ns for event in candles_feed(pattern).scan()]

    day_ns = 1_440 * MINUTE_NS
    assert closes == [
        START_NS + day * day_ns + minute * MINUTE_NS for day in range(3) for minute in (1, 2, 3)
    ]


def test_a_fault_in_one_file_comes_after_all_that_was_earlier(tmp_path: Path) -> None:
    text = QUOTES.replace("2024-01-01T00:00:01Z,1.25,1.35", "2024-01-01T00:00:02Z,-1,1")
    later = QUOTES.replace("00:00:01Z", "00:00:03Z")
    files = [
        {"path": write(tmp_path, "good.csv", QUOTES), "instrument": "A"},
        {"path": write(tmp_path, "bad.csv", text), "instrument": "B"},
        {"path": write(tmp_path, "later.csv", later), "instrument": "C"},
    ]

    seen: list[int] = []
    with pytest.raises(DataError, match=r"bad\.csv:4: bid is not above zero"):
        seen.extend(event.time_ns for event in feed_of({"files": files}).scan())

    assert [(at - START_NS) // SECOND_NS for at in seen] == [0, 0, 0, 1, 1, 1]
