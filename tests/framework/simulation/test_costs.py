"""Costs: fees, slippage, reserves and margins, never rounded towards less."""

from decimal import Decimal, getcontext, localcontext

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework.model.instrument import Instrument, InstrumentKind, PriceRange
from framework.model.orders import Fee, Liquidity, Side
from framework.simulation.costs import CostModel, CostSettings

from .venue_rig import ABC

MAKER, TAKER, UNKNOWN = Liquidity.MAKER, Liquidity.TAKER, Liquidity.UNKNOWN
BUY, SELL = Side.BUY, Side.SELL
TEN = Decimal(10)
FUTURE = Instrument("sim:FUT", kind=InstrumentKind.FUTURE, multiplier=Decimal(50))
BINARY = Instrument("sim:YES", kind=InstrumentKind.BINARY)

amounts = st.decimals("0", "1000", places=4)
positive = st.decimals("0.0001", "100000", places=4)


def usd(amount: str) -> tuple[Fee, ...]:
    return (Fee("USD", Decimal(amount)),)


def test_nothing_is_charged_by_default() -> None:
    assert CostModel().charges(ABC, BUY, TEN, TEN, TAKER) == ()


def test_makers_and_takers_pay_their_own_rate_and_unknown_the_higher() -> None:
    costs = CostModel(CostSettings(maker_bps=Decimal(-1), taker_bps=Decimal(5)))
    assert costs.charges(ABC, BUY, TEN, TEN, MAKER) == usd("-0.01")
    assert costs.charges(ABC, BUY, TEN, TEN, TAKER) == usd("0.05")
    assert costs.charges(ABC, BUY, TEN, TEN, UNKNOWN) == usd("0.05")


def test_the_minimum_and_the_order_fee_hold_for_the_first_fill_alone() -> None:
    costs = CostModel(
        CostSettings(per_unit=Decimal("0.01"), per_order=Decimal("0.5"), minimum=Decimal(1))
    )
    assert costs.charges(ABC, BUY, TEN, TEN, TAKER) == usd("1")
    assert costs.charges(ABC, BUY, TEN, TEN, TAKER, is_first=False) == usd("0.10")
    assert costs.charges(ABC, BUY, Decimal(100), TEN, TAKER) == usd("1.50")


def test_a_multiplier_counts_and_a_negative_price_costs_like_a_positive_one() -> None:
    costs = CostModel(CostSettings(fees_bps=Decimal(1)))
    assert costs.charges(FUTURE, SELL, Decimal(2), Decimal(-10), TAKER) == usd("0.1")


def test_a_base_fee_is_taken_from_what_a_buy_receives() -> None:
    costs = CostModel(CostSettings(fees_bps=TEN, fee_currency="base"))
    assert costs.charges(ABC, BUY, Decimal(5), Decimal(3), TAKER) == (Fee("ABC", Decimal("0.005")),)
    assert costs.charges(ABC, SELL, Decimal(5), Decimal(3), TAKER) == usd("0.015")


def test_what_does_not_divide_is_rounded_up() -> None:
    costs = CostModel(CostSettings(per_order=Decimal(1), fee_currency="base"))
    (fee,) = costs.charges(ABC, BUY, Decimal(1), Decimal(3), TAKER)
    assert fee.amount == Decimal("0.3333333333333333333333333334")


def test_slippage_goes_against_the_taker_onto_the_tick() -> None:
    costs = CostModel(CostSettings(slippage_bps=Decimal(5), slippage_ticks=Decimal(1)))
    assert costs.taking_price(ABC, BUY, 10.0) == Decimal("10.02")
    assert costs.taking_price(ABC, SELL, 10.0) == Decimal("9.98")
    assert CostModel().taking_price(ABC, BUY, 10.001) == Decimal("10.01")
    assert CostModel().taking_price(ABC, SELL, 10.009) == Decimal("10.00")
    assert costs.taking_price(FUTURE, BUY, 10.0) == Decimal("10.005")


def test_the_tick_of_the_price_range_holds() -> None:
    ranged = Instrument(
        "sim:R",
        ranges=(PriceRange(Decimal(0), Decimal("0.01")), PriceRange(TEN, Decimal("0.5"))),
    )
    costs = CostModel(CostSettings(slippage_ticks=Decimal(1)))
    assert costs.taking_price(ranged, BUY, 9.0) == Decimal("9.01")
    assert costs.taking_price(ranged, BUY, 11.0) == Decimal("11.5")


@pytest.mark.parametrize(
    ("instrument", "side", "reserve"),
    [
        (ABC, BUY, "100.1"),
        (ABC, SELL, "0.1"),
        (FUTURE, BUY, "1005"),
        (FUTURE, SELL, "1005"),
    ],
)
def test_an_order_reserves_its_worst_case(instrument: Instrument, side: Side, reserve: str) -> None:
    costs = CostModel(CostSettings(fees_bps=TEN, initial_margin=Decimal("0.2")))
    assert costs.reserve(instrument, side, TEN, TEN) == Decimal(reserve)


def test_a_binary_reserves_what_it_can_lose() -> None:
    assert CostModel().reserve(BINARY, BUY, TEN, Decimal("0.3")) == Decimal("3.0")
    assert CostModel().reserve(BINARY, SELL, TEN, Decimal("0.3")) == Decimal("7.0")
    assert CostModel().margin(BINARY, -TEN, Decimal("0.3")).initial == Decimal("7.0")


def test_a_binarys_taker_pays_by_the_variance_of_its_outcome() -> None:
    costs = CostModel(CostSettings(quadratic=Decimal("0.07")))

    assert costs.charges(BINARY, BUY, TEN, Decimal("0.4"), TAKER) == usd("0.168")
    assert costs.charges(BINARY, BUY, TEN, Decimal("0.4"), MAKER) == ()
    assert costs.charges(ABC, BUY, TEN, Decimal("0.4"), TAKER) == ()


@given(
    rate=st.decimals("0", "1", places=4),
    side=st.sampled_from(Side),
    price=st.decimals("0.01", "0.99", places=2),
    parts=st.lists(positive, min_size=1, max_size=5),
)
def test_no_split_of_a_binary_costs_more_than_its_reserve(
    rate: Decimal, side: Side, price: Decimal, parts: list[Decimal]
) -> None:
    costs = CostModel(CostSettings(quadratic=rate))
    at_risk = price if side is BUY else 1 - price

    paid = sum((at_risk * part for part in parts), Decimal(0))
    for part in parts:
        paid += sum(fee.amount for fee in costs.charges(BINARY, side, part, price, TAKER))

    assert paid <= costs.reserve(BINARY, side, sum(parts, Decimal(0)), price)


def test_a_margined_position_binds_its_rates_and_a_paid_one_nothing() -> None:
    costs = CostModel(
        CostSettings(initial_margin=Decimal("0.2"), maintenance_margin=Decimal("0.1"))
    )
    margin = costs.margin(FUTURE, -TEN, TEN)
    assert (margin.initial, margin.maintenance) == (Decimal(1000), Decimal(500))
    assert costs.margin(ABC, TEN, TEN).initial == 0
    assert costs.margin(ABC, -TEN, TEN).initial == 20


@given(
    fees=st.builds(
        CostSettings,
        fees_bps=amounts,
        per_unit=amounts,
        per_order=amounts,
        minimum=amounts,
        slippage_bps=amounts,
    ),
    price=positive,
    parts=st.lists(positive, min_size=1, max_size=5),
)
def test_no_split_of_a_buy_costs_more_than_its_reserve(
    fees: CostSettings, price: Decimal, parts: list[Decimal]
) -> None:
    costs = CostModel(fees)
    paid_price = costs.slip(ABC, BUY, price)

    paid = sum((ABC.notional(paid_price, part) for part in parts), Decimal(0))
    for number, part in enumerate(parts):
        charged = costs.charges(ABC, BUY, part, paid_price, TAKER, is_first=number == 0)
        paid += sum(fee.amount for fee in charged)

    assert paid <= costs.reserve(ABC, BUY, sum(parts, Decimal(0)), price)


@given(bps=amounts, quantity=positive, price=positive)
def test_the_ambient_decimal_context_changes_nothing(
    bps: Decimal, quantity: Decimal, price: Decimal
) -> None:
    costs = CostModel(CostSettings(fees_bps=bps, slippage_bps=bps))
    before = costs.charges(ABC, BUY, quantity, price, TAKER), costs.slip(ABC, BUY, price)
    with localcontext() as ambient:
        ambient.prec = 3
        after = costs.charges(ABC, BUY, quantity, price, TAKER), costs.slip(ABC, BUY, price)
        assert getcontext().prec == 3
    assert after == before


@pytest.mark.parametrize("name", ["fees_bps", "taker_bps", "per_unit", "minimum", "slippage_bps"])
def test_a_negative_cost_is_a_configuration_error(name: str) -> None:
    settings = msgspec.convert({name: -1}, CostSettings)
    with pytest.raises(ConfigError, match=name):
        CostModel(settings)


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="fee_bps"):
        msgspec.convert({"fee_bps": 10}, CostSettings)


def test_the_costs_in_use_can_be_printed() -> None:
    costs = CostModel(CostSettings(fees_bps=TEN, slippage_ticks=Decimal(1)))
    assert costs.describe() == "costs: fees_bps 10, slippage_ticks 1"
    assert CostModel().describe() == "costs: no fees, no slippage"
