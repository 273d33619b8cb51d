"""The newest market state of every instrument: what `interfaces.MarketView` reads."""

from collections.abc import Callable
from decimal import Decimal

from framework.errors import StreamError
from framework.market.fast_book import FastOrderBook
from framework.model.events import Event, GapDetected, Resynced
from framework.model.market_data import (
    BookDelta,
    BookSnapshot,
    Candle,
    MarkPrice,
    Quote,
    Trade,
)


def no_tick(_instrument: str) -> Decimal | None:
    """Key books by the floats as they come."""
    return None


class LatestValues:
    """Newest quote, trade, closed candle, mark price and book per instrument.

    An event older by `time_ns` than what is held is passed over; at equal times the later
    arrival counts. A candle is the newest closed one, of whatever interval. `tick_of` gives the
    grid on which an instrument's book is keyed.
    """

    def __init__(self, *, tick_of: Callable[[str], Decimal | None] = no_tick) -> None:
        self._tick_of = tick_of
        self._quotes: dict[str, Quote] = {}
        self._trades: dict[str, Trade] = {}
        self._candles: dict[str, Candle] = {}
        self._mark_prices: dict[str, MarkPrice] = {}
        self._books: dict[str, FastOrderBook] = {}
        self._recorders: dict[type, Callable[..., None]] = {
            Quote: self.record_quote,
            Trade: self.record_trade,
            Candle: self.record_candle,
            MarkPrice: self.record_mark_price,
            BookSnapshot: self.record_snapshot,
            BookDelta: self.record_delta,
            GapDetected: self._record_gap,
            Resynced: self._record_resynced,
        }

    def record(self, event: Event) -> None:
        """Take one event; kinds without a value here are passed over.

        Raises:
            StreamError: a book message with bad levels; its book is no longer synced.
        """
        recorder = self._recorders.get(event.__class__)
        if recorder is not None:
            recorder(event)

    def record_quote(self, quote: Quote) -> None:
        """Take a quote: `record` without the look-up of its kind."""
        held = self._quotes.get(quote.instrument)
        if held is None or quote.time_ns >= held.time_ns:
            self._quotes[quote.instrument] = quote

    def record_trade(self, trade: Trade) -> None:
        """Take a trade: `record` without the look-up of its kind."""
        held = self._trades.get(trade.instrument)
        if held is None or trade.time_ns >= held.time_ns:
            self._trades[trade.instrument] = trade

    def record_candle(self, candle: Candle) -> None:
        """Take a candle: `record` without the look-up of its kind. Forming ones do not count."""
        if not candle.is_closed:
            return
        held = self._candles.get(candle.instrument)
        if held is None or candle.time_ns >= held.time_ns:
            self._candles[candle.instrument] = candle

    def record_mark_price(self, mark: MarkPrice) -> None:
        """Take a mark price: `record` without the look-up of its kind."""
        held = self._mark_prices.get(mark.instrument)
        if held is None or mark.time_ns >= held.time_ns:
            self._mark_prices[mark.instrument] = mark

    def record_snapshot(self, snapshot: BookSnapshot) -> None:
        """Apply a snapshot to its book, which exists from the first one on."""
        name = snapshot.instrument
        book = self._books.get(name)
        if book is None:
            book = self._books[name] = FastOrderBook(name, tick=self._tick_of(name))
        try:
            book.apply_snapshot(snapshot)
        except StreamError:
            book.mark_stale()
            raise

    def record_delta(self, delta: BookDelta) -> None:
        """Apply a delta to its book; without a snapshot before it there is none."""
        book = self._books.get(delta.instrument)
        if book is None:
            return
        try:
            book.apply_delta(delta)
        except StreamError:
            book.mark_stale()
            raise

    def quote(self, instrument: str) -> Quote | None:
        """Return the newest quote."""
        return self._quotes.get(instrument)

    def trade(self, instrument: str) -> Trade | None:
        """Return the newest trade."""
        return self._trades.get(instrument)

    def candle(self, instrument: str) -> Candle | None:
        """Return the newest closed candle of any interval."""
        return self._candles.get(instrument)

    def book(self, instrument: str) -> FastOrderBook | None:
        """Return the book, synced or not."""
        return self._books.get(instrument)

    def mark_price(self, instrument: str) -> MarkPrice | None:
        """Return the newest mark price."""
        return self._mark_prices.get(instrument)

    def reference_price(self, instrument: str) -> float | None:
        """Return the newest of mid quote, book mid, last trade, candle close, by event time.

        At equal times the first of that list counts. One-sided quotes, and books that are
        not synced or one-sided, do not count.
        """
        best_ns, price = -1, None
        quote = self._quotes.get(instrument)
        if quote is not None and is_two_sided(quote):
            best_ns, price = quote.time_ns, (quote.bid + quote.ask) / 2
        book = self._books.get(instrument)
        if book is not None and book.is_synced and book.time_ns > best_ns:
            mid = book.mid
            if mid is not None:
                best_ns, price = book.time_ns, mid
        trade = self._trades.get(instrument)
        if trade is not None and trade.time_ns > best_ns:
            best_ns, price = trade.time_ns, trade.price
        candle = self._candles.get(instrument)
        if candle is not None and candle.time_ns > best_ns:
            price = candle.close
        return price

    def _record_gap(self, gap: GapDetected) -> None:
        book = self._books.get(gap.instrument)
        if book is not None:
            book.mark_stale()

    def _record_resynced(self, resynced: Resynced) -> None:
        """Nothing to do: the snapshot before it has synced the book already."""


def is_two_sided(quote: Quote) -> bool:
    """Whether both sides are quoted: one size of zero beside another means that nobody does.

    Sources without sizes leave both at zero.
    """
    return (
        quote.bid > 0.0 and quote.ask > 0.0 and (quote.bid_size == 0.0) == (quote.ask_size == 0.0)
    )
