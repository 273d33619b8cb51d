"""Workload `ws`: from bytes on a socket to a typed event in a plain handler, behind the bus.

A process of its own sends text frames of 200 bytes over loopback as fast as they are taken. Beside
each transport stand two bounds of the same run: reading the same bytes and nothing else, and the
transport's own parser with msgspec's decoder behind it, without link, event and bus.
"""

import asyncio
import base64
import hashlib
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from random import Random
from statistics import median
from time import perf_counter
from types import SimpleNamespace
from typing import Any, Literal, cast

import aiohttp
import uvloop

from benchmarks.decode import MESSAGE, decode, quote_of
from framework.bus.bus import Bus
from framework.clock.clock import LiveClock
from framework.interfaces import AdapterContext
from framework.model.events import ConnectionState
from framework.model.market_data import Quote
from framework.net.connectors import open_connector
from framework.net.link import Endpoint, Link, LinkOptions

BLOCK = 512  # frames in a write of the sender
FRAME_COUNT = 600 * BLOCK
ROUNDS = 5
HOST = "127.0.0.1"
FRAME = b"\x81\x7e" + len(MESSAGE).to_bytes(2, "big") + MESSAGE
KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


# -- the sender ------------------------------------------------------------------------------------


def send(frame_count: int) -> None:
    """Print a port, and send so many frames to each client that connects there, one by one."""
    with socket.create_server((HOST, 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            with client:
                try:
                    _serve(client, frame_count)
                except OSError:  # the client has heard enough
                    continue


def _serve(client: socket.socket, frame_count: int) -> None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(4_096)
    lines = [line.partition(b":") for line in head.splitlines()]
    keys = [value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key"]
    accept = base64.b64encode(hashlib.sha1(keys[0] + KEY_SUFFIX).digest())
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    block = FRAME * BLOCK
    for _ in range(frame_count // BLOCK):
        client.sendall(block)
    client.recv(1)


@contextmanager
def sender() -> Iterator[int]:
    """Run a sender; yields its port."""
    command = [sys.executable, "-m", "benchmarks.ws_ingest", str(FRAME_COUNT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


# -- the whole way ---------------------------------------------------------------------------------


class Handler:
    """Makes quotes of text and publishes them; hears nothing else."""

    def __init__(self, publish: Callable[[Quote], None]) -> None:
        self._publish = publish

    def on_text(self, data: bytes | str) -> None:
        """Decode and publish, as a feed does."""
        self._publish(quote_of(cast(bytes, data)))

    def on_open(self) -> None:
        """Ask for nothing: it comes by itself."""

    def on_binary(self, data: bytes) -> None: ...
    def on_ping(self, data: bytes) -> None: ...
    def on_lost(self, reason: str) -> None: ...
    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None: ...


async def by_link(port: int, transport: Literal["aiohttp", "picows"]) -> float:
    """Return the seconds until the last quote is in the handler."""
    clock = LiveClock()
    bus = Bus(clock)
    bus.start()
    done = asyncio.get_running_loop().create_future()
    count = 0

    @bus.on(Quote)
    def on_quote(quote: Quote) -> None:
        nonlocal count
        count += 1
        if count == FRAME_COUNT:
            done.set_result(perf_counter())

    async def endpoint() -> Endpoint:
        return Endpoint(f"ws://{HOST}:{port}/")

    seams = SimpleNamespace(
        venue="bench", clock=clock, publish=bus.publish, random_for=Random, connector=open_connector
    )
    link = Link(
        "feed",
        cast(AdapterContext, seams),
        endpoint=endpoint,
        handler=Handler(bus.publish),
        options=LinkOptions(transport=transport, close_s=0),
    )
    started = perf_counter()
    running = asyncio.create_task(link.run())
    seconds: float = await done - started
    await link.aclose()
    await running
    return seconds


# -- the bounds ------------------------------------------------------------------------------------


class Reader(asyncio.BufferedProtocol):
    """Reads and forgets."""

    def __init__(self) -> None:
        self.byte_count = 0
        self.done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._buffer = memoryview(bytearray(262_144))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the frames."""
        cast(asyncio.Transport, transport).write(b"GET / \r\nSec-WebSocket-Key: x\r\n\r\n")

    def get_buffer(self, size: int) -> memoryview:
        """Return the same place each time."""
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        """Count."""
        self.byte_count += size
        if self.byte_count >= FRAME_COUNT * len(FRAME) and not self.done.done():
            self.done.set_result(perf_counter())


async def by_reading(port: int) -> float:
    """Return the seconds that the bytes alone take."""
    started = perf_counter()
    loop = asyncio.get_running_loop()
    transport, reader = await loop.create_connection(Reader, HOST, port)
    seconds = await reader.done - started
    transport.abort()
    return seconds


async def by_aiohttp(port: int) -> float:
    """Return the seconds of aiohttp's own `receive` and the decoder."""
    started = perf_counter()
    async with aiohttp.ClientSession() as session:
        connection = await session.ws_connect(f"ws://{HOST}:{port}/", decode_text=False)
        for _ in range(FRAME_COUNT):
            decode(cast(bytes, (await connection.receive()).data))
        return perf_counter() - started


async def by_picows(port: int) -> float:
    """Return the seconds of picows' callback and the decoder."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    text = WSMsgType.TEXT
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    class Decoder(WSListener):
        """Decodes each text and counts."""

        count = 0

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type is text and frame.fin:
                decode(frame.get_payload_as_bytes())
                self.count += 1
                if self.count == FRAME_COUNT:
                    done.set_result(perf_counter())

    started = perf_counter()
    transport, _ = await ws_connect(lambda: Decoder(), f"ws://{HOST}:{port}/")
    seconds = await done - started
    transport.disconnect(graceful=False)
    return seconds


# -- measuring -------------------------------------------------------------------------------------


def measure() -> list[dict[str, object]]:
    """Return a row per transport that is installed; `ratio` is against the parsing, in pairs."""
    rows: list[dict[str, object]] = []
    parsers = {"aiohttp": by_aiohttp, "picows": by_picows}
    with sender() as port:
        raw = [_rate(by_reading(port)) for _ in range(ROUNDS)]
        for name, parser in parsers.items():
            if find_spec(name) is None:
                continue
            transport = cast(Literal["aiohttp", "picows"], name)
            pairs = [(_rate(by_link(port, transport)), _rate(parser(port))) for _ in range(ROUNDS)]
            rates = [rate for rate, _ in pairs]
            rows.append(
                {
                    "transport": name,
                    "message_bytes": len(MESSAGE),
                    "rate": round(max(rates)),
                    "unit": "events/s",
                    "raw_rate": round(max(raw)),
                    "ratio_to_raw": round(median(rates) / median(raw), 3),
                    "parsing_rate": round(max(bound for _, bound in pairs)),
                    "ratio": round(median(rate / bound for rate, bound in pairs), 3),
                }
            )
    return rows


def _rate(run: Coroutine[Any, Any, float]) -> float:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return FRAME_COUNT / runner.run(run)


if __name__ == "__main__":
    send(int(sys.argv[1]))
