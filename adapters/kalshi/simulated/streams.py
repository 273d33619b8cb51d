"""The streams' shell: takes WebSocket connections and moves frames between them and sessions.

Frames are packed here and written many at a time. Measured with 50 readers of one book on loopback:
2.1 us of CPU per frame, 250,000 frames/s in half a core; with one `send_frame` each it was 7.8 us,
and a whole core did half of that (S20).
"""

import asyncio
import struct
from functools import partial
from random import Random

import anyio
from aiohttp import WSMsgType, web

from adapters.kalshi.simulated.auth import Denied, Gatekeeper
from adapters.kalshi.simulated.control import Control
from adapters.kalshi.simulated.faults import RefuseHandshakes
from adapters.kalshi.simulated.frames import Binary, Ending, Frame, Item, Ping, Pong
from adapters.kalshi.simulated.stream_hub import StreamHub
from adapters.kalshi.simulated.stream_session import StreamSession
from adapters.kalshi.simulated.stream_settings import StreamSettings
from adapters.kalshi.simulated.stream_source import StreamSource
from adapters.kalshi.simulated.tcp_reset import reset
from framework.interfaces import Clock

PATH = "/trade-api/ws/v2"
BATCH = 256  # frames per write
MILLISECOND_NS = 1_000_000
GOING_AWAY = 1001
_OPCODES = {
    Frame: WSMsgType.TEXT,
    Binary: WSMsgType.BINARY,
    Ping: WSMsgType.PING,
    Pong: WSMsgType.PONG,
}


class StreamServer:
    """The WebSocket side of the venue: mount `handle` at `PATH`."""

    def __init__(
        self,
        exchange: StreamSource,
        clock: Clock,
        random: Random,
        settings: StreamSettings,
        gatekeeper: Gatekeeper,
    ) -> None:
        self.hub = StreamHub(exchange, clock, random, settings)
        self.control = Control(self.hub)
        self._clock = clock
        self._settings = settings
        self._gatekeeper = gatekeeper
        self._healed = asyncio.Event()  # lets hanging handshakes go
        self.hub.faults.on_clear.append(self._heal)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection from its handshake to its end."""
        refusal = self.hub.faults.condition(RefuseHandshakes)
        if refusal is not None:
            return await self._refuse(request, refusal)
        path = request.raw_path.partition("?")[0]
        now_ms = self._clock.now_ns // MILLISECOND_NS
        try:
            account = self._gatekeeper.check(request.method, path, request.headers, now_ms)
        except Denied as denied:
            return web.Response(status=401, body=denied.body, content_type="application/json")
        socket = web.WebSocketResponse(
            autoping=False,
            compress=False,
            max_msg_size=self._settings.largest_command,
            writer_limit=0,  # every batch waits until the peer has room
        )
        await socket.prepare(request)
        await self._converse(socket, request, account)
        return socket

    async def aclose(self) -> None:
        """Close every connection as a server does that goes away."""
        self._heal()
        for session in list(self.hub.sessions.values()):
            session.end(Ending(GOING_AWAY, "going away"))

    async def _converse(
        self, socket: web.WebSocketResponse, request: web.Request, account: str | None
    ) -> None:
        session = self.hub.open(account)
        session.outbox.on_cut = partial(reset, request.transport)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_write, socket, request, session)
                await _read(socket, session)
                if session.outbox.ending is None:  # else the writer comes to its own end
                    tasks.cancel_scope.cancel()
        finally:
            self.hub.close(session)

    async def _refuse(self, request: web.Request, refusal: RefuseHandshakes) -> web.Response:
        if isinstance(refusal.answer, int):
            return web.json_response({"error": "refused on purpose"}, status=refusal.answer)
        if refusal.answer == "hang":
            try:
                async with asyncio.timeout(refusal.hang_s):
                    await self._healed.wait()
            except TimeoutError:
                pass
        reset(request.transport)
        return web.Response(status=503)  # to nobody

    def _heal(self) -> None:
        healed, self._healed = self._healed, asyncio.Event()
        healed.set()


async def _read(socket: web.WebSocketResponse, session: StreamSession) -> None:
    async for message in socket:
        match message.type:
            case WSMsgType.TEXT:
                session.receive_text(message.data)
            case WSMsgType.BINARY:
                session.receive_binary(message.data)
            case WSMsgType.PING:
                session.receive_ping(message.data)
            case WSMsgType.PONG:
                session.receive_pong()


async def _write(
    socket: web.WebSocketResponse, request: web.Request, session: StreamSession
) -> None:
    outbox = session.outbox
    ready = asyncio.Event()
    outbox.on_ready = ready.set
    try:
        while True:
            ending = outbox.ending
            if ending is not None and ending.code is None:
                return
            if batch := outbox.take(BATCH):
                await _send(socket, request, batch)
            elif ending is not None and ending.code is not None:
                await socket.close(code=ending.code, message=ending.reason.encode())
                return
            else:
                ready.clear()
                await ready.wait()
    except ConnectionError:
        return  # the peer went away; the reader sees it too


async def _send(socket: web.WebSocketResponse, request: web.Request, batch: list[Item]) -> None:
    """Write a batch in one go, and wait until the peer has room for more."""
    last = batch.pop()
    if batch and request.transport is not None and not request.transport.is_closing():
        request.transport.write(b"".join([packed(item) for item in batch]))
    await socket.send_frame(last.data, _OPCODES[type(last)])


def packed(item: Item) -> bytes:
    """Return an unmasked, unfragmented frame as it goes over the wire (RFC 6455, 5.2)."""
    first, size = 0x80 | _OPCODES[type(item)], len(item.data)
    if size < 126:
        return struct.pack("!BB", first, size) + item.data
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size) + item.data
    return struct.pack("!BBQ", first, 127, size) + item.data
