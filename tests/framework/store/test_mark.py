"""The mark remembers the newest durable entry, whichever of its slots is whole."""

import os
from pathlib import Path

import pytest

from framework.errors import JournalError
from framework.store.entries import Head
from framework.store.mark import Mark, mark_path, read_mark


def test_the_newest_head_is_read_back(tmp_path: Path) -> None:
    database = tmp_path / "journal.db"
    mark = Mark(mark_path(database), "j", Head(3, 33))
    assert read_mark(database, "j") == Head(3, 33)
    for position in range(4, 9):
        mark.write(Head(position, 11 * position))
        assert read_mark(database, "j") == Head(position, 11 * position)
    mark.close()
    mark.close()

    Mark(mark_path(database), "j", Head(8, 88)).close()
    assert read_mark(database, "j") == Head(8, 88)


def test_r04_a_torn_slot_leaves_the_one_before(tmp_path: Path) -> None:
    database = tmp_path / "journal.db"
    mark = Mark(mark_path(database), "j", Head(3, 33))
    mark.write(Head(4, 44))  # into the first slot
    mark.close()
    data = mark_path(database).read_bytes()

    for at in range(32):
        mark_path(database).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert read_mark(database, "j") == Head(3, 33)


def test_there_is_no_mark_without_a_file_a_whole_slot_or_the_same_journal(tmp_path: Path) -> None:
    database = tmp_path / "journal.db"
    assert read_mark(database, "j") is None
    mark_path(database).write_bytes(b"short")
    assert read_mark(database, "j") is None
    Mark(mark_path(database), "j", Head(3, 33)).close()
    assert read_mark(database, "other") is None
    assert read_mark(database, "j") == Head(3, 33)


def test_a_mark_that_cannot_be_made_or_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file or directory"):
        Mark(tmp_path / "nowhere" / "mark", "j", Head(0, 0))
    os.mkdir(tmp_path / "journal.db-mark")
    with pytest.raises(JournalError, match="Is a directory"):
        read_mark(tmp_path / "journal.db", "j")
