"""A REST server that answers what it was told to, and a client in front of it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.rest import KalshiRest
from framework.net.listening import listen
from framework.settings.secrets import Secret
from tests.broker.rig import RigContext, play, simulated_loop

T = TypeVar("T")
ADDRESS = ("kalshi", 80)
PREFIX = "/trade-api/v2"
BASE_URL = f"http://kalshi{PREFIX}"
PRIVATE_KEY = rsa.generate_private_key(65_537, 2048)
PEM = PRIVATE_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

Answer = tuple[int, Any]


class Heard(msgspec.Struct):
    """One request as it arrived; `path` is below the base path."""

    method: str
    path: str
    query: list[tuple[str, str]]
    body: Any
    headers: dict[str, str]


class ScriptedRest:
    """Answers each request with the next of its answers; the last one is said for ever."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._answers: dict[str, list[Answer]] = {}
        self.app = web.Application()
        self.app.router.add_route("*", "/{path:.*}", self._handle)

    def on(self, call: str, *bodies: Any, status: int = 200) -> None:
        """Answer `"GET /path"` with these bodies, one after the other; bytes go as they are."""
        self.then(call, *((status, body) for body in bodies))

    def then(self, call: str, *answers: Answer) -> None:
        """Answer with these statuses and bodies, one after the other."""
        self._answers[call] = list(answers)

    async def _handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        path = request.raw_path.partition("?")[0].removeprefix(PREFIX)
        heard = Heard(
            request.method,
            path,
            list(request.query.items()),
            json.loads(text) if text else None,
            dict(request.headers),
        )
        self.heard.append(heard)
        answers = self._answers[f"{request.method} {path}"]
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=content, content_type="application/json")


class Rig(msgspec.Struct):
    """The server and the client."""

    server: ScriptedRest
    rest: KalshiRest
    context: RigContext

    @property
    def last(self) -> Heard:
        """The newest request."""
        return self.server.heard[-1]


@asynccontextmanager
async def started(*, is_signed: bool = False, **options: Any) -> AsyncIterator[Rig]:
    """Run a server and a client."""
    server, context = ScriptedRest(), RigContext(simulated_loop())
    listener = await listen(server.app, *ADDRESS)
    key = KalshiKey("key-1", Secret(PEM), context) if is_signed else None
    rest = KalshiRest(context, BASE_URL, key, **options)
    try:
        yield Rig(server, rest, context)
    finally:
        await rest.aclose()
        await listener.aclose()


def run(main: Callable[[Rig], Awaitable[T]], **options: Any) -> T:
    """Play a scene with a server and a client on a simulated loop."""

    async def scene() -> T:
        async with started(**options) as rig:
            return await main(rig)

    return play(scene)
