"""The short way of an order to its venue: one write of prebuilt bytes on a kept connection.

`send` returns after the bytes were handed to the transport, without a task or a turn of the loop,
where aiohttp takes some twenty times as long (benchmarks/tick_to_order.py). Each connection of the
pool carries one request at a time, so an answer is never taken for another request's, and none is
ever written twice: what was written and has no answer is `VenueUnavailable`.
"""

import asyncio
import ssl
from collections import deque
from functools import lru_cache

import anyio
import msgspec
import structlog

from framework.errors import NotSent
from framework.interfaces import AdapterContext
from framework.net.backoff import BackOff
from framework.net.http_messages import Headers, Request, Response, complete
from framework.net.kept_connection import Exchange, KeptConnection
from framework.net.request_target import BaseUrl, escape_path, query_text
from framework.simulation.loop import SimulatedLoop

log = structlog.get_logger("order_writer")


class WriterOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a writer keeps its connections.

    Attributes:
        deadline_s: seconds for a request that names none.
        connect_s: seconds for opening a connection, TLS included.
        floor_s, base_s, cap_s: pauses between attempts to open one, see `BackOff`.
        stable_s: a connection that lasted so long, or answered, makes the pauses short again.
        idle_s: one that carried nothing for so long is replaced before the venue closes it, since
            a request written just then would be in doubt; happens within twice that time.
        most_waiting: requests that wait for a free connection; more are `NotSent`.
        largest_body: bytes of an answer.
    """

    deadline_s: float = 10.0
    connect_s: float = 10.0
    floor_s: float = 0.1
    base_s: float = 0.5
    cap_s: float = 30.0
    stable_s: float = 5.0
    idle_s: float = 20.0
    most_waiting: int = 1_000
    largest_body: int = 1024 * 1024


class OrderWriter:
    """Writes requests on a pool of `size` connections, which `run` keeps open."""

    def __init__(
        self,
        name: str,
        base_url: str,
        context: AdapterContext,
        *,
        size: int = 4,
        options: WriterOptions = WriterOptions(),  # noqa: B008 -- frozen
    ) -> None:
        self._name = name
        self._base = BaseUrl(base_url)
        self._context = context
        self._size = size
        self._options = options
        self._connections: list[KeptConnection] = []
        self._idle: list[KeptConnection] = []  # the last one used is used next
        self._cancels: deque[Exchange] = deque()  # what waits for a connection, and goes first
        self._others: deque[Exchange] = deque()
        self._head_of = lru_cache(256)(self._make_head)
        self._tls: ssl.SSLContext | None = None
        self._scope = anyio.CancelScope()
        self._counts = dict.fromkeys(("requests", "written", "waited", "connects", "failures"), 0)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, be it a busy one."""
        return any(connection.is_open for connection in self._connections)

    def send(self, request: Request, headers: Headers = ()) -> "asyncio.Future[Response]":
        """Write the request now, or as soon as a connection is free; return its future answer.

        `headers` are added to those of the request. The answer may have any status. The future
        raises `NotSent` where not a byte has left: there is no connection, too many wait, the
        deadline passed while waiting; else `VenueUnavailable`: no whole answer came in time.
        """
        self._counts["requests"] += 1
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Response] = loop.create_future()
        try:
            data = self._bytes_of(request, headers)
        except (NotSent, UnicodeEncodeError):
            answer.set_exception(NotSent("a header cannot be written"))
            return answer
        exchange = Exchange(request.method, data, answer)
        connection = self._take_idle()
        if connection is not None:
            connection.write(exchange)
            self._counts["written"] += 1
        elif reason := self._enqueue(exchange, is_cancel=request.is_cancel):
            exchange.settle(NotSent(reason))
            return answer
        allowed_s = self._options.deadline_s if request.deadline_s is None else request.deadline_s
        exchange.timer = loop.call_later(allowed_s, self._time_out, exchange)
        return answer

    async def run(self) -> None:
        """Keep the connections open until cancelled or closed."""
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    for number in range(self._size):
                        tasks.start_soon(self._keep, number)
        finally:
            for connection in list(self._connections):
                connection.break_off("the writer was closed")
            self._give_up_waiting("the writer was closed")

    async def aclose(self) -> None:
        """Close every connection and let `run` end; what has no answer is in doubt."""
        self._scope.cancel()
        await asyncio.sleep(0)

    def statistics(self) -> dict[str, int]:
        """Return what was counted since the start, and how many connections are open now."""
        return {**self._counts, "open": sum(one.is_open for one in self._connections)}

    # -- a request -------------------------------------------------------------------------------

    def _bytes_of(self, request: Request, headers: Headers) -> bytes:
        """Return the request as it goes over the wire. Raises NotSent, UnicodeEncodeError."""
        body = request.body
        head = self._head_of(request.method, request.path, request.query)
        fields = "".join([f"{name}: {value}\r\n" for name, value in complete(request, headers)])
        return f"{head}{fields}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body

    def _make_head(self, method: str, path: str, query: tuple[tuple[str, str], ...]) -> str:
        target = self._base.path + escape_path(path) + query_text(query)
        return (
            f"{method} {target} HTTP/1.1\r\nHost: {self._base.authority}\r\n"
            "User-Agent: headrace\r\nAccept-Encoding: identity\r\n"
        )

    def _take_idle(self) -> KeptConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle:
                return connection
        return None

    def _enqueue(self, exchange: Exchange, *, is_cancel: bool) -> str:
        """Let it wait for a free connection; return why it cannot, "" if it can."""
        if not self.is_open:
            return "there is no connection"
        if len(self._cancels) + len(self._others) >= self._options.most_waiting:
            return "too many requests wait for a connection"
        (self._cancels if is_cancel else self._others).append(exchange)
        self._counts["waited"] += 1
        return ""

    def _on_idle(self, connection: KeptConnection) -> None:
        """Give the connection what waits longest, cancels first."""
        if not connection.is_idle:
            return
        while waiting := self._cancels or self._others:
            exchange = waiting.popleft()
            if not exchange.answer.done():  # else its deadline passed, or its caller gave up
                connection.write(exchange)
                self._counts["written"] += 1
                return
        self._idle.append(connection)

    def _time_out(self, exchange: Exchange) -> None:
        if exchange.connection is not None:
            exchange.connection.break_off("no answer in time")
        else:
            exchange.settle(NotSent("no connection was free in time"))

    # -- the connections -------------------------------------------------------------------------

    async def _keep(self, number: int) -> None:
        """Keep one connection of the pool open."""
        options = self._options
        random = self._context.random_for(f"order_writer/{self._name}/{number}")
        backoff = BackOff(options.floor_s, options.base_s, options.cap_s, random)
        while True:
            connection = await self._open(backoff)
            while await self._is_stale(connection, backoff):
                fresh = await self._open(backoff)
                connection.retire()
                connection = fresh
            await asyncio.sleep(backoff.next_s())

    async def _open(self, backoff: BackOff) -> KeptConnection:
        """Try until there is a connection; return it, in use already."""
        while True:
            try:
                async with asyncio.timeout(self._options.connect_s):
                    connection = await self._connect()
                break
            except OSError as error:  # TimeoutError and TLS errors among them
                self._counts["failures"] += 1
                reason = error.strerror or type(error).__name__
                log.warning("order_connection_failed", writer=self._name, reason=reason)
            await asyncio.sleep(backoff.next_s())
        self._counts["connects"] += 1
        self._connections.append(connection)
        connection.lost.add_done_callback(lambda _: self._forget(connection))
        self._on_idle(connection)
        return connection

    async def _connect(self) -> KeptConnection:
        loop = asyncio.get_running_loop()
        is_encrypted = self._base.is_secure and not isinstance(loop, SimulatedLoop)
        if is_encrypted and self._tls is None:
            self._tls = await self._context.blocking(ssl.create_default_context)
        _, connection = await loop.create_connection(
            lambda: KeptConnection(self._options.largest_body, self._on_idle),
            self._base.host,
            self._base.port,
            ssl=self._tls if is_encrypted else None,
        )
        return connection

    async def _is_stale(self, connection: KeptConnection, backoff: BackOff) -> bool:
        """Wait until the connection was idle for too long; return false once it is lost."""
        loop = asyncio.get_running_loop()
        opened_s, options = loop.time(), self._options
        while not connection.lost.done():
            await asyncio.wait([connection.lost], timeout=options.idle_s)
            if connection.is_idle and loop.time() - connection.used_s >= options.idle_s:
                return True
        if connection.has_answered or loop.time() - opened_s >= options.stable_s:
            backoff.reset()
        return False

    def _forget(self, connection: KeptConnection) -> None:
        self._connections.remove(connection)
        if not self.is_open:
            self._give_up_waiting("the connection was lost")

    def _give_up_waiting(self, reason: str) -> None:
        for waiting in (self._cancels, self._others):
            while waiting:
                exchange = waiting.popleft()
                exchange.settle(NotSent(reason))
