"""What the feed reads by REST: definitions of markets, and past candles."""

from collections.abc import Sequence
from decimal import Decimal

from adapters.kalshi.ladders import CONTRACT, DOLLAR
from adapters.kalshi.messages import PriceRange as Step
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.rest_values import Market, MarketCandle
from adapters.kalshi.settings import CENT, ONE_CONTRACT
from framework.errors import VenueError
from framework.interfaces import Clock
from framework.model.decimals import ONE, ZERO, divide, subtract
from framework.model.identity import instrument_id
from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.market_data import Candle

PERIODS = {"1m": 1, "1h": 60, "1d": 1440}  # minutes: what the venue has
MINUTE_NS = 60_000_000_000
NS_PER_S = 1_000_000_000
MOST_CANDLES = 5_000  # of one answer, by the venue's word
MOST_TICKERS = 100  # of one question
PRICE_UNIT = Decimal(DOLLAR)


class MarketReads:
    """Reads of one venue, in the core's words."""

    def __init__(self, rest: KalshiRest, clock: Clock) -> None:
        self._rest = rest
        self._clock = clock

    async def markets(self, tickers: Sequence[str]) -> list[Market]:
        """Return the venue's definitions of these markets; those it does not have are missing."""
        found: list[Market] = []
        for first in range(0, len(tickers), MOST_TICKERS):
            chunk = list(tickers[first : first + MOST_TICKERS])
            found += [market async for market in self._rest.markets(tickers=chunk)]
        return found

    async def candles(
        self, ticker: str, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """Return the last `limit` closed candles with `close_ns <= end_ns`, oldest first.

        Raises:
            VenueError: the venue has no candles of that interval, or gave no answer.
        """
        period = PERIODS.get(interval)
        if period is None:
            raise VenueError(f"Kalshi has candles of {', '.join(PERIODS)}, not {interval!r}")
        length_ns = period * MINUTE_NS
        end_ns = min(end_ns, self._clock.now_ns) // length_ns * length_ns
        begin_ns = max(0, end_ns - limit * length_ns)
        found: list[MarketCandle] = []
        for from_ns in range(begin_ns, end_ns, MOST_CANDLES * length_ns):
            to_ns = min(end_ns, from_ns + MOST_CANDLES * length_ns)
            found += await self._page(ticker, from_ns, to_ns, period)
        candles = _series(found, instrument, interval, length_ns, begin_ns, end_ns)
        return candles[-limit:]

    async def _page(self, ticker: str, from_ns: int, to_ns: int, period: int) -> list[MarketCandle]:
        """Return the candles that end after `from_ns` and not after `to_ns`."""
        pages = await self._rest.candlesticks_of(
            [ticker], from_ns // NS_PER_S + 1, to_ns // NS_PER_S, period
        )
        return pages.get(ticker, [])


def _series(
    found: list[MarketCandle],
    instrument: str,
    interval: str,
    length_ns: int,
    begin_ns: int,
    end_ns: int,
) -> list[Candle]:
    """Return one candle per period from the first that has a price on.

    Nothing may have traded in a period: it is flat at the price before it.

    Raises:
        VenueError: the venue's periods end at other times than ours.
    """
    ends = {candle.end_ns: candle for candle in sorted(found, key=lambda candle: candle.end_ns)}
    if any(at_ns % length_ns for at_ns in ends):
        raise VenueError(f"Kalshi's candles of {interval} end at other times than periods of UTC")
    candles: list[Candle] = []
    last = next((candle.price.previous for candle in ends.values()), None)
    for close_ns in range(begin_ns + length_ns, end_ns + 1, length_ns):
        candle = ends.get(close_ns)
        prices = None if candle is None else candle.price
        if prices is not None and None not in (prices.open, prices.high, prices.low, prices.close):
            line = (prices.open, prices.high, prices.low, prices.close)
            last = prices.close
        else:
            line = (last, last, last, last)
        if last is None:
            continue
        open_, high, low, close = ((price or 0) / DOLLAR for price in line)
        candles.append(
            Candle(
                instrument,
                close_ns,
                close_ns,
                interval,
                close_ns - length_ns,
                close_ns,
                open_,
                high,
                low,
                close,
                0.0 if candle is None else candle.volume / CONTRACT,
            )
        )
    return candles


def instrument_of(market: Market, venue: str) -> Instrument:
    """Return a market as an instrument: its yes contract, on the grid that it names."""
    ranges = tuple(
        PriceRange(low=_dollars(step.start), tick=_dollars(step.step))
        for step in _merged(market.price_ranges)
    )
    lowest = ranges[0].low or ranges[0].tick if ranges else CENT
    highest = subtract(ONE, ranges[-1].tick if ranges else CENT)
    return Instrument(
        id=instrument_id(venue, market.ticker),
        currency="USD",
        kind=InstrumentKind.BINARY,
        base=market.ticker,
        ranges=ranges or (PriceRange(low=ZERO, tick=CENT),),
        lot=CENT if market.is_fractional else ONE_CONTRACT,
        minimum_price=lowest,
        maximum_price=highest,
        expiry_ns=market.close_ns or None,
    )


def _merged(steps: Sequence[Step]) -> list[Step]:
    """Return the ranges by rising price, without those that only repeat the tick before."""
    merged: list[Step] = []
    for step in sorted(steps, key=lambda step: step.start):
        if not merged or merged[-1].step != step.step:
            merged.append(step)
    return merged


def _dollars(price: int) -> Decimal:
    return divide(Decimal(price), PRICE_UNIT)
