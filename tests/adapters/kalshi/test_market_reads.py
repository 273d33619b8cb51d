"""Definitions and past candles, read from the simulated venue."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.kalshi import market_reads
from adapters.kalshi.market_reads import instrument_of
from adapters.kalshi.messages import PriceRange as Step
from adapters.kalshi.order_words import dollars
from adapters.kalshi.rest_values import Market, NewOrder, OrderAnswer
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.domain import EventInfo, MarketCandle
from framework.errors import OffGrid, VenueError
from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.market_data import Candle
from tests.adapters.kalshi.rest_stage import (
    CENTS,
    TAPERED,
    TENTHS,
    TICKERS,
    Stage,
    exchange_settings,
    on_stage,
    pass_time,
)
from tests.adapters.kalshi.scripted_rest import Rig, run
from tests.adapters.kalshi.simulated.rest_rig import START_NS, market
from tests.broker.rig import START_NS as SCRIPT_NS

MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS
PAST_MINUTES = 2_000
CENT, TENTH = Decimal("0.01"), Decimal("0.001")
profiles = pytest.mark.parametrize("profile", Profile)


async def candles_of(one: Stage, interval: str, **request: int) -> list[Candle]:
    asked = {"end_ns": one.context.clock.now_ns, "limit": 10} | request
    return await one.market.candles(CENTS, "x:A", interval, **asked)


def with_past(ask: Callable[[Stage], Any], **options: Any) -> Any:
    """Ask a venue that has candles from before the start."""
    return on_stage(ask, exchange=exchange_settings(past_minutes=PAST_MINUTES), **options)


def known(one: Stage, period: int) -> dict[int, MarketCandle]:
    """Return what the venue has, by the end in nanoseconds."""
    candles = one.exchange.data.candles(CENTS, period, 0, START_NS)
    return {candle.end_s * 10**9: candle for candle in candles}


@pytest.mark.parametrize(("interval", "minutes"), [("1m", 1), ("1h", 60), ("1d", 1_440)])
@profiles
def test_candles_are_those_of_the_venue(interval: str, minutes: int, profile: Profile) -> None:
    """10.2: a candle's end is where the next one begins; only closed ones, oldest first."""

    async def scene(one: Stage) -> None:
        candles = await candles_of(one, interval, limit=10_000)

        length_ns, now_ns = minutes * MINUTE_NS, one.context.clock.now_ns
        closes = [candle.close_ns for candle in candles]
        assert closes[-1] == now_ns // length_ns * length_ns
        assert closes == list(range(closes[0], closes[-1] + 1, length_ns))
        assert {candle.close_ns - candle.open_ns for candle in candles} == {length_ns}
        assert {candle.interval for candle in candles} == {interval}
        theirs = known(one, minutes)
        assert closes[0] <= min(theirs)
        for candle in candles:
            told = theirs.get(candle.close_ns)
            if told is None:
                assert candle.volume == 0
                assert candle.open == candle.high == candle.low == candle.close
            else:
                assert told.price is not None
                line = (candle.open, candle.high, candle.low, candle.close)
                prices = told.price
                assert line == tuple(
                    price / 10_000 for price in (prices.open, prices.high, prices.low, prices.close)
                )
                assert candle.volume == told.volume / 100

    with_past(scene, profile=profile)


def test_quiet_minutes_are_flat_at_the_price_before() -> None:
    async def scene(one: Stage) -> None:
        candles = await candles_of(one, "1m", limit=500)

        theirs = known(one, 1)
        quiet = [n for n, candle in enumerate(candles) if candle.close_ns not in theirs]
        assert 20 < len(quiet) < 100
        assert all(candles[n].close == candles[n - 1].close for n in quiet if n)

    with_past(scene)


def test_several_answers_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fits into one answer, no candle is missing or there twice."""

    async def scene(one: Stage) -> list[Candle]:
        return await candles_of(one, "1m", limit=100)

    async def in_pieces(one: Stage) -> list[Candle]:
        candles = await scene(one)
        queries = one.asked("GET", "/candlesticks")
        assert len(queries) == 15
        assert len(set(queries)) == 15
        return candles

    whole = with_past(scene)
    monkeypatch.setattr(market_reads, "MOST_CANDLES", 7)

    assert len(whole) == 100
    assert with_past(in_pieces) == whole


def test_candles_end_when_asked_to() -> None:
    """`close_ns <= end_ns`, and none that is not over."""

    async def scene(one: Stage) -> None:
        whole_ns = one.context.clock.now_ns // HOUR_NS * HOUR_NS
        for end_ns, last_ns in (
            (whole_ns, whole_ns),
            (whole_ns - 1, whole_ns - HOUR_NS),
            (whole_ns + 100 * HOUR_NS, whole_ns),
        ):
            candles = await candles_of(one, "1h", end_ns=end_ns, limit=3)
            assert [last_ns - candle.close_ns for candle in candles] == [2 * HOUR_NS, HOUR_NS, 0]
        assert await candles_of(one, "1h", limit=0) == []
        assert await candles_of(one, "1h", end_ns=0) == []

    with_past(scene)


def test_there_is_nothing_before_the_first_trade() -> None:
    """Quotes alone make no candle of ours; after the last trade its price stays."""

    async def scene(one: Stage) -> list[tuple[float, float]]:
        await one.buy("c-1", 40)
        await pass_time(60)
        assert await candles_of(one, "1m") == []
        one.meet(40, is_bid=False)
        await pass_time(180)
        candles = await candles_of(one, "1m")
        return [(candle.close, candle.volume) for candle in candles]

    assert on_stage(scene) == [(0.4, 10.0), (0.4, 0.0), (0.4, 0.0)]


def test_an_interval_that_the_venue_lacks_is_an_error() -> None:
    async def scene(one: Stage) -> None:
        with pytest.raises(VenueError, match="1m, 1h, 1d, not '5m'"):
            await candles_of(one, "5m")

    on_stage(scene)


def flat(end_s: int, previous: str | None, close: str | None = None) -> dict[str, Any]:
    names = ("open_dollars", "high_dollars", "low_dollars", "close_dollars")
    price = dict.fromkeys(names, close) | {"previous_dollars": previous}
    return {"end_period_ts": end_s, "price": price, "volume_fp": "1.00"}


def scripted(bodies: list[dict[str, Any]], interval: str = "1m", limit: int = 4) -> list[Candle]:
    """Return what is made of these candles, the clock being at the hour."""

    async def scene(rig: Rig) -> list[Candle]:
        markets = [{"market_ticker": "K", "candlesticks": bodies}]
        rig.server.on("GET /markets/candlesticks", {"markets": markets})
        reads = market_reads.MarketReads(rig.rest, rig.context.clock)
        end_ns = HOUR_END_S * 10**9
        return await reads.candles("K", "x:K", interval, end_ns=end_ns, limit=limit)

    return run(scene)


HOUR_END_S = SCRIPT_NS // HOUR_NS * 3_600


def test_an_inclusive_end_may_be_the_last_second_or_the_next_one() -> None:
    """10.2 does not say which; both are the same candle."""
    exact = scripted([flat(HOUR_END_S - 60, None, "0.3"), flat(HOUR_END_S, "0.3", "0.4")])
    before = scripted([flat(HOUR_END_S - 61, None, "0.3"), flat(HOUR_END_S - 1, "0.3", "0.4")])

    assert exact == before
    closes = [(candle.close_ns // 10**9 - HOUR_END_S, candle.close) for candle in exact]
    assert closes == [(-60, 0.3), (0, 0.4)]


def test_what_traded_before_is_the_price_of_the_quiet_minutes_at_the_beginning() -> None:
    candles = scripted([flat(HOUR_END_S, "0.4", "0.5"), flat(HOUR_END_S - 60, "0.4")])

    assert [candle.close for candle in candles] == [0.4, 0.4, 0.4, 0.5]


def test_a_market_without_candles_has_none() -> None:
    async def scene(rig: Rig) -> list[Candle]:
        rig.server.on("GET /markets/candlesticks", {"markets": None})
        reads = market_reads.MarketReads(rig.rest, rig.context.clock)
        return await reads.candles("K", "x:K", "1m", end_ns=SCRIPT_NS, limit=4)

    assert run(scene) == []
    assert scripted([]) == []


def test_days_that_are_not_days_of_utc_are_an_error() -> None:
    """They would be in no place of ours, and missed in silence."""
    with pytest.raises(VenueError, match="1d end at other times"):
        scripted([flat(HOUR_END_S // 86_400 * 86_400 + 4 * 3_600, None, "0.4")], "1d")


@profiles
def test_markets_are_read_and_the_unknown_are_missing(profile: Profile) -> None:
    async def scene(one: Stage) -> None:
        found = await one.market.markets([*TICKERS, "NOTHING"])
        assert sorted(each.ticker for each in found) == sorted(TICKERS)
        assert await one.market.markets([]) == []

    on_stage(scene, profile=profile)


def test_many_markets_are_read_in_several_questions() -> None:
    """Section 10.2: 100 at once."""
    names = [f"KX-{number}" for number in range(250)]
    settings = exchange_settings()
    event = EventInfo(event_ticker="KXRAIN-26FEB02", series_ticker="KXRAIN")
    settings = msgspec.structs.replace(
        settings,
        events=(*settings.events, event),
        markets=tuple(market(name) for name in names),
    )

    async def scene(one: Stage) -> None:
        found = await one.market.markets(names)
        assert [each.ticker for each in found] == names
        assert len(one.asked("GET", "/markets")) == 3

    on_stage(scene, exchange=settings)


SOME_PRICES = (1, 10, 15, 150, 155, 1_000, 1_010, 5_000, 5_050, 9_000, 9_050, 9_990, 9_995)


def bid(ticker: str, price: int) -> NewOrder:
    name = f"{ticker} {price}"
    return NewOrder(ticker=ticker, client_order_id=name, is_bid=True, count=100, price=price)


def is_on_grid(instrument: Instrument, price: int) -> bool:
    try:
        instrument.price(dollars(price))
    except OffGrid:
        return False
    return True


@profiles
def test_every_grid_of_the_venue(profile: Profile) -> None:
    """K65, 7.4: prices at which the venue takes orders are ours, and no others."""

    async def scene(one: Stage) -> None:
        for ticker, ranges, lot in (
            (CENTS, (PriceRange(Decimal(0), CENT),), Decimal(1)),
            (
                TAPERED,
                (
                    PriceRange(Decimal(0), TENTH),
                    PriceRange(Decimal("0.1"), CENT),
                    PriceRange(Decimal("0.9"), TENTH),
                ),
                Decimal(1),
            ),
            (TENTHS, (PriceRange(Decimal(0), TENTH),), CENT),
        ):
            found = instrument_of((await one.market.markets([ticker]))[0], "x")
            theirs = one.exchange.data.market(ticker)
            assert (found.id, found.kind) == (f"x:{ticker}", InstrumentKind.BINARY)
            assert (found.ranges, found.lot) == (ranges, lot)
            assert found.expiry_ns == theirs.close_ns
            assert found.minimum_price == ranges[0].tick
            assert found.maximum_price == 1 - ranges[-1].tick
            answers = await one.rest.create_orders([bid(ticker, price) for price in SOME_PRICES])
            taken = [isinstance(answer, OrderAnswer) for answer in answers]
            assert taken == [is_on_grid(found, price) for price in SOME_PRICES]
            assert True in taken
            assert False in taken

    on_stage(scene, profile=profile)


def test_a_market_that_names_no_grid_has_prices_in_cents() -> None:
    found = instrument_of(Market("K"), "x")

    assert found.ranges == (PriceRange(Decimal(0), CENT),)
    assert (found.minimum_price, found.maximum_price) == (CENT, Decimal("0.99"))
    assert found.expiry_ns is None


def test_ranges_may_come_in_any_order_and_repeat_a_step() -> None:
    steps = (Step(9_000, 10_000, 100), Step(100, 5_000, 10), Step(5_000, 9_000, 10))

    found = instrument_of(Market("K", price_ranges=steps), "x")

    assert found.ranges == (PriceRange(CENT, TENTH), PriceRange(Decimal("0.9"), CENT))
    assert (found.minimum_price, found.maximum_price) == (CENT, Decimal("0.99"))
