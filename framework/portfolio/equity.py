"""The equity curve: what an account was worth over time, in bounded memory."""

from array import array
from math import inf
from typing import TYPE_CHECKING

from framework.portfolio.thinning import MINIMUM_CAPACITY, thinned

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class EquityCurve:
    """Samples of equity and exposure, oldest first, in one currency.

    At most `capacity` samples are kept; beyond, the curve keeps the newest of each bucket of
    time (`thinning`). What thinning would blur is counted from every sample as it comes: the
    drawdown and the time in market are those of the whole run.

    Attributes:
        max_drawdown: largest fall from a peak as a fraction of that peak; 0 without one.
        max_drawdown_ns: longest time from a peak until it was reached again, or until now.
        in_market_ns: time during which exposure was not zero.
    """

    def __init__(self, capacity: int = 200_000) -> None:
        if capacity < MINIMUM_CAPACITY:
            raise ValueError(f"capacity must be at least {MINIMUM_CAPACITY}, not {capacity}")
        self.capacity = capacity
        self.times_ns: array[int] = array("q")
        self.equity: array[float] = array("d")
        self.exposure: array[float] = array("d")
        self.sample_count = 0
        self.max_drawdown = 0.0
        self.max_drawdown_ns = 0
        self.in_market_ns = 0
        self._width_ns = 1
        self._bucket_end_ns = 0
        self._last_ns = 0
        self._last_exposure = 0.0
        self._peak = 0.0
        self._peak_ns = 0
        self._is_below = False

    def __len__(self) -> int:
        return len(self.times_ns)

    @property
    def span_ns(self) -> int:
        """Time from the first sample to the last."""
        return self.times_ns[-1] - self.times_ns[0] if self.times_ns else 0

    @property
    def resolution_ns(self) -> int:
        """Width of the buckets of which one sample each is kept; 1 = nothing was thinned."""
        return self._width_ns

    def sample(self, time_ns: int, equity: float, exposure: float = 0.0) -> None:
        """Add what the account is worth from `time_ns` on; a repeated time replaces.

        Take one at the first and at the last event of a run, or its span comes out too short.
        `exposure` is Σ |position value|, in the currency of `equity`.

        Raises:
            ValueError: `time_ns` lies before the last sample.
        """
        if time_ns < self._last_ns:
            raise ValueError(f"sample at {time_ns} lies before the last one at {self._last_ns}")
        self._count(time_ns, equity, exposure)
        if time_ns < self._bucket_end_ns:
            self.times_ns[-1] = time_ns
            self.equity[-1] = equity
            self.exposure[-1] = exposure
            return
        if len(self.times_ns) == self.capacity:
            self._thin()
        self.times_ns.append(time_ns)
        self.equity.append(equity)
        self.exposure.append(exposure)
        self._bucket_end_ns = time_ns - time_ns % self._width_ns + self._width_ns

    def to_arrays(self) -> "tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]":
        """Return copies (times in nanoseconds UTC, equity, exposure), each of shape (n,)."""
        import numpy as np

        return (
            np.array(self.times_ns, dtype=np.int64),
            np.array(self.equity, dtype=np.float64),
            np.array(self.exposure, dtype=np.float64),
        )

    def _count(self, time_ns: int, equity: float, exposure: float) -> None:
        """Take a sample into what must not depend on thinning."""
        if not self.sample_count:
            self._peak, self._peak_ns = equity, time_ns
        elif self._last_exposure:
            self.in_market_ns += time_ns - self._last_ns
        self.sample_count += 1
        self._last_ns = time_ns
        self._last_exposure = exposure
        peak = self._peak
        is_below = equity < peak
        if is_below or self._is_below:
            self._is_below = is_below
            if time_ns - self._peak_ns > self.max_drawdown_ns:
                self.max_drawdown_ns = time_ns - self._peak_ns
        if not is_below:
            self._peak, self._peak_ns = equity, time_ns
        elif peak > 0.0 and self.max_drawdown < (peak - equity) / peak < inf:
            self.max_drawdown = (peak - equity) / peak

    def _thin(self) -> None:
        """Make room: widen the buckets until at most half of the samples are left."""
        self._width_ns, kept = thinned(self.times_ns, self._width_ns, self.capacity // 2)
        self.times_ns = array("q", [self.times_ns[index] for index in kept])
        self.equity = array("d", [self.equity[index] for index in kept])
        self.exposure = array("d", [self.exposure[index] for index in kept])
