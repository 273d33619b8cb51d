"""Journals of every earlier version open; a newer one is refused with a way forward (R-11)."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from framework.errors import JournalError
from framework.store.schema import STEPS, VERSION, migrate
from framework.store.sqlite import migrate_file
from framework.store.sqlite_reading import SqliteReading
from tests.framework.store.journals import close, journal_id, log_at, records
from tests.source_code import ROOT

GOLDEN = ROOT / "tests" / "data" / "journals"


def has_all(record: Any, expected: Any) -> bool:
    """Say whether a record has every value that it was written with; newer fields may be more."""
    if not isinstance(expected, dict):
        return bool(record == expected)
    return all(has_all(record.get(name), value) for name, value in expected.items())


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_r11_a_journal_of_this_version_opens_with_all_it_has(version: int, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(GOLDEN / f"version_{version}.journal", path)

    log = log_at(path)

    lines = (GOLDEN / f"version_{version}.jsonl").read_bytes().splitlines()
    read = [msgspec.json.decode(msgspec.json.encode(record)) for _, record in log.read()]
    expected = [msgspec.json.decode(line)["record"] for line in lines]
    assert all(has_all(record, of) for record, of in zip(read, expected, strict=True))
    assert log.journal_id == journal_id()
    assert log.newest_snapshot() == (8, b"state at 8")
    assert log.append(records(1)[0]) == len(lines) + 1
    log.commit()
    assert log.failure == ""
    close(log)


def test_r11_a_newer_journal_is_refused_with_a_way_forward(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(log_at(path))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(JournalError, match=r"newer headrace \(schema 99.*open it with that, or"):
        log_at(path)


def test_r11_an_older_journal_is_brought_up_by_a_start_and_only_named_by_a_reader(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 0x48445243")

    with pytest.raises(JournalError, match=r"has schema 0; a start .* brings it to"):
        SqliteReading(path)
    migrate_file(path, 1.0)
    migrate_file(path, 1.0)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_steps_lead_from_each_version_to_the_newest(connection: sqlite3.Connection) -> None:
    steps = (*STEPS, ("ALTER TABLE journal ADD COLUMN colour TEXT",), ("CREATE TABLE more (id)",))
    migrate(connection, "j", STEPS)
    migrate(connection, "j", steps[:-1])

    migrate(connection, "j", steps)

    assert connection.execute("PRAGMA user_version").fetchone() == (len(steps),)
    assert connection.execute("SELECT colour FROM journal").fetchall() == []
    assert connection.execute("SELECT id FROM more").fetchall() == []


def test_a_step_that_fails_leaves_the_version_before_it(connection: sqlite3.Connection) -> None:
    migrate(connection, "j", STEPS)
    wrong = (*STEPS, ("CREATE TABLE more (id)", "CREATE TABLE more (id)"))

    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(connection, "j", wrong)

    assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
    names = connection.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall()
    assert names == []
