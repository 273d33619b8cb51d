"""Brackets, their legs and OCO groups, as the public client sees them."""

from decimal import Decimal
from typing import Any

import pytest
from tektii import BadRequestError, TradingGateway

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


def legs_of(client: TradingGateway, symbol: str) -> dict[str, Any]:
    """Return the working legs of a symbol by their kind."""
    return {one.order_type.value: one for one in client.list_orders(symbol=symbol)}


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("quantity", ["12", "0.0000001"])
def test_a_bracket_has_its_legs_as_soon_as_the_entry_has_filled(
    client: TradingGateway, symbol: str, side: str, quantity: str
) -> None:
    """Spec 9.1, 9.3, 16.2, 8: named after the entry, reduce-only, for any quantity."""
    stop, target = ("90.10", "110.10") if side == "buy" else ("110.10", "90.10")
    handle = client.submit_order(
        symbol, side, quantity, client_order_id=f"b-{symbol}", stop_loss=stop, take_profit=target
    )
    eventually(lambda: client.get_order(handle.id), is_filled)
    legs = legs_of(client, symbol)
    assert set(legs) == {"STOP", "LIMIT"}
    legs = eventually(
        lambda: legs_of(client, symbol),
        lambda found: all(leg.status.value == "OPEN" for leg in found.values()),
    )
    assert set(legs) == {"STOP", "LIMIT"}
    assert legs["STOP"].client_order_id == f"b-{symbol}-sl"
    assert legs["LIMIT"].client_order_id == f"b-{symbol}-tp"
    assert legs["STOP"].stop_price == stop
    assert legs["LIMIT"].limit_price == target
    for leg in legs.values():
        assert leg.side.value != side.upper()
        assert (leg.quantity, leg.time_in_force.value) == (quantity, "GTC")
        assert leg.reduce_only
        assert [leg.id] == [
            one.id for one in client.list_orders(client_order_id=leg.client_order_id)
        ]
    assert (client.get_order(handle.id).stop_loss, client.get_order(handle.id).take_profit) == (
        stop,
        target,
    )


def test_legs_of_an_entry_without_a_name_are_called_after_its_id(
    client: TradingGateway, symbol: str
) -> None:
    handle = client.submit_order(symbol, "buy", "1", stop_loss="90")
    eventually(lambda: len(legs_of(client, symbol)), lambda number: number == 1)
    assert legs_of(client, symbol)["STOP"].client_order_id == f"{handle.id}-sl"


@pytest.mark.parametrize(("price", "left"), [(111.0, "STOP"), (89.0, "LIMIT")])
def test_one_leg_takes_the_other_with_it(
    client: TradingGateway, gateway: RunningGateway, symbol: str, price: float, left: str
) -> None:
    """Spec 9.6."""
    client.submit_order(symbol, "buy", "2", stop_loss="90", take_profit="110")
    legs = eventually(lambda: legs_of(client, symbol), lambda found: len(found) == 2)
    gateway.move(symbol, price)
    eventually(lambda: client.list_positions(symbol=symbol), lambda found: not found)
    eventually(lambda: client.list_orders(symbol=symbol), lambda found: not found)
    assert client.get_order(legs[left].id).status.value == "CANCELLED"
    (done,) = [one for kind, one in legs.items() if kind != left]
    assert client.get_order(done.id).status.value == "FILLED"


def test_a_closed_position_takes_its_legs_with_it(client: TradingGateway, symbol: str) -> None:
    """Spec 8.9, 9.7, 16.2, 8; another entry of the symbol keeps its own."""
    client.submit_order(symbol, "buy", "2", stop_loss="90", take_profit="110")
    eventually(lambda: legs_of(client, symbol), lambda found: len(found) == 2)
    waiting = client.submit_order(
        symbol, "buy", "1", "limit", limit_price="50", stop_loss="40", take_profit="60"
    )
    client.close_position(f"mock-pos-{symbol}")
    eventually(lambda: client.list_orders(symbol=symbol), lambda found: len(found) == 1)
    order = client.get_order(waiting.id)
    assert (order.status.value, order.stop_loss, order.take_profit) == ("OPEN", "40", "60")
    client.modify_order(waiting.id, limit_price="101", stop_loss="41", take_profit="130")
    legs = eventually(lambda: legs_of(client, symbol), lambda found: len(found) == 2)
    assert legs["STOP"].quantity == "1"


def test_after_a_partial_close_the_legs_are_for_what_is_left(
    client: TradingGateway, symbol: str
) -> None:
    """Spec 8.9 [N]."""
    client.submit_order(symbol, "buy", "10", stop_loss="90", take_profit="110")
    eventually(lambda: legs_of(client, symbol), lambda found: len(found) == 2)
    client.close_position(f"mock-pos-{symbol}", quantity="4")
    eventually(
        lambda: {one.remaining_quantity for one in legs_of(client, symbol).values()},
        lambda found: found == {"6"},
    )


def test_a_leg_is_moved_like_any_order(
    client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    client.submit_order(symbol, "buy", "2", stop_loss="90", take_profit="110")
    legs = eventually(lambda: legs_of(client, symbol), lambda found: len(found) == 2)
    client.modify_order(legs["STOP"].id, stop_price="97.50")
    assert client.get_order(legs["STOP"].id).stop_price == "97.50"
    gateway.move(symbol, 97.0)
    eventually(lambda: client.list_positions(symbol=symbol), lambda found: not found)


@pytest.mark.parametrize(
    ("side", "field", "price"),
    [("buy", "stop_loss", "51"), ("buy", "take_profit", "49"), ("sell", "stop_loss", "149")],
)
def test_an_exit_on_the_wrong_side_of_a_limit_is_refused(
    client: TradingGateway, symbol: str, side: str, field: str, price: str
) -> None:
    """Spec 8.2 [N]: it may be, with 400."""
    limit = "50" if side == "buy" else "150"
    with pytest.raises(BadRequestError) as caught:
        client.submit_order(
            symbol,
            side,
            "1",
            "limit",
            limit_price=limit,
            **{field: price},  # type: ignore[arg-type]
        )
    assert caught.value.code == "INVALID_VALUE"
    assert caught.value.details == {"field": field, "provided": price}


# -- OCO groups -----------------------------------------------------------------------------------


def test_the_fill_of_one_cancels_the_others_of_its_group(
    client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 8.11, 16.2, 9."""
    group, second = f"pair-{symbol}", gateway.still_symbol()
    ids = [
        client.submit_order(name, "buy", "1", "stop", stop_price=price, oco_group_id=group).id
        for name, price in ((symbol, "110"), (symbol, "120"), (second, "130"))
    ]
    alone = client.submit_order(symbol, "buy", "1", "limit", limit_price="50").id
    assert {one.id for one in client.list_orders(oco_group_id=group)} == set(ids)

    gateway.move(symbol, 111.0)
    eventually(lambda: client.get_order(ids[0]), is_filled)
    eventually(lambda: client.list_orders(oco_group_id=group), lambda found: not found)
    assert [client.get_order(one).status.value for one in ids[1:]] == ["CANCELLED"] * 2
    assert client.get_order(alone).status.value == "OPEN"
    assert {one.id for one in client.get_order_history(oco_group_id=group)} == set(ids)


def test_a_cancel_by_hand_leaves_the_others_of_a_group(client: TradingGateway, symbol: str) -> None:
    group = f"pair-{symbol}"
    first, second = (
        client.submit_order(symbol, "buy", "1", "limit", limit_price=price, oco_group_id=group).id
        for price in ("50", "60")
    )
    client.cancel_order(first)
    assert client.get_order(second).status.value == "OPEN"


def test_a_pair_of_exits_made_by_hand_closes_a_position_once(
    client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    client.submit_order(symbol, "buy", "3")
    pair: dict[str, Any] = {"oco_group_id": f"out-{symbol}", "reduce_only": True}
    stop = client.submit_order(symbol, "sell", "3", "stop", stop_price="95", **pair)
    target = client.submit_order(symbol, "sell", "3", "limit", limit_price="105", **pair)
    gateway.move(symbol, 106.0)
    eventually(lambda: client.get_order(target.id), is_filled)
    eventually(lambda: client.get_order(stop.id).status.value, lambda status: status == "CANCELLED")
    gateway.move(symbol, 94.0)
    assert client.list_positions(symbol=symbol) == []
    sold = sum(
        Decimal(one.quantity)
        for one in client.list_trades(symbol=symbol)
        if one.side.value == "SELL"
    )
    assert sold == 3
