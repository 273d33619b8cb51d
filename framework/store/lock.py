"""Locks between processes: one process per journal and per account (R-09).

The kernel holds them for an open file and releases them when the process ends, however it does.
The files stay: deleting one could let two processes hold it.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from framework.errors import JournalError, JournalLocked
from framework.store.files import make_directory


class FileLock:
    """One locked file; its text names the process, for the one that comes second."""

    def __init__(self, path: Path, what: str) -> None:
        """Take the lock at once or not at all.

        Raises:
            JournalLocked: another process, or this one, has it.
            JournalError: the file cannot be made.
        """
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError as error:
            raise JournalError(f"{path.parent}: there is no such folder") from error
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._file, 20, 0).decode(errors="replace").strip()
            os.close(self._file)
            who = f"process {holder}" if holder else "another process"
            raise JournalLocked(f"{what} is in use by {who} (lock {path})") from None
        except OSError as error:
            os.close(self._file)
            raise JournalError(f"{path}: {error.strerror}") from error

    def release(self) -> None:
        """Let others have it; harmless when repeated."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)


def lock_accounts(directory: Path, accounts: Iterable[str]) -> list[FileLock]:
    """Take the lock of each account, all or none; `directory` is made if need be.

    Raises:
        JournalLocked: another process trades on one of them.
    """
    locks: list[FileLock] = []
    try:
        make_directory(directory)
        for account in sorted(set(accounts)):
            path = directory / f"account-{quote(account, safe='')}.lock"
            locks.append(FileLock(path, f"account {account!r}"))
    except JournalError:
        for lock in locks:
            lock.release()
        raise
    return locks
