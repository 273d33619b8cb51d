"""`headrace check CONFIG`: builds everything a configuration names, and runs nothing."""

import argparse
from collections.abc import Callable
from typing import Any

from framework.settings.loading import load, located
from framework.settings.structs import Settings


def run(options: argparse.Namespace) -> int:
    """Print what would run, line by line."""
    settings = load(options.config)
    with located(options.config):
        lines = check(settings)
    print(*lines, f"{options.config}: no mistakes found", sep="\n")
    return 0


def check(settings: Settings) -> list[str]:
    """Return what would run, a line each: venues, instruments, assumptions, runs.

    Raises:
        ConfigError: an adapter, a strategy or a model does not fit its section.
        DataError: recorded data is missing, or its header does not fit.
    """
    from framework.clock.clock import VirtualClock
    from framework.runtime.wiring import Seams, build, describe
    from framework.simulation.loop import seeded_random
    from framework.store.memory import MemoryLog

    seams = Seams(
        clock=VirtualClock(),
        random_for=lambda name: seeded_random(settings.seed, name),
        blocking=_inline,
    )
    return describe(settings, build(settings, seams, MemoryLog(), journal_id="check"))


async def _inline(function: Callable[[], Any]) -> Any:
    return function()
