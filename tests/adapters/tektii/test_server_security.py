"""What a gateway keeps back where it is for real, and what works while its stream is down."""

import asyncio
from typing import Any

import pytest

from adapters.tektii.server import build
from adapters.tektii.server_stream import EventStream
from framework.errors import ConfigError
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.fake_desk import OWNER, FakeDesk
from tests.adapters.tektii.test_server import Ask, ask_gateway
from tests.adapters.tektii.trading_half import place_of


def test_t08_no_description_is_served_where_it_is_for_real() -> None:
    """T-08: ENABLE_SWAGGER is refused by place and reason; without it the gateway is built."""

    async def main() -> None:
        desk = FakeDesk()
        desk.is_real = True
        context = place_of(desk, OWNER).context
        with pytest.raises(ConfigError, match=r"ENABLE_SWAGGER.*for real") as raised:
            build({"swagger": "true"}, context)
        assert raised.value.key == "server[0].doors[0].settings.swagger"
        paths = {route.path for route in build({}, context).routes}
        assert not {"/swagger-ui", "/api-docs/openapi.json"} & paths

    run_simulated(main, seed=1)


def test_t07_with_the_stream_down_orders_are_cancelled_and_positions_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """T-07: reducing risk goes on as long as the desk works; new orders wait for the door."""
    fails = asyncio.Event()
    whole = EventStream.run

    async def run(self: EventStream) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(whole(self))
            await fails.wait()
            running.cancel()
            raise RuntimeError("a bug in the stream")

    monkeypatch.setattr(EventStream, "run", run)
    order: dict[str, Any] = {"symbol": "AAPL", "side": "BUY", "quantity": "2"}

    async def scenario(ask: Ask) -> None:
        status, _ = await ask("POST", "/v1/orders", {**order, "order_type": "MARKET"})
        assert status == 201
        limit = {**order, "order_type": "LIMIT", "limit_price": "1"}
        _, resting = await ask("POST", "/v1/orders", limit)
        _, other = await ask("POST", "/v1/orders", limit)
        await asyncio.sleep(1)
        fails.set()
        await asyncio.sleep(0.1)

        status, told = await ask("POST", "/v1/orders", limit)
        assert (status, told["code"]) == (503, "PROVIDER_UNAVAILABLE")
        status, listed = await ask("GET", "/v1/orders")
        assert {one["id"] for one in listed} == {resting["id"], other["id"]}
        status, told = await ask("DELETE", f"/v1/orders/{resting['id']}")
        assert (status, told["order"]["status"]) == (200, "CANCELLED")
        status, told = await ask("DELETE", "/v1/orders")
        assert (status, told["cancelled_count"]) == (200, 1)
        status, _ = await ask("DELETE", "/v1/positions/mock-pos-AAPL", {"quantity": "1"})
        assert status == 200
        status, handles = await ask("DELETE", "/v1/positions")
        assert (status, len(handles)) == (200, 1)
        await asyncio.sleep(0.1)
        assert await ask("GET", "/v1/positions") == (200, [])

    ask_gateway(scenario)
