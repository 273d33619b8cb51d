"""Columns, kinds and formats: the fast reader, the plain one and Parquet say the same."""

import gzip
import math
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.replay import arrow_table, scan
from adapters.replay.text_table import to_floats
from framework.errors import DataError
from framework.model.events import Event
from framework.model.market_data import Aggressor, Candle, Quote, Trade
from tests.adapters.replay.files import (
    CANDLES,
    MINUTE_NS,
    QUOTES,
    START_NS,
    candles_feed,
    feed_of,
    quotes_feed,
    write,
)

pyarrow = pytest.importorskip("pyarrow", reason="the extra `data` is not installed")
parquet = pytest.importorskip("pyarrow.parquet")

positive = st.floats(min_value=1e-300, max_value=1e300, allow_subnormal=False)
seconds = st.integers(0, 8_000_000_000)


def both(path: str, monkeypatch: pytest.MonkeyPatch, **source: Any) -> tuple[list[Event], Any]:
    """Return what the fast and the plain reader make of a file, and that neither gave way."""
    stated = {"files": path, "instrument": "X", **source}
    fast = list(feed_of(stated).scan())
    with monkeypatch.context() as patch:
        patch.setattr(scan, "has_pyarrow", lambda: False)
        plain = list(feed_of(stated).scan())
    return fast, plain


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(seconds, positive, positive), min_size=1, max_size=30))
def test_both_readers_give_the_same_exact_floats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[int, float, float]]
) -> None:
    rows.sort(key=lambda row: row[0])
    lines = "".join(
        f"{datetime.fromtimestamp(at, UTC).isoformat()},{bid!r},{ask!r}\n" for at, bid, ask in rows
    )
    path = write(tmp_path, "q.csv", "timestamp,bid,ask\n" + lines)

    fast, plain = both(path, monkeypatch)

    assert fast == plain
    assert [(quote.bid, quote.ask) for quote in fast if isinstance(quote, Quote)] == [
        (bid, ask) for _, bid, ask in rows
    ]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_the_shortest_text_of_a_float_reads_back_exactly(values: list[float]) -> None:
    texts = [repr(value) for value in values]

    column = pyarrow.array(texts).cast(pyarrow.float64()).to_pylist()

    assert to_floats(texts, "price").tolist() == column == values


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.lists(
        st.text(alphabet='0123456789.,-+eE_ \t"naif\n\rxé', max_size=12), min_size=1, max_size=8
    ),
    on_error=st.sampled_from(["stop", "skip"]),
)
def test_both_readers_judge_damaged_text_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: list[str], on_error: str
) -> None:
    """R-45: typed errors only, and the same ones."""
    good = "2024-01-01,1,2\n"
    lines = "".join(f"{good}2024-01-01,{field},2\n" for field in fields)
    path = write(tmp_path, "q.csv", f"timestamp,bid,ask\n{good}{lines}{good}")
    seen = []
    for is_fast in (True, False):
        monkeypatch.setattr(scan, "has_pyarrow", lambda fast=is_fast: fast)
        events: list[Event] = []
        feed = quotes_feed(path, on_error=on_error)
        error = ""
        try:
            events.extend(feed.scan())
        except DataError as raised:
            error = str(raised)
        seen.append((events, error, dict(feed.skipped)))

    assert seen[0] == seen[1]


def test_large_files_come_in_chunks_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{START_NS // 1_000_000 + i},{1 + i % 7},{10 + i % 5}\n" for i in range(10_000))
    path = write(tmp_path, "q.csv.gz", "time_ms,bid,ask\n" + rows)
    source = {"columns": {"time": "time_ms"}}

    fast, plain = both(path, monkeypatch, **source)

    assert fast == plain
    assert len(fast) == 10_000
    chunks = list(feed_of({"files": path, "instrument": "X", **source}).scan_chunks())
    assert max(map(len, chunks)) == 4_096
    assert [event for chunk in chunks for event in chunk] == fast


def test_the_plain_reader_takes_over_at_the_first_fault_without_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{START_NS + i},{1 + i},{10_000 + i}" for i in range(9_000)]
    rows[5_000] = rows[5_000].replace(",5001,", ",-1,")
    path = write(tmp_path, "q.csv", "time_ns,bid,ask\n" + "\n".join(rows))

    fast, plain = both(path, monkeypatch, on_error="skip")

    assert fast == plain
    assert len(fast) == 8_999
    with pytest.raises(DataError, match=r"q\.csv:5002: bid is not above zero"):
        list(quotes_feed(path).scan())


def test_trades_carry_side_and_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "timestamp,price,size,side,trade_id\n2024-01-01,1,2,Buy,a1\n2024-01-01,1,3,s,a2\n"
    fast, plain = both(write(tmp_path, "t.csv", text), monkeypatch)

    assert fast == plain
    assert fast == [
        Trade("venue:X", START_NS, START_NS, 1.0, 2.0, Aggressor.BUYER, "a1"),
        Trade("venue:X", START_NS, START_NS, 1.0, 3.0, Aggressor.SELLER, "a2"),
    ]


def test_a_buyer_who_made_was_hit_by_a_seller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "timestamp,price,qty,is_buyer_maker\n2024-01-01,1,2,true\n2024-01-01,1,3,False\n"

    fast, plain = both(write(tmp_path, "t.csv", text), monkeypatch)

    sides = [trade.aggressor for trade in fast if isinstance(trade, Trade)]
    assert fast == plain
    assert sides == [Aggressor.SELLER, Aggressor.BUYER]


@pytest.mark.parametrize(("stamp", "shift_ns"), [("open", MINUTE_NS), ("close", 0)])
def test_a_candle_is_known_at_its_close_whatever_its_stamp(
    tmp_path: Path, stamp: str, shift_ns: int
) -> None:
    path = write(tmp_path, "c.csv", CANDLES)

    first = next(candles_feed(path, stamp=stamp).scan())

    close_ns = START_NS + shift_ns
    assert first == Candle(
        "venue:X", close_ns, close_ns, "1m", close_ns - MINUTE_NS, close_ns, 10, 12, 9, 11, 5
    )


def test_volume_may_be_missing_and_received_times_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "c.csv", "time,open,high,low,close\n2024-01-01,1,2,1,2\n")
    candle = next(candles_feed(path).scan())
    assert isinstance(candle, Candle)
    assert candle.volume == 0.0

    text = f"time_ns,received_ns,bid,ask\n{START_NS},{START_NS + 5},1,2\n"
    quote = next(quotes_feed(write(tmp_path, "q.csv", text)).scan())
    assert isinstance(quote, Quote)
    assert (quote.time_ns, quote.received_ns) == (START_NS, START_NS + 5)


def test_columns_may_be_named_and_separated_otherwise(tmp_path: Path) -> None:
    text = "\ufeffWhen; Best Bid ;Best Ask\n1704067200;1.5;1.75\n"
    columns = {"time": "when", "bid": "Best Bid", "ask": "best ask"}

    feed = quotes_feed(
        write(tmp_path, "q.csv", text), columns=columns, delimiter=";", time_unit="s"
    )

    assert list(feed.scan()) == [Quote("venue:X", START_NS, START_NS, 1.5, 1.75)]


def test_a_range_cuts_both_ends(tmp_path: Path) -> None:
    path = write(tmp_path, "c.csv", CANDLES)

    feed = candles_feed(path, start="2024-01-01T00:02", end="2024-01-01T00:03")

    assert [event.time_ns for event in feed.scan()] == [START_NS + 2 * MINUTE_NS]


def peak_bytes(path: str) -> int:
    """Return the most memory that Python held while a file was scanned."""
    feed = quotes_feed(path)
    tracemalloc.start()
    try:
        for _ in feed.scan_chunks():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = f"{START_NS},100.25,100.5\n"
    small = write(tmp_path, "small.csv.gz", "time_ns,bid,ask\n" + row * 10_000)
    large = write(tmp_path, "large.csv.gz", "time_ns,bid,ask\n" + row * 40_000)

    for is_fast in (True, False):
        monkeypatch.setattr(scan, "has_pyarrow", lambda fast=is_fast: fast)
        assert peak_bytes(large) < 1.2 * peak_bytes(small)


def quotes_table(**columns: Any) -> Any:
    times = pyarrow.array([START_NS, START_NS + 1_000], pyarrow.timestamp("ns", "UTC"))
    return pyarrow.table({"timestamp": times, "bid": [1.1, 1.2], "ask": [1.3, 1.4], **columns})


@pytest.mark.parametrize(
    "times",
    [
        pyarrow.array([START_NS // 1000, START_NS // 1000 + 1], pyarrow.timestamp("us")),
        pyarrow.array([START_NS, START_NS + 1_000], pyarrow.timestamp("ns", "Asia/Kolkata")),
        pyarrow.array(["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000001Z"]),
    ],
)
def test_parquet_times_of_every_type_mean_the_same(tmp_path: Path, times: Any) -> None:
    path = tmp_path / "q.parquet"
    parquet.write_table(quotes_table(timestamp=times), path)

    assert list(quotes_feed(str(path)).scan()) == [
        Quote("venue:X", START_NS, START_NS, 1.1, 1.3),
        Quote("venue:X", START_NS + 1_000, START_NS + 1_000, 1.2, 1.4),
    ]


def test_parquet_numbers_may_be_decimals_integers_or_text(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    table = quotes_table(bid=[Decimal("1.10"), Decimal("1.23")], ask=["1.3", "1.4"])
    table = table.append_column("bid_size", pyarrow.array([3, 4]))
    parquet.write_table(table, path)

    quotes = [quote for quote in quotes_feed(str(path)).scan() if isinstance(quote, Quote)]

    assert [(quote.bid, quote.ask, quote.bid_size) for quote in quotes] == [
        (1.1, 1.3, 3.0),
        (1.23, 1.4, 4.0),
    ]


def test_a_parquet_fault_names_its_row_or_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    parquet.write_table(quotes_table(bid=[1.1, None]), path)

    with pytest.raises(DataError, match=r"q\.parquet:2: bid is not finite"):
        list(quotes_feed(str(path)).scan())
    feed = quotes_feed(str(path), on_error="skip")
    assert len(list(feed.scan())) == 1
    assert feed.skipped == {"bid is not finite": 1}


def test_a_parquet_file_that_is_none_or_has_no_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    parquet.write_table(quotes_table().slice(0, 0), path)
    with pytest.raises(DataError, match="has no rows"):
        quotes_feed(str(path))

    path.write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match="is no Parquet"):
        quotes_feed(str(path))


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "q.parquet"
    parquet.write_table(quotes_table(), path)
    monkeypatch.setattr(arrow_table, "has_pyarrow", lambda: False)

    with pytest.raises(DataError, match=r"headrace\[data\]"):
        quotes_feed(str(path))


def test_a_csv_is_read_the_same_compressed_or_not(tmp_path: Path) -> None:
    plain = list(quotes_feed(write(tmp_path, "q.csv", QUOTES)).scan())

    assert list(quotes_feed(write(tmp_path, "q.csv.gz", QUOTES)).scan()) == plain
    assert gzip.decompress((tmp_path / "q.csv.gz").read_bytes()).decode() == QUOTES
    assert all(math.isfinite(quote.bid) for quote in plain if isinstance(quote, Quote))
