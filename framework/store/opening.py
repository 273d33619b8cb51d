"""Opens the order log that a URL names: `sqlite:///file.db`, `postgresql://...` or `memory:`."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from framework.errors import JournalError
from framework.interfaces import Clock, OrderLog
from framework.settings.structs import Durability
from framework.store.lock import lock_accounts
from framework.store.memory import MemoryLog
from framework.store.order_log import StoredLog
from framework.store.sqlite import BUSY_S, SqliteStorage
from framework.store.sqlite_reading import SqliteReading
from framework.store.storage import Reading, Storage

SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")


def open_order_log(
    url: str,
    *,
    clock: Clock,
    make_id: Callable[[], str],
    loop: asyncio.AbstractEventLoop | None = None,
    durability: Durability = Durability.FULL,
    inline: bool = False,
    accounts: Sequence[str] = (),
    lock_directory: Path | None = None,
    busy_s: float = BUSY_S,
) -> OrderLog:
    """Open or create a journal and take its lock and those of `accounts`; blocks meanwhile.

    `make_id` is asked for the id of a new journal. Account locks are files in `lock_directory`,
    which all processes of a user share; without it there are none. `busy_s` is how long a
    database that somebody else has locked is waited for. `inline`: see `StoredLog`.

    Raises:
        JournalLocked: another process has the journal or trades on one of the accounts.
        JournalDamaged: the journal is not what it was; nothing was changed.
        JournalError: it cannot be opened, or the URL names none.
    """
    if url == "memory:":
        return MemoryLog(journal_id=make_id())
    locks = lock_accounts(lock_directory, accounts) if lock_directory is not None else []
    try:
        storage = _open_storage(url, make_id, clock.now_ns, busy_s)
        try:
            return StoredLog(
                storage, clock, loop=loop, durability=durability, inline=inline, locks=locks
            )
        except BaseException:
            storage.reading.close()
            storage.close()
            raise
    except BaseException:
        for lock in locks:
            lock.release()
        raise


def open_for_reading(url: str) -> Reading:
    """Open an existing journal without its lock: a process may be writing to it meanwhile.

    Raises:
        JournalError: there is none, or it cannot be read.
        JournalDamaged: it is not what was promised of it.
    """
    if url.startswith(SQLITE):
        return SqliteReading(sqlite_path(url))
    if url.startswith(POSTGRES):
        from framework.store.postgres import PostgresReading, parse_url

        return PostgresReading(parse_url(url))
    raise unknown(url)


def sqlite_path(url: str) -> Path:
    """Return the file that a `sqlite:///` URL names: relative, or absolute with a fourth slash.

    Raises:
        JournalError: it names none.
    """
    path = url.removeprefix(SQLITE)
    if path == url or not path or path.endswith("/") or "?" in path or "\0" in path:
        raise unknown(url)
    return Path(path)


def unknown(url: str) -> JournalError:
    """Return the error for a URL that names no journal; it shows no more than the scheme."""
    scheme = url.partition(":")[0][:20]
    return JournalError(
        f"journal: {scheme!r} names no journal; there are sqlite:///FILE, sqlite:////ABSOLUTE/FILE,"
        " postgresql://USER@HOST/DATABASE?journal=NAME and memory:"
    )


def _open_storage(url: str, make_id: Callable[[], str], now_ns: int, busy_s: float) -> Storage:
    if url.startswith(SQLITE):
        return SqliteStorage(sqlite_path(url), make_id=make_id, now_ns=now_ns, busy_s=busy_s)
    if url.startswith(POSTGRES):
        from framework.store.postgres import PostgresStorage, parse_url  # an extra

        return PostgresStorage(parse_url(url), make_id=make_id, now_ns=now_ns, busy_s=busy_s)
    raise unknown(url)
