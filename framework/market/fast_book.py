"""The order book of the product: the same reads and results as `OrderBook`, tuned.

Per side a dict (price -> size), a sorted list of prices touched only when a level appears or
goes, and the best level kept ready as a plain attribute, so that reading it costs nothing. Asks
are listed by negated price: the best level is the last of either list, where changes are cheap.

Measured by `python -m benchmarks.book` (1,000,000 changes on 2 × 500 levels, best read after each):
4.2 million changes a second by `update`, 1.15 times the plain loop written inline (3.6 million),
which looks the best levels up after every change; 4.6 million, 1.25 times, in messages of 20.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from math import inf

from framework.market.book import (
    Grid,
    check_instrument,
    check_levels,
    check_snapshot,
    imbalance,
    mid_price,
    price_for_volume,
    volume_to_price,
    without_own,
)
from framework.model.market_data import BookDelta, BookSnapshot, Level
from framework.model.orders import Side


class FastOrderBook:
    """See `OrderBook`, which holds the contract.

    `best_bid` and `best_ask` are attributes, not to be written from outside.
    """

    __slots__ = (
        "_ask_keys",
        "_ask_watch",
        "_asks",
        "_bid_keys",
        "_bid_watch",
        "_bids",
        "_grid",
        "_own_asks",
        "_own_bids",
        "best_ask",
        "best_bid",
        "instrument",
        "is_synced",
        "sequence",
        "time_ns",
    )

    def __init__(self, instrument: str, *, tick: Decimal | None = None) -> None:
        self.instrument = instrument
        self.is_synced = False
        self.sequence = 0
        self.time_ns = 0
        self.best_bid: Level | None = None
        self.best_ask: Level | None = None
        self._grid = None if tick is None else Grid(tick)
        self._bids: dict[float, float] = {}  # price -> size
        self._asks: dict[float, float] = {}
        self._bid_keys: list[float] = []  # price, rising
        self._ask_keys: list[float] = []  # -price, rising
        self._own_bids: dict[float, float] = {}
        self._own_asks: dict[float, float] = {}
        # A change at or beyond its side's watch price may change the best level.
        self._bid_watch = -inf
        self._ask_watch = inf

    def apply_snapshot(self, snapshot: BookSnapshot) -> None:
        """Replace everything; the book is synced. Raises StreamError and changes nothing."""
        check_instrument(self.instrument, snapshot.instrument)
        check_snapshot(snapshot)
        on_grid = self._on_grid
        bids = {on_grid(price): size for price, size in snapshot.bids if size}
        asks = {on_grid(price): size for price, size in snapshot.asks if size}
        self._bids, self._asks = bids, asks
        self._bid_keys = sorted(bids)
        self._ask_keys = sorted(-price for price in asks)
        self.sequence, self.time_ns, self.is_synced = snapshot.sequence, snapshot.time_ns, True
        self._find_best_bid()
        self._find_best_ask()

    def apply_delta(self, delta: BookDelta) -> None:
        """Set each level to its new size. Raises StreamError and changes nothing."""
        check_instrument(self.instrument, delta.instrument)
        bids, asks = delta.bids, delta.asks
        check_levels(bids)
        check_levels(asks)
        if self._grid is not None:
            bids = tuple([(self._on_grid(price), size) for price, size in bids])
            asks = tuple([(self._on_grid(price), size) for price, size in asks])
        if bids:
            _apply_levels(self._bids, self._bid_keys, bids, sign=1.0)
            self._find_best_bid()
        if asks:
            _apply_levels(self._asks, self._ask_keys, asks, sign=-1.0)
            self._find_best_ask()
        self.sequence, self.time_ns = delta.sequence, delta.time_ns

    def update(self, is_bid: bool, price: float, size: float) -> None:
        """Set one level; size 0 removes it. Raises StreamError and changes nothing."""
        if is_bid:
            levels = self._bids
            if price in levels and 0.0 < size < inf:
                levels[price] = size
                if price == self._bid_watch:
                    self.best_bid = (price, size)
                    return
            else:
                price = self._change(levels, self._bid_keys, price, size, sign=1.0)
            if price >= self._bid_watch:
                self._find_best_bid()
        else:
            levels = self._asks
            if price in levels and 0.0 < size < inf:
                levels[price] = size
                if price == self._ask_watch:
                    self.best_ask = (price, size)
                    return
            else:
                price = self._change(levels, self._ask_keys, price, size, sign=-1.0)
            if price <= self._ask_watch:
                self._find_best_ask()

    def overlay(self, side: Side, price: float, size: float) -> None:
        """Say that `size` at `price` is our own; 0 takes it back. Raises StreamError."""
        check_levels(((price, size),))
        own = self._own_bids if side is Side.BUY else self._own_asks
        price = self._on_grid(price)
        if size:
            own[price] = size
        else:
            own.pop(price, None)
        self._find_best_bid()
        self._find_best_ask()

    def mark_stale(self) -> None:
        """The levels can no longer be trusted; they stay readable."""
        self.is_synced = False

    @property
    def mid(self) -> float | None:
        """Half way between best bid and best ask, or None where a side is empty."""
        return mid_price(self.best_bid, self.best_ask)

    def bids(self, depth: int) -> list[Level]:
        """Return up to `depth` levels, highest price first."""
        if not self._own_bids:
            levels = self._bids
            return [(price, levels[price]) for price in self._bid_keys[: -depth - 1 : -1]]
        return list(islice(self._read_bids(), depth))

    def asks(self, depth: int) -> list[Level]:
        """Return up to `depth` levels, lowest price first."""
        if not self._own_asks:
            levels = self._asks
            return [(-key, levels[-key]) for key in self._ask_keys[: -depth - 1 : -1]]
        return list(islice(self._read_asks(), depth))

    def volume_to_price(self, side: Side, price: float) -> float:
        """Return what an order of `side` could take at `price` or better."""
        return volume_to_price(self._opposite(side), side, price)

    def price_for_volume(self, side: Side, volume: float) -> float | None:
        """Return the limit price at which an order of `side` takes `volume`; None: too thin."""
        return price_for_volume(self._opposite(side), volume)

    def imbalance(self, depth: int) -> float | None:
        """Return (bids - asks) / (bids + asks) by size over `depth` levels; None when empty."""
        return imbalance(self.bids(depth), self.asks(depth))

    def _change(
        self,
        levels: dict[float, float],
        keys: list[float],
        price: float,
        size: float,
        *,
        sign: float,
    ) -> float:
        """Add or remove a level, or refuse it; return its price on the grid."""
        if not (0.0 < price < inf and 0.0 <= size < inf):
            check_levels(((price, size),))
        if self._grid is not None and price not in levels:
            price = self._on_grid(price)
        if size:
            if price not in levels:
                insort(keys, sign * price)
            levels[price] = size
        elif levels.pop(price, None) is not None:
            del keys[bisect_left(keys, sign * price)]
        return price

    def _find_best_bid(self) -> None:
        if self._own_bids:
            self.best_bid, self._bid_watch = next(self._read_bids(), None), -inf
        elif self._bid_keys:
            price = self._bid_watch = self._bid_keys[-1]
            self.best_bid = (price, self._bids[price])
        else:
            self.best_bid, self._bid_watch = None, -inf

    def _find_best_ask(self) -> None:
        if self._own_asks:
            self.best_ask, self._ask_watch = next(self._read_asks(), None), inf
        elif self._ask_keys:
            price = self._ask_watch = -self._ask_keys[-1]
            self.best_ask = (price, self._asks[price])
        else:
            self.best_ask, self._ask_watch = None, inf

    def _opposite(self, side: Side) -> Iterator[Level]:
        return self._read_asks() if side is Side.BUY else self._read_bids()

    def _read_bids(self) -> Iterator[Level]:
        own = self._own_bids
        for price in reversed(self._bid_keys):
            size = self._bids[price]
            if price in own:
                size = without_own(size, own[price])
            if size:
                yield price, size

    def _read_asks(self) -> Iterator[Level]:
        own = self._own_asks
        for key in reversed(self._ask_keys):
            size = self._asks[-key]
            if -key in own:
                size = without_own(size, own[-key])
            if size:
                yield -key, size

    def _on_grid(self, price: float) -> float:
        return price if self._grid is None else self._grid.snap(price)


def _apply_levels(
    levels: dict[float, float], keys: list[float], changes: tuple[Level, ...], *, sign: float
) -> None:
    """Set checked levels of one side; the loop that a book lives in."""
    for price, size in changes:
        if size:
            if price not in levels:
                insort(keys, sign * price)
            levels[price] = size
        elif price in levels:
            del levels[price]
            del keys[bisect_left(keys, sign * price)]
