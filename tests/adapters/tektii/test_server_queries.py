"""Times, limits and words of query strings."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tektii import wire
from adapters.tektii.server_errors import GatewayRefusal
from adapters.tektii.server_queries import (
    MOST_ROWS,
    optional_time,
    optional_word,
    rows_wanted,
    time_ns_of,
    words,
)
from adapters.tektii.words import time_text

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T15:10:00Z", "2026-03-02t15:10:00z", "2026-03-02T15:10:00+00:00",
        "2026-03-02T16:10:00+01:00", "2026-03-02T16:10:00 01:00", "2026-03-02 15:10:00.000Z",
        "2026-03-02T10:10-0500", "2026-03-02T15:10:00,0Z",
    ],
)  # fmt: skip
def test_one_instant_has_many_spellings(text: str) -> None:
    assert time_ns_of(text, "since") == 1_772_464_200 * SECOND


def test_nanoseconds_are_kept_and_what_is_finer_is_cut() -> None:
    whole = time_ns_of("1970-01-01T00:00:01.123456789Z", "since")
    assert whole == 1_123_456_789
    assert time_ns_of("1970-01-01T00:00:01.1234567891Z", "since") == whole
    assert time_ns_of("1969-12-31T23:59:59.5Z", "since") == -SECOND // 2


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-03-02", "2026-03-02T15:10:00", "2026-02-30T00:00:00Z",
        "2026-03-02T25:00:00Z", "2026-03-02T15:10:00+30:00", "1772464200",
        "0000-01-01T00:00:00Z", "٢٠٢٦-03-02T15:10:00Z",
    ],
)  # fmt: skip
def test_what_is_no_time_with_an_offset_is_refused(text: str) -> None:
    with pytest.raises(GatewayRefusal) as raised:
        time_ns_of(text, "since")
    assert raised.value.details == {"field": "since", "provided": text}


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - the zone follows
    st.integers(-14 * 60, 14 * 60),
)
def test_what_is_shown_can_be_asked_for(moment: datetime, minutes: int) -> None:
    local = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    whole = local - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (whole.days * 86_400 + whole.seconds) * SECOND + whole.microseconds * 1_000
    assert time_ns_of(local.isoformat(), "since") == expected
    if expected >= 0:
        assert time_ns_of(time_text(expected), "since") == expected


def test_lists_have_a_bound_of_their_own() -> None:
    assert rows_wanted(None) == rows_wanted(10**9) == MOST_ROWS
    assert (rows_wanted(0), rows_wanted(3)) == (0, 3)
    with pytest.raises(GatewayRefusal):
        rows_wanted(-1)


def test_words_are_taken_in_any_case_and_empty_ones_skipped() -> None:
    both = frozenset({wire.Side.BUY, wire.Side.SELL})
    assert words(wire.Side, ["buy", "Sell,", " BUY "], "side") == both
    assert words(wire.Side, [], "side") == frozenset()
    assert optional_word(wire.Side, None, "side") is None
    assert optional_time(None, "since") is None
    with pytest.raises(GatewayRefusal, match="BUY, SELL"):
        words(wire.Side, ["hold"], "side")
