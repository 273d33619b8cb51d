"""Each check says nothing, or names its limit and the value."""

from decimal import Decimal

import msgspec
import pytest

from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.orders import OrderType, Side
from framework.risk.limits import (
    MaxOrderNotional,
    MaxOrdersPerSecond,
    MaxPositionNotional,
    PriceOnTick,
    Proposal,
    QuantityOnLot,
    ReduceOnly,
    RiskSettings,
    View,
    standard_checks,
)

D = Decimal
INSTRUMENT = Instrument(
    "v:X",
    ranges=(PriceRange(D(0), D("0.01")), PriceRange(D(1000), D("0.5"))),
    lot=D("0.1"),
    minimum_quantity=D("0.2"),
    maximum_quantity=D(100),
    maximum_price=D(5000),
    multiplier=D(10),
)


def proposal(side: Side, quantity: str, **fields: object) -> Proposal:
    size = D(quantity)
    kind = OrderType.LIMIT if fields.get("price") is not None else OrderType.MARKET
    base = Proposal("r", INSTRUMENT, side, kind, size, size, size)
    return msgspec.structs.replace(base, **fields)


def view(
    position: str = "0", *, buys: str = "0", sells: str = "0", price: str | None = "100"
) -> View:
    held = D(position)
    return View(held, held, D(buys), D(sells), None if price is None else D(price), 0)


def test_a_quantity_is_on_the_lot_and_within_its_limits() -> None:
    check = QuantityOnLot().check
    assert check(proposal(Side.BUY, "0.3"), view()) is None
    assert check(proposal(Side.BUY, "0.25"), view()) == "quantity 0.25 is not on the lot 0.1"
    assert "below the minimum 0.2" in (check(proposal(Side.BUY, "0.1"), view()) or "")
    assert "above the maximum 100" in (check(proposal(Side.BUY, "100.1"), view()) or "")


def test_a_price_is_on_the_tick_of_its_range() -> None:
    check = PriceOnTick().check
    assert check(proposal(Side.BUY, "1", price=D("999.99")), view()) is None
    assert "not on the tick 0.5" in (
        check(proposal(Side.BUY, "1", price=D("1000.1")), view()) or ""
    )
    assert "not on the tick 0.01" in (
        check(proposal(Side.BUY, "1", stop_price=D("1.001")), view()) or ""
    )
    assert "above the maximum 5000" in (
        check(proposal(Side.BUY, "1", price=D("5000.5")), view()) or ""
    )


def test_an_index_cannot_be_traded() -> None:
    index = Instrument("v:INDEX", kind=InstrumentKind.INDEX)

    reason = PriceOnTick().check(proposal(Side.BUY, "1", instrument=index), view())

    assert reason == "v:INDEX is an index: it cannot be traded"


def test_an_order_is_worth_no_more_than_its_limit() -> None:
    check = MaxOrderNotional(D(1000)).check
    assert check(proposal(Side.BUY, "1"), view()) is None
    assert check(proposal(Side.SELL, "1.1"), view()) == (
        "order notional 1100.0 is above max_order_notional 1000"
    )


@pytest.mark.parametrize("limit", [MaxOrderNotional(D(10**9)), MaxPositionNotional(D(10**9))])
def test_without_a_price_nothing_can_be_valued_and_the_order_is_refused(
    limit: MaxOrderNotional | MaxPositionNotional,
) -> None:
    """R-61."""
    reason = limit.check(proposal(Side.BUY, "1"), view(price=None))

    assert reason is not None
    assert "no price of v:X is known" in reason


@pytest.mark.parametrize(
    ("side", "quantity", "position", "buys", "sells", "passes"),
    [
        (Side.BUY, "1", "0", "0", "0", True),
        (Side.BUY, "1.1", "0", "0", "0", False),
        (Side.BUY, "0.5", "0.5", "0", "0", True),
        (Side.BUY, "0.5", "0.4", "0.2", "0", False),  # the open order may fill
        (Side.BUY, "0.5", "0.4", "0", "9", True),  # nobody knows that the sells will
        (Side.SELL, "2", "1", "0", "0", True),
        (Side.SELL, "2.1", "1", "0", "0", False),
        (Side.SELL, "5", "5", "0", "0", True),  # far above the limit, and shrinking
        (Side.SELL, "5", "5", "0", "5", True),  # at worst as short as it is long now
        (Side.SELL, "5", "5", "0", "6", False),
        (Side.SELL, "6", "5", "0", "0", True),  # one past zero is within the limit
        (Side.SELL, "7", "5", "0", "0", False),  # two past zero is not
        (Side.BUY, "5", "-5", "0", "0", True),
        (Side.BUY, "0.1", "5", "0", "0", False),
    ],
)
def test_a_position_is_judged_by_its_worst_case(
    side: Side, quantity: str, position: str, buys: str, sells: str, *, passes: bool
) -> None:
    limit = MaxPositionNotional(D(1000))  # one unit at 100 × 10

    reason = limit.check(proposal(side, quantity), view(position, buys=buys, sells=sells))

    assert (reason is None) is passes


def test_a_reduce_only_order_passes_the_position_limit_and_must_fit_the_position() -> None:
    exit_order = proposal(Side.SELL, "5", reduce_only=True)
    assert MaxPositionNotional(D(1000)).check(exit_order, view("5", sells="50")) is None
    assert ReduceOnly().check(exit_order, view("5")) is None
    assert ReduceOnly().check(exit_order, view("4.9")) == (
        "reduce-only sell of 5 does not fit the position 4.9"
    )
    assert ReduceOnly().check(exit_order, view("-5")) is not None
    assert ReduceOnly().check(exit_order, view("0")) is not None


def at(now_ns: int) -> View:
    return View(D(0), D(0), D(0), D(0), D(100), now_ns)


def test_at_most_so_many_orders_pass_within_any_second() -> None:
    limit = MaxOrdersPerSecond(2)
    order = proposal(Side.BUY, "1")
    for now_ns in (0, 600_000_000):
        assert limit.check(order, at(now_ns)) is None
        limit.reserve(at(now_ns))

    assert "max_orders_per_second 2" in (limit.check(order, at(999_999_999)) or "")
    assert limit.check(order, at(1_000_000_000)) is None
    limit.reserve(at(1_000_000_000))
    assert limit.check(order, at(1_599_999_999)) is not None  # a window slides, it does not reset


def test_closing_orders_are_counted_but_never_held_back() -> None:
    limit = MaxOrdersPerSecond(1)
    limit.reserve(at(0))

    assert limit.check(proposal(Side.SELL, "1", is_closing=True), at(1)) is None
    assert limit.check(proposal(Side.SELL, "1"), at(1)) is not None


def test_only_the_configured_limits_are_checked() -> None:
    names = [
        type(check).__name__ for check in standard_checks(RiskSettings(max_order_notional=D(1)))
    ]

    assert names == [
        "PricesFitType",
        "QuantityOnLot",
        "PriceOnTick",
        "ReduceOnly",
        "MaxOrderNotional",
    ]


def test_a_misspelt_limit_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="max_order_notionl"):
        msgspec.convert({"max_order_notionl": "5"}, RiskSettings)
