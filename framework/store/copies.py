"""Copies of an order log on SQLite: a backup taken while it is written, and what can be saved."""

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count as count_from
from pathlib import Path
from typing import NamedTuple

from framework.errors import JournalDamaged, JournalError
from framework.store.entries import Head, Row, checked, first_checksum, head_of, kind_of, record_of
from framework.store.files import make_file, sync_directory
from framework.store.mark import SUFFIX as MARK_SUFFIX
from framework.store.sqlite import BUSY_S, create, insert, journal_lock, prepare
from framework.store.sqlite_reading import SqliteReading, connect, named_errors
from framework.store.storage import Reading

PAGE_COUNT = 1_000


class Verified(NamedTuple):
    """How far a journal is whole; `damage` says what ends it, "" for nothing."""

    entry_count: int
    first_ns: int | None
    last_ns: int | None
    damage: str


def verify(reading: Reading) -> Verified:
    """Check every entry and the database around them."""
    count, first_ns, last_ns = 0, None, None
    try:
        for row in whole_rows(reading):
            if kind_of(record_of(row, reading.place)) != row[3]:
                raise JournalDamaged(f"{reading.place}: entry {row[0]} is no {row[3]!r}")
            count, last_ns = count + 1, row[2]
            first_ns = row[2] if first_ns is None else first_ns
        reading.check_whole()
        reading.check_index()
    except JournalDamaged as error:
        return Verified(count, first_ns, last_ns, str(error))
    return Verified(count, first_ns, last_ns, "")


def whole_rows(reading: Reading, after: int = 0) -> Iterator[Row]:
    """Yield the rows that follow `after`, as far as each bears out the one before it.

    Raises:
        JournalDamaged: one does not; those before it were yielded.
    """
    before = Head(0, first_checksum(reading.journal_id))
    limit = PAGE_COUNT
    while True:
        try:
            page = reading.rows(before.position, limit)
        except JournalDamaged:
            if limit == 1:
                raise
            limit = 1  # what comes before the damage in this page can still be had
            continue
        for row in checked(page, before, reading.place):
            if row[0] > after:
                yield row
        if len(page) < limit:
            return
        before = head_of(page[-1])


def back_up(source: Path, target: Path) -> int:
    """Copy a journal, in use or not, to a new file; return how many entries that has.

    Raises:
        JournalError: the target exists, or one of them cannot be read or written.
    """
    place = str(target)
    try:
        with closing(SqliteReading(source)) as reading:
            reading.check_whole()
            make_file(target)
            with named_errors(place), closing(connect(target, "rw", BUSY_S)) as copy:
                reading.copy_to(copy)
                copy.execute(
                    "UPDATE journal SET closed_position ="
                    " (SELECT coalesce(max(position), 0) FROM entries)"
                )
        sync_directory(target.parent)
    except OSError as error:
        raise JournalError(f"{target}: {error.strerror}") from error
    with closing(SqliteReading(target)) as reading:
        reading.check_whole()
        return reading.head().position


class Recovered(NamedTuple):
    """What `recover` did: how many entries are left, why not all, where the old files are."""

    entry_count: int
    damage: str
    kept_as: Path


def recover(path: Path) -> Recovered:
    """Make a journal of the longest whole beginning of a damaged one, and put it in its place.

    The old files are kept beside it. A journal whose mark says that more was durable is damaged.

    Raises:
        JournalError: its header is damaged as well, or it cannot be read or written.
    """
    lock = journal_lock(path)
    try:
        draft = path.with_name(path.name + "-recovered")
        with closing(SqliteReading(path)) as reading:
            damage = verify(reading).damage
            draft.unlink(missing_ok=True)
            create(draft, reading.journal_id, reading.created_ns, epoch=reading.epoch)
            count = _copy_rows(reading, draft)
        kept_as = _set_aside(path)
        os.rename(draft, path)
        sync_directory(path.parent)
        return Recovered(count, damage, kept_as)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error
    finally:
        lock.release()


def _copy_rows(reading: Reading, draft: Path) -> int:
    """Copy the whole rows in one transaction; return how many they are."""
    count = 0
    rows = whole_rows(reading)
    with named_errors(str(draft)), closing(connect(draft, "rw", BUSY_S)) as copy:
        prepare(copy)
        copy.execute("BEGIN IMMEDIATE")
        with suppress(JournalDamaged):
            for row in rows:
                count += insert(copy, [row], reading.epoch)
        copy.execute("UPDATE journal SET closed_position = ?", (count,))
        copy.execute("COMMIT")
    return count


def _set_aside(path: Path) -> Path:
    """Rename a journal and the files beside it; return its new name."""
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count_from(1))
    kept_as = next(name for name in names if not name.exists())
    for suffix in ("-wal", "-shm", MARK_SUFFIX, ""):
        file = path.with_name(path.name + suffix)
        if file.exists():
            os.rename(file, kept_as.with_name(kept_as.name + suffix))
    return kept_as
