"""Positions and money that the public client reads, and positions that it closes."""

from decimal import Decimal

import pytest
from tektii import BadRequestError, NotFoundError, OrderRejectedError, TradingGateway

from tests.adapters.tektii.public_client_rig import (
    BALANCE,
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


def traded(
    client: TradingGateway, symbol: str, side: str = "buy", quantity: str = "10", price: str = ""
) -> str:
    """Trade, and return the id of the position."""
    kind, limit = ("limit", price) if price else ("market", None)
    handle = client.submit_order(symbol, side, quantity, kind, limit_price=limit)
    eventually(lambda: client.get_order(handle.id), is_filled)
    return f"mock-pos-{symbol}"


# -- positions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "name", "price"), [
    ("buy", "LONG", "100.01"), ("sell", "SHORT", "99.99"),
])  # fmt: skip
def test_a_position_is_listed_and_found_by_its_id_and_its_symbol(
    client: TradingGateway, symbol: str, side: str, name: str, price: str
) -> None:
    """Spec 6.6, 7.3: unsigned, at what it cost; the mock's id is `mock-pos-<symbol>`."""
    position_id = traded(client, symbol, side, "2.50")
    (position,) = client.list_positions(symbol=symbol)
    assert position.id == position_id
    assert position.side.value == name
    assert Decimal(position.quantity) == Decimal("2.5")
    assert Decimal(position.average_entry_price) == Decimal(price)
    assert abs(Decimal(position.current_price) - 100) <= Decimal("0.01")
    distance = Decimal(position.current_price) - Decimal(price)
    result = distance if side == "buy" else -distance
    assert Decimal(position.unrealized_pnl) == result * Decimal("2.5")
    assert Decimal(position.realized_pnl) == 0
    assert position.opened_at <= position.updated_at
    assert client.get_position(position_id).id == position_id
    assert client.get_position(symbol).id == position_id
    assert position_id in [one.id for one in client.list_positions()]
    assert client.list_positions(symbol="NOBODY") == []


def test_fills_add_up_reduce_flip_and_end_a_position(
    client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 8.12."""
    position_id = traded(client, symbol, "buy", "1")
    client.submit_order(symbol, "buy", "3", "stop", stop_price="110")
    gateway.move(symbol, 110.0)
    position = eventually(
        lambda: client.get_position(position_id), lambda found: found.quantity == "4"
    )
    gateway.move(symbol, 100.0)
    paid = client.list_trades(symbol=symbol)[0].price
    average = Decimal(position.average_entry_price)
    assert average == (Decimal("100.01") + 3 * Decimal(paid)) / 4

    traded(client, symbol, "sell", "1")
    assert Decimal(client.get_position(position_id).average_entry_price) == average
    assert Decimal(client.get_position(position_id).realized_pnl) < 0
    traded(client, symbol, "sell", "5")
    flipped = client.get_position(position_id)
    assert (flipped.side.value, flipped.quantity) == ("SHORT", "2")
    assert Decimal(flipped.average_entry_price) == Decimal("99.99")
    traded(client, symbol, "buy", "2")
    assert client.list_positions(symbol=symbol) == []


def test_an_unknown_position_is_not_found(client: TradingGateway, symbol: str) -> None:
    for call in (client.get_position, client.close_position):
        with pytest.raises(NotFoundError) as caught:
            call(f"mock-pos-{symbol}")
        assert caught.value.code == "POSITION_NOT_FOUND"
        assert caught.value.details == {"resource": "position", "id": f"mock-pos-{symbol}"}


# -- closing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_position_is_closed_whole(client: TradingGateway, symbol: str, side: str) -> None:
    """Spec 8.9: opposite side, at market, reduce-only."""
    position_id = traded(client, symbol, side)
    handle = client.close_position(position_id, cancel_associated_orders=True)
    order = eventually(lambda: client.get_order(handle.id), is_filled)
    assert order.side.value != side.upper()
    assert (order.order_type.value, order.quantity, order.reduce_only) == ("MARKET", "10", True)
    assert order.position_id == position_id
    assert client.list_positions(symbol=symbol) == []


@pytest.mark.parametrize(("quantity", "left"), [("4", "6"), ("0.0000001", "9.9999999")])
def test_a_part_is_closed_once_even_if_it_is_asked_for_again(
    client: TradingGateway, symbol: str, quantity: str, left: str
) -> None:
    """Spec 21.1: the client repeats a DELETE by itself when its answer got lost."""
    position_id = traded(client, symbol)
    first = client.close_position(position_id, quantity=Decimal(quantity))
    second = client.close_position(position_id, quantity=quantity)
    assert second.id == first.id
    eventually(lambda: client.get_order(first.id), is_filled)
    assert client.get_position(position_id).quantity == left
    other = client.close_position(position_id, quantity="1")
    assert other.id != first.id


def test_more_than_there_is_closes_all_of_it(client: TradingGateway, symbol: str) -> None:
    position_id = traded(client, symbol)
    handle = client.close_position(position_id, quantity="25")
    assert eventually(lambda: client.get_order(handle.id), is_filled).quantity == "10"
    assert client.list_positions(symbol=symbol) == []


def test_a_position_is_closed_at_a_limit(client: TradingGateway, symbol: str) -> None:
    position_id = traded(client, symbol)
    handle = client.close_position(position_id, order_type="limit", limit_price="120.50")
    order = client.get_order(handle.id)
    assert (order.status.value, order.order_type.value) == ("OPEN", "LIMIT")
    assert (order.limit_price, order.reduce_only, order.quantity) == ("120.50", True, "10")
    again = client.close_position(position_id, order_type="LIMIT", limit_price="120.50")
    assert again.id == handle.id
    assert client.get_position(position_id).quantity == "10"


@pytest.mark.parametrize(
    ("options", "code", "field"),
    [
        ({"quantity": "0"}, "INVALID_VALUE", "quantity"),
        ({"quantity": "-1"}, "INVALID_VALUE", "quantity"),
        ({"order_type": "limit"}, "INVALID_REQUEST", "limit_price"),
        ({"order_type": "stop"}, "INVALID_VALUE", "order_type"),
        ({"order_type": "limit", "limit_price": "-1"}, "INVALID_VALUE", "limit_price"),
    ],
)
def test_a_close_that_makes_no_sense_is_refused(
    client: TradingGateway, symbol: str, options: dict[str, str], code: str, field: str
) -> None:
    position_id = traded(client, symbol)
    with pytest.raises(BadRequestError) as caught:
        client.close_position(position_id, **options)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert caught.value.details["field"] == field
    assert client.get_position(position_id).quantity == "10"


def test_all_positions_or_those_of_a_symbol_are_closed(
    client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 8.10."""
    other = gateway.still_symbol()
    traded(client, symbol, "buy")
    traded(client, other, "sell")
    assert client.close_all_positions(symbol="NOBODY") == []
    (handle,) = client.close_all_positions(symbol=symbol)
    eventually(lambda: client.get_order(handle.id), is_filled)
    assert [one.symbol for one in client.list_positions()] == [other]
    traded(client, symbol, "buy")
    handles = client.close_all_positions()
    assert len({one.id for one in handles}) == 2
    eventually(lambda: client.list_positions(), lambda found: not found)
    assert client.close_all_positions() == []


# -- money ----------------------------------------------------------------------------------------


def test_money_follows_positions_and_results(
    client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 6.2, 16.2, 6: equity is balance and unrealised result; margin is bound and set free."""
    before = client.get_account()
    assert before.currency == "USD"
    assert Decimal(before.margin_used) == Decimal(before.unrealized_pnl) == 0
    assert before.balance == before.equity == before.margin_available

    position_id = traded(client, symbol, "buy", "100")
    held, position = eventually(  # both at the same price
        lambda: (client.get_account(), client.get_position(position_id)),
        lambda found: Decimal(found[0].unrealized_pnl) == Decimal(found[1].unrealized_pnl),
    )
    assert held.balance == before.balance
    distance = Decimal(position.current_price) - Decimal(position.average_entry_price)
    assert Decimal(held.unrealized_pnl) == 100 * distance
    assert Decimal(held.equity) == Decimal(held.balance) + Decimal(held.unrealized_pnl)
    assert Decimal(held.margin_used) == pytest.approx(Decimal("10000"), rel=Decimal("0.001"))
    free = Decimal(held.equity) - Decimal(held.margin_used)
    assert Decimal(held.margin_available) == free

    client.submit_order(symbol, "sell", "100", "limit", limit_price="110")
    gateway.move(symbol, 111.0)
    after = eventually(client.get_account, lambda money: money.balance != held.balance)
    gained = sum(
        (Decimal(one.price) * Decimal(one.quantity) * (1 if one.side.value == "SELL" else -1))
        for one in client.list_trades(symbol=symbol)
    )
    assert gained >= 999
    assert Decimal(after.balance) == Decimal(before.balance) + gained
    assert Decimal(after.margin_used) == 0
    assert after.equity == after.balance


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_what_the_account_cannot_carry_is_refused_with_the_figures(
    client: TradingGateway, symbol: str, side: str
) -> None:
    """Spec 16.2, 7; 5.3: both names of the reason; nothing comes of it."""
    with pytest.raises(OrderRejectedError) as caught:
        client.submit_order(symbol, side, BALANCE, stop_loss="90" if side == "buy" else "110")
    error = caught.value
    assert (error.status_code, error.code) == (422, "ORDER_REJECTED")
    assert error.details["reject_reason"] == "INSUFFICIENT_MARGIN"
    assert error.details["reject_code"] == "INSUFFICIENT_FUNDS"
    assert Decimal(error.details["required"]) > Decimal(error.details["available"]) > 0
    assert client.list_positions(symbol=symbol) == []
    assert client.list_orders(symbol=symbol) == []


def test_an_order_that_may_only_reduce_never_opens_or_flips(
    client: TradingGateway, symbol: str
) -> None:
    """Spec 16.2, 7."""
    for quantity in ("1", "11"):
        with pytest.raises(OrderRejectedError) as caught:
            client.submit_order(symbol, "sell", quantity, reduce_only=True)
        assert caught.value.details["reject_reason"] == "REDUCE_ONLY_VIOLATED"
        if quantity == "1":
            traded(client, symbol)
    with pytest.raises(OrderRejectedError) as caught:
        client.submit_order(symbol, "buy", "1", reduce_only=True)
    assert caught.value.details["reject_reason"] == "REDUCE_ONLY_VIOLATED"
    handle = client.submit_order(symbol, "sell", "10", reduce_only=True)
    eventually(lambda: client.get_order(handle.id), is_filled)
    assert client.list_positions(symbol=symbol) == []


@pytest.mark.parametrize(
    ("side", "crossing", "resting"), [("buy", "101", "99"), ("sell", "99", "101")]
)
def test_an_order_that_may_only_make_never_takes(
    client: TradingGateway, symbol: str, side: str, crossing: str, resting: str
) -> None:
    """Spec 16.2, 7."""
    with pytest.raises(OrderRejectedError) as caught:
        client.submit_order(symbol, side, "1", "limit", limit_price=crossing, post_only=True)
    assert caught.value.details["reject_reason"] == "POST_ONLY_VIOLATED"
    handle = client.submit_order(symbol, side, "1", "limit", limit_price=resting, post_only=True)
    assert client.get_order(handle.id).status.value == "OPEN"
    assert client.list_positions(symbol=symbol) == []
