"""Errors that the stream tells the public client of; reports of the venue are made up for them."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from tektii import TradingGateway

from framework.model.events import OrderAnomaly
from framework.model.reports import EndKind, OrderEnded, OrderFilled
from tests.adapters.tektii.public_client_listener import Listener
from tests.adapters.tektii.public_client_rig import (
    FORMS,
    RunningGateway,
    a_client,
    eventually,
    gateway_fixture,
    symbol_fixture,
)

pytestmark = pytest.mark.socket

gateway = gateway_fixture()
symbol = symbol_fixture()


@pytest.fixture(scope="module", params=FORMS)
def listener(request: pytest.FixtureRequest, gateway: RunningGateway) -> Iterator[Listener]:
    with Listener(gateway.url, request.param) as heard:
        yield heard


@pytest.fixture(scope="module")
def client(gateway: RunningGateway) -> Iterator[TradingGateway]:
    with a_client(gateway.url, "sync") as opened:
        yield opened


def error_of(code: str, symbol: str) -> Callable[[Any], bool]:
    return lambda e: e.type == "error" and e.code.value == code and symbol in str(e.details)


def test_a_pair_that_fills_twice_is_told(
    listener: Listener, client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 8.11: the venue fills both before a cancel gets through."""
    group = f"pair-{symbol}"
    first, second = (
        client.submit_order(symbol, "sell", "10", "limit", limit_price=price, oco_group_id=group).id
        for price in ("150", "160")
    )
    now_ns = gateway.now_ns
    gateway.publish(
        OrderFilled(first, f"{symbol}-1", Decimal("10"), Decimal("150"), now_ns),
        OrderFilled(second, f"{symbol}-2", Decimal("10"), Decimal("160"), now_ns),
    )
    error = listener.wait_for(error_of("OCO_DOUBLE_EXIT", symbol))
    assert error.details == {
        "oco_group_id": group,
        "symbol": symbol,
        "first_fill": {"order_id": first, "quantity": "10", "side": "Sell"},
        "second_fill": {"order_id": second, "quantity": "10", "side": "Sell"},
        "total_exit_quantity": "20",
    }


def test_a_contradiction_of_a_venue_is_told(
    listener: Listener, client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    order_id = client.submit_order(symbol, "buy", "1", "limit", limit_price="50").id
    gateway.publish(
        OrderAnomaly(order_id, "gateway", "main", f"mock:{symbol}", "it is odd", gateway.now_ns)
    )
    error = listener.wait_for(error_of("INTERNAL_ERROR", symbol))
    assert error.message == "it is odd"
    assert error.details["symbol"] == symbol


def test_an_exit_that_its_venue_refuses_leaves_a_warning(
    listener: Listener, client: TradingGateway, gateway: RunningGateway, symbol: str
) -> None:
    """Spec 9.4, 11.4."""
    handle = client.submit_order(symbol, "buy", "5", stop_loss="90")
    (leg,) = eventually(lambda: client.list_orders(symbol=symbol), lambda found: len(found) == 1)
    gateway.publish(OrderEnded(leg.id, EndKind.REJECTED, gateway.now_ns, "no stops today"))
    error = listener.wait_for(error_of("POSITION_UNPROTECTED", symbol))
    assert (error.details["order_id"], error.details["symbol"]) == (handle.id, symbol)
    (failed,) = error.details["failed_exits"]
    assert failed["type"] == "StopLoss"
    assert "no stops today" in failed["error"]
    assert error.details["circuit_breaker_open"] is False
