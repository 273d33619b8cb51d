"""The streams over WebSocket: handshakes, pings, ends, and the control interface over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import WSMsgType, web

from adapters.kalshi.simulated.auth import KEY, AuthMode, Gatekeeper
from adapters.kalshi.simulated.control_http import control_routes
from adapters.kalshi.simulated.faults import (
    Abort,
    Close,
    Flood,
    HalfOpen,
    Inject,
    RefuseHandshakes,
)
from adapters.kalshi.simulated.frames import Binary, Frame, Ping
from adapters.kalshi.simulated.stream_settings import Overflow, StreamSettings
from adapters.kalshi.simulated.streams import PATH, StreamServer, packed
from adapters.kalshi.simulated.tcp_reset import reset
from framework.clock.clock import LiveClock
from framework.interfaces import Clock, TimerHandle
from framework.net.connectors import open_connector
from framework.net.listening import Listener, listen
from framework.simulation.loop import SimulatedLoop, run_simulated
from tests.adapters.kalshi.simulated.stream_rig import BOS, START_NS, HandExchange, Message
from tests.broker.rig import simulated_loop

ADDRESS = ("kalshi", 8000)
BOOKS = "orderbook_delta"
TRIES = 2  # aiohttp's client tries once more when a server hangs up on it


class LoopTime:
    """Market time that is the simulated loop's, timers included."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    @property
    def now_ns(self) -> int:
        """Nanoseconds UTC."""
        return self._loop.now_ns

    def call_at(self, time_ns: int, callback: Callable[[], None]) -> TimerHandle:
        """Set a timer of the loop."""
        return self._loop.call_at_ns(time_ns, callback)


class Venue:
    """Streams that listen, and a client of them."""

    def __init__(
        self, server: StreamServer, exchange: HandExchange, url: str, http: aiohttp.ClientSession
    ) -> None:
        self.server = server
        self.control = server.control
        self.exchange = exchange
        self.url = url
        self.http = http

    def connect(self, **options: Any) -> Any:
        """Open a WebSocket that leaves pings to the test unless it says otherwise."""
        return self.http.ws_connect(self.url + PATH, **{"autoping": False, **options})


@asynccontextmanager
async def serving(
    clock: Clock,
    address: tuple[str, int] = ADDRESS,
    *,
    mode: AuthMode = AuthMode.OFF,
    **settings: Any,
) -> AsyncIterator[Venue]:
    """Serve streams and their control interface until the block ends."""
    exchange = HandExchange(clock)
    gatekeeper = Gatekeeper({}, mode=mode)
    server = StreamServer(exchange, clock, Random(1), StreamSettings(**settings), gatekeeper)
    app = web.Application()
    app.router.add_get(PATH, server.handle)
    app.router.add_routes(control_routes(server.control))
    listener: Listener = await listen(app, *address)
    try:
        async with aiohttp.ClientSession(connector=open_connector()) as http:
            url = f"http://{listener.host}:{listener.port}"
            yield Venue(server, exchange, url, http)
    finally:
        await server.aclose()
        await listener.aclose()


def simulated(
    play: Callable[[Venue], Awaitable[None]], *, mode: AuthMode = AuthMode.OFF, **settings: Any
) -> None:
    """Play with a venue on the simulated network."""

    async def main() -> None:
        async with serving(LoopTime(simulated_loop()), mode=mode, **settings) as venue:
            await play(venue)

    run_simulated(main, start_ns=START_NS)


async def say(socket: Any, cmd: str, number: int = 1, **params: Any) -> None:
    """Send a command."""
    command = {"id": number, "cmd": cmd, "params": params}
    await socket.send_str(msgspec.json.encode(command).decode())


async def hear(socket: Any, count: int) -> list[Message]:
    """Return the next text frames, past pings."""
    heard: list[Message] = []
    async with asyncio.timeout(20):
        while len(heard) < count:
            message = await socket.receive()
            if message.type is not WSMsgType.PING:
                assert message.type is WSMsgType.TEXT, message
                heard.append(msgspec.json.decode(message.data))
    return heard


async def rest(seconds: float) -> None:
    """Let virtual time pass."""
    loop = simulated_loop()
    await loop.sleep_until(loop.now_ns + round(seconds * 1e9))


def test_a_client_subscribes_and_hears_the_book() -> None:
    """S3, S19, over the network."""

    async def play(venue: Venue) -> None:
        venue.exchange.change(BOS, "yes", 3600, 5500)
        async with venue.connect() as socket:
            await say(socket, "subscribe", channels=[BOOKS], market_ticker=BOS)
            assert [m["type"] for m in await hear(socket, 2)] == [
                "subscribed",
                "orderbook_snapshot",
            ]
            for _ in range(1000):
                venue.exchange.change(BOS, "yes", 3600, 100)
            deltas = await hear(socket, 1000)
            assert [m["seq"] for m in deltas] == list(range(2, 1002))
            await socket.send_bytes(b"\x00")
            assert (await hear(socket, 1))[0]["msg"]["code"] == 1
        await rest(1)
        assert venue.control.connections() == []

    simulated(play)


def test_the_handshake_is_refused_without_a_signature() -> None:
    """S2: HTTP 401 with the venue's body, before the upgrade."""

    async def play(venue: Venue) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await venue.connect()
        assert refusal.value.status == 401
        async with venue.http.get(venue.url + PATH) as response:
            body = await response.json()
        assert body["error"]["code"] == "authentication_error"
        assert body["error"]["details"]

    simulated(play, mode=AuthMode.REQUIRE)


def test_an_anonymous_socket_hears_public_channels_only() -> None:
    """S2."""

    async def play(venue: Venue) -> None:
        async with venue.connect() as socket:
            await say(socket, "subscribe", channels=["fill", "trade"])
            refused, taken = await hear(socket, 2)
            assert refused["msg"]["code"] == 9
            assert taken["type"] == "subscribed"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await venue.connect(headers={KEY: "unknown"})

    simulated(play, mode=AuthMode.OPTIONAL)


def test_pings_go_both_ways() -> None:
    """S12."""

    async def play(venue: Venue) -> None:
        async with venue.connect() as socket:
            message = await socket.receive()
            assert (message.type, message.data) == (WSMsgType.PING, b"heartbeat")
            await socket.pong(message.data)
            await socket.ping(b"and you")
            message = await socket.receive()
            assert (message.type, message.data) == (WSMsgType.PONG, b"and you")
            assert venue.control.connections()[0].pongs == 1

    simulated(play)


def test_a_peer_that_answers_no_ping_is_cut() -> None:
    """S12."""

    async def play(venue: Venue) -> None:
        loop = simulated_loop()
        async with venue.connect() as socket:
            assert (await socket.receive()).type is WSMsgType.PING
            assert (await socket.receive()).type in (WSMsgType.CLOSED, WSMsgType.ERROR)
            assert 14.9 < loop.time() < 15.2

    simulated(play, pong_s=5)


def test_every_kind_of_frame_arrives() -> None:
    """S14: also in one batch with others."""

    async def play(venue: Venue) -> None:
        async with venue.connect() as socket:
            await rest(0.1)
            for fault in (Inject(binary=b"\x01" * 70_000), Inject(text="x" * 300), Inject(text="")):
                venue.control.inject(fault)
            sizes = [(m.type, len(m.data)) for m in [await socket.receive() for _ in range(3)]]
            assert sizes == [
                (WSMsgType.BINARY, 70_000),
                (WSMsgType.TEXT, 300),
                (WSMsgType.BINARY, 0),
            ]

    simulated(play)


def test_the_venue_closes_with_a_code_after_what_is_queued() -> None:
    """S14."""

    async def play(venue: Venue) -> None:
        async with venue.connect() as socket:
            await rest(0.1)
            venue.control.inject(Inject(text='{"type":"last"}'))
            venue.control.inject(Close(code=4003, reason="enough"))
            assert await hear(socket, 1) == [{"type": "last"}]
            message = await socket.receive()
            assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4003, "enough")
        await rest(1)
        assert venue.control.connections() == []

    simulated(play)


def test_the_venue_cuts_the_connection() -> None:
    """S14: no close frame; what is queued is lost."""

    async def play(venue: Venue) -> None:
        async with venue.connect() as socket:
            await rest(0.1)
            venue.control.inject(Inject(text='{"type":"last"}'))
            venue.control.inject(Abort())
            message = await socket.receive()
            assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)
            assert socket.close_code in (None, 1006)
        await rest(1)
        assert venue.control.connections() == []

    simulated(play)


def test_a_half_open_connection_stays_open_and_mute() -> None:
    """S14: neither data nor pings nor pongs, and no end; the client must notice by itself."""

    async def play(venue: Venue) -> None:
        async with venue.connect() as socket:
            await say(socket, "subscribe", channels=[BOOKS], market_ticker=BOS)
            await hear(socket, 2)
            venue.control.inject(HalfOpen())
            venue.exchange.change(BOS, "yes", 3600, 100)
            await socket.ping()
            with pytest.raises(TimeoutError):
                await socket.receive(timeout=120)
            assert len(venue.control.connections()) == 1
        await rest(1)
        assert venue.control.connections() == []

    simulated(play)


@pytest.mark.parametrize("status", [401, 429, 503])
def test_handshakes_are_refused_for_a_time(status: int) -> None:
    """S14."""

    async def play(venue: Venue) -> None:
        venue.control.inject(RefuseHandshakes(answer=status, for_s=3))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await venue.connect()
        assert refusal.value.status == status
        await rest(3)
        async with venue.connect() as socket:
            await say(socket, "list_subscriptions")
            assert (await hear(socket, 1))[0]["type"] == "ok"

    simulated(play)


def test_handshakes_are_reset() -> None:
    """S14."""

    async def play(venue: Venue) -> None:
        venue.control.inject(RefuseHandshakes(answer="reset", count=TRIES))
        with pytest.raises(aiohttp.ClientError):
            await venue.connect()
        await (await venue.connect()).close()

    simulated(play)


def test_handshakes_hang_until_time_is_up_or_all_is_healed() -> None:
    """S14."""

    async def play(venue: Venue) -> None:
        loop = simulated_loop()
        venue.control.inject(RefuseHandshakes(answer="hang", hang_s=7))
        with pytest.raises(aiohttp.ClientError):
            await venue.connect()
        assert 7 * TRIES <= loop.time() < 7 * TRIES + 1
        venue.control.heal()
        venue.control.inject(RefuseHandshakes(answer="hang", count=TRIES))
        loop.call_later(2, venue.control.heal)
        await (await venue.connect()).close()
        assert loop.time() < 7 * TRIES + 3

    simulated(play)


def test_a_client_that_leaves_is_forgotten() -> None:
    """Also when it is cut in the middle of a flood."""

    async def play(venue: Venue) -> None:
        socket = await venue.connect()
        await say(socket, "subscribe", channels=[BOOKS], market_ticker=BOS)
        await hear(socket, 2)
        venue.control.inject(Flood(frames=5000))
        socket._response.connection.transport.abort()
        await rest(1)
        venue.exchange.change(BOS, "yes", 3600, 100)
        assert venue.control.connections() == []
        assert venue.control.subscriptions() == []

    simulated(play)


def test_a_reader_that_stops_overflows_and_others_do_not_notice() -> None:
    """S14, S20: error 25 comes after what was queued, once the peer reads again."""

    async def play(venue: Venue) -> None:
        async with venue.connect(max_msg_size=0) as slow, venue.connect() as quick:
            for socket in (slow, quick):
                await say(socket, "subscribe", channels=[BOOKS], market_ticker=BOS)
                await hear(socket, 2)
            slow._response.connection.transport.pause_reading()
            for _ in range(40):
                for _ in range(100):
                    venue.exchange.change(BOS, "yes", 3600, 100)
                assert len(await hear(quick, 100)) == 100
            assert [c.overflows for c in venue.control.connections()] == [1, 0]
            slow._response.connection.transport.resume_reading()
            numbers, message = [], (await hear(slow, 1))[0]
            while message["type"] == "orderbook_delta":
                numbers.append(message["seq"])
                message = (await hear(slow, 1))[0]
            assert message["msg"]["code"] == 25
            assert numbers == list(range(2, 2 + len(numbers)))

    simulated(play, outbox_frames=500)


@pytest.mark.parametrize("cut", ["overflow", "fault", "pong"])
def test_a_reader_that_stops_can_still_be_cut(cut: str) -> None:
    """S14, S12: at once, though the venue is waiting for it to read."""
    settings: dict[str, Any] = {"ping_s": 1, "pong_s": 2} if cut == "pong" else {"ping_s": 0}
    settings["outbox_frames"] = 500 if cut == "overflow" else 9999

    async def play(venue: Venue) -> None:
        async with venue.connect() as socket:
            await say(socket, "subscribe", channels=[BOOKS], market_ticker=BOS)
            await hear(socket, 2)
            socket._response.connection.transport.pause_reading()
            for _ in range(100):
                for _ in range(40):
                    venue.exchange.change(BOS, "yes", 3600, 100)
                await rest(0.001)
            if cut == "fault":
                venue.control.inject(Abort())
            await rest(5)
            assert venue.control.connections() == []

    simulated(play, overflow=Overflow.CUT, **settings)


def test_a_close_meets_a_peer_that_has_just_left() -> None:
    async def play(venue: Venue) -> None:
        socket = await venue.connect()
        await rest(0.1)
        venue.control.inject(Close())
        socket._response.connection.transport.abort()
        await rest(20)
        assert venue.control.connections() == []

    simulated(play)


def test_there_may_be_nothing_left_to_reset() -> None:
    reset(None)


def test_closing_the_server_says_goodbye() -> None:
    async def play(venue: Venue) -> None:
        async with venue.connect() as socket:
            await rest(0.1)
            await venue.server.aclose()
            message = await socket.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)

    simulated(play)


def test_frames_have_the_header_their_size_needs() -> None:
    def head(size: int) -> bytes:
        return packed(Frame(b"x" * size, "injected"))[:-size]

    assert head(125) == b"\x81\x7d"
    assert head(126) == b"\x81\x7e\x00\x7e"
    assert head(65_535) == b"\x81\x7e\xff\xff"
    assert head(65_536) == b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"
    assert packed(Ping(b"a")) == b"\x89\x01a"
    assert packed(Binary(b"")) == b"\x82\x00"


def test_the_control_interface_over_http() -> None:
    """S15: what the object can do, with JSON."""

    async def play(venue: Venue) -> None:
        async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
            url = f"{venue.url}/control/{path}"
            async with venue.http.request(method, url, json=body) as response:
                return response.status, await response.json()

        venue.exchange.change(BOS, "no", 6100, 100)
        async with venue.connect() as socket:
            await say(socket, "subscribe", channels=[BOOKS], market_ticker=BOS)
            await hear(socket, 2)
            assert (await ask("GET", "connections"))[1][0]["account"] == "main"
            assert (await ask("GET", "subscriptions?connection=1"))[1][0]["seq"] == 1
            assert (await ask("GET", "subscriptions?connection=2"))[1] == []
            assert (await ask("GET", "commands?cmd=subscribe"))[1][0]["id"] == 1
            assert (await ask("GET", f"books/{BOS}"))[1]["no"] == [[6100, 100]]
            assert (await ask("GET", "books/NOWHERE"))[0] == 404
            assert (await ask("GET", "statistics"))[1]["commands"] == 1

            assert await ask("POST", "faults", {"kind": "lose", "count": 2}) == (200, {"number": 1})
            for _ in range(3):
                venue.exchange.change(BOS, "yes", 3600, 100)
            assert [m["seq"] for m in await hear(socket, 1)] == [4]
            assert await ask("POST", "faults", {"kind": "swap"}) == (200, {"number": 2})
            assert [f["number"] for f in (await ask("GET", "faults"))[1]] == [2]
            assert (await ask("DELETE", "faults/2"))[0] == 200
            assert (await ask("DELETE", "faults/2"))[0] == 404
            assert (await ask("PUT", "rates", {"drop_rate": 0.5}))[1]["drop_rate"] == 0.5
            assert (await ask("DELETE", "faults"))[0] == 200
            assert (await ask("GET", "rates"))[1]["drop_rate"] == 0

            for method, path, body in (
                ("POST", "faults", {"kind": "sabotage"}),
                ("POST", "faults", {"kind": "lose", "typo": 1}),
                ("POST", "faults", {"kind": "lose", "count": -1}),
                ("PUT", "rates", {"drop_rate": 3}),
                ("GET", "commands?connection=one", None),
            ):
                status, answer = await ask(method, path, body)
                assert (status, list(answer)) == (400, ["error"])

    simulated(play)


@pytest.mark.socket
def test_the_streams_over_real_sockets() -> None:
    """S1, S12, S14: subscribe, ping, reset and a refused handshake on loopback."""

    async def main() -> None:
        clock = LiveClock()
        clock.start()
        try:
            async with serving(clock, ("127.0.0.1", 0), ping_s=0.05) as venue, asyncio.timeout(10):
                async with venue.connect() as socket:
                    await say(socket, "subscribe", channels=[BOOKS], market_ticker=BOS)
                    await hear(socket, 2)
                    for _ in range(500):
                        venue.exchange.change(BOS, "yes", 3600, 100)
                    heard = await hear(socket, 500)
                    assert [m["seq"] for m in heard] == list(range(2, 502))
                    message = await socket.receive()
                    assert (message.type, message.data) == (WSMsgType.PING, b"heartbeat")
                    venue.control.inject(Abort())
                    while message.type is WSMsgType.PING:
                        message = await socket.receive()
                    assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)
                venue.control.inject(RefuseHandshakes(answer="reset", count=TRIES))
                with pytest.raises(aiohttp.ClientError):
                    await venue.connect()
                await (await venue.connect()).close()
        finally:
            clock.stop()

    asyncio.run(main())
