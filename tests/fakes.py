"""Hand-driven stand-ins for the seams: tests turn them by hand and never sleep."""

from collections.abc import Callable
from heapq import heappop, heappush


class ManualTimer:
    """A pending timer of a `ManualClock`."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        """Take the timer back; harmless once it fired."""
        self.is_cancelled = True


class ManualClock:
    """A `Clock` that stands still until `advance_to` moves it.

    Timers fire by due time, equal ones in the order they were made, each at its own due time.
    One that is made for the past fires on the next `advance_to`, at the time it is then.
    """

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._created_count = 0
        self._pending: list[tuple[int, int, ManualTimer]] = []

    @property
    def now_ns(self) -> int:
        """Nanoseconds UTC; never goes back."""
        return self._now_ns

    @property
    def pending_count(self) -> int:
        """How many timers wait."""
        return sum(not timer.is_cancelled for _, _, timer in self._pending)

    def call_at(self, time_ns: int, callback: Callable[[], None]) -> ManualTimer:
        """Call `callback` from the `advance_to` that reaches `time_ns`, never from here."""
        timer = ManualTimer(callback)
        heappush(self._pending, (time_ns, self._created_count, timer))
        self._created_count += 1
        return timer

    def advance_to(self, time_ns: int) -> None:
        """Move to `time_ns` and fire what is due on the way, made on the way included.

        Raises:
            ValueError: `time_ns` lies in the past.
        """
        if time_ns < self._now_ns:
            raise ValueError(f"the clock is at {self._now_ns} and cannot go back to {time_ns}")
        while self._pending and self._pending[0][0] <= time_ns:
            due_ns, _, timer = heappop(self._pending)
            self._now_ns = max(self._now_ns, due_ns)
            if not timer.is_cancelled:
                timer.callback()
        self._now_ns = time_ns
