"""What a command does when the mailbox is not as it should be."""

import os
from pathlib import Path

import pytest

from framework.errors import JournalError
from framework.runtime.asking import is_listening, put
from framework.runtime.operator_requests import ShowRuns


def test_a_lock_that_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "lock")

    with pytest.raises(JournalError, match="lock"):
        is_listening(tmp_path)


def test_a_disk_that_takes_nothing_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(JournalError, match="No space left"):
        put(tmp_path / "box", ShowRuns(), by="ada", time_ns=1)

    assert os.listdir(tmp_path / "box" / "requests") == []
