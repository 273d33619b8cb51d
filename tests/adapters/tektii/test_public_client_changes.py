"""Orders that the public client changes and takes back, also more than once."""

from decimal import Decimal
from typing import Any

import pytest
from tektii import BadRequestError, ConflictError, NotFoundError, OrderRejectedError, TradingGateway

from tests.adapters.tektii.public_client_rig import (
    RunningGateway,
    client_fixture,
    eventually,
    gateway_fixture,
    is_filled,
    symbol_fixture,
    tidy_fixture,
)

pytestmark = pytest.mark.socket

gateway = gateway_fixture()
client = client_fixture()
symbol = symbol_fixture()
tidy = tidy_fixture()

KINDS: dict[str, dict[str, Any]] = {
    "limit": {"limit_price": "50"},
    "stop": {"stop_price": "150"},
    "stop_limit": {"stop_price": "150", "limit_price": "160"},
    "trailing_stop": {"trailing_distance": "30", "trailing_type": "absolute"},
}


def resting(client: TradingGateway, symbol: str, kind: str = "limit", **more: Any) -> str:
    handle = client.submit_order(symbol, "buy", "4", kind, **KINDS[kind], **more)
    assert client.get_order(handle.id).status.value == "OPEN"
    return handle.id


def ended(client: TradingGateway, symbol: str, how: str) -> str:
    """Return an order that stands so."""
    if how == "FILLED":
        handle = client.submit_order(symbol, "buy", "1")
        eventually(lambda: client.get_order(handle.id), is_filled)
        return handle.id
    order_id = resting(client, symbol)
    client.cancel_order(order_id)
    return order_id


# -- modify ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("limit", "quantity", "6.50"),
        ("limit", "limit_price", "49.10"),
        ("stop", "stop_price", "151.0000001"),
        ("stop_limit", "stop_price", "155"),
        ("stop_limit", "limit_price", "165.25"),
        ("trailing_stop", "trailing_distance", "25"),
        ("trailing_stop", "quantity", "3"),
    ],
)
def test_one_field_is_changed_and_the_others_stay(
    client: TradingGateway, symbol: str, kind: str, field: str, value: str
) -> None:
    """Spec 8.6: in place, so under the same id and without `previous_order_id`."""
    order_id = resting(client, symbol, kind, client_order_id=f"change-{symbol}")
    before = client.get_order(order_id)

    result = client.modify_order(order_id, **{field: Decimal(value)})

    assert result.order.id == order_id
    assert result.previous_order_id is None
    after = client.get_order(order_id)
    assert getattr(after, field) == value
    changed = {"updated_at", field}
    if kind == "trailing_stop":
        changed.add("stop_price")  # known with the first price
        level = "125" if field == "trailing_distance" else "130"
        eventually(
            lambda: Decimal(client.get_order(order_id).stop_price or 0), Decimal(level).__eq__
        )
    if field == "quantity":
        changed.add("remaining_quantity")
        assert after.remaining_quantity == value
    assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed)


@pytest.mark.parametrize("field", ["stop_loss", "take_profit"])
def test_a_waiting_exit_is_changed_and_the_other_stays(
    client: TradingGateway, symbol: str, field: str
) -> None:
    order_id = resting(client, symbol, stop_loss="40", take_profit="60")
    before = client.get_order(order_id)
    client.modify_order(order_id, **{field: "55.10" if field == "take_profit" else "45.10"})
    after = client.get_order(order_id)
    assert getattr(after, field) in ("55.10", "45.10")
    changed = {"updated_at", field}
    assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed)


def test_exits_given_to_an_entry_without_any_are_shown_and_kept(
    client: TradingGateway, symbol: str
) -> None:
    """Spec 8.6: what a change does not name stays as it is."""
    order_id = resting(client, symbol)
    client.modify_order(order_id, stop_loss="40.10")
    assert client.get_order(order_id).stop_loss == "40.10"
    client.modify_order(order_id, take_profit="120")
    order = client.get_order(order_id)
    assert (order.stop_loss, order.take_profit) == ("40.10", "120")


def test_several_fields_at_once_and_none_at_all(client: TradingGateway, symbol: str) -> None:
    """Spec 8.6: an empty body is a no-op 200."""
    order_id = resting(client, symbol, "stop_limit")
    client.modify_order(order_id, quantity="2", stop_price="140", limit_price="145")
    order = client.get_order(order_id)
    assert (order.quantity, order.stop_price, order.limit_price) == ("2", "140", "145")
    assert client.modify_order(order_id).order == order


def test_a_limit_moved_through_the_market_fills(client: TradingGateway, symbol: str) -> None:
    """Spec 8.6, 16.2, 3: at once, and never beyond its limit."""
    order_id = resting(client, symbol)
    client.modify_order(order_id, limit_price="103")
    order = eventually(lambda: client.get_order(order_id), is_filled)
    assert Decimal(order.average_fill_price or 0) == Decimal("100.01")


def test_exits_changed_before_the_fill_are_those_that_come(
    client: TradingGateway, symbol: str
) -> None:
    """Spec 8.6."""
    order_id = resting(client, symbol, stop_loss="45", take_profit="120")
    client.modify_order(order_id, stop_loss="46.10")
    client.modify_order(order_id, limit_price="101")
    eventually(lambda: client.get_order(order_id), is_filled)
    legs = {one.order_type.value: one for one in client.list_orders(symbol=symbol)}
    assert legs["STOP"].stop_price == "46.10"
    assert legs["LIMIT"].limit_price == "120"


@pytest.mark.parametrize("how", ["FILLED", "CANCELLED"])
def test_what_has_ended_cannot_be_changed(client: TradingGateway, symbol: str, how: str) -> None:
    order_id = ended(client, symbol, how)
    for fields in ({"quantity": "2"}, {"limit_price": "1"}, {"stop_loss": "1"}, {}):
        with pytest.raises(ConflictError) as caught:
            client.modify_order(order_id, **fields)
        assert caught.value.code == "ORDER_NOT_MODIFIABLE"
        assert caught.value.details == {"order_id": order_id}


@pytest.mark.parametrize(
    ("kind", "field", "value", "code"),
    [
        ("limit", "stop_price", "1", "INVALID_VALUE"),
        ("stop", "limit_price", "1", "INVALID_VALUE"),
        ("limit", "trailing_distance", "1", "INVALID_VALUE"),
        ("limit", "limit_price", "0", "INVALID_VALUE"),
        ("limit", "limit_price", "-3", "INVALID_VALUE"),
        ("limit", "quantity", "0", "INVALID_VALUE"),
        ("stop", "stop_price", "-1", "INVALID_VALUE"),
        ("limit", "stop_loss", "0", "INVALID_VALUE"),
        ("limit", "take_profit", "-1", "INVALID_VALUE"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_and_nothing_changes(
    client: TradingGateway, symbol: str, kind: str, field: str, value: str, code: str
) -> None:
    """Spec 8.6: the result of 8.2 must hold after the change."""
    order_id = resting(client, symbol, kind)
    before = client.get_order(order_id)
    with pytest.raises(BadRequestError) as caught:
        client.modify_order(order_id, **{field: value})
    assert caught.value.code == code
    assert caught.value.details == {"field": field, "provided": value}
    assert client.get_order(order_id) == before


def test_an_unknown_order_is_not_found(client: TradingGateway) -> None:
    for call in (client.get_order, client.cancel_order, client.modify_order):
        with pytest.raises(NotFoundError) as caught:
            call("no such/order")
        assert caught.value.code == "ORDER_NOT_FOUND"
        assert caught.value.details == {"resource": "order", "id": "no such/order"}


# -- cancel ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_working_order_is_cancelled_and_again_is_no_error(
    client: TradingGateway, symbol: str, kind: str
) -> None:
    """Spec 8.7."""
    order_id = resting(client, symbol, kind)
    first = client.cancel_order(order_id)
    second = client.cancel_order(order_id)
    assert first.success
    assert second.success
    assert first.order.status.value == "CANCELLED"
    assert first.order == second.order == client.get_order(order_id)
    assert client.list_orders(symbol=symbol) == []


def test_what_has_filled_or_was_refused_cannot_be_cancelled(
    client: TradingGateway, symbol: str
) -> None:
    filled = ended(client, symbol, "FILLED")
    with pytest.raises(OrderRejectedError):
        client.submit_order(symbol, "sell", "9", "limit", limit_price="1", post_only=True)
    refused = [one.id for one in client.get_order_history(symbol=symbol, status=["REJECTED"])]
    for order_id in [filled, *refused]:
        with pytest.raises(ConflictError) as caught:
            client.cancel_order(order_id)
        assert caught.value.code == "ORDER_NOT_MODIFIABLE"


def test_cancelling_an_entry_drops_the_exits_that_wait_for_it(
    client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    order_id = resting(client, symbol, stop_loss="45", take_profit="120")
    client.cancel_order(order_id)
    client.submit_order(symbol, "buy", "1")
    gateway.move(symbol, 130.0)
    assert client.list_orders(symbol=symbol) == []
    (position,) = client.list_positions(symbol=symbol)
    assert position.quantity == "1"


# -- all ------------------------------------------------------------------------------------------


def test_all_orders_or_those_of_a_symbol_are_cancelled_and_counted(
    client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 8.8: `n, 0`, then `0, 0`; what has ended is no failure."""
    other = gateway.still_symbol()
    ended(client, symbol, "FILLED")
    for kind in KINDS:
        resting(client, symbol, kind)
    kept = resting(client, other)

    first = client.cancel_all_orders(symbol=symbol)
    second = client.cancel_all_orders(symbol=symbol)
    assert (first.cancelled_count, first.failed_count) == (len(KINDS), 0)
    assert first.failed_order_ids is None
    assert (second.cancelled_count, second.failed_count) == (0, 0)
    assert [one.id for one in client.list_orders()] == [kept]

    assert client.cancel_all_orders().cancelled_count == 1
    assert client.cancel_all_orders().cancelled_count == 0
    assert client.list_orders() == []


def test_legs_are_cancelled_and_counted_like_other_orders(
    client: TradingGateway, symbol: str
) -> None:
    client.submit_order(symbol, "buy", "1", stop_loss="90", take_profit="110")
    eventually(lambda: len(client.list_orders(symbol=symbol)), lambda number: number == 2)
    assert client.cancel_all_orders(symbol=symbol).cancelled_count == 2
    (position,) = client.list_positions(symbol=symbol)
    assert position.quantity == "1"
