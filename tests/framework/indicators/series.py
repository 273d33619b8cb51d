"""Input series and shapes for the indicator tests."""

from collections.abc import Sequence
from random import Random

import numpy as np

from framework.indicators.batch import Floats


def as_array(values: Sequence[float | None]) -> Floats:
    """Return `values` as float64, None as NaN."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def jumping_prices(count: int, *, seed: int = 7) -> list[float]:
    """Return a random walk around 100 with single values of up to 1e12 thrown in."""
    random = Random(seed)
    price, prices = 100.0, []
    for _ in range(count):
        price = max(1.0, price + random.gauss(0.0, 0.5))
        prices.append(price * 10.0 ** random.randint(3, 10) if random.random() < 0.002 else price)
    return prices
