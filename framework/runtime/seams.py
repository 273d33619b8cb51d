"""The seams of one system: live, simulated, or of recorded data (law 1)."""

import asyncio
from collections.abc import Callable
from typing import Any

import anyio

from framework.clock.clock import LiveClock, LoopClock, VirtualClock
from framework.interfaces import Clock
from framework.net.connectors import open_connector
from framework.runtime.system import Seams
from framework.settings.modes import Mode
from framework.settings.structs import Settings
from framework.simulation.loop import SimulatedLoop, seeded_random


def make_seams(settings: Settings) -> Seams:
    """Return what time, chance, blocking work and connections are on the running loop.

    Recorded data moves the time of a simulated loop, unless front doors are open: their clients
    need transport time to go on while market time waits for them.
    """
    loop = asyncio.get_running_loop()
    is_recorded = settings.mode in (Mode.BACKTEST, Mode.REPLAY)
    if not isinstance(loop, SimulatedLoop):
        return Seams(
            clock=VirtualClock() if is_recorded else LiveClock(),
            random_for=lambda name: seeded_random(settings.seed, name),
            blocking=_in_thread,
            connector=open_connector,
            wall_ns=_wall_ns,
        )
    return Seams(
        clock=_simulated_clock(loop, is_recorded=is_recorded, is_served=bool(settings.server)),
        random_for=loop.random_for,
        blocking=_inline,
        connector=open_connector,
        wall_ns=lambda: loop.now_ns,
    )


def _simulated_clock(loop: SimulatedLoop, *, is_recorded: bool, is_served: bool) -> Clock:
    if not is_recorded:
        return LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
    return VirtualClock() if is_served else LoopClock(loop)


def _wall_ns() -> int:
    return LiveClock().now_ns


async def _inline(function: Callable[[], Any]) -> Any:
    return function()


async def _in_thread(function: Callable[[], Any]) -> Any:
    return await anyio.to_thread.run_sync(function)
