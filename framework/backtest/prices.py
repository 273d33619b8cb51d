"""Price series for the report: bounded while they are recorded, small when they are drawn."""

from array import array
from collections.abc import Sequence

from framework.portfolio.thinning import MINIMUM_CAPACITY, thinned


class PriceSeries:
    """Prices of one instrument, oldest first; beyond `capacity` the newest of each bucket stays."""

    def __init__(self, capacity: int = 100_000) -> None:
        if capacity < MINIMUM_CAPACITY:
            raise ValueError(f"capacity must be at least {MINIMUM_CAPACITY}, not {capacity}")
        self.capacity = capacity
        self.times_ns: array[int] = array("q")
        self.prices: array[float] = array("d")
        self._width_ns = 1
        self._bucket_end_ns = 0

    def __len__(self) -> int:
        return len(self.times_ns)

    def add(self, time_ns: int, price: float) -> None:
        """Add the price from `time_ns` on; times must not fall."""
        if time_ns < self._bucket_end_ns:
            self.times_ns[-1] = time_ns
            self.prices[-1] = price
            return
        if len(self.times_ns) == self.capacity:
            self._thin()
        self.times_ns.append(time_ns)
        self.prices.append(price)
        self._bucket_end_ns = time_ns - time_ns % self._width_ns + self._width_ns

    def _thin(self) -> None:
        self._width_ns, kept = thinned(self.times_ns, self._width_ns, self.capacity // 2)
        self.times_ns = array("q", [self.times_ns[index] for index in kept])
        self.prices = array("d", [self.prices[index] for index in kept])


def extremes(values: Sequence[float], limit: int) -> list[int]:
    """Return at most `limit` indices, rising, that keep the ends and each stretch's extremes.

    The inner values are cut into stretches of equal length, and of each its lowest and highest
    stay: a line drawn through them looks like one through all. `limit` must be at least 4.
    """
    count = len(values)
    if count <= limit:
        return list(range(count))
    stretches = (limit - 2) // 2
    kept = [0]
    for stretch in range(stretches):
        start = 1 + stretch * (count - 2) // stretches
        end = 1 + (stretch + 1) * (count - 2) // stretches
        indices = range(start, end)
        lowest = min(indices, key=values.__getitem__)
        highest = max(indices, key=values.__getitem__)
        kept.extend(sorted({lowest, highest}))
    kept.append(count - 1)
    return kept
