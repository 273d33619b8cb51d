"""WebSocket connections on an aiohttp server: handshake, frames in, frames out.

aiohttp's own response writes one frame per `await`, adds its header each time, and reads half a
megabyte ahead. Here the handshake, its frame parser and our bytes are put together instead. There
is no compression: frames are made once for all who get them.
Source: RFC 6455.
"""

import asyncio
import base64
import binascii
import hashlib
import struct
from enum import Enum

from aiohttp import EofStream, WebSocketError, WSMessage, WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketReader

from framework.server.door import RefusalKind, Refused

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSION = "13"
KEY_BYTES = 16
REASON_BYTES = 123  # a control frame holds 125, two of them are the code
READ_AHEAD_BYTES = 32_768  # what may wait unread, about; then the peer is kept waiting

NO_CODE = 1005
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
FINAL = 0x80
PING_FRAME = bytes((FINAL | PING, 0))


def accept(request: web.Request) -> web.StreamResponse:
    """Return what opens a WebSocket, to be prepared.

    Raises:
        Refused: this is no valid handshake; `field` names the header.
    """
    headers = request.headers
    if headers.get("Upgrade", "").strip().lower() != "websocket":
        raise _invalid("Upgrade", "websocket", headers.get("Upgrade"))
    tokens = headers.get("Connection", "").lower().split(",")
    if "upgrade" not in (token.strip() for token in tokens):
        raise _invalid("Connection", "Upgrade", headers.get("Connection"))
    if headers.get("Sec-WebSocket-Version", "").strip() != VERSION:
        raise _invalid("Sec-WebSocket-Version", VERSION, headers.get("Sec-WebSocket-Version"))
    key = headers.get("Sec-WebSocket-Key", "").strip()
    if not _is_key(key):
        raise _invalid("Sec-WebSocket-Key", "16 bytes in base64", key or None)
    digest = hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()
    response = web.StreamResponse(
        status=101,
        headers={
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": base64.b64encode(digest).decode(),
        },
    )
    response.force_close()  # once the handler is through
    return response


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a whole frame as a server sends it, unmasked."""
    size = len(payload)
    first = FINAL | opcode
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def text_frame(payload: bytes) -> bytes:
    """Return a whole text frame; the payload is UTF-8."""
    return frame(TEXT, payload)


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping."""
    return frame(PONG, payload)


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame; a reason that is too long is cut. 1005 stands for no code."""
    if code == NO_CODE:
        return frame(CLOSE, b"")
    text = reason.encode()[:REASON_BYTES].decode(errors="ignore").encode()
    return frame(CLOSE, struct.pack("!H", code) + text)


class Heard(Enum):
    """What came from the peer."""

    TEXT = "text"
    BINARY = "binary"
    PING = "ping"
    PONG = "pong"
    CLOSE = "close"  # with code and reason
    BROKEN = "broken"  # it broke the protocol: with code and reason; nothing can be read any more
    LOST = "lost"
    WOKEN = "woken"  # nothing came: `wake` was called


_KINDS = {
    WSMsgType.TEXT: Heard.TEXT,
    WSMsgType.BINARY: Heard.BINARY,
    WSMsgType.PING: Heard.PING,
    WSMsgType.PONG: Heard.PONG,
    WSMsgType.CLOSE: Heard.CLOSE,
    WSMsgType.CLOSING: Heard.WOKEN,
}


class Incoming:
    """Reads frames from an upgraded connection: whole messages of at most `most_bytes`."""

    def __init__(self, protocol: web.RequestHandler, most_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self._queue = WebSocketDataQueue(protocol, READ_AHEAD_BYTES, loop=loop)
        # Text stays bytes: what is no UTF-8 is the door's to answer, and no reason to close.
        # aiohttp refuses from `max_msg_size` on. The queue knows its parser by a weak reference.
        self._parser = WebSocketReader(
            self._queue, max_msg_size=most_bytes + 1, compress=False, decode_text=False
        )
        protocol.set_parser(self._parser)
        protocol.keep_alive(False)

    async def read(self) -> tuple[Heard, bytes, int, str]:
        """Return what came next: its kind, its data, and code and reason of an end."""
        try:
            kind, data, extra = await self._queue.read()
        except WebSocketError as error:
            return Heard.BROKEN, b"", int(error.code), str(error)
        except (EofStream, ConnectionError):
            return Heard.LOST, b"", 0, ""
        if kind is WSMsgType.CLOSE:
            return Heard.CLOSE, b"", data or NO_CODE, extra or ""
        return _KINDS[kind], data, 0, ""

    def wake(self) -> None:
        """Let `read` return."""
        self._queue.feed_data(WSMessage(WSMsgType.CLOSING, b"", None), 0)


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):  # the latter for what is not ASCII
        return False


def _invalid(header: str, wanted: str, provided: str | None) -> Refused:
    message = f"no WebSocket handshake: {header} must be {wanted}"
    return Refused(RefusalKind.INVALID, message, field=header, provided=provided)
