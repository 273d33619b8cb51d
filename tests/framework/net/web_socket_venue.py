"""A venue with a WebSocket, driven by the test, and a handler that keeps what it hears."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from framework.model.events import ConnectionChanged, ConnectionState
from framework.net.link import Endpoint, Link, LinkOptions
from framework.net.listening import listen
from framework.simulation.loop import SimulatedLoop
from tests.adapters.mock.seams import HandContext

HOST, PORT = "venue", 80
Serve = Callable[[web.WebSocketResponse], Awaitable[None]]


async def stay(socket: web.WebSocketResponse) -> None:
    """Say nothing, and answer pings and the close."""
    async for _ in socket:
        pass


class Venue:
    """Accepts connections; `serve` is what it does with each, `answers` comes before that.

    A number in `answers` refuses one handshake with that status.
    """

    def __init__(self, serve: Serve = stay) -> None:
        self.serve = serve
        self.autoping = True
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.endpoint_failures: list[Exception] = []  # that making the address raises
        self.tokens: list[str | None] = []
        self.received: list[str | bytes] = []
        self.close_codes: list[int | None] = []
        self.requests: list[web.Request] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.url = ""
        self.app = web.Application()
        self.app.router.add_get("/feed", self._accept)

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("token"))
        if self.answers:
            status, headers = self.answers.pop(0)
            return web.Response(status=status, headers=headers, text="no, and here is why")
        socket = web.WebSocketResponse(autoping=self.autoping, timeout=0.5)
        await socket.prepare(request)
        self.requests.append(request)
        self.sockets.append(socket)
        try:
            await self.serve(socket)
        finally:
            self.close_codes.append(socket.close_code)
        return socket

    async def collect(self, socket: web.WebSocketResponse) -> None:
        """Keep what the client sends."""
        async for message in socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self.received.append(message.data)


class Recorder:
    """A handler that keeps everything; `link` is set by whoever makes the link."""

    def __init__(self) -> None:
        self.link: Link
        self.heard: list[tuple[Any, ...]] = []
        self.texts: list[bytes | str] = []
        self.states: list[ConnectionState] = []
        self.lost: list[str] = []
        self.streams_when_open = True

    def on_open(self) -> None:
        self.heard.append(("open",))
        if self.streams_when_open:
            self.link.mark_streaming()

    def on_text(self, data: bytes | str) -> None:
        self.texts.append(data)

    def on_binary(self, data: bytes) -> None:
        self.heard.append(("binary", data))

    def on_ping(self, data: bytes) -> None:
        self.heard.append(("ping", data))

    def on_lost(self, reason: str) -> None:
        self.heard.append(("lost",))
        self.lost.append(reason)

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        self.states.append(new)
        self.heard.append((old, new))


class Bench:
    """A venue, a link to it that runs, and all that was heard."""

    def __init__(
        self, venue: Venue, options: LinkOptions, recorder: Recorder, context: HandContext
    ) -> None:
        self.venue = venue
        self.context = context
        self.recorder = recorder
        self.link = recorder.link = Link(
            "feed", context, endpoint=self.endpoint, handler=recorder, options=options
        )
        self.endpoint_count = 0
        self.running: asyncio.Task[None]

    async def endpoint(self) -> Endpoint:
        """Return the venue's address with a token that is new each time."""
        self.endpoint_count += 1
        if self.venue.endpoint_failures:
            raise self.venue.endpoint_failures.pop(0)
        return Endpoint(self.venue.url, (("token", f"secret-{self.endpoint_count}"),))

    @property
    def changes(self) -> list[ConnectionChanged]:
        """The moves as they were published."""
        return [event for event in self.context.published if isinstance(event, ConnectionChanged)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once `condition` holds; fail after 10 s, or an hour of virtual time."""
        is_simulated = isinstance(asyncio.get_running_loop(), SimulatedLoop)
        async with asyncio.timeout(3600 if is_simulated else 10):
            while not condition():  # noqa: ASYNC110 -- anything may be waited for
                await asyncio.sleep(0.01)


@asynccontextmanager
async def bench(
    venue: Venue,
    options: LinkOptions = LinkOptions(),  # noqa: B008 -- frozen
    *,
    recorder: Recorder | None = None,
    host: str = HOST,
    port: int = PORT,
) -> AsyncIterator[Bench]:
    """Serve `venue`, run a link to it, and end both."""
    listener = await listen(venue.app, host, port)
    venue.url = f"ws://{listener.host}:{listener.port}/feed"
    made = Bench(venue, options, recorder or Recorder(), HandContext())
    made.running = asyncio.create_task(made.link.run())
    try:
        yield made
    finally:
        made.running.cancel()
        await asyncio.wait([made.running])
        await listener.aclose()
