"""Keys are answered once, sums follow the open orders, and nothing leaves memory blindly."""

from decimal import Decimal

import pytest

from framework.errors import KeyConflict
from framework.model.events import OrderAnomaly
from framework.model.orders import Fill, Order, OrderStatus, Side
from framework.model.reports import OrderFilled
from tests.framework.orders.world import PERPETUAL, SPOT, FakeArchive, World

D = Decimal


def test_the_same_intent_a_hundred_times_is_one_order() -> None:
    """R-29."""
    world = World()
    intent = world.intent(Side.BUY, "1")

    orders = {id(world.desk.submit(intent)) for _ in range(100)}

    assert len(orders) == 1
    assert len(world.sent) == 1


def test_what_caused_an_intent_is_not_part_of_its_content() -> None:
    world = World()
    order = world.buy("1", key="a", cause_sequence=3, cause_ns=5)

    assert world.buy("1", key="a", cause_sequence=9, send_by_ns=10**18) is order


def test_the_same_key_with_other_content_is_a_conflict() -> None:
    """R-29."""
    world = World()
    order = world.buy("1", key="a")

    with pytest.raises(KeyConflict, match=f"used key 'a' for another order, {order.order_id}"):
        world.buy("2", key="a")
    assert len(world.sent) == 1


def test_two_runs_may_use_the_same_key() -> None:
    world = World()

    assert world.buy("1", key="a") is not world.buy("1", key="a", run="other")


def test_sums_follow_the_open_orders_and_are_zero_when_flat() -> None:
    """R-77."""
    world = World()
    working = world.registry.working("r", PERPETUAL)
    first = world.buy("2", instrument=PERPETUAL, price=D(90))
    second = world.sell("3", instrument=PERPETUAL, price=D(110))
    assert (working.open_buy, working.open_sell) == (D(2), D(3))
    assert working.reserved == D(2) * 100 * 10 + D(3) * 110 * 10  # the dearer of limit and market

    world.fill(first, "0.5", "90")
    assert working.open_buy == D("1.5")
    world.fill(first, "1.5", "90")
    world.fill(second, "3", "110")

    assert (working.open_buy, working.open_sell, working.reserved) == (D(0), D(0), D(0))
    assert working.orders == {}


def test_only_buys_paid_in_full_reserve_cash() -> None:
    world = World()
    world.buy("1", instrument=PERPETUAL)
    world.sell("1")
    assert world.registry.reserved_cash("main") == {}

    order = world.buy("2")
    assert world.registry.reserved_cash("main") == {"USD": D(200)}

    world.fill(order, "2", "100")
    assert world.registry.reserved_cash("main") == {}


def test_an_order_is_not_released_while_it_is_open_or_nobody_can_answer_for_it() -> None:
    world = World()
    order = world.buy("1")
    world.registry.archive = FakeArchive()
    assert not world.registry.release(order.order_id)
    world.fill(order, "1", "100")
    world.registry.archive = None
    assert not world.registry.release(order.order_id)

    world.registry.archive = FakeArchive()

    assert world.registry.release(order.order_id)
    assert len(world.registry) == 0


def test_a_repeated_key_of_a_released_order_is_answered_from_the_log() -> None:
    """R-29."""
    world = World()
    order = world.buy("1", key="a")
    world.fill(order, "1", "101")
    closed = order.event()
    world.registry.archive = FakeArchive({"a": closed})
    world.registry.release(order.order_id)

    again = world.buy("1", key="a")

    assert again.event() == closed
    assert len(world.sent) == 1
    with pytest.raises(KeyConflict):
        world.sell("1", key="a")


def test_with_its_history_a_released_order_is_compared_whole() -> None:
    world = World()
    order = world.buy("1", key="a")
    execution = OrderFilled(order.order_id, "e", D(1), D(101), 5)
    world.desk.apply(execution)
    closed = order.event()
    world.registry.archive = FakeArchive({"a": closed}, {order.order_id: order})
    world.registry.release(order.order_id)

    with pytest.raises(KeyConflict):
        world.buy("2", key="a")
    assert world.buy("1", key="a").filled == D(1)


def test_a_late_fill_of_a_released_order_is_booked_and_a_repeated_one_is_not() -> None:
    """R-23, R-24: also after the order has left memory."""
    world = World()
    order = world.buy("1")
    execution = OrderFilled(order.order_id, "e", D(1), D(100), 5)
    world.desk.apply(execution)
    world.registry.archive = FakeArchive(orders={order.order_id: order})
    world.registry.release(order.order_id)
    world.emitted.clear()

    world.desk.apply(execution)
    assert world.events(Fill) == []
    world.desk.apply(OrderFilled(order.order_id, "late", D(1), D(100), 6))

    assert len(world.events(Fill)) == 1
    assert len(world.events(OrderAnomaly)) == 2  # after the end, and more than was ordered
    assert world.desk.position_view("r", SPOT).quantity == D(2)


def test_reports_about_unknown_orders_are_kept_until_somebody_adopts_the_order() -> None:
    """R-26: booked as external, ownership never guessed."""
    world = World()
    fill = OrderFilled("theirs", "e", D(1), D(100), 5)
    world.desk.apply(fill)
    world.desk.apply(fill)
    assert world.kinds() == ["OrderAnomaly", "OrderAnomaly"]
    assert world.registry.external_facts == {"theirs": [fill]}
    world.emitted.clear()

    intent = world.intent(Side.BUY, "1", run="external", key="theirs")
    order = world.desk.adopt("theirs", intent, "main")

    assert order.status is OrderStatus.FILLED
    assert world.kinds() == ["Order", "Fill", "Position", "Account"]
    assert world.ledger.net_quantity("external", SPOT) == D(1)
    assert world.registry.external_facts == {}


def test_an_event_shows_the_whole_order() -> None:
    world = World()
    order = world.buy("1", price=D(99), tags=("x",), post_only=True)
    world.accept(order)

    event = order.event()

    assert isinstance(event, Order)
    assert (event.order_id, event.run, event.account) == (order.order_id, "r", "main")
    assert (event.instrument, event.side, event.key) == (SPOT, Side.BUY, order.intent.key)
    assert (event.quantity, event.filled, event.price) == (D(1), D(0), D(99))
    assert (event.status, event.post_only, event.tags) == (OrderStatus.ACCEPTED, True, ("x",))
    assert event.venue_order_ids == ("venue-1",)
