"""The REST side of the venue: one pipeline in front of all handlers.

    faults -> who it is (401) -> declared as JSON (400) -> tokens (429) -> handler -> answer

What a handler refuses, and whatever cannot be read, is answered in the venue's error shape.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from adapters.kalshi.simulated.auth import KEY, Denied, Gatekeeper
from adapters.kalshi.simulated.call import Answer, Call, Route
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.domain import Refusal
from adapters.kalshi.simulated.exchange import Exchange
from adapters.kalshi.simulated.http_event_orders import SecondGeneration
from adapters.kalshi.simulated.http_groups import GroupCalls
from adapters.kalshi.simulated.http_market import MarketReads
from adapters.kalshi.simulated.http_orders import FirstGeneration
from adapters.kalshi.simulated.http_portfolio import PortfolioCalls
from adapters.kalshi.simulated.lag import LaggingReads
from adapters.kalshi.simulated.rest_errors import TOO_MANY_REQUESTS, ErrorShape, error_body
from adapters.kalshi.simulated.rest_faults import FaultKind, RestFault, RestFaults
from adapters.kalshi.simulated.tcp_reset import reset
from adapters.kalshi.simulated.throttle import Direction, Throttle, TierName
from framework.interfaces import Clock

PREFIX = "/trade-api/v2"
JSON = "application/json"
MILLISECOND_NS = 1_000_000
LARGEST_BODY = 1 << 18  # bytes: the `client_max_size` of an application that it is added to
REQUESTS_KEPT = 10_000
STATUS_CODES = {401: "authentication_error", 403: "permission_denied", 429: "too_many_requests"}

Faults = dict[FaultKind, RestFault]


class RestSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the REST side behaves."""

    profile: Profile = Profile.CURRENT
    error_shape: ErrorShape = "nested"
    null_lists: bool = False  # empty lists are null, as the venue sometimes has them
    tier: TierName = "basic"
    enforces_limits: bool = False  # 429 once an account's tokens are spent
    lag_ms: int = 0  # portfolio reads show the state of then
    largest_batch: int = 20


class Received(msgspec.Struct, frozen=True):
    """A request that came, and the status it was answered with; 0: it got no answer."""

    time_ns: int
    account: str
    method: str
    path: str
    query: str
    body: str
    status: int


class RestApi:
    """All of `/trade-api/v2`, to be added to an application.

    `reads`, `throttle` and `faults` may be changed while it runs; `received` has the newest
    requests, for tests to see what a client asked for (S15).
    """

    def __init__(
        self, exchange: Exchange, gatekeeper: Gatekeeper, clock: Clock, settings: RestSettings
    ) -> None:
        self.settings = settings
        self.faults = RestFaults(lambda: clock.now_ns)
        self.throttle = Throttle(
            settings.tier, lambda: clock.now_ns, is_enforced=settings.enforces_limits
        )
        accounts = {account.name for account in exchange.accounts if not account.is_background}
        self.reads = LaggingReads(exchange, clock, accounts, settings.lag_ms)
        self.received: deque[Received] = deque(maxlen=REQUESTS_KEPT)
        self._exchange = exchange
        self._gatekeeper = gatekeeper
        self._clock = clock

    def add_to(self, app: web.Application) -> None:
        """Add every route; what is none of them is answered with 404 in the venue's shape."""
        for route in self._routes():
            app.router.add_route(route.method, PREFIX + route.path, self._handler(route))
        app.router.add_route("*", PREFIX + "/{rest:.*}", self._handler(None))

    def _routes(self) -> list[Route]:
        exchange, settings = self._exchange, self.settings
        return [
            *MarketReads(exchange, settings.profile).routes(),
            *PortfolioCalls(exchange, self.reads, self.throttle, settings.profile).routes(),
            *FirstGeneration(exchange, settings.profile, settings.largest_batch).routes(),
            *SecondGeneration(exchange, settings.largest_batch).routes(),
            *GroupCalls(exchange, settings.profile).routes(),
        ]

    def _handler(self, route: Route | None) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            return await self._serve(request, route)

        return handle

    async def _serve(self, request: web.Request, route: Route | None) -> web.Response:
        faults = self.faults.take(request.method, request.path)
        if "lose_request" in faults:
            return _lost(request)
        if "delay_request" in faults:
            await _pause(faults["delay_request"].delay_s)
        account, body = "", b""
        try:
            body = await _body_of(request)
            account = self._account_of(request, route)
            answer = self._answer(request, route, account, body, faults)
        except Denied as denied:
            status, content = 401, denied.body
        except Refusal as refusal:
            status, content = refusal.status, self._refusal_body(refusal)
        else:
            status, content = answer.status, self._encode(answer.body)
        self._note(request, account, body, status)
        return await self._spoilt(request, status, content, faults)

    def _account_of(self, request: web.Request, route: Route | None) -> str:
        """Return whose request it is; "" for an anonymous one. Raises Denied.

        Public routes need no signature in any mode, but one that is there must be right.
        """
        is_public = route is None or not route.is_private
        if is_public and KEY not in request.headers:
            return ""
        now_ms = self._clock.now_ns // MILLISECOND_NS
        path = request.raw_path.partition("?")[0]
        account = self._gatekeeper.check(request.method, path, request.headers, now_ms)
        if account is None and not is_public:
            raise Denied("MISSING_AUTHENTICATION_HEADERS")
        return account or ""

    def _answer(
        self, request: web.Request, route: Route | None, account: str, body: bytes, faults: Faults
    ) -> Answer:
        """Carry the request out. Raises Refusal."""
        if route is None:
            raise Refusal(404, "not_found", f"there is no {request.method} {request.path}")
        if "refuse" in faults:
            raise _failure(faults["refuse"])
        if (route.has_body or body) and request.content_type != JSON:
            raise Refusal(400, "invalid_content_type", f"the content type must be {JSON}")
        call = Call(
            account=account,
            parts=request.match_info,
            query=_joined(request),
            body=body or (b"{}" if route.has_body else b""),
        )
        self._take_tokens(route, call)
        answer = route.handle(call)
        if "fail_after" in faults:
            raise _failure(faults["fail_after"])
        if "repeat_cursor" in faults and isinstance(answer.body, dict):
            answer.body["cursor"] = answer.body.get("cursor") and call.text("cursor")
        return answer

    def _take_tokens(self, route: Route, call: Call) -> None:
        direction: Direction = "read" if route.method == "GET" else "write"
        if self.throttle.is_enforced and not self.throttle.takes(
            call.account, direction, route.cost_of(call)
        ):
            raise Refusal(429, "too_many_requests", "too many requests")

    async def _spoilt(
        self, request: web.Request, status: int, content: bytes, faults: Faults
    ) -> web.Response:
        """Send the answer as the faults let it through."""
        if "delay_answer" in faults:
            await _pause(faults["delay_answer"].delay_s)
        if "lose_answer" in faults:
            return _lost(request)
        if "garble" in faults:
            content = content[: len(content) // 2] + b"<html>"
        return web.Response(status=status, body=content, content_type=JSON)

    def _encode(self, body: object) -> bytes:
        return msgspec.json.encode(without_empty_lists(body) if self.settings.null_lists else body)

    def _refusal_body(self, refusal: Refusal) -> bytes:
        if refusal.status == 429:
            return TOO_MANY_REQUESTS
        return error_body(self.settings.error_shape, refusal.code, refusal.message)

    def _note(self, request: web.Request, account: str, body: bytes, status: int) -> None:
        self.received.append(
            Received(
                time_ns=self._clock.now_ns,
                account=account,
                method=request.method,
                path=request.path,
                query=request.query_string,
                body=body.decode(errors="replace"),
                status=status,
            )
        )


def without_empty_lists(body: Any) -> Any:
    """Return a body with null in the place of every empty list."""
    if isinstance(body, dict):
        return {name: without_empty_lists(value) for name, value in body.items()}
    if isinstance(body, list):
        return [without_empty_lists(value) for value in body] or None
    return body


async def _body_of(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refusal(400, "invalid_parameters", "the body is too large") from error


def _joined(request: web.Request) -> dict[str, str]:
    query = request.query
    return {name: ",".join(query.getall(name)) for name in query}


def _failure(fault: RestFault) -> Refusal:
    code = STATUS_CODES.get(fault.status, "internal_server_error")
    return Refusal(fault.status, code, "it was asked to fail")


def _lost(request: web.Request) -> web.Response:
    """End the connection; what is returned reaches nobody."""
    reset(request.transport)
    return web.Response()


async def _pause(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    timer = loop.call_later(seconds, woken.set_result, None)
    try:
        await woken
    finally:
        timer.cancel()
