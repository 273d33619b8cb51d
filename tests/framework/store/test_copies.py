"""Backups restore to one moment (R-12); what can be saved of a damaged journal is kept (R-05)."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from framework.errors import JournalDamaged, JournalError
from framework.store.copies import back_up, recover, verify, whole_rows
from framework.store.sqlite_reading import SqliteReading
from tests.framework.store.journals import (
    START_NS,
    close,
    crashed_copy,
    log_at,
    order_id,
    records,
    written_at,
)


def changed(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_r12_a_backup_taken_while_running_opens_anywhere_with_all_that_was_durable(
    tmp_path: Path,
) -> None:
    log = written_at(tmp_path / "journal.db", 40)
    target = tmp_path / "backup.db"

    assert back_up(tmp_path / "journal.db", target) == 40
    log.append(records(1)[0])
    log.commit()
    close(log)

    restored = log_at(target)
    assert restored.epoch == 2
    assert [record for _, record in restored.read()] == records(40)
    assert len(restored.of_order(order_id(3))) == 3
    close(restored)


def test_r12_a_backup_never_overwrites(tmp_path: Path) -> None:
    close(written_at(tmp_path / "journal.db", 4))
    (tmp_path / "backup.db").write_text("precious")

    with pytest.raises(JournalError, match=r"backup\.db: File exists"):
        back_up(tmp_path / "journal.db", tmp_path / "backup.db")
    assert (tmp_path / "backup.db").read_text() == "precious"


def test_verify_counts_what_is_whole_and_says_when_it_was(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 12))

    with closing(SqliteReading(path)) as reading:
        assert verify(reading) == (12, START_NS, START_NS, "")
        assert [row[0] for row in whole_rows(reading, after=9)] == [10, 11, 12]


@pytest.mark.parametrize(
    ("change", "count", "reason"),
    [
        ("UPDATE entries SET payload = x'c0' WHERE position = 5", 4, "entry 5 does not bear out"),
        ("UPDATE entries SET kind = 'order' WHERE position = 5", 4, "entry 5 is no 'order'"),
        ("INSERT INTO subjects VALUES (1, 2)", 12, "the index of orders does not fit"),
        ("UPDATE journal SET indexed_position = 7", 12, "the index of orders does not fit"),
        ("DELETE FROM entries WHERE position > 7", 7, "ends at entry 7, but 12 were durable"),
        ("UPDATE journal SET indexed_position = 'x'", 12, "a value that makes no sense"),
    ],
)
def test_r05_verify_finds(change: str, count: int, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 12))
    changed(path, change)

    with closing(SqliteReading(path)) as reading:
        found = verify(reading)

    assert found.entry_count == count
    assert reason in found.damage


def test_r05_a_payload_that_is_no_record_is_damage_although_its_checksum_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    with monkeypatch.context() as patched:
        patched.setattr("framework.store.entries._encode", lambda record: b"\xc0")
        close(written_at(path, 4))

    with closing(SqliteReading(path)) as reading:
        assert "entry 1 cannot be read" in verify(reading).damage


def test_r05_recover_keeps_the_whole_beginning_and_the_old_files(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 40))
    changed(path, "UPDATE entries SET time_ns = 0 WHERE position = 31")

    done = recover(path)

    assert done.entry_count == 30
    assert "entry 31 does not bear out" in done.damage
    assert done.kept_as == tmp_path / "journal.db.damaged-1"
    log = log_at(path)
    assert (log.position, log.epoch) == (30, 2)
    assert [record for _, record in log.read()] == records(30)
    assert len(log.of_order(order_id(2))) == 3
    close(log)
    assert recover(path).kept_as == tmp_path / "journal.db.damaged-2"


def test_r05_recover_reads_up_to_a_page_that_sqlite_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 400))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(data)

    done = recover(path)

    assert 50 < done.entry_count < 350
    log = log_at(path)
    assert [record for _, record in log.read()] == records(done.entry_count)
    close(log)


def test_r12_recover_accepts_what_is_left_of_a_copy_without_its_log(tmp_path: Path) -> None:
    close(written_at(tmp_path / "journal.db", 8))
    log = log_at(tmp_path / "journal.db")
    log.append(records(1)[0])
    log.commit()
    copy = crashed_copy(tmp_path / "journal.db", tmp_path / "copy", "", "-mark")
    close(log)
    with pytest.raises(JournalDamaged):
        log_at(copy)

    done = recover(copy)

    assert done.entry_count == 8
    assert "9 were durable" in done.damage
    log = log_at(copy)
    assert log.position == 8
    close(log)


def test_recover_needs_a_whole_header(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 4))
    changed(path, "UPDATE journal SET journal_id = 'x'")

    with pytest.raises(JournalDamaged, match="header"):
        recover(path)
    with pytest.raises(JournalError, match="there is no journal"):
        recover(tmp_path / "nothing.db")
    with pytest.raises(JournalError, match="there is no journal"):
        back_up(tmp_path / "nothing.db", tmp_path / "copy.db")


def test_recover_is_not_for_a_journal_in_use(tmp_path: Path) -> None:
    log = written_at(tmp_path / "journal.db", 4)
    with pytest.raises(JournalError, match="in use by process"):
        recover(tmp_path / "journal.db")
    close(log)


def test_recover_names_a_directory_it_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    close(written_at(path, 4))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.rename", refuse)
    with pytest.raises(JournalError, match="Permission denied"):
        recover(path)
