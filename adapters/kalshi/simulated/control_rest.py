"""The REST side's part of the control interface, for clients in other processes.

    GET    /control/rest/requests?path=&method=      the newest requests, oldest first
    POST   /control/rest/faults                      a fault of `rest_faults.py`
    DELETE /control/rest/faults                      heal
    PUT    /control/rest/lag                         {"lag_ms": ...} of portfolio reads
    PUT    /control/rest/limits                      {"is_enforced": ...}

Like the rest of it, it is for tests and asks nobody who they are.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from aiohttp import web

from adapters.kalshi.simulated.http import RestApi
from adapters.kalshi.simulated.rest_faults import RestFault

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Lag(msgspec.Struct, frozen=True):
    """How far portfolio reads lag behind."""

    lag_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]


class Limits(msgspec.Struct, frozen=True):
    """Whether spent tokens are refused with 429."""

    is_enforced: bool


def rest_control_routes(api: RestApi) -> list[web.RouteDef]:
    """Return the routes under `/control/rest/`."""
    pages = _Pages(api)
    return [
        web.get("/control/rest/requests", pages.requests),
        web.post("/control/rest/faults", _checked(pages.add_fault)),
        web.delete("/control/rest/faults", pages.heal),
        web.put("/control/rest/lag", _checked(pages.set_lag)),
        web.put("/control/rest/limits", _checked(pages.set_limits)),
    ]


class _Pages:
    def __init__(self, api: RestApi) -> None:
        self._api = api

    async def requests(self, request: web.Request) -> web.Response:
        path, method = request.query.get("path", ""), request.query.get("method", "")
        return _answer(
            [
                received
                for received in self._api.received
                if path in received.path and method in ("", received.method)
            ]
        )

    async def add_fault(self, request: web.Request) -> web.Response:
        self._api.faults.add(msgspec.json.decode(await request.read(), type=RestFault))
        return _answer({})

    async def heal(self, _: web.Request) -> web.Response:
        self._api.faults.clear()
        return _answer({})

    async def set_lag(self, request: web.Request) -> web.Response:
        lag = msgspec.json.decode(await request.read(), type=Lag)
        self._api.reads.lag_ms = lag.lag_ms
        return _answer(lag)

    async def set_limits(self, request: web.Request) -> web.Response:
        limits = msgspec.json.decode(await request.read(), type=Limits)
        self._api.throttle.is_enforced = limits.is_enforced
        return _answer(limits)


def _checked(handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except ValueError as error:  # msgspec's errors are ones too
            return _answer({"error": str(error)}, 400)

    return handle


def _answer(content: object, status: int = 200) -> web.Response:
    body = msgspec.json.encode(content)
    return web.Response(body=body, status=status, content_type="application/json")
