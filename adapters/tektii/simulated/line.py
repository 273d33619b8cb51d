"""The line in front of a gateway, on which anything can be broken: requests and streams pass it.

It knows of the protocol only what its faults are about: market data frames, new orders.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping

import msgspec
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError, web
from yarl import URL

from framework.net.connectors import open_connector
from framework.net.listening import Listener, listen

ORDERS = "/v1/orders"
STREAM = "/v1/ws"
MARKET = frozenset(("quote", "candle"))
TOO_MANY = {"code": "RATE_LIMITED", "message": "slow down", "details": {"retry_after_seconds": 1}}
GARBLED = '{"type":"quote","quote":{"symbol":'
HOP_BY_HOP = frozenset(
    ("host", "connection", "transfer-encoding", "content-length", "content-encoding", "date")
)


class LineFaults(msgspec.Struct):
    """What is to go wrong: counts of what comes next, `is_mute` until it is healed."""

    lose: int = 0
    repeat: int = 0
    swap: int = 0
    garble: int = 0
    lose_answer: int = 0
    too_many: int = 0
    is_mute: bool = False


class Placed(msgspec.Struct):
    """A new order as it was asked for."""

    client_order_id: str | None = None


class Kind(msgspec.Struct):
    """What a frame is about."""

    type: str = ""


class Line:
    """Passes on what comes to a gateway at `upstream` (`http://host:port`).

    Attributes:
        faults: what goes wrong.
        taken: how many new orders with a client's id the gateway took.
        opened_count, refused_count: streams opened, and answers of the gateway that say too many.
    """

    def __init__(self, upstream: str) -> None:
        self.faults = LineFaults()
        self.taken: Counter[str] = Counter()
        self.opened_count = 0
        self.refused_count = 0
        self._upstream = upstream
        self._session: ClientSession | None = None
        self._listener: Listener | None = None
        self._streams: dict[int, web.WebSocketResponse] = {}

    @property
    def stream_count(self) -> int:
        """Open streams."""
        return len(self._streams)

    async def start(self, host: str, port: int) -> None:
        """Listen."""
        self._session = ClientSession(connector=open_connector(), auto_decompress=False)
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._on_request)
        self._listener = await listen(app, host, port)

    async def aclose(self) -> None:
        """Close everything."""
        if self._listener is not None:
            await self._listener.aclose()
        if self._session is not None:
            await self._session.close()

    def heal(self) -> None:
        """End every fault."""
        self.faults = LineFaults()

    # -- requests --------------------------------------------------------------------------------

    async def _on_request(self, request: web.Request) -> web.StreamResponse:
        if request.path == STREAM:
            return await self._on_stream(request)
        if self.faults.too_many:
            self.faults.too_many -= 1
            return web.json_response(TOO_MANY, status=429)
        body = await request.read()
        is_order = request.method == "POST" and request.path == ORDERS
        answer = await self._pass_on(request, body)
        if answer.status == 429:
            self.refused_count += 1
        if is_order:
            self._note(body, answer.status)
            if self.faults.lose_answer:
                self.faults.lose_answer -= 1
                if request.transport is not None:
                    request.transport.abort()
        return answer

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        assert self._session is not None
        async with self._session.request(
            request.method, self._target(request), headers=_kept(request.headers), data=body
        ) as answer:
            return web.Response(
                status=answer.status, headers=_kept(answer.headers), body=await answer.read()
            )

    def _target(self, request: web.Request) -> URL:
        return URL(self._upstream + request.raw_path, encoded=True)

    def _note(self, body: bytes, status: int) -> None:
        if status == 201:
            placed = msgspec.json.decode(body, type=Placed)
            self.taken[placed.client_order_id or ""] += 1

    # -- streams ---------------------------------------------------------------------------------

    async def _on_stream(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        self.opened_count += 1
        number = self.opened_count
        try:
            upstream = await self._session.ws_connect(
                self._target(request), headers=_authorization(request), max_msg_size=0
            )
        except WSServerHandshakeError as refused:
            return web.Response(status=refused.status)
        client = web.WebSocketResponse(max_msg_size=0)
        await client.prepare(request)
        self._streams[number] = client
        up = asyncio.ensure_future(_carry_up(client, upstream))
        try:
            await self._carry_down(upstream, client)
        finally:
            del self._streams[number]
            up.cancel()
            await upstream.close()
            await client.close(code=upstream.close_code or 1000)
        return client

    async def _carry_down(
        self, upstream: ClientWebSocketResponse, client: web.WebSocketResponse
    ) -> None:
        waiting: deque[str] = deque()
        async for message in upstream:
            if message.type is not WSMsgType.TEXT:
                continue
            for text in self._harmed(message.data, waiting):
                await client.send_str(text)

    def _harmed(self, text: str, waiting: deque[str]) -> list[str]:
        """Return what becomes of a frame; what is to come late waits."""
        faults = self.faults
        if faults.is_mute:
            return []
        if msgspec.json.decode(text, type=Kind).type not in MARKET:
            return [text]
        if faults.lose:
            faults.lose -= 1
            return []
        if faults.garble:
            faults.garble -= 1
            return [GARBLED]
        if faults.repeat:
            faults.repeat -= 1
            return [text, text]
        if waiting:
            return [text, waiting.popleft()]
        if faults.swap:
            faults.swap -= 1
            waiting.append(text)
            return []
        return [text]


async def _carry_up(client: web.WebSocketResponse, upstream: ClientWebSocketResponse) -> None:
    """Pass on what the client says; its end is the stream's."""
    async for message in client:
        if message.type is WSMsgType.TEXT:
            await upstream.send_str(message.data)
    await upstream.close()


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


def _authorization(request: web.Request) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name.lower() in ("authorization", "x-api-key")
    }
