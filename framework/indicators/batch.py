"""The same indicators over whole arrays, with numpy.

Inputs are array-likes of shape (n,), oldest first; results are float64 of shape (n,), NaN where
the streaming twin returns None. Windows are reduced each on its own, in chunks of bounded
memory; recursions (EMA, Wilder's averages) run in plain Python, because in closed form they
would divide by vanishing powers.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Values = Sequence[float] | Floats

_CHUNK = 1 << 20  # values held at once while windows are reduced


def sma(values: Values, period: int) -> Floats:
    """Simple moving average."""
    return _over_windows(values, period, lambda windows: windows.mean(axis=1))


def wma(values: Values, period: int) -> Floats:
    """Linearly weighted moving average."""
    weights = np.arange(1.0, period + 1.0)
    return _over_windows(values, period, lambda windows: windows @ weights / weights.sum())


def ema(values: Values, period: int) -> Floats:
    """Exponential moving average that starts as the mean of the first `period` values."""
    return _smoothed(_floats(values), period, 2.0 / (period + 1))


def rsi(values: Values, period: int = 14) -> Floats:
    """Relative strength index after Wilder."""
    changes = np.diff(_floats(values))
    gain = _smoothed(np.maximum(changes, 0.0), period, 1.0 / period)
    loss = _smoothed(np.maximum(-changes, 0.0), period, 1.0 / period)
    moved = gain + loss
    index = np.divide(100.0 * gain, moved, out=np.full_like(moved, 50.0), where=moved != 0.0)
    return np.concatenate(([np.nan], index))[: len(values)]


def macd(
    values: Values, fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[Floats, Floats, Floats]:
    """Return (macd, signal, histogram), each NaN until all three are known."""
    line = ema(values, fast) - ema(values, slow)
    signal_line = np.full_like(line, np.nan)
    signal_line[slow - 1 :] = _smoothed(line[slow - 1 :], signal, 2.0 / (signal + 1))
    return np.where(np.isnan(signal_line), np.nan, line), signal_line, line - signal_line


def roc(values: Values, period: int = 10) -> Floats:
    """Rate of change in percent; NaN also where the earlier value is zero."""
    data = _floats(values)
    result = np.full_like(data, np.nan)
    before = data[:-period]
    np.divide(100.0 * (data[period:] - before), before, out=result[period:], where=before != 0.0)
    return result


def atr(high: Values, low: Values, close: Values, period: int = 14) -> Floats:
    """Average true range after Wilder."""
    highs, lows = _floats(high).copy(), _floats(low).copy()
    previous = _floats(close)[:-1]
    highs[1:] = np.maximum(highs[1:], previous)
    lows[1:] = np.minimum(lows[1:], previous)
    return _smoothed(highs - lows, period, 1.0 / period)


def bollinger(
    values: Values, period: int = 20, width: float = 2.0
) -> tuple[Floats, Floats, Floats]:
    """Return (lower, middle, upper)."""
    middle = sma(values, period)
    reach = width * standard_deviation(values, period)
    return middle - reach, middle, middle + reach


def zscore(values: Values, period: int = 20) -> Floats:
    """Distance from the mean in standard deviations; 0 where the window does not vary."""
    distance = _floats(values) - sma(values, period)
    deviation = standard_deviation(values, period)
    flat = np.where(np.isnan(deviation), np.nan, 0.0)
    return np.divide(distance, deviation, out=flat, where=deviation > 0.0)


def standard_deviation(values: Values, period: int) -> Floats:
    """Standard deviation over windows (divisor `period`); exactly 0 where nothing varies."""

    def reduce(windows: Floats) -> Floats:
        # Distances from the oldest value first: a constant window then has none to round.
        deviation: Floats = (windows - windows[:, :1]).std(axis=1)
        return deviation

    return _over_windows(values, period, reduce)


def _floats(values: Values) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _over_windows(values: Values, period: int, reduce: Callable[[Floats], Floats]) -> Floats:
    data = _floats(values)
    result = np.full_like(data, np.nan)
    if len(data) >= period:
        windows = sliding_window_view(data, period)
        step = max(1, _CHUNK // period)
        for start in range(0, len(windows), step):
            chunk = reduce(windows[start : start + step])
            result[start + period - 1 : start + period - 1 + len(chunk)] = chunk
    return result


def _smoothed(data: Floats, period: int, alpha: float) -> Floats:
    """Return s = previous + α × (value − previous), from the mean of the first `period` on."""
    result = np.full_like(data, np.nan)
    if len(data) >= period:
        steps = accumulate(
            data[period:].tolist(),
            lambda previous, value: previous + alpha * (value - previous),
            initial=float(data[:period].mean()),
        )
        result[period - 1 :] = np.fromiter(steps, np.float64)
    return result
