"""Alerts as they are raised: the first of a kind at once, its repetitions as one summary.

    first under a key        told at once; opens a window of `window_s`
    again inside the window  counted; told at once only if it is more urgent than what was told
    the window ends          told once more with the count if there was a repetition, and a new
                             window opens; else the key is forgotten

What is told goes to `tell` as `AlertRaised`. Nothing is lost silently: when more than `capacity`
windows are open, the oldest one ends early. On the loop's thread only.
"""

from collections.abc import Callable

import msgspec

from framework.alerts.alert import rank
from framework.interfaces import Clock, TimerHandle
from framework.model.records import AlertRaised
from framework.settings.places import one_line
from framework.settings.secrets import redact
from framework.settings.structs import LogLevel

WINDOW_S = 300.0
CAPACITY = 1_000  # windows open at once
LONGEST_MESSAGE = 1_000  # characters
LONGEST_VALUE = 500
MOST_FIELDS = 20


class _Window(msgspec.Struct, eq=False):
    """What was raised under one key since its window opened."""

    newest: AlertRaised
    timer: TimerHandle
    told_level: str
    count: int = 1
    told_count: int = 1


class Alerts:
    """Raises alerts; `raised_count` counts all of them, `told_count` those passed to `tell`."""

    def __init__(
        self,
        clock: Clock,
        tell: Callable[[AlertRaised], None],
        *,
        window_s: float = WINDOW_S,
        capacity: int = CAPACITY,
    ) -> None:
        self.raised_count = 0
        self.told_count = 0
        self._clock = clock
        self._tell_to = tell
        self._window_ns = round(window_s * 1e9)
        self._capacity = capacity
        self._windows: dict[str, _Window] = {}  # by age, the oldest first

    def raise_(
        self, name: str, level: LogLevel, message: str, *, key: str = "", **fields: object
    ) -> AlertRaised | None:
        """Raise one alert; return it if it was told now, None if it was only counted.

        `key` says which alerts are the same, by default all of this name. Text is cut to one
        line of a bounded length, and known secrets are taken out of it.
        """
        self.raised_count += 1
        alert = AlertRaised(
            name=_clean(name, LONGEST_VALUE),
            level=level.value,
            message=_clean(message, LONGEST_MESSAGE),
            time_ns=self._clock.now_ns,
            key=_clean(key or name, LONGEST_VALUE),
            fields=_shown(fields),
        )
        window = self._windows.get(alert.key)
        if window is None:
            return self._first(alert)
        return self._again(window, alert)

    def close(self) -> None:
        """Tell what has been counted and not told yet, and forget every window."""
        for _ in range(len(self._windows)):  # telling may raise more: not for ever
            self._end_oldest()
        for window in self._windows.values():
            window.timer.cancel()
        self._windows.clear()

    def _first(self, alert: AlertRaised) -> AlertRaised:
        if len(self._windows) >= self._capacity:
            self._end_oldest()
        self._open(alert)
        return self._tell(alert)

    def _again(self, window: _Window, alert: AlertRaised) -> AlertRaised | None:
        window.count += 1
        window.newest = alert
        if rank(alert.level) <= rank(window.told_level):
            return None
        window.told_level, window.told_count = alert.level, window.count
        return self._tell(msgspec.structs.replace(alert, count=window.count))

    def _open(self, alert: AlertRaised, *, count: int = 1) -> None:
        key = alert.key
        timer = self._clock.call_at(self._clock.now_ns + self._window_ns, lambda: self._end(key))
        self._windows[key] = _Window(alert, timer, alert.level, count, count)

    def _end(self, key: str) -> None:
        window = self._windows.pop(key)
        if window.count > window.told_count:
            summary = self._summary(window)
            self._open(summary, count=0)
            self._tell(summary)

    def _end_oldest(self) -> None:
        window = self._windows.pop(next(iter(self._windows)))
        window.timer.cancel()
        if window.count > window.told_count:
            self._tell(self._summary(window))

    def _summary(self, window: _Window) -> AlertRaised:
        return msgspec.structs.replace(
            window.newest,
            level=window.told_level,
            count=window.count,
            time_ns=self._clock.now_ns,
        )

    def _tell(self, alert: AlertRaised) -> AlertRaised:
        self.told_count += 1
        self._tell_to(alert)
        return alert


def _clean(text: str, longest: int) -> str:
    return one_line(redact(text), longest)


def _shown(fields: dict[str, object]) -> tuple[tuple[str, str], ...]:
    """Return the first fields as text, in the order given."""
    kept = list(fields.items())[:MOST_FIELDS]
    return tuple((_clean(name, 100), _clean(str(value), LONGEST_VALUE)) for name, value in kept)
