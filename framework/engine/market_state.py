"""The newest market state per instrument, read from where the bus keeps it anyway."""

from framework.bus.bus import Bus
from framework.bus.routes import Route
from framework.interfaces import BookView
from framework.market.fast_book import FastOrderBook
from framework.market.latest import newest_price
from framework.model.market_data import Candle, MarkPrice, Quote, Trade


class MarketState:
    """Answers `MarketView` from the routes of the bus and the books of the core."""

    def __init__(self, bus: Bus, books: dict[str, FastOrderBook]) -> None:
        self._bus = bus
        self._books = books
        self._sources: dict[str, tuple[Route, Route, list[Route]]] = {}

    def quote(self, instrument: str) -> Quote | None:
        """Return the newest quote."""
        sources = self._sources.get(instrument)
        quote: Quote | None = (
            self._bus.newest(Quote, instrument) if sources is None else sources[0].newest
        )
        return quote

    def trade(self, instrument: str) -> Trade | None:
        """Return the newest trade."""
        sources = self._sources.get(instrument)
        trade: Trade | None = (
            self._bus.newest(Trade, instrument) if sources is None else sources[1].newest
        )
        return trade

    def candle(self, instrument: str) -> Candle | None:
        """Return the candle, of any interval, that says the newest; a forming one too."""
        return _newest(self._bus.topic(Candle).routes_by_first.get(instrument, []))

    def book(self, instrument: str) -> BookView | None:
        """Return the order book, synced or not."""
        return self._books.get(instrument)

    def mark_price(self, instrument: str) -> MarkPrice | None:
        """Return the newest mark price."""
        mark: MarkPrice | None = self._bus.newest(MarkPrice, instrument)
        return mark

    def reference_price(self, instrument: str) -> float | None:
        """Return the price that `framework.market.latest` picks of the newest values."""
        sources = self._sources.get(instrument)
        if sources is None:  # the routes stay: every order asks again
            topic = self._bus.topic
            candles = topic(Candle).routes_by_first.setdefault(instrument, [])
            sources = topic(Quote).open(instrument), topic(Trade).open(instrument), candles
            self._sources[instrument] = sources
        quotes, trades, candles = sources
        candle = _newest(candles) if candles else None
        return newest_price(quotes.newest, self._books.get(instrument), trades.newest, candle)


def _newest(routes: list[Route]) -> Candle | None:
    """Return the candle, of any interval, that says the newest."""
    if len(routes) == 1:
        first: Candle | None = routes[0].newest
        return first
    candles = [route.newest for route in routes if route.newest is not None]
    return max(candles, key=lambda candle: candle.time_ns, default=None)
