"""Workload `bus`: publish to plain handlers through their queues, and one idle hop (goal C)."""

import asyncio
from collections import deque
from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter, perf_counter_ns
from typing import Any

import uvloop

from framework.bus.bus import Bus
from framework.bus.overflow import BATCH
from framework.clock.clock import LiveClock
from framework.model.market_data import Quote

EVENTS = 1_000_000
HOPS = 20_000
ROUNDS = 5
QUOTES = [Quote("bench:BTC", number, number, 1.0, 2.0, 1.0, 1.0) for number in range(BATCH)]
Loop = Callable[[], asyncio.AbstractEventLoop]


class Counter:
    """A plain handler that does next to nothing."""

    def __init__(self) -> None:
        self.count = 0

    def on_quote(self, quote: Quote) -> None:
        self.count += 1


class Floor:
    """A deque and one `call_soon` per batch: no routes, counters, clock or isolation."""

    def __init__(self) -> None:
        self._queue: deque[Any] = deque()
        self._is_awake = False
        self._loop = asyncio.get_running_loop()
        self.handlers: list[Callable[[Any], None]] = []

    def publish(self, event: Any) -> None:
        """Queue one event."""
        self._queue.append(event)
        if not self._is_awake:
            self._is_awake = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._is_awake = False
        take, handlers = self._queue.popleft, self.handlers
        while self._queue:
            event = take()
            for handler in handlers:
                handler(event)


def make_floor() -> Floor:
    """Return the floor on the running loop."""
    return Floor()


def make_bus() -> Bus:
    """Return a bus on the running loop, with everything on that a user gets."""
    bus = Bus(LiveClock())
    bus.start()
    return bus


def _subscribe(bus: Any, handler: Callable[[Any], None]) -> None:
    if isinstance(bus, Floor):
        bus.handlers.append(handler)
    else:
        bus.on(Quote)(handler)


async def rate(make: Callable[[], Any], subscribers: int) -> float:
    """Return published events per second; each reaches every subscriber."""
    bus, counters = make(), [Counter() for _ in range(subscribers)]
    for counter in counters:
        _subscribe(bus, counter.on_quote)
    batches = EVENTS // BATCH // subscribers
    await asyncio.sleep(0)
    started = perf_counter()
    for _ in range(batches):
        publish = bus.publish
        for quote in QUOTES:
            publish(quote)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    seconds = perf_counter() - started
    if {counter.count for counter in counters} != {batches * BATCH}:
        raise RuntimeError("a subscriber missed events")
    return batches * BATCH / seconds


async def hops(make: Callable[[], Any]) -> list[int]:
    """Return how long one event takes from `publish` to the handler while nothing else is on."""
    bus, times_ns = make(), []
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    started_ns = 0

    def publish() -> None:
        nonlocal started_ns
        started_ns = perf_counter_ns()
        bus.publish(QUOTES[0])

    def on_quote(quote: Quote) -> None:
        times_ns.append(perf_counter_ns() - started_ns)
        if len(times_ns) < HOPS:
            loop.call_later(0, publish)  # from outside the bus, as a socket does
        elif not done.done():
            done.set_result(None)

    _subscribe(bus, on_quote)
    publish()
    await done
    return times_ns


def measure() -> list[dict[str, object]]:
    """Return a row per number of subscribers and one per kind of loop."""
    rows: list[dict[str, object]] = []
    for subscribers in (1, 8):
        pairs = [
            (asyncio.run(rate(make_bus, subscribers)), asyncio.run(rate(make_floor, subscribers)))
            for _ in range(ROUNDS)
        ]
        best, floor = max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)
        rows.append(
            {
                "workload": "bus",
                "subscribers": subscribers,
                "rate": round(best),
                "unit": "events/s",
                "floor_rate": round(floor),
                "ratio": round(median(pair[0] / pair[1] for pair in pairs), 3),
            }
        )
    loops: dict[str, Loop] = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    for name, make_loop in loops.items():
        with asyncio.Runner(loop_factory=make_loop) as runner:
            times_ns = runner.run(hops(make_bus))
            floor_ns = runner.run(hops(make_floor))
        rows.append(
            {
                "workload": "bus",
                "loop": name,
                "hop_p50_us": round(median(times_ns) / 1_000, 2),
                "hop_p99_us": round(quantiles(times_ns, n=100)[98] / 1_000, 2),
                "floor_p50_us": round(median(floor_ns) / 1_000, 2),
            }
        )
    return rows
