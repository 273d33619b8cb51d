"""What goes to a venue over HTTP and what comes back, whoever carries it."""

from collections.abc import Iterator

import msgspec

from framework.errors import NotSent
from framework.settings.secrets import redact

IDEMPOTENT_METHODS = ("GET", "HEAD")

Headers = tuple[tuple[str, str], ...]

JSON = ("Content-Type", "application/json")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a venue. Its repr shows neither query, headers nor body: they hold secrets.

    Attributes:
        path: below the base URL, from its "/"; what may not stand in a path is escaped, escapes
            that are there stay.
        query: names and values as they are meant, not escaped.
        group: the rate limit it counts for; "" is the default one.
        cost: tokens of that limit.
        is_cancel: may use what the rate limit keeps for cancels.
        is_idempotent: may be repeated; None: a GET or HEAD may, anything else may not.
        deadline_s: seconds for all of it, the wait for tokens and repeats included; None: the
            client's own.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    headers: Headers = ()
    group: str = ""
    cost: float = 1.0
    is_cancel: bool = False
    is_idempotent: bool | None = None
    deadline_s: float | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether it does no more when it arrives twice."""
        if self.is_idempotent is None:
            return self.method in IDEMPOTENT_METHODS
        return self.is_idempotent

    def __repr__(self) -> str:
        return f"<Request {self.method} {redact(self.path)}>"

    def __rich_repr__(self) -> Iterator[str]:  # type: ignore[override]
        yield repr(self)


class Response(msgspec.Struct, frozen=True):
    """An answer as it came; a header may occur more than once. Its repr shows only its size."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever its case, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"

    def __rich_repr__(self) -> Iterator[str]:  # type: ignore[override]
        yield repr(self)


class Departure:
    """Whether anything of a request may have left."""

    __slots__ = ("has_left",)

    def __init__(self) -> None:
        self.has_left = False


def complete(request: Request, signed: Headers) -> Headers:
    """Return every header of a request; a body is JSON unless a header says otherwise.

    Raises:
        NotSent: one holds a line break, so it would be another request on the wire.
    """
    headers = request.headers + signed
    if request.body and not any(name.lower() == "content-type" for name, _ in headers):
        headers = (*headers, JSON)
    text = "".join([part for header in headers for part in header])
    if "\n" in text or "\r" in text:
        raise NotSent("a header holds a line break")
    return headers
