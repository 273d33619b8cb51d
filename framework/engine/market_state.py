"""The newest market state per instrument, read from where the bus keeps it anyway."""

from framework.bus.bus import Bus
from framework.interfaces import BookView
from framework.market.fast_book import FastOrderBook
from framework.market.latest import newest_price
from framework.model.market_data import Candle, MarkPrice, Quote, Trade


class MarketState:
    """Answers `MarketView` from the routes of the bus and the books of the core."""

    def __init__(self, bus: Bus, books: dict[str, FastOrderBook]) -> None:
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
        """Return the price that `framework.market.latest` picks of the newest values."""
        return newest_price(
            self.quote(instrument),
            self._books.get(instrument),
            self.trade(instrument),
            self.candle(instrument),
        )
