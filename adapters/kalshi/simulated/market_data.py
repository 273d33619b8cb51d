"""What the public can read of the exchange."""

import msgspec

from adapters.kalshi.simulated.candle_history import PERIODS_M
from adapters.kalshi.simulated.domain import (
    Book,
    EventInfo,
    Market,
    MarketCandle,
    Refusal,
    SeriesInfo,
    Side,
    TickerState,
    Trade,
)
from adapters.kalshi.simulated.floor import Floor

_DAY_S = 86_400
_SECOND_NS = 1_000_000_000


class MarketData:
    """Reads; unknown markets, events and series are refused with 404."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def market(self, ticker: str) -> Market:
        """Return a market's definition and status."""
        return self._floor.market(ticker).market

    def markets(self) -> list[Market]:
        """Return all markets, oldest first."""
        return [traded.market for traded in self._floor.markets.values()]

    def has_market(self, ticker: str) -> bool:
        """Whether there is such a market."""
        return ticker in self._floor.markets

    def ticker(self, ticker: str) -> TickerState:
        """Return a market's prices and sums as they are now."""
        return self._floor.market(ticker).ticker

    def previous_ticker(self, ticker: str) -> TickerState:
        """Return what a market's ticker was a day ago, to the hour; prices only."""
        traded = self._floor.market(ticker)
        empty = TickerState(market_ticker=ticker, market_id=traded.market.market_id)
        since_s = self._day_ago_s()
        hours = [hour for hour in traded.candles.candles(60) if hour.end_s <= since_s]
        if not hours:
            return empty
        last = hours[-1]
        return msgspec.structs.replace(
            empty,
            price=last.price.close if last.price else last.previous or 0,
            yes_bid=last.yes_bid.close,
            yes_ask=last.yes_ask.close,
            time_ns=last.end_s * _SECOND_NS,
        )

    def volume_24h(self, ticker: str) -> int:
        """Return the count that traded within a day, to the hour."""
        hours = self._floor.market(ticker).candles.candles(60)
        return sum(hour.volume for hour in hours if hour.end_s > self._day_ago_s())

    def book(self, ticker: str, depth: int = 0) -> Book:
        """Return both ladders, ascending: `depth` best levels of each, 0 for all."""
        return self._floor.market(ticker).snapshot(depth)

    def level(self, ticker: str, side: Side, price: int) -> int:
        """Return what rests at a price of a ladder, the price being of that leg."""
        return self._floor.market(ticker).ladders[side].get(price, 0)

    def trades(
        self, ticker: str = "", min_ns: int | None = None, max_ns: int | None = None
    ) -> list[Trade]:
        """Return the trades of a market, or of all, newest first; both bounds are included."""
        markets = [self._floor.market(ticker)] if ticker else list(self._floor.markets.values())
        found = [
            trade
            for traded in markets
            for trade in reversed(traded.trades)
            if (min_ns is None or trade.time_ns >= min_ns)
            and (max_ns is None or trade.time_ns <= max_ns)
        ]
        return sorted(found, key=lambda trade: -trade.time_ns)

    def candles(
        self, ticker: str, period_minutes: int, start_s: int, end_s: int
    ) -> list[MarketCandle]:
        """Return the candles whose end lies within both bounds, oldest first.

        Raises:
            Refusal: 400 for a period other than 1, 60 and 1 440 minutes.
        """
        if period_minutes not in PERIODS_M:
            raise Refusal(400, "invalid_parameters", f"no candles of {period_minutes} minutes")
        candles = self._floor.market(ticker).candles.candles(period_minutes)
        return [candle for candle in candles if start_s <= candle.end_s <= end_s]

    def events(self) -> list[EventInfo]:
        """Return all events, oldest first."""
        return list(self._floor.events.values())

    def event(self, event_ticker: str) -> EventInfo:
        """Return an event."""
        return self._floor.event(event_ticker)

    def markets_of(self, event_ticker: str) -> list[Market]:
        """Return an event's markets, oldest first."""
        event = self._floor.event(event_ticker)
        return [market for market in self.markets() if market.event_ticker == event.event_ticker]

    def series(self, ticker: str) -> SeriesInfo:
        """Return a series."""
        series = self._floor.series.get(ticker)
        if series is None:
            raise Refusal(404, "not_found", f"no series {ticker!r}")
        return series

    def all_series(self) -> list[SeriesInfo]:
        """Return all series, oldest first."""
        return list(self._floor.series.values())

    def _day_ago_s(self) -> int:
        return self._floor.clock.now_ns // _SECOND_NS - _DAY_S
