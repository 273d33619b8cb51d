"""The plain price-level order book: the reference that `FastOrderBook` is tested against.

Two dicts, sorted when read. With a tick, levels are keyed by whole ticks, each named by the float
nearest to it, so that `0.3` and `1 - 0.7` are one level. A price off the tick is kept as it came:
the venue knows its grid better than we do.
"""

from collections.abc import Iterable
from decimal import Decimal
from math import inf

from framework.errors import StreamError
from framework.model.market_data import BookDelta, BookSnapshot, Level
from framework.model.orders import Side

SNAP_TOLERANCE = 1e-6  # of one tick, as in `Instrument`
DUST = 1e-12  # what float subtraction leaves of a level that is all our own, per size


class OrderBook:
    """One instrument's book; reads return plain values the caller may keep.

    `is_synced` becomes true with a snapshot and false with `mark_stale`. Own orders laid over
    the book (`overlay`) are subtracted from every read, never from the levels themselves.
    """

    def __init__(self, instrument: str, *, tick: Decimal | None = None) -> None:
        self.instrument = instrument
        self.is_synced = False
        self.sequence = 0
        self.time_ns = 0
        self._grid = None if tick is None else Grid(tick)
        self._bids: dict[float, float] = {}  # price -> size
        self._asks: dict[float, float] = {}
        self._own_bids: dict[float, float] = {}
        self._own_asks: dict[float, float] = {}

    def apply_snapshot(self, snapshot: BookSnapshot) -> None:
        """Replace everything; the book is synced.

        Raises:
            StreamError: another instrument's, a bad level, or crossed; nothing has changed.
        """
        check_instrument(self.instrument, snapshot.instrument)
        check_snapshot(snapshot)
        bids = {self._key(price): size for price, size in snapshot.bids if size}
        asks = {self._key(price): size for price, size in snapshot.asks if size}
        self._bids, self._asks = bids, asks
        self.sequence, self.time_ns, self.is_synced = snapshot.sequence, snapshot.time_ns, True

    def apply_delta(self, delta: BookDelta) -> None:
        """Set each level to its new size; whether the delta follows on is not judged here.

        Raises:
            StreamError: another instrument's, or a bad level; nothing has changed.
        """
        check_instrument(self.instrument, delta.instrument)
        check_levels(delta.bids)
        check_levels(delta.asks)
        bids = [(self._key(price), size) for price, size in delta.bids]
        asks = [(self._key(price), size) for price, size in delta.asks]
        for levels, changes in ((self._bids, bids), (self._asks, asks)):
            for key, size in changes:
                _set_level(levels, key, size)
        self.sequence, self.time_ns = delta.sequence, delta.time_ns

    def update(self, is_bid: bool, price: float, size: float) -> None:
        """Set one level; size 0 removes it. Sequence and time stay as they are.

        Raises:
            StreamError: a bad level; nothing has changed.
        """
        check_levels(((price, size),))
        _set_level(self._bids if is_bid else self._asks, self._key(price), size)

    def overlay(self, side: Side, price: float, size: float) -> None:
        """Say that `size` of the level at `price` is our own resting order; 0 takes it back.

        Raises:
            StreamError: a bad level; nothing has changed.
        """
        check_levels(((price, size),))
        _set_level(self._own_bids if side is Side.BUY else self._own_asks, self._key(price), size)

    def mark_stale(self) -> None:
        """The levels can no longer be trusted; they stay readable."""
        self.is_synced = False

    @property
    def best_bid(self) -> Level | None:
        """The highest bid and its size, or None."""
        return next(iter(self.bids(1)), None)

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask and its size, or None."""
        return next(iter(self.asks(1)), None)

    @property
    def mid(self) -> float | None:
        """Half way between best bid and best ask, or None where a side is empty."""
        return mid_price(self.best_bid, self.best_ask)

    def bids(self, depth: int) -> list[Level]:
        """Return up to `depth` levels, highest price first."""
        return self._read(self._bids, self._own_bids, is_bid=True)[:depth]

    def asks(self, depth: int) -> list[Level]:
        """Return up to `depth` levels, lowest price first."""
        return self._read(self._asks, self._own_asks, is_bid=False)[:depth]

    def volume_to_price(self, side: Side, price: float) -> float:
        """Return what an order of `side` could take at `price` or better."""
        return volume_to_price(self._opposite(side), side, price)

    def price_for_volume(self, side: Side, volume: float) -> float | None:
        """Return the limit price at which an order of `side` takes `volume`; None: too thin."""
        return price_for_volume(self._opposite(side), volume)

    def imbalance(self, depth: int) -> float | None:
        """Return (bids - asks) / (bids + asks) by size over `depth` levels; None when empty."""
        return imbalance(self.bids(depth), self.asks(depth))

    def _opposite(self, side: Side) -> list[Level]:
        if side is Side.BUY:
            return self._read(self._asks, self._own_asks, is_bid=False)
        return self._read(self._bids, self._own_bids, is_bid=True)

    def _read(
        self, levels: dict[float, float], own: dict[float, float], *, is_bid: bool
    ) -> list[Level]:
        seen = []
        for key in sorted(levels, reverse=is_bid):
            size = without_own(levels[key], own.get(key, 0.0))
            if size:
                seen.append((key, size))
        return seen

    def _key(self, price: float) -> float:
        return price if self._grid is None else self._grid.snap(price)


class Grid:
    """Whole ticks, each named by one float."""

    def __init__(self, tick: Decimal) -> None:
        self._numerator, self._denominator = tick.as_integer_ratio()
        self._ticks_per_unit = self._denominator / self._numerator

    def snap(self, price: float) -> float:
        """Return the float nearest to the tick at `price`, or `price` where it is off the grid.

        A price counts as on the tick within 1e-6 of it.
        """
        exact = price * self._ticks_per_unit
        ticks = round(exact)
        if not ticks or abs(exact - ticks) > SNAP_TOLERANCE:
            return price
        return ticks * self._numerator / self._denominator  # whole numbers: rounds only once


def check_instrument(expected: str, received: str) -> None:
    """Raise StreamError when a message belongs to another instrument."""
    if expected != received:
        raise StreamError(f"a message of {received!r} reached the book of {expected!r}")


def check_levels(levels: Iterable[Level]) -> None:
    """Raise StreamError unless every price is positive, every size 0 or more, all finite."""
    for price, size in levels:
        if not (0.0 < price < inf and 0.0 <= size < inf):  # NaN fails every comparison
            raise StreamError(f"bad level: price {price!r}, size {size!r}")


def check_snapshot(snapshot: BookSnapshot) -> None:
    """Raise StreamError for a bad level or a best bid at or above the best ask."""
    check_levels(snapshot.bids)
    check_levels(snapshot.asks)
    bid = max((price for price, size in snapshot.bids if size), default=0.0)
    ask = min((price for price, size in snapshot.asks if size), default=inf)
    if bid >= ask:
        raise StreamError(f"crossed snapshot of {snapshot.instrument!r}: bid {bid}, ask {ask}")


def without_own(size: float, own: float) -> float:
    """Return what others offer at a level of which `own` is ours; 0 when that is all dust."""
    rest = size - own
    return rest if rest > size * DUST else 0.0


def mid_price(bid: Level | None, ask: Level | None) -> float | None:
    """Return half way between two levels, or None where one is missing."""
    return None if bid is None or ask is None else (bid[0] + ask[0]) / 2


def volume_to_price(levels: Iterable[Level], side: Side, price: float) -> float:
    """Sum the sizes of `levels` (best first) that an order of `side` limited at `price` takes."""
    total = 0.0
    for level_price, size in levels:
        if level_price > price if side is Side.BUY else level_price < price:
            break
        total += size
    return total


def price_for_volume(levels: Iterable[Level], volume: float) -> float | None:
    """Return the price of the level (best first) where the sizes reach `volume`, or None."""
    total = 0.0
    for price, size in levels:
        total += size
        if total >= volume:
            return price
    return None


def imbalance(bids: Iterable[Level], asks: Iterable[Level]) -> float | None:
    """Return (bids - asks) / (bids + asks) by size; None when both are empty."""
    bid_size = sum(size for _, size in bids)
    ask_size = sum(size for _, size in asks)
    total = bid_size + ask_size
    return (bid_size - ask_size) / total if total else None


def _set_level(levels: dict[float, float], key: float, size: float) -> None:
    if size:
        levels[key] = size
    else:
        levels.pop(key, None)
