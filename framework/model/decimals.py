"""Decimal arithmetic in the framework's own context, never in the ambient one.

A strategy or another library may change `decimal.getcontext()`; money must not follow.
28 digits; an invalid operation, a division by zero or an overflow raises.
"""

from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)

CONTEXT = Context(
    prec=28, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
ZERO = Decimal(0)  # comparing with a Decimal is faster than with the int 0
ONE = Decimal(1)

add = CONTEXT.add
subtract = CONTEXT.subtract
multiply = CONTEXT.multiply
divide = CONTEXT.divide
remainder = CONTEXT.remainder
negate = CONTEXT.minus
absolute = CONTEXT.abs
parse = CONTEXT.create_decimal
