"""Money does not follow the ambient decimal context that a strategy may have changed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import ROUND_UP, Context, Decimal, Inexact, getcontext, localcontext, setcontext

import pytest

from framework.model import decimals
from framework.model.account import Balance, Position
from framework.model.instrument import Instrument, PriceRange
from framework.model.orders import Order, OrderStatus, OrderType, Side

LONG = Decimal("12345.678901")
INSTRUMENT = Instrument(
    "binance:BTCUSDT",
    ranges=(PriceRange(Decimal(0), Decimal("0.000001")),),
    lot=Decimal("0.000001"),
    multiplier=Decimal("1.000001"),
)
POSITION = Position(
    account="main",
    run="cross",
    instrument=INSTRUMENT.id,
    quantity=Decimal("3.000003"),
    cost=LONG,
    realised=decimals.ZERO,
    time_ns=0,
)
ORDER = Order(
    order_id="1",
    run="cross",
    account="main",
    instrument=INSTRUMENT.id,
    side=Side.BUY,
    type=OrderType.MARKET,
    status=OrderStatus.PARTIALLY_FILLED,
    quantity=LONG,
    filled=Decimal("0.000001"),
    average_price=None,
    time_ns=0,
    created_ns=0,
    key="1.2.3",
)

COMPUTATIONS: dict[str, Callable[[], Decimal | None]] = {
    "parse": lambda: decimals.parse("12345.678901"),
    "add": lambda: decimals.add(LONG, LONG),
    "subtract": lambda: decimals.subtract(LONG, decimals.ONE),
    "multiply": lambda: decimals.multiply(LONG, LONG),
    "divide": lambda: decimals.divide(LONG, Decimal(7)),
    "remainder": lambda: decimals.remainder(LONG, Decimal(7)),
    "negate": lambda: decimals.negate(LONG),
    "absolute": lambda: decimals.absolute(decimals.negate(LONG)),
    "price": lambda: INSTRUMENT.price("12345.678901"),
    "price of a float": lambda: INSTRUMENT.price(12345.6789010000001),
    "snapped price": lambda: INSTRUMENT.price(0.1 + 0.2),
    "quantity": lambda: INSTRUMENT.quantity(12345.678901),
    "rounded price": lambda: INSTRUMENT.round_price(12345.6789014),
    "rounded quantity": lambda: INSTRUMENT.round_quantity(12345.6789014),
    "notional": lambda: INSTRUMENT.notional(LONG, LONG),
    "average price": lambda: POSITION.average_price,
    "remaining": lambda: ORDER.remaining,
    "available": lambda: Balance("USDT", total=LONG, reserved=Decimal("0.000001")).available,
}


@contextmanager
def ambient(context: Context) -> Iterator[None]:
    """Make `context` the ambient one for a while."""
    with localcontext():
        setcontext(context)
        yield


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_the_ambient_context_changes_nothing(name: str) -> None:
    compute = COMPUTATIONS[name]
    expected = compute()

    with ambient(Context(prec=3, rounding=ROUND_UP)):
        assert str(compute()) == str(expected)
    with ambient(Context(prec=6, traps=[Inexact])):
        assert str(compute()) == str(expected)


def test_the_ambient_context_is_left_alone() -> None:
    before = getcontext().copy()

    for compute in COMPUTATIONS.values():
        compute()

    assert repr(getcontext()) == repr(before)


def test_arithmetic_traps_what_would_turn_into_nonsense() -> None:
    with pytest.raises(ArithmeticError):
        decimals.divide(decimals.ONE, decimals.ZERO)
    with pytest.raises(ArithmeticError):
        decimals.parse("ten")
    with pytest.raises(ArithmeticError):
        decimals.multiply(Decimal("1e999999"), Decimal(10))
