"""Volatility: how widely a value scatters.

Standard deviations are of the whole window (divisor `period`). They come from `RollingMoments`,
which never subtracts what leaves the window, for the reason given in `averages`.
"""

from math import sqrt

import msgspec

from framework.indicators.streaming import checked_period


class ATR:
    """Average true range after Wilder, in price units.

    true range = max(high, previous close) − min(low, previous close), and high − low at first.
    The average starts as the plain mean of `period` true ranges, then goes on as
    average = previous + (true range − previous) ÷ period.

    Source: J. Welles Wilder, New Concepts in Technical Trading Systems (1978).
    """

    __slots__ = ("_close", "_sum", "_warming", "period", "value")

    def __init__(self, period: int = 14) -> None:
        self.period = checked_period(period)
        self.value: float | None = None
        self._close: float | None = None
        self._sum = 0.0
        self._warming = period

    def update(self, high: float, low: float, close: float) -> float | None:
        """Take the next candle; return the average, or None before `period` candles."""
        previous, self._close = self._close, close
        if previous is not None:
            high = max(high, previous)
            low = min(low, previous)
        true_range = high - low
        average = self.value
        if average is not None:
            self.value = average + (true_range - average) / self.period
            return self.value
        self._sum += true_range
        self._warming -= 1
        if not self._warming:
            self.value = self._sum / self.period
        return self.value


class RollingMoments:
    """Mean and standard deviation of the last `period` values.

    Each block keeps (count, mean, sum of squared distances from the mean), extended by Welford's
    step and joined to the tail of the block before by Chan's formula; both only add what is not
    negative, so a constant window has a deviation of exactly 0.

    Source: https://en.wikipedia.org/wiki/Algorithms_for_calculating_variance
    """

    __slots__ = ("_block", "_mean", "_squares", "_tails", "mean", "period")

    def __init__(self, period: int) -> None:
        self.period = checked_period(period, minimum=2)
        self.mean = 0.0
        self._block: list[float] = []
        self._mean = 0.0  # of the current block
        self._squares = 0.0
        self._tails: list[tuple[float, float]] = []  # (mean, squares) of ends of the last block

    def update(self, value: float) -> float | None:
        """Take the next value, set `mean`, return the deviation; None before `period` values."""
        block, tails, period = self._block, self._tails, self.period
        block.append(value)
        count = len(block)
        distance = value - self._mean
        mean = self._mean = self._mean + distance / count
        squares = self._squares = self._squares + distance * (value - mean)
        if count == period:  # the window is the block
            self._start_block()
        elif not tails:
            return None
        else:
            tail_mean, tail_squares = tails.pop()
            distance = tail_mean - mean
            tail_share = (period - count) / period
            mean += distance * tail_share
            squares += tail_squares + distance * distance * (count * tail_share)
        self.mean = mean
        return sqrt(squares / period)

    def _start_block(self) -> None:
        mean = squares = 0.0
        tails = []
        for count, value in enumerate(self._block[:0:-1], start=1):
            distance = value - mean
            mean += distance / count
            squares += distance * (value - mean)
            tails.append((mean, squares))
        self._tails = tails
        self._block.clear()
        self._mean = self._squares = 0.0


class BollingerBands(msgspec.Struct, frozen=True, gc=False):
    """One value of `Bollinger`, in the unit of its input."""

    lower: float
    middle: float
    upper: float


class Bollinger:
    """middle = SMA(period); upper and lower = middle ± width × standard deviation."""

    __slots__ = ("_moments", "value", "width")

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        self.width = width
        self.value: BollingerBands | None = None
        self._moments = RollingMoments(period)

    def update(self, value: float) -> BollingerBands | None:
        """Take the next value; return the bands, or None before `period` values."""
        deviation = self._moments.update(value)
        if deviation is not None:
            middle, reach = self._moments.mean, self.width * deviation
            self.value = BollingerBands(middle - reach, middle, middle + reach)
        return self.value


class ZScore:
    """(value − mean) ÷ standard deviation over the last `period` values, this one included.

    0 in a window that does not vary: its last value is its mean.
    """

    __slots__ = ("_moments", "value")

    def __init__(self, period: int = 20) -> None:
        self.value: float | None = None
        self._moments = RollingMoments(period)

    def update(self, value: float) -> float | None:
        """Take the next value; return its z-score, or None before `period` values."""
        deviation = self._moments.update(value)
        if deviation is not None:
            self.value = (value - self._moments.mean) / deviation if deviation else 0.0
        return self.value
