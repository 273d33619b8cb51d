"""What a gateway tells while its journal is slow, and when it cannot be written any more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from framework.net.connectors import open_connector
from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.simulation.loop import run_simulated
from tests.crash.crashable_log import CrashableLog
from tests.source_code import ROOT

START_NS = 1_790_000_000_000_000_000
SLOW_S = 3.0
MARKET = ("quote", "candle")
READS = (
    "/v1/orders",
    "/v1/orders/history",
    "/v1/orders?client_order_id=entry",
    "/v1/trades",
    "/v1/positions",
    "/v1/account",
)
Answer = tuple[int, Any]


@pytest.fixture(autouse=True)
def _no_logs() -> Iterator[None]:
    """Keep a failed journal from being printed."""
    with capture_logs():
        yield


class World:
    """One gateway on a log that can be slow, fail and be read after a crash."""

    def __init__(self, log: CrashableLog, http: aiohttp.ClientSession, runtime: Runtime) -> None:
        self.log = log
        self.runtime = runtime
        self.http = http

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Return status and body of an answer."""
        async with self.http.request(method, path, json=body) as answer:
            return answer.status, await answer.json()

    def asking(self, method: str, path: str, body: Any = None) -> "asyncio.Task[Answer]":
        """Ask without waiting for the answer."""
        return asyncio.ensure_future(self.ask(method, path, body))

    async def enter(self, name: str, kind: str = "market", **more: Any) -> Answer:
        """Submit an order."""
        return await self.ask("POST", "/v1/orders", wish(name, kind, **more))

    async def resting(self, name: str) -> str:
        """Submit an order far from the market and return its id."""
        status, handle = await self.enter(name, "limit", limit_price="1")
        assert status == 201
        return str(handle["id"])


def wish(name: str, kind: str = "market", **more: Any) -> dict[str, Any]:
    return {
        "symbol": "AAPL",
        "side": "buy",
        "quantity": "1",
        "order_type": kind,
        "client_order_id": name,
        **more,
    }


Scenario = Callable[[World], Awaitable[None]]


@asynccontextmanager
async def gateway(log: CrashableLog) -> AsyncIterator[World]:
    settings = load(ROOT / "config" / "tektii_gateway.yaml", environment={})
    async with (
        Runtime(replace(settings, seed=1), order_log=log) as runtime,
        aiohttp.ClientSession(connector=open_connector(), base_url=runtime.addresses[0]) as http,
    ):
        yield World(log, http, runtime)


def play(scenario: Scenario) -> None:
    """Play it with a gateway that trades already: the instrument is known and has a price."""

    async def main() -> None:
        async with gateway(CrashableLog()) as world:
            await world.ask("GET", "/v1/quotes/AAPL")
            await anyio.sleep(1)
            await scenario(world)

    run_simulated(main, seed=1, start_ns=START_NS)


def test_r03_nothing_is_told_of_an_order_before_it_is_on_disk() -> None:
    async def scenario(world: World) -> None:
        told: list[Any] = []
        async with world.http.ws_connect("/v1/ws") as stream:
            note = told.append

            async def hear() -> None:
                async for message in stream:
                    if (frame := message.json())["type"] not in MARKET:
                        note(frame)

            hearing = asyncio.ensure_future(hear())
            world.log.commit_s = SLOW_S
            resting = world.asking("POST", "/v1/orders", wish("entry", "limit", limit_price="1"))
            await anyio.sleep(0.1)
            reads = [world.asking("GET", path) for path in READS]
            snapshot = asyncio.ensure_future(world.http.ws_connect("/v1/ws?snapshot=true"))
            await anyio.sleep(SLOW_S - 0.5)

            waiting = [resting, *reads, snapshot]
            assert [task.done() for task in waiting] == [False] * len(waiting)
            assert told == []

            await anyio.sleep(1)
            world.log.commit_s = 0.0005
            assert (await resting)[0] == 201
            listed = {path: await task for path, task in zip(READS, reads, strict=True)}
            assert [one["client_order_id"] for one in listed["/v1/orders"][1]] == ["entry"]
            assert {status for status, _ in listed.values()} == {200}
            await (await snapshot).close()
            hearing.cancel()
        assert [one["event"] for one in told] == ["ORDER_CREATED"]

    play(scenario)


def test_r01_a_fill_that_a_crash_undoes_was_told_to_nobody() -> None:
    """The order is on disk and its fill is not: asked for again after the crash, there is one."""

    async def main() -> None:
        log = CrashableLog()
        async with gateway(log) as world:
            await world.ask("GET", "/v1/quotes/AAPL")
            await anyio.sleep(1)
            await world.enter("held")
            await anyio.sleep(1)
            outputs = world.runtime.engine.outputs

            def slow_from_now_on(command: object) -> None:
                log.commit_s = 100

            outputs.mark_sent = slow_from_now_on
            entry = world.asking("POST", "/v1/orders", wish("entry"))
            await anyio.sleep(1)
            paths = ("/v1/trades", "/v1/positions", "/v1/account", "/v1/orders/history")
            waiting = [entry, *(world.asking("GET", path) for path in paths)]
            (market, _) = await world.ask("GET", "/v1/quotes/AAPL")
            assert market == 200  # a slow disk does not hold up prices
            await anyio.sleep(2)
            assert [task.done() for task in waiting] == [False] * len(waiting)
            assert log.volatile_count
            for task in waiting:
                task.cancel()
            survivor = log.survivor(0, lambda name: None)
            log.die()
        async with gateway(survivor) as world:
            status, _ = await world.enter("entry")
            assert status == 422  # sent once, of which nobody heard; it is not sent again
            _, (entry_now,) = await world.ask("GET", "/v1/orders/history?client_order_id=entry")
            assert (entry_now["status"], entry_now["filled_quantity"]) == ("REJECTED", "0")
            _, (position,) = await world.ask("GET", "/v1/positions")
            assert position["quantity"] == "1"
            _, (held,) = await world.ask("GET", "/v1/orders/history?client_order_id=held")
            _, (trade,) = await world.ask("GET", f"/v1/trades?order_id={held['id']}")
            assert trade["quantity"] == "1"

    run_simulated(main, seed=1, start_ns=START_NS)


def test_r06_requests_that_wait_when_the_journal_fails_are_told_that_it_has() -> None:
    async def scenario(world: World) -> None:
        resting = await world.resting("resting")
        await anyio.sleep(1)  # the resting order's answer is noted
        world.log.commit_s = 10
        waiting = [
            world.asking("POST", "/v1/orders", wish("market")),
            world.asking("POST", "/v1/orders", wish("limit", "limit", limit_price="1")),
            world.asking("PATCH", f"/v1/orders/{resting}", {"limit_price": "2"}),
        ]
        await anyio.sleep(0.2)
        assert not any(task.done() for task in waiting)
        world.log.fail("disk full")
        answers = await asyncio.gather(*waiting)

        assert [status for status, _ in answers] == [503] * 3
        assert {body["code"] for _, body in answers} == {"PROVIDER_UNAVAILABLE"}
        assert (await world.ask("GET", "/v1/trades"))[1] == []
        _, (order,) = await world.ask("GET", "/v1/orders")
        assert (order["id"], order["limit_price"]) == (resting, "1")

    play(scenario)


def test_r06_without_a_journal_nothing_is_begun_and_risk_can_still_be_taken_off() -> None:
    async def scenario(world: World) -> None:
        resting, other = await world.resting("resting"), await world.resting("other")
        assert (await world.enter("held"))[0] == 201
        world.log.fail("disk full")
        await anyio.sleep(1)

        assert (await world.enter("new"))[0] == 503
        assert (await world.enter("far", "limit", limit_price="1"))[0] == 503
        status, _ = await world.ask("PATCH", f"/v1/orders/{resting}", {"limit_price": "2"})
        assert status in (422, 503)
        # What is taken back is, but nobody can promise that it stays so: it cannot be written.
        assert (await world.ask("DELETE", f"/v1/orders/{resting}"))[0] == 503
        _, open_orders = await world.ask("GET", "/v1/orders")
        assert [(one["id"], one["limit_price"]) for one in open_orders] == [(other, "1")]
        assert (await world.ask("DELETE", "/v1/orders"))[0] == 503
        assert (await world.ask("GET", "/v1/orders")) == (200, [])
        assert (await world.ask("DELETE", "/v1/positions"))[0] in (200, 503)
        assert (await world.ask("GET", "/v1/positions")) == (200, [])
        assert len((await world.ask("GET", "/v1/trades"))[1]) == 2

    play(scenario)
