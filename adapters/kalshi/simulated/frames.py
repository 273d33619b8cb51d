"""What goes out on a connection: frames with their bytes, and what faults need to know of them."""

from typing import Any

import msgspec

Answer = dict[str, Any]


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One text frame; `sid` 0 and "" are what it has not."""

    data: bytes
    type: str
    sid: int = 0
    channel: str = ""
    ticker: str = ""
    is_data: bool = False  # not a reply, not an error


class Binary(msgspec.Struct, frozen=True, gc=False):
    """One binary frame, which the venue never sends of its own accord."""

    data: bytes


class Ping(msgspec.Struct, frozen=True, gc=False):
    """The venue's own heartbeat."""

    data: bytes


class Pong(msgspec.Struct, frozen=True, gc=False):
    """The answer to the peer's ping."""

    data: bytes


class Ending(msgspec.Struct, frozen=True, gc=False):
    """How the venue ends a connection: a close frame with `code`, or a cut without one (None)."""

    code: int | None
    reason: str = ""


Item = Frame | Binary | Ping | Pong


def data_frame(kind: str, sid: int, seq: int | None, body: bytes, extra: bytes = b"") -> bytes:
    """Return a frame of data around the JSON in `body`; `extra` is what else its head holds."""
    if seq is None:
        return b'{"type":"%b",%b"sid":%d,"msg":%b}' % (kind.encode(), extra, sid, body)
    return b'{"type":"%b",%b"sid":%d,"seq":%d,"msg":%b}' % (kind.encode(), extra, sid, seq, body)


def reply_frame(
    kind: str, *, number: int, sid: int = 0, seq: int | None = None, **fields: Any
) -> bytes:
    """Return a reply or error; `number` is the command's id, and what is 0 or None is left out."""
    answer: Answer = {}
    if number:
        answer["id"] = number
    answer["type"] = kind
    if sid:
        answer["sid"] = sid
    if seq is not None:
        answer["seq"] = seq
    return msgspec.json.encode(answer | fields)
