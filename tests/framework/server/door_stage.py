"""A server with one small door in front of a desk that only notes what it is asked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any, cast

import aiohttp
import msgspec
import yarl
from prometheus_client import CollectorRegistry

from framework.errors import ConfigError, Forbidden, FrameworkError, UnknownOrder
from framework.interfaces import TradingDesk
from framework.model.desk import Principal, VenueHealth, Verb
from framework.net.connectors import open_connector
from framework.server.door import Answer, Call, Door, DoorContext, Pacer, Refused, Route
from framework.server.probes import STATUSES
from framework.server.serving import Server, Surroundings
from framework.settings.secrets import Secret
from framework.settings.server import (
    DoorSettings,
    LimitSettings,
    ListenerSettings,
    TokenSettings,
)

NOW_NS = 1_780_000_000_000_000_000
NOW = datetime.fromtimestamp(NOW_NS / 1e9, UTC)
VENUES = {"main": "binance", "other": "kalshi"}
LISTEN = "127.0.0.1:8080"


def secret_of(name: str) -> str:
    """Return the secret of the token `name`: long, and of many characters."""
    return f"{name}-0123456789abcdefghijklmnopqrstuvwxyz"


def bearer(name: str) -> dict[str, str]:
    """Return the headers that the token `name` comes in."""
    return {"Authorization": f"Bearer {secret_of(name)}"}


class Thing(msgspec.Struct, frozen=True):
    symbol: str
    quantity: Decimal
    note: str = ""


class Filter(msgspec.Struct, frozen=True):
    limit: int = 10
    status: list[str] = []


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    code: str
    message: str
    field: str = ""
    provided: str | None = None


class NotingDesk:
    """Notes what is asked of it; an order belongs to the account whose name it begins with."""

    def __init__(self) -> None:
        self.is_real = False
        self.done: list[tuple[str, str]] = []
        self.states = [VenueHealth("binance", is_simulated=True, is_connected=True)]

    def health(self) -> list[VenueHealth]:
        return self.states

    async def written(self) -> None:
        """Have everything on disk."""

    def do(self, principal: Principal, what: str, *, instrument: str | None = None) -> None:
        if instrument is not None and not principal.allows(Verb.TRADE, instrument):
            raise Forbidden(f"not with {instrument}")
        self.done.append((principal.name, what))

    def find(self, principal: Principal, order: str) -> None:
        if order.partition("-")[0] not in {place.account for place in principal.places}:
            raise UnknownOrder(order)


class NotingDoor:
    """A door with one route of each sort."""

    name = "noting"
    token_headers: Sequence[str] = ("X-API-Key",)
    refusals: Mapping[int, type] = {}
    pacer: Pacer | None = None

    def __init__(self, desk: NotingDesk, context: DoorContext) -> None:
        self.desk = desk
        self.context = context
        self.calls: list[Call] = []
        self.errors: list[BaseException] = []
        self.events: list[str] = []
        self.failures: list[Exception] = []  # of `run`, the next first
        self.handle: Callable[[Call], Any] = lambda _: None
        self.gate = asyncio.Event()
        self.gate.set()
        many = {200: Any}
        self.routes: Sequence[Route] = [
            Route("GET", "/time", self.answer, None, many, "open"),
            Route("GET", "/orders", self.answer, Verb.READ, many, "list", query=Filter),
            Route("GET", "/orders/{order_id}", self.order, Verb.READ, many, "one"),
            Route("DELETE", "/orders/{order_id}", self.cancel, Verb.REDUCE, many, "end",
                  body=Filter, needs_body=False),
            Route("POST", "/orders", self.submit, Verb.TRADE, {201: Thing}, "new", body=Thing),
            Route("GET", "/prices/{symbol}", self.answer, Verb.MARKET, many, "price"),
            Route("GET", "/pairs/{first}/to/{second}", self.answer, Verb.MARKET, many, "pair"),
            Route("POST", "/reset", self.answer, Verb.ADMIN, many, "reset"),
            Route("GET", "/stream", self.answer, Verb.MARKET, many, "all", has_own_reader=True),
        ]  # fmt: skip

    async def answer(self, call: Call) -> Any:
        self.calls.append(call)
        await self.gate.wait()
        given = self.handle(call)
        return Answer({"name": call.principal.name}) if given is None else given

    async def order(self, call: Call) -> Any:
        self.desk.find(call.principal, call.path["order_id"])
        return await self.answer(call)

    async def cancel(self, call: Call) -> Any:
        self.desk.find(call.principal, call.path["order_id"])
        self.desk.do(call.principal, f"cancel {call.path['order_id']}")
        return await self.answer(call)

    async def submit(self, call: Call) -> Any:
        thing: Thing = call.body
        self.desk.do(call.principal, f"buy {thing.symbol}", instrument=thing.symbol)
        answer = await self.answer(call)
        return Answer(thing, 201) if answer.body == {"name": call.principal.name} else answer

    def refuse(self, error: BaseException) -> Answer:
        self.errors.append(error)
        if isinstance(error, Refused):
            told = Told(error.kind.value, error.message, error.field, error.provided)
            return Answer(told, STATUSES[error.kind])
        if isinstance(error, UnknownOrder):
            return Answer(Told("unknown_order", str(error)), 404)
        if isinstance(error, Forbidden):
            return Answer(Told("forbidden", str(error)), 403)
        if isinstance(error, FrameworkError):
            return Answer(Told("failed", str(error)), 422)
        return Answer(Told("internal", "internal error"), 500)

    async def run(self) -> None:
        self.events.append("runs")
        if self.failures:
            raise self.failures.pop(0)
        await asyncio.Event().wait()

    async def leave(self) -> None:
        self.events.append("leaves")


class Stage:
    """A running server; `audited` are the calls that were noted."""

    def __init__(
        self,
        listeners: Sequence[ListenerSettings],
        *,
        is_real: bool = False,
        secrets: Mapping[str, str] | None = None,
        make: Callable[[NotingDesk, DoorContext], Any] = NotingDoor,
    ) -> None:
        self.desk = NotingDesk()
        self.desk.is_real = is_real
        self.audited: list[tuple[str, str, str, str, int]] = []
        self.now_ns = NOW_NS
        self.registry = CollectorRegistry()
        self._secrets = secrets
        self._make = make
        self.server = Server(
            listeners,
            Surroundings(
                desk=cast(TradingDesk, self.desk),
                venue_of_account=VENUES,
                build_door=self._build,
                registry=self.registry,
                random_for=Random,
                secret=self._secret,
                now_ns=lambda: self.now_ns,
                audit=lambda *call: self.audited.append(call),
                version="1.2.3",
                session="session",
            ),
        )
        self.session: aiohttp.ClientSession
        self.urls: list[str] = []

    @property
    def door(self) -> NotingDoor:
        return cast(NotingDoor, self.server.doors[0])

    def _build(self, _: DoorSettings, context: DoorContext) -> Door:
        return cast(Door, self._make(self.desk, context))

    def _secret(self, reference: str) -> Secret:
        known = self._secrets
        if known is None:
            return Secret(secret_of(reference.partition(":")[2]))
        if reference not in known:
            raise ConfigError(f"{reference} is not set")
        return Secret(known[reference])

    async def ask(
        self, method: str, path: str, token: str | None = "all", **options: Any
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Return status, decoded body and headers of the answer."""
        headers = {**({} if token is None else bearer(token)), **options.pop("headers", {})}
        url = yarl.URL(self.urls[0] + path, encoded=True)
        async with self.session.request(method, url, headers=headers, **options) as answer:
            body = await answer.read()
            is_json = body and answer.headers.get("Content-Type") == "application/json"
            return answer.status, msgspec.json.decode(body) if is_json else body, answer.headers

    async def raw(self, data: bytes, *, until: bytes = b"\r\n\r\n") -> bytes:
        """Return what comes back for raw bytes, up to `until` or the end."""
        reader, writer = await self.connect()
        writer.write(data)
        try:
            return await reader.readuntil(until)
        except asyncio.IncompleteReadError as error:
            return error.partial
        finally:
            await hang_up(writer)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a new connection to the first address."""
        url = yarl.URL(self.urls[0])
        return await asyncio.open_connection(url.host, url.port)


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns, or the kind of its refusal."""
    try:
        return function(*arguments)
    except Refused as error:
        return error.kind


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever has become of it."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def token(name: str, **settings: Any) -> TokenSettings:
    """Return a token whose secret is `secret_of(name)`."""
    return TokenSettings(name, f"env:{name}", **settings)


def listener(
    *tokens: TokenSettings,
    listen: str = LISTEN,
    limits: LimitSettings | None = None,
    accounts: Sequence[str] = ("main", "other"),
    prefix: str = "",
    **settings: Any,
) -> ListenerSettings:
    """Return one address with one door."""
    door = DoorSettings("noting", list(accounts), run="outside", tokens=list(tokens), prefix=prefix)
    return ListenerSettings(listen, [door], limits=limits or LimitSettings(), **settings)


@asynccontextmanager
async def staged(*listeners: ListenerSettings, **options: Any) -> AsyncIterator[Stage]:
    """Serve until the end of the block; by default one door with the token `all`."""
    stage = Stage(listeners or [listener(token("all"))], **options)
    stage.urls = await stage.server.start()
    running = asyncio.ensure_future(stage.server.run())
    async with aiohttp.ClientSession(connector=open_connector()) as session:
        stage.session = session
        try:
            yield stage
        finally:
            await session.close()
            await stage.server.stop()
            await running
