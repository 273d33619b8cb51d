"""The newest market state per instrument, read from where the bus keeps it anyway."""

from framework.bus.bus import Bus
from framework.interfaces import BookView
from framework.model.market_data import Candle, MarkPrice, Quote, Trade


class MarketState:
    """Answers `MarketView` from the routes of the bus and the books of the core."""

    def __init__(self, bus: Bus, books: dict[str, BookView]) -> None:
        self._bus = bus
        self._books = books

    def quote(self, instrument: str) -> Quote | None:
        """Return the newest quote."""
        quote: Quote | None = self._bus.newest(Quote, instrument)
        return quote

    def trade(self, instrument: str) -> Trade | None:
        """Return the newest trade."""
        trade: Trade | None = self._bus.newest(Trade, instrument)
        return trade

    def candle(self, instrument: str) -> Candle | None:
        """Return the candle, of any interval, that says the newest; a forming one too."""
        newest: Candle | None = None
        for route in self._bus.routes(Candle):
            candle = route.newest
            if (
                candle is not None
                and route.key[0] == instrument
                and (newest is None or candle.time_ns > newest.time_ns)
            ):
                newest = candle
        return newest

    def book(self, instrument: str) -> BookView | None:
        """Return the order book, synced or not."""
        return self._books.get(instrument)

    def mark_price(self, instrument: str) -> MarkPrice | None:
        """Return the newest mark price."""
        mark: MarkPrice | None = self._bus.newest(MarkPrice, instrument)
        return mark

    def reference_price(self, instrument: str) -> float | None:
        """Return the newest of quote mid, trade, candle close and, failing these, book mid."""
        price: float | None = None
        time_ns = -1
        candle = self.candle(instrument)
        if candle is not None:
            price, time_ns = candle.close, candle.time_ns
        trade = self.trade(instrument)
        if trade is not None and trade.time_ns >= time_ns:
            price, time_ns = trade.price, trade.time_ns
        quote = self.quote(instrument)
        if quote is not None and quote.time_ns >= time_ns:
            price = (quote.bid + quote.ask) / 2
        if price is None and (book := self._books.get(instrument)) is not None:
            bid, ask = book.best_bid, book.best_ask
            if bid is not None and ask is not None:
                price = (bid[0] + ask[0]) / 2
        return price
