"""What the market displays of one instrument, less what our own orders have taken of it.

The market data is recorded: it does not know our orders. So that two of them never get the same
displayed size, what was taken is remembered per price until the next quote or book change. A
quote without any size stands for an unknown, unlimited one; a quote with a size on one side
only says that nobody is on the other.
"""

from collections.abc import Iterator
from decimal import Decimal

from framework.interfaces import BookView, MarketView
from framework.model.decimals import ZERO, add, subtract
from framework.model.instrument import Instrument, to_decimal
from framework.model.market_data import Level
from framework.simulation.fills import FillModel
from framework.simulation.resting import VenueOrder

_FIRST_DEPTH = 16  # levels read at first; eight times as many whenever those were not enough


class Offers:
    """The opposite side of the market for takers, and our own side for queue positions."""

    __slots__ = (
        "_fills",
        "_id",
        "_instrument",
        "_market",
        "_taken_asks",
        "_taken_bids",
        "has_taken",
    )

    def __init__(self, instrument: Instrument, market: MarketView, fills: FillModel) -> None:
        self._instrument = instrument
        self._id = instrument.id
        self._market = market
        self._fills = fills
        self._taken_asks: dict[float, Decimal] = {}
        self._taken_bids: dict[float, Decimal] = {}
        self.has_taken = False  # displayed size is used up until the market says something new

    @property
    def is_standing(self) -> bool:
        """Whether there is a quote or a synchronised book to trade against at once."""
        market = self._market
        if market.quote(self._id) is not None:
            return True
        book = market.book(self._id)
        return book is not None and book.is_synced

    @property
    def book(self) -> BookView | None:
        """The synchronised book, which goes before the quote, or None."""
        book = self._market.book(self._id)
        return book if book is not None and book.is_synced else None

    def forget_taken(self) -> None:
        """Start again: the market displays new sizes."""
        self.has_taken = False
        self._taken_asks.clear()
        self._taken_bids.clear()

    def best(self, *, for_buy: bool) -> float | None:
        """Return the price a taker would get first, or None when nobody is there."""
        for price, _ in self._levels(for_buy=for_buy):
            return price
        return None

    def take(self, order: VenueOrder, wanted: Decimal) -> list[tuple[float, Decimal]]:
        """Take up to `wanted` within the order's limit; return (price, quantity), best first."""
        takes: list[tuple[float, Decimal]] = []
        taken = self._taken_asks if order.is_buy else self._taken_bids
        for price, left in self._reachable(order):
            if wanted <= ZERO:
                break
            if left is None:
                takes.append((price, wanted))
                break
            quantity = min(left, wanted)
            if quantity > ZERO:
                self.has_taken = True
                taken[price] = add(taken.get(price, ZERO), quantity)
                wanted = subtract(wanted, quantity)
                takes.append((price, quantity))
        return takes

    def covers(self, order: VenueOrder, wanted: Decimal) -> bool:
        """Whether `wanted` could be taken at once within the order's limit."""
        for _, left in self._reachable(order):
            if left is None or wanted <= left:
                return True
            wanted = subtract(wanted, left)
        return False

    def queue_size(self, order: VenueOrder) -> Decimal | None:
        """Return the size displayed at the order's own price and side; None where unknown."""
        book = self.book
        if book is not None:
            return self._queue_in(book, order)
        quote = self._market.quote(self._id)
        if quote is None:
            return None
        best, size = (quote.bid, quote.bid_size) if order.is_buy else (quote.ask, quote.ask_size)
        if order.limit_at == best:
            return to_decimal(size) if size > 0.0 else None
        is_better = order.limit_at > best if order.is_buy else order.limit_at < best
        return ZERO if is_better else None

    def _queue_in(self, book: BookView, order: VenueOrder) -> Decimal | None:
        limit = order.limit_at
        depth = _FIRST_DEPTH
        while True:
            levels = book.bids(depth) if order.is_buy else book.asks(depth)
            for price, size in levels:
                if price == limit:
                    return to_decimal(size)
            if not levels:
                return ZERO
            worst = levels[-1][0]
            if worst < limit if order.is_buy else worst > limit:
                return ZERO  # the book shows that nobody is there
            if len(levels) < depth:
                return None  # beyond what the venue displays
            depth *= 8

    def _reachable(self, order: VenueOrder) -> Iterator[tuple[float, Decimal | None]]:
        """Yield (price, what is left there; None: unlimited) within the limit, best first."""
        limit = order.limit_at
        is_buy = order.is_buy
        for price, size in self._levels(for_buy=is_buy):
            if price > limit if is_buy else price < limit:
                return
            yield price, None if size is None else self._left(price, size, for_buy=is_buy)

    def _levels(self, *, for_buy: bool) -> Iterator[tuple[float, float | None]]:
        """Yield (price, displayed size; None: unknown) of the opposite side, best first."""
        book = self.book
        if book is not None:
            yield from _book_levels(book, for_buy=for_buy)
            return
        quote = self._market.quote(self._id)
        if quote is None:
            return
        price, size, other = (
            (quote.ask, quote.ask_size, quote.bid_size)
            if for_buy
            else (quote.bid, quote.bid_size, quote.ask_size)
        )
        if size > 0.0:
            yield price, size
        elif other <= 0.0 and price != 0.0:
            yield price, None

    def _left(self, price: float, size: float, *, for_buy: bool) -> Decimal | None:
        displayed = self._fills.displayed(self._instrument, size)
        if displayed is None:
            return None
        taken = self._taken_asks if for_buy else self._taken_bids
        return subtract(displayed, taken[price]) if price in taken else displayed


def _book_levels(book: BookView, *, for_buy: bool) -> Iterator[Level]:
    depth, seen = _FIRST_DEPTH, 0
    while True:
        levels = book.asks(depth) if for_buy else book.bids(depth)
        yield from levels[seen:]
        if len(levels) < depth:
            return
        depth, seen = depth * 8, depth
