"""Rules that only the clock judges: a silent strategy, and square-off at a time of the day."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta

from framework.clock.local_time import instant_ns, local_date
from framework.clock.trading_hours import TradingHours, square_off_window
from framework.model.calendars import minute_of, zone_of
from framework.model.protection import Protection

NS_PER_S = 1_000_000_000

Match = tuple[str, str, int | None]
"""(rule, reason, until when the exit lasts)."""


class ClockRules:
    """Judges the time since the strategy was last heard, and the time of the day."""

    def __init__(self, rules: Protection, hours_of: Callable[[str], TradingHours]) -> None:
        self._rules = rules
        self._hours_of = hours_of
        self._zone = zone_of(rules.timezone)
        self._heard_ns = 0

    def heartbeat(self, now_ns: int) -> None:
        """Note a sign of life."""
        self._heard_ns = now_ns

    def match(self, instruments: list[str], rearmed_ns: int, now_ns: int) -> Match | None:
        """Return the first rule that the time breaks; `instruments` are held or have orders.

        A square-off that was due before `rearmed_ns` is over: somebody resumed the run after it.
        """
        return (
            self._stale(now_ns)
            or self._by_local_time(rearmed_ns, now_ns)
            or self._before_close(instruments, rearmed_ns, now_ns)
        )

    def times(self, instruments: list[str], now_ns: int) -> Iterable[int]:
        """Yield when these rules are due next; some may be past."""
        rules = self._rules
        if rules.stale_after_s is not None:
            yield self._heard_ns + int(rules.stale_after_s * NS_PER_S)
        if rules.square_off:
            for day in (self._date(now_ns), self._date(now_ns) + timedelta(days=1)):
                yield instant_ns(day, minute_of(rules.square_off), self._zone)
        if rules.square_off_minutes is not None:
            for name in instruments:
                yield from self._window_starts(name, rules.square_off_minutes, now_ns)
        if rules.max_day_loss is not None:
            yield self.midnight_ns(now_ns)

    def day(self, now_ns: int) -> str:
        """Return the local date, such as `2026-01-26`."""
        return self._date(now_ns).isoformat()

    def midnight_ns(self, now_ns: int) -> int:
        """Return the next local midnight."""
        return instant_ns(self._date(now_ns) + timedelta(days=1), 0, self._zone)

    def _stale(self, now_ns: int) -> Match | None:
        limit_s = self._rules.stale_after_s
        silent_s = (now_ns - self._heard_ns) / NS_PER_S
        if limit_s is None or silent_s < limit_s:
            return None
        return "stale_after_s", f"no sign of life from the strategy for {silent_s:.0f} s", None

    def _by_local_time(self, rearmed_ns: int, now_ns: int) -> Match | None:
        at = self._rules.square_off
        if not at or not (
            rearmed_ns < instant_ns(self._date(now_ns), minute_of(at), self._zone) <= now_ns
        ):
            return None
        return "square_off", f"square-off at {at} {self._rules.timezone}", self.midnight_ns(now_ns)

    def _before_close(self, instruments: list[str], rearmed_ns: int, now_ns: int) -> Match | None:
        minutes = self._rules.square_off_minutes
        if minutes is None:
            return None
        for name in instruments:
            window = square_off_window(self._hours_of(name), now_ns, minutes)
            if window is not None and rearmed_ns < window[0] <= now_ns:
                reason = f"square-off {minutes} minutes before the close of {name}"
                return "square_off_minutes", reason, window[1]
        return None

    def _window_starts(self, name: str, minutes: int, now_ns: int) -> Iterable[int]:
        """Yield when the square-off of this trading day is due, and of the next one."""
        hours = self._hours_of(name)
        window = square_off_window(hours, now_ns, minutes)
        if window is not None:
            yield window[0]
            following = square_off_window(hours, window[1], minutes)
            if following is not None:
                yield following[0]

    def _date(self, now_ns: int) -> date:
        return local_date(now_ns, self._zone)
