from decimal import Decimal, localcontext
from math import isfinite

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.portfolio.equity import EquityCurve
from framework.portfolio.performance import (
    YEAR_S,
    Performance,
    TradeSummary,
    interval_returns,
    measure,
    ratio,
    sampling_interval_s,
)

S = 1_000_000_000
DAY_S = 86_400
START_NS = 1_600_000_000 * S

TRADES = TradeSummary(
    count=4,
    wins=3,
    losses=1,
    gross_profit=Decimal("30"),
    gross_loss=Decimal("10"),
    fees=Decimal("1.5"),
    traded=Decimal("5000"),
    open_count=2,
)


def curve_of(levels: list[float], step_s: int, exposure: float = 0.0) -> EquityCurve:
    curve = EquityCurve()
    for index, level in enumerate(levels):
        curve.sample(START_NS + index * step_s * S, level, exposure)
    return curve


@given(st.lists(st.floats(50.0, 200.0), min_size=11, max_size=60))
def test_daily_statistics_agree_with_numpy(levels: list[float]) -> None:
    measured = measure(curve_of(levels, DAY_S), TradeSummary())

    equity = np.array(levels)
    returns = equity[1:] / equity[:-1] - 1
    years = (len(levels) - 1) * DAY_S / YEAR_S
    assert measured.interval_s == DAY_S
    assert measured.returns == len(returns)
    assert measured.total_return == pytest.approx(equity[-1] / equity[0] - 1, abs=1e-12)
    growth = (equity[-1] / equity[0]) ** (1 / years)
    assert measured.annual_return == pytest.approx(growth - 1, rel=1e-9, abs=1e-12)
    deviation = np.std(returns, ddof=1)
    if deviation > 1e-9:
        assert measured.annual_volatility == pytest.approx(deviation * np.sqrt(365.25))
        expected = np.mean(returns) / deviation * np.sqrt(365.25)
        assert measured.sharpe == pytest.approx(expected, rel=1e-9, abs=1e-9)
    downside = np.sqrt(np.mean(np.minimum(returns, 0) ** 2))
    if downside > 1e-9:
        expected = np.mean(returns) / downside * np.sqrt(365.25)
        assert measured.sortino == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_worked_example() -> None:
    levels = [100.0, 110.0, 99.0, *[99.0] * 8]

    measured = measure(curve_of(levels, DAY_S, exposure=50.0), TRADES)

    returns = [0.1, -0.1, *[0.0] * 8]
    assert interval_returns(curve_of(levels, DAY_S), DAY_S) == pytest.approx(returns)
    assert measured.total_return == pytest.approx(-0.01)
    assert measured.max_drawdown == pytest.approx(0.1)
    assert measured.max_drawdown_s == 9 * DAY_S
    assert measured.exposure == 1.0
    assert measured.sharpe == pytest.approx(0.0)
    assert measured.turnover == pytest.approx(5000 / ((100 + 110 + 99 * 8) / 10))
    assert measured.trades == 4
    assert measured.open_trades == 2
    assert measured.win_rate == 0.75
    assert measured.profit_factor == 3.0
    assert measured.average_trade == 5.0
    assert measured.fees == Decimal("1.5")


@pytest.mark.parametrize(
    ("span_s", "interval_s"),
    [
        (10 * DAY_S, DAY_S),
        (10 * DAY_S - 1, 3_600),
        (36_000, 3_600),
        (35_999, 60),
        (600, 60),
        (10, 1),
        (9, None),
        (0, None),
    ],
)
def test_the_interval_is_the_longest_that_fits_ten_times(
    span_s: int, interval_s: int | None
) -> None:
    curve = EquityCurve()
    for sample in range(1_001):
        curve.sample(START_NS + sample * span_s * S // 1_000, 100.0)

    assert sampling_interval_s(curve) == interval_s


def test_a_curve_with_fewer_samples_than_intervals_has_no_returns() -> None:
    hourly = [100.0 + hour % 3 for hour in range(7)]

    measured = measure(curve_of(hourly, 3_600), TradeSummary())

    assert measured.interval_s is None
    assert measured.sharpe is None
    assert measured.returns == 0
    assert measure(curve_of(hourly * 2, 3_600), TradeSummary()).interval_s == 3_600


def test_between_samples_the_newest_holds_and_a_started_interval_is_left_out() -> None:
    curve = EquityCurve()
    for second, equity in ((0, 100.0), (5, 200.0), (59, 110.0), (150, 121.0), (190, 500.0)):
        curve.sample(START_NS + second * S, equity)

    assert interval_returns(curve, 60) == pytest.approx([0.1, 0.0, 0.1])


def test_nothing_measured_is_none_and_not_a_number_without_meaning() -> None:
    assert measure(EquityCurve(), TradeSummary()) == Performance()


def test_a_flat_curve_has_no_sharpe_and_no_drawdown() -> None:
    measured = measure(curve_of([100.0] * 20, DAY_S), TradeSummary())

    assert measured.total_return == 0.0
    assert measured.annual_return == 0.0
    assert measured.annual_volatility == 0.0
    assert measured.sharpe is None
    assert measured.sortino is None
    assert measured.max_drawdown == 0.0
    assert measured.exposure == 0.0
    assert measured.turnover == 0.0
    assert measured.win_rate is None
    assert measured.profit_factor is None
    assert measured.average_trade is None


def test_even_growth_has_no_variance_although_its_returns_differ_by_rounding() -> None:
    levels = [100.0 * 1.01**day for day in range(40)]

    measured = measure(curve_of(levels, DAY_S), TradeSummary())

    assert measured.sharpe is None
    assert measured.sortino is None
    assert measured.annual_return == pytest.approx(1.01**365.25 - 1)


@given(
    st.lists(st.floats(-1e9, 1e12), max_size=40),
    st.sampled_from([1, 60, 3_600, DAY_S]),
    st.integers(0, 3),
)
def test_no_number_is_ever_nan_or_infinite(levels: list[float], step_s: int, wins: int) -> None:
    trades = TradeSummary(count=3, wins=wins, gross_profit=Decimal(wins), traded=Decimal("1e20"))

    measured = measure(curve_of(levels, step_s), trades)

    for name, value in msgspec.structs.asdict(measured).items():
        assert value is None or isfinite(value), name


def test_growth_beyond_the_floats_is_none() -> None:
    levels = [1e-300, *[1.0] * 9, 1e8]

    assert measure(curve_of(levels, DAY_S), TradeSummary()).annual_return is None


def test_an_account_that_was_worth_nothing_has_no_returns() -> None:
    measured = measure(curve_of([100.0, *[50.0] * 9, -10.0, 20.0], DAY_S), TradeSummary())

    assert measured.returns == 0
    assert measured.sharpe is None
    assert measured.max_drawdown == pytest.approx(1.1)
    assert measured.total_return == pytest.approx(-0.8)


def test_mixed_currencies_have_no_sum() -> None:
    trades = msgspec.structs.replace(TRADES, is_mixed=True)

    measured = measure(curve_of([100.0] * 20, DAY_S), trades)

    assert measured.win_rate == 0.75
    assert measured.profit_factor is None
    assert measured.average_trade is None
    assert measured.turnover is None


def test_the_ambient_decimal_context_changes_nothing() -> None:
    trades = msgspec.structs.replace(TRADES, gross_profit=Decimal("30.123456789"))
    curve = curve_of([100.0] * 20, DAY_S)
    expected = measure(curve, trades)

    with localcontext() as context:
        context.prec = 3

        assert measure(curve, trades) == expected


def test_a_ratio_needs_a_positive_denominator() -> None:
    assert ratio(1.0, 4.0) == 0.25
    assert ratio(1.0, 0.0) is None
    assert ratio(1.0, -1.0) is None
    assert ratio(None, 1.0) is None
    assert ratio(1e300, 1e-300) is None
