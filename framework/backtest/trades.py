"""Round trips: fills grouped from flat to flat.

A round trip begins with the fill that leaves flat and ends with the one that returns to it or
passes through it; a fill that passes through is split, the rest begins the next round trip and
carries its share of the fees. A fee taken in the asset itself shrinks what a buy brings in.

Within a a round trip nothing has to be matched, first in or otherwise: entry price is the mean
over everything that went in, exit price over everything that came out, and gross is the cash in
between.
"""

from collections import deque
from decimal import Decimal

import msgspec

from framework.model.decimals import ONE, ZERO, add, divide, multiply, subtract
from framework.model.orders import Bucket, Fill, Side
from framework.portfolio.performance import TradeSummary

_BUY = Side.BUY
_SELL = Side.SELL


class RoundTrip(msgspec.Struct, frozen=True, gc=False):
    """One position from flat to flat.

    Attributes:
        side: BUY for a long, SELL for a short.
        quantity: everything that went in, and came out again.
        entry_value, exit_value: Σ quantity × price × multiplier of each.
        gross: exit − entry value for a long, the opposite for a short.
        fees: those in the instrument's currency, or its base valued at the fill's price.
    """

    run: str
    instrument: str
    side: Side
    quantity: Decimal
    entry_ns: int
    exit_ns: int
    entry_value: Decimal
    exit_value: Decimal
    gross: Decimal
    fees: Decimal
    fills: int
    multiplier: Decimal = ONE
    currency: str = ""

    @property
    def is_long(self) -> bool:
        """Bought first."""
        return self.side is _BUY

    @property
    def net(self) -> Decimal:
        """Gross minus fees."""
        return subtract(self.gross, self.fees)

    @property
    def entry_price(self) -> Decimal:
        """Mean price of what went in, per unit."""
        return divide(self.entry_value, multiply(self.quantity, self.multiplier))

    @property
    def exit_price(self) -> Decimal:
        """Mean price of what came out, per unit."""
        return divide(self.exit_value, multiply(self.quantity, self.multiplier))


class TradeBuilder:
    """Turns fills into round trips, one at a time, per run, instrument and bucket.

    `trades` holds the newest `capacity` of them; `summary()` covers all. It runs in the order
    path of a backtest: a fill costs about a microsecond.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self.trades: deque[RoundTrip] = deque(maxlen=capacity)
        self.foreign_fees: dict[str, Decimal] = {}
        self._open: dict[tuple[str, str, Bucket], _OpenTrip] = {}
        self._currencies: dict[str, None] = {}
        self._count = 0
        self._wins = 0
        self._losses = 0
        self._gross_profit = ZERO
        self._gross_loss = ZERO
        self._fees = ZERO
        self._traded = ZERO

    @property
    def open_count(self) -> int:
        """How many positions have not returned to flat."""
        return len(self._open)

    @property
    def omitted_count(self) -> int:
        """How many round trips are counted but no longer in `trades`."""
        return self._count - len(self.trades)

    def summary(self) -> TradeSummary:
        """Return what all fills so far add up to."""
        return TradeSummary(
            count=self._count,
            wins=self._wins,
            losses=self._losses,
            gross_profit=self._gross_profit,
            gross_loss=self._gross_loss,
            fees=self._fees,
            traded=self._traded,
            open_count=len(self._open),
            is_mixed=len(self._currencies) > 1,
        )

    def on_fill(
        self, fill: Fill, multiplier: Decimal = ONE, *, currency: str = "", base: str = ""
    ) -> None:
        """Take the next fill.

        Without a `currency` every fee counts as being in the instrument's. With one, a fee in
        `base` is taken from the position and valued at the fill's price, and any other is left
        out of the round trips and added up in `foreign_fees`.
        """
        quantity = fill.quantity
        value = multiply(fill.price, quantity)
        if multiplier is not ONE:
            value = multiply(value, multiplier)
        self._traded = add(self._traded, value)
        fees = ZERO
        for fee in fill.fees:
            if not currency or fee.currency == currency:
                fees = add(fees, fee.amount) if fees else fee.amount
            elif fee.currency == base:
                worth = multiply(multiply(fill.price, fee.amount), multiplier)
                fees = add(fees, worth)
                take = subtract if fill.side is _BUY else add
                quantity, value = take(quantity, fee.amount), take(value, worth)
            else:
                so_far = self.foreign_fees.get(fee.currency, ZERO)
                self.foreign_fees[fee.currency] = add(so_far, fee.amount)
        self._fees = add(self._fees, fees)
        self._currencies[currency] = None
        is_buy = fill.side is _BUY
        key = (fill.run, fill.instrument, fill.bucket)
        trip = self._open.get(key)
        if trip is None:
            self._open[key] = _OpenTrip(fill.time_ns, is_buy, quantity, value, fees)
        elif trip.is_long is is_buy:
            trip.enter(quantity, value, fees)
        elif quantity < trip.open_quantity:
            trip.leave(quantity, value, fees)
        else:
            rest = trip.leave_all(fill, quantity, value, fees)
            if rest is None:
                del self._open[key]
            else:
                self._open[key] = rest
            self._close(trip.closed(fill, multiplier, currency))

    def _close(self, trade: RoundTrip) -> None:
        self.trades.append(trade)
        self._count += 1
        net = subtract(trade.gross, trade.fees)
        if net > ZERO:
            self._wins += 1
            self._gross_profit = add(self._gross_profit, net)
        elif net < ZERO:
            self._losses += 1
            self._gross_loss = subtract(self._gross_loss, net)


class _OpenTrip:
    """A round trip under way."""

    __slots__ = (
        "entry_ns",
        "entry_value",
        "exit_value",
        "fees",
        "fills",
        "is_long",
        "open_quantity",
        "quantity",
    )

    def __init__(
        self,
        time_ns: int,
        is_long: bool,
        quantity: Decimal,
        value: Decimal,
        fees: Decimal,
    ) -> None:
        self.is_long = is_long
        self.entry_ns = time_ns
        self.quantity = self.open_quantity = quantity
        self.entry_value = value
        self.exit_value = ZERO
        self.fees = fees
        self.fills = 1

    def enter(self, quantity: Decimal, value: Decimal, fees: Decimal) -> None:
        self.fills += 1
        self.quantity = add(self.quantity, quantity)
        self.open_quantity = add(self.open_quantity, quantity)
        self.entry_value = add(self.entry_value, value)
        self.fees = add(self.fees, fees)

    def leave(self, quantity: Decimal, value: Decimal, fees: Decimal) -> None:
        self.fills += 1
        self.open_quantity = subtract(self.open_quantity, quantity)
        self.exit_value = add(self.exit_value, value)
        self.fees = add(self.fees, fees)

    def leave_all(
        self, fill: Fill, quantity: Decimal, value: Decimal, fees: Decimal
    ) -> "_OpenTrip | None":
        """Return to flat; return the round trip that begins with what is left of the fill."""
        rest = None
        if quantity != self.open_quantity:
            excess = subtract(quantity, self.open_quantity)
            share = divide(excess, quantity)
            excess_value, excess_fees = multiply(value, share), multiply(fees, share)
            rest = _OpenTrip(fill.time_ns, not self.is_long, excess, excess_value, excess_fees)
            value, fees = subtract(value, excess_value), subtract(fees, excess_fees)
        self.fills += 1
        self.open_quantity = ZERO
        self.exit_value = add(self.exit_value, value) if self.exit_value else value
        self.fees = add(self.fees, fees)
        return rest

    def closed(self, fill: Fill, multiplier: Decimal, currency: str) -> RoundTrip:
        if self.is_long:
            side, gross = _BUY, subtract(self.exit_value, self.entry_value)
        else:
            side, gross = _SELL, subtract(self.entry_value, self.exit_value)
        return RoundTrip(  # by place: keywords cost as much as two of the sums above
            fill.run,
            fill.instrument,
            side,
            self.quantity,
            self.entry_ns,
            fill.time_ns,
            self.entry_value,
            self.exit_value,
            gross,
            self.fees,
            self.fills,
            multiplier,
            currency,
        )
