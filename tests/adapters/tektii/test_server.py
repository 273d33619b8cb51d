"""A whole gateway: its door built from a configuration, and asked over the in-memory network."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from adapters.tektii.server import Gateway, build
from framework.errors import ConfigError
from framework.net.connectors import open_connector
from framework.runtime.runner import Runtime
from framework.server.door import Door
from framework.settings.loading import load
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import OWNER, FakeDesk
from tests.adapters.tektii.trading_half import place_of
from tests.source_code import ROOT

START_NS = 1_790_000_000_000_000_000
KEY = "a-key-of-a-client-of-more-than-32-characters"

Ask = Callable[..., Awaitable[Any]]
REST = {
    ("GET", "/v1/account"), ("POST", "/v1/orders"), ("GET", "/v1/orders"),
    ("GET", "/v1/orders/history"), ("GET", "/v1/orders/{order_id}"),
    ("PATCH", "/v1/orders/{order_id}"), ("DELETE", "/v1/orders/{order_id}"),
    ("DELETE", "/v1/orders"), ("GET", "/v1/positions"), ("GET", "/v1/positions/{position_id}"),
    ("DELETE", "/v1/positions/{position_id}"), ("DELETE", "/v1/positions"),
    ("PATCH", "/v1/positions/{position_id}"), ("GET", "/v1/trades"),
    ("GET", "/v1/quotes/{symbol}"), ("GET", "/v1/bars/{symbol}"), ("GET", "/v1/capabilities"),
    ("GET", "/v1/status"), ("GET", "/v1/circuit-breakers"),
    ("POST", "/v1/circuit-breakers/reset"), ("GET", "/livez"), ("GET", "/readyz"),
    ("GET", "/health"), ("GET", "/v1/ws"),
}  # fmt: skip


def test_a_gateway_has_every_operation_of_the_protocol() -> None:
    async def main() -> Any:
        gateway: Door = build({}, place_of(FakeDesk(), OWNER).context)
        return gateway

    gateway = run_simulated(main, seed=1)
    assert isinstance(gateway, Gateway)
    assert {(route.method, route.path) for route in gateway.routes} == REST
    assert gateway.token_headers == ("X-API-Key",)
    assert gateway.pacer is None
    assert gateway.refuse(RuntimeError("x")).status == 500
    assert {400, 401, 404, 409, 422, 429, 500, 501, 502, 503} <= set(gateway.refusals)


def test_a_setting_that_makes_no_sense_is_named_by_its_place() -> None:
    async def main() -> None:
        with pytest.raises(ConfigError) as raised:
            build({"longest_symbol": "none"}, place_of(FakeDesk(), OWNER).context)
        assert raised.value.key == "server[0].doors[0].settings.longest_symbol"

    run_simulated(main, seed=1)


def ask_gateway(scenario: Callable[[Ask], Awaitable[None]], **environment: str) -> None:
    """Ask the gateway of the repository's own configuration."""
    chosen = load(ROOT / "config" / "tektii_gateway.yaml", environment=environment)

    async def main() -> None:
        async with Runtime(replace(chosen, seed=1)) as runtime:
            connector = open_connector()
            async with aiohttp.ClientSession(
                connector=connector, base_url=runtime.addresses[0]
            ) as session:

                async def ask(method: str, path: str, body: Any = None, **more: Any) -> Any:
                    async with session.request(method, path, json=body, **more) as answer:
                        return answer.status, await answer.json()

                await scenario(ask)

    run_simulated(main, seed=1, start_ns=START_NS)


def test_a_round_trip_over_the_network() -> None:
    async def scenario(ask: Ask) -> None:
        request = {
            "symbol": "BTC/USD", "side": "buy", "quantity": "0.0005", "order_type": "market",
            "stop_loss": "1000", "take_profit": "900000", "client_order_id": "r/1",
        }  # fmt: skip
        status, handle = await ask("POST", "/v1/orders", request)
        assert (status, handle["status"]) == (201, "FILLED")
        status, legs = await ask("GET", "/v1/orders")
        assert {leg["client_order_id"] for leg in legs} == {"r/1-sl", "r/1-tp"}
        status, position = await ask("GET", "/v1/positions/mock-pos-BTC%2FUSD")
        assert (status, position["quantity"]) == (200, "0.0005")
        status, closed = await ask("DELETE", "/v1/positions/mock-pos-BTC%2FUSD")
        assert (status, closed["status"]) == (200, "FILLED")
        again = await ask("DELETE", "/v1/positions/mock-pos-BTC%2FUSD", {})
        assert again == (200, closed)
        assert await ask("GET", "/v1/orders") == (200, [])
        status, account = await ask("GET", "/v1/account")
        assert account["unrealized_pnl"] == "0"

    ask_gateway(scenario)


def test_an_order_that_the_account_cannot_carry_is_refused_with_both_numbers() -> None:
    async def scenario(ask: Ask) -> None:
        request = {"symbol": "ANY", "side": "sell", "quantity": "100000", "order_type": "market"}
        status, body = await ask("POST", "/v1/orders", request)
        assert (status, body["code"]) == (422, "ORDER_REJECTED")
        assert body["details"]["reject_reason"] == "INSUFFICIENT_MARGIN"
        assert body["details"]["reject_code"] == "INSUFFICIENT_FUNDS"
        assert float(body["details"]["required"]) > float(body["details"]["available"])

    ask_gateway(scenario)


def test_errors_of_the_toolkit_wear_the_envelope() -> None:
    async def scenario(ask: Ask) -> None:
        for method, path, status in (
            ("GET", "/v1/nothing", 404), ("PUT", "/v1/orders", 405),
            ("GET", "/v1/orders?limit=x", 400), ("POST", "/v1/orders", 400),
        ):  # fmt: skip
            found, body = await ask(method, path)
            assert (found, body["code"]) == (status, "INVALID_REQUEST")

    ask_gateway(scenario)


def test_a_key_is_asked_for_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", KEY)

    async def scenario(ask: Ask) -> None:
        status, body = await ask("GET", "/v1/orders")
        assert (status, body["details"]) == (401, {"code": "MISSING_API_KEY"})
        status, body = await ask("GET", "/v1/orders", headers={"X-API-Key": "no" * 20})
        assert (status, body["details"]) == (401, {"code": "INVALID_API_KEY"})
        for headers in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
            assert await ask("GET", "/v1/orders", headers=headers) == (200, [])

    ask_gateway(scenario)


def test_a_partial_fill_is_followed_by_the_rest() -> None:
    async def scenario(ask: Ask) -> None:
        request = {"symbol": "AAPL", "side": "buy", "quantity": "8", "order_type": "market"}
        _, handle = await ask("POST", "/v1/orders", request)
        _, order = await ask("GET", f"/v1/orders/{handle['id']}")
        assert (order["status"], order["filled_quantity"]) == ("PARTIALLY_FILLED", "2.00")
        assert order["remaining_quantity"] == "6.00"

    ask_gateway(scenario, MOCK_PARTIAL_FILL_RATIO="0.25")
