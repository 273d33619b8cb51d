"""The reading half as a client meets it: over HTTP, on a real system with the mock venue.

Bodies are read with the models of the public client, which refuse what they do not know.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from pydantic import TypeAdapter
from tektii import models

from framework.net.connectors import open_connector
from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.test_server_metrics import PER_EVENT, PER_PLATFORM, PLAIN
from tests.real_data import REPOSITORY

KEY = "a-key-of-the-reading-tests-0123456789"
START_NS = 1_772_462_437_000_000_000  # 2026-03-02T14:40:37Z

Get = Callable[..., Awaitable[tuple[int, Any, str]]]


def over_http(scenario: Callable[[Get], Awaitable[None]]) -> None:
    """Run a scenario against the gateway's own configuration, with a key."""
    environment = {"GATEWAY_API_KEY": KEY, "ENABLE_SWAGGER": "true"}
    settings = load(REPOSITORY / "config" / "tektii_gateway.yaml", environment=environment)

    async def main() -> None:
        async with (
            Runtime(settings) as runtime,
            aiohttp.ClientSession(connector=open_connector()) as session,
        ):
            base = runtime.addresses[0]

            async def get(path: str, method: str = "GET") -> tuple[int, Any, str]:
                headers = {"X-API-Key": KEY} if path.startswith("/v1") else {}
                async with session.request(method, base + path, headers=headers) as answer:
                    is_json = answer.content_type == "application/json"
                    body = await (answer.json() if is_json else answer.text())
                    return answer.status, body, answer.headers.get("Retry-After", "")

            await scenario(get)

    run_simulated(main, start_ns=START_NS)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", KEY)


def test_every_body_is_one_that_the_public_client_can_read() -> None:
    async def scenario(get: Get) -> None:
        for path, model in (
            ("/v1/account", models.Account),
            ("/v1/quotes/BTC%2FUSD", models.Quote),
            ("/v1/bars/AAPL?timeframe=10m&limit=3", list[models.Bar]),
            ("/v1/capabilities", models.Capabilities),
            ("/v1/status", models.ConnectionStatus),
            ("/v1/circuit-breakers", models.CircuitBreakerStatusResponse),
            ("/health", models.DetailedHealthStatus),
            ("/readyz", models.ReadyStatus),
            ("/livez", models.HealthStatus),
        ):
            status, body, _ = await get(path)

            assert status == 200, path
            TypeAdapter(model).validate_python(body)

    over_http(scenario)


def test_a_symbol_may_hold_a_slash_and_a_scenario_says_when_to_come_back() -> None:
    async def scenario(get: Get) -> None:
        _, quote, _ = await get("/v1/quotes/BTC%2FUSD")
        status, body, retry_after = await get("/v1/quotes/SIM.RATELIMIT")

        assert quote["symbol"] == "BTC/USD"
        assert (status, body["code"], retry_after) == (429, "RATE_LIMITED", "1")

    over_http(scenario)


def test_queries_that_make_no_sense_have_the_envelope_and_their_field() -> None:
    async def scenario(get: Get) -> None:
        for query, field in (
            ("", "timeframe"),
            ("?timeframe=3m", "timeframe"),
            ("?timeframe=1m&start=2026-03-02T14:00:00", "start"),
            ("?timeframe=1m&limit=x", "limit"),
        ):
            status, body, _ = await get(f"/v1/bars/AAPL{query}")

            assert (status, body["details"]["field"]) == (400, field)
            TypeAdapter(models.ApiError).validate_python(body)

    over_http(scenario)


def test_the_scrape_has_every_name_at_zero() -> None:
    async def scenario(get: Get) -> None:
        status, text, _ = await get("/metrics")

        assert status == 200
        for name, kind in {
            **PER_PLATFORM,
            **dict.fromkeys(PER_EVENT, "counter"),
            **PLAIN,
        }.items():
            assert f"# TYPE {name} {kind}\n" in text
        for name in PLAIN:
            assert f"\n{name} 0.0\n" in text

    over_http(scenario)


def test_probes_need_no_key_and_everything_else_does() -> None:
    async def scenario(get: Get) -> None:
        for path in ("/livez", "/readyz", "/health", "/metrics"):
            assert (await get(path))[0] == 200
        for path in ("/swagger-ui", "/api-docs/openapi.json", "/nothing"):
            status, body, _ = await get(path)
            assert (status, body["code"]) == (401, "UNAUTHORIZED")

    over_http(scenario)
