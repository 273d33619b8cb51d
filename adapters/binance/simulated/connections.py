"""One side of a WebSocket of the simulated venue: what is to be sent, in order, and the reader."""

from collections import deque
from collections.abc import Callable

import anyio
from aiohttp import WSCloseCode, WSMsgType, web

MOST_QUEUED = 20_000  # frames; a client that reads slower than that is cut off


class Connection:
    """A socket with a bounded outbox; `send` never waits."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._transport = request.transport
        self._outbox: deque[str] = deque()
        self._filled = anyio.Event()
        self.is_closing = False

    def send(self, text: str) -> None:
        """Queue a frame."""
        if len(self._outbox) >= MOST_QUEUED:
            self.is_closing = True
        self._outbox.append(text)
        self._filled.set()

    def close(self) -> None:
        """Close in order once the queue is sent."""
        self.is_closing = True
        self._filled.set()

    def cut(self) -> None:
        """Be gone without a word."""
        if self._transport is not None:
            self._transport.abort()

    async def run(self, on_text: Callable[[str], None]) -> None:
        """Send what is queued and hand over what comes, until the socket is closed."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write)
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    on_text(message.data)
            if not self.is_closing:  # else the writer is about to say goodbye
                tasks.cancel_scope.cancel()

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            self._filled = anyio.Event()
            try:
                while self._outbox:
                    await self._socket.send_str(self._outbox.popleft())
            except ConnectionError:
                return
            if self.is_closing:
                await self._socket.close(code=WSCloseCode.GOING_AWAY)
                return


async def opened(
    request: web.Request, *, ping_s: float
) -> tuple[Connection, web.WebSocketResponse]:
    """Answer a handshake; the venue pings, and drops who does not answer."""
    socket = web.WebSocketResponse(heartbeat=ping_s, max_msg_size=64 * 1024)
    await socket.prepare(request)
    return Connection(socket, request), socket
