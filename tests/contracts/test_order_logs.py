"""What every order log promises: in memory, on SQLite with and without a thread, on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from framework.errors import JournalError, JournalLocked
from framework.interfaces import OrderLog
from framework.model.records import order_of
from framework.settings.structs import Durability
from framework.store.opening import open_order_log
from framework.store.order_log import StoredLog
from tests.fakes import ManualClock
from tests.framework.store.journals import (
    START_NS,
    journal_id,
    life_of,
    order_id,
    postgres_journal,
    records,
)

Open = Callable[[], OrderLog]
Test = Callable[[Open], Awaitable[None]]

LOGS = ["memory", "sqlite-thread", "sqlite-inline", "sqlite-async", "postgres"]
DURABLE = LOGS[1:]


@contextmanager
def journal(kind: str, directory: Path) -> Iterator[Open]:
    """Give a function that opens one and the same journal of a kind; in a running loop."""
    with journal_url(kind, directory) as url:
        yield lambda: open_order_log(
            url,
            clock=ManualClock(START_NS),
            make_id=journal_id,
            loop=asyncio.get_running_loop(),
            inline=kind == "sqlite-inline",
            durability=Durability.ASYNC if kind == "sqlite-async" else Durability.FULL,
        )


@contextmanager
def journal_url(kind: str, directory: Path) -> Iterator[str]:
    if kind == "memory":
        yield "memory:"
    elif kind == "postgres":
        with postgres_journal() as url:
            yield url
    else:
        yield f"sqlite:///{directory / 'journal.db'}"


@asynccontextmanager
async def opened(open_log: Open) -> AsyncIterator[OrderLog]:
    log = open_log()
    try:
        yield log
    finally:
        await log.aclose()


def over(kinds: list[str]) -> Callable[[Test], Callable[[str, Path], None]]:
    """Run a test over these kinds of log, each in a loop of its own."""

    def decorate(test: Test) -> Callable[[str, Path], None]:
        def run(kind: str, tmp_path: Path) -> None:
            with journal(kind, tmp_path) as open_log:
                asyncio.run(test(open_log))  # type: ignore[arg-type]

        run.__name__ = test.__name__
        run.__doc__ = test.__doc__
        marks = [
            pytest.param(kind, marks=[pytest.mark.socket] if kind == "postgres" else [])
            for kind in kinds
        ]
        return pytest.mark.parametrize("kind", marks)(run)

    return decorate


@over(LOGS)
async def test_a_new_log_is_empty(open_log: Open) -> None:
    async with opened(open_log) as log:
        assert (log.position, log.durable_position, log.epoch, log.failure) == (0, 0, 1, "")
        assert log.journal_id == journal_id()
        assert list(log.read()) == []
        assert log.of_order(order_id(1)) == []
        assert log.newest_snapshot() is None
        await log.flush()


@over(LOGS)
async def test_entries_have_positions_from_1_on_and_are_read_in_order(open_log: Open) -> None:
    written = records(50)
    async with opened(open_log) as log:
        assert [log.append(record) for record in written] == list(range(1, 51))
        assert list(log.read()) == list(enumerate(written, 1))
        await log.flush()
        assert log.position == log.durable_position == 50
        assert list(log.read()) == list(enumerate(written, 1))


@over(LOGS)
async def test_reading_goes_on_behind_a_position(open_log: Open) -> None:
    written = records(20)
    async with opened(open_log) as log:
        for record in written[:12]:
            log.append(record)
        await log.flush()
        for record in written[12:]:
            log.append(record)  # not written yet: read all the same

        assert list(log.read(after=10)) == list(enumerate(written[10:], 11))
        assert list(log.read(after=15)) == list(enumerate(written[15:], 16))
        assert list(log.read(after=20)) == []


@over(LOGS)
async def test_a_reader_that_takes_a_few_entries_gets_no_more(open_log: Open) -> None:
    """R-23, R-24, R-29: past orders are read back a page at a time, by whoever lists them."""
    written = records(20)
    numbered = list(enumerate(written, 1))
    async with opened(open_log) as log:
        for record in written[:12]:
            log.append(record)
        await log.flush()
        for record in written[12:]:
            log.append(record)  # not written yet: read all the same

        assert list(log.read(0, 5)) == numbered[:5]
        assert list(log.read(10, 5)) == numbered[10:15]  # of both
        assert list(log.read(13, 3)) == numbered[13:16]
        assert list(log.read(18, 5)) == numbered[18:]
        assert list(log.read(5, 0)) == []
        assert list(log.read(after=99)) == []


@over(LOGS)
async def test_every_entry_of_an_order_is_found_written_or_not(open_log: Open) -> None:
    async with opened(open_log) as log:
        for number in range(5):
            for record in life_of(number):
                log.append(record)
        await log.flush()
        late = life_of(2)[1]
        log.append(late)

        for number in range(5):
            expected = [
                (at, record) for at, record in log.read() if order_of(record) == order_id(number)
            ]
            assert log.of_order(order_id(number)) == expected
            assert len(expected) == (4 if number == 2 else 3)
        assert log.of_order(order_id(77)) == []
        assert log.of_order("") == []


@over(LOGS)
async def test_snapshots_come_back_the_newest_first(open_log: Open) -> None:
    async with opened(open_log) as log:
        for record in records(10):
            log.append(record)
        log.save_snapshot(4, b"at 4")
        log.save_snapshot(10, b"at 10")
        await log.flush()
        assert log.newest_snapshot() == (10, b"at 10")


@over(DURABLE)
async def test_a_snapshot_needs_its_entry(open_log: Open) -> None:
    async with opened(open_log) as log:
        log.append(records(1)[0])
        with pytest.raises(ValueError, match="no entry 2"):
            log.save_snapshot(2, b"")


@over(DURABLE)
async def test_a_log_goes_on_where_it_was_closed(open_log: Open) -> None:
    written = records(9)
    async with opened(open_log) as log:
        for record in written[:6]:
            log.append(record)
        log.save_snapshot(5, b"state")
    async with opened(open_log) as log:
        assert (log.position, log.durable_position, log.epoch) == (6, 6, 2)
        assert log.newest_snapshot() == (5, b"state")
        for record in written[6:]:
            log.append(record)
        assert list(log.read()) == list(enumerate(written, 1))
    async with opened(open_log) as log:
        assert log.epoch == 3
        assert list(log.read(after=3)) == list(enumerate(written[3:], 4))
        assert len(log.of_order(order_id(1))) == 3


@over(DURABLE)
async def test_only_the_last_two_snapshots_are_kept(open_log: Open) -> None:
    async with opened(open_log) as log:
        assert isinstance(log, StoredLog)
        for at, record in enumerate(records(5), 1):
            log.append(record)
            log.save_snapshot(at, b"state %d" % at)
            await log.flush()
    async with opened(open_log) as log:
        assert isinstance(log, StoredLog)
        assert [snapshot.position for snapshot in log._reading.snapshots()] == [5, 4]


@over(["sqlite-thread", "sqlite-inline", "postgres"])
async def test_durability_is_told_on_the_loops_thread(open_log: Open) -> None:
    async with opened(open_log) as log:
        seen: list[int] = []
        loop = asyncio.get_running_loop()

        def note() -> None:
            assert asyncio.get_running_loop() is loop
            seen.append(log.durable_position)

        log.on_durable = note
        for record in records(3):
            log.append(record)
        assert log.durable_position == 0
        assert seen == []
        await log.flush()
        assert seen[-1] == log.durable_position == 3
        assert seen == sorted(seen)


@over(["sqlite-async"])
async def test_async_durability_promises_at_once_and_writes_behind(open_log: Open) -> None:
    async with opened(open_log) as log:
        log.append(records(1)[0])
        assert log.durable_position == 1
    async with opened(open_log) as log:
        assert log.position == 1


@over(DURABLE)
async def test_r09_a_second_opener_is_refused_while_the_first_lives(open_log: Open) -> None:
    async with opened(open_log):
        with pytest.raises(JournalLocked, match="in use by process"):
            open_log()
    async with opened(open_log) as log:
        assert log.epoch == 2


@over(DURABLE)
async def test_r06_a_failure_is_final_and_loses_nothing_of_what_was_durable(
    open_log: Open,
) -> None:
    written = records(10)
    async with opened(open_log) as log:
        assert isinstance(log, StoredLog)
        told: list[str] = []
        for record in written[:4]:
            log.append(record)
        await log.flush()
        log.on_durable = lambda: told.append(log.failure)
        log._writer._storage.write = fail  # type: ignore[method-assign]
        for record in written[4:]:
            log.append(record)
        with pytest.raises(JournalError, match="disk full"):
            await log.flush()

        assert "disk full" in log.failure
        assert told == [log.failure]
        assert (log.position, log.durable_position) == (10, 4)
        assert log.append(written[0]) == 11
        with pytest.raises(JournalError, match="disk full"):
            await log.flush()
        assert list(log.read()) == list(enumerate([*written, written[0]], 1))
        assert (11, written[0]) in log.of_order(order_id(0))
        log.save_snapshot(4, b"never")
    async with opened(open_log) as log:
        assert list(log.read()) == list(enumerate(written[:4], 1))


def fail(rows: object) -> None:
    raise JournalError("disk full")


@over(DURABLE)
async def test_an_older_epochs_append_is_refused(open_log: Open) -> None:
    async with opened(open_log) as log:
        assert isinstance(log, StoredLog)
        log.append(records(1)[0])
        await log.flush()
        log._writer._storage.epoch -= 1
        log.append(records(2)[1])
        with pytest.raises(JournalError, match="taken over"):
            await log.flush()
        assert log.durable_position == 1


@over(LOGS)
async def test_closing_writes_what_is_left_and_may_be_repeated(open_log: Open) -> None:
    log = open_log()
    log.append(records(1)[0])
    await asyncio.gather(log.aclose(), log.aclose())
    await log.aclose()

    assert log.durable_position == 1
    assert log.failure == ""


@over(DURABLE)
async def test_what_is_appended_after_closing_is_a_failure(open_log: Open) -> None:
    log = open_log()
    await log.aclose()
    assert log.append(records(1)[0]) == 1

    assert log.failure.endswith("closed")
    assert log.durable_position == 0
