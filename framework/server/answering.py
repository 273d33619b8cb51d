"""How an answer leaves: the headers that all have, its bytes, and a refusal in its door's words.

Most answers are plain: a body, no headers of their own, a connection that is kept. Those leave as
one piece of bytes, `PlainResponse`; aiohttp would make a dictionary of the same headers, look into
it a dozen times and write it out. Whatever is not plain goes aiohttp's way.
"""

import math
from functools import lru_cache
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from multidict import CIMultiDict, istr

from framework.server.decoding import JSON
from framework.server.door import Answer, Refused
from framework.server.routing import Mounted

log = structlog.get_logger("server")

CORRELATION = istr("X-Correlation-ID")
ALWAYS: CIMultiDict[str] = CIMultiDict(
    {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": "Headrace",  # aiohttp would tell its version, and Python's
    }
)
PLAIN_STATUSES = frozenset({200, 201})

_encode = msgspec.json.Encoder().encode


class PlainResponse(web.StreamResponse):
    """An answer whose every byte is known; its `headers` are empty, they are among the bytes."""

    def __init__(self, status: int, data: bytes) -> None:
        super().__init__(status=status)
        self._data = data
        self._writer: AbstractStreamWriter | None = None

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Keep where to write."""
        self._writer = request.writer
        return self._writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Write all of it, and wait while its receiver is behind."""
        assert self._writer is not None
        await self._writer.write(self._data)
        await self._writer.drain()


def replied(
    request: web.Request, answer: Answer, media_type: str, correlation_id: str
) -> web.StreamResponse:
    """Return an answer as it is sent: a plain one to a plain request leaves as it is."""
    if (
        answer.body is None
        or answer.headers
        or answer.status not in PLAIN_STATUSES
        or request.version != HttpVersion11
        or request.method == "HEAD"
        or not request.keep_alive
    ):
        return answered(answer, media_type, correlation_id)
    body = answer.body if type(answer.body) is bytes else _encode(answer.body)
    head = (
        f"{head_of(answer.status, media_type)}{correlation_id}\r\nContent-Length: {len(body)}\r\n"
        f"Date: {rfc822_formatted_time()}\r\n\r\n"
    )
    return PlainResponse(answer.status, head.encode() + body)


@lru_cache(maxsize=128)
def head_of(status: int, media_type: str) -> str:
    """Return the head of a plain answer, up to its correlation id."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in ALWAYS.items()]
    lines += [f"Content-Type: {media_type}", f"{CORRELATION}: "]
    return "\r\n".join(lines)


def answered(answer: Answer, media_type: str, correlation_id: str) -> web.Response:
    """Return an answer as aiohttp sends it."""
    body = answer.body
    headers: CIMultiDict[str] = CIMultiDict(ALWAYS)
    headers[CORRELATION] = correlation_id
    if body is not None:
        headers["Content-Type"] = media_type
        if type(body) is not bytes:
            body = _encode(body)
    if answer.headers:
        headers.update(answer.headers)
    return web.Response(body=body, status=answer.status, headers=headers)


def enveloped(mounted: Mounted, error: BaseException, correlation_id: str) -> web.Response:
    """Return what a door says of an error, with the headers that HTTP asks for."""
    try:
        answer = mounted.door.refuse(error)
        response = answered(answer, JSON, correlation_id)
    except Exception as bug:
        log.error("refusal_failed", correlation_id=correlation_id, exc_info=bug)
        body = {"code": "INTERNAL_ERROR", "message": "internal error"}
        return answered(Answer(body, 500), JSON, correlation_id)
    headers = response.headers
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None and response.status in (429, 503):
        headers.setdefault("Retry-After", str(max(1, math.ceil(retry_after_s))))
    if isinstance(error, Refused) and error.allowed:
        headers.setdefault("Allow", ", ".join(error.allowed))
    if response.status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    return response
