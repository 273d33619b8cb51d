"""Rides momentum: enters when the relative strength index is strong, leaves when it is spent."""

from decimal import Decimal
from typing import Annotated

import msgspec

from framework import Candle, Strategy
from framework.indicators import RSI


class RsiMomentum(Strategy):
    """Long above `enter_above` until below `leave_below`; the mirror image short, if allowed.

    The mirror of a level is 100 − level: with the defaults a short begins below 40 and ends
    above 50.
    """

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """What the configuration file may set."""

        instrument: str
        interval: str = "1m"
        period: Annotated[int, msgspec.Meta(ge=1)] = 14  # candles
        enter_above: float = 60.0
        leave_below: float = 50.0
        can_short: bool = False
        quantity: Decimal = Decimal(1)

        def __post_init__(self) -> None:
            if not 50.0 <= self.leave_below <= self.enter_above < 100.0:
                raise ValueError(
                    "levels must satisfy 50 <= leave_below <= enter_above < 100, not "
                    f"leave_below {self.leave_below} and enter_above {self.enter_above}"
                )
            if not self.quantity > 0:
                raise ValueError(f"quantity {self.quantity} must be positive")

    settings: Settings

    def on_start(self) -> None:
        self.rsi = RSI(self.settings.period)
        # Wilder's averages forget slowly: five periods leave less than 1 % of the first value.
        self.watch_candles(
            self.settings.instrument, self.settings.interval, warmup=5 * self.settings.period
        )

    def on_candle(self, candle: Candle) -> None:
        if not candle.is_closed:
            return
        rsi = self.rsi.update(candle.close)
        if rsi is None or self.is_warming_up:
            return
        settings, position = self.settings, self.position(candle.instrument)
        if position.is_flat:
            if rsi > settings.enter_above:
                self.buy(candle.instrument, settings.quantity)
            elif settings.can_short and rsi < 100.0 - settings.enter_above:
                self.sell(candle.instrument, settings.quantity)
        elif (position.is_long and rsi < settings.leave_below) or (
            position.is_short and rsi > 100.0 - settings.leave_below
        ):
            self.close(candle.instrument)
