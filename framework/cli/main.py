"""The argument parser, and what an error means for the exit code.

    0    done
    1    the framework gave up: one line says why
    2    the configuration, the arguments or the data are wrong: one line says where
    130  stopped by Ctrl-C (143: by SIGTERM), in order

Commands are imported when they run, so that `--help` is quick.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module

from framework.cli import alert, check_adapter, journal, kill, operate, venue
from framework.errors import ConfigError, DataError, FrameworkError

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_READER_GONE = 141  # what a shell shows for a program that SIGPIPE ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; expected errors are one line on stderr."""
    options = parser().parse_args(arguments)
    try:
        module = getattr(options, "module", options.command)  # `operate` has several commands
        command = import_module(f"framework.cli.{module}")
        return int(command.run(options))
    except FrameworkError as error:
        return report(error)
    except BaseExceptionGroup as group:
        expected = [error for error in leaves(group) if isinstance(error, FrameworkError)]
        if len(expected) != len(list(leaves(group))):
            raise  # a bug is among them: its traceback matters
        return report(expected[0])
    except KeyboardInterrupt:
        say("headrace: interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `headrace schema | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_READER_GONE


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="headrace",
        description="Trading strategies in backtest, replay, paper and live: one class for all.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")

    run = commands.add_parser("run", help="run a configuration until Ctrl-C or its data's end")
    run.add_argument("config", help="YAML file; `mode` in it decides what is real")
    run.add_argument(
        "--for",
        dest="limit_s",
        type=duration_s,
        metavar="TIME",
        help="stop in order after this long: 30s, 5m, 8h (not for a backtest)",
    )

    backtest = commands.add_parser("backtest", help="run a configuration over recorded data")
    backtest.add_argument("config", help="YAML file with mode: backtest")
    backtest.add_argument("--json", action="store_true", help="print the result as JSON only")
    backtest.add_argument("--trades", metavar="FILE", help="write the trades as CSV")
    backtest.add_argument("--report", metavar="FILE", help="write a report as HTML")
    backtest.add_argument("--seed", type=seed, metavar="N", help="replaces the configured seed")

    check = commands.add_parser("check", help="say what a configuration would run")
    check.add_argument("config", help="YAML file")

    commands.add_parser("schema", help="print the configuration's JSON schema, for editors")
    commands.add_parser("adapters", help="list the adapters that a configuration can name")
    alert.add_parser(commands)
    journal.add_parser(commands)
    kill.add_parser(commands)
    replay = commands.add_parser("replay", help="play a recording again and compare every command")
    replay.add_argument("journal", help="URL or path of the journal whose inputs were recorded")
    replay.add_argument("--verify", action="store_true", required=True, help="compare commands")
    replay.add_argument("--run", metavar="ID", help="judge this run only")
    replay.add_argument("--config", metavar="FILE", help="instead of the recorded configuration")
    operate.add_parsers(commands)
    venue.add_parser(commands)
    check_adapter.add_parser(commands)
    return top


def seed(text: str) -> int:
    """Return a seed from an argument."""
    value = int(text)
    if not 0 <= value < 2**63:
        raise ValueError(text)
    return value


def duration_s(text: str) -> float:
    """Return a length of time such as `30s`, `5m`, `1.5h` or `1d` in seconds."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(s|m|h|d)", text)
    if match is None:
        raise ValueError(text)
    return float(match[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[match[2]]


def report(error: FrameworkError) -> int:
    """Print an expected error on one line and return its exit code."""
    say(str(error) or type(error).__name__)
    is_input = isinstance(error, ConfigError | DataError)
    return EXIT_WRONG_INPUT if is_input else EXIT_FAILED


def say(text: str) -> None:
    """Print one line on stderr, without control characters."""
    from framework.settings.places import one_line
    from framework.settings.secrets import redact

    print(one_line(redact(text), longest=2_000), file=sys.stderr)


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the errors inside a group, whatever its nesting."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


class _Version(argparse.Action):
    """Prints the version; looks it up only when asked, as that reads the package's files."""

    def __call__(self, top: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("headrace")
        except PackageNotFoundError:  # run from a checkout that is not installed
            number = "(not installed)"
        print(f"headrace {number}")
        top.exit()
