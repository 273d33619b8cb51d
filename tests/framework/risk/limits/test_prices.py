"""Which prices an order may have."""

from decimal import Decimal

import pytest

from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.orders import OrderType
from framework.risk.inputs import InputFault, Reference
from framework.risk.limits.prices import FreshReference, PriceCollar, PriceOnTick, PricesFitType
from tests.framework.risk.samples import SECOND, FakeInputs, asked, buy, sell, view

D = Decimal
STEPPED = Instrument(
    "v:X",
    ranges=(PriceRange(D(0), D("0.01")), PriceRange(D(1000), D("0.5"))),
    maximum_price=D(5000),
)


def test_a_price_is_on_the_tick_of_its_range() -> None:
    def judged(**prices: Decimal) -> str:
        return PriceOnTick().check(buy("1", instrument=STEPPED, **prices), view()) or ""

    assert judged(price=D("999.99")) == ""
    assert "not on the tick 0.5" in judged(price=D("1000.1"))
    assert "not on the tick 0.01" in judged(stop_price=D("1.001"))
    assert "above the maximum 5000" in judged(price=D("5000.5"))
    assert "not finite" in judged(price=D("NaN"))


def test_a_float_is_no_price() -> None:
    """R-78."""
    assert PriceOnTick().check(buy("1", price=1.0), view()) == "price 1.0 is not a Decimal"


def test_an_index_cannot_be_traded() -> None:
    index = Instrument("v:INDEX", kind=InstrumentKind.INDEX)

    reason = PriceOnTick().check(buy("1", instrument=index), view())

    assert reason == "v:INDEX is an index: it cannot be traded"


@pytest.mark.parametrize(
    ("kind", "price", "stop", "has_trail", "reason"),
    [
        (OrderType.MARKET, None, None, False, None),
        (OrderType.MARKET, D(1), None, False, "a market order takes no price"),
        (OrderType.MARKET, None, D(1), False, "a market order takes no stop price"),
        (OrderType.LIMIT, D(1), None, False, None),
        (OrderType.LIMIT, None, None, False, "a limit order needs a price"),
        (OrderType.STOP, None, D(1), False, None),
        (OrderType.STOP, None, None, False, "a stop order needs a stop price"),
        (OrderType.STOP_LIMIT, D(1), D(1), False, None),
        (OrderType.STOP_LIMIT, None, D(1), False, "a stop_limit order needs a price"),
        (OrderType.TRAILING_STOP, None, None, True, None),
        (OrderType.TRAILING_STOP, None, D(1), True, None),
        (OrderType.TRAILING_STOP, None, None, False, "a trailing_stop order needs a trail"),
    ],
)
def test_an_order_has_the_prices_of_its_type(
    kind: OrderType,
    price: Decimal | None,
    stop: Decimal | None,
    *,
    has_trail: bool,
    reason: str | None,
) -> None:
    order = buy("1", type=kind, price=price, stop_price=stop, has_trail=has_trail)

    assert PricesFitType().check(order, view()) == reason


@pytest.mark.parametrize(
    ("price", "passes"),
    [("101", True), ("101.5", False), ("99", True), ("98.5", False), ("100", True)],
)
def test_a_price_stays_within_the_collar(price: str, *, passes: bool) -> None:
    collar = PriceCollar(D(100), 60 * SECOND, asked())  # 1 % of 100

    for fields in ({"price": D(price)}, {"type": OrderType.STOP, "stop_price": D(price)}):
        assert (collar.check(buy("1", **fields), view()) is None) is passes


def test_a_collar_names_the_price_and_the_reference() -> None:
    collar = PriceCollar(D(100), 60 * SECOND, asked())

    assert collar.check(sell("1", price=D(90)), view()) == (
        "price 90 is further than price_collar_bps 100 from the reference 100"
    )


def test_a_collar_works_around_a_price_below_zero() -> None:
    inputs = FakeInputs()
    inputs.references["v:X"] = Reference(D(-100), 0)
    collar = PriceCollar(D(100), 60 * SECOND, asked(inputs))

    assert collar.check(buy("1", price=D(-101)), view()) is None
    assert collar.check(buy("1", price=D(-102)), view()) is not None


def test_a_collar_asks_neither_for_market_orders_nor_for_exits() -> None:
    inputs = FakeInputs()
    inputs.references.clear()
    collar = PriceCollar(D(100), 60 * SECOND, asked(inputs))

    assert collar.check(buy("1"), view()) is None
    assert collar.check(sell("1", price=D(1), reduce_only=True), view("1")) is None
    with pytest.raises(InputFault, match="reference price of v:X is missing"):
        collar.check(buy("1", price=D(100)), view())


@pytest.mark.parametrize("check", [FreshReference, lambda age, i: PriceCollar(D(9999), age, i)])
def test_a_reference_must_be_fresh(check: type[FreshReference]) -> None:
    """R-61: stale."""
    fresh = check(2 * SECOND, asked())
    order = buy("1", price=D(100))

    assert fresh.check(order, view(at=2 * SECOND)) is None
    with pytest.raises(InputFault, match=r"is stale: 2\.001 s old, 2 s are allowed"):
        fresh.check(order, view(at=2_001_000_000))


def test_exits_leave_without_a_fresh_reference() -> None:
    order = sell("1", reduce_only=True)

    assert FreshReference(SECOND, asked()).check(order, view("1", at=5 * SECOND)) is None
