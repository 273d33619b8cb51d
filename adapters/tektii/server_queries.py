"""What query strings say: words, times and limits, each refused by its name (spec 3, 7)."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar

import msgspec

from adapters.tektii.server_errors import invalid, missing
from adapters.tektii.words import member
from framework.model.desk import Cursor

E = TypeVar("E", bound=Enum)
Row = TypeVar("Row")

MOST_ROWS = 10_000
"""Rows of one list at most, the newest: its body stays below the 16 MiB that clients take."""

_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt ](?P<time>\d{2}:\d{2}(?::\d{2})?)"
    r"(?:[.,](?P<fraction>\d{1,18}))?(?P<offset>[Zz]|[+\- ]\d{2}:?\d{2})\Z",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Cursor).decode


def time_ns_of(text: str, field: str) -> int:
    """Return an ISO 8601 time with its offset in nanoseconds; a `+` that came as a blank counts.

    Raises:
        GatewayRefusal: it is none, or has no offset.
    """
    found = _TIME.match(text)
    if found is None:
        raise invalid(field, text, "must be ISO 8601 with an offset, as 2026-03-02T15:10:00Z")
    offset = found["offset"].upper().replace(" ", "+").replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{found['date']}T{found['time']}{offset}")
        whole = moment - _EPOCH
    except (ValueError, OverflowError):
        raise invalid(field, text, "there is no such time") from None
    fraction = int((found["fraction"] or "").ljust(9, "0")[:9])
    return (whole.days * 86_400 + whole.seconds) * 1_000_000_000 + fraction


def optional_time(text: str | None, field: str) -> int | None:
    """Return the time that a parameter names, if it is there."""
    return None if text is None else time_ns_of(text, field)


def rows_wanted(limit: int | None) -> int:
    """Return how many rows a list may have.

    Raises:
        GatewayRefusal: the limit is negative.
    """
    if limit is None:
        return MOST_ROWS
    if limit < 0:
        raise invalid("limit", limit, "must not be negative")
    return min(limit, MOST_ROWS)


NEXT = "X-Next-Cursor"
"""Where a list that has more rows says how to ask for them: `?cursor=` with this value."""


def page(
    rows: Sequence[Row], wanted: int, place_of: Callable[[Row], Cursor]
) -> tuple[Sequence[Row], dict[str, str]]:
    """Return the rows of one answer and the header that leads to the next.

    `rows` are one more than `wanted` where there are more.
    """
    if len(rows) <= wanted or not wanted:
        return rows[:wanted], {}
    return rows[:wanted], {NEXT: cursor_text(place_of(rows[wanted - 1]))}


def cursor_text(cursor: Cursor) -> str:
    """Return a cursor as one word that needs no escapes in a URL."""
    return urlsafe_b64encode(_encode(cursor)).decode().rstrip("=")


def row_before(text: str | None) -> Cursor | None:
    """Return the row that a cursor stands for.

    Raises:
        GatewayRefusal: it is none that an answer gave.
    """
    if text is None:
        return None
    try:
        return _decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, msgspec.MsgspecError):
        raise invalid("cursor", text, "is none that an answer gave") from None


def word(kind: type[E], text: str, field: str) -> E:
    """Return the member of an enum that a word means.

    Raises:
        GatewayRefusal: there is none.
    """
    found = member(kind, text)
    if found is None:
        known = ", ".join(one.value for one in kind)
        raise missing(field, f"{field} must be one of {known}")
    return found


def optional_word(kind: type[E], text: str | None, field: str) -> E | None:
    """Return the member of an enum that a word means, if it is there."""
    return None if text is None else word(kind, text, field)


def words(kind: type[E], texts: Iterable[str], field: str) -> frozenset[E]:
    """Return the members of an enum that some words mean; empty ones count for nothing."""
    parts = (part.strip() for text in texts for part in text.split(","))
    return frozenset(word(kind, part, field) for part in parts if part)
