"""Each fault a file may have: file, line and reason, or skipped and counted (R-45, T-21)."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from adapters.replay import scan
from adapters.replay.feed import ReplayFeed
from framework.errors import ConfigError, DataError
from framework.model.events import Event
from tests.adapters.replay.files import (
    CANDLES,
    MINUTE_NS,
    QUOTES,
    SECOND_NS,
    START_NS,
    candles_feed,
    feed_of,
    quotes_feed,
    write,
)


@pytest.fixture(params=["fast", "plain"], autouse=True)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run every test with pyarrow and as if it were not installed."""
    name: str = request.param
    if name == "plain":
        monkeypatch.setattr(scan, "has_pyarrow", lambda: False)
    return name


CANDLE_FAULTS = [
    ("2024-01-01 00:01:00,11,nan,10,12,6", "high is not finite"),
    ("2024-01-01 00:01:00,11,13,10,inf,6", "close is not finite"),
    ("2024-01-01 00:01:00,11,13,10,1e999,6", "close is not finite"),
    ("2024-01-01 00:01:00,0,13,0,12,6", "open is not above zero"),
    ("2024-01-01 00:01:00,11,13,-10,12,6", "low is not above zero"),
    ("2024-01-01 00:01:00,11,13,10,12,-6", "volume is negative"),
    ("2024-01-01 00:01:00,11,10,13,11,6", "high is below low"),
    ("2024-01-01 00:01:00,14,13,10,12,6", "open is outside low and high"),
    ("2024-01-01 00:01:00,11,13,10,9,6", "close is outside low and high"),
    ("2023-01-01 00:01:00,11,13,10,12,6", "time goes back"),
    ("2024-01-01 00:00:00,11,13,10,12,6", "candle comes twice"),
    ("2024-01-01 00:01:00,11,13,10,abc,6", "unreadable close"),
    ("2024-01-01 00:01:00,11,13,10,,6", "unreadable close"),
    ("2024-01-01 00:01:00,11,13,10,1_2,6", "unreadable close"),
    ("yesterday,11,13,10,12,6", "unreadable time"),
    ("2024-01-01 00:01:00,11,13", "row has 3 fields, the header 6"),
    ("2024-01-01 00:01:00,11,13,10,12,6,7", "row has 7 fields, the header 6"),
]
OTHER_LINE = "2024-01-01 00:01:00,11,13,10,12,6"


def outcome(feed: ReplayFeed) -> tuple[int, DataError]:
    """Return how many events came before the error, and the error."""
    events: list[Event] = []
    with pytest.raises(DataError) as caught:
        events.extend(feed.scan())
    return len(events), caught.value


@pytest.mark.parametrize(("row", "reason"), CANDLE_FAULTS)
def test_a_faulty_row_names_file_line_and_reason(tmp_path: Path, row: str, reason: str) -> None:
    path = write(tmp_path, "faulty.csv", CANDLES.replace(OTHER_LINE, row))

    count, error = outcome(candles_feed(path))

    assert (error.file, error.line) == (path, 3)
    assert error.reason.startswith(reason)
    assert str(error).startswith(f"{path}:3: {reason}")
    assert count == 1


@pytest.mark.parametrize(("row", "reason"), CANDLE_FAULTS)
def test_a_faulty_row_is_skipped_and_counted_on_request(
    tmp_path: Path, row: str, reason: str
) -> None:
    path = write(tmp_path, "faulty.csv", CANDLES.replace(OTHER_LINE, row))
    feed = candles_feed(path, on_error="skip")

    closes = [event.time_ns for event in feed.scan()]

    assert closes == [START_NS + MINUTE_NS, START_NS + 3 * MINUTE_NS]
    assert list(feed.skipped.values()) == [1]
    assert next(iter(feed.skipped)).startswith(reason)
    assert list(feed.scan())
    assert sum(feed.skipped.values()) == 1, "each scan counts anew"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2024-01-01T00:00:01Z,nan,1.3", "bid is not finite"),
        ("2024-01-01T00:00:01Z,1.2,0", "ask is not above zero"),
        ("2023-01-01T00:00:01Z,1.2,1.3", "time goes back"),
    ],
)
def test_quotes_are_judged_too(tmp_path: Path, row: str, reason: str) -> None:
    path = write(tmp_path, "q.csv", QUOTES.replace("2024-01-01T00:00:01Z,1.2,1.3", row))

    count, error = outcome(quotes_feed(path))

    assert (count, error.line) == (1, 3)
    assert error.reason.startswith(reason)


def test_negative_sizes_and_unknown_sides_are_faults(tmp_path: Path) -> None:
    text = "timestamp,price,size,side\n2024-01-01,1,{},{}\n"
    for size, side, reason in ((-1, "buy", "size is negative"), (1, "up", "side is unknown")):
        path = write(tmp_path, "t.csv", text.format(size, side))
        _, error = outcome(feed_of({"files": path, "kind": "trades", "instrument": "X"}))
        assert error.reason.startswith(reason)


def test_a_side_that_nobody_quotes_may_have_price_zero(tmp_path: Path) -> None:
    header = "timestamp,bid,ask,bid_size,ask_size\n"
    path = write(tmp_path, "q.csv", header + "2024-01-01,0,1.2,0,5\n")
    assert len(list(quotes_feed(path).scan())) == 1

    path = write(tmp_path, "q.csv", header + "2024-01-01,0,1.2,3,5\n")
    _, error = outcome(quotes_feed(path))
    assert error.reason.startswith("bid is not above zero")


def test_negative_prices_pass_where_the_settings_say_they_exist(tmp_path: Path) -> None:
    path = write(tmp_path, "q.csv", "timestamp,bid,ask\n2020-04-20,-38,-37\n")

    assert len(list(quotes_feed(path, prices="any").scan())) == 1


def test_quotes_may_share_a_time(tmp_path: Path) -> None:
    times = [event.time_ns for event in quotes_feed(write(tmp_path, "q.csv", QUOTES)).scan()]

    assert times == [START_NS, START_NS + SECOND_NS, START_NS + SECOND_NS]


def test_the_earliest_of_several_faults_is_the_one_reported(tmp_path: Path) -> None:
    rows = ["2024-01-01,1,2", "2023-01-01,1,2", "2024-01-01,-1,2", "2024-01-01,x,2"]
    path = write(tmp_path, "q.csv", "timestamp,bid,ask\n" + "\n".join(rows))

    count, error = outcome(quotes_feed(path))

    assert (count, error.line, error.reason[:14]) == (1, 3, "time goes back")


def test_blank_lines_and_quoted_line_ends_keep_the_line_numbers(tmp_path: Path) -> None:
    text = 'timestamp,bid,ask,note\n\n2024-01-01,1,2,"two\nlines"\n\n2024-01-01,-1,2,x\n'
    path = write(tmp_path, "q.csv", text)

    count, error = outcome(quotes_feed(path))

    assert (count, error.line) == (1, 6)


def test_a_truncated_gzip_is_an_error_after_what_was_whole(tmp_path: Path) -> None:
    path = tmp_path / "candles.csv.gz"
    rows = "".join(f"2024-01-01 {i // 60:02}:{i % 60:02}:00,10,12,9,11,{i}\n" for i in range(1_200))
    packed = gzip.compress((CANDLES.partition("\n")[0] + "\n" + rows).encode())
    path.write_bytes(packed[: len(packed) // 2])

    for on_error in ("stop", "skip"):
        count, error = outcome(candles_feed(str(path), on_error=on_error))
        assert "truncated" in error.reason
        assert 0 < count < 1_200
        assert error.file == str(path)
        assert error.line is not None


def test_damaged_gzip_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "candles.csv.gz"
    packed = bytearray(gzip.compress(CANDLES.encode()))
    packed[-6] ^= 0xFF
    path.write_bytes(bytes(packed))
    with pytest.raises(DataError, match=r"damaged|truncated"):
        list(candles_feed(str(path)).scan())

    path.write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match="damaged"):
        candles_feed(str(path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("timestamp,bid,ask\n", "has a header and no rows"),
        ("timestamp,bid\n2024-01-01,1\n", "has no column for 'ask'"),
        ("when,bid,ask\n2024-01-01,1,2\n", "has no column for 'time'"),
        ("2024-01-01,1,2\n2024-01-01,1,2\n", "has no column for 'time'"),
        ("timestamp,datetime,bid,ask\n2024-01-01,x,1,2\n", "all fit 'time'"),
        ("timestamp,bid,bid,ask\n2024-01-01,1,1,2\n", "all fit 'bid'"),
        ("timestamp,bid,ask\n1704067200000,1,2\n", "looks like ms"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_before_the_start(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = write(tmp_path, "q.csv", text)

    with pytest.raises(DataError) as caught:
        quotes_feed(path)

    assert caught.value.file == path
    assert reason in caught.value.reason


@pytest.mark.parametrize("name", ["missing.csv", "missing-*.csv", "missing.parquet", "m.jsonl"])
def test_a_missing_file_is_refused_before_the_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"no such file|no file matches") as caught:
        feed_of({"files": str(tmp_path / name), "kind": "book", "instrument": "X"})

    assert caught.value.file == str(tmp_path / name)


def test_an_interval_that_the_spacing_contradicts_is_refused(tmp_path: Path) -> None:
    hours = "".join(f"2024-01-01 {hour:02}:00:00,1,2,1,2\n" for hour in range(20))
    path = write(tmp_path, "h.csv", "timestamp,open,high,low,close\n" + hours)

    for interval in ("1m", "1d"):
        with pytest.raises(DataError, match=f"3600 s apart: interval '{interval}'"):
            list(candles_feed(path, interval=interval).scan())
    assert len(list(candles_feed(path, interval="1h").scan())) == 20


@pytest.mark.parametrize(
    ("source", "key"),
    [
        (None, "source"),
        ("file.csv", "source"),
        ({}, "source.files"),
        ({"files": []}, "source.files"),
        ({"files": 3}, "source.files"),
        ({"files": "a.csv", "speed": 3}, "source.speed"),
        ({"files": "a.csv", "on_error": "ignore"}, "source.on_error"),
        ({"files": "a.csv", "start": "soon"}, "source.start"),
        ({"files": "a.csv", "start": "2024-01-02", "end": "2024-01-01"}, "source.start"),
        ({"files": [{"kind": "candles"}]}, "source.files[0].path"),
        ({"files": ["c.csv", {"path": "c.csv", "wrong": 1}]}, "source.files[1].wrong"),
        ({"files": "c.csv", "instrument": "X", "interval": "1m"}, "source.files.stamp"),
        ({"files": "c.csv", "instrument": "X", "stamp": "open"}, "source.files.interval"),
        (
            {"files": ["c.csv"], "instrument": "X", "stamp": "open", "interval": "100t"},
            "source.files[0].interval",
        ),
        ({"files": "q.csv"}, "source.files.instrument"),
        ({"files": ["q.csv", "q.csv"], "instrument": "X"}, "source.files[1].path"),
        ({"files": "q.xlsx"}, "source.files.path"),
        ({"files": "u.csv", "instrument": "X"}, "source.files.kind"),
        ({"files": "b.jsonl", "instrument": "X"}, "source.files.kind"),
        ({"files": "q.csv", "kind": "book", "instrument": "X"}, "source.files.kind"),
    ],
)
def test_a_setting_that_makes_no_sense_names_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Any, key: str
) -> None:
    """R-88: never a start with a guess."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "c.csv", CANDLES)
    write(tmp_path, "q.csv", QUOTES)
    write(tmp_path, "u.csv", "a,b\n1,2\n")
    write(tmp_path, "q.xlsx", "")
    write(tmp_path, "b.jsonl", "{}")

    with pytest.raises(ConfigError) as caught:
        feed_of(source)

    assert caught.value.key == key
