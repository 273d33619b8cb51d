"""A server with one WebSocket and one stream of events, and a door that keeps what it is told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from framework.model.desk import Principal
from framework.net.connectors import open_connector
from framework.net.listening import Listener, listen
from framework.server import sse, web_sockets
from framework.server.door import Call, Refused
from framework.server.links import Link, Links
from framework.settings.server import LimitSettings
from framework.simulation.loop import SimulatedLoop

HOST, PORT = "door", 80
ADDRESS = (HOST, PORT)
WELCOME = b"welcome"


class Stage:
    """What the door was told: `told` in order, `links` ever opened; `on_text` may be replaced."""

    def __init__(self, limits: LimitSettings, *, welcome: bytes = WELCOME) -> None:
        self.registry = Links(limits, name="stage")
        self.told: list[tuple[Any, ...]] = []
        self.links: list[Link] = []
        self.refused: list[Refused] = []
        self.failures: list[Exception] = []
        self.welcome = welcome
        self.on_text: Callable[[Link, str], None] = lambda link, text: None
        self.on_close: Callable[[Link], None] = lambda link: None
        self.app = web.Application()
        self.app.router.add_get("/ws", self._web_socket)
        self.app.router.add_get("/events", self._events)
        self.listener: Listener
        self.session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://{self.listener.host}:{self.listener.port}"

    def dial(self, **options: Any) -> Any:
        """Return a WebSocket in the making: use with `async with`."""
        return self.session.ws_connect(f"{self.url}/ws", compress=0, **options)

    async def until(self, condition: Callable[[], object], wait_s: float = 20) -> None:
        """Return once `condition` holds; fail after so long, or an hour of virtual time."""
        is_simulated = isinstance(asyncio.get_running_loop(), SimulatedLoop)
        async with asyncio.timeout(3600 if is_simulated else wait_s):
            while not condition():  # noqa: ASYNC110 -- anything may be waited for
                await asyncio.sleep(0.01)

    async def _web_socket(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(
            request,
            lambda call: web_sockets.serve(
                call,
                self.registry,
                on_open=self._opened,
                on_text=self._heard,
                on_close=self._closed,
                on_strange=lambda link, what: self.told.append((link.id, "strange", what)),
            ),
        )

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(
            request,
            lambda call: sse.serve(
                call, self.registry, on_open=self._resumed, on_close=self._closed
            ),
        )

    async def _answer(
        self, request: web.Request, serve: Callable[[Call], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        who = Principal(request.headers.get("X-Token", "somebody"), ())
        try:
            return await serve(Call(who, {}, None, None, "c-1", request))
        except Refused as refused:
            self.refused.append(refused)
            return web.json_response({"kind": refused.kind.value}, status=418)
        except Exception as failure:
            self.failures.append(failure)
            raise

    def _opened(self, link: Link) -> None:
        self.links.append(link)
        self.told.append((link.id, "open"))
        if self.welcome:
            link.send(self.welcome)

    def _resumed(self, link: Link, after: str | None) -> None:
        self.links.append(link)
        self.told.append((link.id, "open", after))

    def _heard(self, link: Link, text: str) -> None:
        self.told.append((link.id, "text", text))
        self.on_text(link, text)

    def _closed(self, link: Link) -> None:
        self.told.append((link.id, "close", link.close_code, link.close_reason))
        self.on_close(link)


def limits(**changes: Any) -> LimitSettings:
    """Return limits with some changed."""
    return msgspec.structs.replace(LimitSettings(), **changes)


@asynccontextmanager
async def staged(
    chosen: LimitSettings | None = None,
    *,
    welcome: bytes = WELCOME,
    host: str = HOST,
    port: int = PORT,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Stage]:
    """Serve a stage with a session of a client, and end both."""
    stage = Stage(chosen or LimitSettings(), welcome=welcome)
    stage.listener = await listen(stage.app, host, port, tls=tls)
    try:
        async with aiohttp.ClientSession(connector=open_connector()) as stage.session:
            yield stage
    finally:
        await stage.listener.aclose()
    assert stage.failures == []
