"""When a market is open: the one interface, its 24/7 form, and hours made of dated sessions.

Every instant is in nanoseconds UTC. A session is half open: it contains its opening and not its
close. A trading day is the group of sessions under one date; a break at noon does not end it.
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Protocol

MINUTE_NS = 60_000_000_000
DAY_NS = 86_400_000_000_000
EPOCH_DAY = date(1970, 1, 1).toordinal()
EARLIEST, LATEST = date(1900, 1, 1).toordinal(), date(2200, 1, 1).toordinal()
REACH_DAYS = 400  # how far ahead an opening is looked for: longer than any closure known
SPILL_DAYS = 2  # a session may open on the date before its own and close on the one after
REMEMBERED_DAYS = 2_000

Session = tuple[int, int]
"""(open, close) in nanoseconds UTC; the close lies after the open."""


class TradingHours(Protocol):
    """When a market is open."""

    def is_open(self, time_ns: int) -> bool:
        """Tell whether it is open at that instant."""

    def next_open_ns(self, time_ns: int) -> int | None:
        """Return the first opening after that instant, None where none is known."""

    def next_close_ns(self, time_ns: int) -> int | None:
        """Return the first close after that instant, None where it never closes."""

    def session_of(self, time_ns: int) -> Session | None:
        """Return the session of that instant, None while closed and where it never closes."""

    def day_end_ns(self, time_ns: int) -> int:
        """Return when an order for the day that is given now expires, after that instant.

        It is the last close of the trading day that goes on, or else of the next one; the next
        midnight UTC where the market never closes or no session is known.
        """


class AlwaysOpen:
    """A market that never closes; its day ends at midnight UTC."""

    def is_open(self, time_ns: int) -> bool:
        """Tell that it is open."""
        return True

    def next_open_ns(self, time_ns: int) -> int | None:
        """Return None: it does not open, as it never closes."""
        return None

    def next_close_ns(self, time_ns: int) -> int | None:
        """Return None."""
        return None

    def session_of(self, time_ns: int) -> Session | None:
        """Return None: there are no sessions."""
        return None

    def day_end_ns(self, time_ns: int) -> int:
        """Return the next midnight UTC."""
        return next_midnight_ns(time_ns)


class SessionHours:
    """Hours made of the sessions that `sessions_on` gives for each date, oldest first.

    Sessions must not overlap, neither within a date nor with those of the dates beside it, and
    must lie within a day of their date.
    """

    def __init__(self, sessions_on: Callable[[date], tuple[Session, ...]]) -> None:
        self._sessions_on = sessions_on
        self._days: dict[int, tuple[Session, ...]] = {}
        self._known: tuple[int, int, Session | None] = (0, 0, None)

    def is_open(self, time_ns: int) -> bool:
        """Tell whether a session goes on."""
        return self.session_of(time_ns) is not None

    def session_of(self, time_ns: int) -> Session | None:
        """Return the session that goes on."""
        start, end, session = self._known
        if not start <= time_ns < end:  # asked with every order: the answer holds for hours
            start, end, session = self._known = self._stretch(time_ns)
        return session

    def next_open_ns(self, time_ns: int) -> int | None:
        """Return the first opening after that instant, looked for up to 400 days ahead."""
        for day in self._days_from(time_ns):
            for opens, _ in self._of_day(day):
                if opens > time_ns:
                    return opens
        return None

    def next_close_ns(self, time_ns: int) -> int | None:
        """Return the first close after that instant, looked for up to 400 days ahead."""
        for day in self._days_from(time_ns):
            for _, closes in self._of_day(day):
                if closes > time_ns:
                    return closes
        return None

    def day_end_ns(self, time_ns: int) -> int:
        """Return the last close of the trading day that goes on, or else of the next one."""
        for day in self._days_from(time_ns):
            sessions = self._of_day(day)
            if sessions and sessions[-1][1] > time_ns:
                return sessions[-1][1]
        return next_midnight_ns(time_ns)

    def _stretch(self, time_ns: int) -> tuple[int, int, Session | None]:
        """Return (from, until, session) for which one answer holds."""
        start = time_ns
        for day in self._days_from(time_ns):
            for opens, closes in self._of_day(day):
                if closes <= time_ns:
                    start = closes
                elif opens <= time_ns:
                    return opens, closes, (opens, closes)
                else:
                    return start, opens, None
        return time_ns, time_ns + 1, None

    def _days_from(self, time_ns: int) -> Iterator[int]:
        """Yield the days whose sessions may end after that instant, none before 1900."""
        day = EPOCH_DAY + time_ns // DAY_NS - SPILL_DAYS
        return iter(range(max(day, EARLIEST), min(day + REACH_DAYS, LATEST)))

    def _of_day(self, day: int) -> tuple[Session, ...]:
        sessions = self._days.get(day)
        if sessions is None:
            if len(self._days) == REMEMBERED_DAYS:
                del self._days[next(iter(self._days))]
            sessions = self._days[day] = self._sessions_on(date.fromordinal(day))
        return sessions


def next_midnight_ns(time_ns: int) -> int:
    """Return the first midnight UTC after that instant."""
    return (time_ns // DAY_NS + 1) * DAY_NS


def square_off_window(hours: TradingHours, time_ns: int, minutes: int) -> Session | None:
    """Return (`minutes` before the end of the trading day, that end); None: it never closes.

    The day is the one that goes on, or else the next; a break at noon does not end it.
    """
    if hours.next_close_ns(time_ns) is None:
        return None
    end_ns = hours.day_end_ns(time_ns)
    return end_ns - minutes * MINUTE_NS, end_ns
