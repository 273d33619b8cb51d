"""Local times as instants, over clock changes in both directions (R-58)."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.clock.local_time import instant_ns, local_date, next_local_ns
from framework.model.calendars import minute_of, zone_of

NS_PER_S = 1_000_000_000
ZONES = ("UTC", "America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe")


def at(text: str) -> int:
    """Return nanoseconds UTC of `2026-03-08 07:00`."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp()) * NS_PER_S


@pytest.mark.parametrize(
    ("zone", "day", "time", "instant"),
    [
        ("Asia/Kolkata", "2026-01-26", "15:20", "2026-01-26 09:50"),
        ("Asia/Kolkata", "2026-01-26", "24:00", "2026-01-26 18:30"),
        ("America/New_York", "2026-03-07", "02:30", "2026-03-07 07:30"),
        (
            "America/New_York",
            "2026-03-08",
            "02:30",
            "2026-03-08 07:00",
        ),  # there is none: the change
        ("America/New_York", "2026-03-08", "03:00", "2026-03-08 07:00"),
        ("America/New_York", "2026-03-09", "02:30", "2026-03-09 06:30"),
        ("America/New_York", "2026-11-01", "01:30", "2026-11-01 05:30"),  # comes twice: the first
        ("America/New_York", "2026-11-01", "02:00", "2026-11-01 07:00"),
        ("Europe/London", "2026-03-29", "01:30", "2026-03-29 01:00"),
        ("Europe/London", "2026-10-25", "01:30", "2026-10-25 00:30"),
        ("Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03 15:30"),  # half an hour is lost
        ("Pacific/Apia", "2011-12-30", "12:00", "2011-12-30 10:00"),  # a whole day that was not
        ("America/Sao_Paulo", "2018-11-04", "00:00", "2018-11-04 03:00"),  # no midnight
    ],
)
def test_a_local_time_is_one_instant(zone: str, day: str, time: str, instant: str) -> None:
    """R-58."""
    found = instant_ns(date.fromisoformat(day), minute_of(time), zone_of(zone))

    assert found == at(instant)


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Australia/Lord_Howe"])
@pytest.mark.parametrize("time", ["00:00", "01:30", "02:15", "02:30", "15:20", "23:59"])
@pytest.mark.parametrize(
    ("first", "last"), [("2026-03-01", "2026-04-10"), ("2026-10-01", "2026-11-10")]
)
def test_a_daily_time_comes_once_on_each_local_day(
    zone: str, time: str, first: str, last: str
) -> None:
    """R-58: DST both ways; asked again at each instant, as a timer would."""
    now_ns, end_ns = at(first), at(last)
    fired = []
    while (now_ns := next_local_ns(now_ns, minute_of(time), zone_of(zone))) < end_ns:
        fired.append(local_date(now_ns, zone_of(zone)).toordinal())

    assert fired == list(range(fired[0], fired[0] + len(fired)))
    assert len(fired) >= 39


@given(
    st.sampled_from(ZONES),
    st.dates(date(2000, 1, 1), date(2035, 12, 31)),
    st.lists(st.integers(0, 2_880), min_size=2, max_size=6),
)
def test_later_local_times_are_never_earlier_instants(
    zone: str, day: date, minutes: list[int]
) -> None:
    instants = [instant_ns(day, minute, zone_of(zone)) for minute in sorted(minutes)]

    assert instants == sorted(instants)


@given(st.sampled_from(ZONES), st.integers(0, 2_000_000_000), st.integers(0, 1_439))
def test_the_next_local_time_lies_ahead_and_within_two_days(
    zone: str, second: int, minute: int
) -> None:
    now_ns = second * NS_PER_S

    due_ns = next_local_ns(now_ns, minute, zone_of(zone))

    assert now_ns < due_ns <= now_ns + 26 * 3_600 * NS_PER_S
