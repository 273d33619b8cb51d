"""`headrace replay JOURNAL --verify`: plays a recording again and compares every command.

    0    every command is equal, and every entry that the order log has of the core
    1    the first difference is shown, with the event before it
    2    a run, or the whole recording, cannot be verified: why

The inputs lie beside the journal, in `<journal path>.inputs/`. Python must be of the version that
recorded; it is started again where PYTHONHASHSEED differs. Each session begins as it did: with
the entries that the order log held by then, by the start-up path that every process takes. What a
strategy does is compared with the commands it gave. What a front door or anybody else outside
asked is an input and is asked again. Whatever followed from either, and was written into the order
log, is compared with that byte for byte (`framework/cli/replay_log.py`).
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from framework.cli.hash_seed import start_again
from framework.cli.logs import configure_logging
from framework.cli.replay_log import RecordedLog
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
from framework.model.records import AlertRaised
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
from framework.store.entries import Row
from framework.store.input_log import read_segments
from framework.store.opening import SQLITE, open_for_reading, sqlite_path

EXIT_EQUAL, EXIT_DIFFERENT, EXIT_UNVERIFIABLE = 0, 1, 2
MOST_ROUNDS = 1 << 60  # virtual time stands still in a replay: rounds at one instant mean nothing

ReadRows = Callable[[], Iterable[Row]]
"""Returns the rows of the order log, oldest first."""

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
        read_rows=partial(read_order_log, journal),
    )
    return report(verdicts, options.run)


def replay(
    settings_of: SettingsOf,
    entries: Iterable[tuple[int, int, bytes]],
    *,
    environment: Mapping[str, str],
    read_rows: ReadRows = tuple,
) -> list[Verdict]:
    """Play every session of a recording; the first difference ends it.

    Raises:
        DataError: the recording does not fit this process.
        JournalDamaged: the order log is not whole.
        ConfigError: the settings are not those of a session.
    """
    records = RecordCursor(entries)
    verdicts: list[Verdict] = []
    while (start := records.next_session()) is not None:
        reason = obstacle(start, environment)
        if reason:
            raise DataError(f"epoch {start.epoch} cannot be verified: {reason}")
        order_log = RecordedLog(start, read_rows())
        verdicts.append(_play_session(settings_of(start), start, records, order_log))
        if verdicts[-1].difference is not None:
            break
    return verdicts


def _play_session(
    settings: Settings, start: SessionStarted, records: RecordCursor, order_log: RecordedLog
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
        order_log.differ = playback.differ_in_log
        playback.begin_session(partial(_begin, system, settings, order_log, start))
        return _with_log(await playback.play(), order_log)

    loop = SimulatedLoop(seed=start.seed, max_rounds=MOST_ROUNDS)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(main())
        finally:
            loop.end_tasks()


def _begin(system: System, settings: Settings, order_log: OrderLog, start: SessionStarted) -> None:
    """Do what `Keeping.begin` does, as the build that recorded it and its configuration."""
    session = Session(system, settings, order_log)
    states = StateKeeper(system.engine, system.runs)
    by_us = opened(settings, order_log, start.time_ns)
    as_then = msgspec.structs.replace(by_us, build=start.version, config_hash=start.config_hash)
    session.begin(as_then, reads=True)
    states.start(session.states)


def _with_log(verdict: Verdict, order_log: RecordedLog) -> Verdict:
    """Add what came of the order log: how much was compared, and what nothing was held against."""
    lost, unfounded = verdict.lost, order_log.unfounded
    if unfounded and not lost and verdict.difference is None:
        lost = f"the inputs end before what the order log has from entry {unfounded} on"
    return msgspec.structs.replace(verdict, entry_count=order_log.compared_count, lost=lost)


def _tell_nobody(_: AlertRaised) -> None:
    """Deliver no alert again."""


async def _refuse(_: Any) -> Any:
    raise DataError("a replay does no blocking work")


# -- what belongs to a journal ---------------------------------------------------------------------


def read_order_log(journal: str) -> Iterable[Row]:
    """Yield the rows of the journal at a URL, oldest first; nothing where its file is gone.

    Raises:
        JournalDamaged: one is not what it was.
    """
    if not sqlite_path(journal).exists():
        print(f"{sqlite_path(journal)} is not there: nothing is compared with an order log")
        return
    with closing(open_for_reading(journal)) as reading:
        yield from whole_rows(reading)


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
            f"{verdict.command_count} commands compared, "
            f"{verdict.outside_count} from outside given again and their answers compared, "
            f"{verdict.entry_count} entries of the order log compared"
        )
        for run, reason in verdict.unverifiable.items():
            if only in (None, run):
                print(f"run {run} is not verifiable from some point on: {reason}")
                code = max(code, EXIT_UNVERIFIABLE)
        if verdict.is_cut:
            print("its records end within what the last of them led to, as a kill leaves them")
        for run in verdict.changed_code:
            print(f"the code of run {run} has changed since")
        if verdict.lost:
            print(f"the rest of the session is not verifiable: {verdict.lost}")
            code = EXIT_UNVERIFIABLE
        if verdict.difference is not None:
            print("\n".join(_difference_lines(verdict.difference, only)))
            return EXIT_DIFFERENT
    if code == EXIT_EQUAL:
        if any(verdict.entry_count for verdict in verdicts):
            print("what the order log holds is what follows from the inputs")
        print("every command is equal" if only is None else f"every command of {only} is equal")
    return code


def _difference_lines(difference: Difference, only: str | None) -> list[str]:
    run = difference.run or "the core"
    place = f"at record {difference.position}"
    if difference.entry:
        place = f"at entry {difference.entry} of the order log, behind record {difference.position}"
    lines = [f"first difference, {place}, in {run}:"]
    if only is not None and difference.run != only:
        lines.append(f"  (run {only} is equal up to there, and cannot be judged beyond it)")
    return [
        *lines,
        f"  before:    {difference.before}",
        f"  recorded:  {difference.recorded}",
        f"  replayed:  {difference.replayed}",
    ]
