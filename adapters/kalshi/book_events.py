"""Books of the session as events of the core: numbered by us, one counter per instrument.

The venue numbers subscriptions, not books, so that its numbers say nothing about one market. What
the session applies is in order; here each market gets numbers without holes, and a loss is told
as `GapDetected` at once, `Resynced` with the snapshot that ends it.
"""

from adapters.kalshi.actions import BookApplied, BookInvalid, LevelApplied
from adapters.kalshi.ladders import Ladders
from adapters.kalshi.messages import Book, Level
from framework.model.events import GapDetected, Resynced
from framework.model.market_data import BookDelta, BookSnapshot

BookEvent = BookSnapshot | BookDelta | GapDetected | Resynced
STREAM = "orderbook_delta"


class BookNumbers:
    """The counters of all books of one feed."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}  # the newest, by market
        self._lost: set[str] = set()  # markets whose loss was told

    def snapshot(
        self, applied: BookApplied, ladders: Ladders, instrument: str, received_ns: int
    ) -> list[BookEvent]:
        """Return a whole book, and that it is true again if it was said not to be."""
        message, levels = applied.frame.message, ladders.yes_leg()
        assert isinstance(message, Book)
        assert levels is not None  # it was applied just now
        market = message.market_ticker
        number = self._numbers[market] = self._numbers.get(market, 0) + 1
        bids, asks = levels
        events: list[BookEvent] = [
            BookSnapshot(instrument, received_ns, received_ns, number, bids, asks)
        ]
        if market in self._lost:
            self._lost.discard(market)
            events.append(Resynced(instrument, STREAM, number, received_ns))
        return events

    def delta(
        self, applied: LevelApplied, ladders: Ladders, instrument: str, received_ns: int
    ) -> BookDelta:
        """Return the new size of one level."""
        level = applied.frame.message
        assert isinstance(level, Level)
        market = level.market_ticker
        number = self._numbers[market] = self._numbers.get(market, 0) + 1
        time_ns = received_ns if level.time_ns is None else min(level.time_ns, received_ns)
        is_bid, change = ladders.on_yes_leg(level.side, level.price, applied.count)
        bids, asks = ((change,), ()) if is_bid else ((), (change,))
        return BookDelta(instrument, time_ns, received_ns, number, number, bids, asks)

    def loss(self, invalid: BookInvalid, instrument: str, now_ns: int) -> GapDetected | None:
        """Return that a book cannot be trusted, once until it can; None: that was said."""
        market = invalid.market
        if market in self._lost or market not in self._numbers:
            return None
        self._lost.add(market)
        expected = self._numbers[market] + 1
        return GapDetected(instrument, STREAM, expected, expected + 1, now_ns)
