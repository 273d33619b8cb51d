"""Plain values to typed structs, with every mistake named by its dotted key.

Adapters, strategies and models decode their own sections with `decode_section`.
"""

import os
from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation, Overflow, Rounded, Subnormal
from math import isfinite
from typing import Any, TypeVar

import msgspec

from framework.settings.faults import Path, dotted, explained
from framework.settings.places import config_error, join_key
from framework.settings.secrets import Secret, resolve_secret

T = TypeVar("T")

MOST_DIGITS = 28  # of the framework's decimal context: more would be rounded silently
_WITHIN = Context(
    prec=MOST_DIGITS,
    Emin=-MOST_DIGITS,
    Emax=MOST_DIGITS,
    clamp=0,
    traps=[InvalidOperation, Overflow, Subnormal, Rounded],
)


def decode_section(
    value: Mapping[str, Any] | None,
    type_: type[T],
    *,
    key: str,
    allows_literal_secrets: bool = False,
    environment: Mapping[str, str] | None = None,
) -> T:
    """Return `value` (None counts as empty) as a `type_`, a struct with typed fields.

    Fields of type `Secret` are read from where they refer to. `allows_literal_secrets` is for
    venues without live orders. `environment` is by default this process's.

    Raises:
        ConfigError: at `key` plus the path inside; without file and line, which the command
            line adds (`framework.settings.loading.located`).
    """
    values = {} if value is None else value
    variables = os.environ if environment is None else environment

    def hook(wanted: type, given: Any) -> Any:
        if wanted is Secret and isinstance(given, str):
            return resolve_secret(given, variables, allows_literal=allows_literal_secrets)
        raise TypeError(f"Expected `{wanted.__name__}`, got `{type(given).__name__}`")

    def convert(candidate: Any) -> T:
        return msgspec.convert(candidate, type_, dec_hook=hook)

    try:
        decoded = convert(values)
    except msgspec.ValidationError as error:
        path, reason = explained(error, values, type_, convert)
        raise config_error(reason, key=join_key(key, dotted(path))) from None
    except ArithmeticError:  # a struct's own check compared with NaN
        raise config_error("a number is not finite or out of range", key=key) from None
    unreal = find_unreal(decoded)
    if unreal is not None:
        raise config_error(
            "the number is not finite, out of range or too long", key=join_key(key, dotted(unreal))
        )
    return decoded


def find_unreal(value: Any) -> Path | None:
    """Return the path of the first number that is not finite, or a Decimal beyond the context."""
    if isinstance(value, float):
        return None if isfinite(value) else ()
    if isinstance(value, Decimal):
        return None if is_representable(value) else ()
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        items = [(shown, getattr(value, name)) for shown, name in names]
    elif isinstance(value, dict):
        items = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    for step, item in items:
        inner = find_unreal(item)
        if inner is not None:
            return (step, *inner)
    return None


def is_representable(value: Decimal) -> bool:
    """Return whether `value` is finite and within 28 digits on either side of the point."""
    try:
        return _WITHIN.plus(value).is_finite()
    except ArithmeticError:
        return False
