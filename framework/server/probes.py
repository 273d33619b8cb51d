"""What every listening address says of itself at its root, where no door says it in its own words.

`/livez` `/readyz` `/health` `/metrics` `/openapi.json`: open to whoever looks after the process;
only the last one needs a token: where other machines reach the address, or an account trades for
real (T-08).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from framework.errors import Forbidden, FrameworkError
from framework.interfaces import TradingDesk
from framework.model.desk import Verb
from framework.server.door import Answer, Call, Pacer, RefusalKind, Refused, Route
from framework.server.routing import Mounted
from framework.server.tokens import Visitor

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

STATUSES: Mapping[RefusalKind, int] = {
    RefusalKind.MISSING_TOKEN: 401,
    RefusalKind.INVALID_TOKEN: 401,
    RefusalKind.FORBIDDEN: 403,
    RefusalKind.HOST: 421,
    RefusalKind.ORIGIN: 403,
    RefusalKind.NO_ROUTE: 404,
    RefusalKind.NO_METHOD: 405,
    RefusalKind.MEDIA_TYPE: 415,
    RefusalKind.TOO_LARGE: 413,
    RefusalKind.INVALID: 400,
    RefusalKind.TOO_MANY: 429,
    RefusalKind.BUSY: 503,
    RefusalKind.STOPPING: 503,
    RefusalKind.TIMED_OUT: 408,
}
"""What HTTP calls each refusal; a protocol that says otherwise has its own table."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a refusal says."""

    code: str
    message: str
    field: str = ""


class Alive(msgspec.Struct, frozen=True):
    """The answer of a process that runs."""

    status: str = "ok"


class Ready(msgspec.Struct, frozen=True):
    """Whether requests are taken."""

    ready: bool
    message: str = ""


class DoorState(msgspec.Struct, frozen=True):
    """Whether a door works."""

    door: str
    prefix: str
    works: bool


class VenueState(msgspec.Struct, frozen=True):
    """Whether a venue can be relied on."""

    venue: str
    connected: bool
    stale: tuple[str, ...]


class Health(msgspec.Struct, frozen=True):
    """How things stand: `ok`, or `degraded` where something does not work as it should."""

    status: str
    version: str
    doors: tuple[DoorState, ...]
    venues: tuple[VenueState, ...]


class Probes:
    """The toolkit's own routes, in the form of a door.

    `document` makes the OpenAPI document; it is asked for once.
    """

    name = "server"
    token_headers: Sequence[str] = ()
    refusals: Mapping[int, type] = dict.fromkeys({*STATUSES.values(), 500}, Problem)
    pacer: Pacer | None = None

    def __init__(
        self,
        doors: Sequence[Mounted],
        desk: TradingDesk,
        *,
        registry: "CollectorRegistry | None",
        document: Callable[[], Any],
        is_stopping: Callable[[], bool],
        is_private: bool,
        version: str,
    ) -> None:
        self._doors = doors
        self._desk = desk
        self._registry = registry
        self._make_document = document
        self._document: bytes | None = None
        self._is_stopping = is_stopping
        self._version = version
        claimed = {
            route.path if route.is_root else mounted.prefix + route.path
            for mounted in doors
            for route in mounted.door.routes
        }
        guarded = None if is_private and not desk.is_real else Verb.READ
        self.routes: Sequence[Route] = [
            route for route in self._routes(guarded) if route.path not in claimed
        ]

    def refuse(self, error: BaseException) -> Answer:
        """Return what is said of an error: a code and a message."""
        if isinstance(error, Refused):
            problem = Problem(error.kind.value, error.message, error.field)
            return Answer(problem, STATUSES[error.kind])
        if isinstance(error, Forbidden):
            return Answer(Problem("forbidden", str(error)), 403)
        if isinstance(error, FrameworkError) and error.is_retryable:
            return Answer(Problem("unavailable", "try again later"), 503)
        return Answer(Problem("internal", "internal error"), 500)

    async def run(self) -> None:
        """Return at once: there is nothing to do beside requests."""

    async def leave(self) -> None:
        """Return at once: there are no streams."""

    def _routes(self, guarded: Verb | None) -> list[Route]:
        routes = [
            root("/livez", self._alive, None, {200: Alive}, "Whether the process runs"),
            root("/readyz", self._ready, None, {200: Ready, 503: Ready}, "Whether it is ready"),
            root("/health", self._health, None, {200: Health}, "How things stand"),
            root("/openapi.json", self._openapi, guarded, {200: Any}, "This description"),
        ]
        if self._registry is not None:
            answers: Mapping[int, Any] = {200: bytes}
            metrics = root("/metrics", self._metrics, None, answers, "Metrics for Prometheus")
            routes.append(msgspec.structs.replace(metrics, media_type="text/plain"))
        return routes

    async def _alive(self, _: Call) -> Answer:
        return Answer(Alive())

    async def _ready(self, _: Call) -> Answer:
        if self._is_stopping():
            return Answer(Ready(ready=False, message="stopping"), 503)
        return Answer(Ready(ready=True))

    async def _health(self, _: Call) -> Answer:
        doors = tuple(
            DoorState(one.door.name, one.prefix, works=not one.failure) for one in self._doors
        )
        venues = tuple(
            VenueState(one.venue, one.is_connected, one.stale) for one in self._desk.health()
        )
        is_well = all(door.works for door in doors) and all(
            venue.connected and not venue.stale for venue in venues
        )
        status = "ok" if is_well else "degraded"
        return Answer(Health(status, self._version, doors, venues))

    async def _metrics(self, _: Call) -> Answer:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        assert self._registry is not None
        return Answer(
            generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _openapi(self, _: Call) -> Answer:
        if self._document is None:
            self._document = msgspec.json.encode(self._make_document())
        return Answer(self._document)


class AnyTokens:
    """Takes the token of any door: for what belongs to the address and to none of them."""

    def __init__(self, doors: Sequence[Mounted]) -> None:
        self._doors = doors
        self.nobody = doors[0].tokens.nobody
        self.is_open = any(mounted.tokens.is_open for mounted in doors)

    def identify(self, headers: Mapping[str, str], names: Sequence[str] = ()) -> Visitor:
        """Return who sent the headers, by the first door that knows.

        Raises:
            Refused: none does.
        """
        refused = Refused(RefusalKind.MISSING_TOKEN, "a token is needed")
        for mounted in self._doors:
            try:
                return mounted.tokens.identify(headers, mounted.token_headers)
            except Refused as error:
                if error.kind is RefusalKind.INVALID_TOKEN:
                    refused = error
        raise refused

    def confirm(self, visitor: Visitor, headers: Mapping[str, str]) -> None:
        """Refuse: nothing that belongs to an address alone is for `admin`.

        Raises:
            Refused: always.
        """
        raise Refused(RefusalKind.FORBIDDEN, "there is nothing to admin here")


def root(
    path: str,
    handler: Callable[[Call], Any],
    verb: Verb | None,
    answers: Mapping[int, Any],
    summary: str,
) -> Route:
    """Return a route that reads something at the root."""
    return Route("GET", path, handler, verb, answers, summary, is_root=True)
