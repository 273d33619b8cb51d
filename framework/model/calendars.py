"""Calendars as a configuration describes them: a weekly table, or an exchange's own by name."""

from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY = 24 * 60
ONE_DAY = timedelta(days=1)

Hours = Annotated[list[str], Meta(max_length=16)]
"""Sessions of one day, such as `["09:15-15:30"]`; a close at or before its open is the next day's.

`24:00` is the end of the day.
"""


class CalendarSettings(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """When a market is open: `week` in the local time of `timezone`, or `exchange`'s own calendar.

    `week` names days (`mon`) or ranges of them (`mon-fri`). On `holidays` (`2026-01-26`) no session
    opens; a date in `special` has those sessions instead of its weekday's: half days, and sessions
    on what would be a day off. A session belongs to the day on which it opens.
    """

    timezone: str = "UTC"
    week: dict[str, Hours] = {}
    holidays: Annotated[list[str], Meta(max_length=10_000)] = []
    special: dict[str, Hours] = {}
    exchange: str = ""

    def __post_init__(self) -> None:
        if self.exchange:
            if self.week or self.holidays or self.special:
                raise ValueError("`exchange` brings its own hours: leave out the others")
            return
        if not any(self.week.values()) and not any(self.special.values()):
            raise ValueError("needs `week` with sessions, or `exchange`")
        zone_of(self.timezone)
        for days, hours in self.week.items():
            weekdays_of(days)
            sessions_of(hours)
        for day in self.holidays:
            date_of(day)
        for day, hours in self.special.items():
            date_of(day)
            sessions_of(hours)
        named = [day for days in self.week for day in weekdays_of(days)]
        if len(named) != len(set(named)):
            raise ValueError("a weekday is named twice in `week`")
        both = [day for day in self.holidays if day in self.special]
        if both:
            raise ValueError(f"{both[0]} is a holiday and has sessions")
        self._check_nights()

    def sessions_on(self, day: date) -> tuple[tuple[int, int], ...]:
        """Return the sessions that open on a date, in minutes since its midnight, by open."""
        text = day.isoformat()
        if text in self.special:
            return sessions_of(self.special[text])
        return () if text in self.holidays else self._sessions_of_weekday(day.weekday())

    def _sessions_of_weekday(self, weekday: int) -> tuple[tuple[int, int], ...]:
        for days, hours in self.week.items():
            if weekday in weekdays_of(days):
                return sessions_of(hours)
        return ()

    def _check_nights(self) -> None:
        """Refuse a session that still goes on when one of the next date opens."""
        weekday = self._sessions_of_weekday
        for index, name in enumerate(WEEKDAYS):
            if overlaps(weekday(index), weekday((index + 1) % 7)):
                raise ValueError(f"the last session of {name} overlaps the next day's first")
        for text in self.special:
            for day in (date_of(text), date_of(text) - ONE_DAY):
                if overlaps(self.sessions_on(day), self.sessions_on(day + ONE_DAY)):
                    raise ValueError(f"the last session of {day} overlaps the next day's first")


def overlaps(sessions: tuple[tuple[int, int], ...], following: tuple[tuple[int, int], ...]) -> bool:
    """Tell whether a day's last session ends after the next day's first opens."""
    return bool(sessions and following) and sessions[-1][1] > following[0][0] + MINUTES_A_DAY


@cache
def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # also: a path, a directory, an unknown key
        raise ValueError(f"unknown time zone {name!r}; use names such as Asia/Kolkata") from None


def minute_of(text: str) -> int:
    """Return the minute of the day of `"15:20"`; `"24:00"` is 1440.

    Raises:
        ValueError: it is no time of day.
    """
    hours, colon, minutes = text.partition(":")
    is_plain = len(hours) == len(minutes) == 2 and text.isascii() and colon
    if is_plain and hours.isdigit() and minutes.isdigit():
        minute = int(hours) * 60 + int(minutes)
        if int(minutes) < 60 and minute <= MINUTES_A_DAY:
            return minute
    raise ValueError(f"{text!r} is not a time of day such as 09:15")


def sessions_of(hours: list[str]) -> tuple[tuple[int, int], ...]:
    """Return `["09:15-15:30"]` as (open, close) in minutes since the day's midnight, by open.

    Raises:
        ValueError: a session cannot be read, has no length, or overlaps another.
    """
    sessions = []
    for text in hours:
        opens, dash, closes = text.partition("-")
        if not dash:
            raise ValueError(f"{text!r} is not a session such as 09:15-15:30")
        start, end = minute_of(opens.strip()), minute_of(closes.strip())
        if start in (end, MINUTES_A_DAY):
            raise ValueError(f"the session {text!r} has no length")
        sessions.append((start, end if end > start else end + MINUTES_A_DAY))
    sessions.sort()
    for (_, end), (start, _) in pairwise(sessions):
        if start < end:
            raise ValueError(f"sessions overlap in {', '.join(hours)}")
    return tuple(sessions)


def weekdays_of(text: str) -> tuple[int, ...]:
    """Return the weekdays (Monday is 0) of `mon` or `mon-fri`; `sat-mon` goes over the week's end.

    Raises:
        ValueError: it names no weekday.
    """
    first, dash, last = text.partition("-")
    try:
        start = WEEKDAYS.index(first)
        end = WEEKDAYS.index(last) if dash else start
    except ValueError:
        raise ValueError(f"{text!r} is not a weekday such as mon, or mon-fri") from None
    return tuple((start + step) % 7 for step in range((end - start) % 7 + 1))


def date_of(text: str) -> date:
    """Return the date of `2026-01-26`.

    Raises:
        ValueError: it is no date.
    """
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"{text!r} is not a date such as 2026-01-26")
