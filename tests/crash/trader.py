"""The trader as a process: `python -m tests.crash.trader`, to be killed at any moment.

Prints `ready` once its state is in `--state`, before it trades; ends in order when its stdin is
closed. With `--settle` it only takes its orders back, waits until nothing is open or in doubt,
writes its state again and ends in order by itself.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from framework.runtime.runner import Runtime
from framework.store.sqlite import SqliteStorage
from tests.broker.adapter import install
from tests.crash.check import State, state_of
from tests.crash.trading import ACCOUNT, CASH, RUN, RandomTrader, trader_settings

SETTLED_S = 20.0
LINK: dict[str, Any] = {"answer_s": 0.3, "back_off_cap_s": 0.2}


class Screen:
    """What a user sees, one line of a file each.

    A line is in the kernel's hands when `show` returns: it survives a kill of this process.
    """

    def __init__(self, path: Path) -> None:
        self.started = asyncio.Event()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def show(self, line: Mapping[str, Any]) -> None:
        """Write a line."""
        if "started" in line:
            self.started.set()
        else:
            os.write(self._file, msgspec.json.encode(line) + b"\n")


def die_at_sync(number: int) -> None:
    """Let this process kill itself at its n-th commit: odd ones right before, even ones after."""
    write: Callable[[SqliteStorage, Sequence[Any]], None] = SqliteStorage.write
    count = 0

    def mortal_write(storage: SqliteStorage, rows: Sequence[Any]) -> None:
        nonlocal count
        count += 1
        if count == number and number % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        write(storage, rows)
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(SqliteStorage, "write", mortal_write)  # noqa: B010 - mypy forbids the plain way


async def trade(arguments: argparse.Namespace) -> None:
    """Run until stdin is closed, or until everything is settled."""
    screen = Screen(arguments.screen)
    RandomTrader.hear = screen.show  # type: ignore[method-assign]
    RandomTrader.is_quiet = arguments.settle
    install()
    settings = trader_settings(
        seed=arguments.seed,
        host="127.0.0.1",
        port=arguments.port,
        journal=arguments.journal,
        **LINK,
    )
    async with Runtime(settings) as runtime:
        await screen.started.wait()
        write_state(arguments.state, runtime)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        if arguments.settle:
            await settle(runtime)
            write_state(arguments.state, runtime)
        else:
            await until_stdin_ends()


async def settle(runtime: Runtime) -> None:
    """Take everything back and wait until it is gone. Raises TimeoutError."""
    desk, registry = runtime.engine.desk, runtime.engine.registry
    async with asyncio.timeout(SETTLED_S):
        while registry.open_orders(RUN):
            desk.cancel_all(RUN)
            await asyncio.sleep(0.05)


def write_state(path: Path, runtime: Runtime) -> None:
    """Put what is believed here into a file, whole or not at all."""
    state: State = state_of(runtime.engine, ACCOUNT, opening=CASH)
    path.with_suffix(".new").write_bytes(msgspec.json.encode(state))
    path.with_suffix(".new").rename(path)


async def until_stdin_ends() -> None:
    """Wait for the word to stop: the end of stdin."""
    ended, stdin = asyncio.Event(), sys.stdin.fileno()
    loop = asyncio.get_running_loop()
    loop.add_reader(stdin, lambda: None if os.read(stdin, 1) else ended.set())
    await ended.wait()
    loop.remove_reader(stdin)


def main() -> None:
    """Read the arguments and trade."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--screen", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--die-at-sync", type=int, default=0)
    parser.add_argument("--settle", action="store_true")
    arguments = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if arguments.die_at_sync:
        die_at_sync(arguments.die_at_sync)
    asyncio.run(trade(arguments))


if __name__ == "__main__":
    main()
