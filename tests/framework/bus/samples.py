"""What the bus tests share: a clock, events, a bus that is pumped by hand."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import msgspec

from framework.bus.bus import Bus
from framework.bus.overflow import ChannelRule, EventRule, Overflow
from framework.bus.statistics import ChannelStatistics
from framework.bus.subscriber import Interest, Subscriber
from framework.clock.clock import VirtualClock
from framework.model.market_data import Candle, Quote, Ticker
from framework.simulation.loop import run_simulated

T = TypeVar("T")
CAPACITY = 256  # the smallest there is


class Noted(msgspec.Struct, frozen=True):
    """An event of the user's own that must not be lost."""

    RULE = EventRule("notes", own_rule=ChannelRule(CAPACITY, Overflow.ERROR))

    number: int


class Level(msgspec.Struct, frozen=True):
    """An event of the user's own of which the newest per name counts."""

    RULE = EventRule(
        "levels",
        ("name",),
        key=lambda level: level.name,
        own_rule=ChannelRule(CAPACITY, Overflow.CONFLATE),
    )

    name: str
    number: int


def quote(number: int, instrument: str = "venue:A") -> Quote:
    return Quote(instrument, number, number, 1.0, 2.0, 1.0, 1.0)


def candle(number: int, *, is_closed: bool, interval: str = "1m") -> Candle:
    prices = (1.0, 1.0, 1.0, 1.0)
    return Candle("venue:A", number, number, interval, number, number, *prices, is_closed=is_closed)


def ticker(number: int, instrument: str = "venue:A") -> Ticker:
    return Ticker(instrument, number, number, 1.0)


def make_bus(**rules: ChannelRule) -> Bus:
    small = {"quotes": ChannelRule(CAPACITY, Overflow.DROP_OLDEST), **rules}
    return Bus(VirtualClock(), rules=small)


def take_all(bus: Bus, *event_types: type, **settings: Any) -> tuple[Subscriber, list[Any]]:
    """Add a numbered subscriber that collects (sequence, event)."""
    taken: list[Any] = []

    def take(event: Any) -> None:
        taken.append((subscriber.sequence, event))

    subscriber: Subscriber = bus.add("taker", dict.fromkeys(event_types, take), **settings)
    for event_type in event_types:
        bus.watch(subscriber, Interest(event_type))
    return subscriber, taken


def is_balanced(channel: ChannelStatistics) -> bool:
    gone = channel.delivered + channel.dropped + channel.conflated + channel.discarded
    return gone + channel.queued == channel.published


def play(main: Callable[[Bus], Awaitable[T]], bus: Bus | None = None) -> T:
    """Run `main(bus)` on virtual time while the bus runs."""

    async def body() -> T:
        running = bus or make_bus()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.run)
            await settle()
            result = await main(running)
            tasks.cancel_scope.cancel()
        return result

    return run_simulated(body)


async def settle(turns: int = 20) -> None:
    """Let the loop run."""
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
