"""One symbol of a market that has any: its quotes, trades and candles at any time, without a state.

    half-spread  the larger of 0.01 and 0.01 % of the last price; sizes of 100
    last         the price of the newest trade; every step is one

A candle opens at the price that stood when its time began, and closes at the one that stood when it
ended, which is where the next one opens.
"""

from decimal import Decimal
from random import Random

import msgspec

from adapters.mock.fractal import FractalPath, Stretch
from adapters.mock.process import Grid
from adapters.mock.settings import interval_ns
from framework.model.decimals import parse
from framework.model.instrument import Instrument
from framework.model.market_data import Candle, Quote, Trade

START_PRICES = {
    "AAPL": 150.0, "MSFT": 400.0, "GOOG": 170.0, "GOOGL": 170.0, "AMZN": 180.0, "TSLA": 250.0,
    "NVDA": 800.0, "BTCUSD": 50_000.0, "BTC/USD": 50_000.0, "ETHUSD": 3_000.0, "ETH/USD": 3_000.0,
    "EURUSD": 1.08, "EUR/USD": 1.08, "GBPUSD": 1.27, "GBP/USD": 1.27, "USDJPY": 150.0,
    "USD/JPY": 150.0,
}  # fmt: skip
"""Where well-known symbols start; upper or lower case does not matter."""

OTHER_START = 100.0
VOLATILITY = 2.0  # of a year: about 0.025 % per half second
DISPLAYED = 100.0
SMALLEST_HALF_SPREAD = 0.01
HALF_SPREAD = 0.000_1  # of the price
FINEST_TICK = Decimal("0.0001")
MONDAY_NS = 4 * 86_400 * 1_000_000_000  # the first one after 1970 began
WEEK_NS = 7 * 86_400 * 1_000_000_000


class Steps(msgspec.Struct, frozen=True):
    """When the market moves: at `origin_ns` and every `step_ns` from there on."""

    origin_ns: int
    step_ns: int

    def at(self, time_ns: int) -> int:
        """Return the number of the last step at or before an instant."""
        return (time_ns - self.origin_ns) // self.step_ns

    def time_ns(self, step: int) -> int:
        """Return when a step is."""
        return self.origin_ns + step * self.step_ns


class SymbolMarket:
    """Everything that can be known of one symbol's prices."""

    __slots__ = ("_grid", "_half_spread", "_id", "_steps", "definition", "path")

    def __init__(
        self,
        definition: Instrument,
        steps: Steps,
        *,
        random: Random,
        start_price: float,
        volatility: float,
    ) -> None:
        self.definition = definition
        self._id = definition.id
        self._steps = steps
        tick = tick_of(start_price)
        self._grid = Grid(tick)
        self._half_spread = max(1, round(SMALLEST_HALF_SPREAD / float(tick)))
        self.path = FractalPath(
            seed=random.getrandbits(64),
            start_ticks=round(start_price / float(tick)),
            volatility=volatility,
            step_ns=steps.step_ns,
        )

    def quote(self, step: int, received_ns: int) -> Quote:
        """Return what is quoted from a step on."""
        return self.quote_at(self.path.price(step), self._steps.time_ns(step), received_ns)

    def quote_at(self, ticks: int, time_ns: int, received_ns: int) -> Quote:
        """Return what is quoted around a last price."""
        half = max(self._half_spread, round(ticks * HALF_SPREAD))
        value = self._grid.value
        bid, ask = value(max(1, ticks - half)), value(ticks + half)
        return Quote(self._id, time_ns, received_ns, bid, ask, DISPLAYED, DISPLAYED)

    def trade_at(self, move: Stretch, time_ns: int, received_ns: int) -> Trade:
        """Return the trade that a step is."""
        price = self._grid.value(move.close)
        return Trade(self._id, time_ns, received_ns, price, float(move.volume))

    def candle(self, interval: str, open_ns: int, close_ns: int) -> Candle | None:
        """Return a closed candle; None where the path does not reach."""
        first, last = self._steps.at(open_ns), self._steps.at(close_ns)
        if not (self.path.is_within(first) and self.path.is_within(last)):
            return None
        part = self.path.stretch(first, last)
        return self.candle_of(part, interval, open_ns, close_ns, time_ns=close_ns)

    def forming(self, interval: str, now_ns: int) -> "Forming":
        """Return the candle of an interval that has not closed yet."""
        length_ns, shift_ns = grid_of(interval)
        open_ns = opening(now_ns, length_ns, shift_ns)
        part = self.path.stretch(self._steps.at(open_ns), self._steps.at(now_ns))
        return Forming(interval, length_ns, shift_ns, open_ns, part)

    def candle_of(
        self,
        part: Stretch,
        interval: str,
        open_ns: int,
        close_ns: int,
        *,
        time_ns: int,
        received_ns: int | None = None,
    ) -> Candle:
        """Return a stretch as a candle, closed where its time is over."""
        value = self._grid.value
        return Candle(
            self._id,
            time_ns,
            time_ns if received_ns is None else received_ns,
            interval,
            open_ns,
            close_ns,
            value(part.open),
            value(part.high),
            value(part.low),
            value(part.close),
            float(part.volume),
            time_ns >= close_ns,
        )


class Forming:
    """One candle on its way, moved on step by step."""

    __slots__ = ("_length_ns", "_shift_ns", "close_ns", "interval", "open_ns", "part")

    def __init__(
        self, interval: str, length_ns: int, shift_ns: int, open_ns: int, part: Stretch
    ) -> None:
        self.interval = interval
        self.open_ns = open_ns
        self.close_ns = open_ns + length_ns
        self.part = part
        self._length_ns = length_ns
        self._shift_ns = shift_ns

    def move(self, move: Stretch, time_ns: int) -> tuple[int, int, Stretch] | None:
        """Take a step in; return open, close and content of a candle that is over by it."""
        over = None
        if time_ns > self.close_ns:  # it was over before this step
            over = self._roll(time_ns, move.open)
        part = self.part
        self.part = Stretch(
            part.open,
            max(part.high, move.high),
            min(part.low, move.low),
            move.close,
            part.volume + move.volume,
        )
        return self._roll(time_ns, move.close) if time_ns == self.close_ns else over

    def _roll(self, time_ns: int, price: int) -> tuple[int, int, Stretch]:
        over = self.open_ns, self.close_ns, self.part
        self.open_ns = opening(time_ns, self._length_ns, self._shift_ns)
        self.close_ns = self.open_ns + self._length_ns
        self.part = Stretch(price, price, price, price, 0)
        return over


def tick_of(start_price: float) -> Decimal:
    """Return how finely a price moves: five digits behind its first one, 0.0001 at the widest."""
    first = parse(repr(start_price)).adjusted()
    return min(FINEST_TICK, Decimal((0, (1,), first - 5)))


def start_price_of(symbol: str) -> float:
    """Return where a symbol starts that nobody said anything about."""
    return START_PRICES.get(symbol.upper(), OTHER_START)


def grid_of(interval: str) -> tuple[int, int]:
    """Return the length of an interval and where its candles are aligned: 1970, weeks on Monday.

    Raises:
        ValueError: it is no length of time.
    """
    length_ns = interval_ns(interval)
    if length_ns is None:
        raise ValueError(interval)
    return length_ns, MONDAY_NS if length_ns % WEEK_NS == 0 else 0


def opening(time_ns: int, length_ns: int, shift_ns: int) -> int:
    """Return when the candle around an instant opens."""
    return time_ns - (time_ns - shift_ns) % length_ns
