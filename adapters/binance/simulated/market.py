"""One symbol of the simulated venue: its book, and the numbers under which its changes go out."""

import msgspec

from adapters.binance.simulated.domain import Listing
from adapters.binance.simulated.klines import Klines
from framework.simulation.central_book import CentralBook

Levels = tuple[tuple[int, int], ...]


class DepthChange(msgspec.Struct, frozen=True):
    """The levels that changed in the updates `first`..`last`, with their size at `last`."""

    first: int
    last: int
    bids: Levels
    asks: Levels


class Market:
    """A book whose every level change takes a number."""

    def __init__(self, listing: Listing, klines: Klines, *, first_update_id: int) -> None:
        self.listing = listing
        self.klines = klines
        self.book = CentralBook()
        self.update_id = first_update_id
        self.last_price = listing.start_price
        self.trade_count = 0
        self._told_id = first_update_id
        self._changed: dict[tuple[bool, int], None] = {}
        self._best: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    def touch(self, is_buy: bool, price: int) -> None:
        """Take note that a level changed."""
        self.update_id += 1
        self._changed[is_buy, price] = None

    def take_change(self) -> DepthChange | None:
        """Return what changed since the last call, None if nothing did."""
        if not self._changed:
            return None
        changed, self._changed = self._changed, {}
        sides: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        for is_buy, price in changed:
            sides[is_buy].append((price, self.book.quantity_at(is_buy, price)))
        change = DepthChange(
            self._told_id + 1, self.update_id, tuple(sides[True]), tuple(sides[False])
        )
        self._told_id = self.update_id
        return change

    def levels(self, depth: int) -> tuple[Levels, Levels]:
        """Return bids and asks, best first."""
        return tuple(self.book.levels(True)[:depth]), tuple(self.book.levels(False)[:depth])

    def take_best(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Return best bid and ask as (price, quantity) if they changed since the last call."""
        best = self._side(True), self._side(False)
        if best == self._best:
            return None
        self._best = best
        return best

    def _side(self, is_buy: bool) -> tuple[int, int]:
        price = self.book.best_bid() if is_buy else self.book.best_ask()
        return (0, 0) if price is None else (price, self.book.quantity_at(is_buy, price))
