"""Groups, failures and waiting of a log that writes in a thread, over a storage turned by hand."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from threading import Semaphore

import pytest

from framework.errors import JournalDamaged, JournalError
from framework.model.records import GateSet
from framework.settings.structs import Durability
from framework.simulation.loop import run_simulated
from framework.store import order_log
from framework.store.entries import Head, Row, first_checksum, row_of, subject_of
from framework.store.order_log import StoredLog
from framework.store.storage import Snapshot
from framework.store.writer import GROUP_ROWS
from tests.fakes import ManualClock
from tests.framework.store.journals import (
    START_NS,
    close,
    life_of,
    log_at,
    order_id,
    records,
    written_at,
)


class HandReading:
    """Reads what a `HandStorage` has committed."""

    def __init__(self, storage: "HandStorage") -> None:
        self.place, self.journal_id = storage.place, storage.journal_id
        self.created_ns, self.epoch = START_NS, 1
        self.asked: list[int] = []
        self._storage = storage

    def head(self) -> Head:
        rows = self._storage.rows
        return Head(rows[-1][0], rows[-1][5]) if rows else Head(0, first_checksum("hand"))

    def rows(self, after: int, limit: int) -> list[Row]:
        return self._storage.rows[after : after + limit]

    def rows_at(self, positions: Sequence[int]) -> list[Row]:
        return [row for row in self._storage.rows if row[0] in positions]

    def positions_of(self, subject: int) -> list[int]:
        self.asked.append(subject)
        return [row[0] for row in self._storage.rows if row[4] == subject]

    def subjects_between(self, first: int, last: int) -> list[int]:
        return [row[4] for row in self._storage.rows if row[4] and first <= row[4] <= last]

    def indexed_position(self) -> int:
        return len(self._storage.rows)

    def snapshots(self) -> list[Snapshot]:
        return self._storage.snapshots[::-1]

    def check_whole(self) -> None: ...
    def check_index(self) -> None: ...
    def close(self) -> None: ...


class HandStorage:
    """Commits each transaction only when told, and keeps them apart."""

    place, journal_id, epoch = "hand", "hand", 1

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.snapshots: list[Snapshot] = []
        self.transactions: list[int] = []
        self.allowed = Semaphore(0)
        self.begun = Semaphore(0)
        self.is_closed = False
        self.reading = HandReading(self)

    def write(self, rows: Sequence[Row]) -> None:
        self.begun.release()
        self.allowed.acquire()
        self.rows += rows
        self.transactions.append(len(rows))

    def save_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def tend(self, *, is_idle: bool) -> int:
        return len(self.rows)

    def close(self) -> None:
        self.is_closed = True


def with_log(
    test: Callable[[StoredLog, HandStorage], Awaitable[None]],
    *,
    durability: Durability = Durability.FULL,
    rows: Sequence[Row] = (),
) -> None:
    """Run a test in a loop with a log over a storage turned by hand, which holds `rows`."""

    async def run() -> None:
        storage = HandStorage()
        storage.rows += rows
        loop, clock = asyncio.get_running_loop(), ManualClock(START_NS)
        log = StoredLog(storage, clock, loop=loop, durability=durability)
        try:
            await test(log, storage)
        finally:
            storage.allowed.release(1_000)
            await log.aclose()

    asyncio.run(run())


def test_one_turn_of_the_loop_is_one_transaction_and_waiting_ones_are_joined() -> None:
    async def test(log: StoredLog, storage: HandStorage) -> None:
        for group in (records(3), records(2), records(4)):
            for record in group:
                log.append(record)
            await asyncio.sleep(0)
            if not storage.transactions and log.position == 3:
                storage.begun.acquire()  # the others find the first one being written
        assert log.durable_position == 0
        storage.allowed.release(2)
        await log.flush()
        assert storage.transactions == [3, 6]

    with_log(test)


def test_what_does_not_wait_for_the_disk_is_collected_until_somebody_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R-10: nor does an end of the process wait for more."""
    monkeypatch.setattr(order_log, "LINGER_S", 600.0)

    async def test(log: StoredLog, storage: HandStorage) -> None:
        storage.allowed.release(9)
        for count in (3, 2, 4):
            for record in records(count):
                log.append(record)
            await asyncio.sleep(0)
            assert not storage.begun.acquire(timeout=0.05)
        await asyncio.wait_for(log.flush(), 60)
        assert storage.transactions == [9]
        log.append(records(1)[0])
        await asyncio.wait_for(log.aclose(), 60)
        assert storage.transactions == [9, 1]

    with_log(test, durability=Durability.ASYNC)


def test_r29_only_an_order_that_may_be_known_is_looked_for_in_the_database() -> None:
    rows: list[Row] = []
    for number in range(1_000):  # enough for several parts
        for record in life_of(number):
            before = rows[-1][5] if rows else first_checksum("hand")
            rows.append(row_of(record, len(rows) + 1, 1, START_NS, before))

    async def test(log: StoredLog, storage: HandStorage) -> None:
        asked = storage.reading.asked
        for number in (0, 500, 999):
            assert [at for at, _ in log.of_order(order_id(number))] == [
                4 * number + part for part in (1, 2, 3)
            ]
        assert asked == [subject_of(order_id(number)) for number in (0, 500, 999)]
        asked.clear()
        for number in range(2_000, 2_100):
            assert log.of_order(order_id(number)) == []
        assert asked == []
        for record in life_of(2_000):
            log.append(record)
        assert [at for at, _ in log.of_order(order_id(2_000))] == [4_001, 4_002, 4_003]

    with_log(test, rows=rows)


def test_a_group_does_not_grow_without_end() -> None:
    async def test(log: StoredLog, storage: HandStorage) -> None:
        for _ in range(5):
            for record in records(GROUP_ROWS // 2):
                log.append(record)
            await asyncio.sleep(0)
        storage.allowed.release(5)
        await log.flush()
        assert max(storage.transactions) <= GROUP_ROWS
        assert sum(storage.transactions) == 5 * GROUP_ROWS // 2

    with_log(test)


def test_whoever_waits_hears_of_it_as_soon_as_its_own_entries_are_durable() -> None:
    async def test(log: StoredLog, storage: HandStorage) -> None:
        log.append(records(1)[0])
        first = asyncio.ensure_future(log.flush())
        given_up = asyncio.ensure_future(log.flush())
        await asyncio.sleep(0)
        storage.begun.acquire()
        log.append(records(2)[1])
        second = asyncio.ensure_future(log.flush())
        await asyncio.sleep(0)
        given_up.cancel()
        storage.allowed.release()
        await first
        assert not second.done()
        assert log.durable_position == 1
        storage.allowed.release()
        await second
        assert log.durable_position == 2

    with_log(test)


def test_entries_that_nobody_writes_are_a_failure_and_not_endless_memory() -> None:
    async def test(log: StoredLog, storage: HandStorage) -> None:
        log._kept_entries = 10
        waiting = asyncio.ensure_future(log.flush())
        for record in records(12):
            log.append(record)
        blocked = [asyncio.ensure_future(log.flush()), waiting]
        blocked[0].cancel()
        assert log.failure == "hand: 10 entries wait to be written"
        assert log.position == 12
        assert [at for at, _ in log.read()] == list(range(1, 11))
        assert len(log.of_order(order_id(0))) == 3
        assert log.of_order(order_id(77)) == []
        with pytest.raises(JournalError, match="10 entries wait"):
            await log.flush()
        await asyncio.gather(*blocked, return_exceptions=True)

    with_log(test)


def test_a_failure_reaches_everyone_who_waits() -> None:
    async def test(log: StoredLog, storage: HandStorage) -> None:
        def fail(rows: object) -> None:
            raise JournalError("hand: disk full")

        storage.write = fail  # type: ignore[method-assign]
        told: list[str] = []
        log.on_durable = lambda: told.append(log.failure)
        log.append(records(1)[0])
        waiting = [asyncio.ensure_future(log.flush()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(error) for error in (done[0], done[2])] == ["hand: disk full"] * 2
        assert told == ["hand: disk full"]
        assert log.durable_position == 0

    with_log(test)


def test_an_entry_that_cannot_be_stored_ends_the_log_and_takes_its_turn_along(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    log = written_at(path, 4)
    log.append(records(1)[0])
    position = log.append(GateSet("reducing", "\ud800 is no character", "test", START_NS))
    log.append(records(1)[0])
    log.commit()

    assert f"entry {position} cannot be stored" in log.failure
    assert [at for at, _ in log.read()] == [1, 2, 3, 4, 5]
    assert log.durable_position == 4
    close(log)
    reopened = log_at(path)
    assert reopened.position == 4
    close(reopened)


def test_a_loop_that_is_gone_is_told_nothing_and_harms_nothing() -> None:
    storage = HandStorage()

    async def leave_without_closing() -> StoredLog:
        log = StoredLog(storage, ManualClock(START_NS), loop=asyncio.get_running_loop())
        log.append(records(1)[0])
        await asyncio.sleep(0)
        return log

    log = asyncio.run(leave_without_closing())
    storage.allowed.release()
    log._writer._queue.put(None)  # type: ignore[union-attr]
    log._writer._thread.join()  # type: ignore[union-attr]

    assert storage.transactions == [1]
    assert storage.is_closed


def test_all_entries_of_a_turn_have_its_time(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    log = log_at(path)
    clock = log._clock
    assert isinstance(clock, ManualClock)
    for record in records(2):
        log.append(record)
        clock.advance_to(clock.now_ns + 1_000)
    log.commit()
    log.append(records(1)[0])
    log.commit()

    assert [row[2] - START_NS for row in log._reading.rows(0, 9)] == [0, 0, 2_000]
    close(log)


def test_a_snapshot_can_be_of_any_entry_written_or_not(tmp_path: Path) -> None:
    log = written_at(tmp_path / "journal.db", 8)
    for record in records(4):
        log.append(record)
    for position in (3, 10, 12):
        log.save_snapshot(position, b"%d" % position)
    assert log.newest_snapshot() is None
    log.commit()
    assert log.newest_snapshot() == (12, b"12")
    close(log)
    log.save_snapshot(12, b"too late")


def test_reading_checks_what_it_reads(tmp_path: Path) -> None:
    log = written_at(tmp_path / "journal.db", 12)
    storage = log._writer._storage
    storage._connection.execute(  # type: ignore[attr-defined]
        "UPDATE entries SET time_ns = 0 WHERE position = 7"
    )
    read: list[int] = []

    with pytest.raises(JournalDamaged, match="entry 7 does not bear out"):
        read.extend(at for at, _ in _telling(log, read))
    storage._connection.execute(  # type: ignore[attr-defined]
        "DELETE FROM entries WHERE position = 5"
    )
    with pytest.raises(JournalDamaged, match="entry 5 is missing"):
        list(log.read(after=5))
    with pytest.raises(JournalDamaged, match="entry 5 is missing"):
        log.save_snapshot(5, b"")

    assert read == [1, 2, 3, 4, 5, 6]
    close(log)


def _telling(log: StoredLog, read: list[int]) -> Sequence[tuple[int, object]]:
    for at, _ in log.read():
        read.append(at)
    return []


def test_in_a_simulated_world_a_turn_is_written_before_the_next_without_a_thread(
    tmp_path: Path,
) -> None:
    async def live() -> None:
        from framework.store.opening import open_order_log
        from tests.framework.store.journals import journal_id

        log = open_order_log(
            f"sqlite:///{tmp_path}/journal.db",
            clock=ManualClock(START_NS),
            make_id=journal_id,
            loop=asyncio.get_running_loop(),
            inline=True,
        )
        told: list[int] = []
        log.on_durable = lambda: told.append(log.durable_position)
        for record in life_of(1):
            log.append(record)
        assert log.durable_position == 0
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert told == [4]
        log.append(life_of(2)[0])
        await log.flush()
        assert told == [4, 5]
        await log.aclose()

    run_simulated(live)
