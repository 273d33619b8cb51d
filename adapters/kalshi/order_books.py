"""Whole order books for consumers: each an object of its own that nothing changes later."""

import msgspec

from adapters.kalshi.codec import Frame
from adapters.kalshi.ladders import DOLLAR, BookState, Ladders
from adapters.kalshi.messages import Book, Levels
from adapters.kalshi.units import dollars_of_price, text_of_count


class MarketBook(msgspec.Struct, frozen=True, gc=False):
    """All resting bids of one market, best first: (price, count) per level, one per price.

    Prices are integers of 1/10_000 dollar, of the yes contract in `yes` and of the no contract
    in `no`, whatever scale the wire had; counts are of 1/100 contract. `seq` is the number of the
    frame that it is as of, None where the frame had none.
    """

    market_ticker: str
    yes: Levels
    no: Levels
    seq: int | None
    received_ns: int

    @property
    def bids(self) -> Levels:
        """Bids for the yes contract, best first."""
        return self.yes

    @property
    def asks(self) -> Levels:
        """Offers of the yes contract, best first: the no bids at 1 - price."""
        return tuple((DOLLAR - price, count) for price, count in self.no)

    @property
    def best_bid(self) -> tuple[int, int] | None:
        """Price and count of the best bid for the yes contract."""
        return self.yes[0] if self.yes else None

    @property
    def best_ask(self) -> tuple[int, int] | None:
        """Price and count of the best offer of the yes contract."""
        if not self.no:
            return None
        price, count = self.no[0]
        return DOLLAR - price, count


class InvalidBook(msgspec.Struct, frozen=True, gc=False):
    """A market's book cannot be trusted, and why; the next `MarketBook` of it can."""

    market_ticker: str
    state: BookState
    reason: str


def market_book(ladders: Ladders, seq: int | None, received_ns: int) -> MarketBook | None:
    """Return the book as it is now; None while it cannot be trusted (B3)."""
    yes, no = ladders.bids("yes"), ladders.bids("no")
    if yes is None or no is None:
        return None
    if ladders.is_yes_priced:
        no = [(DOLLAR - price, count) for price, count in reversed(no)]
    return MarketBook(ladders.market, tuple(yes), tuple(no), seq, received_ns)


def snapshot_frame(ladders: Ladders, market_id: str) -> Frame | None:
    """Return a live book as the snapshot frame that somebody who comes later did not hear.

    It is of our making: it has no number, and no sid.
    """
    yes, no = ladders.bids("yes"), ladders.bids("no")
    if yes is None or no is None:
        return None
    body = {
        "market_ticker": ladders.market,
        "market_id": market_id,
        "yes_dollars_fp": [(dollars_of_price(price), text_of_count(count)) for price, count in yes],
        "no_dollars_fp": [(dollars_of_price(price), text_of_count(count)) for price, count in no],
    }
    raw = msgspec.json.encode({"type": "orderbook_snapshot", "msg": body})
    book = Book(ladders.market, market_id, tuple(yes), tuple(no))
    return Frame("orderbook_snapshot", None, None, None, book, raw)
