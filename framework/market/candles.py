"""Builds candles from trades or quotes: by time, by number of ticks, by volume.

Time candles cover `[anchor + n × length, anchor + (n + 1) × length)`, the anchor being the start
of the calendar's session. They close when a later trade comes, or by the clock.

Late data: within the forming candle the order of arrival does not matter; a trade of before the
last close is counted (`late_count`) and ignored, for a closed candle never changes. Tick and
volume candles take trades as they come; one older than the last trade of a closed candle is late.
The trade that fills a volume candle belongs to it whole: trades are not divided.
"""

import re
from enum import Enum

import msgspec

from framework.errors import ConfigError
from framework.market.latest import is_two_sided
from framework.model.market_data import Candle, Quote, Trade

SECOND_NS = 1_000_000_000
UNITS_NS = {
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3_600 * SECOND_NS,
    "d": 86_400 * SECOND_NS,
}
INTERVAL = re.compile(r"(\d+(?:\.\d+)?)([smhdtv])")
VOLUME_TOLERANCE = 1e-9  # relative: what sums of floats may lack


class IntervalKind(Enum):
    """What ends a candle."""

    TIME = "time"
    TICK = "tick"
    VOLUME = "volume"


class Interval(msgspec.Struct, frozen=True):
    """A parsed interval; `size` counts nanoseconds, ticks or volume, by kind."""

    text: str
    kind: IntervalKind
    size: float

    @property
    def length_ns(self) -> int:
        """Nanoseconds of a time candle; 0 for the other kinds."""
        return int(self.size) if self.kind is IntervalKind.TIME else 0


def parse_interval(text: str) -> Interval:
    """Return the interval of `1s`, `5m`, `1h`, `1d`, `100t` (ticks) or `50v` (volume).

    Raises:
        ConfigError: not of that form, zero, or a part of a second, minute, hour, day or tick.
    """
    match = INTERVAL.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"interval {text!r} is none of 1s, 1m, 1h, 1d, 100t, 50v")
    number, unit = match[1], match[2]
    if unit == "v":
        return Interval(text, IntervalKind.VOLUME, float(number))
    if "." in number:
        raise ConfigError(f"interval {text!r} is not a whole number")
    if unit == "t":
        return Interval(text, IntervalKind.TICK, int(number))
    return Interval(text, IntervalKind.TIME, int(number) * UNITS_NS[unit])


class CandleBuilder:
    """Candles of one instrument and interval; each method returns those it closed, oldest first.

    `grace_ns` is how long the clock waits after a close for trades on their way. With
    `emits_empty`, time candles without trades come too, flat at the last close.
    """

    def __init__(
        self,
        instrument: str,
        interval: str | Interval,
        *,
        anchor_ns: int = 0,
        grace_ns: int = 0,
        emits_empty: bool = False,
    ) -> None:
        self.instrument = instrument
        self.interval = parse_interval(interval) if isinstance(interval, str) else interval
        self.late_count = 0
        self._anchor_ns = anchor_ns
        self._grace_ns = grace_ns
        self._emits_empty = emits_empty and self.interval.kind is IntervalKind.TIME
        self._forming: _Forming | None = None
        self._closed_ns: int | None = None  # close of the last candle
        self._late_before_ns = -(2**63)
        self._last_close: float | None = None

    @property
    def forming(self) -> Candle | None:
        """The candle so far, or None before its first trade."""
        forming = self._forming
        if forming is None:
            return None
        return self._candle(forming, forming.received_ns, is_closed=False)

    @property
    def next_close_ns(self) -> int | None:
        """When `on_time` has a candle to close; None where only data ends one."""
        if self.interval.kind is not IntervalKind.TIME:
            return None
        if self._forming is not None:
            return self._forming.close_ns + self._grace_ns
        if self._emits_empty and self._closed_ns is not None:
            return self._window(self._closed_ns)[1] + self._grace_ns
        return None

    def on_trade(self, trade: Trade) -> list[Candle]:
        """Take a trade."""
        return self._add(trade.time_ns, trade.received_ns, trade.price, trade.size)

    def on_quote(self, quote: Quote) -> list[Candle]:
        """Take the mid of a quote, volume 0; a one-sided quote is passed over.

        Raises:
            ConfigError: quotes have no volume to fill a volume candle with.
        """
        if self.interval.kind is IntervalKind.VOLUME:
            raise ConfigError(f"interval {self.interval.text!r} needs trades, not quotes")
        if not is_two_sided(quote):
            return []
        return self._add(quote.time_ns, quote.received_ns, (quote.bid + quote.ask) / 2, 0.0)

    def on_time(self, now_ns: int) -> list[Candle]:
        """Close what ended by the clock: in a quiet market no trade does it."""
        if self.interval.kind is not IntervalKind.TIME:
            return []
        return self._close_until(now_ns - self._grace_ns, received_ns=now_ns)

    def start_session(self, anchor_ns: int) -> list[Candle]:
        """Anchor the windows at a new session; a candle that would cross its start ends there.

        Raises:
            ValueError: the forming candle already holds data of after that start.
        """
        length_ns = self.interval.length_ns
        if not length_ns or (anchor_ns - self._anchor_ns) % length_ns == 0:
            return []
        closed: list[Candle] = []
        forming = self._forming
        if forming is not None:
            if anchor_ns <= forming.last_ns:
                raise ValueError(f"session start {anchor_ns} comes after data of that session")
            forming.close_ns = min(forming.close_ns, anchor_ns)
            closed = self._close_until(anchor_ns, received_ns=anchor_ns)
        self._anchor_ns = anchor_ns
        return closed

    def _add(self, time_ns: int, received_ns: int, price: float, volume: float) -> list[Candle]:
        if time_ns < self._late_before_ns:
            self.late_count += 1
            return []
        is_time = self.interval.kind is IntervalKind.TIME
        closed = self._close_until(time_ns, received_ns=received_ns) if is_time else []
        forming = self._forming
        if forming is None:
            forming = self._forming = _Forming(time_ns, price)
            forming.open_ns, forming.close_ns = self._window(time_ns)
        forming.add(time_ns, received_ns, price, volume)
        if not is_time:
            forming.open_ns, forming.close_ns = self._span(forming)
            filled = forming.count if self.interval.kind is IntervalKind.TICK else forming.volume
            if filled >= self.interval.size * (1 - VOLUME_TOLERANCE):
                closed.append(self._close(forming, received_ns))
        return closed

    def _window(self, time_ns: int) -> tuple[int, int]:
        """Return open and close of the time candle around `time_ns`; of others, that instant."""
        length_ns = self.interval.length_ns
        if not length_ns:
            return time_ns, time_ns + 1
        open_ns = time_ns - (time_ns - self._anchor_ns) % length_ns
        close_ns = open_ns + length_ns
        return (open_ns if self._closed_ns is None else max(open_ns, self._closed_ns)), close_ns

    def _span(self, forming: "_Forming") -> tuple[int, int]:
        """Return open and close of a tick or volume candle: never over the one before it.

        Trades of one nanosecond on both sides of a close move the later candle by 1 ns, so
        that `open_ns` names each candle once.
        """
        open_ns = forming.first_ns
        if self._closed_ns is not None:
            open_ns = max(open_ns, self._closed_ns)
        return open_ns, max(forming.last_ns, open_ns) + 1

    def _close_until(self, until_ns: int, *, received_ns: int) -> list[Candle]:
        """Close the time candles that end by `until_ns`."""
        closed = []
        if self._forming is not None and self._forming.close_ns <= until_ns:
            closed.append(self._close(self._forming, received_ns))
        if self._emits_empty and self._forming is None and self._last_close is not None:
            while self._closed_ns is not None and self._window(self._closed_ns)[1] <= until_ns:
                empty = _Forming(self._closed_ns, self._last_close)
                empty.open_ns, empty.close_ns = self._window(self._closed_ns)
                closed.append(self._close(empty, received_ns))
        return closed

    def _close(self, forming: "_Forming", received_ns: int) -> Candle:
        is_time = self.interval.kind is IntervalKind.TIME
        self._late_before_ns = forming.close_ns if is_time else forming.last_ns
        self._closed_ns = forming.close_ns
        self._last_close = forming.close
        self._forming = None
        return self._candle(forming, received_ns, is_closed=True)

    def _candle(self, forming: "_Forming", received_ns: int, *, is_closed: bool) -> Candle:
        return Candle(
            self.instrument,
            forming.close_ns if is_closed else forming.last_ns,
            received_ns,
            self.interval.text,
            forming.open_ns,
            forming.close_ns,
            forming.open,
            forming.high,
            forming.low,
            forming.close,
            forming.volume,
            is_closed,
        )


class _Forming:
    """A candle in the making; open and close go by the times of the trades, not by arrival."""

    __slots__ = (
        "close",
        "close_ns",
        "count",
        "first_ns",
        "high",
        "last_ns",
        "low",
        "open",
        "open_ns",
        "received_ns",
        "volume",
    )

    def __init__(self, time_ns: int, price: float) -> None:
        self.open_ns = self.close_ns = self.first_ns = self.last_ns = time_ns
        self.open = self.high = self.low = self.close = price
        self.volume = 0.0
        self.count = 0
        self.received_ns = time_ns

    def add(self, time_ns: int, received_ns: int, price: float, volume: float) -> None:
        if time_ns < self.first_ns:
            self.first_ns, self.open = time_ns, price
        if time_ns >= self.last_ns:
            self.last_ns, self.close = time_ns, price
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.volume += volume
        self.count += 1
        self.received_ns = received_ns
