"""Every struct of `framework/model`, and random values of it built from its annotations."""

import importlib
import pkgutil
import types
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import Enum
from typing import Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import framework.model
from tests.framework.model.fitting_values import FITTING

MODULES = tuple(
    importlib.import_module(f"framework.model.{module.name}")
    for module in pkgutil.iter_modules(framework.model.__path__)
)


def structs_of(module: types.ModuleType) -> list[type[msgspec.Struct]]:
    """Return the structs that `module` defines, in the order it defines them."""
    return [
        member
        for member in vars(module).values()
        if isinstance(member, type)
        and issubclass(member, msgspec.Struct)
        and member.__module__ == module.__name__
    ]


def holds_raw(struct: type[msgspec.Struct]) -> bool:
    """Say whether a struct carries bytes that are encoded already: then it has one encoding."""
    return any("msgspec.Raw" in repr(field.type) for field in msgspec.structs.fields(struct))


STRUCTS = tuple(
    struct for module in MODULES for struct in structs_of(module) if not holds_raw(struct)
)

SCALARS: dict[object, Callable[[], SearchStrategy[object]]] = {
    bool: st.booleans,
    int: lambda: st.integers(-(2**63), 2**63 - 1),
    float: lambda: st.floats(allow_nan=False, allow_infinity=False),
    str: lambda: st.text(max_size=12),
    bytes: lambda: st.binary(max_size=12),
    Decimal: lambda: st.decimals(allow_nan=False, allow_infinity=False),
    type(None): st.none,
}


def values_of(annotation: object) -> SearchStrategy[object]:
    """Return a strategy for `annotation`: scalars, enums, structs, tuples and unions of them."""
    if annotation in SCALARS:
        return SCALARS[annotation]()
    arguments = get_args(annotation)
    if get_origin(annotation) in (types.UnionType, Union):
        return st.one_of([values_of(argument) for argument in arguments])
    if get_origin(annotation) is tuple:
        if arguments[1:] == (...,):
            return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
        return st.tuples(*map(values_of, arguments))
    if get_origin(annotation) is frozenset:
        return st.frozensets(values_of(arguments[0]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return values_of_struct(annotation)
    raise TypeError(f"no values for {annotation!r}: add it here")


def values_of_struct(struct: type[msgspec.Struct]) -> SearchStrategy[msgspec.Struct]:
    """Return a strategy that fills every field of `struct`."""
    if struct in FITTING:
        return FITTING[struct]
    fields = {field.name: values_of(field.type) for field in msgspec.structs.fields(struct)}
    return st.builds(struct, **fields)


def leaves_of(annotation: object) -> Iterator[object]:
    """Yield the scalar types that `annotation` can hold, those of nested structs included."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        for field in msgspec.structs.fields(annotation):
            yield from leaves_of(field.type)
    elif get_args(annotation):
        for argument in get_args(annotation):
            yield from leaves_of(argument)
    else:
        yield annotation
