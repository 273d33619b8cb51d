"""Trades the distance between two instruments that usually move together."""

from decimal import Decimal
from math import log
from typing import Annotated

import msgspec

from framework import Candle, Fill, FillCorrected, Order, OrderStatus, Strategy
from framework.indicators import ZScore

ENTRY = "entry"
UNFILLED = (
    OrderStatus.DENIED,
    OrderStatus.REJECTED,
    OrderStatus.CANCELLED,
    OrderStatus.EXPIRED,
)


class Pairs(Strategy):
    """Sells the spread when it is wide, buys it when it is narrow, leaves at its mean or past it.

    spread = ln(price of first) − hedge ratio × ln(price of second). The second leg's value is
    hedge ratio × that of the first. If a leg of an entry is refused, or ends before it is filled,
    both legs are closed, since half a pair is a bet on the market, and nothing is entered until
    the spread has been back at its mean.
    """

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """What the configuration file may set."""

        first: str
        second: str
        interval: str = "1m"
        lookback: Annotated[int, msgspec.Meta(ge=2)] = 60  # candles
        hedge_ratio: Annotated[float, msgspec.Meta(gt=0)] = 1.0
        enter_zscore: float = 2.0  # standard deviations from the mean
        leave_zscore: Annotated[float, msgspec.Meta(ge=0)] = 0.5
        quantity: Decimal = Decimal(1)  # of the first instrument

        def __post_init__(self) -> None:
            if self.first == self.second:
                raise ValueError(f"first and second are the same instrument {self.first!r}")
            if not self.leave_zscore < self.enter_zscore:
                raise ValueError(
                    f"leave_zscore {self.leave_zscore} must be below "
                    f"enter_zscore {self.enter_zscore}"
                )
            if not self.quantity > 0:
                raise ValueError(f"quantity {self.quantity} must be positive")

    settings: Settings

    def on_start(self) -> None:
        settings = self.settings
        self.zscore = ZScore(settings.lookback)
        self.unpaired: dict[int, Candle] = {}  # by opening time
        self.side = 1 if self.position(settings.first).is_short else -1  # 1: a wide spread sold
        self.is_leaving = False  # what is held, or comes late, is to be closed
        self.has_failed = False  # since the spread was last at its mean
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
        has_returned = zscore * self.side <= settings.leave_zscore
        if has_returned:
            self.has_failed = False
        if not (first.is_flat and second.is_flat):
            if has_returned or self.is_leaving:
                self.leave()
        elif abs(zscore) >= settings.enter_zscore and not self.has_failed:
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
        self.side, self.is_leaving = (1 if is_wide else -1), False
        trade_first, trade_second = (self.sell, self.buy) if is_wide else (self.buy, self.sell)
        leg = trade_first(settings.first, settings.quantity, tags=(ENTRY,))
        if leg.is_open:  # not refused at once
            trade_second(settings.second, hedge, tags=(ENTRY,))

    def leave(self) -> None:
        """Close both legs."""
        self.is_leaving = True
        self.close(self.settings.first)
        self.close(self.settings.second)

    def on_order(self, order: Order) -> None:
        if ENTRY in order.tags and order.status in UNFILLED and not self.is_leaving:
            self.log.warning("leg_not_filled", instrument=order.instrument, reason=order.reason)
            self.has_failed = True
            self.leave()

    def on_fill(self, fill: Fill | FillCorrected) -> None:
        if self.is_leaving:  # an entry's fill may cross with the request to cancel it
            self.leave()
