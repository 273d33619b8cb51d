from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.indicators import EMA, SMA, WMA, Indicator, batch
from framework.indicators.batch import Floats
from tests.framework.indicators.series import as_array, jumping_prices

periods = st.integers(1, 12)
series = st.lists(st.floats(-1e6, 1e6), max_size=60)

TWINS: list[tuple[Callable[[int], Indicator[float]], Callable[[list[float], int], Floats]]] = [
    (SMA, batch.sma),
    (WMA, batch.wma),
    (EMA, batch.ema),
]


@pytest.mark.parametrize(("streaming", "twin"), TWINS)
@given(values=series, period=periods)
def test_the_streaming_and_the_batch_average_agree(
    streaming: Callable[[int], Indicator[float]],
    twin: Callable[[list[float], int], Floats],
    values: list[float],
    period: int,
) -> None:
    indicator = streaming(period)

    streamed = as_array([indicator.update(value) for value in values])

    scale = max(map(abs, values), default=0.0)
    np.testing.assert_allclose(streamed, twin(values, period), rtol=1e-12, atol=1e-13 * scale)


@pytest.mark.parametrize("average", [SMA, WMA, EMA])
@given(value=st.floats(-1e9, 1e9), period=periods)
def test_the_average_of_a_constant_is_the_constant(
    average: type[SMA] | type[WMA] | type[EMA], value: float, period: int
) -> None:
    indicator = average(period)

    averages = [indicator.update(value) for _ in range(3 * period)]

    assert averages[: period - 1] == [None] * (period - 1)
    assert averages[period - 1 :] == pytest.approx([value] * (2 * period + 1), rel=1e-14)
    assert indicator.value == averages[-1]


@pytest.mark.parametrize(("period", "step"), [(10, 5), (30, 7), (200, 101)])
def test_large_jumps_leave_no_trace_in_windowed_averages(period: int, step: int) -> None:
    prices = jumping_prices(100_000)
    sma, wma = SMA(period), WMA(period)
    weights = range(1, period + 1)

    for index, price in enumerate(prices):
        mean, weighted = sma.update(price), wma.update(price)
        if mean is None or weighted is None or index % step:
            continue
        window = prices[index - period + 1 : index + 1]
        assert mean == pytest.approx(sum(window) / period, rel=1e-9)
        naive = sum(map(float.__mul__, window, map(float, weights))) / sum(weights)
        assert weighted == pytest.approx(naive, rel=1e-9)


def test_the_sma_is_exact_to_the_last_digits_after_a_jump_of_sixteen_orders() -> None:
    values = [0.1, 0.2, 1e16, *[0.1, 0.2, 0.3] * 4]
    sma = SMA(3)

    streamed = [sma.update(value) for value in values]

    for index in range(5, len(values)):
        exact = sum(map(Fraction, values[index - 2 : index + 1])) / 3
        assert streamed[index] == pytest.approx(float(exact), rel=4e-16)


def test_the_wma_weighs_the_newest_most() -> None:
    wma = WMA(3)

    assert [wma.update(value) for value in (1.0, 2.0, 6.0, 0.0)] == [
        None,
        None,
        (1 + 2 * 2 + 3 * 6) / 6,
        (2 + 2 * 6 + 3 * 0) / 6,
    ]


def test_the_ema_starts_at_the_mean_and_moves_by_alpha() -> None:
    ema = EMA(3)

    assert [ema.update(value) for value in (1.0, 2.0, 3.0, 6.0)] == [None, None, 2.0, 4.0]


@given(series, periods)
def test_the_ema_never_leaves_the_range_of_its_input(values: list[float], period: int) -> None:
    ema = EMA(period)
    averages = [ema.update(value) for value in values]

    known = [average for average in averages if average is not None]

    slack = 1e-12 * max(map(abs, values), default=0.0)
    assert all(min(values) - slack <= average <= max(values) + slack for average in known)
    assert all(a is None or b is not None for a, b in pairwise(averages))


@pytest.mark.parametrize("average", [SMA, WMA, EMA])
def test_a_period_below_one_is_refused(average: type[SMA] | type[WMA] | type[EMA]) -> None:
    with pytest.raises(ValueError, match="period must be at least 1, not 0"):
        average(0)
