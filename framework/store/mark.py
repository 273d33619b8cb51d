"""The mark: a small file beside a journal that remembers how far it was promised to be durable.

A database whose write-ahead log was lost looks whole, only older. The mark tells (R-12). It is
written behind each commit and so is never ahead of what is on disk. It is mapped into memory: a
kill loses nothing of it, and a write is no system call. Two slots are written in turn, so that
one is whole whatever happens.
"""

import mmap
import os
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from zlib import crc32

from framework.errors import JournalError
from framework.store.entries import Head
from framework.store.files import write_all

_SLOT = Struct("<16sqI")
_CHECK = Struct("<I")
_SLOT_BYTES = 64
SUFFIX = "-mark"


class Mark:
    """The open mark of a journal that this process owns."""

    def __init__(self, path: Path, journal_id: str, head: Head) -> None:
        """Open or make the mark, and put `head` into both slots.

        Raises:
            JournalError: the file cannot be made.
        """
        self._journal = _hashed(journal_id)
        self._turn = 0
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(file).st_size != 2 * _SLOT_BYTES:
                    os.ftruncate(file, 0)
                    write_all(file, bytes(2 * _SLOT_BYTES))
                self._map = mmap.mmap(file, 2 * _SLOT_BYTES)
                self.write(head)
                self.write(head)
                self._map.flush()
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror}") from error

    def write(self, head: Head) -> None:
        """Remember that everything up to `head` is durable."""
        slot = _SLOT.pack(self._journal, head.position, head.checksum)
        start = self._turn * _SLOT_BYTES
        self._map[start : start + _SLOT.size + _CHECK.size] = slot + _CHECK.pack(crc32(slot))
        self._turn ^= 1

    def close(self) -> None:
        """Release the file; harmless when repeated."""
        self._map.close()


def mark_path(database: Path) -> Path:
    """Return where the mark of a database is."""
    return database.with_name(database.name + SUFFIX)


def read_mark(database: Path, journal_id: str) -> Head | None:
    """Return what the mark beside `database` remembers of this journal, None without a whole one.

    Raises:
        JournalError: it cannot be read.
    """
    path = mark_path(database)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error
    heads = []
    for start in range(0, len(data) - _SLOT.size - _CHECK.size + 1, _SLOT_BYTES):
        slot = data[start : start + _SLOT.size]
        journal, position, checksum = _SLOT.unpack(slot)
        if (
            journal == _hashed(journal_id)
            and _CHECK.pack(crc32(slot))
            == data[start + _SLOT.size : start + _SLOT.size + _CHECK.size]
        ):
            heads.append(Head(position, checksum))
    return max(heads, default=None)


def _hashed(journal_id: str) -> bytes:
    return blake2b(journal_id.encode(), digest_size=16).digest()
