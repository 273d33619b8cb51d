"""Requests over aiohttp, each written at most once, and what became of it.

aiohttp repeats a request that met a dead kept connection when it holds the method for idempotent,
PUT and DELETE among them (aiohttp/client.py, `IDEMPOTENT_METHODS`). What breaks after a connection
was found is therefore raised, in a middleware, as something that aiohttp does not repeat. Errors
are made anew here: aiohttp's own hold the headers of the request.
"""

from collections.abc import Callable
from functools import partial

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from yarl import URL

from framework.errors import NotSent, VenueUnavailable
from framework.net.http_messages import Departure, Headers, Response

USER_AGENT = "headrace"
NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)  # the caller has a deadline
FAILURES = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)


class BrokenOff(Exception):
    """The connection was lost once there was one; aiohttp must not try again."""


class AnswerTooLarge(Exception):
    """The body has more bytes than it may have."""


class HttpSession:
    """One aiohttp session: kept connections, no cookies, no redirects, no `.netrc`, no proxy."""

    def __init__(
        self, connector: Callable[[], aiohttp.BaseConnector], *, largest_body: int
    ) -> None:
        self._largest_body = largest_body
        self._session = aiohttp.ClientSession(
            connector=connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=NO_TIMEOUT,
            headers={"User-Agent": USER_AGENT},
            skip_auto_headers=("Content-Type",),
            request_class=DepartingRequest,
        )

    async def exchange(
        self, method: str, url: str, headers: Headers, body: bytes, departure: Departure
    ) -> Response:
        """Send one request and return the whole answer, whatever its status.

        Raises:
            NotSent: there was no connection.
            VenueUnavailable: it broke, or what came cannot be read.
        """
        try:
            answer = await self._session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body or None,
                allow_redirects=False,
                middlewares=(partial(_once, departure),),
            )
            try:
                content = await self._body_of(answer)
            except BaseException:
                answer.close()  # what is left of it must not be taken for the next answer
                raise
            return Response(answer.status, tuple(answer.headers.items()), content)
        except FAILURES as error:
            reason = reason_of(error)
        except BrokenOff as error:
            reason = str(error)
        except AnswerTooLarge:
            reason = f"the answer has more than {self._largest_body} bytes"
        raise (VenueUnavailable if departure.has_left else NotSent)(reason)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def _body_of(self, answer: aiohttp.ClientResponse) -> bytes:
        if (answer.content_length or 0) > self._largest_body:
            raise AnswerTooLarge
        parts, size = [], 0
        async for part in answer.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > self._largest_body:
                raise AnswerTooLarge
        return b"".join(parts)


class DepartingRequest(aiohttp.ClientRequest):
    """A request that notes when it is about to be written.

    aiohttp's tracing would tell as much, for 10 µs a request instead of 1.
    """

    departure: Departure

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Write it on a connection that was found."""
        self.departure.has_left = True
        return await super().send(conn)


async def _once(
    departure: Departure, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send a request once: aiohttp repeats after `ClientOSError` and `ServerDisconnectedError`."""
    assert isinstance(request, DepartingRequest)
    request.departure = departure
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # nothing was written, and aiohttp does not repeat it either
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        reason = reason_of(error)
    raise BrokenOff(reason)


def reason_of(error: Exception) -> str:
    """Return what went wrong in words that hold nothing of the request or of the answer."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _WORDS.get(type(error), type(error).__name__)


_WORDS: dict[type[Exception], str] = {
    aiohttp.ServerDisconnectedError: "the connection was closed",
    aiohttp.ClientPayloadError: "the answer is incomplete",
}
