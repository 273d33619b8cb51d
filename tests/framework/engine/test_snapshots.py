"""The core's state as bytes and back."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given

from framework.engine.snapshots import (
    VERSION,
    from_bytes,
    needed_orders,
    state_hash,
    take_snapshot,
    to_bytes,
)
from framework.errors import JournalError
from framework.model.orders import OrderStatus
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, OrderFilled
from tests.framework.engine.restored_world import Step, play, steps
from tests.framework.orders.venue_world import VenueWorld


@given(steps)
def test_a_snapshot_comes_back_from_its_bytes_as_it_was(history: list[Step]) -> None:
    world = VenueWorld()
    play(world, history)
    snapshot = take_snapshot(world.parts, journal_id="test", position=7)
    state = to_bytes(snapshot)
    again = from_bytes(state)

    assert to_bytes(again) == state
    assert again.position == 7


def test_closed_orders_are_not_in_it_unless_open_ones_hang_on_them() -> None:
    world = VenueWorld()
    gone, kept, open_order = world.submit(), world.submit(), world.submit()
    for order in (gone, kept):
        world.publish(OrderFilled(order.order_id, "E", Decimal(1), Decimal(100), 5))
    open_order.parent = kept.order_id

    assert needed_orders(world.registry, world.ledger) == [kept, open_order]
    open_order.parent = ""
    world.publish(OrderEnded(open_order.order_id, EndKind.CANCELLED, 6))
    assert needed_orders(world.registry, world.ledger) == []


def test_damage_anywhere_is_found_r_05() -> None:
    world = VenueWorld()
    world.submit()
    state = to_bytes(take_snapshot(world.parts, journal_id="test", position=1))
    for at in range(0, len(state), 7):
        damaged = bytearray(state)
        damaged[at] ^= 1
        with pytest.raises(JournalError, match="checksum"):
            from_bytes(bytes(damaged))
    with pytest.raises(JournalError, match="checksum"):
        from_bytes(state[:-1])


def test_another_version_and_other_content_are_refused_with_the_reason() -> None:
    world = VenueWorld()
    snapshot = take_snapshot(world.parts, journal_id="test", position=1)
    newer = msgspec.structs.replace(snapshot, version=VERSION + 1)

    with pytest.raises(JournalError, match=f"version {VERSION + 1}"):
        from_bytes(to_bytes(newer))
    with pytest.raises(JournalError, match="cannot be read"):
        from_bytes(to_bytes("something else"))  # type: ignore[arg-type]


def test_equal_states_have_equal_hashes_and_others_do_not() -> None:
    one, other = VenueWorld(), VenueWorld()
    for world in (one, other):
        world.submit()
    assert state_hash(one.parts) == state_hash(other.parts)

    (order,) = list(other.registry)
    other.publish(OrderAccepted(order.order_id, 5, "V1"))
    assert order.status is OrderStatus.ACCEPTED
    assert state_hash(one.parts) != state_hash(other.parts)


def test_a_snapshot_that_does_not_say_since_when_positions_are_held_is_passed_over() -> None:
    world = VenueWorld()
    world.submit()
    snapshot = take_snapshot(world.parts, journal_id="test", position=1)
    plain = msgspec.to_builtins(msgspec.structs.replace(snapshot, version=2))
    del plain["openings"]

    with pytest.raises(JournalError, match="version 2"):
        from_bytes(to_bytes(plain))
