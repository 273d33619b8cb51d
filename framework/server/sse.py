"""Serves a door's server-sent events: the same links, outboxes and limits as WebSockets.

Peers cannot answer, so only one that takes nothing for `slow_s`, or closes, is noticed.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial

from aiohttp import HttpVersion11, web

from framework.server.attendance import OnLink, attend
from framework.server.door import Call, RefusalKind, Refused
from framework.server.links import Link, Links
from framework.server.outbox import Outbox
from framework.server.outgoing import Outgoing

MEDIA_TYPE = "text/event-stream"
LINE_END = re.compile(r"\r\n|\r|\n")


def event(data: str, *, name: str = "", number: str = "") -> bytes:
    """Return one event, to be given to `Link.send`; `number` is what a client resumes after.

    Raises:
        ValueError: the name or number does not fit on a line.
    """
    lines = [f"data: {line}" for line in LINE_END.split(data)]
    for field, value in (("event", name), ("id", number)):
        if LINE_END.search(value) or "\0" in value:
            raise ValueError(f"{field} {value!r} does not fit on a line")
        if value:
            lines.insert(0, f"{field}: {value}")
    return "\n".join([*lines, "", ""]).encode()


async def serve(
    call: Call,
    links: Links,
    *,
    on_open: Callable[[Link, str | None], None],
    on_close: OnLink,
) -> web.StreamResponse:
    """Answer with a stream of events until it is over.

    `on_open` gets what the client received last (`Last-Event-ID`), None if it starts anew. Comments
    keep the connection alive. `on_close` is called once for each `on_open`.

    Raises:
        Refused: before the answer: there are too many links, or the client speaks HTTP/1.0.
    """
    request = call.request
    if request.version < HttpVersion11:
        raise Refused(RefusalKind.INVALID, "streams of events need HTTP/1.1")
    headers = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    headers["X-Correlation-ID"] = call.correlation_id
    response = web.StreamResponse(headers=headers)
    response.force_close()
    links.take_place(call.principal)
    try:
        writer = await response.prepare(request)
        if writer is None or request.transport is None:
            return response  # gone already
        outbox = Outbox(links.limits.outbox, links.limits.outbox_bytes)
        outgoing = Outgoing(request.protocol, writer, outbox)
        ended = asyncio.Event()
        link = links.open(call.principal, outgoing, links.events, ended.set)
        opened = partial(_opened, on_open, request.headers.get("Last-Event-ID"))
        await attend(
            links, link, on_open=opened, on_close=on_close, hear=partial(_hear, ended), leave=_leave
        )
    finally:
        links.leave_place(call.principal)
    return response


def _opened(on_open: Callable[[Link, str | None], None], after: str | None, link: Link) -> None:
    on_open(link, after)


async def _hear(ended: asyncio.Event) -> None:
    await ended.wait()


async def _leave() -> None:
    """Wait for nothing: peers of event streams do not say goodbye."""
