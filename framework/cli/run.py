"""`headrace run CONFIG`: the one place that makes settings for the whole process.

An embedded `Runtime` never touches signal handlers, logging, the loop's kind, the interpreter's
switch interval or the garbage collector; this command does all of it.
"""

import argparse
import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from framework.cli.check import check_journal, shown_journal
from framework.cli.hash_seed import is_fixed, start_again
from framework.cli.signals import StopSignals
from framework.settings.document import read_text
from framework.settings.loading import load, located
from framework.settings.modes import Mode
from framework.settings.secrets import redact
from framework.settings.structs import LogLevel, Settings

if TYPE_CHECKING:
    from framework.model.orders import Fill
    from framework.runtime.runner import Runtime

THREADS_S = 1.0  # what threads have to end at the end
SWITCH_INTERVAL_S = 0.0005  # halves what a durable commit waits for the interpreter lock

SHOWING_FILLS = (LogLevel.DEBUG, LogLevel.INFO)

MARK_DIGITS = 9  # a mid of two floats has more, none of which mean anything


def run(options: argparse.Namespace) -> int:
    """Run the configuration until it ends or is stopped; a backtest runs as `backtest` does."""
    settings = load(options.config)
    with located(options.config):
        check_journal(settings)
    if settings.mode is Mode.BACKTEST:
        from framework.cli import backtest

        return backtest.show(settings, options.config)

    fix_hash_seed(settings, os.environ, sys.argv)
    from framework.cli.logs import configure_logging

    configure_logging(settings.logging)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    signals = StopSignals()
    others = set(threading.enumerate())
    with (
        located(options.config),
        signals.installed(),
        asyncio.Runner(loop_factory=loop_factory(settings.mode)) as runner,
    ):
        code = runner.run(
            run_until_stopped(
                settings,
                signals,
                limit_s=options.limit_s,
                config=redact(read_text(options.config)),
            )
        )
    leave_threads_behind(others, code)
    return code


def fix_hash_seed(
    settings: Settings, environment: Mapping[str, str], arguments: Sequence[str]
) -> None:
    """Start this program again where inputs are recorded and the order of sets is left to chance.

    A replay could not have that order again.
    """
    if settings.journal and settings.record_inputs and not is_fixed(environment):
        start_again("0", environment, arguments)


def leave_threads_behind(others: Collection[object], code: int) -> None:
    """Leave at once if a thread is held up, for up to a minute by a locked database (R-10).

    The interpreter would wait for it. Everything is closed by now: it only opened a journal that
    nobody waits for any more.
    """
    ours = [one for one in threading.enumerate() if one not in others and not one.daemon]
    for thread in ours:
        thread.join(THREADS_S / len(ours))
    if any(thread.is_alive() for thread in ours):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


async def run_until_stopped(
    settings: Settings, signals: StopSignals, *, limit_s: float | None = None, config: str = ""
) -> int:
    """Run until the data ends, `limit_s` of real time have passed or a signal comes.

    `config` is the text that the settings were read from, to be kept with recorded inputs.
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
        async with Runtime(settings, interrupts_handlers=True, config=config) as runtime:
            freeze_objects()
            if settings.logging.level in SHOWING_FILLS:
                runtime.engine.bus.on(Fill)(lambda fill: log_fill(log, fill))
            log.info("started", **beginning(settings, runtime))
            tell_addresses(runtime.addresses)
            with anyio.move_on_after(limit_s) as waiting:
                signals.on_stop(waiting.cancel)
                await runtime.wait()
            signals.on_stop(lambda: None)
        log.info("stopped", **ending(runtime))
        for run in runtime.system.runs:
            log.info("run_at_the_end", run=run.settings.id, **activity(runtime, run.settings.id))
        for account, figures in outcome(settings, runtime).items():
            log.info("account_at_the_end", account=account, **figures)
    except asyncio.CancelledError:
        if signals.received is None:
            raise
    return signals.exit_code


def tell_addresses(addresses: Sequence[str], *, file: TextIO | None = None) -> None:
    """Print where front doors listen, on one line: whoever started this waits for it."""
    if addresses:
        print(f"listening on {', '.join(addresses)}", file=file or sys.stdout, flush=True)


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


def beginning(settings: Settings, runtime: "Runtime") -> dict[str, Any]:
    """Return what runs, what is kept of it, and where it goes on from."""
    is_kept = settings.journal is not None and settings.mode is not Mode.REPLAY
    is_file = is_kept and str(settings.journal).startswith("sqlite:")
    kept = {
        "journal": shown_journal(settings.journal),
        "durability": settings.durability.value,
        "records_inputs": "yes" if is_file and settings.record_inputs else "no",
        "restored": str(runtime.restored_position),  # entries of the journal
    }
    return {
        "name": settings.name,
        "mode": settings.mode.value,
        "seed": settings.seed,
        **(kept if is_kept else {"journal": "none"}),
        **ending(runtime),
    }


def ending(runtime: "Runtime") -> dict[str, str]:
    """Return whether orders may leave, and what nothing protects while no process runs."""
    system = runtime.system
    switch = system.safeguards.kill_switch
    found = {
        "gate": f"{switch.state.value}: {switch.reason}" if switch.causes else "active",
        "unprotected": ", ".join(
            f"{position.quantity:f} {position.instrument} of {position.run}"
            for position in system.care.emulation.unprotected()
        )
        or "none",
    }
    paused = [run.id for run in system.book if run.state.value == "paused"]
    return found if not paused else {**found, "paused": ", ".join(paused)}


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
        return None if price is None else to_decimal(round(price, MARK_DIGITS))

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
