import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.portfolio.equity import EquityCurve
from framework.portfolio.thinning import newest_per_bucket, wider

S = 1_000_000_000

samples = st.lists(
    st.tuples(st.integers(0, 30 * S), st.floats(-100, 1e6), st.sampled_from([0.0, 50.0])),
    min_size=1,
    max_size=80,
)


def curve_of(steps: list[tuple[int, float, float]], capacity: int = 1_000) -> EquityCurve:
    curve = EquityCurve(capacity)
    time_ns = 1_700_000_000 * S
    for step_ns, equity, exposure in steps:
        time_ns += step_ns
        curve.sample(time_ns, equity, exposure)
    return curve


def test_a_repeated_time_replaces_the_sample() -> None:
    curve = curve_of([(0, 100.0, 0.0), (S, 90.0, 5.0), (0, 95.0, 6.0)])

    times_ns, equity, exposure = curve.to_arrays()

    assert times_ns.tolist() == [1_700_000_000 * S, 1_700_000_001 * S]
    assert equity.tolist() == [100.0, 95.0]
    assert exposure.tolist() == [0.0, 6.0]
    assert curve.span_ns == S


def test_time_must_not_go_back() -> None:
    curve = curve_of([(0, 100.0, 0.0)])

    with pytest.raises(ValueError, match="lies before the last"):
        curve.sample(5, 100.0)


@given(samples, st.integers(4, 10))
def test_thinning_keeps_the_ends_and_everything_counted(
    steps: list[tuple[int, float, float]], capacity: int
) -> None:
    whole, thin = curve_of(steps), curve_of(steps, capacity)

    assert len(thin) <= capacity
    assert (thin.times_ns[0], thin.equity[-1]) == (whole.times_ns[0], whole.equity[-1])
    assert thin.times_ns[-1] == whole.times_ns[-1]
    assert thin.max_drawdown == whole.max_drawdown
    assert thin.max_drawdown_ns == whole.max_drawdown_ns
    assert thin.in_market_ns == whole.in_market_ns
    kept = set(zip(whole.times_ns, whole.equity, whole.exposure, strict=True))
    assert set(zip(thin.times_ns, thin.equity, thin.exposure, strict=True)) <= kept


@given(samples)
def test_drawdown_and_exposure_agree_with_numpy(steps: list[tuple[int, float, float]]) -> None:
    steps = [(step_ns + 1, max(equity, 1.0), exposure) for step_ns, equity, exposure in steps]
    curve = curve_of(steps)
    times_ns, equity, exposure = curve.to_arrays()

    peaks = np.maximum.accumulate(equity)

    assert curve.max_drawdown == pytest.approx(float(np.max(1 - equity / peaks)), abs=1e-15)
    assert curve.in_market_ns == int(np.sum(np.diff(times_ns)[exposure[:-1] != 0.0]))


def test_the_longest_drawdown_ends_when_the_peak_is_reached_again() -> None:
    steps = [(0, 100.0, 0.0), (S, 100.0, 0.0), (S, 90.0, 0.0), (S, 99.0, 0.0), (S, 100.0, 0.0)]

    assert curve_of(steps).max_drawdown_ns == 3 * S
    assert curve_of([*steps, (9 * S, 100.0, 0.0)]).max_drawdown_ns == 3 * S
    assert curve_of([*steps, (9 * S, 80.0, 0.0)]).max_drawdown_ns == 9 * S


def test_a_long_run_stays_within_its_capacity_on_whole_buckets() -> None:
    curve = EquityCurve(capacity=1_000)

    for second in range(20_000):
        curve.sample(second * S, float(second))

    assert len(curve) <= 1_000
    assert curve.sample_count == 20_000
    assert curve.resolution_ns == 60 * S
    assert curve.equity[0] == 0.0
    assert list(curve.equity[1:4]) == [59.0, 119.0, 179.0]


def test_bucket_widths_rise_to_a_day_and_then_double() -> None:
    widths, width_ns = [], 1
    for _ in range(11):
        width_ns = wider(width_ns)
        widths.append(width_ns // S)

    assert widths == [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400, 172_800, 345_600]


def test_of_each_bucket_the_newest_sample_stays_and_the_first_of_all() -> None:
    assert newest_per_bucket([0, 1, 2, 10, 11, 25], 10) == [0, 2, 4, 5]
    assert newest_per_bucket([7], 10) == [0]


def test_a_curve_that_could_not_hold_its_ends_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity must be at least 4, not 3"):
        EquityCurve(3)
