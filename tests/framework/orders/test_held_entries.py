"""Held entries: stops the venue lacks, orders for the next open, orders that come after others."""

from decimal import Decimal

import pytest

from framework.clock.trading_hours import Session
from framework.interfaces import BrokerCapabilities
from framework.model.commands import SubmitOrder
from framework.model.orders import (
    Offset,
    OrderSession,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    TriggerBy,
)
from framework.orders.held_entries import needs_holding
from framework.orders.order_state import OrderState
from tests.framework.orders.emulation_world import NATIVE, NO_STOPS, SECOND_NS, EmulationWorld
from tests.framework.orders.world import SPOT, FakeArchive

D = Decimal
HELD, CANCELLED, EXPIRED = OrderStatus.HELD, OrderStatus.CANCELLED, OrderStatus.EXPIRED
HOUR_NS = 3_600 * SECOND_NS


class Hours:
    """Open in every even hour."""

    def is_open(self, time_ns: int) -> bool:
        return time_ns // HOUR_NS % 2 == 0

    def next_open_ns(self, time_ns: int) -> int | None:
        return (time_ns // HOUR_NS // 2 + 1) * 2 * HOUR_NS

    def next_close_ns(self, time_ns: int) -> int | None:
        return None

    def session_of(self, time_ns: int) -> Session | None:
        return None

    def day_end_ns(self, time_ns: int) -> int:
        return (time_ns // HOUR_NS // 2 * 2 + 1) * HOUR_NS


class NeverOpen(Hours):
    """Closed, and nobody knows until when."""

    def is_open(self, time_ns: int) -> bool:
        return False

    def next_open_ns(self, time_ns: int) -> int | None:
        return None


def stop(world: EmulationWorld, side: Side = Side.BUY, **fields: object) -> OrderState:
    return world.desk.submit(
        world.intent(side, "10", **{"type": OrderType.STOP, "stop_price": D(105), **fields})
    )


def sent_as(world: EmulationWorld, order: OrderState) -> SubmitOrder:
    (command,) = world.submits(order)
    return command


@pytest.mark.parametrize("kind", [OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP])
def test_what_the_venue_lacks_is_held(kind: OrderType) -> None:
    world = EmulationWorld()
    intent = world.intent(Side.BUY, "1", type=kind)

    assert needs_holding(intent, NO_STOPS)
    assert not needs_holding(intent, NATIVE)
    assert needs_holding(intent, BrokerCapabilities(trigger_bys=frozenset({TriggerBy.LAST})))


def test_market_and_limit_orders_are_never_held_for_themselves() -> None:
    world = EmulationWorld()

    assert not needs_holding(world.intent(Side.BUY, "1"), NO_STOPS)
    assert not needs_holding(world.intent(Side.BUY, "1", price=D(5)), NO_STOPS)


def test_a_stop_goes_out_as_a_market_order_when_its_price_comes() -> None:
    world = EmulationWorld(NO_STOPS)
    order = stop(world)
    assert order.status is HELD

    world.quote(104.9, 104.99)
    assert world.sent == []
    world.quote(104.9, 105.0)

    command = sent_as(world, order)
    assert (command.intent.type, command.quantity) == (OrderType.MARKET, D(10))
    assert command.intent.stop_price is None
    assert order.facts.is_triggered


def test_a_stop_limit_goes_out_as_its_limit() -> None:
    world = EmulationWorld(NO_STOPS)
    order = stop(world, type=OrderType.STOP_LIMIT, price=D(106))

    world.quote(105.0)

    command = sent_as(world, order)
    assert (command.intent.type, command.intent.price) == (OrderType.LIMIT, D(106))


def test_a_stop_goes_out_once() -> None:
    world = EmulationWorld(NO_STOPS)
    order = stop(world)

    world.quote(106.0)
    world.quote(107.0)

    assert len(world.submits(order)) == 1
    assert world.steps == {}


def test_a_stop_through_the_market_goes_at_the_first_fresh_price() -> None:
    world = EmulationWorld(NO_STOPS)
    world.quote(110.0)

    order = stop(world)
    assert order.status is HELD
    world.quote(110.0)

    assert world.submits(order)


def test_a_trailing_buy_follows_the_low_and_goes_when_the_price_turns() -> None:
    world = EmulationWorld(NO_STOPS)
    order = stop(world, type=OrderType.TRAILING_STOP, stop_price=None, trail=Offset(D(2)))

    for ask in (100.0, 97.0, 98.9):
        world.quote(ask - 0.01, ask)
    assert (order.extreme, order.facts.stop_price) == (D(97), D(99))
    assert world.sent == []
    world.quote(98.99, 99.0)

    assert sent_as(world, order).intent.type is OrderType.MARKET
    assert sent_as(world, order).intent.trail is None


def test_a_trail_waits_for_its_activation() -> None:
    world = EmulationWorld(NO_STOPS)
    order = stop(
        world,
        Side.SELL,
        type=OrderType.TRAILING_STOP,
        stop_price=None,
        trail=Offset(D(2)),
        trail_activation=D(110),
    )

    world.quote(100.0)
    world.quote(90.0)
    before = order.extreme
    world.quote(110.0)

    assert before is None
    assert (order.extreme, order.facts.stop_price) == (D(110), D(108))


def test_a_day_order_expires_at_the_end_of_its_session() -> None:
    world = EmulationWorld(NO_STOPS, hours=Hours())
    order = stop(world, time_in_force=TimeInForce.DAY)

    assert world.emulation.due(HOUR_NS - 1) == HOUR_NS
    assert order.status is HELD
    assert world.emulation.due(HOUR_NS) is None

    assert order.status is EXPIRED


def test_a_gtd_order_expires_at_its_time() -> None:
    world = EmulationWorld(NO_STOPS)
    order = stop(world, time_in_force=TimeInForce.GTD, expire_ns=5 * SECOND_NS)

    assert world.emulation.due(4 * SECOND_NS) == 5 * SECOND_NS
    world.emulation.due(5 * SECOND_NS)

    assert order.status is EXPIRED
    world.quote(110.0)
    assert world.sent == []


def test_a_gtd_stop_that_is_met_has_no_expiry_any_more() -> None:
    world = EmulationWorld(NO_STOPS)
    order = stop(world, time_in_force=TimeInForce.GTD, expire_ns=500 * SECOND_NS)

    world.quote(105.0)

    assert sent_as(world, order).intent.time_in_force is TimeInForce.GTC
    assert sent_as(world, order).intent.expire_ns is None


def test_a_gtc_order_is_never_due() -> None:
    world = EmulationWorld(NO_STOPS)
    stop(world)

    assert world.emulation.due(10**18) is None


def test_an_order_for_the_next_open_goes_when_the_calendar_opens() -> None:
    world = EmulationWorld(hours=Hours())
    order = world.buy("1", price=D(99), session=OrderSession.NEXT_OPEN)
    assert order.status is HELD
    assert world.emulation.due(world.clock.now_ns) == 2 * HOUR_NS

    world.clock.advance_to(2 * HOUR_NS)
    world.emulation.due(world.clock.now_ns)

    command = sent_as(world, order)
    assert (command.intent.session, command.intent.price) == (OrderSession.NOW, D(99))


def test_an_order_for_the_day_of_the_next_open_lives_until_that_day_ends() -> None:
    world = EmulationWorld(NO_STOPS, hours=Hours())
    order = stop(world, session=OrderSession.NEXT_OPEN, time_in_force=TimeInForce.DAY)

    world.clock.advance_to(2 * HOUR_NS)
    assert world.emulation.due(2 * HOUR_NS) == 3 * HOUR_NS
    world.quote(100.0)
    assert order.status is HELD
    world.quote(105.0)

    assert world.submits(order)


def test_a_stop_for_the_next_open_is_not_judged_before() -> None:
    world = EmulationWorld(NO_STOPS, hours=Hours())
    order = stop(world, session=OrderSession.NEXT_OPEN)

    world.quote(110.0)

    assert order.status is HELD


def test_where_nobody_knows_when_it_opens_an_order_waits() -> None:
    world = EmulationWorld(hours=NeverOpen())
    order = world.buy("1", session=OrderSession.NEXT_OPEN)

    assert world.emulation.due(10 * HOUR_NS) is None
    assert order.status is HELD


def test_where_it_never_closes_the_next_open_is_now() -> None:
    world = EmulationWorld()

    order = world.buy("1", session=OrderSession.NEXT_OPEN)

    assert world.submits(order)


def test_a_venue_with_next_open_gets_it_as_it_is() -> None:
    world = EmulationWorld(BrokerCapabilities(has_next_open=True), hours=Hours())

    order = world.buy("1", session=OrderSession.NEXT_OPEN)

    assert sent_as(world, order).intent.session is OrderSession.NEXT_OPEN


class TestOneTriggersOther:
    def test_a_child_waits_until_its_parent_is_filled_whole(self) -> None:
        world = EmulationWorld()
        parent = world.buy("10", price=D(99), key="first")
        child = world.sell("10", price=D(110), options=(("after", "first"),))
        world.fill(parent, "4", "99")
        assert child.status is HELD

        world.fill(parent, "6", "99")

        assert sent_as(world, child).intent.price == D(110)

    def test_a_child_ends_with_a_parent_that_ends_unfilled(self) -> None:
        world = EmulationWorld()
        parent = world.buy("10", price=D(99), key="first")
        child = world.sell("10", price=D(110), options=(("after", "first"),))
        world.fill(parent, "4", "99")

        world.end(parent)

        assert child.status is CANCELLED
        assert child.reason == "order first ended cancelled"

    def test_a_child_may_come_before_its_parent(self) -> None:
        world = EmulationWorld()
        child = world.sell("10", price=D(110), options=(("after", "first"),))

        world.fill(world.buy("10", price=D(99), key="first"), "10", "99")

        assert world.submits(child)

    def test_a_child_whose_parent_is_filled_already_goes_at_once(self) -> None:
        world = EmulationWorld()
        world.fill(world.buy("10", price=D(99), key="first"), "10", "99")

        child = world.sell("10", price=D(110), options=(("after", "first"),))

        assert world.submits(child)

    def test_the_log_answers_for_a_parent_that_left_memory(self) -> None:
        world = EmulationWorld()
        parent = world.buy("10", price=D(99), key="first")
        world.fill(parent, "10", "99")
        event = parent.event()
        world.registry.archive = FakeArchive({"first": event})
        world.registry.release(parent.order_id)

        child = world.sell("10", price=D(110), options=(("after", "first"),))

        assert world.submits(child)

    def test_a_parent_stays_in_memory_while_a_child_waits(self) -> None:
        world = EmulationWorld()
        parent = world.buy("10", price=D(99), key="first")
        child = world.sell("10", price=D(110), options=(("after", "first"),))
        assert world.emulation.keeps(parent)

        world.desk.cancel(child.order_id)

        assert not world.emulation.keeps(parent)

    def test_a_child_that_is_a_stop_the_venue_lacks_is_armed_after_its_parent(self) -> None:
        world = EmulationWorld(NO_STOPS)
        parent = world.buy("10", price=D(99), key="first")
        child = stop(world, options=(("after", "first"),))
        world.quote(110.0)
        assert child.status is HELD

        world.fill(parent, "10", "99")
        assert child.status is HELD
        world.quote(110.0)

        assert world.submits(child)

    def test_r32_the_link_survives_a_restart(self) -> None:
        world = EmulationWorld()
        parent = world.buy("10", price=D(99), key="first")
        child = world.sell("10", price=D(110), options=(("after", "first"),))

        world.restart()
        world.fill(parent, "10", "99")

        assert world.submits(child)

    def test_two_children_go_together(self) -> None:
        world = EmulationWorld()
        parent = world.buy("10", price=D(99), key="first")
        children = [world.sell("5", options=(("after", "first"),)) for _ in range(2)]
        world.desk.cancel(world.sell("5", options=(("after", "first"),)).order_id)

        world.fill(parent, "10", "99")

        assert [len(world.submits(child)) for child in children] == [1, 1]


def test_an_order_the_gate_refuses_when_it_is_due_has_ended() -> None:
    world = EmulationWorld(NO_STOPS)
    order = stop(world)
    world.gate.pause("r", "a person said so")

    world.quote(105.0)

    assert order.status is OrderStatus.REJECTED
    assert "a person said so" in order.reason
    assert world.instrument(SPOT).id == SPOT
