"""Whether an intent makes sense before any limit is asked."""

from decimal import Decimal

import msgspec
import pytest

from framework.model.orders import OrderIntent, OrderSession, OrderType, Side
from framework.risk.limits.wellformed import is_plain, malformed
from tests.framework.risk.samples import SPOT

D = Decimal
PLAIN = OrderIntent("r", "k", "v:X", Side.BUY, D(1))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"key": ""}, "a key has 1 to 160 characters, this one has 0"),
        ({"key": "x" * 160}, None),
        ({"key": "x" * 161}, "a key has 1 to 160 characters, this one has 161"),
        ({"quantity": None}, "exactly one of quantity and quote_quantity must be given"),
        ({"quote_quantity": D(5)}, "exactly one of quantity and quote_quantity must be given"),
        ({"quantity": None, "quote_quantity": D(5)}, None),
        ({"send_by_ns": 9}, "too late: it was to be sent by 9 and it is 10"),
        ({"send_by_ns": 10}, None),
    ],
)
def test_what_makes_no_sense_has_a_reason(fields: dict[str, object], reason: str | None) -> None:
    intent = msgspec.structs.replace(PLAIN, **fields)

    assert malformed(intent, 10) == reason
    if reason is not None and intent.quantity is not None:
        assert not is_plain(intent, SPOT, intent.quantity, 10)


BOUNDED = msgspec.structs.replace(
    SPOT, minimum_price=D(10), maximum_price=D(200), maximum_quantity=D(50)
)


@pytest.mark.parametrize(
    ("fields", "is_ordinary"),
    [
        ({}, True),
        ({"type": OrderType.LIMIT, "price": D("100.5")}, True),
        ({"quantity": D("NaN")}, False),
        ({"quantity": D("1E+40")}, False),
        ({"quantity": D(50.5)}, False),
        ({"quantity": D("0.3")}, False),
        ({"type": OrderType.LIMIT, "price": D("100.3")}, False),
        ({"type": OrderType.LIMIT, "price": D("NaN")}, False),
        ({"type": OrderType.LIMIT, "price": D(0)}, False),
        ({"type": OrderType.LIMIT, "price": D(9)}, False),
        ({"type": OrderType.LIMIT, "price": D(201)}, False),
        ({"type": OrderType.LIMIT}, False),
        ({"type": OrderType.STOP, "stop_price": D(100)}, False),
        ({"price": D(100)}, False),
        ({"reduce_only": True}, True),
        ({"display_quantity": D(1)}, False),
        ({"session": OrderSession.NEXT_OPEN}, False),
    ],
)
def test_a_look_tells_an_ordinary_order(fields: dict[str, object], *, is_ordinary: bool) -> None:
    intent = msgspec.structs.replace(PLAIN, **fields)
    assert intent.quantity is not None

    assert is_plain(intent, BOUNDED, intent.quantity, 10) is is_ordinary
