"""`headrace replay JOURNAL --verify`: plays a recording again and compares every command.

    0    every command is equal
    1    the first difference is shown, with the event before it
    2    a run, or the whole recording, cannot be verified: why

The inputs lie beside the journal, in `<journal path>.inputs/`. Python must be of the version that
recorded; it is started again where PYTHONHASHSEED differs.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from framework.engine.playback import Playback, PlaybackClock, Verdict
from framework.engine.record_cursor import Difference, RecordCursor
from framework.engine.session_start import (
    RANDOM,
    config_hash,
    hash_seed,
    obstacle,
)
from framework.errors import ConfigError, DataError
from framework.interfaces import OrderLog
from framework.model.inputs import SessionStarted
from framework.model.records import Record
from framework.runtime.supervisor import Supervisor
from framework.runtime.wiring import Seams, System, build
from framework.settings.loading import load
from framework.settings.structs import Settings
from framework.simulation.loop import SimulatedLoop, seeded_random
from framework.store.copies import whole_rows
from framework.store.entries import record_of
from framework.store.input_log import read_segments
from framework.store.memory import MemoryLog
from framework.store.opening import open_for_reading

EXIT_EQUAL, EXIT_DIFFERENT, EXIT_UNVERIFIABLE = 0, 1, 2
MOST_ROUNDS = 1 << 60  # virtual time stands still in a replay: rounds at one instant mean nothing
SQLITE = "sqlite:///"

ReadOrders = Callable[[int], Iterable[Record]]
"""Returns the entries of the order log up to a position, oldest first."""

Restore = Callable[[System, OrderLog], None]
"""Gives a system that has just been built the state that an order log holds."""


def run(options: argparse.Namespace) -> int:
    """Verify a recording and say what came of it."""
    directory = inputs_directory(options.journal)
    if not directory.is_dir():
        raise DataError("no inputs were recorded", file=str(directory))
    start = RecordCursor(read_segments(directory)).next_session()
    if start is None:
        raise DataError("no session begins in these inputs", file=str(directory))
    start_with_its_hash_seed(start, os.environ, sys.argv)
    settings = recorded_settings(start, options.config)
    if options.run is not None and options.run not in {item.id for item in settings.strategies}:
        raise ConfigError(f"the configuration has no run {options.run!r}")
    verdicts = replay(
        settings,
        read_segments(directory),
        environment=os.environ,
        read_orders=partial(read_order_log, options.journal),
    )
    return report(verdicts, options.run)


def replay(
    settings: Settings,
    entries: Iterable[tuple[int, int, bytes]],
    *,
    environment: Mapping[str, str],
    read_orders: ReadOrders = lambda _: (),
    restore: Restore = lambda *_: None,
) -> list[Verdict]:
    """Play every session of a recording; the first difference ends it.

    Raises:
        DataError: the recording does not fit this process or these settings.
    """
    records = RecordCursor(entries)
    verdicts: list[Verdict] = []
    while (start := records.next_session()) is not None:
        reason = obstacle(start, environment)
        if reason:
            raise DataError(f"epoch {start.epoch} cannot be verified: {reason}")
        order_log = NeverDurable(journal_id=start.journal_id)
        for entry in read_orders(start.order_position):
            order_log.append(entry)
        verdicts.append(_play_session(settings, start, records, order_log, restore))
        if verdicts[-1].difference is not None:
            break
    return verdicts


def _play_session(
    settings: Settings,
    start: SessionStarted,
    records: RecordCursor,
    order_log: OrderLog,
    restore: Restore,
) -> Verdict:
    """Play one session on a loop of its own."""

    async def main() -> Verdict:
        clock = PlaybackClock(start.time_ns)
        random_for = partial(seeded_random, start.seed)
        seams = Seams(clock=clock, random_for=random_for, blocking=_refuse)
        system = build(settings, seams, order_log, journal_id=start.journal_id)
        restore(system, order_log)
        Supervisor(system.engine, system.runs)
        return await Playback(system.engine, system.runs, start, records, clock).play()

    loop = SimulatedLoop(seed=start.seed, max_rounds=MOST_ROUNDS)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(main())
        finally:
            loop.end_tasks()


class NeverDurable(MemoryLog):
    """An order log that lets nothing out: when a command left, the records say."""

    @property
    def durable_position(self) -> int:
        """Nothing."""
        return 0


async def _refuse(_: Any) -> Any:
    raise DataError("a replay does no blocking work")


# -- what belongs to a journal ---------------------------------------------------------------------


def inputs_directory(journal: str) -> Path:
    """Return where the inputs of a journal lie, given its URL or path."""
    return Path(f"{journal.removeprefix(SQLITE)}.inputs")


def read_order_log(journal: str, position: int) -> Iterable[Record]:
    """Yield the entries of a journal up to a position, oldest first."""
    if not position:
        return
    reading = open_for_reading(journal if "://" in journal else f"{SQLITE}{journal}")
    try:
        for row in whole_rows(reading):
            if row[0] > position:
                return
            yield record_of(row, reading.place)
    finally:
        reading.close()


def recorded_settings(start: SessionStarted, path: str | None) -> Settings:
    """Return the settings of a recording: of the file at `path`, or of the text it holds.

    Raises:
        ConfigError: they are not the recorded ones, or there is no text.
    """
    if path is None and not start.config:
        raise ConfigError("the recording holds no configuration: give --config")
    if path is not None:
        settings = load(path)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "recorded.yaml")
            file.write_text(start.config)
            settings = load(file)
    if config_hash(settings) != start.config_hash:
        raise ConfigError("the configuration is not the recorded one", file=path)
    return settings


def start_with_its_hash_seed(
    start: SessionStarted, environment: Mapping[str, str], arguments: Sequence[str]
) -> None:
    """Start this program again under the recorded PYTHONHASHSEED, unless it is the same."""
    if start.hash_seed in (RANDOM, hash_seed(environment)):
        return
    command = [sys.executable, "-m", "framework", *arguments[1:]]
    os.execve(sys.executable, command, {**environment, "PYTHONHASHSEED": start.hash_seed})


# -- what came of it -------------------------------------------------------------------------------


def report(verdicts: Sequence[Verdict], only: str | None) -> int:
    """Print a line per session, the first difference, and what was not verified."""
    code = EXIT_EQUAL
    for verdict in verdicts:
        print(
            f"session {verdict.epoch}: {verdict.record_count} records played, "
            f"{verdict.command_count} commands compared"
        )
        for run, reason in verdict.unverifiable.items():
            if only in (None, run):
                print(f"run {run} is not verifiable from some point on: {reason}")
                code = max(code, EXIT_UNVERIFIABLE)
        for run in verdict.changed_code:
            print(f"the code of run {run} has changed since")
        if verdict.lost:
            print(f"the rest of the session is not verifiable: {verdict.lost}")
            code = EXIT_UNVERIFIABLE
        if verdict.difference is not None:
            print("\n".join(_difference_lines(verdict.difference, only)))
            return EXIT_DIFFERENT
    if code == EXIT_EQUAL:
        print("every command is equal" if only is None else f"every command of {only} is equal")
    return code


def _difference_lines(difference: Difference, only: str | None) -> list[str]:
    run = difference.run or "the core"
    lines = [f"first difference, at record {difference.position}, in {run}:"]
    if only is not None and difference.run != only:
        lines.append(f"  (run {only} is equal up to there, and cannot be judged beyond it)")
    return [
        *lines,
        f"  before:    {difference.before}",
        f"  recorded:  {difference.recorded}",
        f"  replayed:  {difference.replayed}",
    ]
