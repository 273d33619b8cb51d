"""Pages of a list: opaque cursors that stay right while the list grows.

A cursor names the last item seen by a number that orders the list, so that what is added in front
moves nothing. Source: the venue's page on pagination.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

import msgspec

from adapters.kalshi.simulated.domain import Refusal

T = TypeVar("T")

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1_000
_SEAL = b"page/"  # tells our cursors from other base64


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items, and where the next page starts; "" on the last one."""

    items: list[T]
    cursor: str


def take_page(
    numbered: Iterable[tuple[int, T]], query: Mapping[str, str], *, largest: int = LARGEST_LIMIT
) -> Page[T]:
    """Return the page that `limit` and `cursor` in `query` ask for.

    `numbered` ascends strictly by number; a list with the newest first has negative numbers.

    Raises:
        Refusal: the limit is out of range, or the cursor is not one of ours.
    """
    limit = limit_of(query, largest)
    after = read_cursor(query["cursor"]) if query.get("cursor") else None
    items: list[T] = []
    last = 0
    for number, item in numbered:
        if after is not None and number <= after:
            continue
        if len(items) == limit:
            return Page(items, write_cursor(last))
        items.append(item)
        last = number
    return Page(items, "")


def newest_first(items: Iterable[T], count: int) -> Iterable[tuple[int, T]]:
    """Number the `count` items of a list that has the newest first and grows in front."""
    return zip(range(-count, 0), items, strict=True)


def limit_of(query: Mapping[str, str], largest: int) -> int:
    """Return the page's size.

    Raises:
        Refusal: it is not a number from 1 to `largest`.
    """
    text = query.get("limit", "")
    if not text:
        return min(DEFAULT_LIMIT, largest)
    if not (text.isascii() and text.isdigit() and len(text) < 10) or not 1 <= int(text) <= largest:
        raise Refusal(400, "invalid_parameters", f"limit must be from 1 to {largest}")
    return int(text)


def write_cursor(number: int) -> str:
    """Return the cursor behind the item of this number."""
    return base64.urlsafe_b64encode(_SEAL + str(number).encode()).decode()


def read_cursor(text: str) -> int:
    """Return the number in a cursor.

    Raises:
        Refusal: it is not one of ours.
    """
    try:
        content = binascii.a2b_base64(text.replace("-", "+").replace("_", "/").encode())
        if len(content) < 40 and content.startswith(_SEAL):
            return int(content.removeprefix(_SEAL))
    except ValueError:
        pass
    raise Refusal(400, "invalid_parameters", "cursor is not valid")
