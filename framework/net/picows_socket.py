"""WebSocket connections by picows, on real loops only: frames arrive in a callback."""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import cast

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSInvalidURL,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
    ws_connect,
)

from framework.errors import ConfigError, VenueUnavailable
from framework.interfaces import AdapterContext
from framework.net.link_options import LinkOptions
from framework.net.web_socket import (
    CUT,
    FRAMES_PER_TURN,
    Endpoint,
    Intake,
    closed_by_venue,
    refusal,
    unreachable,
)

TEXT, BINARY, CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
PING, PONG, CLOSE = WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE

READ_BYTES = 49_152  # a turn's worth of frames of 200 bytes
Arrival = tuple[WSMsgType, bool, bytes]  # kind, whether it is the last part, payload

# picows logs requests with their headers; what matters of the rest the link says itself.
quiet = logging.getLogger("headrace.picows")
quiet.setLevel(logging.CRITICAL)


class PicowsTransport:
    """Opens connections of picows, with its own sockets and the system's TLS settings."""

    name = "picows"

    def __init__(self, context: AdapterContext, options: LinkOptions) -> None:
        self._context = context
        self._options = options
        self._tls: ssl.SSLContext | None = None

    async def connect(self, endpoint: Endpoint, intake: Intake) -> "PicowsSocket":
        """Return an open socket; see `Transport.connect`.

        picows forgets a handshake that is cancelled: such a connection ends by `connect_s`, or
        when it opens.
        """
        socket = PicowsSocket(intake, self._options.largest_frame)
        tls = await self._tls_of(endpoint.url)
        try:
            await ws_connect(
                lambda *_: socket,
                endpoint.url,
                ssl_context=tls,
                websocket_handshake_timeout=self._options.connect_s,
                enable_auto_pong=False,  # it would not tell of the ping
                max_frame_size=self._options.largest_frame,
                max_redirects=0,
                extra_headers=endpoint.headers,
                read_buffer_init_size=2 * READ_BYTES,
                logger_name=quiet,
            )
        except BaseException as error:
            socket.is_wanted = False
            self._retell(error)
            raise
        if socket.wire is None:
            raise VenueUnavailable(f"cannot connect: {CUT}")
        return socket

    async def _tls_of(self, url: str) -> ssl.SSLContext | None:
        """Return the system's TLS settings, read once and beside the loop: it takes 70 ms."""
        if self._tls is None and url.lower().startswith("wss:"):
            self._tls = await self._context.blocking(ssl.create_default_context)
        return self._tls

    def _retell(self, error: BaseException) -> None:
        """Raise `error` in our words, if it is one of the network or of picows."""
        match error:
            case WSHandshakeError(response=answer) if answer is not None:
                after = answer.headers.get("Retry-After")
                now_ns = self._context.clock.now_ns
                raise refusal(self._context.venue, int(answer.status), after, now_ns) from None
            case WSInvalidURL():
                venue = self._context.venue
                raise ConfigError(f"{venue}: the URL to connect to is invalid") from None
            case WSError() | OSError():
                raise unreachable(error) from None


class SmallReads(asyncio.BufferedProtocol):
    """Stands between the loop and picows' own protocol, and shortens each read.

    Left alone picows doubles its buffer whenever a read fills it: under load it soon reads
    megabytes at once, thousands of frames in one turn of the loop.
    """

    def __init__(self, inner: asyncio.BufferedProtocol, after_read: Callable[[], None]) -> None:
        self._get_buffer = inner.get_buffer
        self._buffer_updated = inner.buffer_updated
        self._after_read = after_read
        self.connection_lost = inner.connection_lost  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the beginning of picows' buffer."""
        return cast(memoryview, self._get_buffer(sizehint))[:READ_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        """Let picows deliver the frames."""
        self._buffer_updated(nbytes)
        self._after_read()


class PicowsSocket(WSListener):
    """A connection of picows: text goes to the handler from within the loop's read.

    What exceeds the frames of one turn is kept, and nothing more is read until it has been
    delivered; the same before the first `receive`.
    """

    def __init__(self, intake: Intake, largest_frame: int) -> None:
        self.wire: WSTransport | None = None
        self.is_wanted = True
        self._intake = intake
        self._on_text = intake.on_text
        self._largest_frame = largest_frame
        self._is_plain = True  # a whole text frame may go straight to the handler
        self._is_muted = False
        self._is_paused = True  # nothing is read
        self._room = 0  # for so many frames in this turn
        self._room_before = 0  # the newest read
        self._kept: deque[Arrival] = deque()
        self._parts = bytearray()  # of a message in several frames
        self._parts_kind: WSMsgType | None = None
        self._reason = ""

    # -- what picows tells -----------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Read on once somebody listens."""
        self.wire = transport
        wire = transport.underlying_transport
        if not self.is_wanted:
            wire.abort()
            return
        wire.pause_reading()
        inner = cast(asyncio.BufferedProtocol, wire.get_protocol())
        wire.set_protocol(SmallReads(inner, self._after_read))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Deliver text at once; whatever is not just that has the time for a few calls more."""
        room = self._room
        if room and self._is_plain and frame.msg_type is TEXT and frame.fin:
            self._room = room - 1
            self._intake.texts += 1
            try:
                self._on_text(frame.get_payload_as_bytes())
            except Exception as error:
                self._intake.failed("on_text", error)
        else:
            self._arrive((frame.msg_type, frame.fin, frame.get_payload_as_bytes()))

    def pause_writing(self) -> None:
        """Do nothing: the link looks at `queued_bytes`."""

    def resume_writing(self) -> None:
        """Do nothing."""

    # -- what the link asks ----------------------------------------------------------------------

    @property
    def queued_bytes(self) -> int:
        """What waits in the transport."""
        return self._open_wire.underlying_transport.get_write_buffer_size()

    def send(self, data: bytes) -> bool:
        """Write a text frame now."""
        wire = self._open_wire
        if wire.is_close_frame_sent or wire.underlying_transport.is_closing():
            return False
        wire.send(TEXT, data)
        return True

    def ping(self) -> None:
        """Ask for a pong."""
        self._open_wire.send_ping()

    async def receive(self) -> str:
        """Deliver until the end."""
        self._take_turn()
        refusal = await self._disconnected()
        while self._kept:  # noqa: ASYNC110 -- it goes on turn by turn, and this is one turn
            await asyncio.sleep(0)
        return refusal or self._reason or CUT

    def close(self) -> None:
        """Ask for the end."""
        self._mute()
        self._open_wire.send_close(WSCloseCode.OK)

    def abort(self) -> None:
        """Cut the connection."""
        self._mute()
        self._open_wire.disconnect(graceful=False)

    async def release(self) -> None:
        """Close the connection behind what was written."""
        self._open_wire.disconnect()

    # -- pieces ----------------------------------------------------------------------------------

    @property
    def _open_wire(self) -> WSTransport:
        assert self.wire is not None
        return self.wire

    @property
    def _has_refused(self) -> bool:
        """Whether picows has refused a frame: it closes soon, and goes on delivering till then."""
        return self._open_wire.is_close_frame_sent and not self._is_muted

    async def _disconnected(self) -> str:
        """Wait for the end; return why picows wanted it, if it did."""
        try:
            await self._open_wire.wait_disconnected()
        except WSProtocolError as error:
            if error.code != WSCloseCode.MESSAGE_TOO_BIG:
                return f"protocol error: {error}"
            self._intake.oversized += 1
            return str(error)
        return ""

    def _after_read(self) -> None:
        """Read no more in this turn if one more read like this would bring too much for it."""
        brought, self._room_before = self._room_before - self._room, self._room
        if brought > self._room or self._has_refused:
            self._pause()

    def _arrive(self, arrival: Arrival) -> None:
        """Take a frame now, or keep it for a later turn."""
        if self._room and not self._kept:
            self._room -= 1
            self._take(*arrival)
            return
        self._kept.append(arrival)
        self._pause()

    def _pause(self) -> None:
        """Read nothing until the turn that takes what is kept."""
        wire = self._open_wire.underlying_transport
        if not self._is_paused:
            self._is_paused = True
            if not wire.is_closing():
                wire.pause_reading()
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Take what was kept, as far as a turn goes; read on when nothing is left."""
        room = FRAMES_PER_TURN
        while self._kept and room:
            room -= 1
            self._take(*self._kept.popleft())
        wire = self._open_wire.underlying_transport
        if self._kept:
            asyncio.get_running_loop().call_soon(self._take_turn)
        elif not wire.is_closing() and not self._has_refused:
            self._is_paused = False
            self._room = self._room_before = room
            wire.resume_reading()

    def _take(self, kind: WSMsgType, is_final: bool, data: bytes) -> None:
        wire, intake = self._open_wire, self._intake
        if kind is CLOSE:
            self._reason = self._reason or _farewell(wire)
            wire.send_close(WSCloseCode.OK)
            wire.disconnect()
        elif kind is PING:
            wire.send_pong(data)
        if self._is_muted:
            return
        if kind is PING:
            intake.ping(data)
        elif kind is PONG:
            intake.pongs += 1
        elif kind is TEXT and is_final and self._is_plain:
            intake.text(data)
        elif kind is not CLOSE:
            self._take_data(kind, is_final, data)

    def _take_data(self, kind: WSMsgType, is_final: bool, data: bytes) -> None:
        if (kind is CONTINUATION) is (self._parts_kind is None):
            self._refuse(WSCloseCode.PROTOCOL_ERROR, "protocol error: a frame out of its order")
            return
        if kind is not CONTINUATION:
            self._parts_kind = kind
        self._parts += data
        self._is_plain = is_final
        if len(self._parts) > self._largest_frame:
            self._refuse(WSCloseCode.MESSAGE_TOO_BIG, "a message exceeds the largest size")
        elif is_final:
            self._deliver()

    def _deliver(self) -> None:
        whole, kind = bytes(self._parts), self._parts_kind
        self._parts, self._parts_kind = bytearray(), None
        if kind is TEXT:
            self._intake.text(whole)
        else:
            self._intake.binary(whole)

    def _refuse(self, code: WSCloseCode, reason: str) -> None:
        self._mute()
        self._reason = reason
        self._intake.oversized += code is WSCloseCode.MESSAGE_TOO_BIG
        self._open_wire.send_close(code)
        self._open_wire.disconnect()

    def _mute(self) -> None:
        self._is_muted, self._is_plain = True, False


def _farewell(wire: WSTransport) -> str:
    """Return the reason in the venue's close frame."""
    said = wire.close_handshake.recv
    assert said is not None
    code: Enum | int = said.code  # a plain number where picows has no name for it
    number = code.value if isinstance(code, Enum) else code
    return closed_by_venue(number, said.reason or "")
