import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.indicators import MACD, ROC, RSI, batch
from tests.framework.indicators.series import as_array

positive = st.lists(st.floats(0.01, 1e6), max_size=60)
periods = st.integers(1, 10)


@given(positive, periods)
def test_the_streaming_and_the_batch_rsi_agree(values: list[float], period: int) -> None:
    rsi = RSI(period)

    streamed = as_array([rsi.update(value) for value in values])

    np.testing.assert_allclose(streamed, batch.rsi(values, period), rtol=1e-9, atol=1e-9)
    assert np.all((streamed[period:] >= 0) & (streamed[period:] <= 100 + 1e-12))


@pytest.mark.parametrize(("step", "index"), [(1.0, 100.0), (-1.0, 0.0), (0.0, 50.0)])
def test_the_rsi_of_a_straight_line_is_at_its_end_of_the_scale(step: float, index: float) -> None:
    rsi = RSI(5)

    streamed = [rsi.update(100.0 + step * n) for n in range(12)]

    assert streamed == [None] * 5 + [index] * 7
    assert rsi.value == index


def test_the_rsi_follows_wilders_worked_steps() -> None:
    rsi = RSI(2)

    streamed = [rsi.update(value) for value in (10.0, 12.0, 11.0, 14.0)]

    # changes +2 −1 +3: gain 1 then 1 + (3 − 1) / 2 = 2, loss 0.5 then 0.25
    assert streamed == pytest.approx([None, None, 100 * 1 / 1.5, 100 * 2 / 2.25])


@given(positive, st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))
def test_the_streaming_and_the_batch_macd_agree(
    values: list[float], fast: int, wider: int, signal: int
) -> None:
    macd = MACD(fast, fast + wider, signal)
    streamed = [macd.update(value) for value in values]

    lines = batch.macd(values, fast, fast + wider, signal)

    slack = 1e-12 * max(values, default=0.0)
    for name, line in zip(("macd", "signal", "histogram"), lines, strict=True):
        column = as_array([None if value is None else getattr(value, name) for value in streamed])
        np.testing.assert_allclose(column, line, rtol=1e-9, atol=slack)
    assert sum(value is None for value in streamed) == min(len(values), fast + wider + signal - 2)


def test_a_macd_whose_slow_is_not_slower_is_refused() -> None:
    with pytest.raises(ValueError, match="slow must be at least 13, not 12"):
        MACD(12, 12)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(0.0), max_size=60), periods)
def test_the_streaming_and_the_batch_roc_agree(values: list[float], period: int) -> None:
    roc = ROC(period)
    values = [value if abs(value) > 1e-9 else 0.0 for value in values]

    streamed = as_array([roc.update(value) for value in values])

    np.testing.assert_allclose(streamed, batch.roc(values, period), rtol=1e-12)


def test_the_roc_is_none_where_the_earlier_value_is_zero() -> None:
    roc = ROC(1)

    assert [roc.update(value) for value in (0.0, 5.0, 6.0)] == [None, None, pytest.approx(20.0)]
