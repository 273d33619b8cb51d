"""What trading costs: fees, slippage, the cash an order reserves, the margin a position binds.

One `CostModel` serves gate, previews, venue and ledger, so that they never disagree. Amounts
are exact where 28 digits hold them; what must be rounded is rounded towards more cost: fees,
reserves and margins up, rebates towards zero, slipped prices against us.
"""

from decimal import ROUND_CEILING, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Literal

import msgspec

from framework.errors import ConfigError
from framework.model.account import Margin
from framework.model.decimals import (
    ONE,
    ZERO,
    absolute,
    add,
    multiply,
    negate,
    parse,
    remainder,
    subtract,
)
from framework.model.instrument import Instrument, InstrumentKind, round_to
from framework.model.orders import Fee, Liquidity, Side

_BUY = Side.BUY  # bound once: an enum look-up costs more than the branch it decides
_MAKER = Liquidity.MAKER
_TAKER = Liquidity.TAKER
_SPOT = InstrumentKind.SPOT
_BINARY = InstrumentKind.BINARY
_PAID_IN_FULL = frozenset({InstrumentKind.SPOT, InstrumentKind.OPTION, InstrumentKind.BINARY})

_UP = Context(prec=28, rounding=ROUND_CEILING, traps=[InvalidOperation, DivisionByZero, Overflow])
_multiply_up = _UP.multiply
_BPS = Decimal("0.0001")
_LARGEST_VARIANCE = Decimal("0.25")  # of price × (1 − price), at one half


class CostSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the configuration may set; one basis point (bps) is 1/10,000 of the notional.

    Attributes:
        fees_bps: for makers and takers alike, unless `maker_bps` or `taker_bps` is given;
            a negative `maker_bps` is a rebate.
        quadratic: of a binary's takers, × quantity × price × (1 − price); Kalshi's is 0.07.
        per_unit: per unit of quantity, in the instrument's currency.
        per_order: once per order, with its first fill.
        minimum: the least an order's first fill pays; later fills pay their own share on top.
        slippage_bps: how much worse than the quoted price a taking fill is.
        slippage_ticks: the same in ticks, on top; nothing where an instrument has no tick.
        fee_currency: `base` takes a buy's fee from the asset that it buys; a sell pays in the
            instrument's currency all the same, as venues do that charge what is received.
        initial_margin: part of the notional that a margined position binds.
        maintenance_margin: part of the notional below which the venue would liquidate.
    """

    fees_bps: Decimal = ZERO
    maker_bps: Decimal | None = None
    taker_bps: Decimal | None = None
    quadratic: Decimal = ZERO
    per_unit: Decimal = ZERO
    per_order: Decimal = ZERO
    minimum: Decimal = ZERO
    slippage_bps: Decimal = ZERO
    slippage_ticks: Decimal = ZERO
    fee_currency: Literal["quote", "base"] = "quote"
    initial_margin: Decimal = ONE
    maintenance_margin: Decimal = ONE


class CostModel:
    """Fees, slippage, reserves and margins by `CostSettings`.

    Raises:
        ConfigError: an amount is negative where it cannot be, or not finite.
    """

    def __init__(self, settings: CostSettings | None = None) -> None:
        self.settings = settings = settings or CostSettings()
        _check(settings)
        maker = settings.fees_bps if settings.maker_bps is None else settings.maker_bps
        taker = settings.fees_bps if settings.taker_bps is None else settings.taker_bps
        self._maker = multiply(maker, _BPS)
        self._taker = multiply(taker, _BPS)
        self._worst = max(self._maker, self._taker)
        self._quadratic = settings.quadratic
        self._per_unit = settings.per_unit
        self._per_order = settings.per_order
        self._minimum = settings.minimum
        self._has_extras = bool(settings.per_unit or settings.per_order or settings.minimum)
        self._in_base = settings.fee_currency == "base"
        self._slippage = multiply(settings.slippage_bps, _BPS)
        self._slips = bool(settings.slippage_bps or settings.slippage_ticks)

    def charges(
        self,
        instrument: Instrument,
        side: Side,
        quantity: Decimal,
        price: Decimal,
        liquidity: Liquidity,
        *,
        is_first: bool = True,
    ) -> tuple[Fee, ...]:
        """Return the fees of one fill; `is_first` tells whether it is its order's first.

        fee = |price × quantity × multiplier| × rate + per_unit × quantity, for a binary's taker
        + quadratic × quantity × price × (1 − price), and for the first
        fill of an order max(minimum, fee + per_order); unknown liquidity pays the higher rate.
        """
        if liquidity is _TAKER:
            rate = self._taker
        else:
            rate = self._maker if liquidity is _MAKER else self._worst
        notional = instrument.notional(price, quantity)
        amount = _multiply_up(notional if notional >= ZERO else absolute(notional), rate)
        if self._quadratic and liquidity is not _MAKER and instrument.kind is _BINARY:
            variance = _multiply_up(price, subtract(ONE, price))
            amount = _UP.add(
                amount, _multiply_up(_multiply_up(quantity, variance), self._quadratic)
            )
        if self._has_extras:
            amount = self._with_extras(amount, quantity, is_first=is_first)
        if not amount:
            return ()
        if self._in_base and side is _BUY and instrument.base and price > ZERO:
            unit_price = instrument.notional(price, ONE)
            return (Fee(instrument.base, _UP.divide(amount, unit_price)),)
        return (Fee(instrument.currency, amount),)

    def reserve(
        self, instrument: Instrument, side: Side, quantity: Decimal, price: Decimal
    ) -> Decimal:
        """Return the cash, in the instrument's currency, that an order may need at worst.

        `price` is its limit, or the reference price of a market order, which slippage makes
        worse. What is paid in full needs its notional, bought, and only the fees, sold (the
        holding is the seller's to have); a sold binary needs (1 − price) per unit, a sold
        option and both sides of a margined instrument the initial margin.
        """
        worst = self.slip(instrument, side, price)
        notional = absolute(instrument.notional(worst, quantity))
        if instrument.kind not in _PAID_IN_FULL:
            cash = _multiply_up(notional, self.settings.initial_margin)
        elif side is _BUY:
            cash = notional
        elif instrument.kind is _BINARY:
            cash = max(ZERO, instrument.notional(subtract(ONE, worst), quantity))
        elif instrument.kind is _SPOT:
            cash = ZERO
        else:
            cash = _multiply_up(notional, self.settings.initial_margin)
        return _UP.add(cash, self._worst_fee(instrument, side, quantity, max(worst, price)))

    def margin(self, instrument: Instrument, quantity: Decimal, price: Decimal) -> Margin:
        """Return what a position of signed `quantity` binds at `price`.

        A long position that was paid in full binds nothing; a short binary its worst loss,
        (1 − price) per unit; anything else its notional times the margin rates.
        """
        if instrument.kind in _PAID_IN_FULL and quantity >= ZERO:
            return Margin(instrument.currency, ZERO, ZERO)
        if instrument.kind is _BINARY:
            loss = absolute(instrument.notional(subtract(ONE, price), quantity))
            return Margin(instrument.currency, loss, loss)
        notional = absolute(instrument.notional(price, quantity))
        return Margin(
            instrument.currency,
            _multiply_up(notional, self.settings.initial_margin),
            _multiply_up(notional, self.settings.maintenance_margin),
        )

    def taking_price(self, instrument: Instrument, side: Side, price: float) -> Decimal:
        """Return what a taker gets where `price` is quoted: slipped, on the tick, against it."""
        return self.slip(instrument, side, parse(repr(price)))

    def slip(self, instrument: Instrument, side: Side, price: Decimal) -> Decimal:
        """Return `price` with slippage: a buy's rounded up to the tick, a sell's down."""
        if self._slips:
            slipped = multiply(absolute(price), self._slippage)
            tick = instrument.tick_at(price)
            if tick is not None:
                slipped = add(slipped, multiply(tick, self.settings.slippage_ticks))
            price = add(price, slipped if side is _BUY else negate(slipped))
        tick = instrument.tick_at(price)
        if tick is None or not remainder(price, tick):
            return price
        return round_to(price, tick, "above" if side is _BUY else "below")

    def describe(self) -> str:
        """Return the costs in one line, for the start-up report."""
        plain = CostSettings()
        parts = [
            f"{name} {value}"
            for name in plain.__struct_fields__
            if (value := getattr(self.settings, name)) != getattr(plain, name)
        ]
        return "costs: " + (", ".join(parts) or "no fees, no slippage")

    def _with_extras(self, amount: Decimal, quantity: Decimal, *, is_first: bool) -> Decimal:
        amount = _UP.add(amount, _multiply_up(quantity, self._per_unit))
        if is_first:
            amount = _UP.add(amount, self._per_order)
            if self._minimum and amount < self._minimum:
                return self._minimum
        return amount

    def _worst_fee(
        self, instrument: Instrument, side: Side, quantity: Decimal, price: Decimal
    ) -> Decimal:
        """Return the most an order's fills can pay in cash together, however it is split.

        The first fill pays max(minimum, its share + per_order), the others their share: never
        more than all shares + max(minimum, per_order).
        """
        if self._in_base and side is _BUY and instrument.base:
            return ZERO  # taken from what is received
        share = _multiply_up(absolute(instrument.notional(price, quantity)), self._worst)
        share = _UP.add(share, _multiply_up(quantity, self._per_unit))
        if self._quadratic and instrument.kind is _BINARY:
            most = _multiply_up(self._quadratic, _LARGEST_VARIANCE)
            share = _UP.add(share, _multiply_up(quantity, most))
        return max(ZERO, _UP.add(share, max(self._minimum, self._per_order)))


def _check(settings: CostSettings) -> None:
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if not isinstance(value, Decimal):
            continue
        if not value.is_finite():
            raise ConfigError(f"{value} is not a number", key=name)
        if value < ZERO and name != "maker_bps":
            raise ConfigError(f"{value} is negative", key=name)
