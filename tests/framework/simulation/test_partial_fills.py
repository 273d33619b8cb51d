"""Orders that trade in two parts: some at once, the rest a while later at the prices of then."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from framework.model.commands import SubmitOrder
from framework.model.instrument import Instrument
from framework.model.orders import OrderIntent, OrderType, Side, TimeInForce
from framework.model.reports import OrderFilled
from framework.settings.decoding import decode_section
from framework.simulation.costs import CostSettings
from framework.simulation.fills import (
    FillModel,
    FillSettings,
    PartialFills,
    QueuePosition,
    Through,
    Unlimited,
    fill_model,
)

from .venue_rig import ABC, NAME, VenueRig

D = Decimal
MS = 1_000_000
THIRD = PartialFills(D("0.3"))


def rig(fills: FillModel | None = None, **settings: object) -> VenueRig:
    made = VenueRig(fills=fills or Unlimited(partial=THIRD), **settings)  # type: ignore[arg-type]
    made.quote(9.99, 10.01, 1.0, 1.0)
    return made


# -- any depth -----------------------------------------------------------------------------------


def test_without_a_limit_of_depth_any_quantity_trades_at_the_best_price() -> None:
    made = rig(Unlimited())
    made.buy("25000")
    made.buy("7", tif=TimeInForce.FOK)
    assert made.told() == [
        "o1 accepted", "o1 filled 25000 @ 10.01 taker",
        "o2 accepted", "o2 filled 7 @ 10.01 taker",
    ]  # fmt: skip
    made.sell("9000", price="10.05")
    made.quote(10.06, 10.08, 1.0, 1.0)
    assert made.told() == ["o3 accepted", "o3 filled 9000 @ 10.05 maker"]
    made.book([(9.0, 1.0)], [(11.0, 1.0), (12.0, 1.0)])
    made.buy("50")
    assert made.told() == ["o4 accepted", "o4 filled 50 @ 11 taker"]


def test_limits_on_trades_alone_are_filled_when_traded_through() -> None:
    made = VenueRig(fills=Unlimited())
    made.trade(10.0)
    made.buy("500", price="9")
    made.trade(9.5)
    made.trade(9.0)
    made.trade(8.99)
    assert made.told() == ["o1 accepted", "o1 filled 500 @ 9 maker"]


def test_a_side_without_anybody_fills_nothing() -> None:
    made = VenueRig(fills=Unlimited())
    made.quote(9.99, 10.01, 1.0, 0.0)
    made.buy("1", tif=TimeInForce.IOC)
    assert made.told() == ["o1 accepted", "o1 cancelled: nothing left to take at once"]


# -- the two parts -------------------------------------------------------------------------------


def test_a_market_order_trades_the_rest_at_the_price_of_then() -> None:
    made = rig()
    made.buy("10")
    assert made.told() == ["o1 accepted", "o1 filled 3 @ 10.01 taker"]
    made.quote(10.49, 10.51, 1.0, 1.0)
    made.clock.advance(500 * MS, inclusive=False)
    assert made.told() == []
    made.clock.advance(500 * MS)
    assert made.told() == ["o1 filled 7 @ 10.51 taker"]
    assert not made.is_watched
    assert made.venue.executions.working == {}


def test_no_price_concerns_an_order_between_its_parts() -> None:
    made = rig()
    made.buy("10", price="10.01")
    made.quote(8.0, 9.0)
    made.trade(8.0)
    assert made.told() == ["o1 accepted", "o1 filled 3 @ 10.01 taker"]
    made.clock.advance(500 * MS)
    assert made.told() == ["o1 filled 7 @ 9 taker"]


def test_what_is_beyond_its_limit_by_then_rests() -> None:
    made = rig()
    made.buy("10", price="10.02")
    made.quote(10.1, 10.2, 1.0, 1.0)
    made.clock.advance(600 * MS)
    assert made.told() == ["o1 accepted", "o1 filled 3 @ 10.01 taker"]
    made.quote(9.8, 10.0, 1.0, 1.0)
    assert made.told() == ["o1 filled 7 @ 10.02 maker"]


@pytest.mark.parametrize("stays", [True, False])
def test_a_maker_is_parted_too(*, stays: bool) -> None:
    made = rig()
    made.sell("10", price="10.50")
    made.quote(10.55, 10.60, 1.0, 1.0)
    assert made.told() == ["o1 accepted", "o1 filled 3 @ 10.5 maker"]
    if not stays:
        made.quote(10.40, 10.45, 1.0, 1.0)
    made.clock.advance(500 * MS)
    assert made.told() == (["o1 filled 7 @ 10.5 maker"] if stays else [])
    made.quote(10.50, 10.60, 1.0, 1.0)
    assert made.told() == ([] if stays else ["o1 filled 7 @ 10.5 maker"])


def test_a_triggered_stop_is_parted() -> None:
    made = rig()
    made.sell("10", stop="9.90")
    made.quote(9.80, 9.85, 1.0, 1.0)
    assert made.told() == ["o1 accepted", "o1 triggered", "o1 filled 3 @ 9.8 taker"]
    made.clock.advance(500 * MS)
    assert made.told() == ["o1 filled 7 @ 9.8 taker"]


def test_makers_and_takers_of_trades_and_candles_are_parted() -> None:
    made = VenueRig(fills=Through(partial=THIRD))
    made.trade(10.0)
    made.buy("10", price="9.50")
    made.buy("10")
    made.trade(9.4)
    assert made.told() == [
        "o1 accepted", "o2 accepted", "o2 filled 3 @ 9.4 taker", "o1 filled 3 @ 9.4 taker",
    ]  # fmt: skip
    made.clock.advance(500 * MS)
    assert made.told() == []
    made.trade(9.45)
    assert made.told() == ["o2 filled 7 @ 9.45 taker", "o1 filled 7 @ 9.45 taker"]

    made = VenueRig(fills=Through(partial=THIRD))
    made.candle(10.0, 10.0, 10.0, 10.0)
    made.buy("10", price="9.50")
    made.candle(10.0, 10.0, 9.0, 9.2)
    assert made.told() == ["o1 accepted", "o1 filled 3 @ 9.5 maker"]
    made.candle(9.6, 9.6, 9.55, 9.6)
    made.candle(9.6, 9.6, 9.4, 9.6)
    assert made.told() == ["o1 filled 7 @ 9.5 maker"]


def test_a_queue_gives_parts_as_well() -> None:
    made = VenueRig(fills=QueuePosition(partial=THIRD))
    made.quote(9.90, 10.10, 5.0, 5.0)
    made.buy("10", price="9.90")
    made.trade(9.90, 9.0)
    assert made.told() == ["o1 accepted", "o1 filled 3 @ 9.9 maker"]
    made.clock.advance(500 * MS)
    made.trade(9.89, 50.0)
    assert made.told() == ["o1 filled 7 @ 9.9 maker"]


# -- what may happen in between ------------------------------------------------------------------


def test_a_cancel_between_the_parts_keeps_the_first() -> None:
    made = rig()
    made.buy("10")
    made.cancel("o1")
    assert made.told()[2:] == ["o1 cancelled: cancelled as asked"]
    made.clock.advance(5_000 * MS)
    assert made.told() == []


def test_an_order_may_expire_between_its_parts() -> None:
    made = rig()
    made.buy("10", tif=TimeInForce.GTD, expire_ns=100 * MS)
    made.clock.advance(5_000 * MS)
    assert made.told()[2:] == ["o1 expired: expired"]


@pytest.mark.parametrize(
    ("post_only", "told"), [(False, "o1 filled 7 @ 10.6 taker"), (True, "o1 filled 7 @ 10.7 maker")]
)
def test_a_change_between_the_parts_holds_for_the_rest(*, post_only: bool, told: str) -> None:
    made = rig()
    made.buy("10", price="10", post_only=post_only)
    made.quote(9.9, 10.0, 1.0, 1.0)
    made.quote(10.9, 11.0, 1.0, 1.0)
    assert made.told() == ["o1 accepted", "o1 filled 3 @ 10 maker"]
    made.modify("o1", price="10.7")
    assert made.told() == ["o1 replaced 10"]
    made.quote(10.5, 10.6, 1.0, 1.0)
    made.clock.advance(500 * MS)
    assert made.told() == [told]


def test_a_smaller_quantity_between_the_parts_leaves_less_to_trade() -> None:
    made = rig()
    made.buy("10")
    made.modify("o1", quantity="4")
    made.clock.advance(500 * MS)
    assert made.told()[2:] == ["o1 replaced 4", "o1 filled 1 @ 10.01 taker"]


def test_a_reducing_order_ends_with_the_position() -> None:
    made = rig()
    made.buy("1", tif=TimeInForce.FOK)
    made.sell("1", reduce_only=True)
    made.told()
    made.sell("0.7", tif=TimeInForce.FOK)
    assert made.told() == [
        "o3 accepted", "o3 filled 0.7 @ 9.99 taker", "o2 cancelled: nothing left to reduce",
    ]  # fmt: skip


# -- what is not parted --------------------------------------------------------------------------


def test_immediate_orders_never_wait() -> None:
    made = rig()
    made.buy("10", tif=TimeInForce.IOC)
    made.buy("10", tif=TimeInForce.FOK)
    made.buy("10", price="9", tif=TimeInForce.IOC)
    assert made.told() == [
        "o1 accepted", "o1 filled 3 @ 10.01 taker", "o1 cancelled: nothing left to take at once",
        "o2 accepted", "o2 filled 10 @ 10.01 taker",
        "o3 accepted", "o3 cancelled: nothing left to take at once",
    ]  # fmt: skip


def test_an_order_of_one_lot_trades_whole() -> None:
    made = rig()
    made.buy("0.1")
    made.buy("0.5")
    assert made.told() == [
        "o1 accepted", "o1 filled 0.1 @ 10.01 taker",
        "o2 accepted", "o2 filled 0.1 @ 10.01 taker",
    ]  # fmt: skip


def test_less_depth_than_the_first_part_fills_as_it_comes() -> None:
    made = VenueRig(fills=Through(partial=PartialFills(D("0.5"))))
    made.quote(9.99, 10.01, 2.0, 2.0)
    made.buy("10")
    assert made.told() == ["o1 accepted", "o1 filled 2 @ 10.01 taker"]
    made.clock.advance(500 * MS)
    made.quote(9.99, 10.01, 20.0, 20.0)
    assert made.told() == ["o1 filled 8 @ 10.01 taker"]


@pytest.mark.parametrize("filled", ["0", "4"])
def test_what_had_traded_before_a_restart_is_not_parted_again(filled: str) -> None:
    made = rig()
    intent = OrderIntent("run", "k", NAME, Side.BUY, D(6), OrderType.MARKET)
    made.venue.resume(SubmitOrder("o1", "main", intent, D(6), 0), D(filled))
    expected = "o1 filled 6 @ 10.01 taker" if filled == "4" else "o1 filled 1.8 @ 10.01 taker"
    assert made.told() == ["o1 accepted", expected]


def test_a_fee_per_order_is_paid_once() -> None:
    made = rig(costs=CostSettings(per_order=D(2)))
    made.buy("10")
    made.clock.advance(500 * MS)
    fees = [fact.fees for fact in made.facts if isinstance(fact, OrderFilled)]
    assert [fee.amount for fee in fees[0]] == [D(2)]
    assert fees[1] == ()


@given(
    quantity=st.decimals("0.0000000001", "1e15", places=10),
    ratio=st.decimals("0.000001", "0.999999"),
    lot=st.none() | st.sampled_from([D("0.1"), D("0.0000000001"), D(5)]),
)
def test_both_parts_add_up_to_the_quantity_exactly(
    quantity: Decimal, ratio: Decimal, lot: Decimal | None
) -> None:
    instrument: Instrument = msgspec.structs.replace(ABC, lot=lot)
    part = PartialFills(ratio).first_part(instrument, quantity)
    if part is not None:
        assert 0 < part < quantity
        rest = quantity - part
        assert part + rest == quantity
        assert len(part.as_tuple().digits) <= 28
        assert lot is None or part % lot == 0
        assert part <= quantity * ratio * D("1.000001")


# -- the settings --------------------------------------------------------------------------------


@pytest.mark.parametrize("given_ratio", ["0.5", 0.5])
def test_a_ratio_is_read_and_told(given_ratio: object) -> None:
    section = {"partial_ratio": given_ratio, "partial_after_ms": 250}
    model = fill_model(decode_section(section, FillSettings, key="fills"))
    assert model.partial == PartialFills(D("0.5"), 250.0)
    assert model.partial.after_ns == 250 * MS
    assert model.describe().endswith("0.5 of the quantity first, the rest 250 ms later")


@pytest.mark.parametrize(
    "name", ["through", "touch", "volume_share", "queue_position", "unlimited"]
)
def test_every_model_can_part_orders(name: str) -> None:
    section = {"model": name, "partial_ratio": "0.5"}
    model = fill_model(decode_section(section, FillSettings, key="fills"))
    assert model.partial == PartialFills(D("0.5"))
    assert "0.5 of the quantity first" in model.describe()


@pytest.mark.parametrize("value", ["0", "1", "-0.5", "1.5", "half", True, "NaN", "1e999999999", 7])
def test_another_ratio_is_ignored_with_a_warning(value: object) -> None:
    with capture_logs() as logs:
        model = fill_model(decode_section({"partial_ratio": value}, FillSettings, key="fills"))
    assert model.partial is None
    assert [(line["event"], line["value"]) for line in logs] == [
        ("partial_ratio_ignored", str(value))
    ]


@pytest.mark.parametrize("value", ["", None])
def test_no_ratio_is_no_mistake(value: object) -> None:
    with capture_logs() as logs:
        model = fill_model(decode_section({"partial_ratio": value}, FillSettings, key="fills"))
    assert model.partial is None
    assert logs == []
