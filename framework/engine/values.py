"""Values of any type to bytes and back, for answers that a replay has to give again.

Plain values are MessagePack as they are; containers and other types carry a mark, so that what
comes back has the type that went in. What cannot come back equal is refused when it is packed.
"""

from importlib import import_module
from typing import Any

import msgspec

from framework.errors import DataError

PLAIN = frozenset({type(None), bool, int, float, str, bytes})
LIST, TUPLE, MAP, OTHER = "l", "t", "m", "o"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def pack(value: Any) -> bytes:
    """Return `value` as bytes.

    Raises:
        DataError: it would not come back equal.
    """
    try:
        packed = _encode(_marked(value))
        again = _encode(_marked(unpack(packed)))
    except (TypeError, ValueError, OverflowError, RecursionError, AttributeError) as error:
        raise DataError(f"a {path_of(type(value))} cannot be recorded: {error}") from error
    if again != packed:
        raise DataError(f"a {path_of(type(value))} would not come back equal")
    return packed


def unpack(packed: bytes) -> Any:
    """Return the value that `pack` was given."""
    return _unmarked(_decode(packed))


def pack_error(error: BaseException) -> bytes:
    """Return an exception as bytes: its type, arguments and attributes.

    Raises:
        DataError: it would not come back equal.
    """
    packed = pack((path_of(type(error)), error.args, vars(error)))
    if repr(unpack_error(packed)) != repr(error):
        raise DataError(f"{error!r} would not come back equal")
    return packed


def unpack_error(packed: bytes) -> BaseException:
    """Return the exception that `pack_error` was given."""
    path, arguments, attributes = unpack(packed)
    kind = find_type(path)
    error = kind.__new__(kind, *arguments)  # `__init__` may take other arguments than `args`
    if not isinstance(error, BaseException):
        raise DataError(f"{path} is no exception")
    error.args = arguments
    vars(error).update(attributes)
    return error


def path_of(kind: type) -> str:
    """Return the name under which `find_type` finds a type again."""
    return f"{kind.__module__}:{kind.__qualname__}"


def find_type(path: str) -> type:
    """Return the type at `module:qualified name`.

    Raises:
        DataError: there is none.
    """
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(f"there is no type {path}: {error}") from error
    if not isinstance(found, type):
        raise DataError(f"{path} is no type")
    return found


def _marked(value: Any) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is list:
        return [LIST, *map(_marked, value)]
    if kind is tuple:
        return [TUPLE, *map(_marked, value)]
    if kind is dict:
        return [MAP, *([_marked(key), _marked(item)] for key, item in value.items())]
    if kind is set or kind is frozenset:
        raise TypeError("the order of a set is not recorded")
    return [OTHER, path_of(kind), value]


def _unmarked(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    mark, *items = value
    if mark == LIST:
        return [_unmarked(item) for item in items]
    if mark == TUPLE:
        return tuple(_unmarked(item) for item in items)
    if mark == MAP:
        return {_unmarked(key): _unmarked(item) for key, item in items}
    path, content = items
    return msgspec.convert(content, find_type(path))
