"""The bus under load: floods that drop, and overflows that end subscriptions.

`make soak` floods with a million events and overflows ten thousand times.
"""

import asyncio
import gc
import os
import weakref
from random import Random
from typing import Any

import anyio
import pytest
import structlog

from framework.bus.bus import Bus
from framework.bus.overflow import BATCH
from framework.errors import ChannelOverflow
from framework.model.events import ErrorRaised
from framework.model.market_data import Quote
from tests.framework.bus.samples import CAPACITY, Noted, is_balanced, make_bus, play, quote, settle

FLOOD = int(os.environ.get("HEADRACE_FLOOD", "250000"))
PER_SECOND = 10_000  # events published
PER_WAVE = 100
WAVES = int(os.environ.get("HEADRACE_OVERFLOWS", "3000")) // PER_WAVE
LAZY = 16  # who lags sleeps at each so many-th event only: it lags all the same


@pytest.mark.slow
def test_r50_a_consumer_100_times_too_slow_loses_only_the_oldest_of_its_own() -> None:
    async def main(bus: Bus) -> None:
        slow: list[int] = []
        quick: list[int] = []

        @bus.on(Quote)
        async def consume_slowly(event: Quote) -> None:
            await asyncio.sleep(100 / PER_SECOND)
            slow.append(event.time_ns)

        bus.on(Quote)(lambda event: quick.append(event.time_ns))
        await settle()
        for start in range(0, FLOOD, BATCH):
            for number in range(start, min(start + BATCH, FLOOD)):
                bus.publish(quote(number))
            await anyio.sleep(BATCH / PER_SECOND)
        newest = slow[-1]
        await anyio.sleep(CAPACITY)

        slow_one, quick_one = bus.statistics().values()
        (channel,) = slow_one.channels
        assert channel.published == FLOOD
        assert channel.delivered + channel.dropped == FLOOD
        assert channel.delivered == len(slow)
        assert 0.009 * FLOOD < len(slow) < 0.012 * FLOOD
        assert slow == sorted(set(slow))
        assert slow[-CAPACITY:] == list(range(FLOOD - CAPACITY, FLOOD))  # the oldest are lost
        assert newest > FLOOD - 2 * CAPACITY - BATCH
        assert quick == list(range(FLOOD))
        assert [c.dropped for c in quick_one.channels] == [0]

    play(main)


@pytest.mark.slow
def test_r51_thousands_of_overflows_leave_no_task_and_no_memory_behind() -> None:
    async def main(bus: Bus) -> None:
        ended = reported = 0
        healthy: list[int] = []
        failures: list[ChannelOverflow] = []

        def count_error(event: ErrorRaised) -> None:
            nonlocal reported
            reported += 1

        bus.on(Quote)(lambda event: healthy.append(event.time_ns))
        bus.add("idle", {})
        bus.on(ErrorRaised)(count_error)
        tasks_before = len(asyncio.all_tasks())
        gone: list[weakref.ref[Any]] = []

        async def wait(event: Noted) -> None:
            if event.number % LAZY == 0:
                await asyncio.sleep(0.001)

        for wave in range(WAVES):
            for number in range(PER_WAVE):
                kind = number % 3
                if kind == 2:
                    gone.append(weakref.ref(_read_until_overflow(bus, failures)))
                else:
                    bus.on(Noted)(wait if kind else lambda event: None)
                    gone.append(weakref.ref(bus.subscribers[-1]))
            await settle(3)
            bus.publish(quote(wave))
            for number in range(CAPACITY + 1):
                bus.publish(Noted(number))
            ended += sum(
                subscriber.channels["notes"].failure is not None
                for subscriber in bus.subscribers
                if "notes" in subscriber.channels
            )
            await anyio.sleep(CAPACITY)
        await settle()

        assert ended == WAVES * PER_WAVE
        assert reported + len(failures) == WAVES * PER_WAVE
        assert len(asyncio.all_tasks()) == tasks_before
        assert len(bus.subscribers) == 3
        assert not bus.wants(Noted)
        assert healthy == list(range(WAVES))
        del failures[:]
        await anyio.sleep(1)
        gc.collect()
        assert sum(ref() is not None for ref in gone) == 0

    with structlog.testing.capture_logs() as lines:
        play(main)
    assert sum(line["event"] == "channel_overflowed" for line in lines) == WAVES * PER_WAVE


def _read_until_overflow(bus: Bus, failures: list[ChannelOverflow]) -> Any:
    events = bus.subscribe(Noted)

    async def read() -> None:
        async with events:
            try:
                async for event in events:
                    if event.number % LAZY == 0:
                        await asyncio.sleep(0.001)
            except ChannelOverflow as failure:
                failures.append(failure)

    _reading.add(task := asyncio.ensure_future(read()))
    task.add_done_callback(_reading.discard)
    return events.subscriber


_reading: set["asyncio.Task[None]"] = set()


def test_counters_add_up_while_everything_happens_at_once() -> None:
    async def main(bus: Bus) -> None:
        random = Random(1)
        seen = [0, 0]

        @bus.on(Quote, Noted)
        async def mixed(event: Any) -> None:
            seen[0] += 1
            if random.random() < 0.01:
                await asyncio.sleep(random.random())

        @bus.on(Quote)
        def plain(event: Quote) -> None:
            seen[1] += 1
            if not event.time_ns % 977:
                raise ValueError("now and then")

        await settle()
        for number in range(20_000):
            bus.publish(quote(number, f"venue:{number % 5}"))
            if not number % 50:
                bus.publish(Noted(number))
            if not number % 700:
                await anyio.sleep(random.random())
        await anyio.sleep(1_000)

        for statistics, count in zip(bus.statistics().values(), seen, strict=True):
            assert all(map(is_balanced, statistics.channels))
            assert sum(channel.delivered for channel in statistics.channels) == count
            assert sum(channel.queued for channel in statistics.channels) == 0

    play(main, make_bus())
