"""The other side of a mailbox: how a command puts a request there and waits for the answer."""

import fcntl
import os
import pwd
import secrets
from pathlib import Path

import anyio
import msgspec

from framework.errors import JournalError
from framework.runtime.mailbox import SUFFIX, prepare
from framework.runtime.operator_requests import Answer, Ask, Request
from framework.runtime.private_files import read_whole, write_whole

LOOK_S = 0.05
LARGEST_ANSWER = 16_000_000  # bytes: a list of 10,000 orders


def who_asks() -> str:
    """Return this process's user, number and name, as the system has them."""
    number = os.getuid()
    try:
        return f"{number} ({pwd.getpwuid(number).pw_name})"
    except KeyError:  # a container often has no name for its user
        return str(number)


def is_listening(folder: Path) -> bool:
    """Whether a process has this mailbox open: whether it holds the lock.

    Raises:
        JournalError: that cannot be told.
    """
    try:
        file = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise JournalError(f"{folder / 'lock'}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def put(folder: Path, ask: Ask, *, by: str, time_ns: int) -> str:
    """Put a request into the mailbox, durable; return its id.

    Raises:
        JournalError: it cannot be written.
    """
    prepare(folder)
    request_id = f"{time_ns:020d}-{secrets.token_hex(8)}"
    content = msgspec.json.encode(Request(request_id, by, time_ns, ask))
    try:
        write_whole(folder / "requests" / f"{request_id}{SUFFIX}", content)
    except OSError as error:
        raise JournalError(f"{folder}: {error.strerror}") from error
    return request_id


async def answer_to(folder: Path, request_id: str, *, within_s: float) -> Answer | None:
    """Wait for the answer and take it away; None if there is none in time.

    Raises:
        JournalError: there is one that cannot be read.
    """
    path = folder / "answers" / f"{request_id}{SUFFIX}"
    with anyio.move_on_after(within_s):
        while not path.exists():
            with anyio.move_on_after(LOOK_S):
                await anyio.sleep_forever()
    try:
        answer = msgspec.json.decode(read_whole(path, largest=LARGEST_ANSWER), type=Answer)
        path.unlink(missing_ok=True)
    except FileNotFoundError:
        return None
    except (ValueError, OSError, msgspec.MsgspecError) as error:
        raise JournalError(f"{path}: {error}") from error
    return answer


def take_back(folder: Path, request_id: str) -> bool:
    """Take a request back; False if it was taken: then whether it is done is unknown."""
    try:
        (folder / "requests" / f"{request_id}{SUFFIX}").unlink()
    except FileNotFoundError:
        return False
    return True
