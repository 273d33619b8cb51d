"""Baskets: one key, every leg reserved before any is sent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import KeyConflict, OrderError
from framework.model.commands import SubmitOrder
from framework.model.orders import BasketIntent, Order, OrderIntent, OrderStatus, Side
from tests.framework.orders.world import PERPETUAL, SPOT, World

D = Decimal


def leg(side: Side, quantity: str, instrument: str = SPOT) -> OrderIntent:
    return OrderIntent("", "", instrument, side, D(quantity))


def basket(*legs: OrderIntent, key: str = "pair", all_or_none: bool = True) -> BasketIntent:
    return BasketIntent("r", key, legs, all_or_none)


def test_every_leg_is_written_down_before_the_first_is_sent_r33() -> None:
    world = World()
    order_of_events: list[str] = []
    world.desk._record = lambda record: order_of_events.append("record")
    world.desk._send = lambda command: order_of_events.append("send")

    orders = world.desk.submit_basket(basket(leg(Side.BUY, "1"), leg(Side.SELL, "2", PERPETUAL)))

    assert [order.status for order in orders] == [OrderStatus.SUBMITTED] * 2
    assert [order.intent.key for order in orders] == ["pair/1", "pair/2"]
    assert order_of_events == ["record", "record", "send", "send"]


def test_one_refused_leg_denies_all_and_gives_back_what_was_reserved() -> None:
    world = World(max_order_notional=D(150))

    orders = world.desk.submit_basket(
        basket(leg(Side.BUY, "1"), leg(Side.BUY, "2"), leg(Side.SELL, "1"))
    )

    assert [order.status for order in orders] == [OrderStatus.DENIED] * 3
    assert "max_order_notional" in orders[1].reason
    assert orders[0].reason.startswith("leg 2 of the basket was refused")
    assert orders[2].reason == orders[0].reason
    assert world.sent == []
    assert world.registry.working("r", SPOT).open_buy == 0
    assert world.registry.reserved_cash("main") == {}
    assert len([entry for entry in world.recorded if isinstance(entry, Order)]) == 3


def test_without_all_or_none_each_leg_stands_for_itself() -> None:
    world = World(max_order_notional=D(150))

    orders = world.desk.submit_basket(
        basket(leg(Side.BUY, "1"), leg(Side.BUY, "2"), leg(Side.SELL, "1"), all_or_none=False)
    )

    assert [order.status for order in orders] == [
        OrderStatus.SUBMITTED,
        OrderStatus.DENIED,
        OrderStatus.SUBMITTED,
    ]
    assert len(world.sent) == 2


def test_legs_reserve_before_the_next_one_is_judged_r60() -> None:
    world = World(max_position_notional=D(150))

    orders = world.desk.submit_basket(basket(leg(Side.BUY, "1"), leg(Side.BUY, "1")))

    assert [order.status for order in orders] == [OrderStatus.DENIED] * 2
    assert "max_position_notional" in orders[1].reason


def test_the_same_basket_again_is_the_same_orders_r29() -> None:
    world = World()
    wish = basket(leg(Side.BUY, "1"), leg(Side.SELL, "1", PERPETUAL))
    first = world.desk.submit_basket(wish)

    assert world.desk.submit_basket(wish) == first
    assert len(world.sent) == 2


@pytest.mark.parametrize(
    "other",
    [
        basket(leg(Side.BUY, "1")),
        basket(leg(Side.BUY, "1"), leg(Side.SELL, "1"), leg(Side.SELL, "1")),
        basket(leg(Side.BUY, "1"), leg(Side.SELL, "2")),
    ],
)
def test_other_legs_under_the_same_key_are_a_conflict_r29(other: BasketIntent) -> None:
    world = World()
    world.desk.submit_basket(basket(leg(Side.BUY, "1"), leg(Side.SELL, "1")))

    with pytest.raises(KeyConflict):
        world.desk.submit_basket(other)
    assert len(world.sent) == 2


def test_a_basket_without_legs_or_denied_from_outside() -> None:
    world = World()

    with pytest.raises(OrderError, match="no legs"):
        world.desk.submit_basket(basket())
    [denied] = world.desk.submit_basket(basket(leg(Side.BUY, "1")), "warming_up")
    assert (denied.status, denied.reason) == (OrderStatus.DENIED, "warming_up")
    assert world.sent == []


@given(
    st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 9)), min_size=1, max_size=5),
    st.integers(1, 900),
)
def test_all_or_none_sends_all_or_none(legs: list[tuple[Side, int]], limit: int) -> None:
    world = World(max_position_notional=D(limit))

    orders = world.desk.submit_basket(basket(*(leg(side, str(size)) for side, size in legs)))

    sent = [command for command in world.sent if isinstance(command, SubmitOrder)]
    assert len(sent) in (0, len(legs))
    assert {order.status for order in orders} == {
        OrderStatus.SUBMITTED if sent else OrderStatus.DENIED
    }
    if not sent:
        assert world.registry.working("r", SPOT).reserved == 0
