"""Journals of every earlier version open; a newer one is refused with a way forward (R-11)."""

import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from zlib import crc32

import msgspec
import pytest

from framework.errors import JournalDamaged, JournalError
from framework.model.records import Record
from framework.store import postgres
from framework.store.copies import recover, verify
from framework.store.entries import Head, first_checksum, record_of
from framework.store.schema import OLDEST_READ, STEPS, VERSION, migrate
from framework.store.sqlite import migrate_file
from framework.store.sqlite_reading import SqliteReading
from tests.framework.store.golden import GOLDEN, golden_records, lines, words, write_journal
from tests.framework.store.journals import close, journal_id, log_at, records


class Line(msgspec.Struct):
    """What is of interest in a line of a golden journal: whatever it leaves out has its default."""

    record: Record


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_r11_a_journal_of_this_version_opens_with_all_it_has(version: int, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(GOLDEN / f"version_{version}.journal", path)

    log = log_at(path)

    golden = (GOLDEN / f"version_{version}.jsonl").read_bytes().splitlines()
    expected = [msgspec.json.decode(line, type=Line).record for line in golden]
    assert [record for _, record in log.read()] == expected
    assert log.journal_id == journal_id()
    assert log.newest_snapshot() == (8, b"state at 8")
    assert log.append(records(1)[0]) == len(golden) + 1
    log.commit()
    assert log.failure == ""
    close(log)


def test_r11_a_newer_journal_is_refused_with_a_way_forward(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(log_at(path))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")

    newer = (
        "this journal was written by a newer headrace"
        rf" \(format 99, this one reads up to {VERSION}\): open it with that, or start a new"
    )
    with pytest.raises(JournalError, match=newer):
        log_at(path)
    with pytest.raises(JournalError, match=newer):
        SqliteReading(path)


def test_r11_the_versions_before_this_one_refuse_it_in_the_same_words(tmp_path: Path) -> None:
    """As a build of version 1 does, which knows one step."""
    path = tmp_path / "journal.db"
    close(log_at(path))
    newer = r"newer headrace \(format 2, this one reads up to 1\)"
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(JournalError, match=newer),
    ):
        migrate(connection, "j", STEPS[:1])


@pytest.mark.parametrize("version", range(1, VERSION))
def test_r11_a_reader_reads_an_older_journal_and_leaves_its_version(
    version: int, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(GOLDEN / f"version_{version}.journal", path)
    before = path.read_bytes()
    reading = SqliteReading(path)

    found = verify(reading)

    reading.close()
    golden = (GOLDEN / f"version_{version}.jsonl").read_bytes().splitlines()
    assert (found.entry_count, found.damage) == (len(golden), "")
    assert path.read_bytes() == before


def test_r11_the_golden_journal_of_this_version_is_the_one_that_is_written(tmp_path: Path) -> None:
    shutil.copy(GOLDEN / f"version_{VERSION}.journal", tmp_path / "golden.db")
    write_journal(tmp_path / "new.db")

    golden, new = lines(tmp_path / "golden.db"), lines(tmp_path / "new.db")

    assert golden == new
    found = [msgspec.json.decode(line, type=Line).record for line in golden]
    assert found == golden_records()


def test_r11_r67_what_this_version_can_say_is_what_its_file_says() -> None:
    """A kind, a field or a value that is new, gone or used for something else shows here.

    In a version that is out: add an (empty) step to `STEPS` here and in `postgres.py`. Either way
    `python -m tests.framework.store.golden` writes the files; look at what they lose.
    """
    assert words() == (GOLDEN / f"version_{VERSION}.words").read_text().splitlines()


def test_r11_both_databases_count_the_same_versions() -> None:
    assert postgres.VERSION == VERSION
    assert postgres.OLDEST_READ == OLDEST_READ


def test_r11_an_entry_of_a_kind_that_nobody_here_knows_is_no_damage(tmp_path: Path) -> None:
    """Nor is it cut off by `headrace journal recover`."""
    path = tmp_path / "journal.db"
    close(log_at(path))
    payload = msgspec.msgpack.encode({"type": "from_tomorrow", "order_id": "x"})
    head = Head(0, first_checksum(journal_id()))
    checksum = crc32(payload, crc32(struct.pack("<qqqq", 1, 1, 5, 0), head.checksum))
    with closing(sqlite3.connect(path)) as connection:
        values = (1, 1, 5, "from_tomorrow", None, checksum, payload)
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        connection.execute("UPDATE journal SET closed_position = 1")
        connection.commit()
    path.with_name(path.name + "-mark").unlink()

    reading = SqliteReading(path)
    with pytest.raises(JournalError, match=r"entry 1 .* newer headrace writes \('from_tomorrow'\)"):
        verify(reading)
    reading.close()
    with pytest.raises(JournalError, match="newer headrace writes"):
        recover(path)
    log = log_at(path)
    with pytest.raises(JournalError, match="newer headrace writes"):
        list(log.read())
    close(log)


@pytest.mark.parametrize(
    "payload", [b"\xc1", msgspec.msgpack.encode(7), msgspec.msgpack.encode({"type": "gate_set"})]
)
def test_r05_a_payload_that_is_no_record_is_damage(payload: bytes) -> None:
    with pytest.raises(JournalDamaged, match="entry 3 cannot be read"):
        record_of((3, 1, 5, "gate_set", None, 0, payload), "j")


def test_r11_an_older_journal_is_brought_up_by_a_start_and_only_named_by_a_reader(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 0x48445243")

    with pytest.raises(JournalError, match=r"has format 0; a start .* brings it to"):
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
