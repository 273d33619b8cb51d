"""The connections of an HTTP server: bounded in number, and cut where a request is slow to begin.

aiohttp bounds the lines and the number of a request's headers, and closes idle connections. What it
lacks is here: how many connections there may be, how long the head of a request may take and how
large it may be as a whole (R-83, R-84), and a say in what a malformed request is answered with.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

LINGERING_S = 1.0  # what is read of a refused body, so that its sender hears of the refusal
MOST_HEADERS = 100
TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Malformed = Callable[[BaseException | None], web.StreamResponse]
"""Returns the answer to a request that could not be read, by what went wrong."""


class ConnectionLimits(msgspec.Struct, frozen=True):
    """What a server takes: `head` bytes of a request's line and headers, within `head_s`."""

    connections: int = 2_000
    head: int = 16_384
    head_s: float = 5.0
    idle_s: float = 75.0


class HttpServer(web.Server):
    """Makes aiohttp's connections with limits; requests carry no aiohttp application.

    `turned_away_count` connections came when there were too many (they are answered 503),
    `cut_count` did not say within `head_s` what they wanted.
    """

    def __init__(self, handler: Handler, limits: ConnectionLimits, malformed: Malformed) -> None:
        super().__init__(
            handler,  # type: ignore[arg-type]  # our factory makes nothing but web.Request
            request_factory=self._request,
            keepalive_timeout=limits.idle_s,
            lingering_time=LINGERING_S,
            access_log=None,
            auto_decompress=False,  # a small body must not become a large one
            max_line_size=limits.head,
            max_field_size=limits.head,
            max_headers=MOST_HEADERS,
        )
        self.limits = limits
        self.malformed = malformed
        self.turned_away_count = 0
        self.cut_count = 0
        self._silent: dict[HttpConnection, float] = {}  # until when a head may take, the next first
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> "HttpConnection":
        """Return the protocol of one new connection."""
        return HttpConnection(self, loop=self._loop, **self._kwargs)

    @property
    def has_room(self) -> bool:
        """Whether one more connection may be."""
        return len(self._connections) < self.limits.connections

    def await_head(self, connection: "HttpConnection") -> None:
        """Cut the connection unless the head of its next request is complete in time."""
        due_s = self._loop.time() + self.limits.head_s
        self._silent[connection] = due_s
        if self._timer is None:
            self._timer = self._loop.call_at(due_s, self._cut_silent)

    def heard(self, connection: "HttpConnection") -> None:
        """Forget that the connection had something to say, or that there is one."""
        self._silent.pop(connection, None)

    def _cut_silent(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        late = []
        for connection, due_s in self._silent.items():
            if due_s > now_s:
                self._timer = self._loop.call_at(due_s, self._cut_silent)
                break
            late.append(connection)
        for connection in late:
            del self._silent[connection]
            connection.force_close()
        self.cut_count += len(late)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.Request:
        return web.Request(message, payload, protocol, writer, task, self._loop)


class HttpConnection(web.RequestHandler):
    """One connection; `head_bytes` is at least the size of the head that came last."""

    __slots__ = ("_is_awaited", "_server", "_unread", "head_bytes")

    def __init__(self, server: HttpServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._is_awaited = False
        self._unread = 0  # bytes of a head that is not complete
        self.head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request, or turn the connection away."""
        server = self._server
        if not server.has_room:
            server.turned_away_count += 1
            self.close()  # whatever comes in is not looked at
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(TOO_MANY_CONNECTIONS)
            transport.close()
            return
        super().connection_made(transport)
        self._is_awaited = True
        server.await_head(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._server.heard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what came, and watch how the head of a request comes along."""
        is_between = self._is_awaited or self._waiter is not None  # two requests
        super().data_received(data)
        if not is_between:
            self._tell_of_broken_body()
            return
        self._unread += len(data)
        if self._messages:
            self.head_bytes, self._unread = self._unread, 0
            if self._is_awaited:
                self._is_awaited = False
                self._server.heard(self)
        elif self._upgraded:
            self._unread = 0
        elif data and not self._close:
            self._wait_on()

    def _tell_of_broken_body(self) -> None:
        """Wake who waits for a body that has broken off; aiohttp would let him wait for ever."""
        request = self._current_request
        if request is None or not self._messages or request.content.is_eof():
            return
        if hasattr(self._messages[-1][0], "exc"):  # an error, and no further request
            request.content.set_exception(web.RequestPayloadError("broken"))

    def _wait_on(self) -> None:
        if self._unread > self._server.limits.head:
            self._server.cut_count += 1
            self.force_close()
        elif not self._is_awaited:
            self._is_awaited = True
            self._server.await_head(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what could not be read; the connection is closed after it."""
        if request.writer.output_size > 0:  # half an answer is out: only the end can tell
            raise ConnectionError("an answer was broken off")
        response = self._server.malformed(exc)
        response.force_close()
        return response
