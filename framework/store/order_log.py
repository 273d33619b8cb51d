"""The order log over a database: chains entries, commits them in groups, says what is durable.

Entries appended in one turn of the loop are one transaction: a fill and the exits it causes
survive together or not at all. While one group is being written the next one collects.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from framework.errors import JournalDamaged, JournalError
from framework.interfaces import Clock
from framework.model.records import Record, order_of
from framework.settings.structs import Durability
from framework.store.entries import (
    Head,
    Row,
    checked,
    first_checksum,
    head_of,
    record_of,
    row_of,
    subject_of,
)
from framework.store.lock import FileLock
from framework.store.storage import Snapshot, Storage, digest_of, newest_whole
from framework.store.subjects import RecentSubjects, WrittenSubjects
from framework.store.writer import Batch, InlineWriter, WriterThread, Written

PAGE_COUNT = 5_000  # rows read at a time: bounds memory, and how long a read holds back others
KEPT_ENTRIES = 200_000
NO_LIMIT = 1 << 63
LINGER_S = 0.005  # with `durability: async`, where nobody waits for the disk


class StoredLog:
    """An order log on a `Storage` that this object owns.

    With `inline` nothing happens in another thread: `commit` writes before it returns. Without a
    `loop` somebody must call `commit`; with one it follows each turn that appended something.
    More than `kept_entries` that are not written are a failure. `locks` are released at the end.

    Attributes:
        before_write: called before each transaction, in the writer's thread; what it raises is a
            failure of this log. For the input log, whose entries go before what they caused.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        durability: Durability = Durability.FULL,
        inline: bool = False,
        kept_entries: int = KEPT_ENTRIES,
        locks: Sequence[FileLock] = (),
    ) -> None:
        reading = storage.reading
        head = reading.head()
        self.journal_id = storage.journal_id
        self.epoch = storage.epoch
        self.on_durable: Callable[[], None] | None = None
        self.before_write: Callable[[], object] | None = None
        self.position = head.position
        self.failure = ""
        self._written_position = head.position
        self._checksum = head.checksum
        self._reading = reading
        self._place = storage.place
        self._clock = clock
        self._loop = loop
        self._is_async = durability is Durability.ASYNC
        self._kept_entries = kept_entries
        self._locks = locks
        self._entries: deque[tuple[int, Record]] = deque()  # of this turn, not rows yet
        self._rows: list[Row] = []
        self._snapshots: list[Snapshot] = []
        self._is_commit_due = False
        self._turn_ns = 0  # when the first entry of a turn came: all of it has that time
        self._is_closed = False
        self._unwritten: deque[tuple[Row, Record]] = deque()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._recent = RecentSubjects()
        self._written = WrittenSubjects(reading.subjects_between, head.position)
        for row in self._rows_after(reading.indexed_position()):
            if row[4] is not None:
                self._recent.add(row[4], row[0])
                self._written.add(row[4])
        if inline:
            self._writer: InlineWriter | WriterThread = InlineWriter(
                storage, self._before_write, self._on_written
            )
        elif loop is not None:
            self._writer = WriterThread(
                storage,
                self._before_write,
                self._on_written,
                loop,
                linger_s=LINGER_S if self._is_async else 0.0,
            )
        else:
            raise ValueError("a log that writes in a thread needs the loop that it reports to")

    @property
    def durable_position(self) -> int:
        """Everything up to here survives a crash; with `durability: async` what was appended."""
        return self.position if self._is_async and not self.failure else self._written_position

    def append(self, entry: Record) -> int:
        """Write `entry` behind the others and return its position; never waits for the disk."""
        self.position = position = self.position + 1
        if len(self._unwritten) + len(self._entries) >= self._kept_entries:
            self._fail(f"{self._place}: {self._kept_entries} entries wait to be written")
            return position
        if not self._is_commit_due:
            self._plan_commit()
        self._entries.append((position, entry))
        return position

    def commit(self) -> None:
        """Start writing what was appended, as one transaction; inline: write it."""
        self._make_rows()
        self._is_commit_due = False
        if self._rows or self._snapshots:
            batch = Batch(self._rows, self._snapshots)
            self._rows, self._snapshots = [], []
            self._writer.write(batch)

    def read(self, after: int = 0, limit: int | None = None) -> Iterator[tuple[int, Record]]:
        """Yield (position, entry) of what follows `after`, oldest first; at most `limit` of them.

        Raises:
            JournalDamaged: an entry does not bear out its checksum; those before were yielded.
        """
        last = NO_LIMIT if limit is None else after + limit
        for row in self._rows_after(after, last) if after < self._written_position else ():
            after = row[0]
            yield after, record_of(row, self._place)
        self._make_rows()
        for row, record in list(self._unwritten):
            if after < row[0] <= last:
                yield row[0], record

    def of_order(self, order_id: str) -> list[tuple[int, Record]]:
        """Return every entry about one order, oldest first; [] if there is none.

        Raises:
            JournalDamaged: one of them does not bear out its checksum.
        """
        self._make_rows()
        subject = subject_of(order_id)
        if not self._written.may_hold(subject):
            return []
        positions = self._recent.positions_of(subject)
        positions += self._reading.positions_of(subject)
        if not positions:
            return []
        first = self._unwritten[0][0][0] if self._unwritten else self.position + 1
        stored = sorted({at for at in positions if at < first})
        found = [(row[0], record_of(row, self._place)) for row in self._rows_at(stored)]
        found += [
            (at, self._unwritten[at - first][1]) for at in sorted(set(positions)) if at >= first
        ]
        return [(at, record) for at, record in found if order_of(record) == order_id]

    def save_snapshot(self, position: int, state: bytes) -> None:
        """Keep the core's state as of `position`; in the background, losing one loses nothing.

        Raises:
            ValueError: there is no such position.
        """
        if not 0 < position <= self.position:
            raise ValueError(f"no entry {position} in a log that ends at {self.position}")
        if self.failure or self._is_closed:
            return
        self._make_rows()
        checksum = self._checksum_of(position)
        digest = digest_of(position, checksum, state)
        self._snapshots.append(Snapshot(position, checksum, digest, state))
        if not self._is_commit_due:
            self._plan_commit()

    def newest_snapshot(self) -> tuple[int, bytes] | None:
        """Return the newest whole snapshot as (position, state)."""
        snapshot = newest_whole(self._reading.snapshots())
        return None if snapshot is None else (snapshot.position, snapshot.state)

    async def flush(self) -> None:
        """Wait until everything appended is durable. Raises JournalError if it cannot be."""
        self.commit()
        self._writer.hurry()
        if self.failure:
            raise JournalError(self.failure)
        if self._loop is not None and self._written_position < self.position:
            future: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append((self.position, future))
            await future

    async def aclose(self) -> None:
        """Write what is left and release the lock; harmless when repeated."""
        self.commit()
        self._is_closed = True
        self._reading.close()  # before the writer: the last one to close tidies the files up
        await self._writer.aclose()
        for lock in self._locks:
            lock.release()

    def _make_rows(self) -> None:
        """Chain what was appended: only now, as an order that waits for no disk leaves before."""
        entries = self._entries
        while entries:
            position, entry = entries[0]
            try:
                row = row_of(entry, position, self.epoch, self._turn_ns, self._checksum)
            except (TypeError, ValueError, OverflowError) as error:
                self._fail(f"{self._place}: entry {position} cannot be stored: {error}")
                return
            entries.popleft()
            self._checksum = row[5]
            self._unwritten.append((row, entry))
            subject = row[4]
            if subject is not None:
                self._recent.add(subject, position)
                self._written.add(subject)
            if not self.failure:
                self._rows.append(row)

    def _plan_commit(self) -> None:
        self._turn_ns = self._clock.now_ns
        if self._is_closed:
            self._fail(f"{self._place}: closed")
            return
        self._is_commit_due = True
        if self._loop is not None:
            self._loop.call_soon(self.commit)

    def _before_write(self) -> None:
        if self.before_write is not None:
            self.before_write()

    def _on_written(self, written: Written) -> None:
        if written.position is not None:
            for _ in range(written.position - self._written_position):
                self._unwritten.popleft()
            self._written_position = written.position
            while self._waiting and self._waiting[0][0] <= written.position:
                _settle(self._waiting.popleft()[1], None)
        if written.indexed_position is not None:
            self._recent.drop_until(written.indexed_position)
        if written.failure:
            self._fail(written.failure)
        elif written.position is not None and self.on_durable is not None:
            self.on_durable()

    def _fail(self, reason: str) -> None:
        if self.failure:
            return
        self.failure = reason
        self._rows, self._snapshots = [], []
        for _, future in self._waiting:
            _settle(future, JournalError(reason))
        self._waiting.clear()
        if self.on_durable is not None:
            self.on_durable()

    def _rows_after(self, after: int, last: int = NO_LIMIT) -> Iterator[Row]:
        """Yield the committed rows behind `after` up to `last`, each checked by the one before."""
        before = Head(after, self._checksum_of(after))
        while before.position < last:
            count = min(PAGE_COUNT, last - before.position)
            page = self._reading.rows(before.position, count)
            yield from checked(page, before, self._place)
            if len(page) < count:
                return
            before = head_of(page[-1])

    def _rows_at(self, positions: list[int]) -> list[Row]:
        """Return the committed rows at `positions`, each checked against the one before it."""
        wanted = sorted({at for position in positions for at in (position - 1, position) if at})
        found = {row[0]: row for row in self._reading.rows_at(wanted)}
        rows: list[Row] = []
        for at in positions:
            checksum = found[at - 1][5] if at - 1 in found else first_checksum(self.journal_id)
            if at not in found:
                raise JournalDamaged(f"{self._place}: entry {at} is missing")
            rows += checked([found[at]], Head(at - 1, checksum), self._place)
        return rows

    def _checksum_of(self, position: int) -> int:
        """Return the checksum of an entry, written or not."""
        if position == self.position:
            return self._checksum
        if position == 0:
            return first_checksum(self.journal_id)
        for row in self._reading.rows_at([position]):
            return row[5]
        for row, _ in self._unwritten:
            if row[0] == position:
                return row[5]
        raise JournalDamaged(f"{self._place}: entry {position} is missing")


def _settle(future: asyncio.Future[None], error: JournalError | None) -> None:
    if future.done():  # whoever waited has been cancelled
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
