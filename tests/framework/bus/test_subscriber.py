"""One consumer: its order, its counters, its end (R-50, R-51, R-54)."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.bus.bus import Bus
from framework.bus.overflow import ChannelRule, Overflow
from framework.bus.subscriber import BATCH, Handler, Interest, Subscriber
from framework.errors import ChannelOverflow
from framework.model.events import ErrorRaised, Overflowed, Timer
from framework.model.market_data import Candle, Quote, Ticker, Trade
from tests.framework.bus.samples import (
    CAPACITY,
    Level,
    Noted,
    candle,
    is_balanced,
    make_bus,
    play,
    quote,
    settle,
    take_all,
    ticker,
)

MAKERS: dict[str, Callable[[int], Any]] = {
    "quote": quote,
    "other quote": lambda n: quote(n, "venue:B"),
    "candle": lambda n: candle(n, is_closed=n % 3 == 0),
    "noted": Noted,
    "level": lambda n: Level("ab"[n % 2], n),
    "ticker": ticker,
}
STEPS = st.one_of(
    st.tuples(st.sampled_from(sorted(MAKERS)), st.sampled_from([1, 7, CAPACITY + 3])),
    st.tuples(st.just("drain"), st.sampled_from([1, 50, 300])),
    st.tuples(st.sampled_from(["decorate", "filter", "add", "pump", "drive", "close"]), st.just(1)),
    st.tuples(st.just("hold"), st.sampled_from([0, 1])),
)


class World:
    """A bus, subscribers of every kind, and their counts kept independently."""

    def __init__(self) -> None:
        self.bus = make_bus()
        self.number = 0
        self.published: list[Counter[str]] = []  # per subscriber and channel, from outside
        self.handled: list[int] = []
        self.subscribers: list[Subscriber] = []

    def add(self, kind: str) -> None:
        """Subscribe in one of the ways there are."""
        index, types = len(self.handled), (Quote, Candle, Noted, Level, Ticker)
        self.handled.append(0)
        self.published.append(Counter())

        def handle(event: Any) -> None:
            self.handled[index] += 1

        if kind == "decorate":
            self.bus.on(Quote)(handle)
        elif kind == "filter":
            self.bus.on(Quote, where=lambda event: event.time_ns % 2 == 0)(handle)
        else:
            subscriber = self.bus.add("s", dict.fromkeys(types, handle))
            for event_type in types:
                self.bus.watch(subscriber, Interest(event_type))
        self.subscribers.append(self.bus.subscribers[-1])

    def note_publication(self, event: Any) -> None:
        """Count for each subscriber what the bus should count."""
        for subscriber, counts in zip(self.subscribers, self.published, strict=True):
            for interest in subscriber.interests:
                if interest.event_type is type(event) and (
                    interest.where is None or interest.where(event)
                ):
                    counts["all"] += 1

    def publish(self, kind: str, count: int) -> None:
        """Publish, as an adapter does."""
        for _ in range(count):
            self.number += 1
            event = MAKERS[kind](self.number)
            self.note_publication(event)
            self.bus.publish(event)

    def drive(self) -> None:
        """Do what the driver of a backtest does with one event."""
        self.bus.deliver_all()
        self.number += 1
        event = quote(self.number)
        self.note_publication(event)
        route = self.bus.route_of(event)
        if route.direct is None:
            self.bus.publish(event)
            return
        self.bus.sequence += 1
        route.direct_count += 1
        for handler, subscriber in route.direct:
            subscriber.sequence = self.bus.sequence
            handler(event)

    def do(self, step: str, number: int) -> None:
        """Take one step."""
        if step in MAKERS:
            self.publish(step, number)
        elif step == "drain":
            self.bus.deliver(number)
        elif step == "pump":
            self.bus.deliver_all()
            self.bus.pump()
        elif step == "drive":
            self.drive()
        elif step == "close":
            self.subscribers[self.number % len(self.subscribers)].close()
        elif step == "hold":
            subscriber = self.subscribers[self.number % len(self.subscribers)]
            subscriber.hold() if number else subscriber.release()
        else:
            self.add(step)

    def check(self) -> None:
        """Compare the bus's counters with those kept here."""
        for subscriber, counts, handled in zip(
            self.subscribers, self.published, self.handled, strict=True
        ):
            channels = [channel.statistics() for channel in subscriber.channels.values()]
            assert all(map(is_balanced, channels))
            assert min((min(c.dropped, c.discarded, c.queued) for c in channels), default=0) >= 0
            assert sum(channel.published for channel in channels) == counts["all"]
            assert sum(channel.delivered for channel in channels) == handled
            assert len(subscriber.marks) <= subscriber.marks.limit


@given(st.lists(STEPS, max_size=30))
def test_r50_every_event_is_accounted_for_at_any_time(steps: list[tuple[str, int]]) -> None:
    world = World()
    world.add("decorate")
    world.add("add")

    for step, number in steps:
        world.do(step, number)
        world.check()


@given(st.lists(st.tuples(st.sampled_from(sorted(MAKERS)), st.integers(1, 40)), max_size=20))
def test_events_come_in_the_engines_order_across_channels(bursts: list[tuple[str, int]]) -> None:
    bus = make_bus()
    _, taken = take_all(bus, Quote, Candle, Noted)
    number = 0

    for kind, count in bursts:
        for _ in range(count):
            number += 1
            event = MAKERS[kind](number)
            if not isinstance(event, Candle) or event.is_closed:  # forming ones conflate
                bus.publish(event)
        if number % 2:
            bus.deliver(30)
    bus.deliver_all()

    sequences = [sequence for sequence, _ in taken]
    assert sequences == sorted(set(sequences))


def test_r50_a_flood_evicts_only_from_its_own_channel() -> None:
    bus = make_bus()
    subscriber, taken = take_all(bus, Quote, Noted)

    bus.publish(Noted(0))
    for number in range(1, 10 * CAPACITY):
        bus.publish(quote(number))
    bus.deliver_all()

    assert [event for _, event in taken[:2]] == [Noted(0), quote(9 * CAPACITY)]
    assert len(taken) == 1 + CAPACITY
    quotes = subscriber.channels["quotes"].statistics()
    assert (quotes.delivered, quotes.dropped) == (CAPACITY, 9 * CAPACITY - 1)


def test_r51_an_overflow_ends_one_subscription_once_and_hurts_nobody_else() -> None:
    bus = make_bus()
    failures: list[ChannelOverflow] = []
    told: list[Overflowed] = []
    ended, taken = take_all(bus, Noted, Quote, on_overflow=failures.append)
    bus.on(Overflowed)(told.append)
    other, others = take_all(bus, Quote)
    bus.publish(quote(0))

    for number in range(CAPACITY + 5):
        bus.publish(Noted(number))
        bus.publish(quote(number))
    last = next(route.newest for route in bus.routes(Overflowed))
    bus.deliver_all()
    bus.publish(Noted(-1))
    bus.publish(quote(-1))
    bus.deliver_all()

    assert last == Overflowed("taker", "notes", CAPACITY, 0)
    assert told == [last]
    assert [event for _, event in taken if isinstance(event, Noted)] == list(
        map(Noted, range(CAPACITY))
    )
    assert taken[-1][1] == quote(CAPACITY - 1)  # what came before the overflow stayed readable
    assert [failure.channel for failure in failures] == ["notes"]
    assert failures[0].resume_after == taken[-1][0]
    assert ended.is_ended
    assert ended not in bus.subscribers
    assert ended.statistics().channels[0].queued == 0
    assert not ended.marks
    assert others[-1][1] == quote(-1)
    assert not other.is_ended
    assert bus.statistics()["taker"].channels


def test_r51_an_overflow_is_told_to_the_error_handler_as_well() -> None:
    async def main(bus: Bus) -> list[str]:
        errors: list[str] = []

        @bus.on(Noted)
        async def slow(event: Noted) -> None:
            await asyncio.sleep(1)

        bus.on(ErrorRaised)(lambda event: errors.append(event.handler))
        await settle()
        for number in range(CAPACITY + 2):
            bus.publish(Noted(number))
        await anyio.sleep(1)
        assert errors == []
        await anyio.sleep(CAPACITY)
        assert not any("slow" in str(task) for task in asyncio.all_tasks())
        return errors

    assert play(main) == ["overflow"]


def test_merged_timers_carry_how_many_firings_they_stand_for() -> None:
    bus = make_bus()
    _, taken = take_all(bus, Timer)

    for number in range(4):
        bus.publish(Timer("a", "run", number, number, missed=number))
    bus.publish(Timer("b", "run", 9, 9))
    bus.deliver_all()

    assert [(timer.name, timer.due_ns, timer.missed) for _, timer in taken] == [
        ("a", 3, 9),
        ("b", 9, 0),
    ]


def test_forming_candles_conflate_and_closed_ones_all_come() -> None:
    bus = make_bus()
    _, taken = take_all(bus, Candle)

    for number in range(6):
        bus.publish(candle(number, is_closed=number in (2, 5)))
    bus.publish(candle(7, is_closed=False, interval="5m"))
    bus.deliver_all()

    assert [event.time_ns for _, event in taken] == [4, 2, 5, 7]


def test_the_newest_of_each_key_of_an_own_event_comes_in_the_place_of_the_oldest() -> None:
    bus = make_bus()
    _, taken = take_all(bus, Level)

    for name, number in (("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 5)):
        bus.publish(Level(name, number))
    bus.deliver_all()

    assert [event for _, event in taken] == [Level("a", 5), Level("b", 4)]


def test_handlers_of_one_subscriber_never_overlap_and_others_go_on() -> None:
    async def main(bus: Bus) -> tuple[list[str], int]:
        marks: list[str] = []
        plain: list[Quote] = []

        async def slow(event: Quote) -> None:
            marks.append(f"in {event.time_ns}")
            await asyncio.sleep(1)
            marks.append(f"out {event.time_ns}")

        def quick(event: Noted) -> None:
            marks.append("noted")

        subscriber = bus.add("mixed", {Quote: slow, Noted: quick})
        bus.watch(subscriber, Interest(Quote))
        bus.watch(subscriber, Interest(Noted))
        bus.on(Quote)(plain.append)
        await settle()
        for number in (1, 2):
            bus.publish(quote(number))
            bus.publish(Noted(number))
        await settle()
        heard_at_once = len(plain)
        assert bus.statistics()["mixed"].is_busy
        await anyio.sleep(5)
        return marks, heard_at_once

    marks, heard_at_once = play(main)
    assert marks == ["in 1", "out 1", "noted", "in 2", "out 2", "noted"]
    assert heard_at_once == 2


def test_a_handler_that_never_returns_lets_only_its_own_queues_fill() -> None:
    async def main(bus: Bus) -> tuple[int, int]:
        plain: list[Quote] = []

        @bus.on(Quote)
        async def stuck(event: Quote) -> None:
            await asyncio.get_running_loop().create_future()

        bus.on(Quote)(plain.append)
        await settle()
        for number in range(4 * CAPACITY):
            bus.publish(quote(number))
            if not number % 100:
                await settle()
        await settle()
        (channel,) = bus.subscribers[0].statistics().channels
        assert is_balanced(channel)
        assert (channel.delivered, channel.queued) == (1, CAPACITY)
        return channel.dropped, len(plain)

    assert play(main) == (3 * CAPACITY - 1, 4 * CAPACITY)


def test_r54_a_raising_handler_goes_on_with_the_next_event() -> None:
    bus = make_bus()
    heard: list[int] = []
    errors: list[ErrorRaised] = []
    bus.on(ErrorRaised)(errors.append)

    @bus.on(Quote)
    def broken(event: Quote) -> None:
        heard.append(event.time_ns)
        if event.time_ns % 2:
            raise IndexError("odd")

    for number in range(6):
        bus.publish(quote(number))
    bus.deliver_all()

    assert heard == [0, 1, 2, 3, 4, 5]
    assert [error.count for error in errors] == [1, 2, 3]
    assert {error.handler for error in errors} == {"broken"}
    assert "odd" in errors[0].error
    (channel,) = bus.subscribers[1].statistics().channels
    assert channel.delivered == 6


def test_r54_a_handler_of_errors_that_raises_itself_does_not_go_round_for_ever() -> None:
    bus = make_bus()
    count = 0

    @bus.on(ErrorRaised)
    def worse(error: ErrorRaised) -> None:
        nonlocal count
        count += 1
        raise ValueError("worse")

    @bus.on(Quote)
    def broken(event: Quote) -> None:
        raise ValueError("broken")

    bus.publish(quote(1))
    bus.deliver_all()

    assert count == 1
    assert bus.subscribers[0].error_count == 1


def test_r54_a_filter_or_key_that_raises_is_isolated_like_a_handler() -> None:
    bus = make_bus()
    errors: list[ErrorRaised] = []
    heard: list[Any] = []
    bus.on(Quote, where=lambda event: 1 / event.time_ns > 0)(heard.append)
    bus.on(Ticker, where=lambda event: 1 / event.time_ns > 0)(heard.append)
    bus.on(Candle, where=lambda event: 1 / event.time_ns > 0)(heard.append)
    _, others = take_all(bus, Quote, ErrorRaised)
    bus.on(ErrorRaised)(errors.append)

    for number in (0, 1):
        bus.publish(quote(number))
        bus.publish(ticker(number))
        bus.publish(candle(number, is_closed=True))
    bus.deliver_all()

    assert heard == [quote(1), ticker(1), candle(1, is_closed=True)]
    assert len(errors) == 3
    assert [sequence for sequence, _ in others] == sorted(sequence for sequence, _ in others)
    assert others[0][1] == quote(0)


def test_a_handler_that_closes_its_own_subscription_hears_nothing_more() -> None:
    bus = make_bus()
    heard: list[int] = []

    @bus.on(Quote)
    def once(event: Quote) -> None:
        heard.append(event.time_ns)
        bus.subscribers[0].close()

    (subscriber,) = bus.subscribers
    for number in range(3):
        bus.publish(quote(number))
    bus.deliver_all()

    assert heard == [0]
    assert subscriber.error_count == 0
    (channel,) = subscriber.statistics().channels
    assert (channel.delivered, channel.discarded, channel.dropped) == (1, 2, 0)


def test_what_a_handler_reads_of_the_counters_is_exact_while_a_batch_runs() -> None:
    bus = make_bus()
    dropped: set[int] = set()

    @bus.on(Quote)
    def look(event: Quote) -> None:
        (channel,) = bus.subscribers[0].statistics().channels
        assert is_balanced(channel)
        dropped.add(channel.dropped)

    for number in range(CAPACITY + 2):
        bus.publish(quote(number))
    bus.deliver_all()

    assert dropped == {2}
    assert bus.subscribers[0].error_count == 0


def test_a_second_channel_or_a_filter_joins_with_nothing_lost_or_twice() -> None:
    bus = make_bus()
    heard: list[Any] = []
    bus.on(Quote)(heard.append)
    (subscriber,) = bus.subscribers
    subscriber._handlers[Trade] = heard.append
    subscriber._handlers[Noted] = heard.append
    bus.publish(quote(1))

    bus.watch(subscriber, Interest(Noted))
    bus.publish(Noted(2))
    bus.publish(quote(3, "venue:B"))
    bus.watch(subscriber, Interest(Quote, {"instrument": frozenset({"venue:A"})}))
    bus.publish(quote(4))
    bus.deliver_all()

    assert heard == [quote(1), Noted(2), quote(3, "venue:B"), quote(4)]
    assert [channel.published for channel in subscriber.statistics().channels] == [3, 1]


def test_a_held_subscriber_hears_what_is_released_first() -> None:
    bus = make_bus()
    subscriber, taken = take_all(bus, Quote)

    subscriber.hold()
    bus.publish(quote(3))
    bus.deliver_all()
    assert taken == []
    subscriber.release([quote(1), quote(2)])
    bus.deliver_all()

    assert [event.time_ns for _, event in taken] == [1, 2, 3]


def test_a_hold_within_a_batch_takes_effect_at_once() -> None:
    bus = make_bus()
    heard: list[int] = []

    def hold(event: Quote) -> None:
        heard.append(event.time_ns)
        subscriber.hold()

    subscriber = bus.add("s", {Quote: hold})
    bus.watch(subscriber, Interest(Quote))

    bus.publish(quote(1))
    bus.publish(quote(2))
    bus.deliver_all()

    assert heard == [1]


def test_a_wrapped_handler_keeps_its_name_and_a_silenced_one_is_quiet() -> None:
    bus = make_bus()
    heard: list[int] = []

    def on_quote(event: Quote) -> None:
        heard.append(event.time_ns)

    subscriber = bus.add("s", {Quote: on_quote})
    bus.watch(subscriber, Interest(Quote))
    names: list[str] = []

    def wrapper(handler: Handler) -> Handler:
        names.append(handler.__name__)
        return handler

    subscriber.wrap(Quote, wrapper)

    bus.publish(quote(1))
    bus.deliver_all()
    subscriber.silence()
    bus.publish(quote(2))
    bus.deliver_all()

    assert names == ["on_quote"]
    assert heard == [1]
    (channel,) = subscriber.statistics().channels
    assert channel.delivered == 2


def test_a_turn_hands_out_no_more_than_one_batch() -> None:
    bus = make_bus(quotes=ChannelRule(10 * BATCH, Overflow.DROP_OLDEST))
    heard: list[Quote] = []
    bus.on(Quote)(heard.append)
    for number in range(3 * BATCH):
        bus.publish(quote(number))

    has_more = bus.deliver(BATCH)

    assert has_more
    assert len(heard) == BATCH


@pytest.mark.parametrize("event", [quote(1), ticker(1)])
def test_overlapping_interests_bring_an_event_once(event: Any) -> None:
    bus = make_bus()
    heard: list[Any] = []
    subscriber = bus.add("s", {type(event): heard.append})
    bus.watch(subscriber, Interest(type(event)))
    bus.watch(subscriber, Interest(type(event), {"instrument": frozenset({"venue:A"})}))
    bus.watch(subscriber, Interest(type(event), where=lambda _: True))

    bus.publish(event)
    bus.deliver_all()

    assert heard == [event]
