"""How large an order may be."""

from decimal import Decimal

import pytest

from framework.model.instrument import Instrument
from framework.risk.limits.sizes import (
    MaxOrderNotional,
    MaxOrderQuantity,
    QuantityOnLot,
    quantity_for,
)
from tests.framework.risk.samples import SPOT, buy, sell, view

D = Decimal
BOUNDED = Instrument(
    "v:X",
    lot=D("0.1"),
    minimum_quantity=D("0.2"),
    maximum_quantity=D(100),
    multiplier=D(10),
)


def test_a_quantity_is_on_the_lot_and_within_its_limits() -> None:
    def judged(quantity: str) -> str | None:
        return QuantityOnLot().check(buy(quantity, instrument=BOUNDED), view())

    assert judged("0.3") is None
    assert judged("0.25") == "quantity 0.25 is not on the lot 0.1"
    assert "below the minimum 0.2" in (judged("0.1") or "")
    assert "above the maximum 100" in (judged("100.1") or "")


@pytest.mark.parametrize("quantity", ["0", "-1", "NaN", "sNaN", "Infinity", "-Infinity", "1E+40"])
def test_a_quantity_that_is_no_number_or_not_positive_is_refused(quantity: str) -> None:
    """R-78."""
    assert QuantityOnLot().check(buy(quantity, instrument=BOUNDED), view()) is not None


def test_a_float_is_no_quantity() -> None:
    """R-78: bans floats from orders."""
    order = buy("1")
    order.quantity = 1.0  # type: ignore[assignment] # the point

    reason = QuantityOnLot().check(order, view())

    assert reason == "quantity 1.0 is not a Decimal"


def test_an_order_is_worth_no_more_than_its_limit() -> None:
    check = MaxOrderNotional(D(1000)).check

    assert check(buy("1", instrument=BOUNDED), view()) is None
    assert check(sell("1.1", instrument=BOUNDED), view()) == (
        "order notional 1100.0 is above max_order_notional 1000"
    )


def test_an_order_is_for_no_more_than_its_limit() -> None:
    check = MaxOrderQuantity(D(5)).check

    assert check(buy("5"), view()) is None
    assert check(buy("5.5"), view()) == "order quantity 5.5 is above max_order_quantity 5"


@pytest.mark.parametrize("check", [MaxOrderNotional(D(1)), MaxOrderQuantity(D("0.5"))])
@pytest.mark.parametrize("kind", ["reduce_only", "is_closing"])
def test_what_is_too_large_to_open_may_be_closed(
    check: MaxOrderNotional | MaxOrderQuantity, kind: str
) -> None:
    assert check.check(sell("9"), view("9")) is not None
    assert check.check(sell("9", **{kind: True}), view("9", price=None)) is None


def test_a_quantity_for_an_amount_is_rounded_down() -> None:
    """R-78: never towards more risk."""
    assert quantity_for(D(199), SPOT, D(100)) == D("1.5")
    assert quantity_for(D(49), SPOT, D(100)) is None
    for amount in (None, D(0), D(-5), D("NaN"), D("Infinity")):
        assert quantity_for(amount, SPOT, D(100)) is None
    assert quantity_for(D(100), SPOT, None) is None
    assert quantity_for(D(100), SPOT, D(0)) is None
