"""Market time: live, or virtual and moved by a driver. The only place that reads a real clock."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from framework.clock.timers import NEVER_NS, PendingTimer, Timers
from framework.errors import InvariantBroken

SHORTEST_WAIT_S = 1e-6  # less can vanish in the rounding of a loop's time: it would spin
MAXIMUM_SLEW = 0.0005  # of elapsed time: NTP's own limit, 0.5 ms per second


class VirtualClock:
    """Virtual market time: it moves only when its driver says so, and never back."""

    def __init__(self, start_ns: int = 0) -> None:
        self.now_ns = start_ns
        self.timers = Timers()

    def call_at(self, time_ns: int, callback: Callable[[], None]) -> PendingTimer:
        """Call `callback` once time has come to `time_ns`, after the market data of then."""
        return self.timers.add(max(time_ns, self.now_ns), callback)

    def advance_to(self, time_ns: int) -> None:
        """Move to `time_ns` without firing anything.

        Raises:
            InvariantBroken: that would be a step back.
        """
        if time_ns < self.now_ns:
            raise InvariantBroken(f"market time cannot go back from {self.now_ns} to {time_ns}")
        self.now_ns = time_ns


class HoldsTime(Protocol):
    """Anything that keeps virtual time: a simulated loop."""

    now_ns: int


class LoopClock:
    """Virtual market time that is the simulated loop's: market and transport time are one."""

    def __init__(self, loop: HoldsTime) -> None:
        self.timers = Timers()
        self._loop = loop

    @property
    def now_ns(self) -> int:
        """Nanoseconds UTC."""
        return self._loop.now_ns

    def call_at(self, time_ns: int, callback: Callable[[], None]) -> PendingTimer:
        """Call `callback` once time has come to `time_ns`, after the market data of then."""
        return self.timers.add(max(time_ns, self._loop.now_ns), callback)

    def advance_to(self, time_ns: int) -> None:
        """Move the loop's time. Raises InvariantBroken for a step back."""
        if time_ns < self._loop.now_ns:
            raise InvariantBroken(
                f"market time cannot go back from {self._loop.now_ns} to {time_ns}"
            )
        self._loop.now_ns = time_ns


class LiveClock:
    """Real market time: wall time at start plus monotonic time, slewed towards the wall clock.

    It never goes back and never jumps: a wall clock that is set by an hour is followed at no
    more than 0.5 ms per second (R-57). Timers are armed on the running loop.
    """

    def __init__(
        self,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.timers = Timers()
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._base_ns = wall_ns()
        self._base_monotonic_ns = monotonic_ns()
        self._armed: asyncio.TimerHandle | None = None
        self._armed_ns = NEVER_NS
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def now_ns(self) -> int:
        """Nanoseconds UTC."""
        elapsed_ns = self._monotonic_ns() - self._base_monotonic_ns
        if elapsed_ns >= 1_000_000_000:
            return self._rebase(elapsed_ns)
        return self._base_ns + elapsed_ns

    def drift_ns(self) -> int:
        """How far the wall clock is ahead of this one."""
        return self._wall_ns() - self.now_ns

    def call_at(self, time_ns: int, callback: Callable[[], None]) -> PendingTimer:
        """Call `callback` on the loop once `now_ns` is at least `time_ns`."""
        timer = self.timers.add(time_ns, callback)
        self._arm()
        return timer

    def start(self) -> None:
        """Arm the timers on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._arm()

    def stop(self) -> None:
        """Disarm; pending timers stay and fire after the next `start`."""
        if self._armed is not None:
            self._armed.cancel()
        self._armed, self._armed_ns, self._loop = None, NEVER_NS, None

    def _rebase(self, elapsed_ns: int) -> int:
        now_ns = self._base_ns + elapsed_ns
        limit_ns = int(elapsed_ns * MAXIMUM_SLEW)
        now_ns += max(-limit_ns, min(limit_ns, self._wall_ns() - now_ns))
        self._base_ns = now_ns
        self._base_monotonic_ns += elapsed_ns
        return now_ns

    def _arm(self) -> None:
        due_ns = self.timers.next_ns
        if self._loop is None or due_ns >= self._armed_ns:
            return
        if self._armed is not None:
            self._armed.cancel()
        left_ns = due_ns - self.now_ns
        delay_s = max(SHORTEST_WAIT_S, left_ns / 1e9) if left_ns > 0 else 0.0
        self._armed_ns = due_ns
        self._armed = self._loop.call_later(min(delay_s, 3600.0), self._fire)

    def _fire(self) -> None:
        self._armed, self._armed_ns = None, NEVER_NS
        now_ns = self.now_ns
        try:
            for _ in range(len(self.timers)):  # what they set for now waits for the next turn
                timer = self.timers.pop(now_ns)
                if timer is None:
                    break
                timer.callback()
        finally:  # a callback that raises keeps no other timer from firing
            self._arm()
