"""One contract for both transports, over loopback, on uvloop and asyncio's loop."""

import asyncio
import base64
import hashlib
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
import uvloop
from aiohttp import web
from structlog.testing import capture_logs

from framework.errors import ConfigError, NotSent, VenueUnavailable
from framework.model.events import ConnectionChanged, ConnectionState
from framework.net.link import Endpoint, Link, LinkOptions
from framework.net.link_options import TransportName
from framework.net.web_socket import CUT
from tests.adapters.mock.seams import HandContext
from tests.framework.net.web_socket_venue import Bench, Recorder, Venue, bench

HOST = "127.0.0.1"
TRANSPORTS: list[TransportName] = ["aiohttp", "picows"]
LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}

pytestmark = pytest.mark.socket
Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> TransportName:
    if request.param == "picows" and find_spec("picows") is None:
        pytest.skip("picows is not installed (extra `fast`)")
    name: TransportName = request.param
    return name


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test on one of the loops."""

    def call(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main())

    return call


def served(
    venue: Venue, transport: TransportName, *, recorder: Recorder | None = None, **options: Any
) -> Any:
    chosen = LinkOptions(transport=transport, floor_s=0.01, base_s=0.02, cap_s=0.05, **options)
    return bench(venue, chosen, recorder=recorder, host=HOST, port=0)


class RawVenue:
    """Answers the upgrade and sends bytes as they are: with the answer, or when they are read."""

    def __init__(self, data: bytes, *, is_late: bool = False) -> None:
        self.data = data
        self.is_late = is_late
        self.received = bytearray()
        self.has_answered = asyncio.Event()
        self.is_gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        key = {name.lower(): value for name, value in fields.items()}[b"sec-websocket-key"]
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        if self.is_late:
            writer.write(answer)
            await asyncio.sleep(0.03)
            writer.write(self.data)
        else:
            writer.write(answer + self.data)
        self.has_answered.set()
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                self.received += data
        self.is_gone.set()
        writer.close()


@asynccontextmanager
async def raw(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    transport: TransportName,
    *,
    recorder: Recorder | None = None,
    **options: Any,
) -> AsyncIterator[Bench]:
    """Run a link to a server of bytes; it makes one attempt, unless told otherwise."""
    serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving[task] = writer
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)

    server = await asyncio.start_server(accept, HOST, 0)
    venue = Venue()
    venue.url = f"ws://{HOST}:{server.sockets[0].getsockname()[1]}/feed"
    chosen = LinkOptions(transport=transport, **{"most_attempts": 1, "close_s": 0.05, **options})
    recorder = recorder or Recorder()
    recorder.streams_when_open = False
    made = Bench(venue, chosen, recorder, HandContext())
    made.running = asyncio.create_task(made.link.run())
    try:
        yield made
    finally:
        made.running.cancel()
        await asyncio.wait([made.running])
        server.close()
        for writer in serving.values():
            writer.transport.abort()
        if serving:
            await asyncio.wait(serving)


def frame(opcode: int, data: bytes, *, final: bool = True) -> bytes:
    size = len(data)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return bytes([opcode | (0x80 if final else 0)]) + length + data


TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def test_frames_of_every_kind_pass_both_ways(transport: TransportName, run: Run) -> None:
    """K59"""

    async def serve(socket: web.WebSocketResponse) -> None:
        await socket.send_str("é" * 10)
        await socket.send_bytes(b"\x00\xff")
        await socket.ping(b"heartbeat")
        await socket.send_str("x" * 300_000)
        await venue.collect(socket)

    venue = Venue(serve)

    async def main() -> None:
        async with served(venue, transport, ping_s=0.1) as made:
            await made.until(lambda: len(made.recorder.texts) == 2)
            assert made.link.send("text")
            assert made.link.send(b"bytes")
            assert made.link.send("z" * 100_000)
            await made.until(lambda: len(venue.received) == 3)
            await made.until(lambda: made.link.statistics()["pongs"])
            await made.link.aclose()
            await made.until(lambda: venue.close_codes)

        assert made.recorder.texts == ["é".encode() * 10, b"x" * 300_000]
        assert ("binary", b"\x00\xff") in made.recorder.heard
        assert ("ping", b"heartbeat") in made.recorder.heard
        assert venue.received == ["text", "bytes", "z" * 100_000]
        assert venue.close_codes == [1000]
        assert made.recorder.lost == ["closed"]

    run(main)


def test_frames_sent_with_the_answer_arrive_after_on_open(
    transport: TransportName, run: Run
) -> None:
    async def main() -> None:
        venue = RawVenue(
            frame(TEXT, b"first") + frame(BINARY, b"second") + frame(PING, b"p") + frame(PONG, b"")
        )
        async with raw(venue.serve, transport) as made:
            await made.until(lambda: made.link.statistics()["pongs"])

            assert made.recorder.texts == [b"first"]
            assert made.recorder.heard[2:] == [("open",), ("binary", b"second"), ("ping", b"p")]
            await made.until(lambda: venue.received)
            assert venue.received[0] == 0x80 | PONG

    run(main)


@pytest.mark.parametrize("is_late", [False, True])
def test_r47_messages_in_parts_are_put_together(
    transport: TransportName, run: Run, is_late: bool
) -> None:
    async def main() -> None:
        venue = RawVenue(
            frame(TEXT, b"a", final=False)
            + frame(PING, b"between")
            + frame(CONTINUATION, b"b", final=False)
            + frame(CONTINUATION, b"c")
            + frame(BINARY, b"", final=False)
            + frame(CONTINUATION, b"")
            + frame(TEXT, b"d"),
            is_late=is_late,
        )
        async with raw(venue.serve, transport) as made:
            await made.until(lambda: len(made.recorder.texts) == 2)

            assert made.recorder.texts == [b"abc", b"d"]
            assert made.recorder.heard[3:] == [("ping", b"between"), ("binary", b"")]

    run(main)


def test_r47_one_byte_segments_give_the_same(transport: TransportName, run: Run) -> None:
    data = (
        frame(TEXT, b"a" * 200)
        + frame(TEXT, b"b", final=False)
        + frame(CONTINUATION, b"c")
        + frame(PING, b"p")
        + frame(BINARY, b"d")
    )

    async def main() -> None:
        venue = RawVenue(b"")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.get_extra_info("socket").setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
            serving = asyncio.create_task(venue.serve(reader, writer))
            await venue.has_answered.wait()
            await asyncio.sleep(0.05)
            for position in range(len(data)):
                writer.write(data[position : position + 1])
                await asyncio.sleep(0)
            await serving

        async with raw(serve, transport) as made:
            await made.until(lambda: made.link.statistics()["binaries"])

            assert made.recorder.texts == [b"a" * 200, b"bc"]
            assert made.recorder.heard[3:] == [("ping", b"p"), ("binary", b"d")]

    run(main)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(
    "end",
    [frame(CLOSE, b"\x03\xe8"), frame(CONTINUATION, b"of nothing"), frame(3, b""), b""],
    ids=["close", "out of order", "unknown", "nothing"],
)
def test_a_burst_arrives_whole_and_no_turn_takes_it_all(
    transport: TransportName, run: Run, is_late: bool, end: bytes
) -> None:
    kinds = [TEXT, TEXT, BINARY, PING]
    data = b"".join(frame(kinds[number % 4], str(number).encode()) for number in range(4_000))

    class Turned(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self.order: list[int] = []
            self.turn_counts: list[int] = [0]

        def count_turns(self) -> None:
            self.turn_counts.append(0)
            if not self.lost:
                asyncio.get_running_loop().call_soon(self.count_turns)

        def note(self, data: bytes | str) -> None:
            self.order.append(int(data))
            self.turn_counts[-1] += 1

        def on_open(self) -> None:
            self.count_turns()

        on_text = on_binary = on_ping = note

    async def main() -> None:
        recorder, venue = Turned(), RawVenue(data + end, is_late=is_late)
        async with raw(venue.serve, transport, recorder=recorder) as made:
            await made.until(lambda: len(recorder.order) == 4_000)
            if end:
                await made.until(lambda: recorder.lost)
            assert recorder.order == list(range(4_000))
            assert max(recorder.turn_counts) <= 256
            recorder.lost.append("stop counting")

    run(main)


def test_a_burst_is_forgotten_after_a_reconnect(transport: TransportName, run: Run) -> None:
    data = b"".join(frame(TEXT, b"%d" % number) for number in range(4_000))

    class Impatient(Recorder):
        def on_text(self, data: bytes | str) -> None:
            super().on_text(data)
            if data == b"1000":
                self.link.reconnect("a gap")

    async def main() -> None:
        venue = RawVenue(data)
        async with raw(venue.serve, transport, recorder=Impatient()) as made:
            await asyncio.wait([made.running])
            assert len(made.recorder.texts) == 1_001
            assert made.recorder.lost == ["a gap"]

    run(main)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"x" * 101),
        frame(TEXT, b"x" * 100, final=False) + frame(CONTINUATION, b"y"),
        frame(BINARY, b"x" * 60_000),
        frame(TEXT, b"x" * 60_000),
    ],
)
def test_a_message_above_the_limit_costs_the_connection(
    transport: TransportName, run: Run, is_late: bool, data: bytes
) -> None:
    async def main() -> None:
        venue = RawVenue(frame(TEXT, b"x" * 100) + data + frame(TEXT, b"unheard"), is_late=is_late)
        async with raw(venue.serve, transport, largest_frame=100) as made:
            await made.until(lambda: made.recorder.lost)
            await venue.is_gone.wait()

            assert made.recorder.texts == [b"x" * 100]
            assert made.link.statistics()["oversized"] == 1
            assert "exceed" in made.recorder.lost[0]

    run(main)


def test_what_is_refused_is_not_delivered_when_the_rest_of_it_comes(
    transport: TransportName, run: Run
) -> None:
    async def main() -> None:
        whole = frame(TEXT, b"x" * 150)
        venue = RawVenue(whole[:20])

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            serving = asyncio.create_task(venue.serve(reader, writer))
            await venue.has_answered.wait()
            await asyncio.sleep(0.001)
            writer.write(whole[20:] + frame(TEXT, b"unheard"))
            await serving

        async with raw(serve, transport, largest_frame=100) as made:
            await made.until(lambda: made.recorder.lost)
            await venue.is_gone.wait()

            assert made.recorder.texts == []
            assert made.link.statistics()["oversized"] == 1

    run(main)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        frame(3, b"an unknown kind"),
        frame(CONTINUATION, b"of nothing"),
        frame(TEXT, b"a", final=False) + frame(TEXT, b"b"),
        frame(CLOSE, b"\x00\x01"),
    ],
)
def test_r45_a_frame_against_the_rules_costs_the_connection(
    transport: TransportName, run: Run, is_late: bool, data: bytes
) -> None:
    async def main() -> None:
        venue = RawVenue(data, is_late=is_late)
        async with raw(venue.serve, transport) as made:
            await made.until(lambda: made.recorder.lost)
            await venue.is_gone.wait()

            assert made.recorder.lost[0].startswith("protocol error")
            assert made.recorder.texts == []
            assert made.link.statistics()["oversized"] == 0

    run(main)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x03\xe9going", "closed by the venue: 1001 going"),
        (b"\x0f\xa1", "closed by the venue: 4001"),
        (b"", "closed by the venue: 0"),
    ],
)
def test_the_venues_close_is_answered_and_told(
    transport: TransportName, run: Run, is_late: bool, data: bytes, reason: str
) -> None:
    async def main() -> None:
        venue = RawVenue(frame(TEXT, b"last") + frame(CLOSE, data), is_late=is_late)
        async with raw(venue.serve, transport) as made:
            await made.until(lambda: made.recorder.lost)
            await venue.is_gone.wait()

            assert made.recorder.texts == [b"last"]
            assert made.recorder.lost == [reason]
            assert venue.received[0] == 0x80 | CLOSE

    run(main)


def test_a_cut_connection_is_noticed(transport: TransportName, run: Run) -> None:
    async def cut(socket: web.WebSocketResponse) -> None:
        await asyncio.sleep(0.01)
        request = venue.requests[-1]
        assert request.transport is not None
        request.transport.abort()

    venue = Venue(cut)

    async def main() -> None:
        async with served(venue, transport) as made:
            await made.until(lambda: made.link.statistics()["lost"] >= 2)

            assert set(made.recorder.lost) == {CUT}
            assert len(set(venue.tokens)) == len(venue.tokens)

    run(main)


def test_refusals_have_the_same_words(transport: TransportName, run: Run) -> None:
    async def main() -> None:
        venue = Venue()
        venue.answers = [
            *((status, {}) for status in (401, 403, 404, 418, 429, 500, 503)),
            (302, {"Location": "/elsewhere"}),
        ]
        async with served(venue, transport) as made:
            await made.until(lambda: made.link.is_open)

            assert [change.reason for change in made.changes if change.reason] == [
                "venue answered 401: the handshake was refused",
                "venue answered 403: the handshake was refused",
                "venue answered 404: the handshake was refused",
                "venue answered 418: the handshake was refused",
                "venue asks for a pause of 0.0 s",
                "venue answered 500: the handshake was refused",
                "venue answered 503: the handshake was refused",
                "venue answered 302: an answer like this is not followed",
            ]
            assert venue.tokens == [f"secret-{number}" for number in range(1, 10)]

    run(main)


def test_handshakes_that_go_wrong_are_failed_attempts(transport: TransportName, run: Run) -> None:
    ways: list[bytes | None] = [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 101 OK\r\n\r\n", None]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer = ways.pop(0) if len(ways) > 1 else ways[0]
        if answer is None:  # hang
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async def main() -> None:
        options: dict[str, Any] = {
            "most_attempts": 4,
            "connect_s": 0.1,
            "base_s": 0.01,
            "floor_s": 0.01,
        }
        async with raw(serve, transport, **options) as made:
            await asyncio.wait([made.running])

            reasons = [change.reason for change in made.changes if change.reason]
            assert isinstance(made.running.exception(), VenueUnavailable)
            assert len(reasons) == 4
            assert reasons[-1] in ("no connection within 0.1 s", "cannot connect: TimeoutError")
            assert made.recorder.lost == []

    run(main)


def test_an_address_without_listener_or_meaning(transport: TransportName, run: Run) -> None:
    async def endpoint() -> Endpoint:
        return Endpoint(urls.pop(0))

    with sockets.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    urls = [f"ws://{HOST}:{port}", "ws://name.invalid", "nonsense"]

    async def main() -> None:
        options = LinkOptions(transport=transport, floor_s=0, base_s=0.01)
        context = HandContext()
        link = Link("feed", context, endpoint=endpoint, handler=Recorder(), options=options)
        with pytest.raises(ConfigError, match="URL"):
            await link.run()
        changes = [event for event in context.published if isinstance(event, ConnectionChanged)]
        said = [change.reason for change in changes if change.reason]
        assert said[0].startswith("cannot connect: ")
        assert said[1].startswith("cannot connect: ")
        assert said[2] == "venue: the URL to connect to is invalid"

    run(main)


def test_tls_is_asked_for_and_a_plain_answer_is_refused(transport: TransportName, run: Run) -> None:
    async def main() -> None:
        venue = Venue()
        async with served(venue, transport, most_attempts=1) as made:
            venue.url = venue.url.replace("ws:", "wss:")
            await asyncio.wait([made.running])

            assert isinstance(made.running.exception(), VenueUnavailable)
            assert venue.tokens == []

    run(main)


def test_a_full_send_queue_refuses(transport: TransportName, run: Run) -> None:
    async def main() -> None:
        async def read_later(socket: web.WebSocketResponse) -> None:
            await may_read.wait()
            await venue.collect(socket)

        may_read = asyncio.Event()
        venue = Venue(read_later)
        async with served(venue, transport) as made:
            await made.until(lambda: made.link.is_open)
            taken = 0
            with suppress(NotSent):
                while made.link.send(f"{taken:06}" + "x" * 100_000):
                    taken += 1
            assert made.link.statistics()["not_sent"] == 1
            assert made.link.statistics()["queued_bytes"] <= 1_048_576 + 14
            may_read.set()
            await made.until(lambda: len(venue.received) == taken)
            assert [int(text[:6]) for text in venue.received] == list(range(taken))

    run(main)


def test_nothing_is_delivered_or_sent_after_a_reconnect(transport: TransportName, run: Run) -> None:
    class Impatient(Recorder):
        def on_text(self, data: bytes | str) -> None:
            super().on_text(data)
            if data == b"3":
                self.link.reconnect("a gap")
                assert not self.link.send("too late")

    async def main() -> None:
        venue = RawVenue(b"".join(frame(TEXT, str(number).encode()) for number in range(10)))
        options: dict[str, Any] = {"floor_s": 0.01, "base_s": 0.01, "most_attempts": 3}
        async with raw(venue.serve, transport, recorder=Impatient(), **options) as made:
            await asyncio.wait([made.running])
            assert isinstance(made.running.exception(), VenueUnavailable)

        assert made.recorder.texts == [b"0", b"1", b"2", b"3"] * 3
        assert made.recorder.lost == ["a gap"] * 3

    run(main)


def test_k55_a_raising_handler_ends_nothing(transport: TransportName, run: Run) -> None:
    class Raising(Recorder):
        def on_text(self, data: bytes | str) -> None:
            super().on_text(data)
            raise ValueError("no")

    async def serve(socket: web.WebSocketResponse) -> None:
        for number in range(100):
            await socket.send_str(str(number))
        await venue.collect(socket)

    venue = Venue(serve)

    async def main() -> None:
        async with served(venue, transport, recorder=Raising()) as made:
            await made.until(lambda: made.link.statistics()["handler_errors"] == 100)

            assert [int(text) for text in made.recorder.texts] == list(range(100))
            assert made.link.is_open

    run(main)


def test_nothing_is_sent_once_the_venue_has_closed(transport: TransportName, run: Run) -> None:
    sent: list[bool] = []

    class Late(Recorder):
        def on_text(self, data: bytes | str) -> None:
            asyncio.get_running_loop().call_soon(lambda: sent.append(self.link.send("late")))

    async def main() -> None:
        venue = RawVenue(b"")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            serving = asyncio.create_task(venue.serve(reader, writer))
            await venue.has_answered.wait()
            await asyncio.sleep(0.05)
            writer.write(frame(TEXT, b"last") + frame(CLOSE, b""))
            await serving

        async with raw(serve, transport, recorder=Late()) as made:
            await made.until(lambda: made.recorder.lost)
            await venue.is_gone.wait()

            assert sent == [False]
            assert venue.received[0] == 0x80 | CLOSE
            assert made.link.statistics()["sent"] == 0

    run(main)


def test_a_mute_peer_does_not_hold_up_the_close(transport: TransportName, run: Run) -> None:
    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await RawVenue(frame(TEXT, b"hello")).serve(reader, writer)

    async def main() -> None:
        for way in ("aclose", "cancel"):
            async with raw(ignore, transport, close_s=0.05) as made:
                await made.until(partial(getattr, made.recorder, "texts"))
                if way == "aclose":
                    await made.link.aclose()
                made.running.cancel()
                await asyncio.wait([made.running])
                assert made.link.state is ConnectionState.CLOSED
                assert not made.link.send("gone")

    run(main)


def test_cancelled_while_connecting(transport: TransportName, run: Run) -> None:
    async def main() -> None:
        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await may_answer.wait()
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await venue.serve(reader, writer)
            over.set()

        may_answer, over = asyncio.Event(), asyncio.Event()
        venue = RawVenue(frame(TEXT, b"unheard"))
        async with raw(slow, transport) as made:
            await made.until(lambda: made.link.state is ConnectionState.CONNECTING)
            await asyncio.sleep(0.05)
            made.running.cancel()
            await asyncio.wait([made.running])
            may_answer.set()
            async with asyncio.timeout(5):
                await over.wait()

            assert made.recorder.texts == []

    run(main)


def test_r44_drops_leave_no_task_behind(transport: TransportName, run: Run) -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.send_str("hello")

    async def main() -> None:
        async with served(Venue(leave), transport) as made:
            await made.until(lambda: made.link.statistics()["lost"] >= 20)
            await made.link.aclose()
        async with asyncio.timeout(60):
            while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    run(main)


def test_auto_is_picows_where_it_is_installed(run: Run) -> None:
    async def main() -> None:
        with capture_logs() as logs:
            async with bench(Venue(), host=HOST, port=0) as made:
                await made.until(lambda: made.link.is_open)
        expected = "aiohttp" if find_spec("picows") is None else "picows"
        assert [line["transport"] for line in logs if line["event"] == "link_starts"] == [expected]

    run(main)


def test_picows_wanted_and_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.net.transports.find_spec", lambda name: None)

    async def main() -> None:
        async with bench(Venue(), LinkOptions(transport="picows"), host=HOST, port=0) as made:
            await asyncio.wait([made.running])
            assert "not installed" in str(made.running.exception())
        async with bench(Venue(), host=HOST, port=0) as made:
            await made.until(lambda: made.link.is_open)

    asyncio.run(main())
