"""Trades the distance between two instruments that usually move together."""

from decimal import Decimal
from math import log

import msgspec

from framework import Candle, Order, OrderStatus, Strategy
from framework.indicators import ZScore

ENTRY = "entry"


class Pairs(Strategy):
    """Sells the spread when it is wide, buys it when it is narrow, leaves near its mean.

    spread = ln(price of first) − hedge ratio × ln(price of second). The second leg's value is
    hedge ratio × that of the first. If a leg of an entry is refused, both legs are closed, since
    half a pair is a bet on the market, and nothing is entered until the spread has been back at
    its mean.
    """

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """What the configuration file may set."""

        first: str
        second: str
        interval: str = "1m"
        lookback: int = 60  # candles
        hedge_ratio: float = 1.0
        enter_zscore: float = 2.0  # standard deviations from the mean
        leave_zscore: float = 0.5
        quantity: Decimal = Decimal(1)  # of the first instrument

        def __post_init__(self) -> None:
            if self.first == self.second:
                raise ValueError(f"first and second are the same instrument {self.first!r}")
            if self.hedge_ratio <= 0.0:
                raise ValueError(f"hedge_ratio {self.hedge_ratio} must be positive")
            if not 0.0 <= self.leave_zscore < self.enter_zscore:
                raise ValueError("leave_zscore must be at least 0 and below enter_zscore")

    settings: Settings

    def on_start(self) -> None:
        settings = self.settings
        self.zscore = ZScore(settings.lookback)
        self.unpaired: dict[int, Candle] = {}  # by opening time
        self.has_failed = False  # since the spread was last near its mean
        for instrument in (settings.first, settings.second):
            self.watch_candles(instrument, settings.interval, warmup=settings.lookback)

    def on_candle(self, candle: Candle) -> None:
        if not candle.is_closed:
            return
        other = self.unpaired.pop(candle.open_ns, None)
        if other is None or other.instrument == candle.instrument:
            self.wait_for_partner(candle)
            return
        is_first = candle.instrument == self.settings.first
        first, second = (candle, other) if is_first else (other, candle)
        spread = log(first.close) - self.settings.hedge_ratio * log(second.close)
        zscore = self.zscore.update(spread)
        if zscore is not None and not self.is_warming_up:
            self.trade_spread(zscore, first.close / second.close)

    def wait_for_partner(self, candle: Candle) -> None:
        """Keep a candle until the other instrument's of the same time comes.

        In the warm-up one instrument may come after the other as a whole; a candle whose
        partner never comes is given up after twice the lookback.
        """
        self.unpaired[candle.open_ns] = candle
        if len(self.unpaired) > 2 * self.settings.lookback:
            del self.unpaired[min(self.unpaired)]

    def trade_spread(self, zscore: float, price_ratio: float) -> None:
        """Enter or leave, given the z-score and price of first ÷ price of second."""
        settings = self.settings
        first, second = self.position(settings.first), self.position(settings.second)
        is_flat = first.is_flat and second.is_flat
        if abs(zscore) <= settings.leave_zscore:
            self.has_failed = False
            if not is_flat:
                self.leave()
        elif is_flat and abs(zscore) >= settings.enter_zscore and not self.has_failed:
            self.enter(price_ratio, is_wide=zscore > 0.0)

    def enter(self, price_ratio: float, *, is_wide: bool) -> None:
        """Sell a wide spread or buy a narrow one, unless the second leg rounds to nothing."""
        settings = self.settings
        first, second = self.instrument(settings.first), self.instrument(settings.second)
        value_ratio = price_ratio * float(first.multiplier) / float(second.multiplier)
        hedge = second.round_quantity(float(settings.quantity) * settings.hedge_ratio * value_ratio)
        if not hedge:
            self.log.warning("hedge_below_lot", instrument=settings.second)
            return
        if is_wide:
            self.sell(settings.first, settings.quantity, tags=(ENTRY,))
            self.buy(settings.second, hedge, tags=(ENTRY,))
        else:
            self.buy(settings.first, settings.quantity, tags=(ENTRY,))
            self.sell(settings.second, hedge, tags=(ENTRY,))

    def leave(self) -> None:
        """Close both legs."""
        self.close(self.settings.first)
        self.close(self.settings.second)

    def on_order(self, order: Order) -> None:
        if ENTRY in order.tags and order.status in (OrderStatus.DENIED, OrderStatus.REJECTED):
            self.log.warning("leg_refused", instrument=order.instrument, reason=order.reason)
            self.has_failed = True
            self.leave()
