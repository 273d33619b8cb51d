"""How streams look on the wire: what a payload, a sign of life and the end are written as."""

from collections.abc import Callable

import msgspec

from framework.server.upgrade import PING_FRAME, close_frame, text_frame


class Encoded:
    """The last payload and what goes over the wire for it, by `encode`.

    A door sends each frame to one link after the other: looking whether it is the same object
    costs less than making its header anew.
    """

    def __init__(self, encode: Callable[[bytes], bytes]) -> None:
        self._encode = encode
        self._payload = b""
        self._frame = encode(b"")

    def __call__(self, payload: bytes) -> bytes:
        """Return the whole frame."""
        if payload is not self._payload:
            self._payload, self._frame = payload, self._encode(payload)
        return self._frame


class Framing(msgspec.Struct, frozen=True):
    """How a kind of stream writes: frames, what keeps it alive, its end by code and reason."""

    encoded: Encoded
    ping: bytes
    close: Callable[[int, str], bytes]


def web_socket_framing() -> Framing:
    """Return the framing of WebSockets; payloads are UTF-8."""
    return Framing(Encoded(text_frame), PING_FRAME, close_frame)


def event_framing() -> Framing:
    """Return the framing of server-sent events; payloads are whole events, see `sse.event`.

    A comment keeps it alive. It has no word for the end; aiohttp writes the last chunk.
    """
    return Framing(Encoded(_chunk), _chunk(b":\n\n"), lambda code, reason: b"")


def _chunk(payload: bytes) -> bytes:
    """Return a chunk of an HTTP/1.1 body; an empty one would be the last."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
