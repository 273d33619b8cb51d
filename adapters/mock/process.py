"""A seeded price process: a random walk of returns, its quotes and its trades, on the grid.

Step by step, with u an array of independent uniforms:

    noise = (u0 + u1 + u2 + u3 - 2) × √3        mean 0, variance 1, |noise| ≤ 3.5
    mid   = mid × (1 + volatility × √(step / year) × noise)

Only additions, products and comparisons of float64 are used, and Mersenne Twister, whose
stream numpy keeps for ever: the same seed gives the same bytes on every machine, and however
many steps are taken at once.
"""

from decimal import Decimal
from math import sqrt
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from adapters.mock.settings import Market

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

YEAR_NS = 365 * 86_400 * 1_000_000_000
MOST_LOTS = 100  # of a trade or of one side of a quote
SMALLEST_MID_TICKS, LARGEST_MID_TICKS = 2.0, 2.0**41
LARGEST_MOVE = 0.2  # of the price in one step: it must never reach zero
_DRAWS = 8  # per step: four for the noise, then aggressor, trade, bid and ask size


class Steps(NamedTuple):
    """Some steps of one instrument; shape (n,), oldest first; prices in ticks, sizes in lots."""

    time_ns: Ints
    bid_ticks: Ints
    ask_ticks: Ints
    trade_ticks: Ints
    bid_lots: Ints
    ask_lots: Ints
    trade_lots: Ints
    is_buyer: NDArray[np.bool_]


def part_of(steps: Steps, start: int, stop: int) -> Steps:
    """Return the steps from `start` to before `stop`."""
    return Steps(
        time_ns=steps.time_ns[start:stop],
        bid_ticks=steps.bid_ticks[start:stop],
        ask_ticks=steps.ask_ticks[start:stop],
        trade_ticks=steps.trade_ticks[start:stop],
        bid_lots=steps.bid_lots[start:stop],
        ask_lots=steps.ask_lots[start:stop],
        trade_lots=steps.trade_lots[start:stop],
        is_buyer=steps.is_buyer[start:stop],
    )


class Grid:
    """Turns counts of a decimal step into the float64 nearest to each product.

    count × numerator is exact below 2^53, so the one division rounds once, correctly.
    """

    def __init__(self, step: Decimal) -> None:
        self._numerator, self._denominator = step.as_integer_ratio()

    def values(self, counts: Ints) -> Floats:
        """Return counts × step."""
        values: Floats = counts * self._numerator / self._denominator
        return values

    def value(self, count: int) -> float:
        """Return count × step."""
        return count * self._numerator / self._denominator


class PriceProcess:
    """The endless series of one instrument from `start_ns` on; the first step lies there."""

    def __init__(self, market: Market, *, seed: int, start_ns: int, step_ns: int) -> None:
        self._random = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF])
        self._next_ns = start_ns
        self._step_ns = step_ns
        self._mid_ticks = market.process.start_price / float(market.tick)
        self._deviation = market.process.volatility * sqrt(step_ns / YEAR_NS)
        self._half_spread = market.process.spread_bps / 20_000

    def take(self, count: int) -> Steps:
        """Return the next `count` steps."""
        draws = self._random.random_sample((count, _DRAWS))
        mids = self._walk(draws)
        bid_ticks = np.floor(mids * (1.0 - self._half_spread)).astype(np.int64)
        ask_ticks = np.ceil(mids * (1.0 + self._half_spread)).astype(np.int64)
        np.maximum(bid_ticks, 1, out=bid_ticks)
        np.maximum(ask_ticks, bid_ticks + 1, out=ask_ticks)
        is_buyer = draws[:, 4] < 0.5
        lots = 1 + (draws[:, 5:] * MOST_LOTS).astype(np.int64)
        times = self._next_ns + self._step_ns * np.arange(count, dtype=np.int64)
        self._next_ns += self._step_ns * count
        return Steps(
            time_ns=times,
            bid_ticks=bid_ticks,
            ask_ticks=ask_ticks,
            trade_ticks=np.where(is_buyer, ask_ticks, bid_ticks),
            bid_lots=lots[:, 1],
            ask_lots=lots[:, 2],
            trade_lots=lots[:, 0],
            is_buyer=is_buyer,
        )

    def _walk(self, draws: Floats) -> Floats:
        """Return the mid prices in ticks; the walk is held where the grid still has room."""
        moves = self._deviation * noise(draws)
        np.clip(moves, -LARGEST_MOVE, LARGEST_MOVE, out=moves)
        mids = np.multiply.accumulate(np.concatenate(([self._mid_ticks], 1.0 + moves)))[1:]
        held = np.clip(mids, SMALLEST_MID_TICKS, LARGEST_MID_TICKS)
        if len(held):
            self._mid_ticks = float(mids[-1])
        return held


def noise(draws: Floats) -> Floats:
    """Return one number of mean 0 and variance 1 per row of four uniforms, added in order."""
    total = draws[:, 0] + draws[:, 1] + draws[:, 2] + draws[:, 3]
    noisy: Floats = (total - 2.0) * sqrt(3.0)
    return noisy
