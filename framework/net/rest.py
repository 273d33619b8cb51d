"""A client of a venue's REST interface: deadlines, limits, signatures, repeats, typed errors.

What a caller may rely on (F-01, R-20, R-68):

- A request that is not idempotent is written at most once, whatever happens.
- `NotSent` means that certainly not a byte of it has left. `VenueUnavailable` means that nobody
  knows what became of it. Every other error is the venue's own answer.
- One deadline holds for all of it: waiting for tokens, signing, repeats and pauses.
- What a venue asks for by 429 or `Retry-After` holds for every request of that rate limit.
- No error, log line or event carries a header, a query or a known secret (R-85).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import msgspec
import structlog

from framework.errors import NotSent, RateLimited, VenueError, VenueUnavailable
from framework.interfaces import AdapterContext
from framework.model import events
from framework.net.backoff import BackOff
from framework.net.http_messages import Departure, Headers, complete
from framework.net.http_messages import Request as Request
from framework.net.http_messages import Response as Response
from framework.net.rate_limit import RateLimits
from framework.net.refusals import TEXT_LIMIT, error_of, plain_text, retry_after_s
from framework.net.request_target import BaseUrl, escape_path, query_text
from framework.net.token_gate import TokenGate
from framework.settings.secrets import MASK, SHORTEST_REDACTED, redact

if TYPE_CHECKING:
    from framework.net.http_session import HttpSession  # aiohttp is imported on first use

log = structlog.get_logger("rest")

Signer = Callable[[Request, str], Awaitable[Headers]]
"""Returns the headers that prove who asks: of a request, and its path with that of the base URL."""

ReadError = Callable[[int, bytes], tuple[str, str]]
"""Returns the venue's own code and text of a refusal: of its status and body."""


class RestOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How patient a client is.

    Attributes:
        deadline_s: seconds for a request that names none.
        retries: how often an idempotent request is repeated.
        base_s, cap_s: pauses before repeats are drawn from 0..min(base * 2^n, cap) seconds.
        largest_body: bytes of an answer, after decompression.
        retried_statuses: answers after which an idempotent request is repeated.
        limited_statuses: answers by which the venue says "too many".
    """

    deadline_s: float = 30.0
    retries: int = 3
    base_s: float = 0.5
    cap_s: float = 30.0
    largest_body: int = 16 * 1024 * 1024
    retried_statuses: tuple[int, ...] = (429, 500, 502, 503, 504)
    limited_statuses: tuple[int, ...] = (429,)


class Failure(msgspec.Struct):
    """Why an attempt failed, and whether a later one may do better, `pause_s` seconds on."""

    error: VenueError
    is_passing: bool
    pause_s: float = 0.0


class Writer(Protocol):
    """A faster way for requests that are written once: see `framework.net.order_writer`."""

    @property
    def is_open(self) -> bool: ...
    def send(self, request: Request, headers: Headers) -> Awaitable[Response]:
        """Return the answer within `request.deadline_s`. Raises NotSent, VenueUnavailable."""


class RestClient:
    """Talks to one base URL; connects on the first request.

    `name` stands in logs and errors, `sign` is asked anew for each attempt, and `writer` carries
    what is not idempotent while it is open.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        context: AdapterContext,
        *,
        sign: Signer | None = None,
        limits: RateLimits | None = None,
        options: RestOptions = RestOptions(),  # noqa: B008 -- frozen
        read_error: ReadError = plain_text,
        writer: Writer | None = None,
    ) -> None:
        self._name = name
        self._base = BaseUrl(base_url)
        self._context = context
        self._sign = sign
        self._limits = limits if limits is not None else RateLimits({})
        self._gate = TokenGate(self._limits)
        self._options = options
        self._read_error = read_error
        self._writer = writer
        self._random = context.random_for(f"rest/{name}")
        self._pauses: dict[str, BackOff] = {}  # of groups whose last answer was "too many"
        self._session: HttpSession | None = None
        self._is_closed = False
        self._counts = dict.fromkeys(
            ("requests", "attempts", "repeats", "pauses", "refused", "unavailable", "not_sent"), 0
        )

    async def send(self, request: Request) -> Response:
        """Return the answer, whose status is 2xx.

        Raises:
            NotSent: not a byte has left: no connection, no token in time, or closed.
            VenueUnavailable: it may have arrived: no whole answer in time, or a 5xx.
            RateLimited: the venue asks for a pause; it did not act.
            RequestRefusedByVenue: AccessRefused, NotFound, Conflict, InvalidRequest, or a redirect.
            ConfigError: the rate limits have no such group, or the signer's key is bad.
        """
        self._counts["requests"] += 1
        departure = Departure()
        try:
            return await self._send(request, departure)
        except TimeoutError:
            error: VenueError = (VenueUnavailable if departure.has_left else NotSent)(
                "no time left"
            )
        except VenueError as caught:
            error = caught
        self._count(error)
        if isinstance(error, VenueUnavailable):  # an earlier attempt may have left all the same
            kind = VenueUnavailable if departure.has_left else type(error)
            raise kind(f"{self._name}: {request.method} {redact(request.path)}: {error}")
        raise error

    async def aclose(self) -> None:
        """Close the connections; a later request is `NotSent`."""
        self._is_closed = True
        if self._session is not None:
            await self._session.aclose()

    def statistics(self) -> dict[str, int]:
        """Return what was counted since the start."""
        return dict(self._counts)

    # -- one request ---------------------------------------------------------------------------

    async def _send(self, request: Request, departure: Departure) -> Response:
        """Try as often as allowed. Raises TimeoutError at the deadline."""
        loop = asyncio.get_running_loop()
        allowed_s = self._options.deadline_s if request.deadline_s is None else request.deadline_s
        deadline_s = loop.time() + allowed_s
        backoff = BackOff(0.0, self._options.base_s, self._options.cap_s, self._random)
        most_repeats = self._options.retries if request.is_repeatable else 0
        async with asyncio.timeout_at(deadline_s) as limit:
            while True:
                await self._gate.take(request.group, request.cost, request.is_cancel, deadline_s)
                outcome = await self._attempt(request, departure, limit)
                if isinstance(outcome, Response):
                    return outcome
                pause_s = max(backoff.next_s(), outcome.pause_s)
                is_in_time = loop.time() + pause_s < deadline_s
                if not (outcome.is_passing and backoff.attempt <= most_repeats and is_in_time):
                    raise outcome.error
                self._counts["repeats"] += 1
                self._tell_repeat(request, outcome.error, pause_s)
                await asyncio.sleep(pause_s)

    async def _attempt(
        self, request: Request, departure: Departure, limit: asyncio.Timeout
    ) -> Response | Failure:
        """Sign and send once."""
        path = self._base.path + escape_path(request.path)
        signed = () if self._sign is None else await self._sign(request, path)
        self._counts["attempts"] += 1
        try:
            if self._writer is not None and self._writer.is_open and not request.is_repeatable:
                answer = await self._write(self._writer, request, signed, limit)
            else:
                answer = await self._exchange(request, path, signed, departure)
        except VenueUnavailable as error:
            return Failure(error, is_passing=True)
        if 200 <= answer.status < 300:
            self._pauses.pop(request.group, None)
            return answer
        return self._judge(request, answer, signed)

    async def _exchange(
        self, request: Request, path: str, signed: Headers, departure: Departure
    ) -> Response:
        headers = complete(request, signed)
        url = f"{self._base.origin}{path}{query_text(request.query)}"
        session = self._open_session()
        return await session.exchange(request.method, url, headers, request.body, departure)

    async def _write(
        self, writer: Writer, request: Request, signed: Headers, limit: asyncio.Timeout
    ) -> Response:
        """Let the writer have the request, and the deadline with it: it knows what has left."""
        deadline_s = limit.when() or 0.0
        left_s = deadline_s - asyncio.get_running_loop().time()
        limit.reschedule(None)
        return await writer.send(msgspec.structs.replace(request, deadline_s=left_s), signed)

    def _open_session(self) -> "HttpSession":
        if self._is_closed:
            raise NotSent("the client is closed")
        if self._session is None:
            from framework.net.http_session import HttpSession

            connector = self._context.connector
            self._session = HttpSession(connector, largest_body=self._options.largest_body)
        return self._session

    # -- refusals ------------------------------------------------------------------------------

    def _judge(self, request: Request, answer: Response, signed: Headers) -> Failure:
        """Return what an answer that is no success means, and pause where it asks for that."""
        options = self._options
        pause_s = retry_after_s(answer.header("Retry-After"), self._context.clock.now_ns)
        is_limited = answer.status in options.limited_statuses
        if is_limited and pause_s is None:
            backoff = BackOff(options.base_s, options.base_s, options.cap_s, self._random)
            pause_s = self._pauses.setdefault(request.group, backoff).next_s()
        if pause_s is not None:
            self._pause(request.group, pause_s)
        venue, status = self._context.venue, answer.status
        code, text = self._words_of(answer, signed)
        error = (
            RateLimited(venue, pause_s or 0.0)
            if is_limited
            else error_of(venue, status, code, text)
        )
        return Failure(error, status in options.retried_statuses, pause_s or 0.0)

    def _words_of(self, answer: Response, signed: Headers) -> tuple[str, str]:
        """Return code and text of a refusal, without anything of ours that it may repeat."""
        try:
            words = self._read_error(answer.status, answer.body)
        except Exception:  # a body that its reader did not expect: the status says enough
            words = plain_text(answer.status, answer.body)
        code, text = (_without(signed, redact(word))[:TEXT_LIMIT] for word in words)
        return code, text

    def _pause(self, group: str, seconds: float) -> None:
        self._counts["pauses"] += 1
        self._limits.pause(group, seconds, asyncio.get_running_loop().time())
        now_ns = self._context.clock.now_ns
        self._context.publish(events.RateLimited(self._context.venue, round(seconds * 1e9), now_ns))

    def _tell_repeat(self, request: Request, error: VenueError, pause_s: float) -> None:
        log.info(
            "request_repeated",
            client=self._name,
            method=request.method,
            path=redact(request.path),
            reason=str(error),
            pause_s=round(pause_s, 3),
        )

    def _count(self, error: VenueError) -> None:
        if isinstance(error, NotSent):
            self._counts["not_sent"] += 1
        elif isinstance(error, VenueUnavailable):
            self._counts["unavailable"] += 1
        else:
            self._counts["refused"] += 1


def _without(signed: Headers, text: str) -> str:
    """Return `text` without the values of the signature's headers, which no list of secrets has."""
    for _, value in signed:
        if len(value) >= SHORTEST_REDACTED:
            text = text.replace(value, MASK)
    return text
