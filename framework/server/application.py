"""What one listening address does with a request: one plain sequence, for every door.

stopping? → host → origin → token → verb → limits → body and query → handler → on disk? → answer.
Whatever goes wrong on the way is answered by the door in its own envelope; of what is no
`FrameworkError` the log gets the trace and the caller a correlation id.

Outside a door's envelope are only connections that never made a request: turned away when there
are too many (503, empty), or cut because their first line and headers did not come in time. A
request that is no HTTP is answered by the door at the root, or the first one: its path is unknown.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from framework.errors import FrameworkError, InvariantBroken
from framework.model.desk import Verb
from framework.server.access import Access
from framework.server.answering import CORRELATION, enveloped, replied
from framework.server.decoding import JSON, check_media_type, invalid
from framework.server.door import Answer, Call, RefusalKind, Refused
from framework.server.limits import RequestLimits
from framework.server.routing import Endpoint, Mounted, Router
from framework.server.tokens import Visitor
from framework.settings.places import one_line
from framework.settings.server import ListenerSettings

log = structlog.get_logger("server")

LONGEST_CORRELATION = 128
LONGEST_PATH = 200  # characters of it in the log and the audit
FAILED_S = 1.0  # after which to try again at a door that is down

Audit = Callable[[str, str, str, str, int], None]
"""Notes a call that may have changed something: principal, correlation id, method, path, status."""


class Application:
    """Answers requests for the doors of one listening address.

    `refused_counts` are refusals by kind, `answer_count` everything that was answered.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        doors: Sequence[Mounted],
        *,
        random: Random,
        now_s: Callable[[], float],
        is_stopping: Callable[[], bool],
        audit: Audit,
        written: Callable[[], Awaitable[None]],
    ) -> None:
        """`written` returns once what was read until then survives a crash (law 2)."""
        self.limits = RequestLimits(settings.limits)
        self.router = Router(doors, depth=settings.limits.depth)
        self.refused_counts: Counter[RefusalKind] = Counter()
        self.answer_count = 0
        self._access = Access(settings)
        self._headers = settings.limits.headers
        self._random = random
        self._now_s = now_s
        self._is_stopping = is_stopping
        self._audit = audit
        self._written = written
        self._logs_access = logs_debug()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request.

        Raises:
            ConnectionError: the connection is lost, or half of a stream was sent.
        """
        visit = Visit(request, self._correlation_id(request.headers.get(CORRELATION)))
        started_s = self._now_s() if self._logs_access else 0.0
        try:
            answer = await self._answer(visit)
            if isinstance(answer, Answer):
                answer = replied(request, answer, visit.media_type, visit.correlation_id)
        except Exception as error:
            if isinstance(error, ConnectionError) and is_gone(request):
                raise  # nobody is there to be answered
            answer = self._refused(visit.mounted or self.router.owner(visit.path), error, visit)
        self.answer_count += 1
        if visit.is_noted:
            self._note(visit, answer.status)
        if self._logs_access:
            self._log(visit, answer.status, started_s)
        return answer

    def malformed(self, error: BaseException | None) -> web.StreamResponse:
        """Return the answer to a request that could not be read."""
        if isinstance(error, LineTooLong):
            reason = f"line and headers are larger than {self._headers} bytes"
            error = Refused(RefusalKind.TOO_LARGE, reason, field="headers")
        elif error is None or isinstance(error, HttpProcessingError):
            error = invalid("this is no HTTP request")
        self._count(error, correlation_id := self._correlation_id(None))
        return enveloped(self.router.owner("/"), error, correlation_id)

    async def _answer(self, visit: "Visit") -> Answer | web.StreamResponse:
        request = visit.request
        found = self.router.find(request.method, visit.path)
        if found is None:
            raise self._missing(visit)
        endpoint, values = found
        visit.mounted, visit.media_type = endpoint.mounted, endpoint.media_type
        visitor = self._admit(endpoint, request)
        visit.principal, visit.is_noted = visitor.principal.name, endpoint.is_change
        check_rights(endpoint, visitor)
        if endpoint.verb is Verb.ADMIN:
            endpoint.mounted.tokens.confirm(visitor, request.headers)
        if endpoint.is_stream:
            query = None if endpoint.query is None else endpoint.query.decode(visit.query)
            return await endpoint.route.handler(
                Call(visitor.principal, values, query, None, visit.correlation_id, request)
            )
        limits = self.limits
        limits.check_room()
        limits.running += 1
        try:
            query = None if endpoint.query is None else endpoint.query.decode(visit.query)
            body = None if endpoint.body is None else await self._body(endpoint, request)
            call = Call(visitor.principal, values, query, body, visit.correlation_id, request)
            return await self._handled(endpoint, call)
        finally:
            limits.running -= 1

    async def _handled(self, endpoint: Endpoint, call: Call) -> Answer | web.StreamResponse:
        """Let a door answer, and wait until a crash undoes nothing that the answer tells."""
        answer: Answer | web.StreamResponse
        if endpoint.tells_nothing:
            answer = await endpoint.route.handler(call)
            return answer
        try:
            answer = await endpoint.route.handler(call)
        except Exception:  # what is refused because of an order tells of it
            await self._written()
            raise
        await self._written()
        return answer

    # -- admission -------------------------------------------------------------------------------

    def _admit(self, endpoint: Endpoint, request: web.Request) -> Visitor:
        """Return who asks, where and as often as that may be.

        Raises:
            Refused: it goes no further.
        """
        headers = request.headers
        is_guarded = endpoint.is_change or endpoint.is_stream
        if is_guarded and self._is_stopping():
            raise Refused(RefusalKind.STOPPING, "the server is stopping")
        self._access.check_host(headers.get(hdrs.HOST))
        if is_guarded:
            origin = headers.get(hdrs.ORIGIN)
            if origin is not None:
                self._access.check_origin(origin)
        tokens = endpoint.mounted.tokens
        is_public = endpoint.verb is None
        visitor = tokens.nobody if is_public else self._identify(endpoint.mounted, request)
        self._limit(visitor, request)
        return visitor

    def _missing(self, visit: "Visit") -> Refused:
        """Return the refusal of what is not there; without a token nobody learns so.

        Raises:
            Refused: it does not even come to that.
        """
        request = visit.request
        self._access.check_host(request.headers.get(hdrs.HOST))
        visitor = self._identify(self.router.owner(visit.path), request)
        visit.principal = visitor.principal.name
        self._limit(visitor, request)
        return self.router.missing(request.method, visit.path)

    def _identify(self, mounted: Mounted, request: web.Request) -> Visitor:
        try:
            return mounted.tokens.identify(request.headers, mounted.token_headers)
        except Refused:
            self.limits.admit(f"!{request.remote}", self._now_s())  # guessing has a rate as well
            raise

    def _limit(self, visitor: Visitor, request: web.Request) -> None:
        self.limits.admit(visitor.key or f"@{request.remote}", self._now_s())
        if getattr(request.protocol, "head_bytes", 0) > self._headers:  # with a part of the body
            self.limits.check_head(request)

    async def _body(self, endpoint: Endpoint, request: web.Request) -> Any:
        """Return a request's body as the type that the endpoint declares.

        Raises:
            Refused: it cannot be read as that, or there is none.
        """
        assert endpoint.body is not None
        content = await self.limits.read_body(request)
        if not content:
            if endpoint.needs_body:
                raise invalid("a body is needed")
            return None
        headers = request.headers
        check_media_type(headers.get(hdrs.CONTENT_TYPE))
        if hdrs.CONTENT_ENCODING in headers:
            raise Refused(RefusalKind.MEDIA_TYPE, "a body comes uncompressed")
        return endpoint.body.decode(content)

    # -- answering -------------------------------------------------------------------------------

    def _refused(self, mounted: Mounted, error: Exception, visit: "Visit") -> web.Response:
        if visit.request.writer.output_size > 0:
            log.error("stream_failed", correlation_id=visit.correlation_id, exc_info=error)
            raise ConnectionResetError("a stream was broken off") from error
        self._count(error, visit.correlation_id)
        response = enveloped(mounted, error, visit.correlation_id)
        if isinstance(error, Refused) and error.kind in _CLOSING:
            response.force_close()
        return response

    def _count(self, error: BaseException, correlation_id: str) -> None:
        if isinstance(error, Refused):
            self.refused_counts[error.kind] += 1
        elif not isinstance(error, FrameworkError) or isinstance(error, InvariantBroken):
            log.error("request_failed", correlation_id=correlation_id, exc_info=error)

    def _note(self, visit: "Visit", status: int) -> None:
        path = shown_path(visit.path)
        try:
            self._audit(visit.principal, visit.correlation_id, visit.request.method, path, status)
        except Exception as error:  # what was asked for is done: it must not be asked for again
            log.error("audit_failed", correlation_id=visit.correlation_id, exc_info=error)

    def _correlation_id(self, given: str | None) -> str:
        if given is not None:
            if not (given.isascii() and given.isprintable() and len(given) <= LONGEST_CORRELATION):
                given = "".join(one for one in given if " " <= one <= "~")[:LONGEST_CORRELATION]
            if given:
                return given
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def _log(self, visit: "Visit", status: int, started_s: float) -> None:
        log.debug(
            "request",
            method=visit.request.method,
            path=shown_path(visit.path),
            status=status,
            principal=visit.principal,
            ms=round((self._now_s() - started_s) * 1_000, 3),
            correlation_id=visit.correlation_id,
        )


class Visit:
    """One request on its way: what is known of it so far."""

    __slots__ = (
        "correlation_id",
        "is_noted",
        "media_type",
        "mounted",
        "path",
        "principal",
        "query",
        "request",
    )

    def __init__(self, request: web.Request, correlation_id: str) -> None:
        self.request = request
        self.correlation_id = correlation_id
        self.path, self.query = path_and_query(request)
        self.mounted: Mounted | None = None
        self.media_type = JSON
        self.principal = ""
        self.is_noted = False


# What only asks the desk: with its stream down, a door still lets risk be seen and reduced (T-07).
_WITHOUT_DOOR = frozenset({Verb.READ, Verb.REDUCE})
# After these the connection is of no more use: the rest of a body is on its way, or nobody knows
# who is at its other end and keeps it open.
_CLOSING = frozenset(
    {
        RefusalKind.TOO_LARGE,
        RefusalKind.TIMED_OUT,
        RefusalKind.MISSING_TOKEN,
        RefusalKind.INVALID_TOKEN,
        RefusalKind.HOST,
    }
)


def path_and_query(request: web.Request) -> tuple[str, str]:
    """Return a request's encoded path and query, as they were sent."""
    raw = request.raw_path
    if raw[:1] != "/":  # `GET http://host/path`, or `*`
        return request.rel_url.raw_path, request.rel_url.raw_query_string
    if "#" in raw:
        raw = raw.partition("#")[0]
    path, _, query = raw.partition("?")
    return path, query


def logs_debug() -> bool:
    """Return whether the log takes what is below information; asked once: it is not free."""
    bound = log.bind()
    for name in ("is_enabled_for", "isEnabledFor"):  # structlog's own loggers, and the library's
        asked = getattr(type(bound), name, None)  # an instance would pass on any name
        if asked is not None:
            return bool(asked(bound, logging.DEBUG))
    return True


def is_gone(request: web.Request) -> bool:
    """Return whether the connection of a request is lost."""
    transport = request.transport
    return transport is None or transport.is_closing()


def shown_path(path: str) -> str:
    """Return a path as it is logged."""
    if len(path) <= LONGEST_PATH and path.isprintable():
        return path
    return one_line(path, LONGEST_PATH)


def check_rights(endpoint: Endpoint, visitor: Visitor) -> None:
    """Pass a visitor whose token covers what the endpoint does, if the door works.

    Raises:
        Refused: it does not.
    """
    verb = endpoint.verb
    if verb is None:
        return
    if verb not in visitor.principal.verbs:
        raise Refused(RefusalKind.FORBIDDEN, f"the token does not allow to {verb.value}")
    if endpoint.mounted.failure and (endpoint.is_stream or verb not in _WITHOUT_DOOR):
        reason = "this door does not work at the moment"
        raise Refused(RefusalKind.BUSY, reason, retry_after_s=FAILED_S)
