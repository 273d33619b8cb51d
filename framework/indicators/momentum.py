"""Momentum: how far and how steadily a value has moved."""

from collections import deque

import msgspec

from framework.indicators.averages import EMA
from framework.indicators.streaming import checked_period


class RSI:
    """Relative strength index after Wilder, 0 to 100.

    RSI = 100 × gain ÷ (gain + loss), where gain and loss are the averages of the rises and of
    the falls from value to value: at first the plain mean of `period` changes, then
    average = previous + (change − previous) ÷ period. 50 when nothing moved at all.

    Source: J. Welles Wilder, New Concepts in Technical Trading Systems (1978).
    """

    __slots__ = ("_gain", "_loss", "_previous", "_warming", "period", "value")

    def __init__(self, period: int = 14) -> None:
        self.period = checked_period(period)
        self.value: float | None = None
        self._gain = 0.0  # while warming up: the sum
        self._loss = 0.0
        self._previous: float | None = None
        self._warming = period  # changes still needed

    def update(self, value: float) -> float | None:
        """Take the next value; return the index, or None before `period` + 1 values."""
        previous, self._previous = self._previous, value
        if previous is None:
            return None
        change = value - previous
        rise, fall = (change, 0.0) if change > 0.0 else (0.0, -change)
        if self._warming:
            return self._warm_up(rise, fall)
        gain = self._gain = self._gain + (rise - self._gain) / self.period
        loss = self._loss = self._loss + (fall - self._loss) / self.period
        moved = gain + loss
        index = self.value = 100.0 * gain / moved if moved else 50.0
        return index

    def _warm_up(self, rise: float, fall: float) -> float | None:
        self._gain += rise
        self._loss += fall
        self._warming -= 1
        if self._warming:
            return None
        self._gain /= self.period
        self._loss /= self.period
        moved = self._gain + self._loss
        self.value = 100.0 * self._gain / moved if moved else 50.0
        return self.value


class MACDValue(msgspec.Struct, frozen=True, gc=False):
    """One value of `MACD`, in the unit of its input."""

    macd: float
    signal: float
    histogram: float


class MACD:
    """Moving average convergence divergence.

    macd = EMA(fast) − EMA(slow); signal = EMA(signal) of macd; histogram = macd − signal.
    Warm after `slow` + `signal` − 1 values.
    """

    __slots__ = ("_fast", "_signal", "_slow", "value")

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        checked_period(fast, "fast")
        self._fast = EMA(fast)
        self._slow = EMA(checked_period(slow, "slow", minimum=fast + 1))
        self._signal = EMA(checked_period(signal, "signal"))
        self.value: MACDValue | None = None

    def update(self, value: float) -> MACDValue | None:
        """Take the next value; return all three lines, or None while warming up."""
        fast, slow = self._fast.update(value), self._slow.update(value)
        if fast is None or slow is None:
            return None
        macd = fast - slow
        signal = self._signal.update(macd)
        if signal is not None:
            self.value = MACDValue(macd, signal, macd - signal)
        return self.value


class ROC:
    """Rate of change in percent: 100 × (value ÷ value `period` updates ago − 1).

    None while warming up, and where the earlier value is zero.
    """

    __slots__ = ("_values", "period", "value")

    def __init__(self, period: int = 10) -> None:
        self.period = checked_period(period)
        self.value: float | None = None
        self._values: deque[float] = deque(maxlen=period)

    def update(self, value: float) -> float | None:
        """Take the next value; return the change, or None before `period` + 1 values."""
        values = self._values
        if len(values) == self.period:
            before = values[0]
            self.value = 100.0 * (value - before) / before if before else None
        values.append(value)
        return self.value
