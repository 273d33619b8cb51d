"""The reading routes on a real system: the gateway's own configuration, with its mock venue."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import anyio
import msgspec
import pytest

from adapters.tektii.server_account import AccountRoutes
from adapters.tektii.server_bars import LENGTHS_NS
from adapters.tektii.server_markets import MarketRoutes
from adapters.tektii.server_settings import GatewaySettings
from adapters.tektii.server_system import SystemRoutes
from adapters.tektii.words import TIMEFRAMES
from framework.model.desk import ALL_VERBS, Place, Principal, View
from framework.model.orders import OrderIntent, OrderStatus, Side
from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.simulation.loop import run_simulated
from tests.adapters.tektii.gateway_rig import Caller, place_of
from tests.real_data import REPOSITORY

OWNER = Principal("owner", (Place("mock", "main", "gateway"),), View.ACCOUNT, ALL_VERBS)
START_NS = 1_772_462_437_000_000_000  # 2026-03-02T14:40:37Z


def on_mock(scenario: Callable[[Runtime, Caller], Awaitable[None]]) -> None:
    """Run a scenario beside the mock gateway's system."""
    settings = load(REPOSITORY / "config" / "tektii_gateway.yaml", environment={})

    async def main() -> None:
        async with Runtime(msgspec.structs.replace(settings, server=[])) as runtime:
            place = place_of(runtime.desk, settings=GatewaySettings(scenarios=True), owner=OWNER)
            parts = (AccountRoutes(place), MarketRoutes(place), SystemRoutes(place))
            await scenario(runtime, Caller([r for part in parts for r in part.routes()], OWNER))

    run_simulated(main, start_ns=START_NS)


def times_of(bars: list[dict[str, Any]]) -> list[int]:
    return [
        int(datetime.fromisoformat(bar["timestamp"]).timestamp()) * 1_000_000_000 for bar in bars
    ]


def test_the_first_quote_of_any_symbol_comes_at_once_near_its_seed_price() -> None:
    async def scenario(_: Runtime, caller: Caller) -> None:
        with anyio.fail_after(2):
            quote = await caller.get("/v1/quotes/{symbol}", symbol="BTC/USD")
            other = await caller.get("/v1/quotes/{symbol}", symbol="WHATEVER")

        assert quote["provider"] == "mock"
        bid, ask, last = (Decimal(quote[name]) for name in ("bid", "ask", "last"))
        assert bid <= last <= ask
        assert abs(last / 50_000 - 1) < Decimal("0.05")
        assert abs(Decimal(other["last"]) / 100 - 1) < Decimal("0.05")

    on_mock(scenario)


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_bars_of_every_timeframe_are_aligned_whole_and_end_at_the_price(timeframe: str) -> None:
    async def scenario(runtime: Runtime, caller: Caller) -> None:
        length_ns = LENGTHS_NS[timeframe]
        query = f"timeframe={timeframe}&limit=5"

        bars = await caller.get("/v1/bars/{symbol}", query, symbol="AAPL")

        times = times_of(bars)
        now_ns = runtime.engine.clock.now_ns
        shift_ns = LENGTHS_NS["1d"] * 4 if timeframe == "1w" else 0
        assert len(bars) == 5
        assert all((time - shift_ns) % length_ns == 0 for time in times)
        assert [after - before for before, after in pairwise(times)] == ([length_ns] * 4)
        assert 0 <= now_ns - (times[-1] + length_ns) < length_ns
        for bar in bars:
            low, high = Decimal(bar["low"]), Decimal(bar["high"])
            assert low <= min(Decimal(bar["open"]), Decimal(bar["close"]))
            assert high >= max(Decimal(bar["open"]), Decimal(bar["close"]))

    on_mock(scenario)


def test_a_range_is_answered_whole_and_in_order() -> None:
    async def scenario(_: Runtime, caller: Caller) -> None:
        query = "timeframe=1m&start=2026-03-02T14:00:00Z&end=2026-03-02T14:30:00Z"

        bars = await caller.get("/v1/bars/{symbol}", query, symbol="AAPL")
        first = await caller.get("/v1/bars/{symbol}", f"{query}&limit=3", symbol="AAPL")

        assert len(bars) == 31
        assert bars[0]["timestamp"] == "2026-03-02T14:00:00Z"
        assert bars[-1]["timestamp"] == "2026-03-02T14:30:00Z"
        assert first == bars[:3]

    on_mock(scenario)


def test_the_last_minute_closes_at_the_current_price() -> None:
    async def scenario(_: Runtime, caller: Caller) -> None:
        bars = await caller.get("/v1/bars/{symbol}", "timeframe=1m&limit=1", symbol="AAPL")
        quote = await caller.get("/v1/quotes/{symbol}", symbol="AAPL")

        last, close = Decimal(quote["last"]), Decimal(bars[-1]["close"])
        assert abs(close / last - 1) < Decimal("0.01")

    on_mock(scenario)


def test_the_account_follows_a_position_and_stays_an_identity() -> None:
    async def scenario(runtime: Runtime, caller: Caller) -> None:
        before = await caller.get("/v1/account")
        await caller.get("/v1/quotes/{symbol}", symbol="AAPL")
        intent = OrderIntent("", "c.1", "mock:AAPL", Side.BUY, Decimal(10))
        order = await runtime.desk.submit(OWNER, intent)
        with anyio.fail_after(2):
            while order.order.status is not OrderStatus.FILLED:
                await anyio.sleep(0.05)
                order = await runtime.desk.order(OWNER, order.order.order_id) or order
        await anyio.sleep(5)

        after = await caller.get("/v1/account")

        assert (before["balance"], before["margin_used"], before["currency"]) == (
            "100000",
            "0",
            "USD",
        )
        balance, equity, unrealised, used, free = (
            Decimal(after[name])
            for name in (
                *("balance", "equity", "unrealized_pnl", "margin_used", "margin_available"),
            )
        )
        assert equity == balance + unrealised
        assert used > 1_000
        assert free == equity - used

    on_mock(scenario)


def test_short_selling_is_claimed_and_works() -> None:
    async def scenario(runtime: Runtime, caller: Caller) -> None:
        await caller.get("/v1/quotes/{symbol}", symbol="AAPL")
        capabilities = await caller.get("/v1/capabilities")
        intent = OrderIntent("", "c.1", "mock:AAPL", Side.SELL, Decimal(10))

        await runtime.desk.submit(OWNER, intent)
        await anyio.sleep(1)

        (position,) = await runtime.desk.positions(OWNER)
        account = await caller.get("/v1/account")
        assert "short_selling" in capabilities["features"]
        assert position.quantity == -10
        assert Decimal(account["margin_used"]) > 1_000

    on_mock(scenario)


def test_the_system_is_connected_and_says_what_it_can() -> None:
    async def scenario(_: Runtime, caller: Caller) -> None:
        await caller.get("/v1/quotes/{symbol}", symbol="AAPL")
        await anyio.sleep(3)

        status = await caller.get("/v1/status")
        health = await caller.get("/health")
        capabilities = await caller.get("/v1/capabilities")
        breakers = await caller.get("/v1/circuit-breakers")
        reset = await caller.answer("POST", "/v1/circuit-breakers/reset")
        again = await caller.answer("POST", "/v1/circuit-breakers/reset")

        assert status["connected"] is True
        assert status["last_heartbeat"] >= "2026-03-02T14:40:39"
        assert health["status"] == "connected"
        assert capabilities["supported_asset_classes"] == ["STOCK", "FOREX", "CRYPTO"]
        assert breakers["exit_order"] == {"state": "closed", "failure_count": 0}
        assert (reset.status, again.status) == (200, 409)

    on_mock(scenario)
