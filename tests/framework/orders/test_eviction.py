"""Closed orders leave memory, oldest first, once they are durable."""

from framework.model.orders import OrderStatus
from framework.orders.eviction import ClosedOrders
from tests.framework.orders.world import FakeArchive, World


def evicting(world: World, kept: int) -> ClosedOrders:
    closed = ClosedOrders(world.registry, lambda: len(world.recorded), kept=kept)
    world.desk.after_change.append(closed.after_change)
    world.registry.archive = FakeArchive()
    return closed


def test_only_the_newest_closed_orders_stay_r53() -> None:
    world = World()
    closed = evicting(world, kept=2)
    working = world.buy("1")
    for _ in range(5):
        world.fill(world.buy("1"), "1", "100")
    world.buy("0.0001")  # denied: closed from the first

    closed.evict(len(world.recorded))

    assert [order.status for order in world.registry] == [
        OrderStatus.SUBMITTED,
        OrderStatus.FILLED,
        OrderStatus.DENIED,
    ]
    assert world.registry.get(working.order_id) is working


def test_what_is_not_durable_yet_stays() -> None:
    world = World()
    closed = evicting(world, kept=0)
    for _ in range(3):
        world.fill(world.buy("1"), "1", "100")

    closed.evict(4)  # two entries an order

    assert len(world.registry) == 1


def test_an_order_that_others_hang_on_stays_until_they_are_gone() -> None:
    world = World()
    closed = evicting(world, kept=0)
    parent = world.buy("1")
    world.fill(parent, "1", "100")
    closed.is_needed = lambda order: order is parent

    closed.evict(100)
    assert world.registry.get(parent.order_id) is parent
    closed.is_needed = lambda order: False
    closed.evict(100)
    assert len(world.registry) == 0
