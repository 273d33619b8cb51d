from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mock.candles import Past, candles_of, joined
from adapters.mock.process import Grid, PriceProcess
from adapters.mock.settings import Market, decode_markets
from framework.model.decimals import multiply

MINUTE_NS = 60_000_000_000
SECOND_NS = 1_000_000_000
FIRST_BIDS = [9998, 9996, 9989, 9991, 9990]
FIRST_LOTS = [85, 99, 65, 47, 48]


def market_of(**process: Any) -> Market:
    section = {"settings": {"instruments": [{"symbol": "X", **process}]}}
    return decode_markets(section, "venue")[2][0]


def process_of(seed: int = 7, **process: Any) -> PriceProcess:
    return PriceProcess(market_of(**process), seed=seed, start_ns=0, step_ns=SECOND_NS)


@given(
    st.integers(0, 10**12),
    st.sampled_from(["0.01", "0.05", "0.25", "1", "10", "0.00000001", "0.1", "2.5", "1E+1"]),
)
def test_a_grid_value_is_the_float_nearest_to_its_decimal(count: int, step: str) -> None:
    nearest = float(multiply(Decimal(count), Decimal(step)))

    assert Grid(Decimal(step)).value(count) == nearest
    assert Grid(Decimal(step)).values(np.array([count])).tolist() == [nearest]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 2**64 - 1))
def test_steps_do_not_depend_on_how_many_are_taken_at_once(counts: list[int], seed: int) -> None:
    parts = process_of(seed)
    taken = [parts.take(count) for count in counts]
    whole = process_of(seed).take(sum(counts))

    for column, joined_column in zip(zip(*taken, strict=True), whole, strict=True):
        assert np.concatenate(column).tolist() == joined_column.tolist()


@given(st.integers(0, 2**32), st.floats(0, 20), st.floats(0, 2_000), st.floats(0.02, 1e9))
def test_quotes_never_cross_and_trades_happen_at_them(
    seed: int, volatility: float, spread_bps: float, price: float
) -> None:
    steps = process_of(seed, volatility=volatility, spread_bps=spread_bps, start_price=price).take(
        300
    )

    assert (steps.bid_ticks >= 1).all()
    assert (steps.ask_ticks > steps.bid_ticks).all()
    assert ((steps.trade_ticks == steps.ask_ticks) == steps.is_buyer).all()
    for lots in (steps.bid_lots, steps.ask_lots, steps.trade_lots):
        assert ((lots >= 1) & (lots <= 100)).all()


def test_the_walk_is_as_volatile_as_it_says() -> None:
    market = market_of(volatility=0.5, spread_bps=0, start_price=1e6)
    steps = PriceProcess(market, seed=1, start_ns=0, step_ns=MINUTE_NS).take(200_000)

    returns = np.diff(np.log(steps.bid_ticks.astype(np.float64)))

    assert returns.std() * (365 * 1_440) ** 0.5 == pytest.approx(0.5, rel=0.01)


def test_the_series_of_a_seed_is_fixed_for_ever() -> None:
    steps = process_of(7, start_price=100, volatility=2.0).take(5)

    assert steps.bid_ticks.tolist() == FIRST_BIDS
    assert steps.trade_lots.tolist() == FIRST_LOTS
    assert steps.time_ns.tolist() == [0, 10**9, 2 * 10**9, 3 * 10**9, 4 * 10**9]


def test_candles_hold_their_trades() -> None:
    market = market_of()
    steps = PriceProcess(market, seed=3, start_ns=0, step_ns=SECOND_NS).take(180)

    candles = candles_of(steps, market, interval="1m", length_ns=MINUTE_NS, per_candle=60)

    prices = Grid(market.tick).values(steps.trade_ticks).reshape(3, 60)
    assert [candle.open_ns for candle in candles] == [0, MINUTE_NS, 2 * MINUTE_NS]
    assert [candle.time_ns for candle in candles] == [MINUTE_NS, 2 * MINUTE_NS, 3 * MINUTE_NS]
    for candle, inside in zip(candles, prices, strict=True):
        assert (candle.open, candle.close) == (inside[0], inside[-1])
        assert (candle.high, candle.low) == (inside.max(), inside.min())


def test_joined_candles_span_their_parts() -> None:
    market = market_of()
    steps = PriceProcess(market, seed=3, start_ns=0, step_ns=SECOND_NS).take(300)
    minutes = candles_of(steps, market, interval="1m", length_ns=MINUTE_NS, per_candle=60)
    five = candles_of(steps, market, interval="5m", length_ns=5 * MINUTE_NS, per_candle=300)

    whole = joined(minutes, "5m")

    assert (whole.open, whole.high, whole.low, whole.close) == (
        five[0].open,
        five[0].high,
        five[0].low,
        five[0].close,
    )
    assert whole.volume == pytest.approx(five[0].volume)
    assert (whole.open_ns, whole.close_ns) == (0, 5 * MINUTE_NS)


def test_the_past_leads_up_to_the_start_price_however_it_is_asked_for() -> None:
    def past() -> Past:
        end_ns = 10**7 * MINUTE_NS
        return Past(
            market_of(start_price=100), seed=5, end_ns=end_ns, interval="1m", length_ns=MINUTE_NS
        )

    once, twice = past(), past()
    candles = once.newest(1_500)
    twice.newest(10)

    assert twice.newest(1_500) == candles
    assert once.newest(10) == candles[-10:]
    assert candles[-1].close_ns == 10**7 * MINUTE_NS
    assert candles[-1].close == pytest.approx(100, rel=0.01)
    for before, after in pairwise(candles):
        assert before.close_ns == after.open_ns
        assert after.open == pytest.approx(before.close, rel=0.01)
