"""What an order log needs of the database below it: plain blocking calls, no decisions."""

from collections.abc import Sequence
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple, Protocol

from framework.store.entries import Head, Row

KEPT_SNAPSHOTS = 2
_PLACE = Struct("<qq").pack


class Snapshot(NamedTuple):
    """The core's state as of an entry; `checksum` is that entry's, `digest` covers it all."""

    position: int
    checksum: int
    digest: bytes
    state: bytes

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it was changed."""
        return self.digest == digest_of(self.position, self.checksum, self.state)


def digest_of(position: int, checksum: int, state: bytes) -> bytes:
    """Return what guards a snapshot: a strong hash, as it is used in place of its entries."""
    return blake2b(_PLACE(position, checksum) + state, digest_size=16).digest()


def newest_whole(snapshots: Sequence[Snapshot]) -> Snapshot | None:
    """Return the first whole one of `snapshots`, which come newest first."""
    return next((snapshot for snapshot in snapshots if snapshot.is_whole), None)


class Reading(Protocol):
    """The reads of a journal, from any one thread; each sees only what was committed.

    Raises JournalError where the database cannot be read, JournalDamaged where it makes no sense.
    """

    place: str
    journal_id: str
    created_ns: int
    epoch: int

    def head(self) -> Head:
        """Return the newest entry; (0, checksum of the journal's id) when there is none."""

    def rows(self, after: int, limit: int) -> list[Row]:
        """Return up to `limit` entries that follow `after`, oldest first."""

    def rows_at(self, positions: Sequence[int]) -> list[Row]:
        """Return the entries at these positions as far as they exist, oldest first."""

    def positions_of(self, subject: int) -> list[int]:
        """Return where a subject's entries are, up to `indexed_position()` at least."""

    def subjects_between(self, first: int, last: int) -> list[int]:
        """Return which subjects from `first` to `last` have entries that `positions_of` finds."""

    def indexed_position(self) -> int:
        """Return up to where `positions_of` is complete."""

    def snapshots(self) -> list[Snapshot]:
        """Return the kept snapshots, newest first."""

    def check_whole(self) -> None:
        """Raise JournalDamaged if less is there than was promised to be durable (R-12)."""

    def check_index(self) -> None:
        """Raise JournalDamaged if the database is not whole in itself; takes its time."""

    def close(self) -> None:
        """Release the connection; harmless when repeated."""


class Storage(Protocol):
    """The writes of a journal that this process owns; all from one thread, apart from opening.

    Each raises JournalError when it did not, or may not have, reached the disk.
    """

    place: str
    journal_id: str
    epoch: int

    @property
    def reading(self) -> Reading:
        """Reads of the same journal, for the loop's thread; the log closes it."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows in one transaction that is durable on return.

        Raises JournalError as well if another process start has taken over (a newer epoch).
        """

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot and forget those before the last few."""

    def tend(self, *, is_idle: bool) -> int:
        """Do deferred housekeeping, more of it when idle; return the indexed position."""

    def close(self) -> None:
        """Note the orderly end and release connections and locks; harmless when repeated."""
