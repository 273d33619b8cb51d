"""From bytes and text to the structs that a route declares, with one clear error.

Whatever comes in ends as a struct or as `Refused`: broken JSON and UTF-8, numbers that would take a
gigabyte to write out, brackets ten thousand deep.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from framework.server.door import RefusalKind, Refused
from framework.settings.fields import FieldError
from framework.settings.places import join_key, one_line

JSON = "application/json"
LARGEST_EXPONENT = 1_000  # of a decimal, either way: its plain notation stays on a page
MOST_DIGITS = 1_000
LARGEST_INTEGER = 2**63  # what a database holds
MOST_PARAMETERS = 100

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # an open one goes to the end
_OPENING = bytes.maketrans(b"[]{}", b"()()")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(?P<place>[^`]*)`$", re.DOTALL)
_NAMED = re.compile(r"(?:required|unknown) field `(?P<name>[^`]*)`")
_NUMBERS = (inspect.DecimalType, inspect.IntType, inspect.AnyType, inspect.CustomType)
_LISTS = (
    inspect.ListType,
    inspect.SetType,
    inspect.FrozenSetType,
    inspect.VarTupleType,
)


class BodyDecoder:
    """Decodes JSON of one type, at most `depth` brackets deep."""

    def __init__(self, type_: type, *, depth: int) -> None:
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(type_).decode
        self._depth = depth
        self._numbers = fields_with_numbers(type_)

    def decode(self, body: bytes) -> Any:
        """Return the body as the type.

        Raises:
            Refused: it is not; `field` says where, if it is at one place.
        """
        if body.count(b"{") + body.count(b"[") > self._depth and is_deeper(body, self._depth):
            raise invalid(f"the body is nested deeper than {self._depth}")
        try:
            value: Any = self._decode(body)
        except UnicodeDecodeError:
            raise invalid("the body is not UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise refusal_of(error) from None
        check_numbers(value, self._numbers, len(body))
        return value


class QueryDecoder:
    """Decodes query strings to a struct; parameters that it does not have are ignored.

    A list takes repeated and comma-separated values; anything else comes once.
    """

    def __init__(self, type_: type) -> None:
        self._type = type_
        found = inspect.type_info(type_)
        assert isinstance(found, inspect.StructType)
        self._is_list = {field.encode_name: is_list(field.type) for field in found.fields}
        self._names = {field.encode_name: field.name for field in found.fields}
        self._numbers = fields_with_numbers(type_)

    def decode(self, query: str) -> Any:
        """Return the parameters as the type.

        Raises:
            Refused: they are not; `field` names the parameter.
        """
        found = self._parse(query) if query else {}
        try:
            value: Any = msgspec.convert(found, self._type, strict=False)
        except (ValueError, RecursionError) as error:
            refused = refusal_of(error)
            refused.field = refused.field.partition("[")[0]
            given = found.get(refused.field)
            if isinstance(given, str):
                refused.provided = one_line(given, 200)
            raise refused from None
        check_numbers(value, self._numbers, len(query))
        for name, given in found.items():
            # msgspec takes the text "null" for no value where anything but a text is wanted.
            if isinstance(given, str) and getattr(value, self._names[name]) is None:
                raise invalid(f"{name} has no value", field=name)
        return value

    def _parse(self, query: str) -> dict[str, str | list[str]]:
        try:
            pairs = parse_qsl(
                query, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
            )
        except UnicodeError:
            raise invalid("the query is not UTF-8") from None
        except ValueError:
            raise invalid(f"more than {MOST_PARAMETERS} parameters") from None
        found: dict[str, str | list[str]] = {}
        for name, text in pairs:
            listed = self._is_list.get(name)
            if listed is None:
                continue
            if listed:
                found.setdefault(name, []).extend(text.split(","))  # type: ignore[union-attr]
            elif name in found:
                raise invalid(f"{name} is given twice", field=name)
            else:
                found[name] = text
        return found


def check_media_type(content_type: str | None) -> None:
    """Pass a body that says it is JSON.

    Raises:
        Refused: it says something else, or nothing.
    """
    if content_type == JSON:
        return
    if content_type is None:
        raise Refused(RefusalKind.MEDIA_TYPE, f"the Content-Type is missing; send {JSON}")
    if content_type.partition(";")[0].strip().lower() != JSON:
        shown = one_line(content_type, 100)
        reason = f"the Content-Type is {shown!r}; send {JSON}"
        raise Refused(RefusalKind.MEDIA_TYPE, reason, provided=shown)


def is_deeper(body: bytes, depth: int) -> bool:
    """Return whether JSON is nested deeper than `depth`, in a time that is linear in its size.

    Brackets are taken off pair by pair from the inside, one level a round.
    """
    brackets = _STRING.sub(b"", body).translate(_OPENING, _NO_BRACKETS)
    for _ in range(depth):
        if not brackets:
            return False
        brackets = brackets.replace(b"()", b"")
    return bool(brackets)


def invalid(reason: str, *, field: str = "") -> Refused:
    """Return the refusal of something that cannot be read."""
    return Refused(RefusalKind.INVALID, one_line(reason), field=field)


def refusal_of(error: Exception) -> Refused:
    """Return the refusal for what a decoder raised, with the field that is to blame.

    msgspec says "Expected `int`, got `str` - at `$.legs[0].size`".
    """
    if isinstance(error, RecursionError):
        return invalid("it is nested too deeply")
    text = str(error)
    field = ""
    found = _PLACE.search(text)
    if found is not None:
        field, text = found["place"], text[: found.start()]
    named = _NAMED.search(text)
    if named is not None:
        field = join_key(field, named["name"])
    if isinstance(error.__cause__, FieldError):
        field = join_key(field, error.__cause__.field)
    return invalid(text, field=one_line(field, 200))


def is_list(type_: inspect.Type) -> bool:
    """Return whether a field takes several values."""
    if isinstance(type_, inspect.UnionType):
        return any(map(is_list, type_.types))
    return isinstance(type_, _LISTS)


Fields = tuple[tuple[str, str], ...]
"""Attributes of a struct, with their names in JSON."""


def fields_with_numbers(type_: type) -> Fields | None:
    """Return a struct's fields that may hold a decimal or integer, at any depth.

    None: the type is no struct, and all of it has to be looked at.
    """
    found = inspect.type_info(type_)
    if not isinstance(found, inspect.StructType):
        return None
    return tuple(
        (field.name, field.encode_name)
        for field in found.fields
        if has_numbers(field.type, frozenset())
    )


def has_numbers(type_: inspect.Type, outer: frozenset[type]) -> bool:
    """Return whether a value of the type may hold a decimal or integer; `outer` holds it."""
    if isinstance(type_, _NUMBERS):
        return True
    if isinstance(type_, inspect.UnionType):
        return any(has_numbers(part, outer) for part in type_.types)
    if isinstance(type_, inspect.StructType):
        if type_.cls in outer:  # it was looked at one level up
            return False
        inner = outer | {type_.cls}
        return any(has_numbers(field.type, inner) for field in type_.fields)
    if isinstance(type_, inspect.DictType):
        return has_numbers(type_.key_type, outer) or has_numbers(type_.value_type, outer)
    if isinstance(type_, inspect.TupleType):
        return any(has_numbers(part, outer) for part in type_.item_types)
    item = getattr(type_, "item_type", None)
    return item is not None and has_numbers(item, outer)


def check_numbers(value: Any, fields: Fields | None, size: int) -> None:
    """Pass a decoded value whose numbers are sensible; `fields` are those that may hold some.

    `size` is that of the text it came from: where it is small, no number has many digits.

    Raises:
        Refused: one is not finite, has too many digits, or would fill the memory written out.
    """
    counts_digits = size > MOST_DIGITS
    if fields is None:
        check_number(value, "", counts_digits=counts_digits)
        return
    for attribute, name in fields:
        inner = getattr(value, attribute)
        if inner is not None:
            check_number(inner, name, counts_digits=counts_digits)


def check_number(value: Any, place: str, *, counts_digits: bool) -> None:
    """Pass one value and whatever is in it.

    Raises:
        Refused: a number is not finite or too large.
    """
    kind = type(value)
    if kind is Decimal:
        if (
            not value.is_finite()
            or not -LARGEST_EXPONENT <= value.adjusted() <= LARGEST_EXPONENT
            or (counts_digits and len(value.as_tuple().digits) > MOST_DIGITS)
        ):
            raise invalid("the number is out of range", field=place)
    elif kind is int:
        if not -LARGEST_INTEGER <= value < LARGEST_INTEGER:
            raise invalid("the number is out of range", field=place)
    elif kind is not str:
        for name, inner in parts(value):
            check_number(inner, join_key(place, name), counts_digits=counts_digits)


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value consists of, by name or index."""
    if isinstance(value, msgspec.Struct):
        for attribute, name in zip(
            value.__struct_fields__, value.__struct_encode_fields__, strict=True
        ):
            yield name, getattr(value, attribute)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key), key
            yield str(key), inner
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{index}]", inner) for index, inner in enumerate(value))
