"""`headrace kill CONFIG`: stops new orders now, by the kill file, then asks for the cancels.

The file works whatever the process is doing. It stays until `--release`; so a process that starts
meanwhile starts halted.
"""

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from framework.runtime.operator_place import OperatorPlace

LONGEST_REASON = 250  # characters


def add_parser(commands: Any) -> None:
    """Register the verb."""
    text = "stop new orders at once and cancel the working entries"
    kill = commands.add_parser("kill", help=text, description=text)
    kill.add_argument("config", help="YAML file of the process")
    kill.add_argument("--reason", help="why; kept in the journal (needed for --release)")
    kill.add_argument("--flatten", action="store_true", help="close all positions too")
    kill.add_argument("--release", action="store_true", help="let orders leave again")
    kill.add_argument("--yes", action="store_true", help="release without a confirmation")


def run(options: argparse.Namespace) -> int:
    """Kill, or release."""
    from framework.errors import ConfigError
    from framework.runtime.operator_place import read_place

    place = read_place(options.config)
    if place.kill_file is None:
        raise ConfigError("there is no journal and no kill_file", key="kill_file")
    return release(options, place) if options.release else kill(options, place, place.kill_file)


def kill(options: argparse.Namespace, place: "OperatorPlace", kill_file: "Path") -> int:
    """Write the kill file, then ask the process for the cancels."""
    from framework.cli.main import say
    from framework.cli.operate import report, send
    from framework.errors import JournalError
    from framework.runtime.asking import who_asks
    from framework.runtime.kill_file import write_kill_file
    from framework.runtime.operator_requests import Kill
    from framework.settings.places import one_line

    reason = one_line(options.reason or f"killed by {who_asks()}", LONGEST_REASON)
    is_written = True
    try:
        write_kill_file(kill_file, reason)
        print(f"kill file {kill_file} is written: new orders stop")
    except OSError as error:  # the process itself may still be asked
        is_written = False
        say(f"kill file {kill_file} cannot be written: {error.strerror}")
    if place.mailbox is None:
        say("there is no journal and so no mailbox: working orders are not cancelled")
        return 1
    try:
        code = report(options, asyncio.run(send(place, Kill(reason, options.flatten), stays=True)))
    except JournalError as error:
        say(f"working orders are not cancelled: {error}")
        return 1
    return code if is_written else 1


def release(options: argparse.Namespace, place: "OperatorPlace") -> int:
    """Take the kill file away, then ask the process to let orders leave."""
    from framework.cli.main import EXIT_WRONG_INPUT, say
    from framework.cli.operate import is_confirmed, report, send
    from framework.errors import JournalError
    from framework.runtime.kill_file import remove_kill_file
    from framework.runtime.operator_requests import Release
    from framework.settings.places import one_line

    if not options.reason or options.flatten:
        say("--release needs a --reason and no --flatten")
        return EXIT_WRONG_INPUT
    if not is_confirmed(options, place, "let orders leave again"):
        return 1
    if place.kill_file is not None:
        try:
            remove_kill_file(place.kill_file)
        except OSError as error:
            raise JournalError(f"{place.kill_file}: {error.strerror}") from error
    reason = one_line(options.reason, LONGEST_REASON)
    return report(options, asyncio.run(send(place, Release(reason))))
