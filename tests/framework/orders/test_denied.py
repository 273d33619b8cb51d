"""Orders that the gate refused come back from the log with all that was asked for."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from framework.engine.archive import Archive
from framework.model.orders import AtPrice, Exits, Offset, OrderIntent, OrderStatus, OrderType, Side
from framework.model.records import IntentDenied
from framework.orders.registry import OrderRegistry
from tests.framework.orders.venue_world import PERPETUAL, VenueWorld

PLAIN = OrderIntent("r", "c.one", PERPETUAL, Side.BUY, Decimal(1))


@pytest.mark.parametrize(
    ("more", "entry_count"),
    [
        ({}, 1),
        ({"type": OrderType.LIMIT, "price": Decimal(5), "tags": ("a",), "cause_ns": 7}, 1),
        ({"type": OrderType.TRAILING_STOP, "trail": Offset(Decimal(5))}, 1),
        ({"exits": Exits(AtPrice(Decimal(5)))}, 2),
        ({"oco_group": "g", "options": (("hidden", ""),)}, 2),
        ({"display_quantity": Decimal(1)}, 2),
        ({"quantity": None, "quote_quantity": Decimal(100)}, 2),
        ({"instrument": "venue:GONE"}, 1),
    ],
)
def test_a_denied_order_comes_back_as_it_was(more: dict[str, Any], entry_count: int) -> None:
    world = VenueWorld()
    archive = Archive(world.log, world.ids, world.instrument)
    denied = world.desk.deny(replace(PLAIN, **more), "because")
    assert len(world.log.of_order(denied.order_id)) == entry_count

    again = archive.recall(OrderRegistry(), denied.order_id)

    assert again is not None
    assert again.event() == denied.event()
    assert again.status is OrderStatus.DENIED
    assert replace(again.intent, cause_ns=0) == replace(denied.intent, cause_ns=0)
    assert archive.read(OrderRegistry(), denied.order_id) is None  # it never left our gate


def test_what_no_log_could_hold_is_denied_without_it() -> None:
    """R-05: a log that could not be read again is worse than a field that is not shown."""
    world = VenueWorld()
    wrong: Any = object()

    denied = world.desk.deny(replace(PLAIN, options=wrong), "because")

    (entry,) = [record for _, record in world.log.of_order(denied.order_id)]
    assert not isinstance(entry, IntentDenied)


def test_nothing_is_known_of_an_order_that_never_was() -> None:
    world = VenueWorld()
    assert Archive(world.log, world.ids, world.instrument).recall(OrderRegistry(), "x") is None
