"""The journal: appends to both logs, one commit at a time on an idle and a busy loop, start-up.

With the loop, the switch interval and the frozen objects that `headrace run` gives. Each figure
stands beside its bound of the same run: what the disk takes for the same bytes.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from framework.cli.run import SWITCH_INTERVAL_S, freeze_objects, loop_factory
from framework.clock.clock import LiveClock
from framework.errors import JournalError
from framework.interfaces import OrderLog
from framework.model.commands import SubmitOrder
from framework.model.orders import Fee, OrderIntent, Side
from framework.model.records import Record
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, OrderFilled
from framework.settings.modes import Mode
from framework.settings.structs import Durability
from framework.store.input_log import InputLog
from framework.store.opening import open_order_log

ENTRY_COUNT = 200_000
BATCH_COUNT = 1_000
ROUNDS = 3
INPUT_COUNT = 1_000_000
INPUT = bytes(60)
COMMIT_COUNT = 200
START_COUNTS = (100_000, 1_000_000)
BUSY_SLICE_S = 0.001
DIRECTORY: str | None = None  # where the files go; None: the system's place for temporary files


def measure() -> list[dict[str, object]]:
    """Return the rows of all workloads."""
    return [
        append_inline(),
        append_in_thread(),
        append_inputs(),
        *[commit_latency(busy) for busy in (0, 50, 90)],
        *[start_up(count) for count in START_COUNTS],
    ]


def append_inline() -> dict[str, object]:
    """Encode, insert and commit batches, one after the other in one thread."""
    return rate_row("order log, inline", ENTRY_COUNT, best(partial(append, True)), 150_000)


def append_in_thread() -> dict[str, object]:
    """Encode the next batch while the writer's thread commits the one before."""
    return rate_row("order log, thread", ENTRY_COUNT, best(partial(append, False)), 150_000)


def append(inline: bool) -> float:
    """Return the seconds for all entries, in a new log."""
    with order_log(inline=inline) as (log, run, _):
        return float(run(append_batches(log, wait_for_each=inline)))


def best(measured: Callable[[], float]) -> float:
    """Return the least of a few rounds: the others shared the machine."""
    return min(measured() for _ in range(ROUNDS))


async def append_batches(log: OrderLog, *, wait_for_each: bool) -> float:
    """Append all entries in batches; return the seconds until the last is durable."""
    entries = list(records(ENTRY_COUNT))
    append_one = log.append
    started = perf_counter()
    for start in range(0, ENTRY_COUNT, BATCH_COUNT):
        for record in entries[start : start + BATCH_COUNT]:
            append_one(record)
        if wait_for_each:
            await log.flush()
        else:
            await asyncio.sleep(0)
    await log.flush()
    return perf_counter() - started


def append_inputs() -> dict[str, object]:
    """Append payloads to the input log and sync ten times; beside it the bare write and sync."""
    seconds = best(append_all_inputs)
    with TemporaryDirectory(dir=DIRECTORY) as directory:
        bound = best(
            lambda: write_and_sync(Path(directory) / "bound", bytes(68 * INPUT_COUNT // 10), 10)
        )
    row = rate_row("input log", INPUT_COUNT, seconds, 1_000_000)
    return {**row, "bare_write_and_sync_s": round(bound, 3), "seconds": round(seconds, 3)}


def append_all_inputs() -> float:
    """Return the seconds for all payloads, synced ten times, in a new log."""
    with TemporaryDirectory(dir=DIRECTORY) as directory:
        log = InputLog.open(directory, "benchmark", 1)
        append_one = log.append
        started = perf_counter()
        for _ in range(10):
            for _ in range(INPUT_COUNT // 10):
                append_one(INPUT)
            log.sync()
        seconds = perf_counter() - started
        log.close()
    return seconds


def commit_latency(busy_percent: int) -> dict[str, object]:
    """Return the time from an append until it is known to be durable, one entry at a time."""
    with order_log() as (log, run, directory):
        pairs = run(commit_one_by_one(log, busy_percent, directory / "bound"))
    bare, commit = (median(seconds) for seconds in zip(*pairs, strict=True))
    allowed = 1.5 * bare + (0.005 if busy_percent > 50 else 0.0003)
    return {
        "case": f"one commit, loop {busy_percent} % busy",
        "p50_us": round(commit * 1e6),
        "bare_fdatasync_p50_us": round(bare * 1e6),
        "bound_us": round(allowed * 1e6),
    }


async def commit_one_by_one(
    log: OrderLog, busy_percent: int, bound: Path
) -> list[tuple[float, float]]:
    """Append entries one by one while the loop spends part of its time on something else.

    Returns (bare sync, commit) in seconds: in turns, so that both meet the same disk.
    """
    load = asyncio.create_task(keep_busy(busy_percent)) if busy_percent else None
    pairs = []
    for record in records(COMMIT_COUNT):
        bare = write_and_sync(bound, bytes(4096), 1)
        await asyncio.sleep(0.001)
        started = perf_counter()
        log.append(record)
        await log.flush()
        pairs.append((bare, perf_counter() - started))
    if load is not None:
        load.cancel()
    return pairs


async def keep_busy(percent: int) -> None:
    """Spend `percent` of the time in slices of a millisecond and the rest waiting."""
    while True:
        until = perf_counter() + BUSY_SLICE_S
        while perf_counter() < until:
            pass
        await asyncio.sleep(BUSY_SLICE_S * (100 - percent) / percent)


def start_up(count: int) -> dict[str, object]:
    """Open a journal of `count` entries and read it all; then again with a snapshot."""
    with TemporaryDirectory(dir=DIRECTORY) as directory:
        url = f"sqlite:///{directory}/journal.db"
        asyncio.run(fill(url, count))
        whole = asyncio.run(open_and_read(url, snapshot=True))
        with_snapshot = asyncio.run(open_and_read(url, snapshot=False))
    return {
        "case": f"open and read {count:,} entries",
        "seconds": round(whole, 3),
        "seconds_with_snapshot": round(with_snapshot, 3),
        "bound_s": 1 if count <= 100_000 else 10,
    }


async def fill(url: str, count: int) -> None:
    """Write `count` entries."""
    log = await opened(url)
    for number, record in enumerate(records(count)):
        log.append(record)
        if number % BATCH_COUNT == 0:
            await log.flush()
    await log.aclose()


async def open_and_read(url: str, *, snapshot: bool) -> float:
    """Return the seconds until all behind the newest snapshot is read; then save one."""
    started = perf_counter()
    log = await opened(url)
    newest = log.newest_snapshot()
    for _ in log.read(newest[0] if newest else 0):
        pass
    seconds = perf_counter() - started
    if snapshot:
        log.save_snapshot(log.position, bytes(1 << 20))
    await log.aclose()
    return seconds


@contextmanager
def order_log(
    *, inline: bool = False
) -> Iterator[tuple[OrderLog, Callable[[Coroutine[Any, Any, Any]], Any], Path]]:
    """Give a new log, a function that runs work in its loop, and its directory."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    freeze_objects()
    try:
        with (
            TemporaryDirectory(dir=DIRECTORY) as directory,
            asyncio.Runner(loop_factory=loop_factory(Mode.LIVE)) as runner,
        ):
            log = runner.run(opened(f"sqlite:///{directory}/journal.db", inline=inline))
            yield log, runner.run, Path(directory)
            runner.run(log.aclose())
            if log.failure or not log.durable_position == log.position > 0:
                raise JournalError(f"the log wrote nothing to measure: {log.failure}")
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval_s)


async def opened(url: str, *, inline: bool = False) -> OrderLog:
    """Open the journal with full durability for the running loop."""
    loop = asyncio.get_running_loop()
    return open_order_log(
        url,
        clock=LiveClock(),
        make_id=lambda: "benchmark",
        loop=loop,
        durability=Durability.FULL,
        inline=inline,
    )


def records(count: int) -> Iterator[Record]:
    """Yield the records of orders that are sent, accepted, filled and ended."""
    price, size, fee = Decimal("43251.1"), Decimal("0.5"), (Fee("USD", Decimal("21.62555")),)
    for number in range(count // 4):
        identity = blake2b(b"%d" % number, digest_size=10).hexdigest()
        time_ns = 1_704_067_200_000_000_000 + number
        key = f"1.{number}.0"
        intent = OrderIntent("run", key, "sim:BTC", Side.BUY, size, price=price)
        yield SubmitOrder(identity, "main", intent, size, time_ns)
        yield OrderAccepted(identity, time_ns, str(number))
        yield OrderFilled(identity, f"e{number}", size, price, time_ns, fees=fee)
        yield OrderEnded(identity, EndKind.CANCELLED, time_ns)


def write_and_sync(path: Path, data: bytes, times: int) -> float:
    """Return the seconds that it takes to append `data` and sync, so many times."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        started = perf_counter()
        for _ in range(times):
            os.write(file, data)
            os.fdatasync(file)
        return perf_counter() - started
    finally:
        os.close(file)


def rate_row(case: str, count: int, seconds: float, goal: int) -> dict[str, object]:
    """Return a row for a rate with its goal."""
    rate = round(count / seconds)
    return {"case": case, "entries_per_s": rate, "goal_per_s": goal, "ratio": round(rate / goal, 2)}
