"""An order log's storage in one SQLite file: write-ahead log, a sync with every commit.

A commit is one statement, whatever its size: each statement gives up the interpreter's lock, and
on a busy loop it takes milliseconds to get that back.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache
from itertools import repeat
from pathlib import Path

from framework.errors import JournalDamaged, JournalError, JournalLocked
from framework.store.entries import COLUMNS, Row, head_of
from framework.store.files import make_file, sync_directory
from framework.store.lock import FileLock
from framework.store.mark import Mark, mark_path
from framework.store.schema import VERSION, header_checksum, migrate, version_of
from framework.store.sqlite_reading import SqliteReading, connect, named_errors
from framework.store.storage import KEPT_SNAPSHOTS, Snapshot
from framework.store.subjects import CHUNK_COUNT

BUSY_S = 60.0  # how long a database that somebody else has locked is waited for
LARGEST_STATEMENT = 1024  # rows
COMMIT_BYTES, ROW_BYTES = 4096, 300  # about what one adds to the write-ahead log
IDLE_CHECKPOINT_BYTES = 4 << 20  # of write-ahead log, estimated: copied back in a quiet moment ...
BUSY_CHECKPOINT_BYTES = 64 << 20  # ... or now
IDLE_INDEX_COUNT = CHUNK_COUNT
BUSY_INDEX_COUNT = 16 * CHUNK_COUNT


class SqliteStorage:
    """The file, locked for this process, in a new epoch."""

    def __init__(
        self,
        path: Path,
        *,
        make_id: Callable[[], str],
        now_ns: int,
        busy_s: float = BUSY_S,
    ) -> None:
        """Open the journal at `path`, or make it there.

        Raises:
            JournalLocked: another process has it.
            JournalDamaged: it is not what it was; nothing was changed.
            JournalError: it cannot be opened or written.
        """
        self.place = str(path)
        self._is_closed = self._has_failed = False
        with ExitStack() as undo:
            self._lock = journal_lock(path)
            undo.callback(self._lock.release)
            if not path.exists():
                create(path, make_id(), now_ns)
            elif path.stat().st_size == 0:
                raise JournalDamaged(f"{path}: is empty; delete it to start a new journal")
            migrate_file(path, busy_s)
            # Looked at before anything may write: a writer that closes folds its log in.
            self.reading = SqliteReading(path, busy_s=busy_s)
            undo.callback(self.reading.close)
            self.reading.check_whole()
            with named_errors(self.place):
                self._connection = connect(path, "rw", busy_s)
            undo.callback(self._connection.close)
            self._take_over(path)
            undo.pop_all()

    def _take_over(self, path: Path) -> None:
        """Begin the next epoch by compare-and-set; from here on the file itself says "in use"."""
        reading = self.reading
        self.journal_id = reading.journal_id
        self.epoch = reading.epoch + 1
        self._head = reading.head()
        self._indexed_position = reading.indexed_position()
        self._mark = Mark(mark_path(path), self.journal_id, self._head)
        checksum = header_checksum(self.journal_id, reading.created_ns, self.epoch)
        with named_errors(self.place):
            prepare(self._connection)
            taken = self._connection.execute(
                "UPDATE journal SET epoch = ?, checksum = ?, closed_position = NULL"
                " WHERE epoch = ?",
                (self.epoch, checksum, reading.epoch),
            )
            if taken.rowcount != 1:
                raise JournalLocked(f"{path}: another process has just started on it")
            self._checkpoint()

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows in one transaction that is durable on return."""
        with self._final_errors():
            if len(rows) <= LARGEST_STATEMENT:
                self._insert(rows)
            else:
                with self._transaction():
                    for start in range(0, len(rows), LARGEST_STATEMENT):
                        self._insert(rows[start : start + LARGEST_STATEMENT])
        self._head = head_of(rows[-1])
        self._mark.write(self._head)
        self._logged_bytes += COMMIT_BYTES + ROW_BYTES * len(rows)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot and forget those before the last few."""
        with self._final_errors(), self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", snapshot
            )
            self._connection.execute(
                "DELETE FROM snapshots WHERE position NOT IN"
                " (SELECT position FROM snapshots ORDER BY position DESC LIMIT ?)",
                (KEPT_SNAPSHOTS,),
            )
        self._logged_bytes += len(snapshot.state)

    def tend(self, *, is_idle: bool) -> int:
        """Index what is new, fold the write-ahead log in; return the indexed position."""
        behind = self._head.position - self._indexed_position
        if behind >= (IDLE_INDEX_COUNT if is_idle else BUSY_INDEX_COUNT):
            with self._final_errors():
                self._index_until(self._head.position)
        if self._logged_bytes >= (IDLE_CHECKPOINT_BYTES if is_idle else BUSY_CHECKPOINT_BYTES):
            with self._final_errors():
                self._checkpoint()
        return self._indexed_position

    def close(self) -> None:
        """Note the orderly end and release connections and locks; harmless when repeated."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if not self._has_failed:
                with named_errors(self.place):
                    if self._head.position - self._indexed_position >= IDLE_INDEX_COUNT:
                        self._index_until(self._head.position)
                    self._connection.execute(
                        "UPDATE journal SET closed_position = ? WHERE epoch = ?",
                        (self._head.position, self.epoch),
                    )
                    self._checkpoint()
        finally:
            self._connection.close()
            self._mark.close()
            self._lock.release()

    def _insert(self, rows: Sequence[Row]) -> None:
        if insert(self._connection, rows, self.epoch) != len(rows):
            raise JournalError(f"{self.place}: another process start has taken over")

    def _index_until(self, position: int) -> None:
        with self._transaction():
            self._connection.execute(
                "INSERT OR IGNORE INTO subjects SELECT subject, position FROM entries"
                " WHERE position > ? AND position <= ? AND subject IS NOT NULL"
                " ORDER BY subject, position",
                (self._indexed_position, position),
            )
            self._connection.execute("UPDATE journal SET indexed_position = ?", (position,))
        self._indexed_position = position

    def _checkpoint(self) -> None:
        """Copy the write-ahead log into the file, as far as nobody still reads it; never wait."""
        busy, logged, copied = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        # What could not be copied now is tried again with the next quiet moment.
        self._logged_bytes = IDLE_CHECKPOINT_BYTES if busy or copied < logged else 0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _final_errors(self) -> Iterator[None]:
        """Turn errors into ours, and remember that there was one: nothing is written any more.

        What a failed sync left on disk is unknown, and trying again may seem to succeed.
        """
        try:
            with named_errors(self.place):
                yield
        except BaseException:
            self._has_failed = True
            raise


def prepare(connection: sqlite3.Connection) -> None:
    """Set what each writing connection needs: every commit is on disk when it returns."""
    for setting in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "fullfsync = ON",  # macOS: an fsync there does not reach the disk by itself
        "wal_autocheckpoint = 0",  # done in quiet moments instead
        "cache_size = -65536",
    ):
        connection.execute(f"PRAGMA {setting}")


def migrate_file(path: Path, busy_s: float) -> None:
    """Bring the tables of the file at `path` to the newest version.

    Raises:
        JournalError: they are of a version that this one does not know.
    """
    place = str(path)
    with named_errors(place), closing(connect(path, "ro", busy_s)) as connection:
        version = version_of(connection, place)
    if version < VERSION:
        with named_errors(place), closing(connect(path, "rw", busy_s)) as connection:
            prepare(connection)
            migrate(connection, place)


def create(path: Path, journal_id: str, now_ns: int, *, epoch: int = 0) -> None:
    """Make an empty journal at `path`, which appears there whole or not at all.

    Raises:
        JournalDamaged: the mark of an earlier journal is there, and its file is gone.
        JournalError: it cannot be made.
    """
    mark = mark_path(path)
    if mark.exists():
        raise JournalDamaged(
            f"{path}: is gone, but {mark.name} beside it is not: put it back, or delete the mark"
            " to start a new journal"
        )
    draft = path.with_name(path.name + "-new")
    place = str(path)
    try:
        draft.unlink(missing_ok=True)
        make_file(draft)
        with named_errors(place), closing(connect(draft, "rw", BUSY_S)) as connection:
            prepare(connection)
            migrate(connection, place)
            connection.execute(
                "INSERT INTO journal VALUES (1, ?, ?, ?, ?, 0, 0)",
                (journal_id, now_ns, epoch, header_checksum(journal_id, now_ns, epoch)),
            )
        os.rename(draft, path)
        sync_directory(path.parent)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error


def insert(connection: sqlite3.Connection, rows: Sequence[Row], epoch: int) -> int:
    """Write up to LARGEST_STATEMENT rows if the journal is in `epoch`; return how many were."""
    size = 1 << (len(rows) - 1).bit_length()
    values: list[object] = []
    for row in rows:
        values += row
        # Each value but an int, a str or a bytearray costs a search for adapters: half a
        # microsecond, while the copy costs a tenth of that.
        values[-1] = bytearray(row[6])
    values += repeat(0, len(COLUMNS) * (size - len(rows)))
    values.append(epoch)
    return connection.execute(_insertion(size), values).rowcount


def journal_lock(path: Path) -> FileLock:
    """Take the lock of the journal at `path`. Raises JournalLocked if another process has it."""
    return FileLock(path.with_name(path.name + "-lock"), f"journal {path}")


@cache
def _insertion(size: int) -> str:
    """Return the statement for up to `size` rows, fewer filled up with zeros; `size` is 2 ** n.

    So there are few statements to compile, and each is a transaction of its own.
    """
    row = f"({', '.join('?' * len(COLUMNS))})"
    return (
        f"INSERT INTO entries SELECT * FROM (VALUES {', '.join([row] * size)})"
        " WHERE column1 > 0 AND (SELECT epoch FROM journal) = ?"
    )
