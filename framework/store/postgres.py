"""An order log's storage in PostgreSQL: a schema per journal, an advisory lock per process.

A connection that ends, because the server was restarted or somebody ended it, is made again. What
the last transaction came to is looked up then, so that nothing is lost or written twice; and only
while the journal is still this process's: its lock is free, its epoch and its end are ours.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import Event
from typing import Any
from zlib import crc32

import asyncpg
import structlog

from framework.errors import JournalDamaged, JournalError, JournalLocked
from framework.store.entries import Head, Row, first_checksum, head_of
from framework.store.postgres_connection import Address, PostgresConnection, parse_url
from framework.store.schema import APPLICATION_ID, header_checksum
from framework.store.storage import KEPT_SNAPSHOTS, Snapshot

__all__ = ["PostgresReading", "PostgresStorage", "parse_url"]

LOCK_WAIT_MS = 1_500  # the server may take a moment to see that the former owner was killed
RECONNECT_S = (0.0, 0.1, 0.2, 0.4, 0.8, 1.5, 2.0)  # pauses: 5 s, then what waits is too late anyway

log = structlog.get_logger("journal")

STEPS: tuple[str, ...] = (  # the n-th leads from version n to n + 1, as in schema.py
    """
    CREATE TABLE journal (
        id integer PRIMARY KEY CHECK (id = 1),
        journal_id text NOT NULL,
        created_ns bigint NOT NULL,
        epoch bigint NOT NULL,
        checksum bigint NOT NULL,
        version integer NOT NULL
    );
    CREATE TABLE entries (
        position bigint PRIMARY KEY,
        epoch bigint NOT NULL,
        time_ns bigint NOT NULL,
        kind text NOT NULL,
        subject bigint,
        checksum bigint NOT NULL,
        payload bytea NOT NULL
    );
    CREATE INDEX subjects ON entries (subject, position) WHERE subject IS NOT NULL;
    CREATE TABLE snapshots (
        position bigint PRIMARY KEY,
        checksum bigint NOT NULL,
        digest bytea NOT NULL,
        state bytea NOT NULL
    );
    """,
    "",
)
VERSION = len(STEPS)
OLDEST_READ = 1

_ROW = "SELECT position, epoch, time_ns, kind, subject, checksum, payload FROM entries"
_HEAD = "SELECT position, checksum FROM entries ORDER BY position DESC LIMIT 1"
_INSERTION = """
    INSERT INTO entries
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[],
                         $6::bigint[], $7::bytea[])
    WHERE (SELECT epoch FROM journal) = $8
"""


class PostgresReading:
    """A connection that only reads; of one thread at a time."""

    def __init__(self, address: Address, *, busy_s: float = 60.0) -> None:
        """Open a journal.

        Raises:
            JournalError: the server cannot be reached, or has no such journal.
            JournalDamaged: its header does not bear out its checksum.
        """
        self.place = address.place
        self._link = PostgresConnection(address, busy_s=busy_s)
        try:
            self.journal_id, self.created_ns, self.epoch = self._header(address)
        except BaseException:
            self.close()
            raise

    def head(self) -> Head:
        """Return the newest entry; (0, checksum of the journal's id) when there is none."""
        found = self._fetch(_HEAD)
        return Head(*found[0]) if found else Head(0, first_checksum(self.journal_id))

    def rows(self, after: int, limit: int) -> list[Row]:
        """Return up to `limit` entries that follow `after`, oldest first."""
        query = f"{_ROW} WHERE position > $1 ORDER BY position LIMIT $2"
        return [tuple(row) for row in self._fetch(query, after, limit)]

    def rows_at(self, positions: Sequence[int]) -> list[Row]:
        """Return the entries at these positions as far as they exist, oldest first."""
        query = f"{_ROW} WHERE position = ANY($1::bigint[]) ORDER BY position"
        return [tuple(row) for row in self._fetch(query, positions)]

    def positions_of(self, subject: int) -> list[int]:
        """Return where a subject's entries are."""
        query = "SELECT position FROM entries WHERE subject = $1 ORDER BY position"
        return [row["position"] for row in self._fetch(query, subject)]

    def subjects_between(self, first: int, last: int) -> list[int]:
        """Return which subjects from `first` to `last` have entries."""
        query = "SELECT DISTINCT subject FROM entries WHERE subject BETWEEN $1 AND $2"
        return [row["subject"] for row in self._fetch(query, first, last)]

    def indexed_position(self) -> int:
        """Return the newest position: the server indexes with each commit."""
        return self.head().position

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots whose entry is still what it was, newest first."""
        query = (
            "SELECT position, checksum, digest, state FROM snapshots"
            " JOIN entries USING (position, checksum) ORDER BY position DESC"
        )
        return [Snapshot(*row) for row in self._fetch(query)]

    def check_whole(self) -> None:
        """Check nothing: whether the server lost commits, only the server could know."""

    def check_index(self) -> None:
        """Check nothing: pages and indexes are the server's own."""

    def close(self) -> None:
        """Disconnect; harmless when repeated."""
        self._link.close()

    def _fetch(self, query: str, *values: object) -> list[Any]:
        """Return what a query finds, asked again over a new connection where the old one ended."""
        try:
            return self._link.fetch(query, *values)
        except JournalError:
            if not self._link.is_lost:
                raise
        self._link.renew()
        return self._link.fetch(query, *values)

    def _header(self, address: Address) -> tuple[str, int, int]:
        if not _has_tables(self._link, address):
            raise JournalError(f"{address.place}: there is no journal")
        found = self._fetch("SELECT * FROM journal")
        if not found:
            raise JournalDamaged(f"{address.place}: its header is gone")
        header = found[0]
        if not OLDEST_READ <= header["version"] <= VERSION:
            raise _wrong_version(address, header["version"])
        identity = (header["journal_id"], header["created_ns"], header["epoch"])
        if header["checksum"] != header_checksum(*identity):
            raise JournalDamaged(f"{address.place}: its header does not bear out its checksum")
        return identity


class PostgresStorage:
    """The journal, locked for this process, in a new epoch."""

    def __init__(
        self, address: Address, *, make_id: Callable[[], str], now_ns: int, busy_s: float
    ) -> None:
        """Open the journal, or make it.

        Raises:
            JournalLocked: another process has it.
            JournalError: the server cannot be reached, or does not sync what it commits.
        """
        self.place = address.place
        self._lock_name = (APPLICATION_ID, crc32(address.schema.encode()) - 2**31)
        with ExitStack() as undo:
            self._link = PostgresConnection(address, busy_s=busy_s)
            undo.callback(self._link.close)
            self._lock()
            self._require_sync()
            if _has_tables(self._link, address):
                self._migrate(address)
            else:
                self._create(address, make_id(), now_ns)
            self.reading = PostgresReading(address, busy_s=busy_s)
            undo.callback(self.reading.close)
            self.journal_id = self.reading.journal_id
            self.epoch = self._take_over()
            undo.pop_all()

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows in one transaction that is durable on return."""
        head = head_of(rows[-1])
        try:
            self._insert(rows)
        except JournalError as error:
            if self._go_on(error, head) != head:
                self._insert(rows)
        self._head = head

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot and forget those before the last few."""
        try:
            self._save(snapshot)
        except JournalError as error:
            self._go_on(error, self._head)
            self._save(snapshot)

    def _save(self, snapshot: Snapshot) -> None:
        self._link.transact(
            (
                "INSERT INTO snapshots VALUES ($1, $2, $3, $4) ON CONFLICT (position) DO UPDATE"
                " SET checksum = $2, digest = $3, state = $4",
                snapshot,
            ),
            (
                "DELETE FROM snapshots WHERE position NOT IN"
                " (SELECT position FROM snapshots ORDER BY position DESC LIMIT $1)",
                (KEPT_SNAPSHOTS,),
            ),
        )

    def tend(self, *, is_idle: bool) -> int:
        """Return the indexed position: the server keeps house by itself."""
        return self._head.position

    def close(self) -> None:
        """Disconnect, which gives the lock back; harmless when repeated."""
        self._link.close()

    def _insert(self, rows: Sequence[Row]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        tag = self._link.execute(_INSERTION, *columns, self.epoch)
        if tag != f"INSERT 0 {len(rows)}":
            raise self._taken_over()

    def _taken_over(self) -> JournalError:
        return JournalError(f"{self.place}: another process start has taken over")

    def _go_on(self, error: JournalError, wanted: Head) -> Head:
        """Connect again after `error` and return the journal's end: before, or at, `wanted`.

        Raises:
            JournalError: `error` was no lost connection, there is none to be had in time, or the
                journal is not this process's any more.
            JournalDamaged: the server has lost what it had committed.
        """
        if not self._link.is_lost:
            raise error
        log.warning("journal_connection_lost", reason=str(error))
        for pause_s in RECONNECT_S:
            Event().wait(pause_s)
            try:
                self._link.renew()
                self._require_ours()  # before its lock: a successor holds that for good
                self._lock()  # once the former session has ended, and its transaction with it
                break
            except JournalError as failure:
                if not (self._link.is_lost or isinstance(failure, JournalLocked)):
                    raise
                error = failure  # a server that starts may end what it has let in
        else:
            raise error
        self._require_ours()
        self._require_sync()
        found = self._link.fetch(_HEAD)
        head = Head(*found[0]) if found else Head(0, first_checksum(self.journal_id))
        if head not in (self._head, wanted):
            raise JournalDamaged(
                f"{self.place}: ends at entry {head.position} after the server came back, and"
                f" {self._head.position} were durable"
            )
        log.warning("journal_connection_back", position=head.position)
        return head

    def _require_ours(self) -> None:
        found = self._link.fetch("SELECT journal_id, epoch FROM journal")
        if [tuple(row) for row in found] != [(self.journal_id, self.epoch)]:
            raise self._taken_over()

    def _lock(self) -> None:
        self._link.execute(f"SET lock_timeout = {LOCK_WAIT_MS}")
        try:
            self._link.execute("SELECT pg_advisory_lock($1, $2)", *self._lock_name)
        except JournalError as error:
            if isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                raise JournalLocked(f"{self.place}: in use by {self._holder()}") from None
            raise
        self._link.execute("SET lock_timeout = 0")

    def _holder(self) -> str:
        found = self._link.fetch(
            "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND classid::bigint = $1"
            " AND objid::bigint = $2",
            self._lock_name[0],
            self._lock_name[1] % 2**32,
        )
        return f"process {found[0][0]}" if found else "another process"

    def _require_sync(self) -> None:
        if self._link.fetch("SHOW fsync")[0][0] != "on":
            raise JournalError(f"{self.place}: the server runs with fsync off: nothing is durable")

    def _create(self, address: Address, journal_id: str, now_ns: int) -> None:
        checksum = header_checksum(journal_id, now_ns, 0)
        header = (1, journal_id, now_ns, 0, checksum, VERSION)
        self._link.transact(
            (f"CREATE SCHEMA IF NOT EXISTS {address.schema}", ()),
            *((step, ()) for step in STEPS if step),
            ("INSERT INTO journal VALUES ($1, $2, $3, $4, $5, $6)", header),
        )

    def _migrate(self, address: Address) -> None:
        """Bring the tables to the newest version, all steps in one transaction."""
        found = self._link.fetch("SELECT version FROM journal")
        version = found[0]["version"] if found else VERSION  # the reading says what is wrong
        if version > VERSION:
            raise _wrong_version(address, version)
        if version < VERSION:
            self._link.transact(
                *((step, ()) for step in STEPS[version:] if step),
                ("UPDATE journal SET version = $1", (VERSION,)),
            )

    def _take_over(self) -> int:
        """Begin the next epoch by compare-and-set."""
        reading = self.reading
        self._head = reading.head()
        epoch = reading.epoch + 1
        checksum = header_checksum(self.journal_id, reading.created_ns, epoch)
        tag = self._link.execute(
            "UPDATE journal SET epoch = $1, checksum = $2 WHERE epoch = $3",
            epoch,
            checksum,
            reading.epoch,
        )
        if tag != "UPDATE 1":
            raise JournalLocked(f"{self.place}: another process has just started on it")
        return epoch


def _has_tables(link: PostgresConnection, address: Address) -> bool:
    query = "SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'journal'"
    return bool(link.fetch(query, address.schema))


def _wrong_version(address: Address, version: int) -> JournalError:
    return JournalError(
        f"{address.place}: this journal was written by a newer headrace (format {version}, this one"
        f" reads up to {VERSION}): open it with that, or start a new journal beside it"
    )
