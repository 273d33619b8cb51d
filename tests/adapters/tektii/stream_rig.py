"""The event stream on the fake desk: heard by hand, or by clients over the in-memory network."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import web

from adapters.tektii.server_broadcast import Broadcast
from adapters.tektii.server_errors import answer_to
from adapters.tektii.server_frames import Frames
from adapters.tektii.server_metrics import GatewayMetrics
from adapters.tektii.server_pacing import Acks
from adapters.tektii.server_resume import FrameStream, Scope, Streams
from adapters.tektii.server_settings import GatewaySettings, Place
from adapters.tektii.server_stream import EventStream, StreamQuery
from adapters.tektii.server_subscriptions import EVERYTHING, Subscriptions
from adapters.tektii.server_telling import Telling
from adapters.tektii.server_watches import Watches
from framework.errors import FrameworkError
from framework.model.desk import Principal
from framework.net.connectors import open_connector
from framework.net.listening import listen
from framework.server.decoding import QueryDecoder
from framework.server.door import Call
from framework.server.links import Link
from framework.settings.server import LimitSettings
from tests.adapters.tektii.fake_desk import OWNER, FakeDesk
from tests.adapters.tektii.gateway_rig import TransportTime, place_of

HOST, PORT = "gateway", 80
MS = 1_000_000
S = 1_000_000_000


class HandLink:
    """Stands for a `Link`: keeps what it is given."""

    def __init__(self, number: int = 1) -> None:
        self.id = number
        self.raw: list[bytes] = []

    def send(self, frame: bytes, *, key: str | None = None) -> None:
        self.raw.append(frame)

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(frame) for frame in self.raw]

    def take(self) -> list[dict[str, Any]]:
        """Return what came since the last call, without what numbers it."""
        frames = self.frames
        self.raw.clear()
        for frame in frames:
            for name in ("seq", "epoch"):
                del frame[name]
        return frames

    def kinds(self) -> list[str]:
        """Return types and events of what came since the last call."""
        return [
            " ".join(filter(None, (f["type"], f.get("event"), f.get("code")))) for f in self.take()
        ]


class Heard:
    """The telling of a gateway, without connections: `join` listens by hand."""

    def __init__(
        self,
        desk: FakeDesk | None = None,
        *,
        owner: Principal = OWNER,
        acks: Acks | None = None,
        settings: GatewaySettings | None = None,
    ) -> None:
        self.desk = desk or FakeDesk()
        self.time = TransportTime()
        self.place: Place = place_of(self.desk, owner=owner, time=self.time, settings=settings)
        self.streams = Streams("session", self.place.context.now_s)
        self.broadcast = Broadcast(self.place, self.streams, acks)
        self.watches = Watches(self.place)
        self.metrics = GatewayMetrics.shared(self.place.context.metrics, ["mock"])
        self.frames = Frames(self.place)
        self.telling = Telling(self.place, self.broadcast, self.frames, self.metrics, self.watches)
        self.telling.listen(lambda event: None)
        self._count = 0

    def join(
        self, principal: Principal = OWNER, subscriptions: Subscriptions = EVERYTHING
    ) -> HandLink:
        """Return a link that hears what a principal may through these subscriptions."""
        self._count += 1
        link = HandLink(self._count)
        stream = self.streams.get(Scope.of(principal), subscriptions)
        self.streams.join(stream, str(link.id), cast(Link, link))
        return link

    def stream_of(self, principal: Principal = OWNER) -> FrameStream:
        """Return the stream of a principal that takes everything."""
        return self.streams.get(Scope.of(principal), EVERYTHING)

    def metric(self, name: str, **labels: str) -> float:
        """Return a counter's value."""
        return self.place.context.metrics.get_sample_value(name, labels) or 0.0


class Client:
    """One client of a gateway's stream; `taken` are all frames so far."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.taken: list[dict[str, Any]] = []
        self.close_code: int | None = None

    async def next(self, within_s: float = 5.0) -> dict[str, Any]:
        """Return the next frame."""
        message = await self.socket.receive(timeout=within_s)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        frame: dict[str, Any] = msgspec.json.decode(message.data)
        self.taken.append(frame)
        return frame

    async def all(self, within_s: float = 0.5) -> list[dict[str, Any]]:
        """Return what comes until it is quiet, or closed."""
        found: list[dict[str, Any]] = []
        while True:
            try:
                message = await self.socket.receive(timeout=within_s)
            except TimeoutError:
                return found
            if message.type is not aiohttp.WSMsgType.TEXT:
                self.close_code = self.socket.close_code
                return found
            found.append(msgspec.json.decode(message.data))
            self.taken.append(found[-1])

    async def say(self, frame: Any) -> None:
        """Send text, bytes, or an object as JSON."""
        if isinstance(frame, bytes):
            await self.socket.send_bytes(frame)
        else:
            text = frame if isinstance(frame, str) else msgspec.json.encode(frame).decode()
            await self.socket.send_str(text)

    async def ack(self, *event_ids: str) -> None:
        """Acknowledge events as the client library does."""
        await self.say(
            {
                "type": "event_ack",
                "correlation_id": "6f6c0f4e-6b0b-4b8e-9c0b-0f1a2b3c4d5e",
                "events_processed": list(event_ids),
                "timestamp": 1772464262101,
            }
        )


class Rig:
    """A gateway's stream that runs, and a session for clients."""

    def __init__(self, desk: FakeDesk, stream: EventStream, session: aiohttp.ClientSession) -> None:
        self.desk = desk
        self.stream = stream
        self.session = session
        self.principals: dict[str, Principal] = {"": OWNER}

    @asynccontextmanager
    async def client(self, who: str = "", **query: object) -> AsyncIterator[Client]:
        """Connect a client, with a query if one is given, and close it."""
        asked = urlencode(
            {
                name: str(value).lower() if isinstance(value, bool) else value
                for name, value in query.items()
            }
        )
        url = f"http://{HOST}:{PORT}/v1/ws" + (f"?{asked}" if asked else "")
        async with self.session.ws_connect(url, headers={"X-Who": who}) as socket:
            yield Client(socket)

    async def until(self, condition: Callable[[], object], within_s: float = 30.0) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - anything may be waited for
                await asyncio.sleep(0.005)


@asynccontextmanager
async def rig(
    desk: FakeDesk | None = None,
    *,
    settings: GatewaySettings | None = None,
    limits: LimitSettings | None = None,
    owner: Principal = OWNER,
) -> AsyncIterator[Rig]:
    """Serve a gateway's stream on the in-memory network of the running loop."""
    desk = desk or FakeDesk()
    time = TransportTime()
    loop = asyncio.get_running_loop()
    place = place_of(desk, settings=settings, limits=limits, owner=owner, time=time)
    context = msgspec.structs.replace(place.context, now_s=loop.time)
    place = Place(context, place.settings)
    stream = EventStream(place)
    app = web.Application()
    decoder = QueryDecoder(StreamQuery)
    found: list[Rig] = []

    async def connect(request: web.Request) -> web.StreamResponse:
        principal = found[0].principals[request.headers.get("X-Who", "")]
        try:
            query = decoder.decode(request.query_string)
            answer: web.StreamResponse = await stream.connect(
                Call(principal, {}, query, None, "c-1", request)
            )
        except FrameworkError as error:
            refusal = answer_to(error)
            return web.json_response(msgspec.to_builtins(refusal.body), status=refusal.status)
        return answer

    app.router.add_get("/v1/ws", connect)
    listener = await listen(app, HOST, PORT)
    running = asyncio.create_task(stream.run())
    try:
        async with aiohttp.ClientSession(connector=open_connector()) as session:
            found.append(Rig(desk, stream, session))
            await asyncio.sleep(0)
            yield found[0]
    finally:
        running.cancel()
        await asyncio.wait([running])
        await listener.aclose()
