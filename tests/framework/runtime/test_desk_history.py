"""Closed orders of earlier starts, read back from the log: whole, each once, the newest of them."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from framework.engine.archive import Archive
from framework.errors import UnknownInstrument
from framework.model.commands import SubmitOrder
from framework.model.orders import Exits, OrderIntent, OrderSession, OrderType, Side
from framework.model.records import order_of
from framework.model.reports import OrderFilled
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.runtime import desk_history
from framework.runtime.desk_history import TELLING, PastOrders
from tests.framework.engine.restored_world import Step, play, reborn, steps
from tests.framework.orders.venue_world import VenueWorld


@pytest.fixture(autouse=True, scope="module")
def _small_turns() -> Iterator[None]:
    """Have what belongs together lie apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk_history, "PAGE", 3)
        patch.setattr(desk_history, "LOOK_UPS", 2)
        yield


def read(world: VenueWorld, *, kept: int = 10_000) -> PastOrders:
    """Return what a new process finds."""
    past = PastOrders(world.registry, world.log, world.log.position, kept=kept)
    asyncio.run(past.read())
    return past


def shown(order: OrderState) -> tuple[Any, ...]:
    """Return all that is shown of an order."""
    return order.event(), order.intent, order.role, list(order.facts.executions.values())


def closed_in(world: VenueWorld) -> list[OrderState]:
    """Return every closed order of a log that is not in memory, one by one, the oldest first."""
    archive = Archive(world.log, world.ids, world.instrument)
    names = dict.fromkeys(
        order_of(record) for _, record in world.log.read() if type(record) in TELLING
    )
    found = [archive.recall(OrderRegistry(), name) for name in names]
    return [
        order
        for order in found
        if order is not None and order.is_closed and order.order_id not in world.registry.orders
    ]


@given(steps)
def test_all_of_them_are_found_whole_and_in_order(history: list[Step]) -> None:
    world = VenueWorld()
    Archive(world.log, world.ids, world.instrument).attach(world.registry)
    play(world, history)
    again, _ = reborn(world.log)

    past = read(again)

    merged = [order for order in past.merged() if order.order_id not in again.registry.orders]
    assert [shown(order) for order in merged] == [shown(order) for order in closed_in(again)]


@given(steps, st.integers(0, 6))
def test_with_less_room_they_are_the_newest(history: list[Step], kept: int) -> None:
    """R-53."""
    world = VenueWorld()
    Archive(world.log, world.ids, world.instrument).attach(world.registry)
    play(world, history)
    again, _ = reborn(world.log)
    newest: dict[str, int] = {}
    for position, record in world.log.read():
        if type(record) in TELLING:
            newest[order_of(record)] = position
    wanted = sorted(closed_in(again), key=lambda order: newest[order.order_id])
    room = max(0, kept - sum(order.is_closed for order in again.registry))

    past = read(again, kept=kept)

    merged = {order.order_id for order in past.merged()} - set(again.registry.orders)
    assert merged == {order.order_id for order in wanted[max(0, len(wanted) - room) :]}


@pytest.mark.parametrize(
    ("wish", "is_plain"),
    [
        ({}, True),
        ({"type": OrderType.LIMIT}, True),
        ({"type": OrderType.STOP}, False),
        ({"exits": Exits()}, False),
        ({"oco_group": "g"}, False),
        ({"options": (("hidden", ""),)}, False),
        ({"session": OrderSession.NEXT_OPEN}, False),
        ({"key": "c.one/stop"}, False),
    ],
)
def test_what_the_core_may_have_kept_before_it_was_sent_is_looked_up(
    wish: dict[str, Any], is_plain: bool
) -> None:
    intent = OrderIntent("run", "c.one", "x:BTC", Side.BUY)
    sent = SubmitOrder("id", "main", replace(intent, **wish), Decimal(1), 5)

    assert desk_history.is_first(sent) is is_plain


def test_what_is_of_no_instrument_any_more_is_left_out() -> None:
    world = VenueWorld()
    Archive(world.log, world.ids, world.instrument).attach(world.registry)
    filled = world.submit()
    world.publish(OrderFilled(filled.order_id, "E", Decimal(1), Decimal(100), 5))
    denied = world.desk.deny(replace(filled.intent, key="denied"), "no")
    again, _ = reborn(world.log)

    def unknown(name: str) -> Any:
        raise UnknownInstrument(name)

    Archive(again.log, again.ids, unknown).attach(again.registry)

    assert [order.order_id for order in read(again).merged()] == [denied.order_id]
