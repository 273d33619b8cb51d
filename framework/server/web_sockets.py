"""Serves a door's WebSockets: handshake, limits, what peers send, and the end."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from framework.server.attendance import OnLink, attend, pause
from framework.server.door import Call
from framework.server.links import Link, Links
from framework.server.outbox import Outbox
from framework.server.outgoing import Outgoing
from framework.server.upgrade import Heard, Incoming, accept, pong_frame

FRAMES_PER_TURN = 32  # a peer that floods us leaves turns to the others
LINGER_S = 0.5  # closing on a peer that still writes resets the connection, and our last words

OnText = Callable[[Link, str], None]


async def serve(
    call: Call,
    links: Links,
    *,
    on_open: OnLink,
    on_text: OnText,
    on_close: OnLink,
    on_strange: OnText | None = None,
) -> web.StreamResponse:
    """Upgrade a request to a WebSocket and serve it until its connection is over.

    `on_text` gets each text message in order, whole, at most `limits.frame` bytes of UTF-8; one
    that is larger ends the link (1009). `on_strange` is told what came instead: a binary message,
    or text that is not UTF-8; the link stays open. A peer may send a message for each frame that
    it was sent (acknowledgements) and `limits.requests_per_s` besides, `limits.burst` at once;
    then it is kept waiting (T-32). Pings are answered and sent here. Callbacks must not wait;
    `on_close` is called once for each `on_open`, when the link is no longer open.

    Raises:
        Refused: before the upgrade: it is no valid handshake, or there are too many links.
    """
    request = call.request
    response = accept(request)
    response.headers["X-Correlation-ID"] = call.correlation_id
    links.take_place(call.principal)
    try:
        writer = await response.prepare(request)
        if writer is None or request.transport is None:
            return response  # gone already
        incoming = Incoming(request.protocol, links.limits.frame)
        outbox = Outbox(links.limits.outbox, links.limits.outbox_bytes)
        outgoing = Outgoing(request.protocol, writer, outbox)
        link = links.open(call.principal, outgoing, links.web_sockets, incoming.wake)
        hearing = _Hearing(links, link, incoming, on_text, on_strange)
        await attend(
            links, link, on_open=on_open, on_close=on_close, hear=hearing.run, leave=hearing.leave
        )
    finally:
        links.leave_place(call.principal)
    return response


class _Hearing:
    """Takes what the peer of one link sends."""

    def __init__(
        self,
        links: Links,
        link: Link,
        incoming: Incoming,
        on_text: OnText,
        on_strange: OnText | None,
    ) -> None:
        self._link = link
        self._incoming = incoming
        self._on_text = on_text
        self._on_strange = on_strange
        self._loop = asyncio.get_running_loop()
        self._outbox = link.outgoing.outbox
        self._answered = 0  # frames, by messages or for good
        self._burst = links.limits.burst
        self._seconds_each = 1 / links.limits.requests_per_s
        self._burst_s = self._burst / links.limits.requests_per_s
        self._free_s = link.opened_s  # when the messages so far would be through at an even rate
        self._is_over = False  # nothing more will come
        self._is_broken = False
        link.heard_s = link.opened_s

    async def run(self) -> None:
        """Pass messages on until the link ends, whoever ends it."""
        link, incoming, loop = self._link, self._incoming, self._loop
        room = FRAMES_PER_TURN
        while link.is_open:
            kind, data, code, reason = await incoming.read()
            link.heard_s = now_s = loop.time()
            if kind is Heard.TEXT or kind is Heard.BINARY:
                self._take(kind, data)
                await self._pace(now_s)
            elif kind is Heard.PING:
                link.outgoing.put_ahead(pong_frame(data))
            elif kind in (Heard.CLOSE, Heard.LOST, Heard.BROKEN):
                self._end(kind, code, reason)
            room -= 1
            if not room:
                room = FRAMES_PER_TURN
                await asyncio.sleep(0)

    async def leave(self) -> None:
        """Return once the peer has closed as well."""
        if self._is_broken:
            await pause(LINGER_S)
        while not self._is_over:
            kind = (await self._incoming.read())[0]
            self._is_over = kind in (Heard.CLOSE, Heard.LOST, Heard.BROKEN)

    def _take(self, kind: Heard, data: bytes) -> None:
        if kind is Heard.BINARY:
            self._tell_strange("a binary message")
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._tell_strange("text that is not UTF-8")
        else:
            self._on_text(self._link, text)

    def _tell_strange(self, what: str) -> None:
        if self._on_strange is not None:
            self._on_strange(self._link, what)

    async def _pace(self, now_s: float) -> None:
        sent = self._outbox.sent_count
        if self._answered < sent:  # frames long ago give no right to a flood
            self._answered = max(self._answered, sent - self._burst) + 1
            return
        self._free_s = max(self._free_s, now_s) + self._seconds_each
        early_s = self._free_s - now_s - self._burst_s
        if early_s > 0:
            await pause(early_s)

    def _end(self, kind: Heard, code: int, reason: str) -> None:
        self._is_over = True
        if kind is Heard.LOST:
            self._link.lose()
        elif kind is Heard.CLOSE:
            self._link.end_by_peer(code, reason)
        else:
            self._is_broken = True
            self._link.cut(code, reason)
