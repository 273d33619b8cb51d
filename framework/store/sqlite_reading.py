"""Reads of an order log on SQLite; they neither wait for the writer nor hold it up."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from framework.errors import JournalDamaged, JournalError
from framework.store.entries import Head, Row, first_checksum, head_of
from framework.store.mark import mark_path, read_mark
from framework.store.schema import OLDEST_READ, VERSION, header_checksum, version_of
from framework.store.storage import Snapshot

_MAKES_NO_SENSE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_ROW = "SELECT position, epoch, time_ns, kind, subject, checksum, payload FROM entries"


class SqliteReading:
    """A connection that only reads; of one thread at a time."""

    def __init__(self, path: Path, *, busy_s: float = 10.0) -> None:
        """Open a journal.

        Raises:
            JournalError: the file is missing, no order log, or of another version.
            JournalDamaged: it cannot be read, or its header does not bear out its checksum.
        """
        self.place = str(path)
        self.path = path
        if not path.is_file():
            raise JournalError(f"{path}: there is no journal")
        with named_errors(self.place):
            self._connection = connect(path, "ro", busy_s)
        try:
            self.journal_id, self.created_ns, self.epoch, self.closed_position = self._header()
        except BaseException:
            self.close()
            raise

    def head(self) -> Head:
        """Return the newest entry; (0, checksum of the journal's id) when there is none."""
        found = self._fetch("SELECT position, checksum FROM entries ORDER BY position DESC LIMIT 1")
        self._require(found, int, int)
        return Head(*found[0]) if found else Head(0, first_checksum(self.journal_id))

    def rows(self, after: int, limit: int) -> list[Row]:
        """Return up to `limit` entries that follow `after`, oldest first."""
        return self._fetch(f"{_ROW} WHERE position > ? ORDER BY position LIMIT ?", after, limit)

    def rows_at(self, positions: Sequence[int]) -> list[Row]:
        """Return the entries at these positions as far as they exist, in the order given."""
        found = [self._fetch(f"{_ROW} WHERE position = ?", position) for position in positions]
        return [row for rows in found for row in rows]

    def positions_of(self, subject: int) -> list[int]:
        """Return where a subject's indexed entries are."""
        found = self._fetch(
            "SELECT position FROM subjects WHERE subject = ? ORDER BY position", subject
        )
        self._require(found, int)
        return [position for (position,) in found]

    def subjects_between(self, first: int, last: int) -> list[int]:
        """Return which subjects from `first` to `last` have indexed entries."""
        found = self._fetch(
            "SELECT DISTINCT subject FROM subjects WHERE subject BETWEEN ? AND ?", first, last
        )
        self._require(found, int)
        return [subject for (subject,) in found]

    def indexed_position(self) -> int:
        """Return up to where `positions_of` is complete."""
        found = self._fetch("SELECT indexed_position FROM journal")
        self._require(found, int)
        return int(found[0][0])

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots whose entry is still what it was, newest first."""
        found = self._fetch(
            "SELECT position, checksum, digest, state FROM snapshots"
            " JOIN entries USING (position, checksum) ORDER BY position DESC"
        )
        self._require(found, int, int, bytes, bytes)
        return [Snapshot(*row) for row in found]

    def copy_to(self, target: sqlite3.Connection) -> None:
        """Copy the whole database as it is at one moment."""
        with named_errors(self.place):
            self._connection.backup(target)

    def check_whole(self) -> None:
        """Hold the journal against what was promised of it (R-12).

        Raises:
            JournalDamaged: it is older than its mark, or was copied while in use without it.
        """
        promised = read_mark(self.path, self.journal_id)
        head = self.head()
        way = "restore it with the files beside it, or give up what is missing: journal recover"
        if promised is None:
            if self.closed_position != head.position:
                raise JournalDamaged(
                    f"{self.place}: was copied while in use, without its write-ahead log or"
                    f" {mark_path(self.path).name}; it has {head.position} entries; {way}"
                )
            return
        if promised.position > head.position:
            raise JournalDamaged(
                f"{self.place}: ends at entry {head.position}, but {promised.position} were"
                f" durable; {way}"
            )
        found = [head_of(row) for row in self.rows_at([promised.position])]
        if promised.position and found != [promised]:
            raise JournalDamaged(f"{self.place}: entry {promised.position} was another; {way}")

    def check_index(self) -> None:
        """Compare the whole file with itself: pages, and the index with the entries.

        Raises:
            JournalDamaged: something does not fit.
        """
        (verdict,) = self._fetch("PRAGMA integrity_check(1)")[0]
        if verdict != "ok":
            raise JournalDamaged(f"{self.place}: {verdict}")
        (wrong,) = self._fetch(
            "SELECT (SELECT count(*) FROM entries WHERE subject IS NOT NULL AND position <= ?1)"
            " <> (SELECT count(*) FROM subjects JOIN entries USING (position, subject))"
            " OR (SELECT count(*) FROM subjects) <>"
            " (SELECT count(*) FROM subjects JOIN entries USING (position, subject))",
            self.indexed_position(),
        )[0]
        if wrong:
            raise JournalDamaged(f"{self.place}: the index of orders does not fit the entries")

    def close(self) -> None:
        """Release the connection; harmless when repeated."""
        self._connection.close()

    def _header(self) -> tuple[str, int, int, int | None]:
        with named_errors(self.place):
            version = version_of(self._connection, self.place)
        if version < OLDEST_READ:
            raise JournalError(
                f"{self.place}: has format {version}; a start of headrace on it brings it to"
                f" {VERSION}"
            )
        found = self._fetch(
            "SELECT journal_id, created_ns, epoch, closed_position, checksum FROM journal"
        )
        self._require(found, str, int, int, int | None, int)
        if not found or found[0][4] != header_checksum(*found[0][:3]):
            raise JournalDamaged(f"{self.place}: its header does not bear out its checksum")
        journal_id, created_ns, epoch, closed_position, _ = found[0]
        return journal_id, created_ns, epoch, closed_position

    def _require(self, rows: list[Any], *types: Any) -> None:
        """Refuse values of other types: SQLite keeps in any column whatever the bytes there say."""
        for row in rows:
            if not all(map(isinstance, row, types)):
                raise JournalDamaged(f"{self.place}: holds a value that makes no sense")

    def _fetch(self, statement: str, *values: int) -> list[Any]:
        with named_errors(self.place):
            return self._connection.execute(statement, values).fetchall()


def connect(path: Path, mode: str, busy_s: float) -> sqlite3.Connection:
    """Return a connection in autocommit, which other threads may take over."""
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=busy_s,
        isolation_level=None,
        check_same_thread=False,
    )


@contextmanager
def named_errors(place: str) -> Iterator[None]:
    """Turn SQLite's errors into ours, with the place."""
    try:
        yield
    except (sqlite3.DatabaseError, sqlite3.InterfaceError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
        if code & 0xFF in _MAKES_NO_SENSE:
            raise JournalDamaged(f"{place}: {error}") from error
        raise JournalError(f"{place}: {error}") from error
    except (OverflowError, UnicodeDecodeError) as error:
        raise JournalDamaged(f"{place}: {error}") from error
