"""Calendars by name: what a configuration may say, and exchanges' own tables."""

import sys
from datetime import date

import msgspec
import pytest

from framework.clock.calendars import REMEMBERED_YEARS, Calendars, ExchangeSessions
from framework.clock.trading_hours import AlwaysOpen
from framework.errors import ConfigError
from framework.model.calendars import CalendarSettings, minute_of, weekdays_of
from framework.model.instrument import Instrument
from tests.framework.clock.test_local_time import at


def test_each_calendar_is_made_once() -> None:
    calendars = Calendars({"nse": CalendarSettings(week={"mon-fri": ["09:15-15:30"]})})
    instrument = Instrument("v:INFY", calendar="nse")

    assert calendars.hours_of(instrument) is calendars.hours("nse")
    assert isinstance(calendars.hours_of(Instrument("v:BTC")), AlwaysOpen)


@pytest.mark.parametrize(
    ("now", "session"),
    [
        ("2024-07-03 16:59", ("2024-07-03 13:30", "2024-07-03 17:00")),  # a half day
        ("2024-07-03 17:00", None),
        ("2024-07-04 15:00", None),  # a holiday
        ("2024-03-08 20:59", ("2024-03-08 14:30", "2024-03-08 21:00")),
        ("2024-03-11 13:30", ("2024-03-11 13:30", "2024-03-11 20:00")),  # summer time began
        ("2024-11-04 14:30", ("2024-11-04 14:30", "2024-11-04 21:00")),  # and ended
    ],
)
def test_an_exchange_has_its_own_holidays_half_days_and_clock_changes(
    now: str, session: tuple[str, str] | None
) -> None:
    """R-58."""
    found = Calendars().hours("XNYS").session_of(at(now))

    assert found == (None if session is None else (at(session[0]), at(session[1])))


def test_an_exchange_may_be_named_in_the_configuration() -> None:
    calendars = Calendars({"us": CalendarSettings(exchange="XNYS")})

    assert calendars.hours("us").next_open_ns(at("2023-12-30 12:00")) == at("2024-01-02 14:30")


def test_an_exchange_with_a_break_has_two_sessions_a_day() -> None:
    hong_kong = Calendars().hours("XHKG")
    noon = at("2024-01-02 04:30")

    assert not hong_kong.is_open(noon)
    assert hong_kong.next_open_ns(noon) == at("2024-01-02 05:00")
    assert hong_kong.day_end_ns(noon) == at("2024-01-02 08:00")


def test_a_year_that_the_package_does_not_know_is_closed() -> None:
    """Nothing is guessed: its holidays are unknown."""
    shanghai = ExchangeSessions("XSHG")

    assert shanghai.on(date(1950, 1, 3)) == ()
    assert shanghai.on(date(2024, 1, 2)) != ()


def test_years_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-53."""
    sessions = ExchangeSessions("XNYS")
    monkeypatch.setattr(sessions, "_read", lambda year: {})
    for year in range(1950, 1950 + REMEMBERED_YEARS + 5):
        sessions.on(date(year, 1, 1))

    assert len(sessions._years) == REMEMBERED_YEARS


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'NOPE' is neither an entry of `calendars` nor known"):
        Calendars().hours("NOPE")
    with pytest.raises(ConfigError, match=r"calendars\.x\.exchange: calendar 'NOPE' is neither"):
        Calendars({"x": CalendarSettings(exchange="NOPE")}).hours("x")


def test_without_the_package_an_exchange_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)

    with pytest.raises(ConfigError, match=r"'XNYS' .* needs headrace\[calendars\] to be installed"):
        Calendars().hours("XNYS")


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({}, "needs `week` with sessions, or `exchange`"),
        ({"week": {"mon": []}}, "needs `week` with sessions"),
        ({"week": {"mon": ["09:15-15:30"]}, "exchange": "XNYS"}, "brings its own hours"),
        ({"week": {"mon": ["9:15-15:30"]}}, "'9:15' is not a time of day such as 09:15"),
        ({"week": {"mon": ["09:15-25:30"]}}, "'25:30' is not a time of day"),
        ({"week": {"mon": ["09:15-15:60"]}}, "'15:60' is not a time of day"),
        ({"week": {"mon": ["09:15-24:01"]}}, "'24:01' is not a time of day"),
        ({"week": {"mon": ["09:15"]}}, "'09:15' is not a session such as 09:15-15:30"),
        ({"week": {"mon": ["09:15-09:15"]}}, "has no length"),
        ({"week": {"mon": ["24:00-09:15"]}}, "has no length"),
        ({"week": {"mon": ["09:00-12:00", "11:00-13:00"]}}, "sessions overlap"),
        ({"week": {"mon": ["18:00-06:00"], "tue": ["05:00-07:00"]}}, "session of mon overlaps"),
        ({"week": {"sun-mon": ["18:00-18:30", "20:00-19:00"]}}, "session of sun overlaps"),
        ({"week": {"monday": ["09:15-15:30"]}}, "'monday' is not a weekday such as mon"),
        ({"week": {"mon-wen": ["09:15-15:30"]}}, "is not a weekday"),
        ({"week": {"mon-wed": ["09:15-15:30"], "tue": ["09:15-15:30"]}}, "named twice"),
        ({"week": {"mon": ["09:15-15:30"]}, "timezone": "Mars/Base"}, "unknown time zone 'Mars"),
        ({"week": {"mon": ["09:15-15:30"]}, "timezone": "../etc"}, "unknown time zone"),
        ({"week": {"mon": ["09:15-15:30"]}, "timezone": "Europe"}, "unknown time zone"),
        ({"week": {"mon": ["09:15-15:30"]}, "timezone": ""}, "unknown time zone"),
        ({"week": {"mon": ["09:15-15:30"]}, "holidays": ["26.1.2026"]}, "is not a date such as"),
        ({"week": {"mon": ["09:15-15:30"]}, "holidays": ["2026-02-30"]}, "is not a date"),
        (
            {
                "week": {"mon": ["09:15-15:30"]},
                "holidays": ["2026-01-26"],
                "special": {"2026-01-26": ["10:00-11:00"]},
            },
            "2026-01-26 is a holiday and has sessions",
        ),
        (
            {"week": {"mon": ["09:15-15:30"]}, "special": {"2026-01-25": ["20:00-10:00"]}},
            "the last session of 2026-01-25 overlaps",
        ),
        ({"weekly": {}}, "unknown field"),
    ],
)
def test_what_no_calendar_can_be_is_refused_with_the_reason(
    section: dict[str, object], reason: str
) -> None:
    """R-88."""
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(section, CalendarSettings)


def test_days_and_times_are_read_as_they_are_written() -> None:
    assert weekdays_of("sat-mon") == (5, 6, 0)
    assert weekdays_of("wed") == (2,)
    assert (minute_of("00:00"), minute_of("15:20"), minute_of("24:00")) == (0, 920, 1440)
