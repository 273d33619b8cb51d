"""S9: an order group caps what its orders match within the rolling window."""

import pytest

from adapters.kalshi.simulated.domain import CONTRACT, Refusal
from adapters.kalshi.simulated.emitted import GroupChanged, OrderChanged
from tests.adapters.kalshi.simulated.exchange_rig import NYC, Rig


def make_group(rig: Rig, contracts: int = 10) -> str:
    return rig.exchange.groups.create("ann", contracts * CONTRACT).group_id


def told(rig: Rig) -> list[str]:
    return [event.event_type for event in rig.of(GroupChanged)]


def test_reaching_the_limit_cancels_the_members_and_keeps_new_ones_out() -> None:
    rig = Rig()
    group = make_group(rig)
    filled = rig.buy("ann", 50, 10, order_group_id=group)
    other = rig.buy("ann", 40, 5, order_group_id=group, ticker=NYC)
    outside = rig.buy("ann", 40, 5)

    rig.sell("ben", 50, 10)

    assert rig.order(filled).status == "executed"
    assert rig.order(other).status == "canceled"
    assert rig.order(outside).status == "resting"
    assert rig.exchange.groups.get("ann", group).is_triggered
    assert told(rig) == ["created", "triggered"]
    with pytest.raises(Refusal, match="order_group_triggered"):
        rig.buy("ann", 40, 5, order_group_id=group)


def test_the_taker_loses_its_rest_to_its_own_group() -> None:
    rig = Rig()
    rig.sell("ben", 50, 10)

    order = rig.buy("ann", 50, 15, order_group_id=make_group(rig))

    assert (order.status, order.fill_count, order.remaining_count) == ("canceled", 1_000, 0)


def test_a_reset_lets_orders_in_again() -> None:
    rig = Rig()
    group = make_group(rig)
    rig.exchange.groups.trigger("ann", group)

    rig.exchange.groups.reset("ann", group)

    assert rig.buy("ann", 40, 5, order_group_id=group).status == "resting"
    assert told(rig) == ["created", "triggered", "reset"]


def test_what_was_matched_before_the_window_does_not_count() -> None:
    rig = Rig()
    group = make_group(rig)
    order = rig.buy("ann", 50, 20, order_group_id=group)

    rig.sell("ben", 50, 9)
    rig.advance(15)
    rig.sell("ben", 50, 9)
    assert rig.order(order).status == "resting"

    rig.advance(14)
    rig.sell("ben", 50, 1)
    assert rig.order(order).status == "canceled"


def test_a_lower_limit_that_is_reached_already_triggers() -> None:
    rig = Rig()
    group = make_group(rig)
    rig.buy("ann", 50, 20, order_group_id=group)
    rig.sell("ben", 50, 5)

    rig.exchange.groups.set_limit("ann", group, 6 * CONTRACT)
    assert not rig.exchange.groups.get("ann", group).is_triggered

    rig.exchange.groups.set_limit("ann", group, 5 * CONTRACT)
    assert told(rig) == ["created", "limit_updated", "limit_updated", "triggered"]
    assert [event.contracts_limit for event in rig.of(GroupChanged)] == [1_000, 600, 500, 500]


def test_a_group_shows_its_resting_orders_to_its_owner_only() -> None:
    rig = Rig()
    group = make_group(rig)
    order = rig.buy("ann", 50, 20, order_group_id=group)
    groups = rig.exchange.groups

    assert groups.get("ann", group).order_ids == (order.order_id,)
    assert [shown.group_id for shown in groups.list("ann")] == [group]
    assert groups.list("ben") == []
    with pytest.raises(Refusal, match="no order group"):
        groups.get("ben", group)


def test_deleting_a_group_cancels_its_orders() -> None:
    rig = Rig()
    group = make_group(rig)
    rig.buy("ann", 50, 20, order_group_id=group)
    rig.sell("ben", 50, 1)
    rig.events.clear()

    rig.exchange.groups.delete("ann", group)

    assert [event.order.status for event in rig.of(OrderChanged)] == ["canceled"]
    assert told(rig) == ["deleted"]
    assert rig.exchange.groups.list("ann") == []


def test_a_limit_is_more_than_nothing() -> None:
    rig = Rig()

    with pytest.raises(Refusal, match="no limit of 0"):
        rig.exchange.groups.create("ann", 0)
