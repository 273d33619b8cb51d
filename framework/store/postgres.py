"""An order log's storage in PostgreSQL: a schema per journal, an advisory lock per process."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from zlib import crc32

import asyncpg

from framework.errors import JournalDamaged, JournalError, JournalLocked
from framework.store.entries import Head, Row, first_checksum
from framework.store.postgres_connection import Address, PostgresConnection, parse_url
from framework.store.schema import APPLICATION_ID, header_checksum
from framework.store.storage import KEPT_SNAPSHOTS, Snapshot

__all__ = ["PostgresReading", "PostgresStorage", "parse_url"]

LOCK_WAIT_MS = 1_500  # the server may take a moment to see that the former owner was killed

STEPS = (  # the n-th leads from version n to n + 1, as in framework/store/schema.py
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
)
VERSION = len(STEPS)

_ROW = "SELECT position, epoch, time_ns, kind, subject, checksum, payload FROM entries"
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
        query = "SELECT position, checksum FROM entries ORDER BY position DESC LIMIT 1"
        found = self._link.fetch(query)
        return Head(*found[0]) if found else Head(0, first_checksum(self.journal_id))

    def rows(self, after: int, limit: int) -> list[Row]:
        """Return up to `limit` entries that follow `after`, oldest first."""
        query = f"{_ROW} WHERE position > $1 ORDER BY position LIMIT $2"
        return [tuple(row) for row in self._link.fetch(query, after, limit)]

    def rows_at(self, positions: Sequence[int]) -> list[Row]:
        """Return the entries at these positions as far as they exist, oldest first."""
        query = f"{_ROW} WHERE position = ANY($1::bigint[]) ORDER BY position"
        return [tuple(row) for row in self._link.fetch(query, positions)]

    def positions_of(self, subject: int) -> list[int]:
        """Return where a subject's entries are."""
        query = "SELECT position FROM entries WHERE subject = $1 ORDER BY position"
        return [row["position"] for row in self._link.fetch(query, subject)]

    def indexed_position(self) -> int:
        """Return the newest position: the server indexes with each commit."""
        return self.head().position

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots whose entry is still what it was, newest first."""
        query = (
            "SELECT position, checksum, digest, state FROM snapshots"
            " JOIN entries USING (position, checksum) ORDER BY position DESC"
        )
        return [Snapshot(*row) for row in self._link.fetch(query)]

    def check_whole(self) -> None:
        """Check nothing: whether the server lost commits, only the server could know."""

    def check_index(self) -> None:
        """Check nothing: pages and indexes are the server's own."""

    def close(self) -> None:
        """Disconnect; harmless when repeated."""
        self._link.close()

    def _header(self, address: Address) -> tuple[str, int, int]:
        if not _has_tables(self._link, address):
            raise JournalError(f"{address.place}: there is no journal")
        found = self._link.fetch("SELECT * FROM journal")
        if not found:
            raise JournalDamaged(f"{address.place}: its header is gone")
        header = found[0]
        if header["version"] != VERSION:
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
            if not _has_tables(self._link, address):
                self._create(address, make_id(), now_ns)
            self.reading = PostgresReading(address, busy_s=busy_s)
            undo.callback(self.reading.close)
            self.journal_id = self.reading.journal_id
            self.epoch = self._take_over()
            undo.pop_all()

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows in one transaction that is durable on return."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        tag = self._link.execute(_INSERTION, *columns, self.epoch)
        if tag != f"INSERT 0 {len(rows)}":
            raise JournalError(f"{self.place}: another process start has taken over")
        self._position = rows[-1][0]

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot and forget those before the last few."""
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
        return self._position

    def close(self) -> None:
        """Disconnect, which gives the lock back; harmless when repeated."""
        self._link.close()

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
            *((step, ()) for step in STEPS),
            ("INSERT INTO journal VALUES ($1, $2, $3, $4, $5, $6)", header),
        )

    def _take_over(self) -> int:
        """Begin the next epoch by compare-and-set."""
        reading = self.reading
        self._position = reading.head().position
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
        f"{address.place}: was written by a newer headrace (schema {version}, this one knows"
        f" {VERSION}): open it with that, or start a new journal beside it"
    )
