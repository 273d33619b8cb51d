"""Workload `orders`: from `self.buy()` to the broker's `send` in a live run, and its start-up.

Everything that a live run has is on: both logs, the gate, doubts, the watchdog; with the loop, the
switch interval and the frozen objects of `headrace run`. Each figure stands beside its bound of the
same run. `python -m benchmarks.orders --entries 1000000` measures the start-up of one journal.
"""

import argparse
import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, time_ns

import msgspec

from benchmarks.journal import DIRECTORY, keep_busy, opened, write_and_sync
from benchmarks.noting_venue import INSTRUMENT, PRICE, Buyer, NotingVenue, live_settings, named
from framework.cli.run import SWITCH_INTERVAL_S, freeze_objects, loop_factory
from framework.model.commands import CancelOrder, SubmitOrder
from framework.model.decimals import ONE, ZERO
from framework.model.identity import OrderIds
from framework.model.orders import Fee, OrderIntent, OrderStatus, OrderType, Side
from framework.model.records import Record, StrategyState
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, OrderFilled
from framework.model.venue_state import BalanceReport, OrderReport
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import Durability

ORDER_COUNT = 300  # one at a time
ASYNC_COUNT = 1_000
BURST_QUOTES = 400
BURST_ORDERS = 25  # per quote
START_COUNTS = (100_000,)
PAUSE_S = 0.001
OPEN_ORDERS = 50  # at the end of a generated journal
PART = 1_000
SECOND_NS = 1_000_000_000
LIVES = 5
LIMIT = Decimal(PRICE)
FEE = Decimal("21.62555")
FEES = (Fee("USD", FEE),)


def measure() -> list[dict[str, object]]:
    """Return the rows: the submit path by durability and load, the rate, the start-up."""
    return [
        *[full_latency(busy) for busy in (0, 50, 90)],
        async_latency(),
        async_latency(pause_s=PAUSE_S),
        async_latency(records_inputs=False),
        *[burst_rate(durability) for durability in Durability],
        *[start_up(count) for count in START_COUNTS],
    ]


def full_latency(busy_percent: int) -> dict[str, object]:
    """Return how long an order waits for the disk before it is sent, one at a time."""
    with process() as (runner, directory):
        pairs = runner.run(order_by_order(directory, busy_percent))
    bare, whole = (median(seconds) for seconds in zip(*pairs, strict=True))
    allowed = 1.5 * bare + (0.005 if busy_percent > 50 else 0.0003)
    return {
        "case": f"durability full, loop {busy_percent} % busy",
        "p50_us": round(whole * 1e6),
        "bare_fdatasync_p50_us": round(bare * 1e6),
        "bound_us": round(allowed * 1e6),
        "ratio": round(whole / allowed, 2),
    }


def async_latency(*, pause_s: float = 0.0, records_inputs: bool = True) -> dict[str, object]:
    """Return how long an order takes that does not wait for the disk.

    After a pause, code and data of the order path have left the caches.
    """
    with process() as (runner, directory):
        found = runner.run(order_after_order(directory, pause_s, records_inputs=records_inputs))
    seconds = sorted(found)
    return {
        "case": "durability async" + ("" if records_inputs else ", inputs not recorded"),
        "pause_ms": pause_s * 1e3,
        "p50_us": round(median(seconds) * 1e6, 1),
        "best_us": round(seconds[0] * 1e6, 1),
        "bound_us": 60,
    }


async def order_by_order(directory: Path, busy_percent: int) -> list[tuple[float, float]]:
    """Return (bare sync, submit path) in seconds per order: in turns, on the same disk.

    An order is answered and its answers are on disk before the next one begins.
    """
    pairs = []
    async with live_run(directory, Durability.FULL) as (runtime, venue, buyer):
        load = asyncio.create_task(keep_busy(busy_percent)) if busy_percent else None
        for _ in range(ORDER_COUNT):
            bare = write_and_sync(directory / "bound", bytes(4096), 1)
            await asyncio.sleep(PAUSE_S)
            arrived = venue.expect(1)
            venue.tick(runtime.engine.clock.now_ns)
            await arrived
            pairs.append((bare, venue.sent_s[-1] - buyer.started_s[-1]))
            venue.answer()
            await runtime.engine.log.flush()
        if load is not None:
            load.cancel()
    return pairs


async def order_after_order(
    directory: Path, pause_s: float, *, records_inputs: bool
) -> list[float]:
    """Return the submit path in seconds of orders that do not wait for the disk."""
    seconds = []
    run = live_run(directory, Durability.ASYNC, records_inputs=records_inputs)
    async with run as (runtime, venue, buyer):
        for _ in range(ASYNC_COUNT):
            await asyncio.sleep(pause_s)
            arrived = venue.expect(1)
            venue.tick(runtime.engine.clock.now_ns)
            await arrived
            seconds.append(venue.sent_s[-1] - buyer.started_s[-1])
            venue.answer()
    return seconds


def burst_rate(durability: Durability) -> dict[str, object]:
    """Return the rate of a strategy that orders as fast as it can, from first buy to last send."""
    with process() as (runner, directory):
        count, seconds = runner.run(burst(directory, durability))
    return {
        "case": f"durability {durability.value}, many at once",
        "intents_per_s": round(count / seconds),
        "goal_per_s": 3_000,
        "intents": count,
    }


async def burst(directory: Path, durability: Durability) -> tuple[int, float]:
    """Return how many orders were sent and the seconds they took."""
    count = BURST_QUOTES * BURST_ORDERS
    async with live_run(directory, durability) as (runtime, venue, buyer):
        buyer.count = BURST_ORDERS
        arrived = venue.expect(count)
        for _ in range(BURST_QUOTES):
            venue.tick(runtime.engine.clock.now_ns)
            await asyncio.sleep(0)
        await arrived
        seconds = venue.sent_s[-1] - buyer.started_s[0]
        venue.answer()
    return count, seconds


# -- start-up --------------------------------------------------------------------------------------


def start_up(count: int) -> dict[str, object]:
    """Start on a journal of `count` entries up to READY, reading it all; then with a snapshot."""
    with process() as (runner, directory):
        url = url_in(directory)
        venue = runner.run(fill(url, count))
        whole_s, whole_cpu_s = runner.run(time_to_ready(url, venue))
        with_snapshot_s, with_snapshot_cpu_s = runner.run(time_to_ready(url, venue))
    return {
        "case": f"start on {count:,} entries",
        "seconds": round(whole_s, 3),
        "cpu_seconds": round(whole_cpu_s, 3),
        "us_per_entry": round(whole_cpu_s / count * 1e6, 1),
        "seconds_with_snapshot": round(with_snapshot_s, 3),
        "cpu_seconds_with_snapshot": round(with_snapshot_cpu_s, 3),
        "bound_s": 1 if count <= 100_000 else 10,
        "bound_with_snapshot_s": 1,
    }


async def time_to_ready(url: str, venue: NotingVenue) -> tuple[float, float]:
    """Return (seconds, CPU seconds) until strategies begin; the orderly stop leaves a snapshot."""
    with named(venue):
        started, cpu_started = perf_counter(), process_time()
        async with Runtime(live_settings(url)):
            return perf_counter() - started, process_time() - cpu_started


async def fill(url: str, count: int) -> NotingVenue:
    """Write a journal of about `count` entries; return a venue where things stand the same."""
    log = await opened(url)
    ids = OrderIds(log.journal_id)
    number, cash, started_ns = 0, ZERO, time_ns() - count * SECOND_NS
    while log.position < count or number % LIVES:
        number += 1
        for entry in order_life(ids, number, started_ns + number * SECOND_NS):
            log.append(entry)
            if isinstance(entry, OrderFilled):
                cash -= FEE
        if number % PART == 0:
            await log.flush()
    reports = []
    for last in range(number + 1, number + 1 + OPEN_ORDERS):
        submit, accepted, *_ = order_life(ids, last, started_ns + last * SECOND_NS)
        assert isinstance(submit, SubmitOrder)
        assert isinstance(accepted, OrderAccepted)
        log.append(submit)
        log.append(accepted)
        reports.append(report_of(submit, accepted))
    now_ns = time_ns()
    log.append(StrategyState("run", 1, log.position, b"", now_ns))  # it has heard of everything
    await log.aclose()
    return NotingVenue(reports, (BalanceReport("main", "USD", cash, now_ns),))


def order_life(ids: OrderIds, number: int, now_ns: int) -> list[Record]:
    """Return what is written of one order from beginning to end.

    Of `LIVES` orders in a row two fill at once, two in parts and one is cancelled; they leave the
    account flat.
    """
    kind = number % LIVES
    key = f"1.{number}.1"
    order_id = ids.order_id("run", key)
    side = Side.BUY if kind % 2 else Side.SELL
    intent = OrderIntent("run", key, INSTRUMENT, side, ONE, OrderType.LIMIT, LIMIT, cause_ns=now_ns)
    life: list[Record] = [
        SubmitOrder(order_id, "main", intent, ONE, now_ns),
        OrderAccepted(order_id, now_ns, f"V{number}"),
    ]
    if kind == 0:
        life.append(CancelOrder(order_id, "main", INSTRUMENT, now_ns))
        life.append(OrderEnded(order_id, EndKind.CANCELLED, now_ns))
        return life
    sizes = (ONE,) if kind <= 2 else (Decimal("0.4"), Decimal("0.6"))
    for part, size in enumerate(sizes):
        life.append(OrderFilled(order_id, f"E{number}.{part}", size, LIMIT, now_ns, FEES))
    return life


def report_of(submit: SubmitOrder, accepted: OrderAccepted) -> OrderReport:
    """Return what the venue says of a working order."""
    intent = submit.intent
    return OrderReport(
        submit.account,
        accepted.venue_order_id,
        intent.instrument,
        intent.side,
        submit.quantity,
        ZERO,
        OrderStatus.ACCEPTED,
        accepted.time_ns,
        submit.order_id,
        price=intent.price,
    )


# -- what all of it runs in ------------------------------------------------------------------------


@contextmanager
def process() -> Iterator[tuple[asyncio.Runner, Path]]:
    """Give a loop like that of `headrace run`, and a new directory."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with (
            TemporaryDirectory(dir=DIRECTORY) as directory,
            asyncio.Runner(loop_factory=loop_factory(Mode.LIVE)) as runner,
        ):
            yield runner, Path(directory)
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval_s)


@asynccontextmanager
async def live_run(
    directory: Path, durability: Durability, *, records_inputs: bool = True
) -> AsyncIterator[tuple[Runtime, NotingVenue, Buyer]]:
    """Give a started live run on a new journal, with its venue and its strategy."""
    venue = NotingVenue()
    with named(venue):
        settings = msgspec.structs.replace(
            live_settings(url_in(directory), durability=durability), record_inputs=records_inputs
        )
        async with Runtime(settings) as runtime:
            freeze_objects()
            buyer = runtime.system.runs[0].strategy
            assert isinstance(buyer, Buyer)
            while not buyer.count:  # noqa: ASYNC110 - until it has started: a turn or two
                await asyncio.sleep(0)
            yield runtime, venue, buyer


def url_in(directory: Path) -> str:
    """Return the URL of the journal in a directory."""
    return f"sqlite:///{directory}/journal.db"


def main() -> None:
    """Measure the start-up of one journal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    row = {"workload": "orders", **start_up(parser.parse_args().entries)}
    print(msgspec.json.encode(row).decode())


if __name__ == "__main__":
    main()
