"""WebSocket connections by aiohttp, over the real network or a simulated one."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from framework.errors import ConfigError
from framework.interfaces import AdapterContext
from framework.net.link_options import LinkOptions
from framework.net.web_socket import (
    CUT,
    FRAMES_PER_TURN,
    NORMAL,
    TOO_BIG,
    Endpoint,
    Intake,
    closed_by_venue,
    refusal,
    unreachable,
)

TEXT, BINARY, CLOSE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CLOSE
PING, PONG = WSMsgType.PING, WSMsgType.PONG


class Response(ClientWebSocketResponse[Any]):
    """An upgraded connection whose queue of frames and writer can be used directly.

    aiohttp's own `receive` costs as much again as reading its queue, and its `send` awaits.
    """

    def __init__(
        self, reader: Any, writer: Any, protocol: Any, response: Any, *args: Any, **options: Any
    ) -> None:
        super().__init__(reader, writer, protocol, response, *args, **options)
        self.reader = reader
        self.writer = writer
        self.response = response


class AiohttpTransport:
    """Opens each connection in a session of its own: no cookies, no redirects, nothing shared."""

    name = "aiohttp"

    def __init__(self, context: AdapterContext, options: LinkOptions) -> None:
        self._context = context
        self._options = options

    async def connect(self, endpoint: Endpoint, intake: Intake) -> "AiohttpSocket":
        """Return an open socket; see `Transport.connect`."""
        session = self._session()
        try:
            response = await session.ws_connect(
                endpoint.url,
                headers=endpoint.headers,
                max_msg_size=self._options.largest_frame + 1,  # which aiohttp refuses from there on
                decode_text=False,
            )
        except BaseException as error:
            await session.close()
            self._retell(error)
            raise
        assert isinstance(response, Response)
        # aiohttp's writer waits above the mark; the link's own limit lies below it.
        response.writer.transport.set_write_buffer_limits(high=4 * self._options.most_queued_bytes)
        return AiohttpSocket(session, response, intake)

    def _session(self) -> aiohttp.ClientSession:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_redirect.append(_refuse_redirect)
        return aiohttp.ClientSession(
            connector=self._context.connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),  # the link has its own
            trace_configs=[tracing],
            ws_response_class=Response,
        )

    def _retell(self, error: BaseException) -> None:
        """Raise `error` in our words, if it is one of the network or of aiohttp."""
        match error:
            case aiohttp.ClientResponseError():
                after = error.headers.get("Retry-After") if error.headers else None
                now_ns = self._context.clock.now_ns
                raise refusal(self._context.venue, error.status, after, now_ns) from None
            case aiohttp.InvalidURL():
                venue = self._context.venue
                raise ConfigError(f"{venue}: the URL to connect to is invalid") from None
            case aiohttp.ClientError() | OSError():
                raise unreachable(error) from None


class AiohttpSocket:
    """A connection of aiohttp's. Its queue is read until it is empty without a task switch."""

    def __init__(self, session: aiohttp.ClientSession, response: Response, intake: Intake) -> None:
        self._session = session
        self._response = response
        self._writer = response.writer
        self._intake = intake
        self._is_muted = False
        self._is_aborted = False
        self._has_sent_close = False

    @property
    def queued_bytes(self) -> int:
        """What waits in the transport."""
        return int(self._writer.transport.get_write_buffer_size())

    def send(self, data: bytes) -> bool:
        """Write a text frame now."""
        return _completes(self._writer.send_frame(data, TEXT))

    def ping(self) -> None:
        """Ask for a pong."""
        _completes(self._writer.send_frame(b"", PING))

    async def receive(self) -> str:
        """Deliver until the end."""
        try:
            return await self._receive()
        except aiohttp.WebSocketError as error:
            self._say_goodbye(error.code)
            if error.code != TOO_BIG:
                return f"protocol error: {error}"
            self._intake.oversized += 1
            return str(error)
        except (aiohttp.EofStream, aiohttp.ClientError):
            return CUT

    async def _receive(self) -> str:
        intake, read = self._intake, self._response.reader.read
        on_text = intake.on_text
        room = FRAMES_PER_TURN
        while not self._is_aborted:
            kind, data, extra = await read()
            if kind is TEXT and not self._is_muted:
                intake.texts += 1
                try:
                    on_text(data)
                except Exception as error:
                    intake.failed("on_text", error)
            elif kind is CLOSE:
                self._say_goodbye(NORMAL)
                return closed_by_venue(data, extra)
            else:
                self._take(kind, data)
            room -= 1
            if not room:
                room = FRAMES_PER_TURN
                await asyncio.sleep(0)
        return CUT

    def _take(self, kind: WSMsgType, data: bytes) -> None:
        if kind is PING:
            _completes(self._writer.send_frame(data, PONG))
        if self._is_muted:
            return
        if kind is BINARY:
            self._intake.binary(data)
        elif kind is PING:
            self._intake.ping(data)
        else:
            self._intake.pongs += 1

    def close(self) -> None:
        """Ask for the end."""
        self._is_muted = True
        self._say_goodbye(NORMAL)

    def abort(self) -> None:
        """Cut the connection."""
        self._is_muted = self._is_aborted = True
        self._writer.transport.abort()

    async def release(self) -> None:
        """Close the session, which closes the connection behind what was written."""
        self._response.response.close()
        await self._session.close()

    def _say_goodbye(self, code: int) -> None:
        if not self._has_sent_close:
            self._has_sent_close = True
            _completes(self._writer.close(code))


def _completes(writing: Coroutine[Any, Any, None]) -> bool:
    """Write a frame without a task; false if the connection is closing.

    aiohttp's writer only waits above the transport's high-water mark, which is never reached.
    """
    try:
        with suppress(StopIteration):
            writing.send(None)
    except aiohttp.ClientError:
        return False
    return True


async def _refuse_redirect(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    redirect: aiohttp.TraceRequestRedirectParams,
) -> None:
    """Refuse to take our headers, credentials among them, to another place."""
    answer = redirect.response
    answer.close()
    raise aiohttp.ClientResponseError(answer.request_info, (), status=answer.status)
