"""Opening hours: the protocol over every kind of calendar, and the instants that matter."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.clock.calendars import WeeklySessions
from framework.clock.trading_hours import (
    DAY_NS,
    REMEMBERED_DAYS,
    AlwaysOpen,
    SessionHours,
    TradingHours,
    square_off_window,
)
from framework.model.calendars import CalendarSettings
from tests.framework.clock.test_local_time import at

NSE = CalendarSettings(
    timezone="Asia/Kolkata",
    week={"mon-fri": ["09:15-15:30"]},
    holidays=["2026-01-26"],
    special={"2026-11-08": ["18:00-19:15"], "2026-01-28": ["09:15-12:30"]},
)
TOKYO = CalendarSettings(timezone="Asia/Tokyo", week={"mon-fri": ["09:00-11:30", "12:30-15:00"]})
CHICAGO = CalendarSettings(timezone="America/Chicago", week={"sun-thu": ["17:00-16:00"]})
NIGHT = CalendarSettings(timezone="America/New_York", week={"mon-sun": ["22:00-02:30"]})
ROUND = CalendarSettings(week={"mon-sun": ["00:00-24:00"]})
ALL = {"nse": NSE, "tokyo": TOKYO, "chicago": CHICAGO, "night": NIGHT, "round": ROUND}


def hours(settings: CalendarSettings) -> SessionHours:
    return SessionHours(WeeklySessions(settings).on)


def test_a_market_that_never_closes_has_days_and_no_sessions() -> None:
    always = AlwaysOpen()
    now_ns = at("2026-01-05 12:00")

    assert always.is_open(now_ns)
    assert always.next_open_ns(now_ns) is always.next_close_ns(now_ns) is None
    assert always.session_of(now_ns) is None
    assert always.day_end_ns(now_ns) == at("2026-01-06 00:00")
    assert always.day_end_ns(at("2026-01-06 00:00")) == at("2026-01-07 00:00")
    assert square_off_window(always, now_ns, 10) is None


@pytest.mark.parametrize(
    ("now", "is_open", "next_open", "next_close", "day_end"),
    [
        ("2026-01-23 03:44", False, "2026-01-23 03:45", "2026-01-23 10:00", "2026-01-23 10:00"),
        ("2026-01-23 03:45", True, "2026-01-27 03:45", "2026-01-23 10:00", "2026-01-23 10:00"),
        ("2026-01-23 09:59", True, "2026-01-27 03:45", "2026-01-23 10:00", "2026-01-23 10:00"),
        # a weekend and a holiday
        ("2026-01-23 10:00", False, "2026-01-27 03:45", "2026-01-27 10:00", "2026-01-27 10:00"),
        ("2026-01-26 05:00", False, "2026-01-27 03:45", "2026-01-27 10:00", "2026-01-27 10:00"),
        # a half day
        ("2026-01-28 06:59", True, "2026-01-29 03:45", "2026-01-28 07:00", "2026-01-28 07:00"),
        ("2026-01-28 07:00", False, "2026-01-29 03:45", "2026-01-29 10:00", "2026-01-29 10:00"),
        # a session on a Sunday
        ("2026-11-08 12:30", True, "2026-11-09 03:45", "2026-11-08 13:45", "2026-11-08 13:45"),
    ],
)
def test_a_weekly_table_with_holidays_and_special_days(
    now: str, is_open: bool, next_open: str, next_close: str, day_end: str
) -> None:
    """R-58."""
    nse = hours(NSE)

    assert nse.is_open(at(now)) is is_open
    assert nse.next_open_ns(at(now)) == at(next_open)
    assert nse.next_close_ns(at(now)) == at(next_close)
    assert nse.day_end_ns(at(now)) == at(day_end)


def test_a_break_at_noon_does_not_end_the_day() -> None:
    tokyo = hours(TOKYO)
    noon = at("2026-01-06 03:00")

    assert not tokyo.is_open(noon)
    assert tokyo.next_open_ns(noon) == at("2026-01-06 03:30")
    assert tokyo.day_end_ns(noon) == at("2026-01-06 06:00")
    assert tokyo.session_of(at("2026-01-06 01:00")) == (
        at("2026-01-06 00:00"),
        at("2026-01-06 02:30"),
    )
    assert square_off_window(tokyo, at("2026-01-06 01:00"), 10) == (
        at("2026-01-06 05:50"),
        at("2026-01-06 06:00"),
    )


@pytest.mark.parametrize(
    ("now", "session"),
    [
        ("2026-01-05 03:00", ("2026-01-04 23:00", "2026-01-05 22:00")),
        ("2026-01-05 22:30", None),
        ("2026-01-09 22:30", None),  # Friday evening
        ("2026-03-08 22:00", ("2026-03-08 22:00", "2026-03-09 21:00")),  # summer time began
        ("2026-11-01 23:00", ("2026-11-01 23:00", "2026-11-02 22:00")),  # and ended
        ("2026-11-01 22:30", None),
    ],
)
def test_a_session_over_midnight_and_over_a_clock_change(
    now: str, session: tuple[str, str] | None
) -> None:
    """R-58."""
    found = hours(CHICAGO).session_of(at(now))

    assert found == (None if session is None else (at(session[0]), at(session[1])))


@pytest.mark.parametrize(
    ("now", "session"),
    [
        # 02:30 does not exist on that morning: the session ends with the change, at 07:00 UTC
        ("2026-03-08 05:00", ("2026-03-08 03:00", "2026-03-08 07:00")),
        # the night in which the clocks go back is an hour longer
        ("2026-11-01 05:00", ("2026-11-01 02:00", "2026-11-01 07:30")),
        ("2026-07-01 05:00", ("2026-07-01 02:00", "2026-07-01 06:30")),
    ],
)
def test_a_session_that_spans_the_change_itself(now: str, session: tuple[str, str]) -> None:
    """R-58."""
    assert hours(NIGHT).session_of(at(now)) == (at(session[0]), at(session[1]))


def test_a_session_that_the_clock_change_swallows_is_not_held() -> None:
    """R-58."""
    short = CalendarSettings(timezone="Europe/London", week={"mon-sun": ["01:15-01:45"]})

    assert WeeklySessions(short).on(date(2026, 3, 29)) == ()
    assert len(WeeklySessions(short).on(date(2026, 3, 30))) == 1


def test_sessions_that_touch_leave_no_gap() -> None:
    round_the_clock = hours(ROUND)

    assert round_the_clock.is_open(at("2026-01-06 00:00"))
    assert round_the_clock.next_close_ns(at("2026-01-06 00:00")) == at("2026-01-07 00:00")


def test_a_market_that_never_opens_again_says_so() -> None:
    ended = SessionHours(lambda day: ())
    now_ns = at("2026-01-06 12:00")

    assert not ended.is_open(now_ns)
    assert not ended.is_open(now_ns)
    assert ended.next_open_ns(now_ns) is ended.next_close_ns(now_ns) is None
    assert ended.day_end_ns(now_ns) == at("2026-01-07 00:00")
    assert square_off_window(ended, now_ns, 10) is None


@pytest.mark.parametrize("time_ns", [-(10**19), 10**19, 10**30])
def test_times_beyond_any_calendar_are_closed(time_ns: int) -> None:
    assert not hours(NSE).is_open(time_ns)
    assert hours(NSE).next_open_ns(time_ns) in (None, hours(NSE).next_open_ns(-(10**19)))


def test_days_are_remembered_up_to_a_bound() -> None:
    """R-53."""
    asked: list[date] = []

    def on(day: date) -> tuple[tuple[int, int], ...]:
        asked.append(day)
        return WeeklySessions(NSE).on(day)

    remembering = SessionHours(on)
    for day in range(REMEMBERED_DAYS + 500):
        remembering.is_open(at("2026-01-05 04:00") + day * DAY_NS)
    assert len(remembering._days) <= REMEMBERED_DAYS
    count = len(asked)
    remembering.next_close_ns(at("2026-01-05 04:00") + (REMEMBERED_DAYS + 499) * DAY_NS)
    assert len(asked) == count


def by_definition(calendar: TradingHours, sessions: list[tuple[int, int]], now_ns: int) -> None:
    """Compare every answer with a plain search of a list of sessions."""
    here = [session for session in sessions if session[0] <= now_ns < session[1]]
    assert calendar.session_of(now_ns) == (here[0] if here else None)
    assert calendar.is_open(now_ns) is bool(here)
    assert calendar.next_open_ns(now_ns) == min(s[0] for s in sessions if s[0] > now_ns)
    assert calendar.next_close_ns(now_ns) == min(s[1] for s in sessions if s[1] > now_ns)


@given(
    st.sampled_from(sorted(ALL)),
    st.lists(st.integers(at("2026-03-01 00:00"), at("2026-11-20 00:00")), max_size=6),
)
def test_every_answer_equals_a_plain_search(name: str, times: list[int]) -> None:
    """R-58: whatever is asked in which order, over both clock changes."""
    calendar, table = hours(ALL[name]), WeeklySessions(ALL[name])
    first = date(2026, 2, 20).toordinal()
    sessions = [s for day in range(first, first + 290) for s in table.on(date.fromordinal(day))]
    for now_ns in times:
        by_definition(calendar, sessions, now_ns)
