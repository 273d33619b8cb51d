"""Follows the trend: long while a fast moving average is above a slow one, flat otherwise."""

from decimal import Decimal

import msgspec

from framework import Candle, Strategy
from framework.indicators import SMA


class MovingAverageCross(Strategy):
    """Long or flat; never adds to a position."""

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """What the configuration file may set."""

        instrument: str
        interval: str = "1m"
        fast: int = 10  # candles
        slow: int = 30
        quantity: Decimal = Decimal(1)

        def __post_init__(self) -> None:
            if not 0 < self.fast < self.slow:
                raise ValueError(f"fast {self.fast} must be above 0 and below slow {self.slow}")
            if not self.quantity > 0:
                raise ValueError(f"quantity {self.quantity} must be positive")

    settings: Settings

    def on_start(self) -> None:
        self.fast, self.slow = SMA(self.settings.fast), SMA(self.settings.slow)
        self.watch_candles(
            self.settings.instrument, self.settings.interval, warmup=self.settings.slow
        )

    def on_candle(self, candle: Candle) -> None:
        if not candle.is_closed:
            return
        fast, slow = self.fast.update(candle.close), self.slow.update(candle.close)
        if fast is None or slow is None or self.is_warming_up:
            return
        position = self.position(candle.instrument)
        if fast > slow and position.is_flat:
            self.buy(candle.instrument, self.settings.quantity)
        elif fast < slow and position.is_long:
            self.close(candle.instrument)
