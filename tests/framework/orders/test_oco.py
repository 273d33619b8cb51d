"""OCO groups: one cancels the others, a part shrinks them, and a won group is over."""

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.model.commands import CancelOrder, ModifyOrder
from framework.model.events import OrderAnomaly
from framework.model.orders import OrderStatus, OrderType
from framework.model.reports import EndKind, OrderAccepted, OrderFilled, RequestKind
from framework.orders import oco
from framework.orders.order_state import OrderState
from tests.framework.orders.emulation_world import NO_STOPS, EmulationWorld

D = Decimal
HELD, CANCELLED = OrderStatus.HELD, OrderStatus.CANCELLED


def pair(world: EmulationWorld, first: str = "10", second: str = "10") -> tuple[OrderState, ...]:
    return (
        world.buy(first, price=D(95), oco_group="g"),
        world.sell(second, price=D(105), oco_group="g"),
    )


def test_a_full_fill_cancels_the_others() -> None:
    world = EmulationWorld()
    one, other = pair(world)
    world.answer()

    world.fill(one, "10", "95")
    world.answer()

    assert other.status is CANCELLED


def test_a_part_shrinks_the_others_in_proportion() -> None:
    world = EmulationWorld()
    one, other = pair(world, "10", "20")
    world.answer()

    world.fill(one, "3", "95")
    world.answer()

    assert other.quantity == D(14)
    assert other.status is OrderStatus.ACCEPTED


def test_parts_on_both_sides_add_up() -> None:
    world = EmulationWorld()
    one, other = pair(world)
    world.answer()

    world.fill(one, "3", "95")
    world.answer()
    world.fill(other, "2", "105")
    world.answer()

    assert one.quantity == D(8)
    assert other.quantity == D(7)


def test_parts_that_make_a_whole_end_the_group() -> None:
    world = EmulationWorld()
    one, other = pair(world)
    world.answer()
    world.fill(one, "6", "95")

    world.fill(other, "4", "105")
    world.answer()

    assert one.status is CANCELLED
    assert (other.status, other.quantity) == (OrderStatus.FILLED, D(4))


def test_what_is_left_below_a_lot_is_cancelled() -> None:
    world = EmulationWorld()
    one, other = pair(world, "10", "0.001")
    world.answer()

    world.fill(one, "1", "95")
    world.answer()

    assert other.status is CANCELLED


def test_what_cannot_shrink_is_cancelled() -> None:
    world = EmulationWorld()
    one, other = pair(world)
    world.answer()
    world.fill(one, "3", "95")

    world.refuse(other, RequestKind.MODIFY)

    assert isinstance(world.sent[-1], CancelOrder)
    assert world.sent[-1].order_id == other.order_id


def test_a_shrinking_under_way_is_waited_for() -> None:
    world = EmulationWorld()
    one, other = pair(world)
    world.answer()
    world.fill(one, "3", "95")

    world.fill(one, "1", "95")
    modifies = [command for command in world.sent if isinstance(command, ModifyOrder)]
    assert [command.quantity for command in modifies] == [D(7)]
    world.answer()

    assert other.quantity == D(6)


def test_a_held_stop_that_is_met_cancels_the_others() -> None:
    world = EmulationWorld(NO_STOPS)
    stop = world.buy("10", type=OrderType.STOP, stop_price=D(105), oco_group="g")
    other = world.sell("10", type=OrderType.STOP, stop_price=D(95), oco_group="g")

    world.quote(105.0, 105.1)

    assert world.submits(stop)
    assert other.status is CANCELLED


def test_two_held_stops_met_by_one_price_send_one_order() -> None:
    world = EmulationWorld(NO_STOPS)
    first = world.buy("10", type=OrderType.STOP, stop_price=D(105), oco_group="g")
    second = world.buy("10", type=OrderType.STOP, stop_price=D(106), oco_group="g")

    world.quote(110.0)

    assert len(world.sent) == 1
    assert sorted([first.status.value, second.status.value]) == ["cancelled", "triggered"]


def test_a_part_shrinks_a_held_member_at_once() -> None:
    world = EmulationWorld(NO_STOPS)
    stop = world.buy("10", type=OrderType.STOP, stop_price=D(105), oco_group="g")
    one = world.buy("10", price=D(95), oco_group="g")

    world.fill(one, "4", "95")

    assert (stop.status, stop.quantity) == (HELD, D(6))


def test_a_member_by_quote_quantity_is_cancelled_by_the_first_fill() -> None:
    world = EmulationWorld()
    one = world.buy("10", price=D(95), oco_group="g")
    other = world.buy(None, quote_quantity=D(500), oco_group="g")

    world.fill(one, "1", "95")
    world.answer()

    assert other.status is CANCELLED
    assert one.status is OrderStatus.PARTIALLY_FILLED


def test_the_fill_of_a_member_by_quote_quantity_cancels_the_others() -> None:
    world = EmulationWorld()
    one = world.buy("10", price=D(95), oco_group="g")
    other = world.buy(None, quote_quantity=D(500), oco_group="g")

    world.fill(other, "1", "100")
    world.answer()

    assert one.status is CANCELLED


def test_a_refused_member_leaves_the_others_alone() -> None:
    world = EmulationWorld()
    one, other = pair(world)
    world.answer()

    world.reject(one)

    assert other.status is OrderStatus.ACCEPTED


def test_a_won_group_s_name_may_be_used_again() -> None:
    world = EmulationWorld()
    one, other = pair(world)
    world.answer()
    world.fill(one, "10", "95")
    world.answer()
    world.tick()

    again, against = pair(world)
    world.answer()

    assert other.status is CANCELLED
    assert again.status is against.status is OrderStatus.ACCEPTED


def test_groups_of_other_runs_are_other_groups() -> None:
    world = EmulationWorld()
    one, _ = pair(world)
    stranger = world.buy("10", price=D(95), oco_group="g", run="other")

    world.fill(one, "10", "95")
    world.answer()

    assert stranger.status is OrderStatus.ACCEPTED


def test_r32_links_survive_a_restart() -> None:
    world = EmulationWorld()
    one, other = pair(world)
    world.answer()
    world.fill(one, "3", "95")
    world.answer()

    world.restart()
    assert other.quantity == D(7)
    world.fill(one, "7", "95")
    world.answer()

    assert other.status is CANCELLED


def test_a_win_while_the_process_was_down_is_drawn_out_at_the_start() -> None:
    world = EmulationWorld()
    one, other = pair(world)
    world.answer()
    world.desk.after_change.clear()
    world.fill(one, "10", "95")

    world.restart()
    world.answer()

    assert other.status is CANCELLED


def test_closed_members_stay_in_memory_while_others_are_open() -> None:
    world = EmulationWorld()
    one, other = pair(world)
    world.fill(one, "10", "95")
    assert world.emulation.keeps(one)

    world.answer()

    assert other.status is CANCELLED
    assert not world.emulation.keeps(one)


def test_finished_groups_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-53: names that are never used again must not pile up."""
    monkeypatch.setattr(oco, "SWEEP_FROM", 20)
    world = EmulationWorld()
    open_one = world.buy("1", price=D(95), oco_group="kept")

    for number in range(100):
        world.reject(world.buy("1", price=D(95), oco_group=f"g{number}"))

    assert len(world.emulation.groups) < 50
    assert world.emulation.keeps(open_one)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=6))
def test_together_they_never_are_for_more_than_one_whole(
    fills: list[tuple[bool, int]],
) -> None:
    world = EmulationWorld()
    members = pair(world)
    world.answer()

    for is_first, lots in fills:
        member = members[0] if is_first else members[1]
        if member.facts.remaining >= lots:
            world.fill(member, str(lots), "100")
            world.answer()
        parts = sum(order.filled for order in members)
        for order in members:
            assert parts + order.facts.remaining <= D(10)


# -- groups of which only a whole fill or a rejection decides

WHOLE = (("oco", "whole"),)


def whole_pair(world: EmulationWorld, **fields: object) -> tuple[OrderState, OrderState]:
    """Return two members, of which one alone has the option."""
    one = world.buy("10", price=D(95), oco_group="g", options=WHOLE, **fields)
    other = world.buy("10", price=D(94), oco_group="g", **fields)
    world.answer()
    return one, other


def exit_pair(world: EmulationWorld) -> tuple[OrderState, OrderState]:
    world.fill(world.buy("10", price=D(100)), "10", "100")
    one = world.sell("10", price=D(105), oco_group="g", options=WHOLE, reduce_only=True)
    other = world.sell("10", price=D(106), oco_group="g", options=WHOLE, reduce_only=True)
    world.answer()
    return one, other


def anomalies(world: EmulationWorld) -> list[OrderAnomaly]:
    return [
        event
        for event in world.emitted
        if isinstance(event, OrderAnomaly) and event.what.startswith(oco.DOUBLE_EXIT)
    ]


@pytest.mark.parametrize("first", [0, 1])
def test_a_part_does_nothing_to_a_whole_group(first: int) -> None:
    world = EmulationWorld()
    members = whole_pair(world)

    world.fill(members[first], "9.999", "95")
    world.answer()

    other = members[1 - first]
    assert (other.status, other.quantity) == (OrderStatus.ACCEPTED, D(10))


@pytest.mark.parametrize("first", [0, 1])
def test_a_whole_fill_cancels_the_others_of_a_whole_group(first: int) -> None:
    world = EmulationWorld()
    members = whole_pair(world)

    world.fill(members[first], "4", "95")
    world.fill(members[first], "6", "95")
    world.answer()

    assert members[1 - first].status is CANCELLED
    assert anomalies(world) == []


@pytest.mark.parametrize("first", [0, 1])
def test_a_rejection_cancels_the_others_of_a_whole_group(first: int) -> None:
    world = EmulationWorld()
    members = whole_pair(world)

    world.reject(members[first])
    world.answer()

    assert members[1 - first].status is CANCELLED


@pytest.mark.parametrize("kind", [EndKind.CANCELLED, EndKind.EXPIRED])
def test_an_end_of_another_kind_leaves_a_whole_group_alone(kind: EndKind) -> None:
    world = EmulationWorld()
    one, other = whole_pair(world)
    world.fill(one, "3", "95")

    world.desk.cancel(one.order_id)
    world.end(one, kind)
    world.restart()

    assert (other.status, other.quantity) == (OrderStatus.ACCEPTED, D(10))


def test_a_refusal_by_our_own_gate_is_no_rejection() -> None:
    """The order never was: whoever asked for it was told at once."""
    world = EmulationWorld()
    one, _ = whole_pair(world)

    denied = world.buy("0.0001", price=D(93), oco_group="g", options=WHOLE)

    assert denied.status is OrderStatus.DENIED
    assert one.status is OrderStatus.ACCEPTED


def test_a_triggered_stop_of_a_whole_group_waits_for_its_fill() -> None:
    world = EmulationWorld(NO_STOPS)
    stop = world.buy("10", type=OrderType.STOP, stop_price=D(105), oco_group="g", options=WHOLE)
    other = world.buy("10", price=D(95), oco_group="g", options=WHOLE)
    world.answer()

    world.quote(104.9, 105.0)
    assert world.submits(stop)
    assert other.status is OrderStatus.ACCEPTED
    world.fill(stop, "10", "105")
    world.answer()

    assert other.status is CANCELLED


def test_a_whole_group_of_exits_shrinks() -> None:
    world = EmulationWorld()
    one, other = exit_pair(world)

    world.fill(one, "4", "105")
    world.answer()

    assert (other.status, other.quantity) == (OrderStatus.ACCEPTED, D(6))


def test_a_part_filled_and_cancelled_exit_leaves_the_others_what_is_left() -> None:
    world = EmulationWorld()
    one, other = exit_pair(world)
    world.fill(one, "4", "105")
    world.answer()

    world.desk.cancel(one.order_id)
    world.answer()

    assert (one.status, other.status, other.quantity) == (
        CANCELLED,
        OrderStatus.ACCEPTED,
        D(6),
    )


@pytest.mark.parametrize("order", list(permutations(range(5))))
def test_two_whole_fills_are_told_of_once_whatever_comes_first(order: tuple[int, ...]) -> None:
    world = EmulationWorld()
    one = world.buy("10", price=D(95), oco_group="g", options=WHOLE)
    other = world.buy("10", price=D(94), oco_group="g", options=WHOLE)
    facts = (
        OrderAccepted(one.order_id, 1, "V1"),
        OrderFilled(one.order_id, "a", D(10), D(95), 3),
        OrderFilled(other.order_id, "b", D(4), D(94), 2),
        OrderFilled(other.order_id, "c", D(6), D(94), 4),
        OrderAccepted(other.order_id, 1, "V2"),
    )

    for number in order:
        world.desk.apply(facts[number])
        world.desk.apply(facts[number])
    world.restart()
    for fact in facts:
        world.desk.apply(fact)

    (told,) = anomalies(world)
    assert told.order_id == other.order_id
    assert told.what == f"oco_double_exit {one.order_id} {other.order_id}: group g"


def test_a_double_fill_found_at_the_start_is_told_of_there_and_then() -> None:
    """Facts that come before the accounts are reconciled are heard of afterwards."""
    world = EmulationWorld()
    one, other = whole_pair(world)
    world.new_emulation().rebuild()

    world.fill(one, "10", "95")
    world.fill(other, "10", "94")
    world.emulation.resume(world.tick())

    assert len(anomalies(world)) == 1


def test_groups_without_the_option_tell_of_no_double_fill() -> None:
    world = EmulationWorld()
    one, other = pair(world)

    world.fill(one, "10", "95")
    world.fill(other, "10", "105")

    assert anomalies(world) == []


def test_what_was_told_of_is_forgotten_with_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oco, "SWEEP_FROM", 20)
    world = EmulationWorld()

    for number in range(100):
        one, other = (
            world.buy("1", price=D(95), oco_group=f"g{number}", options=WHOLE) for _ in range(2)
        )
        world.fill(one, "1", "95")
        world.fill(other, "1", "95")

    assert len(anomalies(world)) == 100
    assert len(world.emulation.groups.doubled) < 50
