"""Candles of the synthetic market: from its steps, from shorter candles, and of its past."""

from collections.abc import Sequence
from itertools import repeat
from math import fsum, sqrt

import numpy as np

from adapters.mock.process import LARGEST_MOVE, MOST_LOTS, YEAR_NS, Grid, Ints, Steps, noise
from adapters.mock.settings import Market
from framework.model.market_data import Candle

PAST_STEPS = 8  # moves inside a candle of the past
PAST_BLOCK = 1_024  # candles
MOST_PAST = 100_000  # candles: the venue's history begins there


def candles_of(
    steps: Steps, market: Market, *, interval: str, length_ns: int, per_candle: int
) -> list[Candle]:
    """Return closed candles of the trades in `steps`, `per_candle` steps to each.

    The steps begin at a candle's open and end with its last one.
    """
    ticks = steps.trade_ticks.reshape(-1, per_candle)
    lots = steps.trade_lots.reshape(-1, per_candle).sum(axis=1)
    opens = steps.time_ns[::per_candle]
    return _candles(ticks, lots, opens, market, interval=interval, length_ns=length_ns)


def joined(candles: Sequence[Candle], interval: str) -> Candle:
    """Return the one candle of `interval` that successive shorter ones make."""
    first, last = candles[0], candles[-1]
    return Candle(
        instrument=first.instrument,
        time_ns=last.time_ns,
        received_ns=last.received_ns,
        interval=interval,
        open_ns=first.open_ns,
        close_ns=last.close_ns,
        open=first.open,
        high=max(candle.high for candle in candles),
        low=min(candle.low for candle in candles),
        close=last.close,
        volume=fsum(candle.volume for candle in candles),
    )


class Past:
    """The candles before the market's first step: the walk gone backwards from its start price.

    The reverse of a random walk is one too, so history and market join without a jump.
    """

    def __init__(
        self, market: Market, *, seed: int, end_ns: int, interval: str, length_ns: int
    ) -> None:
        self._random = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF])
        self._market = market
        self._interval = interval
        self._length_ns = length_ns
        self._open_ns = end_ns  # of the oldest candle made so far
        self._mid_ticks = market.process.start_price / float(market.tick)
        self._deviation = market.process.volatility * sqrt(length_ns / PAST_STEPS / YEAR_NS)
        self._newest_first: list[Candle] = []

    def newest(self, count: int) -> list[Candle]:
        """Return the last `count` candles before the start, at most `MOST_PAST`, oldest first."""
        count = max(0, min(count, MOST_PAST))
        while self.has_fewer_than(count):
            self.extend()
        return self._newest_first[:count][::-1]

    def has_fewer_than(self, count: int) -> bool:
        """Return whether `newest` would have to make some first."""
        return len(self._newest_first) < min(count, MOST_PAST)

    def extend(self) -> None:
        """Make one more block, which takes a millisecond or two."""
        draws = self._random.random_sample((PAST_BLOCK * PAST_STEPS, 5))
        moves = np.clip(self._deviation * noise(draws), -LARGEST_MOVE, LARGEST_MOVE)
        mids = np.multiply.accumulate(np.concatenate(([self._mid_ticks], 1.0 + moves)))
        self._mid_ticks = float(mids[-1])
        ticks = np.maximum(np.rint(np.clip(mids[1:][::-1], 2.0, 2.0**41)), 1).astype(np.int64)
        lots = 1 + (draws[::-PAST_STEPS, 4] * MOST_LOTS * PAST_STEPS).astype(np.int64)
        start_ns = self._open_ns - PAST_BLOCK * self._length_ns
        opens = start_ns + self._length_ns * np.arange(PAST_BLOCK, dtype=np.int64)
        made = _candles(
            ticks.reshape(-1, PAST_STEPS),
            lots,
            opens,
            self._market,
            interval=self._interval,
            length_ns=self._length_ns,
        )
        self._open_ns = start_ns
        self._newest_first.extend(reversed(made))


def _candles(
    ticks: Ints, lots: Ints, opens: Ints, market: Market, *, interval: str, length_ns: int
) -> list[Candle]:
    """Return a candle per row of `ticks`, shape (candles, steps)."""
    prices = Grid(market.tick).values
    closes_ns = (opens + np.int64(length_ns)).tolist()
    return list(
        map(
            Candle,
            repeat(market.definition.id),
            closes_ns,
            closes_ns,
            repeat(interval),
            opens.tolist(),
            closes_ns,
            prices(ticks[:, 0]).tolist(),
            prices(ticks.max(axis=1)).tolist(),
            prices(ticks.min(axis=1)).tolist(),
            prices(ticks[:, -1]).tolist(),
            Grid(market.lot).values(lots).tolist(),
        )
    )
