"""Orders that the core keeps, until it sends, changes or ends them."""

from decimal import Decimal

from msgspec.structs import replace

from framework.model.commands import SubmitOrder
from framework.model.orders import Order, OrderIntent, OrderStatus, OrderType, RequestState, Side
from framework.model.records import HoldOrder, HoldRole, OrderTrailed
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderReplaced,
    OrderTriggered,
)
from framework.orders.order_state import OrderState
from framework.risk.kill_switch import GateState
from tests.framework.orders.world import SPOT, World

D = Decimal


def keeping_stops(**limits: object) -> World:
    world = World(**limits)
    world.desk.needs_holding = lambda intent, account: intent.type is OrderType.STOP
    return world


def stop(world: World, **fields: object) -> OrderState:
    return world.buy("1", type=OrderType.STOP, stop_price=D(110), **fields)


def as_market(order: OrderState) -> OrderIntent:
    return replace(order.intent, type=OrderType.MARKET, stop_price=None)


def exit_of(world: World, entry: OrderState) -> OrderState:
    return world.desk.hold(
        OrderIntent(
            "r",
            f"{entry.intent.key}/stop",
            SPOT,
            Side.SELL,
            D(1),
            type=OrderType.STOP,
            stop_price=D(90),
            reduce_only=True,
        ),
        role=HoldRole.STOP_LOSS,
        parent=entry.order_id,
    )


def test_a_type_the_venue_lacks_is_held_recorded_and_visible_but_not_sent() -> None:
    world = keeping_stops()

    order = stop(world)

    assert order.status is OrderStatus.HELD
    assert order.facts.submit_state is RequestState.NONE
    [held] = world.recorded
    assert isinstance(held, HoldOrder)
    assert (held.order_id, held.role) == (order.order_id, HoldRole.ENTRY)
    assert world.sent == []
    assert [event.status for event in world.events(Order)] == [OrderStatus.HELD]  # type: ignore[attr-defined]
    assert world.registry.working("r", SPOT).open_buy == 1  # it counts as if it worked


def test_a_released_order_goes_out_as_told_once() -> None:
    world = keeping_stops()
    order = stop(world)

    assert world.desk.release(order, as_market(order), cause="triggered") is None
    assert world.desk.release(order, as_market(order)) is not None

    [command] = world.sent
    assert isinstance(command, SubmitOrder)
    assert command.intent.type is OrderType.MARKET
    assert command.intent.cause_ns == world.clock.now_ns
    assert command.order_id == order.order_id
    assert [type(entry) for entry in world.recorded] == [HoldOrder, OrderTriggered, SubmitOrder]
    assert order.status is OrderStatus.TRIGGERED
    before = order.facts.submit_state
    world.accept(order)
    assert (before, order.facts.submit_state) == (RequestState.WAITING, RequestState.NONE)


def test_an_entry_passes_the_gate_again_when_it_is_released_r60() -> None:
    world = keeping_stops()
    order = stop(world)
    world.gate.set_state(GateState.HALTED, "kill switch")

    reason = world.desk.release(order, as_market(order), cause="triggered")

    assert reason is not None
    assert "kill switch" in reason
    assert world.sent == []
    assert order.status is OrderStatus.REJECTED
    assert order.reason.startswith("refused when triggered")
    assert world.registry.working("r", SPOT).open_buy == 0


def test_an_exit_reserves_nothing_and_leaves_even_when_halted_f11() -> None:
    world = World()
    entry = world.buy("1")
    world.accept(entry)
    world.fill(entry, "1", "100")
    leg = exit_of(world, entry)
    assert world.registry.working("r", SPOT).open_sell == 0
    world.gate.set_state(GateState.HALTED, "kill switch")

    assert world.desk.release(leg, as_market(leg), cause="triggered") is None

    command = world.sent[-1]
    assert isinstance(command, SubmitOrder)
    assert command.reduce_only
    assert leg.parent == entry.order_id
    assert world.registry.working("r", SPOT).open_sell == 1


def test_the_same_exit_again_is_the_same_order() -> None:
    world = World()
    entry = world.buy("1")

    assert exit_of(world, entry) is exit_of(world, entry)


def test_a_held_order_is_changed_trailed_and_ended_in_the_core_alone() -> None:
    world = keeping_stops()
    order = stop(world)

    world.desk.change_held(order, quantity=D(2))
    world.desk.change_held(order, stop_price=D(120))
    world.desk.trail(order, D(130), D(125))
    assert (order.quantity, order.facts.stop_price, order.extreme) == (D(2), D(125), D(130))
    before = order.status
    world.desk.end_held(order, EndKind.CANCELLED, "flat")

    assert (before, order.status) == (OrderStatus.HELD, OrderStatus.CANCELLED)
    assert world.sent == []
    assert [type(entry) for entry in world.recorded[1:]] == [
        OrderReplaced,
        OrderReplaced,
        OrderTrailed,
        OrderEnded,
    ]


def test_a_cancelled_held_order_ends_at_once() -> None:
    world = keeping_stops()
    order = stop(world)

    assert world.desk.cancel(order.order_id) is None

    assert order.status is OrderStatus.CANCELLED
    assert world.sent == []


def test_listeners_hear_of_added_and_changed_orders_in_the_same_commit() -> None:
    world = keeping_stops()
    heard: list[tuple[str, str]] = []
    world.desk.after_change.append(
        lambda order, fact: heard.append((order.status.value, type(fact).__name__))
    )

    order = stop(world)
    world.desk.release(order, as_market(order))
    world.desk.apply(OrderAccepted(order.order_id, 5))

    assert heard == [
        ("held", "NoneType"),
        ("held", "OrderTriggered"),
        ("triggered", "NoneType"),
        ("triggered", "OrderAccepted"),
    ]
