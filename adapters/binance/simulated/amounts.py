"""Prices and quantities of the simulated venue: whole numbers of 1/100,000,000, exact both ways."""

from decimal import Decimal

from framework.model.decimals import CONTEXT, multiply, parse

SCALE = 100_000_000
_SCALE = Decimal(SCALE)
LARGEST = 10**18


def to_units(text: str) -> int:
    """Return an amount in units.

    Raises:
        ValueError: it is no amount from zero up, or finer than a unit.
    """
    try:
        value = parse(text)
        units = multiply(value, _SCALE)
        whole = int(units)
    except (ArithmeticError, ValueError) as error:  # not a number, or an infinite one
        raise ValueError(f"{text!r} is no amount") from error
    if whole != units or not 0 <= whole <= LARGEST:
        raise ValueError(f"{text!r} is no amount")
    return whole


def to_text(units: int) -> str:
    """Return an amount as the venue writes it: eight digits behind the point."""
    return format(Decimal(units).scaleb(-8, CONTEXT), ".8f")


def value_of(price: int, quantity: int) -> int:
    """Return price × quantity in units, rounded up."""
    return -(-price * quantity // SCALE)
