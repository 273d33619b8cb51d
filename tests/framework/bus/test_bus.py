"""The bus: steps, order, fan-out, ways to subscribe, and who owns the tasks."""

import asyncio
import threading
from typing import Any

import anyio
import msgspec
import pytest

from framework.bus.bus import Bus
from framework.bus.overflow import BATCH, ChannelRule, EventRule, Overflow
from framework.bus.subscriber import Interest
from framework.errors import ChannelOverflow, ConfigError, InvariantBroken, StrategyError
from framework.model.events import ErrorRaised
from framework.model.market_data import Candle, Quote, Ticker, Trade
from framework.simulation.loop import run_simulated
from tests.framework.bus.samples import (
    CAPACITY,
    Level,
    Noted,
    candle,
    make_bus,
    play,
    quote,
    settle,
    take_all,
    ticker,
)

# -- steps ---------------------------------------------------------------------------------


def test_what_a_step_publishes_follows_in_order_and_never_recurses() -> None:
    bus = make_bus()
    _, taken = take_all(bus, Quote, Noted)
    depth = deepest = 0

    def step(event: Quote) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        bus.publish(Noted(event.time_ns))
        if event.time_ns < 3:
            bus.publish(quote(event.time_ns + 1))
        depth -= 1

    bus.set_step(Quote, step)
    bus.publish(quote(1))
    bus.deliver_all()

    assert deepest == 1
    assert taken == [
        (1, quote(1)),
        (2, Noted(1)),
        (3, quote(2)),
        (4, Noted(2)),
        (5, quote(3)),
        (6, Noted(3)),
    ]


def test_a_step_that_fails_halts_with_the_event_saved() -> None:
    bus = make_bus()
    _, taken = take_all(bus, Quote, Noted)

    def step(event: Noted) -> None:
        raise KeyError("a bug")

    bus.set_step(Noted, step)
    bus.publish(quote(1))
    with pytest.raises(InvariantBroken, match="step failed on Noted"):
        bus.publish(Noted(2))
    with pytest.raises(InvariantBroken, match="has halted"):
        bus.publish(quote(3))
    bus.deliver_all()

    assert bus.halted is not None
    assert bus.halted[0] == Noted(2)
    assert isinstance(bus.halted[1], KeyError)
    assert taken == []  # the state is in doubt: no handler acts on it


def test_a_step_that_fails_on_what_followed_saves_that_event() -> None:
    bus = make_bus()
    bus.set_step(Quote, lambda event: bus.publish(Noted(7)))

    def step(event: Noted) -> None:
        raise KeyError("a bug")

    bus.set_step(Noted, step)
    with pytest.raises(InvariantBroken):
        bus.publish(quote(1))

    assert bus.halted is not None
    assert bus.halted[0] == Noted(7)


def test_r55_whoever_runs_the_bus_learns_of_a_failed_step() -> None:
    async def main() -> None:
        bus = make_bus()

        def step(event: Quote) -> None:
            raise KeyError("a bug")

        bus.set_step(Quote, step)
        asyncio.get_running_loop().call_soon(lambda: _quietly(bus, quote(1)))
        await bus.run()

    with pytest.raises(InvariantBroken, match="step failed on Quote"):
        run_simulated(main)


def _quietly(bus: Bus, event: Any) -> None:
    with pytest.raises(InvariantBroken):
        bus.publish(event)


def test_an_instruments_own_step_comes_after_the_types_and_can_be_taken_back() -> None:
    bus = make_bus()
    steps: list[str] = []
    bus.publish(quote(0))

    bus.set_step(Quote, lambda event: steps.append("all"))
    bus.set_instrument_step([Quote], "venue:A", lambda event: steps.append("own"))
    bus.publish(quote(1))
    bus.publish(quote(2, "venue:B"))
    assert bus.has_step(Quote, "venue:A")
    bus.set_instrument_step([Quote], "venue:A", None)
    bus.publish(quote(3))

    assert steps == ["all", "own", "all", "all"]
    assert not bus.has_step(Ticker, "venue:A")


# -- publishing and reading ----------------------------------------------------------------


def test_publishing_from_another_thread_raises_even_while_a_step_runs() -> None:
    bus = make_bus()
    errors: list[BaseException] = []

    def publish() -> None:
        try:
            bus.publish(quote(1))
        except InvariantBroken as error:
            errors.append(error)

    def step(event: Noted) -> None:
        thread = threading.Thread(target=publish)
        thread.start()
        thread.join()

    bus.set_step(Noted, step)
    bus.publish(Noted(1))

    assert ["use publish_threadsafe" in str(error) for error in errors] == [True]
    assert bus.newest(Quote, "venue:A") is None


def test_publish_threadsafe_hands_over_from_another_thread() -> None:
    async def main() -> list[Any]:
        bus = make_bus()
        heard = asyncio.get_running_loop().create_future()
        bus.on(Quote)(heard.set_result)
        bus.start()
        thread = threading.Thread(target=bus.publish_threadsafe, args=(quote(1),))
        thread.start()
        async with asyncio.timeout(5):
            event = await heard
        thread.join()
        return [event]

    assert asyncio.run(main()) == [quote(1)]
    with pytest.raises(InvariantBroken, match="not running"):
        make_bus().publish_threadsafe(quote(1))


def test_the_newest_event_of_each_route_can_be_read() -> None:
    bus = make_bus()

    bus.publish(quote(1))
    bus.publish(quote(2, "venue:B"))
    bus.publish(quote(3))
    bus.publish(candle(4, is_closed=True, interval="5m"))
    bus.publish(Noted(5))

    assert bus.newest(Quote, "venue:A") == quote(3)
    assert bus.newest(Quote, "venue:C") is None
    assert bus.newest(Candle, "venue:A", "5m").time_ns == 4
    assert bus.newest(Noted) == Noted(5)
    assert bus.newest(Trade, "venue:A") is None
    assert [route.key for route in bus.routes(Quote)] == [("venue:A",), ("venue:B",)]
    assert list(bus.routes(Trade)) == []


def test_nothing_need_be_made_for_events_that_nobody_takes() -> None:
    bus = make_bus()
    assert not bus.wants(Quote, "venue:A")

    subscriber, _ = take_all(bus, Noted)
    bus.watch(subscriber, Interest(Quote, {"instrument": frozenset({"venue:A"})}))

    assert bus.wants(Quote, "venue:A")
    assert not bus.wants(Quote, "venue:B")
    assert bus.wants(Noted)
    assert not bus.wants(Candle, "venue:A", "1m")
    subscriber.close()
    assert not bus.wants(Quote, "venue:A")


def test_an_event_whose_rule_names_no_channel_is_refused_clearly() -> None:
    class Astray:
        RULE = EventRule("nowhere")

    bus = make_bus()

    with pytest.raises(ConfigError, match="channel 'nowhere', which has no rule"):
        bus.publish(Astray())
    with pytest.raises(ConfigError, match="channel 'nowhere', which has no rule"):
        bus.on(Astray)(print)
    assert bus.subscribers == []


# -- subscribing ---------------------------------------------------------------------------


def test_decorators_select_by_routing_fields_other_fields_and_filters() -> None:
    bus = make_bus()
    heard: dict[str, list[int]] = {"a": [], "5m": [], "levels": [], "even": []}
    bus.on(Quote, Ticker, instruments=["venue:A"])(lambda e: heard["a"].append(e.time_ns))
    bus.on(Candle, intervals="5m")(lambda e: heard["5m"].append(e.time_ns))
    bus.on(Level, names={"b"})(lambda e: heard["levels"].append(e.number))
    bus.on(Quote, where=lambda e: e.time_ns % 2 == 0)(lambda e: heard["even"].append(e.time_ns))

    for number in range(4):
        bus.publish(quote(number, f"venue:{'AB'[number % 2]}"))
    bus.publish(ticker(4))
    bus.publish(candle(5, is_closed=True))
    bus.publish(candle(6, is_closed=True, interval="5m"))
    bus.publish(Level("a", 7))
    bus.publish(Level("b", 8))
    bus.deliver_all()

    assert heard == {"a": [0, 2, 4], "5m": [6], "levels": [8], "even": [0, 2]}


class Marked(msgspec.Struct, frozen=True):
    """An event of the user's own with a field that does not route."""

    RULE = EventRule("marked", ("instrument",), own_rule=ChannelRule(CAPACITY, Overflow.ERROR))

    instrument: str
    mark: str


def test_a_field_that_does_not_route_can_select_too() -> None:
    bus = make_bus()
    heard: list[Any] = []
    bus.on(Marked, marks=["x"])(heard.append)

    for mark in "xyx":
        bus.publish(Marked("venue:A", mark))
    bus.deliver_all()

    assert heard == [Marked("venue:A", "x")] * 2


def test_selecting_by_a_field_that_events_do_not_have_is_refused() -> None:
    bus = make_bus()

    with pytest.raises(ConfigError, match="Quote has no field 'symbol'"):
        bus.on(Quote, symbols=["A"])(print)
    with pytest.raises(ConfigError, match="Noted has no field 'instrument'"):
        bus.subscribe(Quote, Noted, instruments=["A"])

    assert bus.subscribers == []
    assert not bus.wants(Quote, "A")


def test_names_are_unique_and_statistics_tell_everyone_apart() -> None:
    bus = make_bus()

    def handle(event: Quote) -> None:
        """Do nothing."""

    bus.on(Quote)(handle)
    bus.on(Quote)(handle)
    first, second = bus.subscribe(Quote), bus.subscribe(Quote)
    first.subscriber.close()
    third = bus.subscribe(Quote)

    assert len(bus.statistics()) == 4
    assert second.subscriber.name != third.subscriber.name


def test_everyone_receives_the_event_iterators_and_decorators_alike() -> None:
    async def main(bus: Bus) -> tuple[list[Any], list[Any], list[Any]]:
        plain: list[Any] = []
        later: list[Any] = []
        read: list[Any] = []
        bus.on(Quote)(plain.append)

        @bus.on(Quote)
        async def handle(event: Quote) -> None:
            await asyncio.sleep(1)
            later.append(event)

        async def reader() -> None:
            async with bus.subscribe(Quote, Noted) as events:
                async for event in events:
                    read.append(event)
                    if len(read) == 4:
                        return

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            await settle()
            for number in (1, 2):
                bus.publish(quote(number))
                bus.publish(Noted(number))
            await anyio.sleep(5)
        return plain, later, read

    plain, later, read = play(main)
    assert plain == later == [quote(1), quote(2)]
    assert read == [quote(1), Noted(1), quote(2), Noted(2)]


def test_r51_an_iterator_reads_what_was_queued_and_then_raises_once() -> None:
    async def main(bus: Bus) -> tuple[list[Any], ChannelOverflow]:
        read: list[Any] = []
        async with bus.subscribe(Noted) as events:
            for number in range(CAPACITY + 9):
                bus.publish(Noted(number))

            async def read_all() -> None:
                async for event in events:
                    read.append(event)  # noqa: PERF401 - what came before the error counts

            with pytest.raises(ChannelOverflow) as failure:
                await read_all()
            assert [event async for event in events] == []
        assert bus.subscribers == []
        return read, failure.value

    read, failure = play(main)
    assert read == list(map(Noted, range(CAPACITY)))
    assert (failure.channel, failure.capacity) == ("notes", CAPACITY)


def test_closing_an_iterator_ends_the_reader_that_waits() -> None:
    async def main(bus: Bus) -> str:
        events = bus.subscribe(Quote)
        ended: list[str] = []

        async def read() -> None:
            async for _ in events:
                pass
            ended.append("ended")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await settle()
            with pytest.raises(StrategyError, match="has a reader already"):
                await anext(events)
            events.subscriber.close()
        return ended[0]

    assert play(main) == "ended"


def test_a_reader_gives_the_loop_a_turn_after_each_batch() -> None:
    async def main(bus: Bus) -> int:
        events = bus.subscribe(Quote)
        read = 0
        read_when_called: list[int] = []
        for number in range(2 * BATCH):
            bus.publish(quote(number))
        asyncio.get_running_loop().call_soon(lambda: read_when_called.append(read))
        async with events:
            async for _ in events:
                read += 1
                if read == 2 * BATCH:
                    break
        return read_when_called[0]

    bus = make_bus(quotes=ChannelRule(10 * BATCH, Overflow.DROP_OLDEST))
    assert play(main, bus) < BATCH


def test_subscribing_and_closing_while_events_are_delivered_is_safe() -> None:
    bus = make_bus()
    heard: list[tuple[str, int]] = []

    @bus.on(Quote)
    def grow(event: Quote) -> None:
        if event.time_ns == 1:
            bus.on(Quote)(lambda e: heard.append(("new", e.time_ns)))
            last.close()

    bus.on(Quote)(lambda e: heard.append(("last", e.time_ns)))
    last = bus.subscribers[-1]
    bus.publish(quote(1))
    bus.publish(quote(2))
    bus.deliver_all()
    bus.publish(quote(3))
    bus.deliver_all()

    assert heard == [("new", 3)]


# -- the loop ------------------------------------------------------------------------------


class CountedTurns(Bus):
    turns = 0

    def _turn(self) -> None:
        self.turns += 1
        super()._turn()


def test_one_wake_up_serves_a_whole_batch() -> None:
    async def main(bus: Bus) -> None:
        assert isinstance(bus, CountedTurns)
        heard: list[Any] = []
        bus.on(Quote)(heard.append)
        await settle()
        bus.turns = 0
        for number in range(BATCH):
            bus.publish(quote(number))
        await settle()
        assert len(heard) == BATCH
        assert bus.turns == 1

    play(main, CountedTurns(make_bus().clock))


def test_the_loop_gets_a_turn_between_batches() -> None:
    async def main(bus: Bus) -> int:
        heard: list[Any] = []
        heard_between: list[int] = []
        bus.on(Quote)(heard.append)
        await settle()
        for number in range(3 * BATCH):
            bus.publish(quote(number))
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(lambda: heard_between.append(len(heard))))
        await settle()
        assert len(heard) == 3 * BATCH
        return heard_between[0]

    bus = make_bus(quotes=ChannelRule(10 * BATCH, Overflow.DROP_OLDEST))
    assert play(main, bus) in (BATCH, 2 * BATCH)


def test_r55_the_death_of_a_subscribers_task_is_noticed() -> None:
    async def main() -> None:
        bus = make_bus()

        @bus.on(Quote)
        async def handle(event: Quote) -> None:
            """Do nothing."""

        asyncio.get_running_loop().call_later(1, lambda: _kill("subscriber"))
        await bus.run()

    with pytest.raises(InvariantBroken, match=r"task of subscriber '.*handle' was cancelled"):
        run_simulated(main)


def _kill(name: str) -> None:
    for task in asyncio.all_tasks():
        if task.get_name().startswith(name):
            task.cancel()


def test_r55_a_bug_in_delivery_ends_the_run_instead_of_being_lost() -> None:
    async def main() -> None:
        bus = Bus(make_bus().clock, after_handler=lambda: 1 / 0)  # type: ignore[arg-type]
        bus.on(Quote)(lambda event: None)
        asyncio.get_running_loop().call_later(1, bus.publish, quote(1))
        await bus.run()

    with pytest.raises(ZeroDivisionError):
        run_simulated(main)


def test_subscribers_of_every_kind_go_on_when_the_bus_runs_on_a_second_loop() -> None:
    bus = make_bus()
    plain: list[int] = []
    later: list[int] = []

    @bus.on(Quote)
    def handle(event: Quote) -> None:
        plain.append(event.time_ns)

    @bus.on(Quote)
    async def handle_later(event: Quote) -> None:
        await asyncio.sleep(0.001)
        later.append(event.time_ns)

    def session(number: int) -> None:
        async def main(bus: Bus) -> None:
            bus.publish(quote(number))
            await anyio.sleep(1)

        play(main, bus)
        bus.publish(quote(number + 1))  # between the loops: it waits

    session(1)
    session(3)

    assert plain == later == [1, 2, 3]


def test_a_pumped_bus_calls_idle_handlers_directly_and_queues_for_busy_ones() -> None:
    async def main(bus: Bus) -> list[int]:
        heard: list[int] = []

        @bus.on(Quote)
        async def handle(event: Quote) -> None:
            if event.time_ns == 1:
                await asyncio.sleep(1)
            heard.append(event.time_ns)

        await settle()
        bus.pump()
        route = bus.route_of(quote(0))
        assert route.direct is not None
        ((call, _),) = route.direct
        route.direct_count += 1
        call(quote(1))
        assert route.direct is None  # while it waits
        bus.publish(quote(2))
        bus.deliver_all()
        assert heard == []
        await anyio.sleep(2)
        assert route.direct is not None  # and nothing is queued any more
        (channel,) = bus.subscribers[0].statistics().channels
        assert (channel.published, channel.delivered) == (2, 2)
        return heard

    assert play(main) == [1, 2]


def test_an_iterator_on_a_pumped_bus_misses_nothing() -> None:
    bus = make_bus()
    bus.subscribe(Quote)

    bus.pump()

    assert bus.route_of(quote(1)).direct is None


def test_statistics_show_time_lag_errors_and_batches() -> None:
    async def main(bus: Bus) -> None:
        @bus.on(Quote)
        def handle(event: Quote) -> None:
            bus.clock.advance_to(bus.clock.now_ns + 5)  # type: ignore[attr-defined]
            raise ValueError("no")

        await settle()
        bus.clock.advance_to(100)  # type: ignore[attr-defined]
        bus.publish(quote(90))
        bus.publish(quote(95))
        await settle()
        (statistics,) = bus.statistics().values()
        assert (statistics.batches, statistics.errors) == (1, 2)
        assert (statistics.handler_ns, statistics.lag_ns) == (10, 5)

    play(main)


def test_what_handlers_fail_on_is_remembered_within_bounds() -> None:
    bus = make_bus()
    for number in range(1_100):
        bus.report(f"s{number}", "h", ValueError("x"))

    assert len(bus._errors) == 1_000
    assert bus.newest(ErrorRaised).count == 1
