"""A market's candles of a minute, an hour and a day, each made of the finer one.

A period in which nothing at all changed has no candle.
"""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import pairwise

import msgspec

from adapters.kalshi.simulated.domain import CandlePrices, MarketCandle

PERIODS_M = (1, 60, 1_440)
_KEPT = {1: 2_880, 60: 1_440, 1_440: 365}
_MINUTE_NS = 60_000_000_000


class _Minute:
    """The minute that is not over yet."""

    __slots__ = ("ask", "bid", "end_s", "money", "open_interest", "previous", "price", "volume")

    def __init__(self, end_s: int, previous: int | None, bid: int, ask: int) -> None:
        self.end_s = end_s
        self.previous = previous
        self.bid = [bid] * 4  # open, high, low, close
        self.ask = [ask] * 4
        self.price: list[int] | None = None
        self.volume = 0
        self.money = 0  # price x count
        self.open_interest = 0

    def candle(self) -> MarketCandle:
        return MarketCandle(
            end_s=self.end_s,
            yes_bid=CandlePrices(*self.bid),
            yes_ask=CandlePrices(*self.ask),
            price=CandlePrices(*self.price) if self.price else None,
            mean=self.money // self.volume if self.volume else None,
            previous=self.previous,
            volume=self.volume,
            open_interest=self.open_interest,
        )


def _extend(prices: list[int], price: int) -> None:
    if price > prices[1]:
        prices[1] = price
    elif price < prices[2]:
        prices[2] = price
    prices[3] = price


class CandleHistory:
    """Takes quotes and trades as they come; `candles` may be asked at any time."""

    __slots__ = ("_ask", "_bid", "_current", "_done", "_last", "_minute")

    def __init__(self, *, bid: int, ask: int) -> None:
        self._bid, self._ask = bid, ask
        self._last: int | None = None  # the last trade price
        self._minute = 0
        self._current: _Minute | None = None
        self._done = {period: deque[MarketCandle](maxlen=_KEPT[period]) for period in PERIODS_M}

    def add_past(self, minutes: Iterable[MarketCandle], now_ns: int) -> None:
        """Take minutes from before everything else, oldest first."""
        done = self._done[1]
        done.extend(minutes)
        if done and done[-1].price:
            self._last = done[-1].price.close
        self._roll(now_ns // _MINUTE_NS)

    def add_quote(self, time_ns: int, *, bid: int, ask: int, open_interest: int) -> None:
        """Take the best prices as they are from now on."""
        current = self._at(time_ns)
        _extend(current.bid, bid)
        _extend(current.ask, ask)
        current.open_interest = open_interest
        self._bid, self._ask = bid, ask

    def add_trade(self, time_ns: int, *, price: int, count: int) -> None:
        """Take a trade."""
        current = self._at(time_ns)
        if current.price is None:
            current.price = [price] * 4
        else:
            _extend(current.price, price)
        current.volume += count
        current.money += price * count
        self._last = price

    def candles(self, period_m: int) -> list[MarketCandle]:
        """Return the candles of a period of 1, 60 or 1 440 minutes, oldest first.

        The last one may not be over yet.
        """
        found = list(self._done[period_m])
        for finer in reversed(PERIODS_M):
            if finer < period_m:
                _add_all(found, period_m, self._unmerged(finer))
        if self._current:
            _add_all(found, period_m, [self._current.candle()])
        return found

    def _unmerged(self, period_m: int) -> list[MarketCandle]:
        """The done candles of a period that no done candle of the next coarser one holds."""
        coarser = PERIODS_M[PERIODS_M.index(period_m) + 1]
        merged = self._done[coarser]
        done_until_s = merged[-1].end_s if merged else 0
        return [candle for candle in self._done[period_m] if candle.end_s > done_until_s]

    def _at(self, time_ns: int) -> _Minute:
        minute = time_ns // _MINUTE_NS
        if self._current is None or minute != self._minute:
            self._roll(minute)
            self._minute = minute
            self._current = _Minute((minute + 1) * 60, self._last, self._bid, self._ask)
        return self._current

    def _roll(self, minute: int) -> None:
        if self._current:
            self._done[1].append(self._current.candle())
        for finer, coarser in pairwise(PERIODS_M):
            is_over = _is_before(minute * 60, coarser * 60)
            merged: list[MarketCandle] = []
            _add_all(merged, coarser, filter(is_over, self._unmerged(finer)))
            self._done[coarser].extend(merged)


def _is_before(now_s: int, period_s: int) -> Callable[[MarketCandle], bool]:
    """Return whether a candle belongs to a period that is over at `now_s`."""
    start_s = now_s // period_s * period_s
    return lambda candle: candle.end_s <= start_s


def _add_all(candles: list[MarketCandle], period_m: int, finer: Iterable[MarketCandle]) -> None:
    """Merge finer candles into the last of `candles`, or append where a period begins."""
    period_s = period_m * 60
    for candle in finer:
        end_s = -(-candle.end_s // period_s) * period_s
        if candles and candles[-1].end_s == end_s:
            candles[-1] = _merged(candles[-1], candle)
        else:
            candles.append(msgspec.structs.replace(candle, end_s=end_s))


def _merged(earlier: MarketCandle, later: MarketCandle) -> MarketCandle:
    volume = earlier.volume + later.volume
    money = (earlier.mean or 0) * earlier.volume + (later.mean or 0) * later.volume
    price = earlier.price and later.price and _joined(earlier.price, later.price)
    return MarketCandle(
        end_s=earlier.end_s,
        yes_bid=_joined(earlier.yes_bid, later.yes_bid),
        yes_ask=_joined(earlier.yes_ask, later.yes_ask),
        price=price or earlier.price or later.price,
        mean=money // volume if volume else None,
        previous=earlier.previous,
        volume=volume,
        open_interest=later.open_interest,
    )


def _joined(earlier: CandlePrices, later: CandlePrices) -> CandlePrices:
    return CandlePrices(
        open=earlier.open,
        high=max(earlier.high, later.high),
        low=min(earlier.low, later.low),
        close=later.close,
    )
