"""Connections that break under the public client, and what it repeats by itself because of it."""

from typing import Any

import pytest
import tektii.async_client
from tektii import APIConnectionError, APIProtocolError

from tests.adapters.tektii.public_client_relay import Relay
from tests.adapters.tektii.public_client_rig import (
    FORMS,
    RunningGateway,
    a_client,
    deserted_port,
    eventually,
    gateway_fixture,
    is_filled,
)

pytestmark = pytest.mark.socket

gateway = gateway_fixture()

LIMIT: dict[str, Any] = {"order_type": "limit", "limit_price": "50"}


@pytest.mark.parametrize("form", FORMS)
def test_nobody_there_is_a_connection_error(form: str) -> None:
    with (
        deserted_port() as port,
        a_client(f"http://127.0.0.1:{port}", form, max_retries=0) as opened,
        pytest.raises(APIConnectionError) as caught,
    ):
        opened.get_account()
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_that_is_no_json_is_a_protocol_error(gateway: RunningGateway, form: str) -> None:
    with Relay(gateway) as relay, a_client(relay.url, form) as opened:
        assert opened.get_account().currency == "USD"
        relay.change = lambda piece: piece.replace(b"application/json", b"text/plain-json!")
        with pytest.raises(APIProtocolError):
            opened.get_account()


@pytest.mark.parametrize("form", FORMS)
def test_lost_answers_do_no_harm(
    gateway: RunningGateway, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spec 2, 9; 21.1: what the client repeats by itself happens once; a POST it never repeats."""
    monkeypatch.setattr(tektii.async_client, "_backoff", lambda attempt: 0.0)
    symbol = gateway.still_symbol()
    with Relay(gateway) as relay, a_client(relay.url, form) as opened:
        wish: dict[str, Any] = {"client_order_id": f"lost-{symbol}"}
        relay.losing = 1
        with pytest.raises(APIConnectionError):
            opened.submit_order(symbol, "buy", "10", **wish)
        handle = opened.submit_order(symbol, "buy", "10", **wish)
        eventually(lambda: opened.get_order(handle.id), is_filled)
        assert opened.get_position(symbol).quantity == "10"

        relay.losing = 2
        closing = opened.close_position(f"mock-pos-{symbol}", quantity="4")
        assert [line for line in relay.requests if "positions/mock" in line][-3:] == [
            f"DELETE /v1/positions/mock-pos-{symbol}"
        ] * 3
        eventually(lambda: opened.get_order(closing.id), is_filled)
        assert opened.get_position(symbol).quantity == "6"

        relay.losing = 1
        opened.close_all_positions(symbol=symbol)
        eventually(lambda: opened.list_positions(symbol=symbol), lambda found: not found)
        assert len(opened.list_trades(symbol=symbol)) == 3

        resting = opened.submit_order(symbol, "buy", "1", **LIMIT)
        relay.losing = 2
        result = opened.cancel_order(resting.id)
        assert result.order.status.value == "CANCELLED"
        relay.losing = 3
        with pytest.raises(APIConnectionError):
            opened.cancel_all_orders()
