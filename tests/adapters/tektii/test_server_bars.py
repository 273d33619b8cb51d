"""Bars by range, and bars joined from shorter ones, against what they mean by definition."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.tektii.server_bars import (
    DAY_NS,
    LENGTHS_NS,
    MINUTE_NS,
    MOST_REQUESTS,
    Bars,
    joined,
    opening_of,
    sources_of,
)
from adapters.tektii.words import TIMEFRAMES
from framework.errors import RateLimited, VenueError
from framework.model.desk import Principal
from framework.model.market_data import Candle
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import APPLE, OWNER, START_NS, FakeDesk

MONDAY_NS = 1_772_409_600_000_000_000  # 2026-03-02T00:00:00Z, a Monday


def candle(
    open_ns: int, interval: str = "1m", *, close: float = 2.0, volume: float = 1.0
) -> Candle:
    close_ns = open_ns + LENGTHS_NS[interval]
    return Candle(
        APPLE.id,
        close_ns,
        close_ns,
        interval,
        open_ns,
        close_ns,
        1.5,
        close + 1,
        0.5,
        close,
        volume,
    )


class PickyDesk(FakeDesk):
    """A desk whose venue has candles of some intervals only."""

    def __init__(self, *intervals: str, now_ns: int = START_NS) -> None:
        super().__init__(now_ns=now_ns)
        self.intervals = intervals

    async def candles(
        self, principal: Principal, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        if interval not in self.intervals:
            self.calls.append(("refused", principal, interval))
            raise VenueError(f"there are no candles of {interval!r}")
        assert limit > 0
        assert end_ns > 0
        return await super().candles(principal, instrument, interval, end_ns=end_ns, limit=limit)


# -- windows -----------------------------------------------------------------------------------


@given(
    st.sampled_from(TIMEFRAMES),
    st.integers(min_value=0, max_value=4_000_000_000_000_000_000),
)
def test_a_window_holds_its_instant_and_is_aligned(timeframe: str, time_ns: int) -> None:
    open_ns = opening_of(time_ns, timeframe)

    assert open_ns <= time_ns < open_ns + LENGTHS_NS[timeframe]
    shift_ns = 4 * DAY_NS if timeframe == "1w" else 0
    assert (open_ns - shift_ns) % LENGTHS_NS[timeframe] == 0


def test_a_week_begins_on_monday() -> None:
    assert opening_of(MONDAY_NS, "1w") == MONDAY_NS
    assert opening_of(MONDAY_NS + 7 * DAY_NS - 1, "1w") == MONDAY_NS
    assert opening_of(MONDAY_NS - 1, "1w") == MONDAY_NS - 7 * DAY_NS


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_a_timeframe_is_made_of_itself_or_of_what_divides_it(timeframe: str) -> None:
    sources = sources_of(timeframe)

    assert sources[-1] == "1m"
    assert all(LENGTHS_NS[timeframe] % LENGTHS_NS[one] == 0 for one in sources)
    assert sources[0] == ("1d" if timeframe == "1w" else timeframe)
    assert sources == sorted(sources, key=lambda one: -LENGTHS_NS[one])


# -- joining -----------------------------------------------------------------------------------


@given(
    st.sampled_from([one for one in TIMEFRAMES if one != "1m"]),
    st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=30_000),
            st.floats(min_value=0.5, max_value=1_000),
            st.floats(min_value=0, max_value=1_000),
        ),
        unique_by=lambda one: one[0],
        min_size=1,
        max_size=60,
    ),
)
def test_a_joined_bar_is_what_its_minutes_say(
    timeframe: str, minutes: list[tuple[int, float, float]]
) -> None:
    candles = [
        candle(MONDAY_NS + minute * MINUTE_NS, close=close, volume=volume)
        for minute, close, volume in sorted(minutes)
    ]

    bars = joined(candles, timeframe)

    assert [bar.open_ns for bar in bars] == sorted(
        {opening_of(one.open_ns, timeframe) for one in candles}
    )
    for bar in bars:
        parts = [one for one in candles if bar.open_ns <= one.open_ns < bar.close_ns]
        assert (bar.open, bar.close) == (parts[0].open, parts[-1].close)
        assert bar.high == max(one.high for one in parts)
        assert bar.low == min(one.low for one in parts)
        assert bar.volume == pytest.approx(sum(one.volume for one in parts))
        assert (bar.interval, bar.close_ns - bar.open_ns) == (timeframe, LENGTHS_NS[timeframe])
        assert bar.time_ns == bar.close_ns


# -- ranges ------------------------------------------------------------------------------------


def expected_bars(
    candles: list[Candle],
    timeframe: str,
    *,
    start_ns: int | None,
    end_ns: int | None,
    limit: int | None,
    now_ns: int,
) -> list[Candle]:
    """Return what 7.5 asks for, by looking at everything there is."""
    bars = [bar for bar in joined(candles, timeframe) if bar.close_ns <= now_ns]
    if start_ns is not None:
        bars = [bar for bar in bars if bar.open_ns >= start_ns]
    if end_ns is not None:
        bars = [bar for bar in bars if bar.open_ns <= end_ns]
    if start_ns is not None:
        return bars[: 10_000 if limit is None else limit]
    count = 100 if limit is None else limit
    return bars[-count:] if count else []


SPAN = 3_000  # minutes


@settings(max_examples=80, deadline=None)
@given(
    timeframe=st.sampled_from(("1m", "2m", "5m", "15m", "1h", "2h", "12h", "1d")),
    intervals=st.sampled_from((("1m",), ("1m", "5m", "1h"), tuple(TIMEFRAMES))),
    holes=st.lists(
        st.tuples(st.integers(0, SPAN), st.integers(1, 1_500)), max_size=4
    ),  # (first minute, minutes)
    start=st.none() | st.integers(-SPAN, 2 * SPAN),
    end=st.none() | st.integers(-SPAN, 2 * SPAN),
    limit=st.none() | st.integers(0, 40),
    second=st.integers(0, 59),
)
def test_a_range_holds_what_it_should(
    timeframe: str,
    intervals: tuple[str, ...],
    holes: list[tuple[int, int]],
    start: int | None,
    end: int | None,
    limit: int | None,
    second: int,
) -> None:
    begin_ns = MONDAY_NS
    minutes = [
        candle(begin_ns + minute * MINUTE_NS, close=1.0 + minute, volume=1.0)
        for minute in range(SPAN)
        if not any(first <= minute < first + count for first, count in holes)
    ]
    now_ns = begin_ns + SPAN * MINUTE_NS + second * 1_000_000_000
    desk = PickyDesk(*intervals, now_ns=now_ns)
    for interval in intervals:
        whole = minutes if interval == "1m" else joined(minutes, interval)
        desk.add_candles(one for one in whole if one.close_ns <= now_ns)
    at = {
        "start_ns": None if start is None else begin_ns + start * MINUTE_NS + second,
        "end_ns": None if end is None else begin_ns + end * MINUTE_NS + second,
        "limit": limit,
    }

    async def scenario() -> None:
        found = await Bars(desk).read(OWNER, APPLE.id, timeframe, **at)

        expected = expected_bars(minutes, timeframe, **at, now_ns=now_ns)
        assert [(bar.open_ns, bar.open, bar.high, bar.low, bar.close) for bar in found] == [
            (bar.open_ns, bar.open, bar.high, bar.low, bar.close) for bar in expected
        ]
        assert [bar.volume for bar in found] == pytest.approx([one.volume for one in expected])

    run_simulated(scenario)


def test_weeks_are_joined_from_days_that_begin_on_monday() -> None:
    now_ns = MONDAY_NS + 28 * DAY_NS + DAY_NS
    desk = PickyDesk("1d", "1w", now_ns=now_ns)
    desk.add_candles(candle(MONDAY_NS + day * DAY_NS, "1d", close=day + 1.0) for day in range(29))

    async def scenario() -> None:
        bars = await Bars(desk).read(OWNER, APPLE.id, "1w")

        assert [bar.open_ns for bar in bars] == [MONDAY_NS + 7 * week * DAY_NS for week in range(4)]
        assert [bar.close for bar in bars] == [7.0, 14.0, 21.0, 28.0]
        assert {bar.volume for bar in bars} == {7.0}

    run_simulated(scenario)


def test_weeks_are_joined_from_minutes_where_there_is_nothing_else() -> None:
    now_ns = MONDAY_NS + 21 * DAY_NS
    desk = PickyDesk("1m", now_ns=now_ns)
    desk.add_candles(candle(MONDAY_NS + minute * MINUTE_NS) for minute in range(3 * 7 * 1_440))

    async def scenario() -> None:
        bars = await Bars(desk).read(OWNER, APPLE.id, "1w", limit=2)

        assert [bar.open_ns for bar in bars] == [MONDAY_NS + 7 * week * DAY_NS for week in (1, 2)]
        assert [bar.volume for bar in bars] == [10_080.0, 10_080.0]

    run_simulated(scenario)


def test_the_first_bars_after_half_a_century_of_nothing_are_found_in_few_requests() -> None:
    desk = PickyDesk("1m", now_ns=MONDAY_NS + DAY_NS)
    desk.add_candles(candle(MONDAY_NS + minute * MINUTE_NS) for minute in range(500))

    async def scenario() -> None:
        bars = await Bars(desk).read(OWNER, APPLE.id, "1m", start_ns=-(10**19), limit=3)

        assert [bar.open_ns for bar in bars] == [MONDAY_NS + n * MINUTE_NS for n in range(3)]
        assert len(desk.called("candles")) < 60

    run_simulated(scenario)


def test_one_answer_asks_a_venue_so_often_and_no_more() -> None:
    """A sparse series costs a search per bar: what was found by then is the answer."""
    desk = PickyDesk("1m", now_ns=MONDAY_NS + 3_000 * DAY_NS)
    desk.add_candles(candle(MONDAY_NS + 30 * day * DAY_NS) for day in range(100))

    async def scenario() -> None:
        bars = await Bars(desk).read(OWNER, APPLE.id, "1m", start_ns=MONDAY_NS)

        assert len(desk.called("candles")) == MOST_REQUESTS
        assert 0 < len(bars) < 100
        assert [bar.open_ns for bar in bars] == [
            MONDAY_NS + 30 * day * DAY_NS for day in range(len(bars))
        ]

    run_simulated(scenario)


def test_ten_thousand_bars_are_the_most_and_a_hundred_the_rule() -> None:
    desk = PickyDesk("1m", now_ns=MONDAY_NS + 12_000 * MINUTE_NS)
    desk.add_candles(candle(MONDAY_NS + minute * MINUTE_NS) for minute in range(12_000))

    async def scenario() -> None:
        bars = Bars(desk)

        whole = await bars.read(OWNER, APPLE.id, "1m", start_ns=MONDAY_NS)
        latest = await bars.read(OWNER, APPLE.id, "1m")
        capped = await bars.read(OWNER, APPLE.id, "1m", limit=50_000)

        assert (len(whole), whole[0].open_ns) == (10_000, MONDAY_NS)
        assert (len(latest), latest[-1].close_ns) == (100, desk.clock.now_ns)
        assert (len(capped), capped[-1].close_ns) == (10_000, desk.clock.now_ns)

    run_simulated(scenario)


def test_the_interval_that_did_is_remembered_per_instrument() -> None:
    desk = PickyDesk("1m", now_ns=MONDAY_NS + 60 * MINUTE_NS)
    desk.add_candles(candle(MONDAY_NS + minute * MINUTE_NS) for minute in range(60))

    async def scenario() -> None:
        bars = Bars(desk)
        await bars.read(OWNER, APPLE.id, "10m")
        assert desk.called("refused") == ["10m", "5m", "2m"]

        again = await bars.read(OWNER, APPLE.id, "10m")

        assert len(again) == 6
        assert len(desk.called("refused")) == 3

    run_simulated(scenario)


def test_memory_of_intervals_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.tektii.server_bars.REMEMBERED", 1)
    desk = PickyDesk("1m", now_ns=MONDAY_NS + 60 * MINUTE_NS)
    desk.add_candles(candle(MONDAY_NS + minute * MINUTE_NS) for minute in range(60))

    async def scenario() -> None:
        bars = Bars(desk)
        for timeframe in ("2m", "5m"):
            assert await bars.read(OWNER, APPLE.id, timeframe)
        assert len(bars._sources) == 1

    run_simulated(scenario)


def test_a_longer_one_that_has_nothing_yet_is_joined_from_a_shorter_one_that_has() -> None:
    """Recorded data: only what has passed by can be shown."""
    desk = FakeDesk(now_ns=MONDAY_NS + 60 * MINUTE_NS)
    desk.add_candles(candle(MONDAY_NS + minute * MINUTE_NS) for minute in range(60))

    async def scenario() -> None:
        assert len(await Bars(desk).read(OWNER, APPLE.id, "15m")) == 4

    run_simulated(scenario)


def test_what_is_not_about_the_interval_is_passed_on_at_once() -> None:
    desk = FakeDesk()
    desk.fail("candles", RateLimited("mock", 2.0))

    async def scenario() -> None:
        with pytest.raises(RateLimited):
            await Bars(desk).read(OWNER, APPLE.id, "15m")
        assert len(desk.called("candles")) == 1

    run_simulated(scenario)


def test_a_venue_without_any_candles_is_quoted() -> None:
    async def scenario() -> None:
        with pytest.raises(VenueError, match="no candles of '15m'"):
            await Bars(PickyDesk()).read(OWNER, APPLE.id, "15m")

    run_simulated(scenario)


def test_a_venue_that_overlaps_its_candles_ends_the_search() -> None:
    """More candles in a window than fit there: they are joined, and nothing goes on for ever."""
    desk = PickyDesk("1m", now_ns=MONDAY_NS + 10 * MINUTE_NS)
    desk.add_candles([candle(MONDAY_NS)] * 50)

    async def scenario() -> None:
        bars = await Bars(desk).read(OWNER, APPLE.id, "5m", limit=3)

        assert [bar.open_ns for bar in bars] == [MONDAY_NS]

    run_simulated(scenario)


def test_after_the_last_bar_nothing_is_looked_for_for_long() -> None:
    desk = PickyDesk("1m", now_ns=MONDAY_NS + 30 * DAY_NS)
    desk.add_candles(candle(MONDAY_NS + minute * MINUTE_NS) for minute in range(3))

    async def scenario() -> None:
        start_ns = MONDAY_NS + 2 * MINUTE_NS

        bars = await Bars(desk).read(OWNER, APPLE.id, "1m", start_ns=start_ns, limit=5)

        assert [bar.open_ns for bar in bars] == [start_ns]
        assert len(desk.called("candles")) < 30

    run_simulated(scenario)
