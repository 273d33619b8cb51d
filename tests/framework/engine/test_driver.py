"""The driver of recorded data does what publishing and delivering one by one would do."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.bus.bus import Bus
from framework.bus.subscriber import Interest
from framework.clock.clock import VirtualClock
from framework.engine.driver import Driver
from framework.engine.outputs import Outputs
from framework.errors import DataError, InvariantBroken
from framework.model.events import ErrorRaised
from framework.model.market_data import Quote, Trade
from framework.store.memory import MemoryLog


def quote(time_ns: int, name: str = "v:A") -> Quote:
    return Quote(name, time_ns, time_ns, 1.0, 2.0)


def trade(time_ns: int, name: str = "v:A") -> Trade:
    return Trade(name, time_ns, time_ns, 1.5, 1.0)


class Unheard(msgspec.Struct, frozen=True):
    """An event that nobody takes."""

    time_ns: int


def unheard(time_ns: int) -> Unheard:
    return Unheard(time_ns)


class World:
    """A bus with a driver and no loop around it."""

    def __init__(self, *events: Any) -> None:
        self.clock = VirtualClock()
        self.bus = Bus(self.clock)
        self.bus.pump()
        self.heard: list[Any] = []
        self.ends = 0
        self.driver = Driver(
            iter(events),
            bus=self.bus,
            outputs=Outputs(MemoryLog(), {}),
            clock=self.clock,
            loop=None,
            ended=self.note_end,
        )

    def note_end(self) -> None:
        self.ends += 1

    def hear(self, *kinds: type, call: Callable[[Any], object] | None = None) -> None:
        def handler(event: Any) -> None:
            self.heard.append((self.clock.now_ns, event))
            if call is not None:
                call(event)

        subscriber = self.bus.add("listener", dict.fromkeys(kinds, handler))
        for kind in kinds:
            self.bus.watch(subscriber, Interest(kind))

    def run(self) -> None:
        while self.driver.feed(256):
            pass


def test_events_are_handled_at_their_time_and_the_end_is_told_once() -> None:
    world = World(quote(5), trade(5), quote(9))
    world.hear(Quote, Trade)

    world.run()

    assert world.heard == [(5, quote(5)), (5, trade(5)), (9, quote(9))]
    assert (world.driver.first_ns, world.driver.last_ns, world.driver.event_count) == (5, 9, 3)
    assert world.ends == 1


def test_timers_of_an_instant_fire_after_all_its_data() -> None:
    world = World(quote(5), quote(5), quote(7))
    world.hear(Quote)
    for due_ns in (5, 6, 7):
        world.clock.call_at(due_ns, lambda: world.heard.append((world.clock.now_ns, "timer")))

    world.run()

    assert [(time_ns, what == "timer") for time_ns, what in world.heard] == [
        (5, False),
        (5, False),
        (5, True),
        (6, True),
        (7, False),
        (7, True),
    ]


def test_a_timer_that_a_handler_sets_fires_between_the_events_it_lies_between() -> None:
    world = World(quote(1), quote(10))
    world.hear(
        Quote,
        call=lambda _: world.clock.call_at(
            world.clock.now_ns + 3, lambda: world.heard.append((world.clock.now_ns, "timer"))
        ),
    )

    world.run()

    assert [time_ns for time_ns, _ in world.heard] == [1, 4, 10]


def test_data_that_goes_back_in_time_is_refused_with_the_event() -> None:
    world = World(quote(9), quote(4))

    with pytest.raises(DataError, match="not in time order"):
        world.run()


def test_r54_a_handler_that_raises_is_counted_and_the_data_goes_on() -> None:
    world = World(quote(1), quote(2))
    errors: list[ErrorRaised] = []
    world.bus.on(ErrorRaised)(errors.append)

    def fail(_: Any) -> None:
        raise ValueError("broken")

    world.hear(Quote, call=fail)

    world.run()

    assert len(world.heard) == 2
    assert [error.count for error in errors] == [1, 2]


def test_what_follows_from_a_step_is_handled_before_the_next_event() -> None:
    world = World(quote(1), quote(2))
    world.bus.set_instrument_step([Quote], "v:A", lambda event: world.bus.publish(trade(1)))
    world.hear(Quote, Trade)

    world.run()

    assert [type(event).__name__ for _, event in world.heard] == ["Quote", "Trade"] * 2


def follow_with(world: "World", *kinds: Any) -> None:
    """Have each quote be followed by an event of each kind."""

    def step(event: Any) -> None:
        for kind in kinds:
            world.bus.publish(kind(event.time_ns))

    world.bus.set_instrument_step((Quote,), "v:A", step)


@pytest.mark.parametrize("kinds", [[], [unheard], [trade], [unheard, trade], [trade, unheard]])
def test_an_event_whose_step_others_follow_is_handled_as_through_its_queue(
    kinds: list[Any],
) -> None:
    """With its own number, before what follows, and with the state that all of it has made."""

    def play(where: Callable[[Any], bool] | None) -> tuple[list[Any], dict[str, Any]]:
        world = World(quote(1), quote(2))
        follow_with(world, *kinds)

        def handler(event: Any) -> None:
            newest = world.bus.newest(Unheard)
            world.heard.append((subscriber.sequence, world.bus.sequence, event, newest))

        subscriber = world.bus.add("listener", {Quote: handler, Trade: handler})
        for kind in (Quote, Trade):
            world.bus.watch(subscriber, Interest(kind, where=where))
        world.run()
        return world.heard, {
            channel.channel: (channel.published, channel.delivered)
            for channel in subscriber.statistics().channels
        }

    direct, queued = play(None), play(lambda event: True)

    assert direct == queued
    assert direct[0][0][0] == 1


def test_a_recorder_that_comes_after_the_driver_gets_every_event() -> None:
    """The runtime makes the driver first; no handler is called past the recorder."""
    world = World(quote(1), quote(2))
    world.hear(Quote)
    taken: list[Any] = []

    def record(event: Any) -> None:
        taken.append(event)
        world.bus.publish_now(event)

    world.bus.record_inputs(record)
    world.run()

    assert taken == [quote(1), quote(2)]
    assert world.heard == [(1, quote(1)), (2, quote(2))]
    [route] = world.bus.routes(Quote)
    assert route.direct_count == 0


def test_a_step_that_fails_on_what_followed_halts_the_engine_on_that() -> None:
    world = World(quote(1))
    follow_with(world, unheard)
    world.hear(Quote)

    def fail(event: Any) -> None:
        raise ValueError("broken")

    world.bus.set_step(Unheard, fail)
    with pytest.raises(InvariantBroken, match="Unheard"):
        world.run()

    assert world.bus.halted is not None
    assert isinstance(world.bus.halted[0], Unheard)


def test_what_nobody_hears_does_not_send_its_cause_through_the_queue() -> None:
    """An unheard fact costs no queue: the quote that caused it is handed over directly."""
    world = World(quote(1), quote(2))
    follow_with(world, unheard)
    world.hear(Quote)
    world.run()

    [route] = world.bus.routes(Quote)
    assert (route.direct_count, route.count) == (2, 0)


EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([quote, trade]), st.sampled_from(["v:A", "v:B"])),
    max_size=30,
)


@given(EVENTS, st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29)))
def test_calling_handlers_directly_equals_going_through_their_queues(
    steps: list[tuple[int, Any, str]], failing: set[int], publishing: set[int]
) -> None:
    """The same handlers behind a filter, which closes the direct lane, hear the same."""

    def events() -> Iterator[Any]:
        time_ns = 0
        for step, make, name in steps:
            time_ns += step
            yield make(time_ns, name)

    def play(where: Callable[[Any], bool] | None) -> list[Any]:
        world = World(*events())
        count = iter(range(1_000))

        def handler(event: Any) -> None:
            number = next(count)
            world.heard.append((world.clock.now_ns, subscriber.sequence, event))
            if number in publishing and isinstance(event, Quote):
                world.bus.publish(trade(world.clock.now_ns))
            if number in failing:
                raise ValueError(number)

        subscriber = world.bus.add("listener", {Quote: handler, Trade: handler})
        for kind in (Quote, Trade):
            world.bus.watch(subscriber, Interest(kind, where=where))
        world.run()
        counters = [
            (c.channel, c.published, c.delivered, c.queued)
            for c in subscriber.statistics().channels
        ]
        return [*world.heard, counters]

    assert play(None) == play(lambda event: True)


def note(world: World, timer: int) -> None:
    world.heard.append((world.clock.now_ns, timer))


@given(
    times=st.lists(st.integers(1, 9), max_size=12).map(sorted),
    timers=st.lists(st.integers(1, 9), max_size=6),
)
def test_steps_do_what_a_run_does_one_thing_at_a_time(times: list[int], timers: list[int]) -> None:
    def prepared() -> World:
        world = World(*map(quote, times))
        world.hear(Quote)
        for number, due_ns in enumerate(timers):
            world.clock.call_at(due_ns, partial(note, world, number))
        return world

    whole, stepped = prepared(), prepared()
    whole.run()
    before = 0
    while stepped.driver.step():
        assert len(stepped.heard) <= before + 1
        before = len(stepped.heard)
    assert stepped.ends == 0
    stepped.driver.finish()

    assert stepped.heard == whole.heard
    assert stepped.ends == whole.ends == 1
    assert stepped.driver.first_ns == whole.driver.first_ns


def test_a_stopped_driver_takes_no_step() -> None:
    world = World(quote(5), quote(6))
    world.hear(Quote)
    assert world.driver.step()
    world.driver.is_stopped = True

    assert not world.driver.step()
    assert len(world.heard) == 1
