"""One side of a central order book: prices in order, and at each price a queue of orders.

Best price and the next order in line are found at once; an order leaves its queue at once,
wherever it stands. Only the first order at a new price and the last at an old one move prices.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator

import msgspec


class BookOrder(msgspec.Struct, kw_only=True):
    """An order in the book, in whole units of the caller's choice; the book changes `remaining`.

    `quantity` is what it asked for on arrival. The owner matters to self-trade prevention only.
    """

    order_id: str
    owner: str
    is_buy: bool
    price: int
    quantity: int
    remaining: int


class PriceLevel:
    """The orders at one price, first come first; `quantity` is what they have left in all.

    An `OrderedDict` and not a `dict`: taking the first of a dict again and again passes over
    all that were taken before.
    """

    __slots__ = ("orders", "price", "quantity")

    def __init__(self, price: int) -> None:
        self.price = price
        self.quantity = 0
        self.orders: OrderedDict[str, BookOrder] = OrderedDict()


class BookSide:
    """The buy or the sell orders of a book."""

    __slots__ = ("_levels", "_ranks", "_sign")

    def __init__(self, *, is_buy: bool) -> None:
        self._sign = 1 if is_buy else -1
        self._ranks: list[int] = []  # sign x price, ascending: the best is last
        self._levels: dict[int, PriceLevel] = {}

    @property
    def best(self) -> int | None:
        """The best price, or None where nothing rests."""
        return self._ranks[-1] * self._sign if self._ranks else None

    def level(self, price: int) -> PriceLevel | None:
        """Return the orders at `price`, or None."""
        return self._levels.get(price)

    def within(self, limit: int) -> Iterator[PriceLevel]:
        """Go through the levels that an opposite order with this limit meets, best first.

        The side must not change meanwhile.
        """
        first = bisect_left(self._ranks, limit * self._sign)
        for place in range(len(self._ranks) - 1, first - 1, -1):
            yield self._levels[self._ranks[place] * self._sign]

    def levels(self) -> Iterator[PriceLevel]:
        """Go through all levels, best first; the side must not change meanwhile."""
        return (self._levels[rank * self._sign] for rank in reversed(self._ranks))

    def best_within(self, limit: int) -> PriceLevel | None:
        """Return the best level, if an opposite order with this limit meets it."""
        if not self._ranks or self._ranks[-1] < limit * self._sign:
            return None
        return self._levels[self._ranks[-1] * self._sign]

    def add(self, order: BookOrder) -> None:
        """Put an order last in the queue at its price."""
        level = self._levels.get(order.price)
        if level is None:
            level = self._levels[order.price] = PriceLevel(order.price)
            insort(self._ranks, order.price * self._sign)
        level.orders[order.order_id] = order
        level.quantity += order.remaining

    def shrink(self, order: BookOrder, by: int) -> None:
        """Take a part of a resting order; with nothing left it leaves the side."""
        level = self._levels[order.price]
        order.remaining -= by
        level.quantity -= by
        if order.remaining == 0:
            self._leave(level, order)

    def remove(self, order: BookOrder) -> None:
        """Take a resting order out; its `remaining` stays as it was."""
        level = self._levels[order.price]
        level.quantity -= order.remaining
        self._leave(level, order)

    def _leave(self, level: PriceLevel, order: BookOrder) -> None:
        del level.orders[order.order_id]
        if not level.orders:
            del self._levels[level.price]
            rank = level.price * self._sign
            if self._ranks[-1] == rank:
                self._ranks.pop()
            else:
                del self._ranks[bisect_left(self._ranks, rank)]
