"""Streams on loopback, on uvloop and asyncio's loop, with the clients that people use."""

import asyncio
import base64
import socket as sockets
import ssl
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
import uvloop
import websockets
from aiohttp import WSMsgType
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from framework.net.listening import server_tls
from framework.server.links import Link
from framework.server.sse import event
from tests.framework.server.certificates import certificate_in
from tests.framework.server.stream_stage import Stage, limits, staged

HOST = "127.0.0.1"
LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
FAST = SLOW = 200
FRAMES = 500
MEGABYTE = 1_000_000
QUICK_S = 3.0  # less than either side would wait for the other

pytestmark = pytest.mark.socket
Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test on one of the loops."""

    def call(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner, capture_logs():
            runner.run(main())

    return call


def served(**changes: Any) -> Any:
    return staged(limits(**changes), host=HOST, port=0)


def web_socket(stage: Stage) -> str:
    return stage.url.replace("http", "ws") + "/ws"


def test_t02_over_tls_a_stream_ends_at_once_and_with_all_that_was_sent(
    run: Run, tmp_path: Path
) -> None:
    """Whoever closes first: the other side answers, and the connection is gone."""
    tls = certificate_in(tmp_path)
    trusted = ssl.create_default_context(cafile=tls.certificate)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        context = server_tls(tls.certificate, tls.key)
        async with staged(limits(), host=HOST, port=0, tls=context) as stage:
            url = web_socket(stage).replace("ws:", "wss:")
            for is_ours in (True, False):
                client = await connect(url, ssl=trusted)
                assert await client.recv() == "welcome"
                (link,) = stage.registry
                for _ in range(FRAMES):
                    link.send(b"x" * 1_000)
                if is_ours:
                    link.close()
                began_s = loop.time()
                got = 0
                with suppress(websockets.ConnectionClosed):
                    while got < FRAMES or is_ours:
                        got += len(await client.recv()) == 1_000
                await client.close()
                assert loop.time() - began_s < QUICK_S
                assert (got, client.close_code) == (FRAMES, 1000)
                await stage.until(lambda: not stage.registry.active)

    run(main)


def test_the_client_of_websockets_gets_along(run: Run) -> None:
    async def main() -> None:
        async with served() as stage, connect(web_socket(stage)) as client:
            stage.on_text = lambda link, text: link.send(text.encode())
            assert await client.recv() == "welcome"
            await client.send("x" * 60_000)
            assert await client.recv() == "x" * 60_000
            await client.send(["in ", "three ", "pieces: é"])
            assert await client.recv() == "in three pieces: é"
            await client.send(b"binary")
            await stage.until(lambda: stage.told[-1] == (1, "strange", "a binary message"))
            async with asyncio.timeout(10):
                await (await client.ping(b"there?"))
            await client.close(4_000, "bye")
            await stage.registry.wait_empty()
            assert stage.told[-1] == (1, "close", 4_000, "bye")
            assert client.close_code == 4_000

    run(main)


def test_the_client_of_aiohttp_gets_along(run: Run) -> None:
    async def main() -> None:
        async with served() as stage, stage.session.ws_connect(web_socket(stage)) as client:
            stage.on_text = lambda link, text: link.send(text.encode())
            assert await client.receive_str() == "welcome"
            for size in (1, 125, 126, 65_000):
                await client.send_str("x" * size)
                assert await client.receive_str() == "x" * size
            await client.ping()
            await client.close(code=4_000, message=b"bye")
            await stage.registry.wait_empty()
            assert stage.told[-1] == (1, "close", 4_000, "bye")

    run(main)


@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_both_learn_that_a_frame_was_too_large(run: Run, size: int) -> None:
    async def main() -> None:
        async with served() as stage:
            async with connect(web_socket(stage)) as client:
                with suppress(websockets.ConnectionClosed):
                    await client.send("x" * size)
                await client.wait_closed()
                assert client.close_code == 1009
            async with stage.session.ws_connect(web_socket(stage)) as other:
                await other.send_str("x" * size)
                await other.receive_str()
                message = await other.receive()
                assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)

    run(main)


def test_both_learn_why_they_were_closed(run: Run) -> None:
    async def main() -> None:
        async with served() as stage:
            async with connect(web_socket(stage)) as client:
                assert await client.recv() == "welcome"
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(stage.registry.close_all, 1001, "shutdown", 5.0)
                    with pytest.raises(websockets.ConnectionClosed):
                        await client.recv()
                assert (client.close_code, client.close_reason) == (1001, "shutdown")
            assert stage.registry.statistics().frames_dropped == 0

    run(main)


def test_events_reach_a_client(run: Run) -> None:
    async def main() -> None:
        async with served() as stage, stage.session.get(f"{stage.url}/events") as answer:
            for number in range(1_000):
                stage.links[0].send(event(str(number)))
            stage.links[0].close()
            assert await answer.text() == "".join(f"data: {n}\n\n" for n in range(1_000))

    run(main)


class Reader(asyncio.Protocol):
    """A client that shakes hands and keeps all it is sent, or stops reading after the handshake."""

    def __init__(self, *, is_slow: bool) -> None:
        self.is_slow = is_slow
        self.is_open = asyncio.Event()
        self.is_lost = asyncio.Event()
        self.received = bytearray()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are of another family
        key = base64.b64encode(bytes(16)).decode()
        self.transport.write(
            f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self.is_open.set()
        self.received += data
        if self.is_slow:
            self.transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost.set()


async def crowd(stack: AsyncExitStack, stage: Stage, count: int, *, is_slow: bool) -> list[Reader]:
    """Open so many raw connections whose system buffers are small."""
    readers: list[Reader] = []
    loop = asyncio.get_running_loop()
    for _ in range(count):
        sock = sockets.socket()
        sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 8_192)
        sock.setblocking(False)
        await loop.sock_connect(sock, (HOST, stage.listener.port))
        made = await loop.create_connection(lambda: Reader(is_slow=is_slow), sock=sock)
        stack.callback(made[0].abort)
        readers.append(made[1])
    async with asyncio.timeout(20):
        for reader in readers:
            await reader.is_open.wait()
    return readers


def test_a_client_that_is_gone_leaves_nothing_behind(run: Run) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            stage = await stack.enter_async_context(served())
            idle, busy, behind = await crowd(stack, stage, 3, is_slow=True)
            await stage.until(lambda: stage.registry.active == 3)
            for _ in range(1_000):
                stage.links[2].send(b"x" * 10_000)
            await asyncio.sleep(0)
            idle.transport.abort()
            behind.transport.abort()
            stage.links[1].send(b"x")
            busy.transport.abort()
            await stage.registry.wait_empty()

            assert [link.close_code for link in stage.links] == [1006, 1006, stage_code(stage)]
            assert held_bytes(stage.links) == 0

    run(main)


def stage_code(stage: Stage) -> int:
    """Return how the third ended: its outbox may have overflowed before it was lost."""
    return 1013 if stage.registry.cut_slow else 1006


def held_bytes(links: list[Link]) -> int:
    """Return what is kept for readers, frames that all share counted for each."""
    outgoing = [link.outgoing for link in links]
    waiting = sum(one.outbox.waiting_bytes for one in outgoing)
    return waiting + sum(one._transport.get_write_buffer_size() for one in outgoing)


def shrink_system_buffers(link: Link) -> None:
    sock = link.outgoing._transport.get_extra_info("socket")
    sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, 8_192)


def test_slow_readers_are_cut_and_fast_ones_get_everything_in_order(run: Run) -> None:
    frames = [b"%06d" % number + b"." * 994 for number in range(FRAMES)]

    async def main() -> None:
        async with AsyncExitStack() as stack:
            stage = await stack.enter_async_context(
                served(outbox=1_000, outbox_bytes=200_000, slow_s=1.0)
            )
            stage.welcome = b""
            fast = await crowd(stack, stage, FAST, is_slow=False)
            slow = await crowd(stack, stage, SLOW, is_slow=True)
            await stage.until(lambda: stage.registry.active == FAST + SLOW)
            for link in stage.links:
                shrink_system_buffers(link)
            slow_links = stage.links[FAST:]

            loop = asyncio.get_running_loop()
            started_s, held = loop.time(), []
            for frame in frames:
                for link in stage.registry:
                    link.send(frame)
                held.append(held_bytes(stage.links))
                await asyncio.sleep(0)
            await stage.until(lambda: not any(link.is_open for link in slow_links))
            cut_s = loop.time() - started_s
            expected = b"".join(b"\x81\x7e\x03\xe8" + frame for frame in frames)
            await stage.until(
                lambda: all(len(one.received) >= len(expected) for one in fast), wait_s=10
            )

            assert all(bytes(one.received).endswith(expected) for one in fast)
            assert cut_s < 10
            assert {link.close_code for link in slow_links} == {1013}
            assert stage.registry.cut_slow == SLOW
            assert max(held) < 50 * MEGABYTE
            assert stage.registry.active == FAST
            for reader in slow:
                reader.transport.abort()
            await stage.until(lambda: held_bytes(slow_links) == 0)

    run(main)


def test_who_reads_nothing_is_cut_by_time_where_little_is_sent(run: Run) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            stage = await stack.enter_async_context(served(slow_s=0.4))
            stage.welcome = b""
            (slow,) = await crowd(stack, stage, 1, is_slow=True)
            (link,) = stage.links
            shrink_system_buffers(link)
            for _ in range(100):
                link.send(b"x" * 10_000)
            await stage.registry.wait_empty()

            assert (link.close_code, link.close_reason) == (1013, "slow consumer")
            slow.is_slow = False
            slow.transport.resume_reading()
            await stage.until(slow.is_lost.is_set)

    run(main)
