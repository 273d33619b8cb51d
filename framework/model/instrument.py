"""Instruments: what can be traded, on which grid, and the only place where numbers change type.

`str`, `int` and `Decimal` must lie on the grid or are refused with the reason; a float is
snapped when it is within 1e-6 of a tick, else refused.
"""

from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    Inexact,
    InvalidOperation,
    Overflow,
)
from enum import Enum

import msgspec

from framework.errors import OffGrid
from framework.model.decimals import (
    CONTEXT,
    ONE,
    ZERO,
    absolute,
    divide,
    multiply,
    remainder,
    subtract,
)

Number = str | int | float | Decimal
"""What a caller may write for a price or a quantity."""

SNAP_TOLERANCE = Decimal("1e-6")  # of one tick or lot
EXACT = Context(  # what enters is never rounded, and fits a float64
    prec=28, Emin=-307, Emax=307, traps=[InvalidOperation, Overflow, Inexact]
)


class InstrumentKind(Enum):
    """What an instrument is, which decides how its position is valued and settled."""

    SPOT = "spot"
    FUTURE = "future"
    PERPETUAL = "perpetual"
    OPTION = "option"
    BINARY = "binary"
    INDEX = "index"


FUTURE = InstrumentKind.FUTURE


class PriceRange(msgspec.Struct, frozen=True, gc=False):
    """From `low` (inclusive) upwards prices move in steps of `tick`."""

    low: Decimal
    tick: Decimal


class Instrument(msgspec.Struct, frozen=True):
    """One tradable thing at one venue, and the only converter of its prices and quantities.

    Attributes:
        id: `"<venue>:<symbol>"`.
        currency: what a price is counted in; profits, losses and cash flows are in it.
        base: the asset a spot position holds; fees may be taken from it.
        ranges: price ranges by rising `low`; empty means that any price goes.
        lot: quantity step; `None` means that any quantity goes.
        multiplier: currency per point and unit: notional = price × quantity × multiplier.
    """

    id: str
    currency: str = "USD"
    kind: InstrumentKind = InstrumentKind.SPOT
    base: str = ""
    ranges: tuple[PriceRange, ...] = ()
    lot: Decimal | None = None
    minimum_quantity: Decimal | None = None
    maximum_quantity: Decimal | None = None
    minimum_price: Decimal | None = None
    maximum_price: Decimal | None = None
    multiplier: Decimal = ONE
    calendar: str = "24/7"
    expiry_ns: int | None = None
    aliases: tuple[str, ...] = ()

    def price(self, value: Number) -> Decimal:
        """Return `value` as an exact price.

        Raises:
            OffGrid: it is not finite, not on the tick, outside the price limits, or not positive
                although the instrument is no future.
        """
        price = to_decimal(value)
        tick = self.tick_at(price)
        if tick is not None:
            price = on_grid(price, tick, "price", "tick", snap=isinstance(value, float))
        if price <= ZERO and self.kind is not FUTURE:  # oil has settled below zero
            raise OffGrid(f"price {price} is not positive")
        if self.minimum_price is not None and price < self.minimum_price:
            raise OffGrid(f"price {price} is below the minimum {self.minimum_price}")
        if self.maximum_price is not None and price > self.maximum_price:
            raise OffGrid(f"price {price} is above the maximum {self.maximum_price}")
        return price

    def quantity(self, value: Number) -> Decimal:
        """Return `value` as an exact, positive quantity.

        Raises:
            OffGrid: it is not finite, not positive, not on the lot, or outside the limits.
        """
        quantity = to_decimal(value)
        if self.lot is not None:
            quantity = on_grid(quantity, self.lot, "quantity", "lot", snap=isinstance(value, float))
        if quantity <= ZERO:
            raise OffGrid(f"quantity {quantity} is not positive")
        if self.minimum_quantity is not None and quantity < self.minimum_quantity:
            raise OffGrid(f"quantity {quantity} is below the minimum {self.minimum_quantity}")
        if self.maximum_quantity is not None and quantity > self.maximum_quantity:
            raise OffGrid(f"quantity {quantity} is above the maximum {self.maximum_quantity}")
        return quantity

    def tick_at(self, price: Decimal) -> Decimal | None:
        """Return the tick that holds at `price`, or None where any price goes."""
        ranges = self.ranges
        if not ranges:
            return None
        tick = ranges[0].tick
        for price_range in ranges[1:]:
            if price < price_range.low:
                break
            tick = price_range.tick
        return tick

    def round_price(self, value: float | Decimal, *, towards: str = "nearest") -> Decimal:
        """Return the price on the grid `nearest` to, at or `below`, or at or `above` `value`."""
        price = to_decimal(value)
        tick = self.tick_at(price)
        return price if tick is None else round_to(price, tick, towards)

    def round_quantity(self, value: float | Decimal) -> Decimal:
        """Return the largest quantity on the grid that is not above `value` (may be zero)."""
        quantity = to_decimal(value)
        return quantity if self.lot is None else round_to(quantity, self.lot, "below")

    def notional(self, price: Decimal, quantity: Decimal) -> Decimal:
        """Return price × quantity × multiplier, in `currency`; signed like `quantity`."""
        value = multiply(price, quantity)
        return value if self.multiplier is ONE else multiply(value, self.multiplier)


class InstrumentChanged(msgspec.Struct, frozen=True, tag="instrument_changed"):
    """An instrument appeared, or its grid, limits or expiry changed."""

    instrument: str
    time_ns: int
    received_ns: int
    definition: Instrument


def to_decimal(value: Number) -> Decimal:
    """Return `value` as a finite Decimal, unrounded; a float by its shortest decimal text.

    Raises:
        OffGrid: it is not a number, not finite, has more than 28 digits or fits no float64.
    """
    try:
        if value.__class__ is Decimal:
            number = EXACT.plus(value)
        elif isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
            raise OffGrid(f"{value!r} is not a number")
        elif isinstance(value, float):  # a NumPy float's own `repr` is not a number
            number = EXACT.create_decimal(float.__repr__(value))
        else:
            number = EXACT.create_decimal(value)
    except ArithmeticError as error:
        raise OffGrid(f"{value!r} is not a number of at most 28 digits") from error
    if not number.is_finite():
        raise OffGrid(f"{value!r} is not finite")
    return number


def on_grid(number: Decimal, step: Decimal, name: str, step_name: str, *, snap: bool) -> Decimal:
    """Return `number` if it is a multiple of `step`, or the multiple a float meant.

    Raises:
        OffGrid: it is not.
    """
    try:
        if not remainder(number, step):
            return number
        if snap:
            nearest = round_to(number, step, "nearest")
            if absolute(subtract(number, nearest)) <= multiply(step, SNAP_TOLERANCE):
                return nearest
    except ArithmeticError as error:  # more digits than the context holds
        raise OffGrid(f"{name} {number} is out of range") from error
    raise OffGrid(f"{name} {number} is not on the {step_name} {step}")


_ROUNDING = {"nearest": ROUND_HALF_EVEN, "below": ROUND_FLOOR, "above": ROUND_CEILING}


def round_to(number: Decimal, step: Decimal, towards: str) -> Decimal:
    """Return the multiple of `step` that is `nearest`, `below` or `above` (or equal)."""
    steps = divide(number, step).to_integral_value(_ROUNDING[towards], CONTEXT)
    return multiply(steps, step)
