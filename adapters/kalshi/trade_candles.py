"""Candles built from the tape: the venue streams none."""

from collections.abc import Callable

from framework.errors import VenueError
from framework.interfaces import Clock, TimerHandle
from framework.market.candles import CandleBuilder, IntervalKind, parse_interval
from framework.model.market_data import Candle, Trade

NEVER_NS = 1 << 63
GRACE_NS = 500_000_000  # for trades on their way when a candle ends


class TradeCandles:
    """One builder per instrument and interval; what it closes goes to `publish`.

    Only whole candles: not the one in which a subscription begins, and none in which trades may
    be missing. History has those.
    """

    def __init__(self, clock: Clock, publish: Callable[[Candle], None]) -> None:
        self._clock = clock
        self._publish = publish
        self._builders: dict[tuple[str, str], CandleBuilder] = {}
        self._begun_ns: dict[tuple[str, str], int] = {}
        self._whole_from_ns = NEVER_NS  # no trade is missing from then on
        self._timers: dict[tuple[str, str], TimerHandle] = {}

    def begin(self, instrument: str, interval: str) -> None:
        """Build candles from now on.

        Raises:
            ConfigError, VenueError: the interval makes no sense, or is not one of time.
        """
        parsed = parse_interval(interval)
        if parsed.kind is not IntervalKind.TIME:
            raise VenueError(f"candles of {interval!r} are not built here")
        builder = CandleBuilder(instrument, parsed, grace_ns=GRACE_NS, emits_empty=True)
        self._builders[instrument, interval] = builder
        self._begun_ns[instrument, interval] = self._clock.now_ns

    def end(self, instrument: str, interval: str) -> None:
        """Build no more of them."""
        key = instrument, interval
        self._builders.pop(key, None)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def on_trade(self, trade: Trade) -> None:
        """Take one trade of the tape."""
        for key, builder in self._builders.items():
            if key[0] == trade.instrument:
                self._tell(key, builder.on_trade(trade))
                self._arm(key, builder)

    def lose(self) -> None:
        """Trades are missing, and will be until `resume`."""
        self._whole_from_ns = NEVER_NS

    def resume(self) -> None:
        """Trades come, all of them from now on."""
        self._whole_from_ns = self._clock.now_ns

    def close(self) -> None:
        """Let every timer go."""
        for instrument, interval in list(self._builders):
            self.end(instrument, interval)

    def _on_time(self, key: tuple[str, str]) -> None:
        self._timers.pop(key, None)
        builder = self._builders[key]
        self._tell(key, builder.on_time(self._clock.now_ns))
        self._arm(key, builder)

    def _arm(self, key: tuple[str, str], builder: CandleBuilder) -> None:
        due_ns = builder.next_close_ns
        if due_ns is not None and key not in self._timers:
            self._timers[key] = self._clock.call_at(due_ns, lambda: self._on_time(key))

    def _tell(self, key: tuple[str, str], candles: list[Candle]) -> None:
        whole_from_ns = max(self._begun_ns[key], self._whole_from_ns)
        for candle in candles:
            if candle.open_ns >= whole_from_ns:
                self._publish(candle)
