"""Calendars by name: 24/7, weekly tables from the configuration, and exchanges' own.

An instrument names its calendar: `24/7`, an entry of `calendars:` in the configuration, or a code
that exchange_calendars knows, such as XNYS (extra `calendars`).
"""

import warnings
from collections.abc import Mapping
from datetime import date
from types import ModuleType
from typing import Any

import structlog

from framework.clock.local_time import instant_ns
from framework.clock.trading_hours import AlwaysOpen, Session, SessionHours, TradingHours
from framework.errors import ConfigError
from framework.model.calendars import CalendarSettings, zone_of
from framework.model.instrument import Instrument

log = structlog.get_logger("calendars")

ALWAYS = "24/7"
REMEMBERED_YEARS = 40


class Calendars:
    """Finds the trading hours of an instrument; each calendar is made once."""

    def __init__(self, table: Mapping[str, CalendarSettings] | None = None) -> None:
        self._table = dict(table or {})
        self._made: dict[str, TradingHours] = {ALWAYS: AlwaysOpen()}

    def hours_of(self, instrument: Instrument) -> TradingHours:
        """Return when an instrument is traded.

        Raises:
            ConfigError: its calendar is unknown; ask for every instrument at start.
        """
        return self.hours(instrument.calendar)

    def hours(self, name: str) -> TradingHours:
        """Return the hours of a calendar.

        Raises:
            ConfigError: the name is unknown, or needs a package that is not there.
        """
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._make(name)
        return made

    def _make(self, name: str) -> TradingHours:
        settings = self._table.get(name)
        if settings is None:
            return SessionHours(ExchangeSessions(name).on)
        if settings.exchange:
            key = f"calendars.{name}.exchange"
            return SessionHours(ExchangeSessions(settings.exchange, key=key).on)
        return SessionHours(WeeklySessions(settings).on)


class WeeklySessions:
    """The sessions of a weekly table, with its holidays and special days."""

    def __init__(self, settings: CalendarSettings) -> None:
        self._settings = settings
        self._zone = zone_of(settings.timezone)

    def on(self, day: date) -> tuple[Session, ...]:
        """Return the sessions that open on a local date; a clock change may swallow one."""
        zone = self._zone
        sessions = [
            (instant_ns(day, opens, zone), instant_ns(day, closes, zone))
            for opens, closes in self._settings.sessions_on(day)
        ]
        return tuple(session for session in sessions if session[0] < session[1])


class ExchangeSessions:
    """The sessions that exchange_calendars has for an exchange, read year by year.

    The package knows holidays up to some year only; after it a market counts as closed, and a
    warning is logged once a year of them.
    """

    def __init__(self, name: str, *, key: str = "") -> None:
        self._package = find_package(name, key)
        self._name = name
        self._years: dict[int, dict[date, tuple[Session, ...]]] = {}
        if name not in self._package.get_calendar_names(include_aliases=True):
            raise ConfigError(
                f"calendar {name!r} is neither an entry of `calendars` nor known to"
                " exchange_calendars",
                key=key,
            )

    def on(self, day: date) -> tuple[Session, ...]:
        """Return the sessions of a trading day."""
        year = self._years.get(day.year)
        if year is None:
            if len(self._years) == REMEMBERED_YEARS:
                del self._years[next(iter(self._years))]
            year = self._years[day.year] = self._read(day.year)
        return year.get(day, ())

    def _read(self, year: int) -> dict[date, tuple[Session, ...]]:
        with warnings.catch_warnings():  # its own use of pandas is full of deprecations
            warnings.simplefilter("ignore")
            try:
                calendar = self._package.get_calendar(
                    self._name, start=f"{year}-01-01", end=f"{year}-12-31"
                )
                rows = list(calendar.schedule.itertuples())
            except (ValueError, self._package.errors.CalendarError) as error:
                log.warning("calendar_unknown", calendar=self._name, year=year, reason=str(error))
                return {}
        return {row.Index.date(): sessions_of_row(row) for row in rows}


def sessions_of_row(row: Any) -> tuple[Session, ...]:
    """Return the one or two sessions of a row (open, break_start, break_end, close: Timestamps)."""
    opens, closes = int(row.open.value), int(row.close.value)
    if row.break_start != row.break_start:  # not a time: there is no break
        return ((opens, closes),)
    return ((opens, int(row.break_start.value)), (int(row.break_end.value), closes))


def find_package(name: str, key: str) -> ModuleType:
    """Return the package exchange_calendars, imported only once a calendar needs it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import exchange_calendars
    except ImportError as error:
        reason = f"calendar {name!r} is no entry of `calendars`, and an exchange's own needs"
        raise ConfigError(f"{reason} headrace[calendars] to be installed", key=key) from error
    package: ModuleType = exchange_calendars
    return package
