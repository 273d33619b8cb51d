from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.replay.times import TimeReader, TimeStyle, parse_iso, style_of, unit_hint

NAIVE = TimeReader(TimeStyle.NAIVE)
ZONED = TimeReader(TimeStyle.ZONED)
MIDNIGHT = 1_577_836_800_000_000_000
moments = st.integers(-9_000_000_000, 9_000_000_000).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)


def parsed(reader: TimeReader, *texts: str) -> list[int]:
    times: list[int] = reader.parse(texts).tolist()
    return times


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2020-01-01", 0),
        ("2020-01-01 00:00", 0),
        ("2020-01-01T00:00:01", 1_000_000_000),
        ("2020-01-01 00:00:00.123456789", 123_456_789),
        ("2020-01-01T00:00:00.5Z", 500_000_000),
        ("2020-01-01 05:30:00+05:30", 0),
        ("2019-12-31T19:00:00-0500", 0),
    ],
)
def test_iso_text_is_utc_or_converted_to_it(text: str, nanoseconds: int) -> None:
    assert parse_iso(text) == MIDNIGHT + nanoseconds
    assert parsed(TimeReader(style_of(text)), text) == [MIDNIGHT + nanoseconds]


@pytest.mark.parametrize(
    "text",
    ["now", "NaT", "today", "", "2020", "2020-13-01", "2020-02-30", "2020-01-01 24:00:00",
     "2020-01-01 00:00:00.1234567891", "1600-01-01", "2300-01-01", "2020-01-01T00:00.5",
     "20200101", " 2020-01-01", "-2020-01-01"],
)  # fmt: skip
def test_what_is_no_time_is_refused_and_never_guessed(text: str) -> None:
    for reader in (NAIVE, ZONED):
        with pytest.raises(ValueError, match="time"):
            reader.parse([text])


@given(st.lists(moments, min_size=1, max_size=20))
def test_a_column_reads_like_its_texts_one_by_one(times: list[datetime]) -> None:
    naive = [moment.replace(tzinfo=None).isoformat(" ") for moment in times]
    zoned = [moment.isoformat() for moment in times]

    expected = [int(moment.timestamp()) * 1_000_000_000 for moment in times]

    assert parsed(NAIVE, *naive) == [parse_iso(text) for text in naive] == expected
    assert parsed(ZONED, *zoned) == expected


def test_offsets_may_change_inside_a_file() -> None:
    assert parsed(ZONED, "2020-01-01T01:00:00+01:00", "2020-01-01T02:00:00+02:00") == [MIDNIGHT] * 2


@pytest.mark.parametrize(
    ("text", "unit_ns"),
    [("1577836800", 10**9), ("1577836800000", 10**6), ("1577836800000000", 10**3),
     ("1577836800000000000", 1), ("1577836800.000", 10**9)],
)  # fmt: skip
def test_numbers_count_their_unit(text: str, unit_ns: int) -> None:
    assert parsed(TimeReader(TimeStyle.NUMBER, unit_ns=unit_ns), text) == [MIDNIGHT]
    assert unit_hint(text) == {10**9: "s", 10**6: "ms", 10**3: "us", 1: "ns"}[unit_ns]


def test_numbers_out_of_range_name_the_unit() -> None:
    reader = TimeReader(TimeStyle.NUMBER, unit_ns=10**9)

    with pytest.raises(ValueError, match="time_unit"):
        reader.parse(["1577836800000"])
    with pytest.raises(ValueError, match="time_unit"):
        reader.from_numbers(np.array([1_577_836_800_000], dtype=np.int64))


def test_a_stated_format_is_read_as_utc() -> None:
    reader = TimeReader(TimeStyle.FORMAT, format="%d.%m.%Y %H:%M:%S.%f")

    assert parsed(reader, "01.01.2020 00:00:00.250000") == [MIDNIGHT + 250_000_000]
    with pytest.raises(ValueError, match="in format"):
        reader.parse(["2020-01-01"])
