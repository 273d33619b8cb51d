"""Orders that the public client submits: every kind and flag, once however often they come."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from tektii import AsyncTradingGateway, BadRequestError, OrderRejectedError, TradingGateway

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


@pytest.mark.parametrize("word", ["buy", "BUY", "Sell"])
def test_a_market_order_fills_and_stays_readable(
    client: TradingGateway, symbol: str, word: str
) -> None:
    """Spec 16.2, 2 and 3; 6.5: filled and remaining are the quantity."""
    handle = client.submit_order(symbol, word, "2", "MARKET" if word == "BUY" else "market")

    order = eventually(lambda: client.get_order(handle.id), is_filled)
    assert (order.side.value, order.order_type.value) == (word.upper(), "MARKET")
    assert (order.quantity, order.filled_quantity, order.remaining_quantity) == ("2", "2", "0")
    assert Decimal(order.average_fill_price or 0) == (
        Decimal("99.99") if word == "Sell" else Decimal("100.01")
    )
    assert order.time_in_force.value == "GTC"
    assert order.reject_reason is None
    assert order.limit_price is None
    assert order.created_at <= order.updated_at
    assert order.created_at.utcoffset() is not None
    assert UUID(str(handle.correlation_id)) == UUID(str(order.correlation_id))


def test_a_limit_far_away_rests_and_one_beyond_the_market_fills_at_the_market(
    client: TradingGateway, symbol: str
) -> None:
    """Spec 8.3, 16.2, 3: a third and twice the market are taken; never beyond the limit."""
    low = client.submit_order(symbol, "buy", "1", "limit", limit_price="33.3333")
    high = client.submit_order(symbol, "sell", "1", "limit", limit_price="200.00")
    through = client.submit_order(symbol, "buy", "1", "limit", limit_price="104.50")

    assert low.status.value == high.status.value == "OPEN"
    order = eventually(lambda: client.get_order(through.id), is_filled)
    assert order.limit_price == "104.50"
    assert Decimal(order.average_fill_price or 0) == Decimal("100.01")
    assert client.get_order(low.id).status.value == "OPEN"
    assert client.get_order(high.id).limit_price == "200.00"


def test_stops_rest_until_the_market_touches_them(
    client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 8.3, 16.2, 4."""
    stop = client.submit_order(symbol, "buy", "1", "stop", stop_price="105")
    stop_limit = client.submit_order(
        symbol, "sell", "1", "stop_limit", stop_price="95", limit_price="94.5"
    )
    assert stop.status.value == stop_limit.status.value == "OPEN"
    gateway.move(symbol, 104.0)
    assert client.get_order(stop.id).status.value == "OPEN"

    gateway.move(symbol, 106.0)
    order = eventually(lambda: client.get_order(stop.id), is_filled)
    assert Decimal(order.average_fill_price or 0) >= 105
    assert client.get_order(stop_limit.id).filled_quantity == "0"

    gateway.move(symbol, 94.9)
    order = eventually(lambda: client.get_order(stop_limit.id), is_filled)
    assert Decimal(order.average_fill_price or 0) >= Decimal("94.5")
    assert (order.stop_price, order.limit_price) == ("95", "94.5")


@pytest.mark.parametrize(
    ("kind", "distance", "first", "second"),
    [("absolute", "5", "95", "105"), ("percent", "10", "90", "99")],
)
def test_a_trailing_stop_follows_the_market_and_sells_when_it_turns(
    client: TradingGateway,
    gateway: RunningGateway,
    symbol: str,
    kind: str,
    distance: str,
    first: str,
    second: str,
) -> None:
    """Spec 10: rests as OPEN, `stop_price` shows the level, which only moves up for a sale."""
    client.submit_order(symbol, "buy", "1")
    handle = client.submit_order(
        symbol, "sell", "1", "trailing_stop", trailing_distance=distance, trailing_type=kind
    )
    # The bid may be seen before the first trade: the level then starts a tick below.
    order = eventually(
        lambda: client.get_order(handle.id),
        lambda order: Decimal(order.stop_price or 0) >= Decimal(first),
    )
    assert order.status.value == "OPEN"
    assert order.trailing_type is not None
    assert order.trailing_type.value == kind.upper()
    assert order.trailing_distance == distance
    assert Decimal(order.stop_price or 0) == Decimal(first)

    gateway.move(symbol, 110.0)  # then back to 100: above 99, below 105
    order = eventually(
        lambda: client.get_order(handle.id),
        lambda order: Decimal(order.stop_price or 0) >= Decimal(second),
    )
    assert Decimal(order.stop_price or 0) == Decimal(second)
    if kind == "percent":
        assert order.status.value == "OPEN"
        gateway.move(symbol, 98.0)
    eventually(lambda: client.get_order(handle.id), is_filled)


@pytest.mark.parametrize("word", ["gtc", "GTC", "day", "DAY"])
def test_an_order_that_may_rest_rests(client: TradingGateway, symbol: str, word: str) -> None:
    handle = client.submit_order(symbol, "buy", "1", "limit", limit_price="50", time_in_force=word)
    order = client.get_order(handle.id)
    assert (order.status.value, order.time_in_force.value) == ("OPEN", word.upper())


@pytest.mark.parametrize("word", ["ioc", "FOK"])
@pytest.mark.parametrize(("price", "filled"), [("50", "0"), ("101", "3")])
def test_an_order_that_may_not_rest_fills_or_is_cancelled(
    client: TradingGateway, symbol: str, word: str, price: str, filled: str
) -> None:
    """Spec 8.4: the rest ends as CANCELLED (EXPIRED is tolerated)."""
    handle = client.submit_order(symbol, "buy", "3", "limit", limit_price=price, time_in_force=word)
    order = client.get_order(handle.id)
    assert order.status.value in (("CANCELLED", "EXPIRED") if filled == "0" else ("FILLED",))
    assert order.filled_quantity == filled
    assert order.time_in_force.value == word.upper()
    assert handle.id not in [one.id for one in client.list_orders(symbol=symbol)]


@pytest.mark.parametrize("word", ["IOC", "fok"])
def test_a_market_order_may_be_immediate(client: TradingGateway, symbol: str, word: str) -> None:
    handle = client.submit_order(symbol, "buy", "1", time_in_force=word)
    assert eventually(lambda: client.get_order(handle.id), is_filled).filled_quantity == "1"


def test_flags_and_names_are_shown_as_they_were_sent(client: TradingGateway, symbol: str) -> None:
    client.submit_order(symbol, "buy", "5")
    handle = client.submit_order(
        symbol,
        "sell",
        "5",
        "limit",
        limit_price="150",
        client_order_id=f"flags/{symbol}%2F",
        reduce_only=True,
        post_only=True,
        hidden=True,
        display_quantity="1.50",
        leverage="2",
        margin_mode="cross",
        oco_group_id=f"group {symbol}",
        position_id=f"mock-pos-{symbol}",
    )
    order = client.get_order(handle.id)
    assert handle.client_order_id == order.client_order_id == f"flags/{symbol}%2F"
    assert (order.reduce_only, order.post_only, order.hidden) == (True, True, True)
    assert order.display_quantity == "1.50"
    assert order.oco_group_id == f"group {symbol}"
    assert order.position_id == f"mock-pos-{symbol}"


@pytest.mark.parametrize("quantity", ["1.10", "0.0000001", "0.12345678", "7"])
def test_quantities_come_back_as_they_were_sent(
    client: TradingGateway, symbol: str, quantity: str
) -> None:
    """Spec 2, 3; however small, it fills, is a trade and a position."""
    handle = client.submit_order(symbol, "buy", Decimal(quantity))
    order = eventually(lambda: client.get_order(handle.id), is_filled)
    assert (order.quantity, order.filled_quantity) == (quantity, quantity)
    assert Decimal(order.remaining_quantity) == 0
    (trade,) = client.list_trades(order_id=handle.id)
    assert Decimal(trade.quantity) == Decimal(quantity)
    (position,) = client.list_positions(symbol=symbol)
    assert Decimal(position.quantity) == Decimal(quantity)


@pytest.mark.parametrize(
    "price",
    ["1.10", "0.00000001", "99.12345678", "98.76543210987654321098765432"],
)
def test_prices_come_back_as_they_were_sent(
    client: TradingGateway, symbol: str, price: str
) -> None:
    """Spec 3: 28 digits are held, nothing is rounded, no exponent is sent."""
    handle = client.submit_order(symbol, "buy", "1", "limit", limit_price=Decimal(price))
    assert client.get_order(handle.id).limit_price == price
    assert [one.limit_price for one in client.list_orders(symbol=symbol)] == [price]


def test_exponents_are_taken(client: TradingGateway, symbol: str) -> None:
    """Spec 2, 2: the client sends `str(Decimal)`."""
    handle = client.submit_order(
        symbol, "buy", Decimal("1E-7"), "limit", limit_price=Decimal("2E+1")
    )
    order = client.get_order(handle.id)
    assert (order.quantity, order.limit_price) == ("0.0000001", "20")


def test_a_number_of_more_digits_than_are_kept_is_refused_instead_of_rounded(
    client: TradingGateway, symbol: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.submit_order(symbol, "buy", "1", "limit", limit_price="1." + 28 * "3")
    assert caught.value.details["field"] == "limit_price"


def test_an_order_sent_again_is_the_same_order(client: TradingGateway, symbol: str) -> None:
    """Spec 8.5."""
    wish: dict[str, Any] = {
        "order_type": "limit",
        "limit_price": "50.0",
        "client_order_id": f"again-{symbol}",
    }
    first = client.submit_order(symbol, "buy", "1.0", **wish)
    second = client.submit_order(symbol, "BUY", "1", **{**wish, "limit_price": "50"})
    assert second == first
    assert len(client.list_orders(client_order_id=f"again-{symbol}")) == 1

    client.cancel_order(first.id)
    third = client.submit_order(symbol, "buy", "1", **wish)
    assert third.id == first.id
    assert client.list_orders(client_order_id=f"again-{symbol}") == []

    for other in ({"limit_price": "51"}, {"time_in_force": "ioc"}, {"stop_loss": "40"}):
        with pytest.raises(OrderRejectedError) as caught:
            client.submit_order(symbol, "buy", "1", **{**wish, **other})
        assert caught.value.details["reject_code"] == "DUPLICATE_CLIENT_ORDER_ID"
        assert caught.value.details["reject_reason"] == "UNKNOWN"
    assert len(client.get_order_history(symbol=symbol)) == 1


def test_fifty_orders_at_once_are_fifty_orders(gateway: RunningGateway) -> None:
    """Spec 16.2, 11: fifty ids; how long it takes is what a benchmark says, not a busy machine."""
    symbol = gateway.still_symbol()

    async def main() -> set[str]:
        async with AsyncTradingGateway(gateway.url) as client:
            await client.get_quote(symbol)
            handles = await asyncio.gather(
                *(
                    client.submit_order(symbol, "buy", "1", client_order_id=f"{symbol}-{number}")
                    for number in range(50)
                )
            )
            (position,) = await client.list_positions(symbol=symbol)
            assert position.quantity == "50"
            return {handle.id for handle in handles}

    assert len(asyncio.run(main())) == 50
