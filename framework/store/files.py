"""Writes to files that the operating system may take in pieces, and their durability."""

import os
from pathlib import Path

from framework.errors import JournalError


def write_all(file: int, data: bytes) -> int:
    """Write all of `data`, however little the system takes at a time; return how much it was."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    return len(data)


def make_file(path: Path) -> None:
    """Make an empty file that only its owner may read. Raises OSError if it exists."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def make_directory(path: Path) -> None:
    """Make a directory of the owner's, with those above it. Raises JournalError."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error


def sync_directory(directory: Path) -> None:
    """Make the names of a directory's files durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
