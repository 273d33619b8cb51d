"""`headrace replay JOURNAL --verify`: plays a recording again and compares every command.

    0    every command is equal
    1    the first difference is shown, with the event before it
    2    a run, or the whole recording, cannot be verified: why

The inputs lie beside the journal, in `<journal path>.inputs/`. Python must be of the version that
recorded; it is started again where PYTHONHASHSEED differs. Each session begins as it did: with
the entries that the order log held by then, by the start-up path that every process takes.
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

import msgspec

from framework.cli.hash_seed import start_again
from framework.cli.logs import configure_logging
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
from framework.model.records import AlertRaised, Record
from framework.net.connectors import no_connector
from framework.runtime.journal import inputs_directory, opened
from framework.runtime.services import Services
from framework.runtime.session import Session
from framework.runtime.strategy_states import StateKeeper
from framework.runtime.supervisor import Supervisor
from framework.runtime.system import Seams, System
from framework.runtime.wiring import build
from framework.settings.loading import load
from framework.settings.structs import LoggingSettings, LogLevel, Settings
from framework.simulation.loop import SimulatedLoop, seeded_random
from framework.store.copies import whole_rows
from framework.store.entries import record_of
from framework.store.input_log import read_segments
from framework.store.memory import MemoryLog
from framework.store.opening import SQLITE, open_for_reading

EXIT_EQUAL, EXIT_DIFFERENT, EXIT_UNVERIFIABLE = 0, 1, 2
MOST_ROUNDS = 1 << 60  # virtual time stands still in a replay: rounds at one instant mean nothing

ReadOrders = Callable[[int], Iterable[Record]]
"""Returns the entries of the order log up to a position, oldest first."""

SettingsOf = Callable[[SessionStarted], Settings]
"""Returns the settings of a recorded session."""


def run(options: argparse.Namespace) -> int:
    """Verify a recording and say what came of it."""
    journal = options.journal if "://" in options.journal else f"{SQLITE}{options.journal}"
    directory = inputs_directory(journal)
    if directory is None or not directory.is_dir():
        raise DataError("no inputs were recorded", file=str(directory or journal))
    start = RecordCursor(read_segments(directory)).next_session()
    if start is None:
        raise DataError("no session begins in these inputs", file=str(directory))
    start_with_its_hash_seed(start, os.environ, sys.argv)
    settings_of = partial(recorded_settings, path=options.config)
    runs = {item.id for item in settings_of(start).strategies}
    configure_logging(LoggingSettings(level=LogLevel.CRITICAL))  # what it says was said then
    if options.run is not None and options.run not in runs:
        raise ConfigError(f"the configuration has no run {options.run!r}")
    verdicts = replay(
        settings_of,
        read_segments(directory),
        environment=os.environ,
        read_orders=partial(read_order_log, journal),
    )
    return report(verdicts, options.run)


def replay(
    settings_of: SettingsOf,
    entries: Iterable[tuple[int, int, bytes]],
    *,
    environment: Mapping[str, str],
    read_orders: ReadOrders = lambda _: (),
) -> list[Verdict]:
    """Play every session of a recording; the first difference ends it.

    Raises:
        DataError: the recording does not fit this process.
        ConfigError: the settings are not those of a session.
    """
    records = RecordCursor(entries)
    verdicts: list[Verdict] = []
    while (start := records.next_session()) is not None:
        reason = obstacle(start, environment)
        if reason:
            raise DataError(f"epoch {start.epoch} cannot be verified: {reason}")
        order_log = RecordedLog(start, read_orders(start.order_position))
        verdicts.append(_play_session(settings_of(start), start, records, order_log))
        if verdicts[-1].difference is not None:
            break
    return verdicts


def _play_session(
    settings: Settings, start: SessionStarted, records: RecordCursor, order_log: OrderLog
) -> Verdict:
    """Play one session on a loop of its own."""

    async def main() -> Verdict:
        clock = PlaybackClock(start.time_ns)
        random_for = partial(seeded_random, start.seed)
        seams = Seams(clock=clock, random_for=random_for, blocking=_refuse, connector=no_connector)
        services = Services(settings, seams, is_alone=True, is_recorded=start.is_pumped)
        system = build(settings, seams, order_log, journal_id=start.journal_id, tell=_tell_nobody)
        Supervisor(system.engine, system.runs)
        services.attach(system, order_log)
        services.block_accounts()
        playback = Playback(system.engine, system.runs, start, records, clock)
        playback.keep_outside(system.alerts, "raise_")
        playback.begin_session(partial(_begin, system, settings, order_log, start))
        return await playback.play()

    loop = SimulatedLoop(seed=start.seed, max_rounds=MOST_ROUNDS)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(main())
        finally:
            loop.end_tasks()


def _begin(system: System, settings: Settings, order_log: OrderLog, start: SessionStarted) -> None:
    """Do what `Keeping.begin` does, as the build that recorded it."""
    session = Session(system, settings, order_log)
    states = StateKeeper(system.engine, system.runs)
    by_us = opened(settings, order_log, start.time_ns)
    session.begin(msgspec.structs.replace(by_us, build=start.version), reads=True)
    states.start(session.states)


class RecordedLog(MemoryLog):
    """The order log as a session found it; lets nothing out: when a command left, records say."""

    def __init__(self, start: SessionStarted, entries: Iterable[Record]) -> None:
        super().__init__(journal_id=start.journal_id)
        self.epoch = start.epoch
        for entry in entries:
            self.append(entry)

    @property
    def durable_position(self) -> int:
        """Nothing."""
        return 0


def _tell_nobody(_: AlertRaised) -> None:
    """Deliver no alert again."""


async def _refuse(_: Any) -> Any:
    raise DataError("a replay does no blocking work")


# -- what belongs to a journal ---------------------------------------------------------------------


def read_order_log(journal: str, position: int) -> Iterable[Record]:
    """Yield the entries of the journal at a URL up to a position, oldest first."""
    if not position:
        return
    reading = open_for_reading(journal)
    try:
        for row in whole_rows(reading):
            if row[0] > position:
                return
            yield record_of(row, reading.place)
    finally:
        reading.close()


def recorded_settings(start: SessionStarted, path: str | None) -> Settings:
    """Return the settings of a session: of the file at `path`, or of the text it holds.

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
    start_again(start.hash_seed, environment, arguments)


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
