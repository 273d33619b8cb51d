"""One pending call at market time, moved as often as its owner likes."""

from collections.abc import Callable

from framework.interfaces import Clock, TimerHandle


class Wakeup:
    """Calls `call(now_ns)` at the time last given; what it returns is the next time, or None."""

    def __init__(self, clock: Clock, call: Callable[[int], int | None]) -> None:
        self._clock = clock
        self._call = call
        self._due_ns: int | None = None
        self._handle: TimerHandle | None = None

    def set(self, time_ns: int | None) -> None:
        """Call at `time_ns` instead of what was set before; None: not at all."""
        if time_ns == self._due_ns:
            return
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._due_ns = time_ns
        if time_ns is not None:
            self._handle = self._clock.call_at(time_ns, self._ring)

    def _ring(self) -> None:
        self._handle = self._due_ns = None
        self.set(self._call(self._clock.now_ns))
