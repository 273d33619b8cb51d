"""Candles of the simulated venue: a made-up past, then what trades; longer ones from minutes.

The past is one random walk, a function of the seed; a minute without trades repeats its close.
"""

from random import Random

import msgspec

MINUTE_MS = 60_000
INTERVALS_MS = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": 1_440 * MINUTE_MS,
}


class Bar(msgspec.Struct):
    """Prices and volume, in units, of the time that begins at `open_ms`."""

    open_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0


class Klines:
    """One symbol's minutes, oldest first."""

    def __init__(
        self, random: Random, *, price: int, tick: int, now_ms: int, past_minutes: int
    ) -> None:
        self._minutes = _past(random, price, tick, now_ms - now_ms % MINUTE_MS, past_minutes)

    def trade(self, price: int, quantity: int, now_ms: int) -> None:
        """Count a trade."""
        self.pass_time(now_ms)
        bar = self._minutes[-1]
        bar.high, bar.low = max(bar.high, price), min(bar.low, price)
        bar.close = price
        bar.volume += quantity

    def pass_time(self, now_ms: int) -> None:
        """Open every minute that has begun."""
        while now_ms >= self._minutes[-1].open_ms + MINUTE_MS:
            last = self._minutes[-1]
            self._minutes.append(Bar(last.open_ms + MINUTE_MS, *[last.close] * 4))

    def bar(self, interval: str, at_ms: int) -> Bar:
        """Return the candle of an interval that holds an instant, as far as it has come."""
        length_ms = INTERVALS_MS[interval]
        open_ms = at_ms - at_ms % length_ms
        first = max(0, (open_ms - self._minutes[0].open_ms) // MINUTE_MS)
        return _joined(self._minutes[first : first + length_ms // MINUTE_MS], open_ms)

    def rows(
        self, interval: str, *, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Bar]:
        """Return candles that open within the times, oldest first.

        With a start the first `limit` of them, else the last.
        """
        length_ms = INTERVALS_MS[interval]
        oldest_ms, newest_ms = self._minutes[0].open_ms, self._minutes[-1].open_ms
        low_ms = max(oldest_ms, 0 if start_ms is None else start_ms)
        high_ms = newest_ms if end_ms is None else min(newest_ms, end_ms)
        opens = range(-(-low_ms // length_ms) * length_ms, high_ms + 1, length_ms)
        chosen = opens[-limit:] if start_ms is None else opens[:limit]
        return [self.bar(interval, open_ms) for open_ms in chosen]


def _past(random: Random, price: int, tick: int, end_ms: int, count: int) -> list[Bar]:
    """Return `count` minutes before `end_ms` that walk to `price`, and the one it begins."""
    bars = [Bar(end_ms, *[price] * 4)]
    close = price
    for number in range(1, count + 1):
        open_ = max(10 * tick, close + random.randint(-5, 5) * tick)
        high = max(open_, close) + random.randint(0, 3) * tick
        low = min(open_, close) - random.randint(0, 3) * tick
        volume = random.randint(1, 1_000) * 1_000_000
        bars.append(Bar(end_ms - number * MINUTE_MS, open_, high, low, close, volume))
        close = open_
    bars.reverse()
    return bars


def _joined(bars: list[Bar], open_ms: int) -> Bar:
    return Bar(
        open_ms,
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        sum(bar.volume for bar in bars),
    )
