"""The market of any symbol, its clock turned by hand."""

from itertools import pairwise
from math import fsum
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.mock import any_symbol, build
from adapters.mock.any_symbol import AnySymbolFeed
from adapters.mock.settings import interval_ns
from framework.errors import ConfigError, UnknownInstrument, VenueError
from framework.interfaces import FindsInstruments
from framework.model.events import ConnectionChanged, ConnectionState
from framework.model.instrument import InstrumentKind
from framework.model.market_data import Candle, Quote, Trade
from tests.adapters.mock.seams import HandContext
from tests.fakes import ManualClock

pytestmark = pytest.mark.anyio

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
START_NS = 28_400_000 * MINUTE_NS + 17 * SECOND_NS + 123
TIMEFRAMES = ("1m", "2m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "12h", "1d", "1w")
X = "venue:X"


def feed_of(context: HandContext, **settings: Any) -> AnySymbolFeed:
    section = {"settings": {"any_symbol": True, "interval_ms": 500, **settings}}
    feed = build(section, context).feed
    assert isinstance(feed, AnySymbolFeed)
    return feed


async def found(context: HandContext, *names: str, **settings: Any) -> AnySymbolFeed:
    feed = feed_of(context, **settings)
    for name in names or (X,):
        assert await feed.find_instrument(name) is not None
    return feed


class LateClock(ManualClock):
    """A clock whose timers come late."""

    def jump(self, time_ns: int) -> None:
        """Move first, then fire what is due."""
        self._now_ns = time_ns
        self.advance_to(time_ns)


async def turn_loop() -> None:
    for _ in range(30):
        await anyio.lowlevel.checkpoint()


async def ran(feed: AnySymbolFeed, context: HandContext, *until_ns: int) -> list[Any]:
    """Run the feed while the clock moves to each time; return the market events."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        await turn_loop()
        for time_ns in until_ns:
            context.clock.advance_to(time_ns)
            await turn_loop()
        tasks.cancel_scope.cancel()
    return [event for event in context.published if not isinstance(event, ConnectionChanged)]


def halves(count: int, start_ns: int = START_NS) -> list[int]:
    return [start_ns + i * SECOND_NS // 2 for i in range(1, count + 1)]


def join(candles: list[Candle]) -> tuple[float, ...]:
    return (
        candles[0].open,
        max(candle.high for candle in candles),
        min(candle.low for candle in candles),
        candles[-1].close,
        fsum(candle.volume for candle in candles),
    )


def values(candle: Candle) -> tuple[float, ...]:
    return candle.open, candle.high, candle.low, candle.close, candle.volume


# -- definitions ---------------------------------------------------------------------------------


async def test_an_instrument_is_margined_and_takes_any_price_and_quantity() -> None:
    feed = feed_of(HandContext(now_ns=START_NS))
    assert isinstance(feed, FindsInstruments)

    definition = await feed.find_instrument("venue:a.B/c:d")

    assert definition is not None
    assert (definition.id, definition.currency) == ("venue:a.B/c:d", "USD")
    assert definition.kind is InstrumentKind.PERPETUAL
    assert definition.price("0.00000001") > 0
    assert definition.quantity("0.0000001") > 0
    assert await feed.find_instrument("venue:a.B/c:d") is definition
    assert feed.instruments == (definition,)


@pytest.mark.parametrize("name", ["venue:", "other:X", "venue", "venue:\n", "venue:" + "X" * 257])
async def test_what_is_no_symbol_is_not_found(name: str) -> None:
    assert await feed_of(HandContext()).find_instrument(name) is None


async def test_the_number_of_symbols_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(any_symbol, "MOST_SYMBOLS", 2)
    feed = await found(HandContext(), "venue:A", "venue:B")
    for name in ("venue:A", "venue:B"):
        feed.subscribe(name, "quotes")

    with pytest.raises(VenueError, match="2 symbols of the mock venue are watched"):
        await feed.find_instrument("venue:C")
    assert await feed.find_instrument("venue:A") is not None

    feed.unsubscribe("venue:A", "quotes")
    assert await feed.find_instrument("venue:C") is not None
    assert {one.id for one in feed.instruments} == {"venue:B", "venue:C"}


async def test_a_symbol_that_made_room_comes_back_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-84: whoever goes on naming symbols takes them from nobody who uses his."""
    monkeypatch.setattr(any_symbol, "MOST_SYMBOLS", 3)
    context = HandContext(now_ns=START_NS)
    feed = await found(context, "venue:A", "venue:B", "venue:W")
    feed.subscribe("venue:W", "quotes")

    async def past(name: str) -> list[Candle]:
        return await feed.history(name, "1m", end_ns=START_NS, limit=5)

    before = await past("venue:A")
    for number in range(20):
        assert await feed.find_instrument(f"venue:N{number}") is not None
        await past(f"venue:N{number}")
        await past("venue:B")  # used all the time
    names = {one.id for one in feed.instruments}
    assert len(names) == len(feed._markets) == 3
    assert {"venue:B", "venue:W", "venue:N19"} == names
    assert await past("venue:A") == before
    assert feed.statistics()["symbols"] == 3


async def test_some_symbols_can_be_settled_by_the_configuration() -> None:
    context = HandContext(now_ns=START_NS)
    section = {
        "settings": {
            "any_symbol": True,
            "instruments": [{"symbol": "OWN", "start_price": 7, "volatility": 0}],
        },
        "instruments": [{"symbol": "OWN", "tick": "0.01", "kind": "spot"}],
    }
    feed = build(section, context).feed
    assert isinstance(feed, AnySymbolFeed)
    assert [one.kind for one in feed.instruments] == [InstrumentKind.SPOT]

    feed.subscribe("venue:OWN", "quotes")
    (quote, *_) = await ran(feed, context, *halves(4))

    assert (quote.bid, quote.ask) == (6.99, 7.01)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"faults": {"gap_every": 2}}, "settings.faults"),
        ({"instruments": [{"symbol": "A"}, {"symbol": "A"}]}, "settings.instruments[1].symbol"),
        ({"instruments": [{"symbol": "A", "tick": "1"}]}, "settings.instruments[0]"),
        ({"any_symbol": "perhaps"}, "settings.any_symbol"),
    ],
)
def test_settings_that_make_no_sense_here_are_refused(settings: dict[str, Any], key: str) -> None:
    section = {"settings": {"any_symbol": True, **settings}}
    with pytest.raises(ConfigError) as refusal:
        build(section, HandContext())
    assert refusal.value.key == key


def test_there_is_no_recording_of_it() -> None:
    assert build({"settings": {"any_symbol": True}}, HandContext()).recorded is None


# -- what is published ---------------------------------------------------------------------------


async def test_a_step_tells_what_is_subscribed_and_nothing_else() -> None:
    context = HandContext(now_ns=START_NS)
    feed = await found(context, X, "venue:Y")
    feed.subscribe(X, "quotes")
    feed.subscribe(X, "trades")
    feed.subscribe("venue:Y", "candles", "5m")

    events = await ran(feed, context, *halves(10))

    quotes = [event for event in events if isinstance(event, Quote)]
    trades = [event for event in events if isinstance(event, Trade)]
    candles = [event for event in events if isinstance(event, Candle)]
    assert [quote.time_ns for quote in quotes] == [START_NS, *halves(10)]
    assert [trade.time_ns for trade in trades] == halves(10)
    for quote, trade in zip(quotes[1:], trades, strict=True):
        assert quote.ask - trade.price == pytest.approx(trade.price - quote.bid)
    assert {candle.instrument for candle in candles} == {"venue:Y"}
    assert not any(candle.is_closed for candle in candles)
    assert candles[-1].time_ns == START_NS + 5 * SECOND_NS
    states = [event.state for event in context.published if isinstance(event, ConnectionChanged)]
    assert states == [ConnectionState.STREAMING, ConnectionState.CLOSED]
    assert context.clock.pending_count == 0


async def test_what_stands_is_told_at_once_to_whoever_subscribes_first() -> None:
    context = HandContext(now_ns=START_NS)
    feed = await found(context)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        await turn_loop()
        context.clock.advance_to(START_NS + 700_000_000)
        await turn_loop()
        for _ in range(2):
            feed.subscribe(X, "quotes")
            feed.subscribe(X, "candles", "1m")
            feed.subscribe(X, "trades")
        await turn_loop()
        tasks.cancel_scope.cancel()

    events = [event for event in context.published if not isinstance(event, ConnectionChanged)]
    assert [type(event) for event in events] == [Quote, Candle]
    assert {event.time_ns for event in events} == {START_NS + 500_000_000}


async def test_what_only_a_journal_knows_can_be_subscribed() -> None:
    """After a restart nobody asks for a definition that the journal has."""
    context = HandContext(now_ns=START_NS)
    feed = feed_of(context)
    feed.subscribe(X, "quotes")
    assert len(await ran(feed, context, *halves(2))) == 3


async def test_subscriptions_are_counted() -> None:
    context = HandContext(now_ns=START_NS)
    feed = await found(context)
    for _ in range(2):
        feed.subscribe(X, "quotes")
        feed.subscribe(X, "candles", "1m")
    assert feed.statistics()["subscriptions"] == 2

    for _ in range(2):
        feed.unsubscribe(X, "candles", "1m")
        feed.unsubscribe(X, "quotes")
    feed.unsubscribe(X, "quotes")
    feed.subscribe(X, "trades")
    feed.unsubscribe(X, "quotes")
    feed.unsubscribe(X, "trades")

    assert feed.statistics()["subscriptions"] == 0
    assert await ran(feed, context, *halves(3)) == []


async def test_what_the_market_does_not_have_is_refused() -> None:
    feed = await found(HandContext(now_ns=START_NS))
    with pytest.raises(UnknownInstrument):
        feed.subscribe("other:Y", "quotes")
    with pytest.raises(UnknownInstrument):
        await feed.history("other:Y", "1m", end_ns=0, limit=1)
    with pytest.raises(VenueError, match="no channel 'book'"):
        feed.subscribe(X, "book")
    for interval in ("", "x", "0m"):
        with pytest.raises(VenueError, match="no candles of"):
            feed.subscribe(X, "candles", interval)


async def test_closed_candles_come_first_and_are_those_of_the_history() -> None:
    context = HandContext(now_ns=START_NS)
    feed = await found(context, X, "venue:Y")
    for name in (X, "venue:Y"):
        feed.subscribe(name, "quotes")
        feed.subscribe(name, "candles", "1m")
        feed.subscribe(name, "candles", "2m")

    events = await ran(feed, context, *halves(720))

    end_ns = context.clock.now_ns
    for name in (X, "venue:Y"):
        for interval in ("1m", "2m"):
            closed = [
                event
                for event in events
                if isinstance(event, Candle)
                and event.is_closed
                and (event.instrument, event.interval) == (name, interval)
            ]
            history = await feed.history(name, interval, end_ns=end_ns, limit=len(closed))
            assert len(closed) == (6 if interval == "1m" else 3)
            assert [values(candle) for candle in closed] == [values(one) for one in history]
            assert [candle.close_ns for candle in closed] == [one.close_ns for one in history]
    at = next(i for i, event in enumerate(events) if isinstance(event, Candle) and event.is_closed)
    group = events[at : at + 10]
    assert [event.is_closed for event in group if isinstance(event, Candle)][:2] == [True, True]
    assert not any(isinstance(event, Quote) for event in group[:2])


@pytest.mark.parametrize("offset_ns", [0, 1, 499_999_999])
async def test_a_candle_closes_at_the_price_that_stood_then(offset_ns: int) -> None:
    """Whether a step falls on its close or not."""
    start_ns = START_NS // MINUTE_NS * MINUTE_NS + 58 * SECOND_NS + offset_ns
    context = HandContext(now_ns=start_ns)
    feed = await found(context)
    feed.subscribe(X, "quotes")
    feed.subscribe(X, "candles", "1m")

    events = await ran(feed, context, *halves(10, start_ns))

    closed = next(event for event in events if isinstance(event, Candle) and event.is_closed)
    quotes = [event for event in events if isinstance(event, Quote)]
    standing = [quote for quote in quotes if quote.time_ns <= closed.close_ns][-1]
    assert closed.close == pytest.approx((standing.bid + standing.ask) / 2)
    after = next(e for e in events if isinstance(e, Candle) and e.open_ns == closed.close_ns)
    assert after.open == closed.close


async def test_a_late_timer_makes_up_for_some_steps_and_leaves_many_out() -> None:
    context = HandContext(now_ns=START_NS)
    context.clock = clock = LateClock(START_NS)
    feed = await found(context)
    feed.subscribe(X, "quotes")
    feed.subscribe(X, "candles", "1m")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        await turn_loop()
        clock.jump(START_NS + 5 * SECOND_NS)
        await turn_loop()
        few = len([event for event in context.published if isinstance(event, Quote)])
        clock.jump(START_NS + 3_600 * SECOND_NS)
        await turn_loop()
        clock.jump(START_NS + 3_601 * SECOND_NS)
        await turn_loop()
        tasks.cancel_scope.cancel()

    assert few == 11
    quotes = [event for event in context.published if isinstance(event, Quote)]
    assert len(quotes) == 11 + 1 + 2
    closed = [e for e in context.published if isinstance(e, Candle) and e.is_closed]
    history = await feed.history(X, "1m", end_ns=context.clock.now_ns, limit=20)
    assert [values(candle) for candle in closed] == [values(candle) for candle in history]
    assert feed.statistics()["skipped"] == 7_200 - 10 - 1


async def test_a_step_that_finds_too_much_waiting_tells_of_closed_candles_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(any_symbol, "MOST_WAITING", 3)
    start_ns = START_NS // MINUTE_NS * MINUTE_NS + 55 * SECOND_NS
    context = HandContext(now_ns=start_ns)
    feed = await found(context)
    feed.subscribe(X, "quotes")
    feed.subscribe(X, "candles", "1m")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        await turn_loop()
        context.published.clear()
        for time_ns in halves(12, start_ns):
            context.clock.advance_to(time_ns)
        waiting = feed.statistics()["waiting"]
        await turn_loop()
        tasks.cancel_scope.cancel()

    assert waiting == 4 + 1
    assert [e.is_closed for e in context.published if isinstance(e, Candle)].count(True) == 1
    assert feed.statistics()["skipped"] == 2 * 12 - 4


async def test_at_most_256_events_are_published_per_loop_turn() -> None:
    context = HandContext(now_ns=START_NS)
    names = [f"venue:S{number}" for number in range(600)]
    feed = await found(context, *names)
    for name in names:
        feed.subscribe(name, "quotes")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        counts = []
        for _ in range(12):
            before = len(context.published)
            await anyio.lowlevel.checkpoint()
            counts.append(len(context.published) - before)
        tasks.cancel_scope.cancel()

    assert sum(counts) == 601
    assert max(counts) <= 257


async def test_a_second_run_goes_on_where_the_clock_is() -> None:
    context = HandContext(now_ns=START_NS)
    feed = await found(context)
    feed.subscribe(X, "quotes")
    await ran(feed, context, *halves(3))
    context.published.clear()
    context.clock.advance_to(START_NS + 10 * SECOND_NS)

    events = await ran(feed, context, START_NS + 11 * SECOND_NS)

    assert [event.time_ns for event in events] == [
        START_NS + 10 * SECOND_NS,
        START_NS + 10_500_000_000,
        START_NS + 11 * SECOND_NS,
    ]


# -- history -------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", TIMEFRAMES)
async def test_every_timeframe_is_aligned_whole_and_ends_with_the_price_of_now(
    interval: str,
) -> None:
    context = HandContext(now_ns=START_NS)
    feed = await found(context)
    feed.subscribe(X, "quotes")
    quotes = await ran(feed, context, *halves(200))
    now_ns, length_ns = context.clock.now_ns, interval_ns(interval) or 0

    closed = await feed.history(X, interval, end_ns=now_ns, limit=30)
    ending = await feed.history(X, interval, end_ns=now_ns + length_ns, limit=31)

    assert len(closed) == 30
    assert all(candle.is_closed for candle in closed)
    assert ending[:-1] == closed[-30:]
    assert [b.open_ns - a.open_ns for a, b in pairwise(ending)] == ([length_ns] * 30)
    shift_ns = 4 * DAY_NS if interval == "1w" else 0  # 5 January 1970 was a Monday
    assert {(candle.open_ns - shift_ns) % length_ns for candle in ending} == {0}
    last = ending[-1]
    assert not last.is_closed
    assert last.open_ns <= now_ns < last.close_ns
    assert last.close == pytest.approx((quotes[-1].bid + quotes[-1].ask) / 2)
    assert all(one.close == after.open for one, after in pairwise(ending))
    assert all(one.volume > 0 for one in closed)


PAIRS = [("1h", "1m"), ("30m", "10m"), ("10m", "2m"), ("1d", "4h"), ("1w", "1d"), ("12h", "30m")]


@pytest.mark.parametrize(("long", "short"), PAIRS)
async def test_a_long_candle_is_the_join_of_the_short_ones(long: str, short: str) -> None:
    """Live, before the start, around it, and years ago."""
    context = HandContext(now_ns=START_NS)
    feed = await found(context)
    await feed.history(X, long, end_ns=START_NS, limit=1)  # the market begins
    context.clock.advance_to(START_NS + 400 * DAY_NS)
    length_ns, part_ns = interval_ns(long) or 0, interval_ns(short) or 0
    for end_ns in (
        context.clock.now_ns,
        START_NS + length_ns,
        START_NS + length_ns // 2,
        START_NS - 3_000 * DAY_NS,
    ):
        wholes = await feed.history(X, long, end_ns=end_ns, limit=3)
        assert len(wholes) == 3
        ratio = length_ns // part_ns
        parts = await feed.history(X, short, end_ns=wholes[-1].close_ns, limit=3 * ratio)
        for number, whole in enumerate(wholes):
            inside = parts[number * ratio : (number + 1) * ratio]
            assert (inside[0].open_ns, inside[-1].close_ns) == (whole.open_ns, whole.close_ns)
            assert values(whole) == join(inside)


@settings(max_examples=40, deadline=None)
@given(st.integers(-(10**18) // SECOND_NS, 10**9), st.sampled_from(TIMEFRAMES), st.integers(0, 40))
async def test_history_ends_where_it_is_told_to(ago_s: int, interval: str, limit: int) -> None:
    context = HandContext(now_ns=START_NS)
    feed = await found(context)
    end_ns = START_NS - ago_s * SECOND_NS

    candles = await feed.history(X, interval, end_ns=end_ns, limit=limit)

    assert len(candles) == limit
    assert all(candle.close_ns <= end_ns for candle in candles)
    assert [one.open_ns for one in candles] == sorted({one.open_ns for one in candles})
    if candles and candles[-1].is_closed:
        assert candles[-1].close_ns > min(end_ns, START_NS) - (interval_ns(interval) or 0)


async def test_before_the_path_begins_there_is_no_history() -> None:
    feed = await found(HandContext(now_ns=START_NS))

    candles = await feed.history(X, "1w", end_ns=START_NS, limit=2_000)

    assert 1_700 < len(candles) < 1_800  # 34 years
    assert await feed.history(X, "1w", end_ns=candles[0].open_ns - 8 * DAY_NS, limit=3) == []


async def test_reading_history_lets_the_loop_run() -> None:
    feed = await found(HandContext(now_ns=START_NS))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        assert len(await feed.history(X, "1w", end_ns=START_NS, limit=500)) == 500
        tasks.cancel_scope.cancel()

    assert turns >= 500 // 64 - 1
