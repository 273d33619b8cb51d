"""Files that only their owner writes and reads: whole or not at all, small, and no surprises."""

import os
import stat
from pathlib import Path

from framework.settings.places import one_line

LARGEST = 65_536  # bytes


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in its place at once, durable and for the owner only.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names that were added to a folder durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def read_whole(path: Path, *, largest: int = LARGEST) -> bytes:
    """Return a file's content; a link, a pipe, a foreign or a large file is refused.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not a file to trust, or cannot be read; says why.
    """
    try:
        # NONBLOCK: opening a pipe that nobody writes to would wait for ever
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(file)  # of what was opened, not of what the path is now
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a file")
        if status.st_uid not in (os.getuid(), 0):
            raise ValueError(f"belongs to user {status.st_uid}")
        with os.fdopen(file, "rb", closefd=False) as stream:
            content = stream.read(largest + 1)
    finally:
        os.close(file)
    if len(content) > largest:
        raise ValueError(f"is larger than {largest} bytes")
    return content


def shown_name(path: Path) -> str:
    """Return a file's name on one line, whatever is in it."""
    return one_line(path.name, 100)
