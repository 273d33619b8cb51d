"""The live feed, its clock turned by hand."""

from collections.abc import Iterable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from adapters.mock import build
from adapters.mock.feed import TURN_EVENTS, MockFeed
from framework.errors import UnknownInstrument, VenueError
from framework.model.events import ConnectionChanged, ConnectionState, Event
from framework.model.market_data import BookDelta, BookSnapshot, Candle, Quote, Trade
from framework.model.reports import OrderFact
from framework.model.venue_state import VenueReport
from tests.adapters.mock.seams import HandContext

pytestmark = pytest.mark.anyio

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
START_NS = 28_400_000 * MINUTE_NS


def feed_of(context: HandContext, **settings: Any) -> MockFeed:
    section = {"settings": {"instruments": [{"symbol": "X"}, {"symbol": "Y"}], **settings}}
    feed = build(section, context).feed
    assert isinstance(feed, MockFeed)
    return feed


async def turn_loop() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


async def ran(
    feed: MockFeed, context: HandContext, *until_ns: int
) -> list[Event | OrderFact | VenueReport]:
    """Run the feed while the clock moves to each time; return the market events."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        await turn_loop()
        for time_ns in until_ns:
            context.clock.advance_to(time_ns)
            await turn_loop()
        tasks.cancel_scope.cancel()
    return [event for event in context.published if not isinstance(event, ConnectionChanged)]


def seconds(count: int, start_ns: int = START_NS) -> Iterable[int]:
    return (start_ns + i * SECOND_NS for i in range(1, count + 1))


async def test_only_what_is_subscribed_is_published_and_in_step_with_the_clock() -> None:
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context)
    feed.subscribe("venue:X", "quotes")

    events = await ran(feed, context, *seconds(5))

    assert {type(event) for event in events} == {Quote}
    assert [event.time_ns for event in events] == [START_NS + i * SECOND_NS for i in range(6)]
    states = [event.state for event in context.published if isinstance(event, ConnectionChanged)]
    assert states == [ConnectionState.STREAMING, ConnectionState.CLOSED]
    assert context.clock.pending_count == 0


async def test_subscriptions_are_counted() -> None:
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context)
    feed.subscribe("venue:X", "trades")
    feed.subscribe("venue:X", "trades")
    feed.unsubscribe("venue:X", "trades")
    assert feed.statistics()["subscriptions"] == 1

    feed.unsubscribe("venue:X", "trades")
    feed.unsubscribe("venue:X", "trades")

    assert feed.statistics()["subscriptions"] == 0
    assert await ran(feed, context, *seconds(3)) == []


async def test_one_seed_is_one_series_whatever_the_steps_of_the_clock() -> None:
    runs = []
    for times in (tuple(seconds(90)), (START_NS + 7 * SECOND_NS, START_NS + 90 * SECOND_NS)):
        context = HandContext(now_ns=START_NS)
        feed = feed_of(context)
        for channel in ("quotes", "trades", "book"):
            feed.subscribe("venue:X", channel)
        feed.subscribe("venue:Y", "candles", "1m")
        runs.append(await ran(feed, context, *times))

    assert runs[0] == runs[1]
    other = HandContext(now_ns=START_NS, seed=8)
    feed = feed_of(other)
    feed.subscribe("venue:X", "quotes")
    assert (await ran(feed, other, *seconds(90)))[1] not in runs[0]


async def test_candles_close_before_the_next_step_and_match_the_trades() -> None:
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context)
    feed.subscribe("venue:X", "candles", "1m")
    feed.subscribe("venue:X", "trades")

    events = await ran(feed, context, *seconds(121))

    candles = [event for event in events if isinstance(event, Candle)]
    trades = [event for event in events if isinstance(event, Trade)]
    assert [candle.close_ns for candle in candles] == [
        START_NS + MINUTE_NS,
        START_NS + 2 * MINUTE_NS,
    ]
    prices = [trade.price for trade in trades if trade.time_ns < START_NS + MINUTE_NS]
    assert (candles[0].open, candles[0].close) == (prices[0], prices[-1])
    assert (candles[0].high, candles[0].low) == (max(prices), min(prices))
    at = events.index(candles[0])
    assert events[at - 1].time_ns < events[at].time_ns == events[at + 1].time_ns


async def test_history_and_live_candles_join_without_a_hole() -> None:
    context = HandContext(now_ns=START_NS + 30 * SECOND_NS)
    feed = feed_of(context)
    feed.subscribe("venue:X", "candles", "1m")
    feed.subscribe("venue:X", "candles", "5m")
    before = await feed.history("venue:X", "1m", end_ns=context.clock.now_ns, limit=100)

    live = await ran(feed, context, *seconds(600, context.clock.now_ns))
    after = await feed.history("venue:X", "1m", end_ns=context.clock.now_ns, limit=110)
    fives = await feed.history("venue:X", "5m", end_ns=context.clock.now_ns, limit=4)

    assert len(before) == 100
    assert before[-1].close_ns == START_NS
    minutes = [event for event in live if isinstance(event, Candle) and event.interval == "1m"]
    assert after == [*before, *minutes][-110:]
    assert len(minutes) == 10
    assert [c.open_ns for c in after] == [after[0].open_ns + i * MINUTE_NS for i in range(110)]
    assert fives[-2:] == [
        event for event in live if isinstance(event, Candle) and event.interval == "5m"
    ]
    assert all(candle.open_ns % (5 * MINUTE_NS) == 0 for candle in fives)


async def test_history_ends_where_it_is_told_to() -> None:
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context)

    candles = await feed.history("venue:X", "5m", end_ns=START_NS - 7 * MINUTE_NS, limit=3)

    assert [candle.close_ns for candle in candles] == [
        START_NS - 20 * MINUTE_NS,
        START_NS - 15 * MINUTE_NS,
        START_NS - 10 * MINUTE_NS,
    ]


async def test_what_the_venue_does_not_have_is_refused() -> None:
    feed = feed_of(HandContext(now_ns=START_NS))

    with pytest.raises(UnknownInstrument):
        feed.subscribe("venue:Z", "quotes")
    with pytest.raises(VenueError, match="no channel 'news'"):
        feed.subscribe("venue:X", "news")
    for interval in ("", "30s", "90s", "5x"):
        with pytest.raises(VenueError, match="multiples of 1m"):
            feed.subscribe("venue:X", "candles", interval)


async def test_a_gap_is_healed_by_a_snapshot_a_few_steps_later() -> None:
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context, faults={"gap_every": 10})
    feed.subscribe("venue:X", "book")

    events = await ran(feed, context, *seconds(20))

    numbers = [event.sequence for event in events if isinstance(event, BookSnapshot | BookDelta)]
    missing = sorted(set(range(1, 22)) - set(numbers))
    snapshots = [event.sequence for event in events if isinstance(event, BookSnapshot)]
    assert len(missing) == 1
    assert snapshots == [1, missing[0] + 5]
    assert feed.statistics()["lost"] == 1


async def test_a_stalled_link_is_silent_and_heals_the_book() -> None:
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context)
    feed.subscribe("venue:X", "book")
    feed.subscribe("venue:X", "quotes")
    feed.stall(5_000)

    events = await ran(feed, context, *seconds(20))

    assert min(event.time_ns for event in events) == START_NS + 5 * SECOND_NS
    books = [event for event in events if isinstance(event, BookSnapshot | BookDelta)]
    assert isinstance(books[0], BookDelta)
    assert any(isinstance(event, BookSnapshot) for event in books)


async def test_stalls_come_as_the_settings_say() -> None:
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context, faults={"stall_every": 10, "stall_ms": 3_000})
    feed.subscribe("venue:X", "quotes")

    events = await ran(feed, context, *seconds(18))

    silent = set(range(19)) - {(event.time_ns - START_NS) // SECOND_NS for event in events}
    assert silent == {10, 11, 12}


async def test_a_burst_is_published_in_turns() -> None:
    """Design 4: at most 256 events per loop turn, so that a queue may drain between."""
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        await turn_loop()
        feed.burst("venue:X", 1_000)
        counts = []
        for _ in range(12):
            before = len(context.published)
            await anyio.lowlevel.checkpoint()
            counts.append(len(context.published) - before)
        tasks.cancel_scope.cancel()

    assert sum(counts) == 1_000
    assert max(counts) == TURN_EVENTS


async def test_bursts_come_as_the_settings_say() -> None:
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context, faults={"burst_every": 5, "burst_size": 300})
    feed.subscribe("venue:X", "trades")

    events = await ran(feed, context, *seconds(9))

    assert len(events) == 8 + 2 * 300


async def test_a_late_timer_shows_in_the_received_time() -> None:
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context, interval_ms=1_000)
    feed.subscribe("venue:X", "quotes")
    context.clock.call_at(START_NS + 1, lambda: None)

    events = await ran(feed, context, *seconds(2))

    assert all(isinstance(quote, Quote) and quote.received_ns >= quote.time_ns for quote in events)


async def test_a_second_run_goes_on_where_the_clock_is() -> None:
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context)
    feed.subscribe("venue:X", "quotes")
    await ran(feed, context, *seconds(3))
    context.published.clear()
    context.clock.advance_to(START_NS + 10 * SECOND_NS)

    events = await ran(feed, context, START_NS + 11 * SECOND_NS)

    assert [event.time_ns for event in events] == [START_NS + i * SECOND_NS for i in (10, 11)]
