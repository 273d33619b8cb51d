from math import sqrt
from statistics import pstdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.indicators import ATR, Bollinger, ZScore, batch
from framework.indicators.volatility import RollingMoments
from tests.framework.indicators.series import as_array, jumping_prices

prices = st.lists(st.floats(0.01, 1e5), max_size=60)
periods = st.integers(2, 12)
candles = st.lists(st.lists(st.floats(0.01, 1e5), min_size=3, max_size=3).map(sorted), max_size=60)


@given(candles, st.integers(1, 10))
def test_the_streaming_and_the_batch_atr_agree(rows: list[list[float]], period: int) -> None:
    atr = ATR(period)
    lows, closes, highs = ([row[n] for row in rows] for n in range(3))

    streamed = as_array([atr.update(*row) for row in zip(highs, lows, closes, strict=True)])

    twin = batch.atr(highs, lows, closes, period)
    np.testing.assert_allclose(streamed, twin, rtol=1e-9, atol=1e-9)


def test_the_true_range_covers_the_gap_from_the_last_close() -> None:
    atr = ATR(1)

    assert atr.update(11.0, 10.0, 10.5) == 1.0
    assert atr.update(14.0, 13.0, 13.5) == 3.5  # up from 10.5
    assert atr.update(9.0, 8.0, 8.5) == 5.5  # down from 13.5
    assert atr.value == 5.5


@given(prices, periods)
def test_the_streaming_and_the_batch_bands_agree(values: list[float], period: int) -> None:
    bands = Bollinger(period, 2.5)
    streamed = [bands.update(value) for value in values]

    twins = batch.bollinger(values, period, 2.5)

    slack = 1e-8 * max(values, default=0.0)
    for name, twin in zip(("lower", "middle", "upper"), twins, strict=True):
        column = as_array([None if value is None else getattr(value, name) for value in streamed])
        np.testing.assert_allclose(column, twin, rtol=1e-9, atol=slack)


@given(st.lists(st.integers(1, 10_000), max_size=60), periods)
def test_the_streaming_and_the_batch_zscore_agree(ticks: list[int], period: int) -> None:
    values = [tick * 0.01 for tick in ticks]
    zscore = ZScore(period)

    streamed = as_array([zscore.update(value) for value in values])

    np.testing.assert_allclose(streamed, batch.zscore(values, period), rtol=1e-9, atol=1e-9)
    known = streamed[period - 1 :]
    assert np.all(np.abs(known) <= sqrt(period - 1) + 1e-9)  # Samuelson's bound


@given(st.floats(-1e9, 1e9), periods)
def test_a_constant_window_has_no_deviation_and_a_zscore_of_zero(value: float, period: int) -> None:
    moments, zscore = RollingMoments(period), ZScore(period)

    deviations = [moments.update(value) for _ in range(3 * period)]
    scores = [zscore.update(value) for _ in range(3 * period)]

    assert deviations[period - 1 :] == [0.0] * (2 * period + 1)
    assert scores[period - 1 :] == [0.0] * (2 * period + 1)


@pytest.mark.parametrize(("period", "step"), [(2, 11), (20, 13), (200, 211)])
def test_large_jumps_leave_no_trace_in_the_deviation(period: int, step: int) -> None:
    values = jumping_prices(100_000)
    moments = RollingMoments(period)

    for index, value in enumerate(values):
        deviation = moments.update(value)
        if deviation is None or index % step:
            continue
        window = np.array(values[index - period + 1 : index + 1])
        assert deviation == pytest.approx(float(window.std()), rel=1e-9)
        assert moments.mean == pytest.approx(float(window.mean()), rel=1e-9)


def test_the_bands_are_width_deviations_apart() -> None:
    bands = Bollinger(4, 2.0)
    for value in (1.0, 2.0, 4.0, 8.0):
        newest = bands.update(value)

    assert newest is not None
    assert newest.middle == pytest.approx(3.75)
    assert newest.upper - newest.middle == pytest.approx(2 * pstdev([1.0, 2.0, 4.0, 8.0]))
    assert bands.value == newest


def test_a_deviation_needs_two_values() -> None:
    with pytest.raises(ValueError, match="period must be at least 2, not 1"):
        ZScore(1)
