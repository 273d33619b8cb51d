"""S8: what the public reads agrees with the book, the tape and the clock."""

import pytest

from adapters.kalshi.simulated.domain import CandlePrices, Refusal, TickerState
from adapters.kalshi.simulated.emitted import TickerChanged
from tests.adapters.kalshi.simulated.exchange_rig import BOS, EVENT, NYC, SECOND_NS, START_NS, Rig

DAY_S = 86_400
START_S = START_NS // SECOND_NS


def trade(rig: Rig, price: int, contracts: int = 1) -> None:
    """Let `ben` sell to `ann`."""
    rig.sell("ben", price, contracts)
    rig.buy("ann", price, contracts)


def test_a_new_market_quotes_nothing() -> None:
    rig = Rig()

    ticker = rig.exchange.data.ticker(BOS)

    assert (ticker.yes_bid, ticker.yes_ask, ticker.price) == (0, 10_000, 0)


def test_the_ticker_tells_best_prices_and_sums() -> None:
    rig = Rig()
    rig.buy("ann", 36, 55)
    rig.sell("ben", 39, 120)
    rig.buy("cy", 39, 4)

    ticker = rig.exchange.data.ticker(BOS)

    assert ticker == TickerState(
        market_ticker=BOS,
        market_id=rig.exchange.data.market(BOS).market_id,
        price=3_900,
        yes_bid=3_600,
        yes_ask=3_900,
        yes_bid_size=5_500,
        yes_ask_size=11_600,
        last_trade_size=400,
        volume=400,
        open_interest=400,
        dollar_volume=1,
        dollar_open_interest=1,
        time_ns=START_NS,
    )


def test_the_ticker_is_told_only_when_it_changed() -> None:
    rig = Rig()
    rig.buy("ann", 36, 5)
    rig.buy("ann", 35, 5)
    rig.buy("ann", 36, 1)

    assert [event.ticker.yes_bid_size for event in rig.of(TickerChanged)] == [500, 600]


def test_a_book_can_be_cut_to_its_best_levels() -> None:
    rig = Rig()
    for price in (30, 32, 31):
        rig.buy("ann", price, 1)

    book = rig.exchange.data.book(BOS, depth=2)

    assert book.yes == ((3_100, 100), (3_200, 100))
    assert rig.exchange.data.level(BOS, "yes", 3_000) == 100
    assert rig.exchange.data.level(BOS, "no", 3_000) == 0


def test_trades_come_newest_first_and_within_both_bounds() -> None:
    rig = Rig()
    for price in (40, 41, 42):
        trade(rig, price)
        rig.advance(1)
    rig.sell("ben", 50, 1, ticker=NYC)
    rig.buy("ann", 50, 1, ticker=NYC)
    trades = rig.exchange.data.trades

    assert [t.yes_price for t in trades()] == [5_000, 4_200, 4_100, 4_000]
    assert [t.yes_price for t in trades(BOS)] == [4_200, 4_100, 4_000]
    within = trades(BOS, min_ns=START_NS + SECOND_NS, max_ns=START_NS + SECOND_NS)
    assert [t.yes_price for t in within] == [4_100]


def test_the_tape_keeps_the_newest_trades() -> None:
    rig = Rig(trades_kept=2)
    for price in (40, 41, 42):
        trade(rig, price)

    assert [t.yes_price for t in rig.exchange.data.trades(BOS)] == [4_200, 4_100]


def test_a_minute_makes_a_candle() -> None:
    rig = Rig()
    trade(rig, 40, 1)
    rig.advance(60)
    for price, contracts in ((42, 3), (41, 1), (45, 1), (44, 1)):
        trade(rig, price, contracts)
    rig.buy("ann", 30, 1)

    candles = rig.exchange.data.candles(BOS, 1, START_S, START_S + 600)

    end_s = (START_S // 60 + 1) * 60
    assert [candle.end_s for candle in candles] == [end_s, end_s + 60]
    last = candles[-1]
    assert last.price == CandlePrices(open=4_200, high=4_500, low=4_100, close=4_400)
    assert (last.previous, last.mean, last.volume) == (4_000, 4_266, 600)
    assert last.open_interest == 700
    assert last.yes_bid == CandlePrices(open=0, high=3_000, low=0, close=3_000)
    assert last.yes_ask == CandlePrices(open=10_000, high=10_000, low=4_100, close=10_000)


def test_a_quiet_minute_has_no_candle_and_one_without_a_trade_no_price() -> None:
    rig = Rig()
    trade(rig, 40)
    rig.advance(300)
    rig.buy("ann", 30, 1)

    candles = rig.exchange.data.candles(BOS, 1, START_S, START_S + 600)

    assert len(candles) == 2
    assert (candles[1].price, candles[1].mean, candles[1].previous) == (None, None, 4_000)


def test_hours_and_days_are_made_of_minutes() -> None:
    rig = Rig()
    prices = {0: 40, 50: 60, 70: 30, 26 * 60: 50, 28 * 60: 45, 28 * 60 + 2: 55}
    minute = 0
    for at_minute, price in prices.items():
        rig.advance((at_minute - minute) * 60)
        minute = at_minute
        trade(rig, price, 2)
    read = rig.exchange.data.candles
    until_s = START_S + 3 * DAY_S

    hours, days = read(BOS, 60, 0, until_s), read(BOS, 1_440, 0, until_s)

    assert all(candle.end_s % 3_600 == 0 for candle in hours)
    assert all(candle.end_s % DAY_S == 0 for candle in days)
    for candles in (hours, days):
        ends = [candle.end_s for candle in candles]
        assert ends == sorted(set(ends))
        assert sum(candle.volume for candle in candles) == 1_200
        assert next(c.price.open for c in candles if c.price) == 4_000
        assert [c.price.close for c in candles if c.price][-1] == 5_500
    assert [c.price.open for c in days if c.price][-1] == 5_000
    assert max(c.price.high for c in days if c.price) == 6_000
    assert min(c.price.low for c in days if c.price) == 3_000
    with pytest.raises(Refusal, match="no candles of 5 minutes"):
        read(BOS, 5, 0, until_s)


def test_a_day_ago_is_known_to_the_hour() -> None:
    rig = Rig()
    data = rig.exchange.data
    trade(rig, 40, 2)
    rig.buy("ann", 30, 1)
    assert data.previous_ticker(BOS).price == 0

    rig.advance(26 * 3_600)
    trade(rig, 50, 1)

    before = data.previous_ticker(BOS)
    assert (before.price, before.yes_bid, before.yes_ask) == (4_000, 3_000, 10_000)
    assert data.volume_24h(BOS) == 100


def test_a_quote_only_day_ago_names_the_trade_before() -> None:
    rig = Rig()
    trade(rig, 40)
    rig.advance(2 * 3_600)
    rig.buy("ann", 30, 1)
    rig.advance(26 * 3_600)

    assert rig.exchange.data.previous_ticker(BOS).price == 4_000


def test_events_and_series_can_be_read() -> None:
    rig = Rig()
    data = rig.exchange.data

    assert [market.ticker for market in data.markets_of(EVENT)] == [BOS, NYC]
    assert data.event(EVENT).series_ticker == "KXRAIN"
    assert data.all_series() == [data.series("KXRAIN")]
    assert data.has_market(BOS)
    assert not data.has_market("KXNONE")
    for read in (data.event, data.series, data.market, data.ticker, data.markets_of):
        with pytest.raises(Refusal) as refused:
            read("KXNONE")
        assert refused.value.status == 404


def test_a_portfolio_is_valued_at_the_last_price() -> None:
    rig = Rig()
    trade(rig, 40, 10)
    trade(rig, 50, 1)

    assert rig.exchange.portfolio.balance("ann").portfolio_value == 11 * 50 * 10_000
    assert rig.exchange.portfolio.balance("ben").portfolio_value == 11 * 50 * 10_000
    assert [position.ticker for position in rig.exchange.portfolio.positions("ann")] == [BOS]
