"""What clients of the event stream send: acknowledgements, pongs, and wishes of their own.

    {"type": "event_ack", "correlation_id": ..., "events_processed": [...], "timestamp": ...}
    {"type": "pong"}
    {"type": "subscribe", "subscriptions": [...]}      an extension, as on the handshake
    {"type": "unsubscribe", "subscriptions": [...]}    likewise

An acknowledgement or pong that lacks members, or has strange ones, is taken for what it says. All
else is not understood, which costs the client an `error` frame now and then, never its connection.

Source: section 11.3 of the gateway's description.
"""

from collections.abc import Collection

import msgspec

from adapters.tektii.server_subscriptions import Entry, entries_of
from framework.errors import ConfigError

LONGEST_SHOWN = 60  # characters of a word that is not understood


class Ack(msgspec.Struct, frozen=True):
    """Events that a client has handled, whatever it named."""

    event_ids: tuple[object, ...]


class Pong(msgspec.Struct, frozen=True):
    """An answer to a ping."""


class Wish(msgspec.Struct, frozen=True):
    """Subscriptions that a client wants to have, or have no longer."""

    entries: tuple[Entry, ...]
    is_taken_back: bool = False


class Strange(msgspec.Struct, frozen=True):
    """What is not understood, and why."""

    reason: str


def understood(text: str, platforms: Collection[str]) -> Ack | Pong | Wish | Strange:
    """Return what a text frame says."""
    try:
        frame = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return Strange("a frame is a JSON object")
    if not isinstance(frame, dict):
        return Strange("a frame is a JSON object")
    kind = frame.get("type")
    if kind == "event_ack":
        named = frame.get("events_processed")
        return Ack(tuple(named) if isinstance(named, list) else ())
    if kind == "pong":
        return Pong()
    if kind in ("subscribe", "unsubscribe"):
        try:
            entries = entries_of(frame.get("subscriptions"), platforms, key="subscriptions")
        except ConfigError as error:
            return Strange(str(error))
        return Wish(tuple(entries), is_taken_back=kind == "unsubscribe")
    shown = repr(kind) if isinstance(kind, str) else "no text"
    return Strange(f"unknown type {shown[:LONGEST_SHOWN]}")
