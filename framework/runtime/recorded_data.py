"""Recorded data of one system: what feeds it, at which pace, on which kind of loop.

simulated loop              virtual time jumps from event to event
real loop                   events come between the loop's other work, at once or N times as fast
front doors in a backtest   each timer and event waits for those who listen outside
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio

from framework.clock.clock import LoopClock, VirtualClock
from framework.engine.driver import Driver
from framework.runtime.system import System
from framework.settings.modes import Mode
from framework.settings.structs import Settings
from framework.simulation.loop import SimulatedLoop

if TYPE_CHECKING:
    from framework.runtime.doors import FrontDoors

TURN = 256  # recorded events per turn of a real loop
Fail = Callable[[BaseException], None]


class RecordedData:
    """Owns the driver; time stands at the first event when it has been made."""

    def __init__(
        self,
        settings: Settings,
        system: System,
        clock: VirtualClock | LoopClock,
        *,
        ended: Callable[[], None],
    ) -> None:
        self._settings = settings
        loop = asyncio.get_running_loop()
        self._loop = (
            loop if isinstance(loop, SimulatedLoop) and isinstance(clock, LoopClock) else None
        )
        events = system.recorded()
        self.driver = Driver(
            iter(()) if events is None else events,
            bus=system.engine.bus,
            outputs=system.engine.outputs,
            clock=clock,
            loop=self._loop,
            ended=ended,
        )
        first_ns = self.driver.peek_ns()
        if first_ns is not None:
            clock.advance_to(max(clock.now_ns, first_ns))
        system.engine.bus.pump()

    def run(self, doors: "FrontDoors | None", fail: Fail) -> Callable[[], Awaitable[None]] | None:
        """Begin; return what is to run as a task, where a simulated loop does not do it."""
        if self._loop is not None:
            self._loop.attach_source(_Guarded(self.driver, fail))
            return None
        if doors is not None and self._settings.mode is Mode.BACKTEST:
            return partial(doors.pace, self.driver)
        speed = self._settings.replay.speed if self._settings.mode is Mode.REPLAY else 0.0
        return partial(_pace, self.driver, speed)

    def stop(self) -> None:
        """Feed nothing more."""
        self.driver.is_stopped = True
        if self._loop is not None:
            self._loop.detach_source()


class _Guarded:
    """A source whose failure stops the system instead of the loop."""

    def __init__(self, driver: Driver, fail: Fail) -> None:
        self._driver = driver
        self._fail = fail

    def advance(self, until_ns: int | None) -> bool:
        try:
            return self._driver.advance(until_ns)
        except Exception as error:  # bad data, a broken invariant: an orderly stop reports it
            self._fail(error)
            return False


async def _pace(driver: Driver, speed: float) -> None:
    """Feed recorded data on a real loop, `speed` times as fast as it happened; 0: at once."""
    loop = asyncio.get_running_loop()
    started_s, first_ns = loop.time(), driver.peek_ns()
    while first_ns is not None:
        if speed > 0:
            next_ns = driver.peek_ns()
            if next_ns is None:
                driver.feed(1)
                return
            due_s = started_s + (next_ns - first_ns) / 1e9 / speed
            if due_s > loop.time():
                await anyio.sleep(due_s - loop.time())
        if not driver.feed(1 if speed > 0 else TURN):
            return
        await anyio.lowlevel.checkpoint()
    driver.feed(1)  # no data at all: ends at once
