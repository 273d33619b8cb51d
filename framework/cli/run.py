"""`headrace run CONFIG`: the one place that makes settings for the whole process.

An embedded `Runtime` never touches signal handlers, logging, the loop's kind, the interpreter's
switch interval or the garbage collector; this command does all of it.
"""

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from framework.cli.signals import StopSignals
from framework.settings.loading import load, located
from framework.settings.modes import Mode
from framework.settings.structs import Settings

if TYPE_CHECKING:
    from framework.model.orders import Fill
    from framework.runtime.runner import Runtime

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
        return runner.run(run_until_stopped(settings, signals, limit_s=options.limit_s))


async def run_until_stopped(
    settings: Settings, signals: StopSignals, *, limit_s: float | None = None
) -> int:
    """Run until the data ends, `limit_s` of real time have passed or a signal comes.

    Returns the exit code. A signal during the start cancels the start; after the first, one
    more at any moment leaves at once.
    """
    import anyio
    import structlog

    from framework.model.orders import Fill
    from framework.runtime.runner import Runtime

    log = structlog.get_logger("run")
    task = asyncio.current_task()
    if task is not None:
        signals.on_stop(task.cancel)
    try:
        async with Runtime(settings, interrupts_handlers=True) as runtime:
            freeze_objects()
            runtime.engine.bus.on(Fill)(lambda fill: log_fill(log, fill))
            log.info("started", name=settings.name, mode=settings.mode.value, seed=settings.seed)
            with anyio.move_on_after(limit_s) as waiting:
                signals.on_stop(waiting.cancel)
                await runtime.wait()
            signals.on_stop(lambda: None)
        for run in runtime.system.runs:
            log.info("run_at_the_end", run=run.settings.id, **activity(runtime, run.settings.id))
        for account, figures in outcome(settings, runtime).items():
            log.info("account_at_the_end", account=account, **figures)
    except asyncio.CancelledError:
        if signals.received is None:
            raise
    return signals.exit_code


def log_fill(log: Any, fill: "Fill") -> None:
    """Log one execution."""
    log.info(
        "fill",
        run=fill.run,
        instrument=fill.instrument,
        side=fill.side.value,
        quantity=f"{fill.quantity:f}",
        price=f"{fill.price:f}",
    )


def activity(runtime: "Runtime", run: str) -> dict[str, str]:
    """Return what a run did: its orders, how many were filled or denied, what it still holds."""
    from framework.model.orders import OrderStatus

    statuses = [order.status for order in runtime.engine.registry if order.run == run]
    held = {
        holding.instrument.id: f"{holding.quantity:f}"
        for holding in runtime.engine.ledger.holdings(run=run)
        if holding.quantity
    }
    return {
        "orders": str(len(statuses)),
        "filled": str(statuses.count(OrderStatus.FILLED)),
        "denied": str(statuses.count(OrderStatus.DENIED)),
        "holds": ", ".join(f"{quantity} {name}" for name, quantity in held.items()) or "nothing",
    }


def outcome(settings: Settings, runtime: "Runtime") -> dict[str, dict[str, str]]:
    """Return each account's equity per currency at the newest prices, as text."""
    from framework.model.instrument import to_decimal

    engine = runtime.engine

    def mark(instrument: str) -> Decimal | None:
        price = engine.market.reference_price(instrument)
        return None if price is None else to_decimal(price)

    equity = {account: engine.ledger.equity(account, mark) for account in settings.accounts}
    return {
        account: {currency: f"{amount:,f}" for currency, amount in sorted(amounts.items())}
        for account, amounts in equity.items()
    }


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
