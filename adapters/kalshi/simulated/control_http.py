"""The control interface over HTTP, for clients in other processes and other languages.

    GET    /control/connections                      living connections
    GET    /control/subscriptions?connection=        living subscriptions and their counters
    GET    /control/commands?connection=&cmd=        every command received
    GET    /control/books/{ticker}                   the true book, in the units of `domain.py`
    GET    /control/statistics
    GET    /control/faults                           those that may still strike
    POST   /control/faults                           a fault of `faults.py`, told by its `kind`
    DELETE /control/faults                           heal: all faults and rates
    DELETE /control/faults/{number}
    GET    /control/rates, PUT /control/rates        chances

It is for tests: it asks nobody who they are.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from adapters.kalshi.simulated.control import Control
from adapters.kalshi.simulated.domain import Refusal
from adapters.kalshi.simulated.faults import AnyFault, FaultRates

Handler = Callable[[web.Request], Awaitable[web.Response]]


def control_routes(control: Control) -> list[web.RouteDef]:
    """Return the routes under `/control/`."""
    pages = _Pages(control)
    return [
        web.get("/control/connections", pages.connections),
        web.get("/control/subscriptions", _checked(pages.subscriptions)),
        web.get("/control/commands", _checked(pages.commands)),
        web.get("/control/books/{ticker}", pages.book),
        web.get("/control/statistics", pages.statistics),
        web.get("/control/faults", pages.faults),
        web.post("/control/faults", _checked(pages.inject)),
        web.delete("/control/faults", pages.heal),
        web.delete("/control/faults/{number:[0-9]+}", pages.heal),
        web.get("/control/rates", pages.rates),
        web.put("/control/rates", _checked(pages.set_rates)),
    ]


class _Pages:
    def __init__(self, control: Control) -> None:
        self._control = control

    async def connections(self, _: web.Request) -> web.Response:
        return _answer(self._control.connections())

    async def subscriptions(self, request: web.Request) -> web.Response:
        connection = _number(request.query.get("connection"))
        return _answer(self._control.subscriptions(connection=connection))

    async def commands(self, request: web.Request) -> web.Response:
        connection, cmd = _number(request.query.get("connection")), request.query.get("cmd", "")
        return _answer(self._control.commands(connection=connection, cmd=cmd))

    async def book(self, request: web.Request) -> web.Response:
        try:
            return _answer(self._control.book(request.match_info["ticker"]))
        except Refusal as refusal:
            return _answer({"error": refusal.message}, refusal.status)

    async def statistics(self, _: web.Request) -> web.Response:
        return _answer(self._control.statistics())

    async def faults(self, _: web.Request) -> web.Response:
        return _answer(self._control.faults())

    async def inject(self, request: web.Request) -> web.Response:
        fault: AnyFault = msgspec.json.decode(await request.read(), type=AnyFault)
        return _answer({"number": self._control.inject(fault)})

    async def heal(self, request: web.Request) -> web.Response:
        number = _number(request.match_info.get("number"))
        if self._control.heal(number):
            return _answer({})
        return _answer({"error": f"there is no fault {number}"}, 404)

    async def rates(self, _: web.Request) -> web.Response:
        return _answer(self._control.rates)

    async def set_rates(self, request: web.Request) -> web.Response:
        self._control.set_rates(msgspec.json.decode(await request.read(), type=FaultRates))
        return _answer(self._control.rates)


def _checked(handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except ValueError as error:  # msgspec's errors are ones too
            return _answer({"error": str(error)}, 400)

    return handle


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _answer(content: Any, status: int = 200) -> web.Response:
    body = msgspec.json.encode(content)
    return web.Response(body=body, status=status, content_type="application/json")
