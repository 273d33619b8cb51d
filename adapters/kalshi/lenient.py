"""The second try at a body: what is needed strictly, the rest without what cannot be read (B21).

One field that the venue types otherwise than it documents must not end a channel. This costs
several times a strict decode and is only for bodies on which that one failed.
"""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Raw
from msgspec.structs import FieldInfo

from framework.errors import MalformedMessage

Body = TypeVar("Body", bound=msgspec.Struct)

UNREADABLE = (ValueError, RecursionError, MalformedMessage)
"""What decoding raises: msgspec's errors are ValueErrors, and so is text that is no UTF-8."""


class _Field(msgspec.Struct, frozen=True):
    """How one field of a body is read; `is_needed`: one that came must be readable."""

    name: str
    decode: Callable[[Raw], object]
    check: Callable[[Any], object] | None
    is_required: bool
    is_needed: bool


def read_leniently(body: type[Body], raw: bytes | Raw) -> tuple[Body, str]:
    """Return a body, and the names of the fields that were left out, joined by commas.

    Raises:
        MalformedMessage: it is no object, or a field that is needed cannot be read.
    """
    fields, decoder = _fields(body)
    try:
        texts = decoder.decode(raw)
    except UNREADABLE as error:
        raise MalformedMessage(f"the body is no object: {error}") from error
    values: dict[str, object] = {}
    left_out: list[str] = []
    for field in fields:
        text = getattr(texts, field.name)
        if not bytes(text):
            if field.is_required:
                raise MalformedMessage(f"{field.name} is missing")
            continue
        try:
            values[field.name] = _checked(field, text)
        except UNREADABLE as error:
            if field.is_needed:
                raise MalformedMessage(f"{field.name}: {error}") from error
            left_out.append(field.name)
    return body(**values), ", ".join(left_out)


def _checked(field: _Field, text: Raw) -> object:
    value = field.decode(text)
    _check(value, field.check)
    return value


def _check(value: object, check: Callable[[Any], object] | None) -> None:
    """Read a value for the error that it may raise, and so what it contains."""
    if isinstance(value, msgspec.Struct):
        for field in _fields(type(value))[0]:
            _check(getattr(value, field.name), field.check)
    elif isinstance(value, list):
        for item in value:
            _check(item, None)
    elif value is not None and check is not None:
        check(value)


@cache
def _fields(body: type[msgspec.Struct]) -> tuple[tuple[_Field, ...], msgspec.json.Decoder[Any]]:
    """Return how each field is read, and the decoder of a body whose fields are all untouched."""
    infos = msgspec.structs.fields(body)
    texts = msgspec.defstruct(f"Raw{body.__name__}", [(info.name, Raw, Raw()) for info in infos])
    return tuple(_field(info) for info in infos), msgspec.json.Decoder(texts)


def _field(info: FieldInfo) -> _Field:
    marks: dict[str, Any] = {}
    if get_origin(info.type) is Annotated:
        for meta in get_args(info.type)[1:]:
            marks |= meta.extra or {}
    is_required = info.default is NODEFAULT
    return _Field(
        name=info.name,
        decode=msgspec.json.Decoder(info.type).decode,
        check=marks.get("read"),
        is_required=is_required,
        is_needed=is_required or bool(marks.get("is_needed")),
    )
