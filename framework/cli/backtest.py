"""`headrace backtest CONFIG`: runs over recorded data and prints the result."""

import argparse
import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from framework.cli.progress import shown_progress
from framework.cli.run import freeze_objects, tell_addresses
from framework.cli.signals import StopSignals
from framework.errors import ConfigError, FrameworkError
from framework.settings.loading import load, located
from framework.settings.modes import Mode
from framework.settings.structs import Settings

if TYPE_CHECKING:
    from framework.backtest.result import BacktestArtifacts, BacktestResult


def run(options: argparse.Namespace) -> int:
    """Run a backtest as the options say."""
    settings = load(options.config)
    if settings.mode is not Mode.BACKTEST:
        with located(options.config):
            reason = f"the mode is {settings.mode.value}; a backtest needs mode: backtest"
            raise ConfigError(reason, key="mode")
    if options.seed is not None:
        settings = msgspec.structs.replace(settings, seed=options.seed)
    return show(
        settings,
        options.config,
        is_json=options.json,
        trades_path=options.trades,
        report_path=options.report,
    )


def show(
    settings: Settings,
    config: str,
    *,
    is_json: bool = False,
    trades_path: str | None = None,
    report_path: str | None = None,
) -> int:
    """Run the backtest, write the files asked for, and print its result on stdout.

    Raises:
        GivenUp: nobody outside answers any more; what it had come to has been printed and written.
    """
    for path in (trades_path, report_path):
        require_writable(path)  # before the work, not after it

    from framework.backtest.given_up import GivenUp
    from framework.backtest.result import to_json
    from framework.backtest.runner import run_backtest
    from framework.backtest.summary import summary_text
    from framework.cli.logs import configure_logging
    from framework.clock.clock import LiveClock

    configure_logging(settings.logging)  # to stderr: stdout is for the result alone
    clock = LiveClock()
    freeze_objects()
    signals = StopSignals()

    def on_listening(addresses: list[str]) -> None:
        task = asyncio.current_task()
        if task is not None:
            signals.on_stop(task.cancel)
        tell_addresses(addresses, file=sys.stderr if is_json else sys.stdout)

    given_up: GivenUp | None = None
    with (
        located(config),
        shown_progress(lambda: clock.now_ns, is_quiet=is_json) as on_progress,
        signals.installed() if settings.server else nullcontext(),  # to see clients off
    ):
        try:
            result, artifacts = run_backtest(
                settings, on_progress=on_progress, on_listening=on_listening
            )
        except asyncio.CancelledError:
            if signals.received is None:
                raise
            return signals.exit_code
        except GivenUp as error:
            given_up, result, artifacts = error, error.result, error.artifacts
    print(to_json(result).decode() if is_json else summary_text(result))
    write_files(result, artifacts, trades_path=trades_path, report_path=report_path)
    if not is_json:
        for path in filter(None, (trades_path, report_path)):
            print(f"{path} written")
    if given_up is not None:
        raise given_up
    return 0


def write_files(
    result: "BacktestResult",
    artifacts: "BacktestArtifacts",
    *,
    trades_path: str | None,
    report_path: str | None,
) -> None:
    """Write the files that were asked for.

    Raises:
        FrameworkError: one cannot be written.
    """
    try:
        if trades_path is not None:
            from framework.backtest.trades_csv import write_trades_csv

            write_trades_csv(trades_path, artifacts.trades)
        if report_path is not None:
            from framework.backtest.report import write_report  # charts take long to import

            write_report(report_path, result, artifacts)
    except OSError as error:
        raise FrameworkError(f"{error.filename}: cannot be written: {error.strerror}") from error


def require_writable(path: str | None) -> None:
    """Refuse an output file that is a folder, or whose folder does not exist."""
    if path is None:
        return
    if Path(path).is_dir():
        raise ConfigError("is a folder", file=path)
    if not Path(path).parent.is_dir():
        raise ConfigError("its folder does not exist", file=path)
