"""Tables of an order log, and the steps that lead from one version of them to the next.

Version 1:
    journal    one row: who this journal is, its epoch, how far `subjects` reaches, how it ended
    entries    the chain (`framework/store/entries.py`)
    subjects   where an order's entries are; derived from `entries`, up to `indexed_position`
    snapshots  the core's state as of an entry
Version 2: the same tables, with entries that version 1 has no words for (instruments found on the
    way, exits that were changed, what a backtest played).

A build that adds a kind of entry, or a field that the state depends on, adds a version, be its
step empty: an older build must refuse the journal rather than stumble over it or forget something.
`tests/data/journals/version_N.words` holds what a version can say.
"""

import sqlite3
from collections.abc import Sequence
from zlib import crc32

from framework.errors import JournalError

APPLICATION_ID = 0x48445243  # "HDRC": tells an order log from any other SQLite file

STEPS: tuple[tuple[str, ...], ...] = (  # the n-th leads from version n to n + 1
    (
        """CREATE TABLE journal (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            journal_id TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            checksum INTEGER NOT NULL,
            indexed_position INTEGER NOT NULL,
            closed_position INTEGER
        )""",
        """CREATE TABLE entries (
            position INTEGER PRIMARY KEY,
            epoch INTEGER NOT NULL,
            time_ns INTEGER NOT NULL,
            kind TEXT NOT NULL,
            subject INTEGER,
            checksum INTEGER NOT NULL,
            payload BLOB NOT NULL
        )""",
        """CREATE TABLE subjects (
            subject INTEGER NOT NULL,
            position INTEGER NOT NULL,
            PRIMARY KEY (subject, position)
        ) WITHOUT ROWID""",
        """CREATE TABLE snapshots (
            position INTEGER PRIMARY KEY,
            checksum INTEGER NOT NULL,
            digest BLOB NOT NULL,
            state BLOB NOT NULL
        )""",
    ),
    (),
)
VERSION = len(STEPS)
OLDEST_READ = 1  # has tables that the queries of today fit: it is read as it is


def migrate(
    connection: sqlite3.Connection, place: str, steps: Sequence[Sequence[str]] = STEPS
) -> None:
    """Bring the tables to the newest version, all steps in one transaction.

    Raises:
        JournalError: they are of a version that these steps do not know.
    """
    version = version_of(connection, place, steps)
    if version == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in steps[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def version_of(
    connection: sqlite3.Connection, place: str, steps: Sequence[Sequence[str]] = STEPS
) -> int:
    """Return the tables' version, 0 for a database that is still empty.

    Raises:
        JournalError: it is newer than these steps, or no order log at all.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and tables:
        raise JournalError(f"{place}: is a database, but no order log")
    if version > len(steps):
        raise JournalError(
            f"{place}: this journal was written by a newer headrace (format {version}, this one"
            f" reads up to {len(steps)}): open it with that, or start a new journal beside it"
        )
    return int(version)


def header_checksum(journal_id: str, created_ns: int, epoch: int) -> int:
    """Return what guards the row of `journal`: its id is part of every order's id."""
    return crc32(f"{journal_id}\0{created_ns}\0{epoch}".encode())
