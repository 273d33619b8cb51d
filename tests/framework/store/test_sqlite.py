"""An order log on SQLite under crashes, damage, full disks, locks and copies."""

import asyncio
import os
import random
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from framework.errors import JournalDamaged, JournalError, JournalLocked
from framework.model.records import Record
from framework.store import sqlite
from framework.store.copies import whole_rows
from framework.store.entries import Row, record_of
from framework.store.input_log import InputLog
from framework.store.mark import mark_path
from framework.store.order_log import StoredLog
from framework.store.sqlite_reading import SqliteReading
from tests.fakes import ManualClock
from tests.framework.store.journals import (
    close,
    crashed_copy,
    log_at,
    order_id,
    records,
    storage_at,
    written_at,
)
from tests.source_code import ROOT

WRITTEN = 120


def entry_count(path: Path) -> int:
    """Return how many entries a second connection sees."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM entries").fetchone()[0])


def whole_prefix(path: Path) -> tuple[int, str]:
    """Return how many entries are read back, each of them as written, and what ended it."""
    expected = records(WRITTEN)
    found = 0
    try:
        with closing(SqliteReading(path)) as reading:
            reading.check_whole()
            for row in whole_rows(reading):
                assert row[0] == found + 1
                assert record_of(row, "") == expected[found]
                found += 1
    except JournalError as error:
        assert str(error).startswith(str(path))  # noqa: PT017
        return found, str(error)
    return found, ""


def test_r03_an_entry_is_on_disk_before_durable_position_says_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    log = log_at(path)
    seen: list[tuple[int, int]] = []
    log.on_durable = lambda: seen.append((log.durable_position, entry_count(path)))

    for record in records(3):
        log.append(record)
        assert log.durable_position == entry_count(path) < log.position
        log.commit()

    assert seen == [(1, 1), (2, 2), (3, 3)]
    close(log)


def test_r03_what_is_durable_is_in_a_copy_of_the_files_at_that_moment(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    log = log_at(path)
    for number, record in enumerate(records(20), 1):
        log.append(record)
        log.commit()
        copy = crashed_copy(path, tmp_path / f"at-{number}")
        assert whole_prefix(copy) == (log.durable_position, "")
    close(log)


def test_a_step_is_in_the_log_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    log = log_at(path)
    group = records(5 * sqlite.LARGEST_STATEMENT // 2)
    for record in group:
        log.append(record)
    assert entry_count(path) == 0
    log.commit()
    assert entry_count(path) == len(group)
    assert [record for _, record in log.read()] == group
    close(log)


def test_a_group_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    log = log_at(path)
    for record in records(sqlite.LARGEST_STATEMENT + 100):
        log.append(record)
    log._entries[-1] = log._entries[0]  # the same position twice
    log.commit()

    assert "UNIQUE constraint failed" in log.failure
    assert entry_count(path) == 0
    close(log)


def test_a_new_journal_is_only_the_owners_to_read(tmp_path: Path) -> None:
    log = written_at(tmp_path / "journal.db", 4)

    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    close(log)


def test_f20_what_a_crash_left_of_making_a_journal_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    (tmp_path / "journal.db-new").write_bytes(b"half")

    log = log_at(path)

    assert log.epoch == 1
    close(log)


@pytest.mark.parametrize("what", ["", "-wal"])
def test_r05_truncated_anywhere_it_is_refused_or_read_as_far_as_it_is_whole(
    what: str, tmp_path: Path
) -> None:
    log = written_at(tmp_path / "journal.db", WRITTEN)
    copy = crashed_copy(tmp_path / "journal.db", tmp_path / "copy")
    close(log)
    victim = copy.with_name(copy.name + what)
    data = victim.read_bytes()
    lengths = [*range(0, len(data), 997), *range(len(data) - 40, len(data))]

    for length in lengths:
        victim.write_bytes(data[:length])
        _, reason = whole_prefix(copy)
        assert reason, f"cut to {length} of {len(data)} bytes"


@pytest.mark.parametrize("what", ["", "-wal", "-mark"])
def test_r05_a_flipped_byte_is_refused_or_harmless_and_never_a_wrong_entry(
    what: str, tmp_path: Path
) -> None:
    log = written_at(tmp_path / "journal.db", WRITTEN)
    if not what:
        close(log)  # all of it in the one file
    copy = crashed_copy(tmp_path / "journal.db", tmp_path / "copy")
    if what:
        close(log)
    victim = copy.with_name(copy.name + what)
    data = victim.read_bytes()
    chance = random.Random(5)
    refused = 0

    for _ in range(250):
        at, mask = chance.randrange(len(data)), 1 << chance.randrange(8)
        victim.write_bytes(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :])
        count, reason = whole_prefix(copy)
        refused += bool(reason)
        assert reason or count == WRITTEN
        for suffix in ("-wal", "-shm"):
            if suffix != what and not (what == "-mark" and suffix == "-wal"):
                copy.with_name(copy.name + suffix).unlink(missing_ok=True)

    assert refused > 30 if what != "-mark" else refused == 0  # the mark's other slot is whole


def test_r05_a_damaged_journal_is_refused_when_opened_or_read(tmp_path: Path) -> None:
    close(written_at(tmp_path / "journal.db", WRITTEN))
    data = (tmp_path / "journal.db").read_bytes()
    chance = random.Random(6)
    expected = records(WRITTEN)

    for number in range(60):
        directory = tmp_path / str(number)
        copy = crashed_copy(tmp_path / "journal.db", directory)
        at = chance.randrange(len(data))
        copy.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        try:
            log = log_at(copy)
        except JournalError as error:
            assert str(copy) in str(error)  # noqa: PT017
            continue
        read: list[Record] = []
        try:
            read.extend(record for _, record in log.read())
        except JournalDamaged as error:
            assert str(copy) in str(error)  # noqa: PT017
        else:
            assert read == expected
        close(log)


def test_r05_a_row_that_was_changed_deleted_or_moved_is_named(tmp_path: Path) -> None:
    close(written_at(tmp_path / "journal.db", WRITTEN))

    for number, (change, name) in enumerate(
        [
            ("UPDATE entries SET payload = (SELECT payload FROM entries WHERE position = 2)", "1"),
            ("UPDATE entries SET time_ns = time_ns + 1 WHERE position = 50", "50"),
            ("UPDATE entries SET subject = NULL WHERE position = 61", "61"),
            ("UPDATE entries SET checksum = 'x' WHERE position = 70", "70"),
            ("UPDATE entries SET payload = 'text' WHERE position = 80", "80"),
            ("UPDATE entries SET epoch = 'x' WHERE position = 90", "90"),
            ("DELETE FROM entries WHERE position = 100", "100"),
        ]
    ):
        copy = crashed_copy(tmp_path / "journal.db", tmp_path / str(number))
        with closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute(change)
        count, reason = whole_prefix(copy)
        assert count == int(name) - 1
        assert f"entry {name} " in reason


def test_r05_a_changed_header_is_refused(tmp_path: Path) -> None:
    close(written_at(tmp_path / "journal.db", 8))

    for number, change in enumerate(
        ["SET journal_id = 'other'", "SET epoch = 0", "SET created_ns = 1", "SET checksum = 1"]
    ):
        copy = crashed_copy(tmp_path / "journal.db", tmp_path / str(number))
        with closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute(f"UPDATE journal {change}")
        with pytest.raises(JournalDamaged, match="header does not bear out"):
            log_at(copy)


def test_r05_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database at all, it is a text " * 100)
    (tmp_path / "empty.db").touch()
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE mine (id)")

    with pytest.raises(JournalDamaged, match=r"text\.db: file is not a database"):
        log_at(tmp_path / "text.db")
    with pytest.raises(JournalDamaged, match=r"empty\.db: is empty; delete it"):
        log_at(tmp_path / "empty.db")
    with pytest.raises(JournalError, match=r"other\.db: is a database, but no order log"):
        log_at(tmp_path / "other.db")
    with pytest.raises(JournalError, match="Not a directory"):
        log_at(tmp_path / "text.db" / "journal.db")


def test_r05_a_damaged_snapshot_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    log = written_at(path, 12)
    log.save_snapshot(4, b"older")
    log.save_snapshot(8, b"newer")
    log.commit()
    close(log)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE snapshots SET state = x'00' WHERE position = 8")

    log = log_at(path)

    assert log.newest_snapshot() == (4, b"older")
    close(log)


def test_r05_the_entries_of_an_order_are_checked_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, WRITTEN))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE journal SET indexed_position = 120")
        connection.execute(
            "INSERT INTO subjects SELECT subject, position FROM entries WHERE subject"
        )
        connection.execute("UPDATE entries SET time_ns = 0 WHERE position = 41")
        connection.execute("DELETE FROM entries WHERE position = 82")

    log = log_at(path)

    assert len(log.of_order(order_id(0))) == 3
    with pytest.raises(JournalDamaged, match="entry 41 does not bear out"):
        log.of_order(order_id(10))
    with pytest.raises(JournalDamaged, match="entry 82 is missing"):
        log.of_order(order_id(20))
    close(log)


def test_orders_are_found_in_the_index_and_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "IDLE_INDEX_COUNT", 50)
    monkeypatch.setattr("framework.store.subjects.CHUNK_COUNT", 10)
    path = tmp_path / "journal.db"

    log = written_at(path, WRITTEN)

    for _ in range(2):
        assert 0 < log._reading.indexed_position() < WRITTEN
        for number in range(WRITTEN // 4):
            found = log.of_order(order_id(number))
            assert [at for at, _ in found] == [4 * number + 1, 4 * number + 2, 4 * number + 3]
        assert log.of_order(order_id(WRITTEN)) == []
        copy = crashed_copy(path, tmp_path / "copy")
        close(log)
        log = log_at(copy)
    close(log)


def test_closing_indexes_what_is_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    log = written_at(path, WRITTEN)
    assert log._reading.indexed_position() == 0
    monkeypatch.setattr(sqlite, "IDLE_INDEX_COUNT", 50)
    close(log)

    with closing(SqliteReading(path)) as reading:
        assert reading.indexed_position() == WRITTEN
        reading.check_index()


def test_the_write_ahead_log_is_folded_in_and_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "IDLE_CHECKPOINT_BYTES", 100_000)
    path = tmp_path / "journal.db"
    log = log_at(path)
    for record in records(400):
        log.append(record)
        log.commit()

    assert (tmp_path / "journal.db-wal").stat().st_size < 600_000
    close(log)


def test_r06_a_full_disk_is_final_and_what_was_durable_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    log = written_at(path, 40)
    storage = log._writer._storage
    assert isinstance(storage, sqlite.SqliteStorage)
    storage._connection.execute("PRAGMA max_page_count = 1")  # SQLite: "database or disk is full"

    for record in records(WRITTEN):
        log.append(record)
    log.commit()

    assert log.failure == f"{path}: database or disk is full"
    storage._connection.execute("PRAGMA max_page_count = 1000000")  # there would be room again
    log.append(records(1)[0])
    log.commit()
    assert log.durable_position == 40
    close(log)
    assert whole_prefix(path) == (40, "")


def test_r06_a_read_only_database_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    log = written_at(tmp_path / "journal.db", 4)
    storage = log._writer._storage
    assert isinstance(storage, sqlite.SqliteStorage)
    storage._connection.execute("PRAGMA query_only = ON")

    log.append(records(1)[0])
    log.commit()

    assert "attempt to write a readonly database" in log.failure
    close(log)


def test_r06_whatever_the_writer_dies_of_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = written_at(tmp_path / "journal.db", 4)

    def fail(*_: object) -> int:
        raise MemoryError("no more of it")

    monkeypatch.setattr(sqlite, "insert", fail)
    log.append(records(1)[0])
    log.commit()

    assert "MemoryError: no more of it" in log.failure
    close(log)


@pytest.mark.kill
def test_r06_a_file_size_limit_stops_the_log_and_loses_nothing_durable(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.framework.store.journals import log_at, records\n"
        "log = log_at(Path(sys.argv[1]))\n"
        "for record in records(5_000):\n"
        "    log.append(record)\n"
        "    log.commit()\n"
        "    if log.failure:\n"
        "        break\n"
        "print(log.durable_position, log.failure)\n"
    )
    path = tmp_path / "journal.db"

    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
    )

    durable, _, reason = done.stdout.strip().partition(" ")
    assert reason.startswith(str(path))
    assert entry_count(path) >= int(durable) > 10


def test_r07_a_locked_database_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    async def write_while_somebody_else_has_it() -> None:
        loop = asyncio.get_running_loop()
        storage = storage_at(path)
        log = StoredLog(storage, ManualClock(), loop=loop)
        is_writing = asyncio.Event()
        storage._connection.set_trace_callback(
            lambda _: loop.call_soon_threadsafe(is_writing.set) and None
        )
        with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
            blocker.execute("BEGIN IMMEDIATE")
            for record in records(WRITTEN):
                log.append(record)
            await is_writing.wait()
            assert (log.durable_position, log.failure) == (0, "")
            blocker.execute("ROLLBACK")
            await log.flush()
        assert (log.durable_position, log.failure) == (WRITTEN, "")
        await log.aclose()

    asyncio.run(write_while_somebody_else_has_it())
    assert whole_prefix(path) == (WRITTEN, "")


def test_r07_a_database_that_stays_locked_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    log = log_at(path, busy_s=0.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        for record in records(8):
            log.append(record)
        log.commit()

        assert log.failure == f"{path}: database is locked"
        assert [record for _, record in log.read()] == records(8)
        close(log)


@pytest.mark.kill
def test_r09_a_second_process_is_refused_and_a_kill_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.framework.store.journals import written_at\n"
        "log = written_at(Path(sys.argv[1]), 40)\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder.stdin, holder.stdout:
        assert holder.stdout.readline() == b"open\n"

        with pytest.raises(
            JournalLocked, match=f"journal {path} is in use by process {holder.pid}"
        ):
            log_at(path)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()

    log = log_at(path)
    assert log.epoch == 2
    assert [record for _, record in log.read()] == records(40)
    close(log)


def test_an_epoch_is_taken_by_compare_and_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 4))
    prepare = sqlite.prepare

    def be_overtaken(connection: sqlite3.Connection) -> None:
        prepare(connection)
        connection.execute("UPDATE journal SET epoch = epoch + 1")

    monkeypatch.setattr(sqlite, "prepare", be_overtaken)
    with pytest.raises(JournalLocked, match="another process has just started on it"):
        log_at(path)


def test_an_older_epoch_cannot_write_any_more(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    log = written_at(path, 4)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE journal SET epoch = epoch + 1")

    log.append(records(1)[0])
    log.commit()

    assert "another process start has taken over" in log.failure
    assert entry_count(path) == 4
    close(log)


def test_r12_a_copy_without_its_write_ahead_log_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 8))
    log = log_at(path)
    for record in records(WRITTEN):
        log.append(record)
    log.commit()

    alone = crashed_copy(path, tmp_path / "alone", "")
    with pytest.raises(JournalDamaged, match=r"copied while in use.*journal recover"):
        log_at(alone)
    with_mark = crashed_copy(path, tmp_path / "with-mark", "", "-mark")
    with pytest.raises(JournalDamaged, match="ends at entry 8, but 128 were durable"):
        log_at(with_mark)
    whole = crashed_copy(path, tmp_path / "whole")
    close(log)
    log = log_at(whole)
    assert log.position == WRITTEN + 8
    close(log)


def test_r12_a_journal_that_was_closed_in_order_is_whole_in_its_one_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, WRITTEN))

    copy = crashed_copy(path, tmp_path / "copy", "")

    assert whole_prefix(copy) == (WRITTEN, "")


def test_r12_an_older_copy_put_in_the_journals_place_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 8))
    older = crashed_copy(path, tmp_path / "older", "").read_bytes()
    log = log_at(path)
    for record in records(4):
        log.append(record)
    log.commit()
    close(log)
    path.write_bytes(older)

    with pytest.raises(JournalDamaged, match="ends at entry 8, but 12 were durable"):
        log_at(path)


def test_r12_another_history_of_the_same_length_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 8))
    fork = crashed_copy(path, tmp_path / "fork", "")
    for journal, record in ((path, records(1)[0]), (fork, records(2)[1])):
        log = log_at(journal)
        log.append(record)
        log.commit()
        close(log)
    path.write_bytes(fork.read_bytes())

    with pytest.raises(JournalDamaged, match="entry 9 was another"):
        log_at(path)


def test_r12_a_journal_that_is_gone_is_not_begun_anew_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 8))
    path.unlink()

    with pytest.raises(JournalDamaged, match=r"is gone, but journal\.db-mark beside it is not"):
        log_at(path)
    mark_path(path).unlink()
    log = log_at(path)
    assert log.position == 0
    close(log)


def test_an_opening_that_fails_leaves_no_lock_behind(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 8))
    data = path.read_bytes()
    path.write_bytes(data[:5000])
    with pytest.raises(JournalError):
        log_at(path)
    path.write_bytes(data)

    log = log_at(path)
    assert log.position == 8
    close(log)


def test_r08_a_snapshot_spares_reading_what_it_stands_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    log = log_at(path)
    for record in records(8_000):
        log.append(record)
    log.save_snapshot(7_990, b"state")
    close(log)
    read = 0
    rows = SqliteReading.rows

    def counting(reading: SqliteReading, after: int, limit: int) -> list[Row]:
        nonlocal read
        found = rows(reading, after, limit)
        read += len(found)
        return found

    monkeypatch.setattr(SqliteReading, "rows", counting)
    log = log_at(path)
    newest = log.newest_snapshot()
    assert newest == (7_990, b"state")
    assert [at for at, _ in log.read(newest[0])] == list(range(7_991, 8_001))
    assert read == 10
    close(log)


def test_inputs_are_written_before_the_entries_that_they_caused(tmp_path: Path) -> None:
    inputs = InputLog.open(tmp_path / "inputs", "j", 1)
    log = log_at(tmp_path / "journal.db")
    order: list[str] = []
    log.before_write = lambda: order.append(f"inputs {inputs.flush()}")
    log.on_durable = lambda: order.append(f"entries {log.durable_position}")
    inputs.append(b"a quote")
    log.append(records(1)[0])
    log.commit()

    assert order == ["inputs 1", "entries 1"]
    inputs.close()
    log.append(records(2)[1])
    log.commit()
    assert log.failure == f"{tmp_path / 'inputs'}: closed"
    assert log.durable_position == 1
    close(log)
