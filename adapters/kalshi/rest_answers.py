"""Answers of REST: how they are decoded, and those about orders, thin or whole, one or several."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from adapters.kalshi import rest_reading as reading
from adapters.kalshi.lenient import UNREADABLE, read_leniently
from adapters.kalshi.rest_values import ItemFailure, OrderAnswer
from adapters.kalshi.wire_rest import AcknowledgementBody, ErrorDetails, OrderBody
from framework.errors import MalformedMessage

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
V = TypeVar("V")

NO_CONTENT = (b"", b"null")


class Whole(msgspec.Struct, frozen=True):
    """What tells the generations' answers apart."""

    order: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    reduced_by_fp: str | None = None
    client_order_id: str | None = None
    order_id: str | None = None


def read_answer(body: bytes | msgspec.Raw) -> OrderAnswer:
    """Return the answer about one order of either generation. Raises MalformedMessage."""
    return _answer(decode(body, Whole), body)


def read_item(body: bytes | msgspec.Raw) -> OrderAnswer | ItemFailure | None:
    """Return the answer about one item of a batch, or why it failed.

    None: it cannot be read, and what became of the item is not known; the others are still good.
    """
    try:
        whole = decode(body, Whole)
        if bytes(whole.error) not in NO_CONTENT:
            details = _details(whole.error)
            return reading.failure(details, whole.client_order_id or "", whole.order_id or "")
        return _answer(whole, body)
    except MalformedMessage:
        return None


def read_body(raw: bytes | msgspec.Raw, kind: type[S], read: Callable[[S], V]) -> tuple[V, str]:
    """Return what a body says, and the fields that were left out because they are not readable.

    Raises:
        MalformedMessage: it is no object, or lacks what is needed.
    """
    try:
        return read(msgspec.json.decode(raw, type=kind)), ""
    except UNREADABLE:
        body, left_out = read_leniently(kind, raw)
        return read(body), left_out


def decode(raw: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Return an answer, or a part of it. Raises MalformedMessage."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE as error:
        raise MalformedMessage(f"an answer cannot be read: {error}") from None


def part_of(body: bytes | msgspec.Raw, name: str) -> msgspec.Raw:
    """Return one member of an object. Raises MalformedMessage: it is missing."""
    raw = decode(body, dict[str, msgspec.Raw]).get(name)
    if raw is None:
        raise MalformedMessage(f"an answer has no {name!r}")
    return raw


def items_of(raw: msgspec.Raw | None) -> list[msgspec.Raw]:
    """Return the items of a list, which may be null. Raises MalformedMessage."""
    return [] if raw is None else decode(raw, list[msgspec.Raw] | None) or []  # type: ignore[arg-type] # mypy knows no union as a type


def _answer(whole: Whole, body: bytes | msgspec.Raw) -> OrderAnswer:
    if bytes(whole.order) not in NO_CONTENT:
        order, _ = read_body(whole.order, OrderBody, reading.order)
        return reading.answer_of(order, whole.reduced_by_fp)
    return read_body(body, AcknowledgementBody, reading.acknowledgement)[0]


def _details(error: msgspec.Raw) -> ErrorDetails:
    """Return an item's error, an object or a mere text."""
    value: Any = decode(error, ErrorDetails | str)  # type: ignore[arg-type] # as above
    return ErrorDetails(message=value) if isinstance(value, str) else value
