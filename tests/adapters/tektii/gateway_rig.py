"""Routes of a gateway without a server: a place on the fake desk, calls by hand, bodies as data."""

from collections.abc import Iterable
from random import Random
from typing import Any, cast

import msgspec
from prometheus_client import CollectorRegistry

from adapters.tektii.server_errors import answer_to
from adapters.tektii.server_settings import GatewaySettings, Place
from framework.errors import FrameworkError
from framework.interfaces import TradingDesk
from framework.model.desk import Principal
from framework.server.decoding import QueryDecoder
from framework.server.door import Answer, Call, DoorContext, Route
from framework.settings.secrets import Secret
from framework.settings.server import DoorSettings, LimitSettings
from tests.adapters.tektii.fake_desk import OWNER


class TransportTime:
    """Seconds that a test turns by hand, and whether the server is stopping."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.is_stopping = False


def place_of(
    desk: TradingDesk,
    *,
    settings: GatewaySettings | None = None,
    owner: Principal = OWNER,
    time: TransportTime | None = None,
    limits: LimitSettings | None = None,
    prefix: str = "",
) -> Place:
    """Return the place that a gateway's parts share."""
    transport = time or TransportTime()
    context = DoorContext(
        desk=desk,
        settings=DoorSettings("tektii", [place.account for place in owner.places], prefix=prefix),
        key="server[0].doors[0]",
        limits=limits or LimitSettings(),
        owner=owner,
        metrics=CollectorRegistry(),
        random_for=lambda name: Random(name),
        secret=lambda reference: Secret(reference),
        now_s=lambda: transport.now_s,
        is_stopping=lambda: transport.is_stopping,
        version="1.2.3",
        session="session",
    )
    return Place(context, settings or GatewaySettings())


class Caller:
    """Calls the handlers of some routes as a server would, and shows refusals as answers."""

    def __init__(self, routes: Iterable[Route], principal: Principal = OWNER) -> None:
        self.routes = {(route.method, route.path): route for route in routes}
        self.principal = principal

    async def answer(
        self, method: str, path: str, query: str = "", body: Any = None, **parameters: str
    ) -> Answer:
        """Return the answer of an operation; `path` is that of its route."""
        route = self.routes[method, path]
        request = cast(Any, None)  # no handler of these routes looks at it
        try:
            asked = QueryDecoder(route.query).decode(query) if route.query else None
            found = await route.handler(
                Call(self.principal, parameters, asked, body, "correlation", request)
            )
        except FrameworkError as error:
            return answer_to(error)
        assert isinstance(found, Answer)
        assert found.status in route.answers
        return found

    async def get(self, path: str, query: str = "", **parameters: str) -> Any:
        """Return the body of a read as plain data; a refusal's envelope too."""
        return shown(await self.answer("GET", path, query, **parameters))


def shown(answer: Answer) -> Any:
    """Return an answer's body as a client decodes it."""
    return msgspec.json.decode(msgspec.json.encode(answer.body))
