"""What a front door is: routes with their types, an error envelope, and what it is given.

A door translates; it decides nothing. The toolkit (`framework/server`) accepts connections, tells
who is there, decodes, limits, and encodes what comes back; a door's handlers get values and give
values. The same types make the OpenAPI document.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from framework.errors import FrameworkError
from framework.interfaces import TradingDesk
from framework.model.desk import Principal, Verb
from framework.settings.secrets import Secret
from framework.settings.server import DoorSettings, LimitSettings

if TYPE_CHECKING:
    from aiohttp import web
    from prometheus_client import CollectorRegistry


class RefusalKind(Enum):
    """Why the toolkit itself refuses a request, before its door hears of it."""

    MISSING_TOKEN = "missing_token"
    INVALID_TOKEN = "invalid_token"  # unknown, expired or revoked: nobody learns which
    FORBIDDEN = "forbidden"  # its token does not cover this
    HOST = "host"
    ORIGIN = "origin"
    NO_ROUTE = "no_route"
    NO_METHOD = "no_method"
    MEDIA_TYPE = "media_type"
    TOO_LARGE = "too_large"
    INVALID = "invalid"  # body, query or path cannot be read; `field` is to blame
    TOO_MANY = "too_many"
    BUSY = "busy"
    STOPPING = "stopping"
    TIMED_OUT = "timed_out"


class Refused(FrameworkError):
    """A request that goes no further; `field` is "" where no single one is to blame."""

    def __init__(
        self,
        kind: RefusalKind,
        message: str,
        *,
        field: str = "",
        provided: str | None = None,
        retry_after_s: float | None = None,
        allowed: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.field = field
        self.provided = provided
        self.retry_after_s = retry_after_s
        self.allowed = tuple(allowed)


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request: `path` holds decoded path parameters, `query` and `body` what was declared.

    `request` is there for what is no value: upgrades to streams.
    """

    principal: Principal
    path: Mapping[str, str]
    query: Any
    body: Any
    correlation_id: str
    request: "web.Request"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What goes back; `body` is encoded as JSON unless it is bytes."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = {}


Handler = Callable[[Call], Awaitable["Answer | web.StreamResponse"]]


class Route(msgspec.Struct, frozen=True):
    """One operation.

    `path` is relative to the door's prefix, or to the root where `is_root` (probes); parameters are
    `{name}`, one encoded segment each. `verb` None: open to everybody. `query` and `body` are
    structs: query values are decoded from text, lists from repeated or comma-separated values.
    A body that is absent becomes None where `needs_body` is false. `answers` are the types of every
    status it may answer with, None for no body; those of refusals come from `Door.refusals`.
    `has_own_reader`: a stream, which the toolkit does not encode.
    """

    method: str
    path: str
    handler: Handler
    verb: Verb | None
    answers: Mapping[int, Any]
    summary: str
    query: type | None = None
    body: type | None = None
    needs_body: bool = True
    is_root: bool = False
    has_own_reader: bool = False
    media_type: str = "application/json"


class Pacer(Protocol):
    """What holds market time back in a backtest that is driven from outside."""

    @property
    def is_settled(self) -> bool:
        """Whether everybody has acknowledged everything."""

    async def ready(self) -> None:
        """Return once the run may begin: somebody is there to hear it."""

    async def settled(self) -> None:
        """Return once everybody has acknowledged what was told since, or their time is up."""

    async def completed(self) -> None:
        """Tell everybody that the data has ended; return soon."""


class Door(Protocol):
    """One protocol at one prefix.

    Attributes:
        name: the protocol's.
        routes: its operations.
        refusals: for the OpenAPI document: the type of each refusal's body by status.
        token_headers: where a token may come in, `Authorization: Bearer` apart: `("X-API-Key",)`.
        pacer: in a backtest that waits for its clients, else None.

    A door may also have `links`, the streams to be shown among the metrics. A protocol that has one
    key for everything, or rules of its own for keys, may say `default_verbs` (of tokens that name
    none, and of open doors) and `fewest_distinct` (characters that a secret has at least).
    """

    name: str
    routes: Sequence[Route]
    refusals: Mapping[int, type]
    token_headers: Sequence[str]
    pacer: Pacer | None

    def refuse(self, error: BaseException) -> Answer:
        """Return the answer for whatever a handler or the toolkit raised: the door's one envelope.

        What is no `FrameworkError` is a bug of ours: nothing of it is shown.
        """

    async def run(self) -> None:
        """Do what goes on beside requests, until cancelled."""

    async def leave(self) -> None:
        """Tell streams that the server is going away, and end them; new requests are refused."""


class DoorContext(msgspec.Struct, frozen=True):
    """What a door is built with.

    `settings` is its part of the configuration, `key` where that stands. `owner` is a principal for
    what the door does for nobody in particular. `now_s` is transport time. `version` is ours.
    """

    desk: TradingDesk
    settings: DoorSettings
    key: str
    limits: LimitSettings
    owner: Principal
    metrics: "CollectorRegistry"
    random_for: Callable[[str], Random]
    secret: Callable[[str], Secret]
    now_s: Callable[[], float]
    is_stopping: Callable[[], bool]
    version: str
    session: str


Build = Callable[[Mapping[str, object], DoorContext], Door]
"""An entry point of the group `headrace.doors`: it gets its own section and raises ConfigError."""
