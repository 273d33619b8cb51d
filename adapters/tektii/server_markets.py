"""The gateway's prices: quotes and bars, as answers and as what frames carry (spec 6.8, 7.5)."""

from decimal import Decimal

import msgspec

from adapters.tektii import wire
from adapters.tektii.server_bars import Bars
from adapters.tektii.server_errors import invalid, missing, symbol_not_found, unavailable
from adapters.tektii.server_queries import optional_time, rows_wanted
from adapters.tektii.server_settings import Place
from adapters.tektii.words import TIMEFRAMES, plain_float, time_text
from framework.errors import UnknownInstrument
from framework.model.desk import Verb
from framework.model.market_data import Candle, Quote, Trade
from framework.server.door import Answer, Call, Route

QUOTE_RETRY_S = 1.0


class BarsQuery(msgspec.Struct, frozen=True):
    """Which bars: those that open from `start` to `end`, both inclusive (7.5)."""

    timeframe: str
    start: str | None = None
    end: str | None = None
    limit: int | None = None


class MarketRoutes:
    """Quotes and bars of every symbol."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._bars = Bars(place.desk)

    def routes(self) -> list[Route]:
        """Return the operations."""
        return [
            Route("GET", "/v1/quotes/{symbol}", self.quote, Verb.MARKET, {200: wire.Quote},
                  "The newest quote of a symbol"),
            Route("GET", "/v1/bars/{symbol}", self.bars, Verb.MARKET, {200: list[wire.Bar]},
                  "Closed bars of a symbol, oldest first", query=BarsQuery),
        ]  # fmt: skip

    async def quote(self, call: Call) -> Answer:
        """Return the newest quote; of a symbol nobody asked for before, the first that comes."""
        symbol, place = call.path["symbol"], self._place
        refusal = place.scenarios.scenario(symbol, is_order=False)
        if refusal is not None:
            raise refusal
        instrument = self._instrument(symbol)
        try:
            quote = await place.desk.quote(call.principal, instrument)
        except UnknownInstrument:
            raise symbol_not_found(symbol) from None
        if quote is None:
            raise unavailable(f"There is no price of {symbol!r} yet", QUOTE_RETRY_S)
        trade = place.desk.market.trade(instrument)
        return Answer(quote_body(quote, trade, symbol, place.platform_of(instrument)))

    async def bars(self, call: Call) -> Answer:
        """Return closed bars, oldest first."""
        symbol, place = call.path["symbol"], self._place
        asked: BarsQuery = call.query
        timeframe = asked.timeframe
        if timeframe not in TIMEFRAMES:
            raise missing("timeframe", f"timeframe must be one of {', '.join(TIMEFRAMES)}")
        start_ns = optional_time(asked.start, "start")
        end_ns = optional_time(asked.end, "end")
        if start_ns is not None and end_ns is not None and start_ns > end_ns:
            raise invalid("start", asked.start, "must not be after end")
        limit = None if asked.limit is None else rows_wanted(asked.limit)
        instrument = self._instrument(symbol)
        try:
            await place.desk.instrument(call.principal, instrument)
            candles = await self._bars.read(
                call.principal, instrument, timeframe, start_ns=start_ns, end_ns=end_ns, limit=limit
            )
        except UnknownInstrument:
            raise symbol_not_found(symbol) from None
        platform = place.platform_of(instrument)
        return Answer([bar_body(candle, symbol, platform) for candle in candles])

    def _instrument(self, symbol: str) -> str:
        if not 0 < len(symbol) <= self._place.settings.longest_symbol:
            raise symbol_not_found(symbol)
        return self._place.instrument_id(symbol)


# -- bodies ------------------------------------------------------------------------------------


def quote_body(quote: Quote, trade: Trade | None, symbol: str, platform: str) -> wire.Quote:
    """Return a quote on the wire; `last` is the newest trade's price, the mid where there is none.

    Sizes are left out where the source has none.
    """
    bid, ask = quote.bid, quote.ask
    bid_size, ask_size = quote.bid_size, quote.ask_size
    has_sizes = bid_size != 0.0 or ask_size != 0.0
    return wire.Quote(
        symbol,
        platform,
        plain_float(bid),
        plain_float(ask),
        mid_text(bid, ask) if trade is None else plain_float(trade.price),
        time_text(quote.time_ns),
        plain_float(bid_size) if has_sizes else None,
        plain_float(ask_size) if has_sizes else None,
    )


def bar_body(candle: Candle, symbol: str, platform: str) -> wire.Bar:
    """Return a candle on the wire, under the time at which it opened."""
    return wire.Bar(
        symbol,
        platform,
        candle.interval,
        time_text(candle.open_ns),
        plain_float(candle.open),
        plain_float(candle.high),
        plain_float(candle.low),
        plain_float(candle.close),
        plain_float(candle.volume),
    )


def mid_text(bid: float, ask: float) -> str:
    """Return the mid of two prices, of which only one may be there, to 15 digits."""
    if bid <= 0.0 or ask <= 0.0:
        return plain_float(max(bid, ask))
    text = f"{(bid + ask) / 2:.15g}"  # the sum's last bits are noise: 1.13 + 1.14 is 2.2699999...
    return format(Decimal(text), "f") if "e" in text else text
