"""Addresses opened and closed in order, and doors that fail alone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from framework.errors import ConfigError
from framework.model.desk import Verb, View
from framework.server import web_sockets
from framework.server.door import Call, DoorContext, Route
from framework.server.keeping import MOST_RESTARTS
from framework.server.links import Links
from framework.server.serving import FINISH_S, LEAVE_S, transport_clock
from framework.settings.server import LimitSettings, ListenerSettings
from framework.simulation.loop import run_simulated
from tests.framework.server.door_stage import (
    NotingDesk,
    NotingDoor,
    Stage,
    hang_up,
    listener,
    secret_of,
    staged,
    token,
)

THING = {"symbol": "binance:BTCUSDT", "quantity": "1.50"}


def play(script: Callable[[Stage], Awaitable[None]], *listeners: Any, **options: Any) -> None:
    async def main() -> None:
        async with staged(*listeners, **options) as stage:
            await script(stage)

    run_simulated(main)


def test_transport_time_is_the_loop_s_which_is_asked_for_once() -> None:
    now_s = transport_clock()

    async def main() -> float:
        began_s = now_s()
        await asyncio.sleep(1.5)
        assert now_s() - began_s == 1.5
        return asyncio.get_running_loop().time()

    assert run_simulated(main) == now_s()  # no loop runs here


def built(*listeners: ListenerSettings, **options: Any) -> Stage:
    async def main() -> Stage:
        return Stage(listeners, **options)

    return run_simulated(main)


# -- building ------------------------------------------------------------------------------------


def test_t02_an_address_that_others_reach_is_not_built() -> None:
    with pytest.raises(ConfigError) as caught:
        built(listener(token("all")), listener(token("all"), listen="0.0.0.0:1"))
    assert caught.value.key == "server[1].listen"


def test_an_open_door_is_not_built_where_orders_are_real() -> None:
    with pytest.raises(ConfigError) as caught:
        built(listener(), is_real=True)
    assert caught.value.key == "server[0].doors[0].tokens"

    with capture_logs() as logs:
        built(listener())
    assert [entry["event"] for entry in logs] == ["door_is_open"]


def test_a_door_gets_its_place_and_an_owner() -> None:
    context = built(listener(token("all"))).door.context

    assert context.key == "server[0].doors[0]"
    assert context.owner.view is View.ACCOUNT
    assert context.owner.verbs == set(Verb)
    assert [place.run for place in context.owner.places] == ["outside", "outside-other"]
    assert (context.version, context.session) == ("1.2.3", "session")


def test_r81_a_door_with_a_route_that_nobody_is_named_for_is_not_built() -> None:
    def make(desk: NotingDesk, context: DoorContext) -> NotingDoor:
        door = NotingDoor(desk, context)
        open_to_all: Any = "everybody"
        door.routes = [Route("GET", "/x", door.answer, open_to_all, {}, "")]
        return door

    with pytest.raises(ConfigError, match="does not say who may use it"):
        built(listener(token("all")), make=make)


def test_a_door_may_widen_what_a_token_allows_by_default() -> None:
    class Wide(NotingDoor):
        default_verbs = frozenset(Verb)

    async def script(stage: Stage) -> None:
        assert (await stage.ask("POST", "/reset"))[0] == 200

    play(script, make=Wide)


# -- opening -------------------------------------------------------------------------------------


def test_every_address_says_where_it_is() -> None:
    async def script(stage: Stage) -> None:
        assert stage.urls[0] == "http://127.0.0.1:8080"
        port = int(stage.urls[1].rpartition(":")[2])
        assert port > 0
        assert stage.urls[2] == "http://[::1]:99"

    play(
        script,
        *(listener(token("all"), listen=one) for one in ("127.0.0.1:8080", "127.0.0.1:0",
                                                         "[::1]:99")),
    )  # fmt: skip


def test_all_addresses_are_opened_or_none() -> None:
    async def main() -> None:
        stage = Stage([listener(token("all")), listener(token("all"))])
        with pytest.raises(ConfigError, match="cannot serve at") as caught:
            await stage.server.start()
        assert caught.value.key == "server[1].listen"

        again = Stage([listener(token("all"))])  # the first one is free again
        assert await again.server.start() == ["http://127.0.0.1:8080"]
        await again.server.stop()

    run_simulated(main)


# -- stopping ------------------------------------------------------------------------------------


def test_stopping_refuses_then_tells_then_finishes_then_closes() -> None:
    async def script(stage: Stage) -> None:
        door, seen = stage.door, []
        answer = {"symbol": "binance:X", "quantity": 1}

        async def leave() -> None:
            door.events.append("leaves")
            seen.append((await stage.ask("POST", "/orders", json=answer))[0])
            seen.append((await stage.ask("GET", "/stream"))[0])
            seen.append((await stage.ask("GET", "/readyz", None))[0])
            asyncio.get_running_loop().call_later(1, door.gate.set)

        door.leave = leave  # type: ignore[method-assign]
        door.gate.clear()
        slow = asyncio.ensure_future(stage.ask("GET", "/orders"))
        await anyio.lowlevel.checkpoint()
        while not door.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

        await stage.server.stop()

        assert door.context.is_stopping()
        assert door.events[-1] == "leaves"
        assert seen == [503, 503, 503]
        assert (await slow)[0] == 200  # it was under way and is answered
        with pytest.raises(OSError):
            await stage.connect()
        await stage.server.stop()  # harmless

    play(script)


def test_ready_until_it_stops() -> None:
    async def script(stage: Stage) -> None:
        assert (await stage.ask("GET", "/readyz", None))[:2] == (
            200,
            {"ready": True, "message": ""},
        )
        assert not stage.server.is_stopping()

    play(script)


def test_doors_and_requests_that_never_end_are_left_behind_in_bounded_time() -> None:
    async def script(stage: Stage) -> None:
        loop = asyncio.get_running_loop()

        async def leave() -> None:
            await asyncio.Event().wait()

        stage.door.leave = leave  # type: ignore[method-assign]
        stage.door.gate.clear()
        asking = asyncio.ensure_future(stage.ask("GET", "/orders"))
        while not stage.door.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        began_s = loop.time()

        with capture_logs() as logs:
            await stage.server.stop()

        assert "streams_left_behind" in [entry["event"] for entry in logs]
        assert loop.time() - began_s <= LEAVE_S + 2 * FINISH_S + 1
        with pytest.raises(OSError):
            await asking

    play(script)


def test_a_door_that_fails_to_leave_does_not_keep_the_others() -> None:
    async def script(stage: Stage) -> None:
        async def leave() -> None:
            raise ValueError("no")

        first, second = stage.server.doors
        first.leave = leave  # type: ignore[method-assign]
        with capture_logs() as logs:
            await stage.server.stop()

        assert "door_did_not_leave" in [entry["event"] for entry in logs]
        assert "leaves" in second.events  # type: ignore[attr-defined]

    play(script, listener(token("all")), listener(token("all"), listen="127.0.0.1:1"))


# -- T-07: a door that fails ---------------------------------------------------------------------


def test_t07_a_door_that_fails_is_answered_for_and_started_again() -> None:
    async def script(stage: Stage) -> None:
        first, second = stage.server.doors
        await asyncio.sleep(0.5)
        assert (await stage.ask("POST", "/orders", json=THING))[0] == 503
        assert (await stage.ask("GET", "/time", None))[0] == 200  # open to everybody: a probe
        assert stage.server.statistics()[0]["failed_doors"] == ["noting"]
        _, health, _ = await stage.ask("GET", "/health")
        assert health["status"] == "degraded"
        assert second.events == ["runs"]  # type: ignore[attr-defined]

        await asyncio.sleep(1)
        assert (await stage.ask("POST", "/orders", json=THING))[0] == 201
        assert first.events == ["runs", "runs"]  # type: ignore[attr-defined]

    failures: list[list[Exception]] = [[ValueError("once")], []]

    def make(desk: NotingDesk, context: DoorContext) -> NotingDoor:
        door = NotingDoor(desk, context)
        door.failures = failures.pop(0)
        return door

    both = (listener(token("all")), listener(token("all"), listen="127.0.0.1:1"))
    with capture_logs() as logs:
        play(script, *both, make=make)
    assert {"door_failed", "door_restarts"} <= {entry["event"] for entry in logs}


def test_t07_a_door_that_fails_for_ever_is_left_dead() -> None:
    async def script(stage: Stage) -> None:
        with capture_logs() as logs:
            await asyncio.sleep(3_600)

        assert stage.door.events == ["runs"] * (MOST_RESTARTS + 1)
        assert "door_left_dead" in [entry["event"] for entry in logs]
        assert (await stage.ask("POST", "/orders", json=THING))[0] == 503

    def make(desk: NotingDesk, context: DoorContext) -> NotingDoor:
        door = NotingDoor(desk, context)
        door.failures = [ValueError("again")] * 100
        return door

    play(script, make=make)


def test_t07_with_a_door_down_risk_can_be_seen_and_reduced_but_not_added() -> None:
    async def script(stage: Stage) -> None:
        await asyncio.sleep(0.5)
        assert (await stage.ask("GET", "/orders"))[0] == 200
        assert (await stage.ask("DELETE", "/orders/main-1"))[0] == 200
        assert stage.desk.done == [("all", "cancel main-1")]
        refused = ("POST", "/orders"), ("GET", "/prices/X"), ("POST", "/reset"), ("GET", "/stream")
        for method, path in refused:
            status, _, headers = await stage.ask(method, path, json=THING)
            assert (status, headers["Retry-After"]) == (503, "1")
        assert (await stage.ask("DELETE", "/orders/main-1", "reader"))[0] == 403

    def make(desk: NotingDesk, context: DoorContext) -> NotingDoor:
        door = NotingDoor(desk, context)
        door.failures = [ValueError("again")] * 100
        return door

    tokens = token("all", verbs=list(Verb)), token("reader", verbs=[Verb.READ])
    play(script, listener(*tokens), make=make)


def test_failures_far_apart_are_not_added_up() -> None:
    class Rarely(NotingDoor):
        async def run(self) -> None:
            self.events.append("runs")
            await asyncio.sleep(400)
            raise ValueError("now and then")

    async def script(stage: Stage) -> None:
        await asyncio.sleep(401 * 10)
        assert len(stage.door.events) == 10

    play(script, make=Rarely)


def test_a_door_that_waits_for_its_restart_does_not_keep_the_server() -> None:
    async def script(stage: Stage) -> None:
        await asyncio.sleep(0.1)
        began_s = asyncio.get_running_loop().time()
        await stage.server.stop()
        assert asyncio.get_running_loop().time() - began_s < 0.5

    def make(desk: NotingDesk, context: DoorContext) -> NotingDoor:
        door = NotingDoor(desk, context)
        door.failures = [ValueError("once")]
        return door

    play(script, make=make)


def test_a_door_with_nothing_to_do_works() -> None:
    class Idle(NotingDoor):
        async def run(self) -> None:
            pass

    async def script(stage: Stage) -> None:
        assert (await stage.ask("GET", "/orders"))[0] == 200

    play(script, make=Idle)


# -- tokens, pacers, figures ---------------------------------------------------------------------


def test_a_token_is_revoked_at_every_door_that_has_it() -> None:
    async def script(stage: Stage) -> None:
        assert (await stage.ask("GET", "/orders"))[0] == 200
        stage.server.revoke("all")
        assert (await stage.ask("GET", "/orders"))[0] == 401
        with pytest.raises(LookupError):
            stage.server.revoke("nobody")

    play(script)


def test_pacers_are_those_of_the_doors_that_have_one() -> None:
    class Paced(NotingDoor):
        pacer: Any = "a pacer"

    paced: list[Any] = built(listener(token("all")), make=Paced).server.pacers
    assert paced == ["a pacer"]
    assert built(listener(token("all"))).server.pacers == []


def test_the_figures_of_an_address() -> None:
    async def script(stage: Stage) -> None:
        await stage.ask("GET", "/orders")
        await stage.ask("GET", "/nothing")

        assert stage.server.statistics() == [
            {
                "listen": "127.0.0.1:8080",
                "answered": 2,
                "running": 0,
                "refused": {"no_route": 1},
                "connections": 1,
                "turned_away": 0,
                "cut": 0,
                "failed_doors": [],
            }
        ]

    play(script)
    assert built(listener(token("all"))).server.statistics()[0]["connections"] == 0


# -- connections ---------------------------------------------------------------------------------


def test_r83_a_connection_that_says_nothing_is_cut() -> None:
    async def script(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        reader, writer = await stage.connect()
        assert await reader.read() == b""
        assert 5 <= loop.time() - began_s < 5.1
        await hang_up(writer)
        assert stage.server.statistics()[0]["cut"] == 1

    play(script)


def test_r83_a_head_that_comes_drop_by_drop_is_cut() -> None:
    async def script(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        reader, writer = await stage.connect()

        async def drip() -> None:
            for byte in b"GET /time HTTP/1.1\r\nHost: localhost\r\n":
                writer.write(bytes([byte]))
                await asyncio.sleep(1)

        dripping = asyncio.ensure_future(drip())
        assert await reader.read() == b""
        assert 5 <= loop.time() - began_s < 5.1
        dripping.cancel()
        await hang_up(writer)

    play(script)


def test_a_later_request_has_the_same_time_and_an_idle_connection_is_left_alone() -> None:
    async def script(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await stage.connect()
        request = b"GET /time HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for _ in range(2):
            writer.write(request)
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(20)
        other_reader, other_writer = await stage.connect()
        writer.write(request[:10])
        began_s = loop.time()
        assert await reader.read() == b""
        assert 4.9 < loop.time() - began_s < 5.1
        assert await other_reader.read() == b""
        await hang_up(writer)
        await hang_up(other_writer)

    play(script)


def test_r84_a_head_that_does_not_end_is_cut() -> None:
    async def script(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write(b"GET /time HTTP/1.1\r\n")
        for number in range(100):
            writer.write(f"X-{number}: {'x' * 500}\r\n".encode())
            await asyncio.sleep(0.001)
        with suppress(ConnectionResetError):  # what it sent last met a closed connection
            assert await reader.read() == b""
        await hang_up(writer)
        assert stage.server.statistics()[0]["cut"] == 1

    play(script)


def test_r84_connections_are_limited() -> None:
    async def script(stage: Stage) -> None:
        held = [await stage.connect() for _ in range(2)]
        answer = await stage.raw(b"GET /time HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503")
        assert stage.server.statistics()[0]["turned_away"] == 1

        await hang_up(held[0][1])
        await asyncio.sleep(0.1)
        answer = await stage.raw(b"GET /time HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        await hang_up(held[1][1])

    play(script, listener(token("all"), limits=LimitSettings(connections=2)))


def test_requests_one_behind_the_other_are_answered_in_order() -> None:
    async def script(stage: Stage) -> None:
        reader, writer = await stage.connect()
        for name in "abc":
            writer.write(
                f"GET /prices/{name} HTTP/1.1\r\nHost: localhost\r\n"
                f"X-API-Key: {secret_of('all')}\r\n\r\n".encode()
            )
        for _ in "abc":
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        assert [call.path["symbol"] for call in stage.door.calls] == ["a", "b", "c"]
        await hang_up(writer)

    play(script)


def test_r83_who_has_no_token_does_not_keep_the_connection() -> None:
    async def script(stage: Stage) -> None:
        reader, writer = await stage.connect()
        writer.write(b"GET /orders HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"Connection: close" in answer
        await hang_up(writer)

    play(script)


def test_a_web_socket_of_a_door_is_opened_with_a_token_and_lives_on() -> None:
    class Streaming(NotingDoor):
        def __init__(self, desk: NotingDesk, context: DoorContext) -> None:
            super().__init__(desk, context)
            self.links = Links(context.limits, name="noting")
            stream = Route(
                "GET", "/ws", self.open, Verb.MARKET, {}, "a stream", has_own_reader=True
            )
            self.routes = [*self.routes, stream]

        async def open(self, call: Call) -> web.StreamResponse:
            return await web_sockets.serve(
                call,
                self.links,
                on_open=lambda link: link.send(b"welcome"),
                on_text=lambda link, text: link.send(text.encode()),
                on_close=lambda link: self.events.append("closed"),
            )

        async def leave(self) -> None:
            await self.links.close_all(1001, "bye", 1)

    async def script(stage: Stage) -> None:
        url = f"{stage.urls[0]}/ws"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await stage.session.ws_connect(url)
        assert (await stage.ask("GET", "/ws"))[0] == 400  # no handshake

        headers = {"X-API-Key": secret_of("all"), "X-Correlation-ID": "mark"}
        async with stage.session.ws_connect(url, headers=headers) as link:
            assert (await link.receive()).data == "welcome"
            await asyncio.sleep(10)  # longer than a head may take
            await link.send_str("still here")
            assert (await link.receive()).data == "still here"
            assert stage.server.statistics()[0]["running"] == 0  # it is no request
            stopping = asyncio.ensure_future(stage.server.stop())
            assert (await link.receive()).type is aiohttp.WSMsgType.CLOSE
            assert link.close_code == 1001
        await stopping
        assert stage.door.events[-1] == "closed"

    play(script, make=Streaming)


def test_an_upgraded_connection_has_no_heads_any_more() -> None:
    async def script(stage: Stage) -> None:
        gate = asyncio.Event()

        async def upgrade(call: Any) -> web.StreamResponse:
            response = web.WebSocketResponse()
            await response.prepare(call.request)
            message = await response.receive(30)
            await response.send_str(message.data)
            await gate.wait()
            return response

        for endpoint in stage.server._addresses[0].application.router.endpoints:
            if endpoint.is_stream:
                endpoint.route = Route(
                    "GET", "/stream", upgrade, Verb.MARKET, {}, "", has_own_reader=True
                )
        headers = {"X-API-Key": secret_of("all")}
        async with stage.session.ws_connect(f"{stage.urls[0]}/stream", headers=headers) as socket:
            await asyncio.sleep(20)
            await socket.send_str("still here")
            assert (await socket.receive()).data == "still here"
            gate.set()

    play(script)
