"""One process per account (R-09); the journal's own lock is tested with the journal."""

import os
from pathlib import Path

import pytest

from framework.errors import JournalError, JournalLocked
from framework.store.lock import FileLock, lock_accounts


def test_r09_a_second_start_on_an_account_is_refused_with_process_and_path(tmp_path: Path) -> None:
    locks = lock_accounts(tmp_path / "locks", ["main", "other"])

    expected = f"account 'other' is in use by process {os.getpid()} .*account-other.lock"
    with pytest.raises(JournalLocked, match=expected):
        lock_accounts(tmp_path / "locks", ["third", "other"])

    for lock in locks:
        lock.release()
        lock.release()
    for lock in lock_accounts(tmp_path / "locks", ["third", "other", "other", "main"]):
        lock.release()


def test_an_accounts_name_never_leaves_the_directory(tmp_path: Path) -> None:
    (lock,) = lock_accounts(tmp_path / "locks", ["../../up"])

    assert [file.name for file in (tmp_path / "locks").iterdir()] == ["account-..%2F..%2Fup.lock"]
    lock.release()


def test_a_lock_whose_holder_is_not_written_yet_names_nobody(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock", "it")
    (tmp_path / "lock").write_bytes(b"")

    with pytest.raises(JournalLocked, match="it is in use by another process"):
        FileLock(tmp_path / "lock", "it")
    lock.release()


def test_a_lock_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="file: File exists"):
        lock_accounts(tmp_path / "file", ["main"])
    with pytest.raises(JournalError, match="lock: Not a directory"):
        FileLock(tmp_path / "file" / "lock", "it")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.ftruncate", refuse)
    with pytest.raises(JournalError, match="No space left"):
        FileLock(tmp_path / "lock", "it")
