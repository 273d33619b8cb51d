"""Kills a trader again and again in the middle of trading, and compares after each start (R-01).

One round is one broker and one journal: some traders that die by `kill -9` and one that settles
everything. Between two lives prices stand still, so that what a start believes can be compared with
the broker's own books to the last digit.
"""

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from framework.model.records import Record
from framework.store.entries import Head, checked, first_checksum, record_of
from framework.store.sqlite_reading import SqliteReading
from tests.broker.script import CALM, STORM
from tests.crash.check import State, agreement, journalled, money, safety
from tests.crash.processes import BrokerProcess, Process

KILL_LIMIT_S = 3.0
MOST_ENTRIES = 10_000_000
SCRIPTS = (CALM, STORM, msgspec.structs.replace(STORM, disconnect=0.02, lose_push=0.2))


class Report(msgspec.Struct):
    """What a round came to."""

    wrong: list[str] = []
    kills: Counter[str] = Counter()
    order_count: int = 0
    execution_count: int = 0


class Round:
    """One broker, one journal, and the traders that die on them."""

    def __init__(self, directory: Path, *, seed: int) -> None:
        self.report = Report(wrong=[], kills=Counter())
        self._directory = directory
        self._seed = seed
        self._chance = Random(seed)
        self._broker = BrokerProcess(directory, seed=seed)
        self._journal = directory / "journal.db"
        self._screen = directory / "screen"
        self._state = directory / "state.json"
        self._screen.touch()

    def play(self, kills: int) -> Report:
        """Kill so many traders, then let one settle everything; return what was wrong."""
        try:
            for _ in range(kills):
                self._one_life()
            self._settle()
        finally:
            self._broker.stop()
        return self.report

    # -- one life --------------------------------------------------------------------------------

    def _one_life(self) -> None:
        chance = self._chance
        how = chance.choice(("time", "time", "message", "message", "sync", "start"))
        sync = chance.randint(1, 60) if how == "sync" else 0
        self._state.unlink(missing_ok=True)
        self._broker.control("hold_prices", is_held=True)
        trader = self._trader(*(("--die-at-sync", str(sync)) if sync else ()))
        try:
            if how == "start":
                trader.ends_within(chance.uniform(0.1, 0.7))
            elif self._becomes_ready(trader, how):
                self._compare_at_start()
                self._broker.set_script(chance.choice(SCRIPTS))
                self._broker.control("hold_prices", is_held=False)
                self._wait_for_death(trader, how)
        finally:
            trader.kill()
        self.report.kills[how] += 1
        self._broker.control("hold_prices", is_held=True)
        self._broker.set_script(CALM)
        self._look()

    def _becomes_ready(self, trader: Process, how: str) -> bool:
        line = trader.line()
        if line == "ready":
            return True
        if line or how != "sync":  # that one may have died on the way
            self._note("start", [f"it said {line!r}", trader.complaints()])
        return False

    def _wait_for_death(self, trader: Process, how: str) -> None:
        if how == "message":
            number = self._chance.randint(1, 120)
            self._broker.control("kill_after", pid=trader.pid, messages=number)
        limit_s = self._chance.uniform(0.01, 0.4) if how == "time" else KILL_LIMIT_S
        trader.ends_within(limit_s)

    def _settle(self) -> None:
        trader = self._trader("--settle")
        try:
            self._becomes_ready(trader, "settling")
            code = trader.stop()
            self._note("settling", [] if code == 0 else [f"exit code {code}", trader.complaints()])
        finally:
            trader.kill()
        truth = self._look()
        if (state := self._read_state()) is not None:
            self._note("settled", agreement(truth, state))
        self.report.order_count = len(truth["orders"])
        self.report.execution_count = len(truth["executions"])

    def _trader(self, *more: str) -> Process:
        arguments = (
            *("--port", str(self._broker.port), "--seed", str(self._seed)),
            *("--journal", f"sqlite:///{self._journal}"),
            *("--screen", str(self._screen), "--state", str(self._state)),
        )
        return Process("tests.crash.trader", (*arguments, *more), self._directory / "trader.log")

    # -- what must hold --------------------------------------------------------------------------

    def _compare_at_start(self) -> None:
        """Compare money and goods: exact as soon as a trader says that it is ready."""
        state = self._read_state()
        if state is not None:
            self._note("at start", money(self._broker.truth_at_rest(), state))

    def _look(self) -> dict[str, Any]:
        """Check what must hold at any moment, a kill just now included."""
        truth = self._broker.truth_at_rest()
        lines = self._screen.read_bytes().splitlines()
        seen = [msgspec.json.decode(line) for line in lines]
        self._note("after a kill", safety(truth, self._journalled(), seen))
        return truth

    def _journalled(self) -> set[str]:
        return journalled(read_journal(self._journal))

    def _read_state(self) -> State | None:
        if not self._state.exists():
            self._note("state", ["there is none"])
            return None
        return msgspec.json.decode(self._state.read_bytes(), type=State)

    def _note(self, when: str, wrong: list[str]) -> None:
        number = sum(self.report.kills.values())
        self.report.wrong += [f"seed {self._seed}, kill {number}, {when}: {one}" for one in wrong]


def read_journal(path: Path) -> list[Record]:
    """Return every entry of a journal that nobody has open; each bears out its checksum."""
    if not path.exists():  # killed before it was made
        return []
    reading = SqliteReading(path)
    try:
        start = Head(0, first_checksum(reading.journal_id))
        rows = checked(reading.rows(0, MOST_ENTRIES), start, str(path))
        return [record_of(row, str(path)) for row in rows]
    finally:
        reading.close()
