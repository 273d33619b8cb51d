"""The venue as a broker: what it takes in, when it acts, what it tells."""

from decimal import Decimal

import msgspec
import pytest

from framework.model.instrument import InstrumentKind
from framework.model.orders import OrderType, TimeInForce, TriggerBy
from framework.model.reports import OrderAccepted, OrderEnded, OrderFilled
from framework.simulation.costs import CostSettings
from framework.simulation.latency import ConstantLatency, UniformLatency

from .venue_rig import ABC, MINUTE_NS, Terms, VenueRig


def test_an_unknown_instrument_is_rejected_with_its_name() -> None:
    rig = VenueRig()
    rig.buy("1", instrument="sim:XYZ")
    assert rig.told() == ["o1 rejected: unknown instrument 'sim:XYZ'"]


@pytest.mark.parametrize(
    ("quantity", "terms", "reason"),
    [
        ("0.15", {}, "quantity 0.15 is not on the lot 0.1"),
        ("0", {}, "quantity 0 is not positive"),
        ("-1", {}, "quantity -1 is not positive"),
        ("1", {"price": "10.005"}, "price 10.005 is not on the tick 0.01"),
        ("1", {"stop": "10.005"}, "price 10.005 is not on the tick 0.01"),
        ("1", {"kind": OrderType.LIMIT}, "a limit order needs a price"),
        ("1", {"kind": OrderType.STOP}, "a stop order needs a stop price"),
        (
            "1",
            {"kind": OrderType.STOP_LIMIT, "price": "1"},
            "a stop_limit order needs a stop price",
        ),
        ("1", {"kind": OrderType.TRAILING_STOP}, "trailing_stop orders are not supported"),
        ("1", {"tif": TimeInForce.GTD}, "a gtd order needs an expiry"),
        ("1", {"expire_ns": 0}, "the expiry has passed"),
        ("1", {"post_only": True}, "a market order cannot be post-only"),
        (
            "1",
            {"post_only": True, "price": "1", "tif": TimeInForce.IOC},
            "a post-only order cannot be ioc",
        ),
        ("1", {"stop": "10", "trigger_by": TriggerBy.MARK}, "there is no mark price"),
        ("1", {"reduce_only": True}, "nothing left to reduce"),
    ],
)
def test_an_impossible_order_is_rejected_with_the_reason(
    quantity: str, terms: Terms, reason: str
) -> None:
    rig = VenueRig()
    rig.quote(9.99, 10.01)
    rig.buy(quantity, **terms)
    assert rig.told() == [f"o1 rejected: {reason}"]
    assert not rig.is_watched


def test_an_index_cannot_be_traded() -> None:
    rig = VenueRig(instrument=msgspec.structs.replace(ABC, kind=InstrumentKind.INDEX))
    rig.buy("1")
    assert rig.told() == ["o1 rejected: sim:ABC is an index and cannot be traded"]


def test_an_expired_instrument_is_rejected() -> None:
    rig = VenueRig(instrument=msgspec.structs.replace(ABC, expiry_ns=5))
    rig.clock.advance(5)
    rig.buy("1")
    assert rig.told() == ["o1 rejected: sim:ABC has expired"]


def test_a_repeated_order_id_changes_nothing() -> None:
    rig = VenueRig()
    rig.buy("1", price="9", order_id="same")
    rig.buy("5", price="9", order_id="same")
    assert rig.told() == ["same accepted", "same submit refused: the order is working already"]


def test_facts_carry_the_time_of_the_step_and_counted_ids() -> None:
    rig = VenueRig()
    rig.clock.advance(7)
    rig.quote(9.99, 10.01)
    rig.buy("1")
    rig.sell("1")
    assert [
        (fact.time_ns, fact.venue_order_id) for fact in rig.facts if isinstance(fact, OrderAccepted)
    ] == [(7, "sim-1"), (7, "sim-2")]
    assert [fact.execution_id for fact in rig.facts if isinstance(fact, OrderFilled)] == [
        "sim-1",
        "sim-2",
    ]


def test_a_latency_delays_the_command_and_meets_the_market_of_then() -> None:
    rig = VenueRig(latency=ConstantLatency(50))
    rig.quote(9.99, 10.01)
    rig.buy("1")
    assert rig.told() == []

    rig.quote(10.01, 10.03)
    rig.clock.advance(50)

    assert rig.told() == ["o1 accepted", "o1 filled 1 @ 10.03 taker"]


def test_commands_never_overtake_each_other_on_the_way() -> None:
    for seed in range(20):
        rig = VenueRig(latency=UniformLatency(10, 0, 1_000), seed=seed)
        rig.buy("1", price="9")
        rig.cancel("o1")
        rig.clock.advance(3_000)
        assert rig.told() == ["o1 accepted", "o1 cancelled: cancelled as asked"]


def test_the_market_is_watched_only_while_an_order_needs_it() -> None:
    rig = VenueRig()
    rig.quote(9.99, 10.01)
    rig.buy("1")
    assert not rig.is_watched

    rig.buy("1", price="9")
    assert rig.is_watched

    rig.cancel("o2")
    assert not rig.is_watched


def test_cancelling_what_is_not_there_is_refused() -> None:
    rig = VenueRig()
    rig.cancel("nobody")
    rig.modify("nobody")
    assert rig.told() == [
        "nobody cancel refused: there is no such working order",
        "nobody modify refused: there is no such working order",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"revision": 0}, "revision 0 is not above 0"),
        ({"quantity": "0.15"}, "quantity 0.15 is not on the lot 0.1"),
        ({"quantity": "1"}, "quantity 1 is not above the 1.0 that have traded"),
        ({"price": "9.995"}, "price 9.995 is not on the tick 0.01"),
        ({"stop": "9.99"}, "there is no stop price to change"),
    ],
)
def test_an_impossible_change_is_refused_with_the_reason(
    change: dict[str, object], reason: str
) -> None:
    rig = VenueRig()
    rig.buy("3", price="9.99")
    rig.quote(9.98, 9.99, 1.0, 1.0)
    rig.told()

    rig.modify("o1", **change)  # type: ignore[arg-type]  # a table of keywords

    assert rig.told() == [f"o1 modify refused: {reason}"]


def test_a_market_order_has_no_price_to_change() -> None:
    rig = VenueRig()
    rig.buy("1")
    rig.told()
    rig.modify("o1", price="10")
    assert rig.told() == ["o1 modify refused: a market order has no price to change"]


def test_a_gtd_order_expires_after_the_market_data_of_that_instant() -> None:
    rig = VenueRig()
    rig.buy("1", price="9.99", tif=TimeInForce.GTD, expire_ns=100)
    rig.buy("1", price="9.98", tif=TimeInForce.GTD, expire_ns=100)
    rig.told()

    rig.clock.advance(100, inclusive=False)
    rig.quote(9.98, 9.99)
    rig.clock.advance(100)

    assert rig.told() == ["o1 filled 1 @ 9.99 taker", "o2 expired: expired"]
    assert not rig.is_watched


def test_an_order_that_ended_leaves_no_timer() -> None:
    rig = VenueRig()
    rig.quote(9.98, 9.99)
    rig.buy("1", tif=TimeInForce.GTD, expire_ns=100)
    rig.buy("1", price="9", tif=TimeInForce.GTD, expire_ns=100)
    rig.cancel("o2")
    assert [timer.callback for timer in rig.clock.timers] == [None, None]


def test_a_day_order_lives_on_without_an_expiry_and_ends_with_one() -> None:
    rig = VenueRig()
    rig.buy("1", price="9", tif=TimeInForce.DAY)
    rig.buy("1", price="9", tif=TimeInForce.DAY, expire_ns=MINUTE_NS)
    rig.clock.advance(10 * MINUTE_NS)
    ends = [fact for fact in rig.facts if isinstance(fact, OrderEnded)]
    assert [(end.order_id, end.time_ns) for end in ends] == [("o2", MINUTE_NS)]


def test_fees_come_with_each_fill_and_the_fixed_part_once() -> None:
    rig = VenueRig(costs=CostSettings(fees_bps=Decimal(10), per_order=Decimal(1)))
    rig.buy("2", price="10")
    rig.quote(9.9, 10.0, 1.0, 1.0)
    rig.quote(9.9, 10.0, 1.0, 1.0)
    fills = [fact for fact in rig.facts if isinstance(fact, OrderFilled)]
    assert [fill.fees[0].amount for fill in fills] == [Decimal("1.01"), Decimal("0.01")]


def test_a_position_from_before_a_restart_can_be_reduced() -> None:
    rig = VenueRig()
    rig.venue.executions.adopt("main", ABC.id, Decimal(-2))
    rig.quote(9.98, 10.02)
    rig.buy("3", reduce_only=True)
    assert rig.told() == [
        "o1 accepted",
        "o1 filled 2 @ 10.02 taker",
        "o1 cancelled: nothing left to reduce",
    ]


def test_a_trailing_stop_is_left_to_the_core() -> None:
    assert OrderType.TRAILING_STOP not in VenueRig().venue.capabilities.order_types


def test_what_the_venue_assumes_can_be_printed() -> None:
    assert VenueRig().venue.describe() == (
        "fills: limits when traded through; candle path by_direction",
        "costs: no fees, no slippage",
        "latency: orders 0 ns, feed 0 ns, constant",
    )
