"""Says why values do not decode: at which key, and in the configuration's words."""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from itertools import islice
from typing import Any

import msgspec

from framework.settings.places import join_key

Path = tuple[str | int, ...]

_PLACE = re.compile(r"(?s)(.*) - at `(key` in `)?\$(.*)`")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])")
_FIELD = re.compile(r"(?s)Object (?:contains )?(unknown|missing required) field `(.*)`")


def explained(
    error: msgspec.ValidationError, values: Any, type_: Any, convert: Callable[[Any], Any]
) -> tuple[Path, str]:
    """Return where a decoding error is, and what it means."""
    match = _PLACE.fullmatch(str(error))
    reason, is_key, steps = match.groups() if match else (str(error), None, "")
    path = culprit(steps + ("[...]" if is_key else ""), values, str(error), convert)
    field = getattr(error.__cause__, "field", None)
    if field is not None:
        return (*path, field), reason
    if found := _FIELD.fullmatch(reason):
        words = field_fault(found.group(1), type_at(type_, path))
        return (*path, found.group(2)), words
    if is_key:
        expected = getattr(type_at(type_, path[:-1]), "key_type", None)
        return path, f"the name does not fit: {value_fault(reason, expected)}"
    return path, value_fault(reason, type_at(type_, path))


def field_fault(kind: str, struct: Any) -> str:
    """Return what is wrong with a struct's keys: one too many, or one missing."""
    if kind == "missing required":
        return "the key is missing"
    known = ", ".join(field.encode_name for field in getattr(struct, "fields", ()))
    return f"unknown key; known here: {known}" if known else "unknown key"


def value_fault(reason: str, expected: Any) -> str:
    """Return the decoder's words in the configuration's: choices listed, patterns described."""
    if "matching regex" in reason:
        described = (getattr(expected, "extra_json_schema", None) or {}).get("description")
        return f"must be {described}" if described else reason
    wanted = getattr(expected, "type", expected)
    cls = getattr(wanted, "cls", None)
    if isinstance(cls, type) and issubclass(cls, Enum):
        choices = ", ".join(str(member.value) for member in cls)
    else:
        choices = ", ".join(str(value) for value in getattr(wanted, "values", ()))
    if reason.startswith("Invalid enum value") and choices:
        return f"{reason.removeprefix('Invalid enum value ')} is not one of {choices}"
    return reason.replace("`object", "`mapping").replace("`array", "`list")


def culprit(steps: str, values: Any, message: str, convert: Callable[[Any], Any]) -> Path:
    """Return the path that `steps` (`.field`, `[0]`, `[...]`) stands for.

    The decoder does not say which entry of a mapping is wrong (`[...]`), only that the first
    wrong one gave `message`: halve the mapping until the entry is alone.
    """

    def fails_with(path: Path, entries: dict[str, Any]) -> bool:
        return failure_of(convert, with_value_at(values, path, entries)) == message

    path: Path = ()
    for match in _STEP.finditer(steps):
        name, index, unnamed = match.groups()
        if unnamed is None:
            path = (*path, name if name is not None else int(index))
            continue
        entries = value_at(values, path)
        left = dict(entries) if isinstance(entries, Mapping) else {}
        while len(left) > 1:
            first = dict(islice(left.items(), len(left) // 2))
            rest = dict(islice(left.items(), len(first), None))
            left = first if fails_with(path, first) else rest
        if not left or not fails_with(path, left):
            return path
        values, path = with_value_at(values, path, left), (*path, *left)
    return path


def failure_of(convert: Callable[[Any], Any], values: Any) -> str | None:
    """Return the message with which `values` fail to decode."""
    try:
        convert(values)
    except (msgspec.ValidationError, ArithmeticError) as error:
        return str(error)
    return None


def value_at(values: Any, path: Path) -> Any:
    """Return what stands at `path`, or None."""
    for step in path:
        if isinstance(values, list) and isinstance(step, int) and step < len(values):
            values = values[step]
        else:
            values = values.get(step) if isinstance(values, Mapping) else None
    return values


def with_value_at(values: Any, path: Path, value: Any) -> Any:
    """Return a copy of `values` with `value` at `path`, which exists."""
    if not path:
        return value
    first, *rest = path
    inner = with_value_at(values[first], tuple(rest), value)
    if isinstance(values, Mapping):
        return {**values, first: inner}
    return [inner if index == first else item for index, item in enumerate(values)]


def type_at(type_: Any, path: Path) -> Any:
    """Return the description of the type expected at `path`, or None where it is not one type."""
    from msgspec import inspect  # only errors need it

    wanted: Any = single_type(inspect.type_info(type_))
    for step in path:
        wanted = getattr(wanted, "type", wanted)  # what a description (`Meta`) is attached to
        if isinstance(wanted, inspect.StructType):
            fields = {field.encode_name: field.type for field in wanted.fields}
            wanted = fields.get(str(step))
        elif isinstance(wanted, inspect.DictType):
            wanted = wanted.value_type
        else:
            wanted = getattr(wanted, "item_type", None)
        wanted = single_type(wanted)
    return wanted


def single_type(wanted: Any) -> Any:
    """Return the one type beside None in a union, or None where there are several."""
    from msgspec import inspect

    if not isinstance(wanted, inspect.UnionType):
        return wanted
    named = [choice for choice in wanted.types if not isinstance(choice, inspect.NoneType)]
    return named[0] if len(named) == 1 else None


def dotted(path: Path) -> str:
    """Return a path as a dotted key."""
    return join_key(*(f"[{step}]" if isinstance(step, int) else step for step in path))
