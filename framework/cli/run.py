"""`headrace run CONFIG`: the one place that makes settings for the whole process.

An embedded `Runtime` never touches signal handlers, logging, the loop's kind, the interpreter's
switch interval or the garbage collector; this command does all of it.
"""

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable

from framework.cli.signals import StopSignals
from framework.settings.loading import load, located
from framework.settings.modes import Mode
from framework.settings.structs import Settings

SWITCH_INTERVAL_S = 0.0005  # halves what a durable commit waits for the interpreter lock


def run(options: argparse.Namespace) -> int:
    """Run the configuration until it ends or is stopped; a backtest runs as `backtest` does."""
    settings = load(options.config)
    if settings.mode is Mode.BACKTEST:
        from framework.cli import backtest

        return backtest.show(settings, options.config)

    from framework.cli.logs import configure_logging

    configure_logging(settings.logging)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    signals = StopSignals()
    with (
        located(options.config),
        signals.installed(),
        asyncio.Runner(loop_factory=loop_factory(settings.mode)) as runner,
    ):
        return runner.run(run_until_stopped(settings, signals))


async def run_until_stopped(settings: Settings, signals: StopSignals) -> int:
    """Run the runtime until its data ends or a signal comes; return the exit code.

    A signal during start cancels the start; one during the orderly stop leaves at once.
    """
    import anyio

    from framework.runtime.runner import Runtime

    task = asyncio.current_task()
    if task is not None:
        signals.on_stop(task.cancel)
    try:
        async with Runtime(settings) as runtime:
            freeze_objects()
            with anyio.CancelScope() as waiting:
                signals.on_stop(waiting.cancel)
                await runtime.wait()
            signals.on_stop(lambda: None)
    except asyncio.CancelledError:
        if signals.received is None:
            raise
    return signals.exit_code


def loop_factory(mode: Mode) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where real time matters and the platform has it, else asyncio's."""
    if mode not in (Mode.LIVE, Mode.PAPER, Mode.DRY_RUN):
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def freeze_objects() -> None:
    """Take what lives as long as the process out of every later collection."""
    gc.collect()
    gc.freeze()
