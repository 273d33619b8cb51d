"""Which closed orders stay, told from the orders alone."""

from decimal import Decimal

import pytest

from framework.model.orders import Exits, OrderIntent, OrderType, Percent, Side
from framework.model.records import HoldRole
from framework.model.reports import EndKind, OrderEnded, OrderFilled
from framework.orders.kept import KeptOrders
from framework.orders.order_state import OrderState
from tests.framework.orders.venue_world import PERPETUAL, VenueWorld

D = Decimal


def entry(world: VenueWorld) -> OrderState:
    """Return a filled entry with a stop asked for."""
    exits = Exits(stop_loss=Percent(D(2)))
    order = world.desk.submit(OrderIntent("r1", "entry", PERPETUAL, Side.BUY, D(1), exits=exits))
    world.publish(OrderFilled(order.order_id, "E1", D(1), D(100), 5))
    return order


def stop(world: VenueWorld, parent: OrderState) -> OrderState:
    """Return its exit, kept by the core."""
    intent = OrderIntent(
        "r1",
        "entry/stop",
        PERPETUAL,
        Side.SELL,
        D(1),
        OrderType.STOP,
        stop_price=D(98),
        reduce_only=True,
    )
    return world.desk.hold(intent, role=HoldRole.STOP_LOSS, parent=parent.order_id)


@pytest.mark.parametrize(
    ("kind", "by", "is_kept"),
    [
        (EndKind.REJECTED, "venue", True),  # nobody asked for its end: there is much to protect
        (EndKind.EXPIRED, "venue", True),
        (EndKind.CANCELLED, "core", False),  # it was given up
    ],
)
def test_an_entry_stays_while_its_exit_is_open_or_has_failed(
    kind: EndKind, by: str, is_kept: bool
) -> None:
    world = VenueWorld()
    order = entry(world)
    leg = stop(world, order)
    assert KeptOrders(world.registry, world.ledger).keeps(order)

    world.publish(OrderEnded(leg.order_id, kind, 9, "no", by))

    kept = KeptOrders(world.registry, world.ledger)
    assert kept.keeps(order) is kept.keeps(leg) is is_kept


def test_nothing_stays_for_a_position_that_has_gone() -> None:
    world = VenueWorld()
    order = entry(world)
    leg = stop(world, order)
    world.publish(OrderEnded(leg.order_id, EndKind.REJECTED, 9, "no"))
    closing = world.desk.submit(OrderIntent("r1", "out", PERPETUAL, Side.SELL, D(1)))
    world.publish(OrderFilled(closing.order_id, "E2", D(1), D(100), 10))

    kept = KeptOrders(world.registry, world.ledger)
    assert not any(kept.keeps(one) for one in (order, leg, closing))


def test_a_group_stays_while_one_of_it_is_open_and_is_forgotten_with_its_last() -> None:
    world = VenueWorld()
    first, second = (
        world.desk.submit(OrderIntent("r1", key, PERPETUAL, Side.BUY, D(1), oco_group="either"))
        for key in ("a", "b")
    )
    kept = KeptOrders(world.registry, world.ledger)
    world.publish(OrderEnded(first.order_id, EndKind.CANCELLED, 9))
    assert kept.keeps(first)
    world.publish(OrderEnded(second.order_id, EndKind.CANCELLED, 9))
    assert not kept.keeps(first)
    for order in (first, first, second):
        kept.forget(order)
    assert not kept.keeps(second)


def test_exits_that_have_ended_stay_while_their_entry_may_still_fill() -> None:
    """R-32: what they have filled would be protected a second time after a restart."""
    world = VenueWorld()
    exits = Exits(stop_loss=Percent(D(2)))
    order = world.desk.submit(OrderIntent("r1", "entry", PERPETUAL, Side.BUY, D(3), exits=exits))
    world.publish(OrderFilled(order.order_id, "E1", D(1), D(100), 5))
    leg = stop(world, order)
    world.publish(OrderFilled(leg.order_id, "E2", D(1), D(98), 6))

    assert KeptOrders(world.registry, world.ledger).keeps(leg)
    world.publish(OrderEnded(order.order_id, EndKind.CANCELLED, 9, "asked", "venue"))
    assert not KeptOrders(world.registry, world.ledger).keeps(leg)
