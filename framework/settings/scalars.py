"""What one scalar of a configuration means: environment variables, then a value.

Narrower than YAML 1.1 on purpose, so that nothing is guessed: `yes`, `on`, `010`, `1_000`,
`12:30` and `2024-01-01` stay text, and text where a number is expected is an error.

    ${NAME}            the environment variable; an error when it is not set
    ${NAME:-default}   the default when it is not set or empty
    $${                a literal ${
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal

Scalar = str | int | float | bool | None

_VARIABLE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_UNREAL = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)
_WORDS: dict[str, Scalar] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
LONGEST_NUMBER = 40  # characters


def substituted(text: str, environment: Mapping[str, str]) -> str:
    """Return `text` with its variables replaced.

    Raises:
        ValueError: a variable is not set, or a `${` is not closed.
    """

    def replacement(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if match.group() == "$${":
            return "${"
        if name is None:
            raise ValueError("'${' needs a name and a '}': ${NAME} or ${NAME:-default}")
        value = environment.get(name)
        if default is not None:
            return value or default
        if value is None:
            raise ValueError(f"environment variable {name} is not set")
        return value

    return _VARIABLE.sub(replacement, text) if "${" in text else text


def plain_value(text: str) -> Scalar:
    """Return what an unquoted scalar means: null, a boolean, a number, else the text itself.

    Raises:
        ValueError: the number is not finite, too long, or not what a float would keep.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _UNREAL.fullmatch(text):
        raise ValueError(f"{text} is not a number")
    if _INTEGER.fullmatch(text):
        return int(short_number(text))
    if _FLOAT.fullmatch(text):
        return exact_float(short_number(text))
    return text


def short_number(text: str) -> str:
    """Return `text`, or raise ValueError where it has too many characters for any number."""
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters is too long")
    return text


def exact_float(text: str) -> float:
    """Return the float whose shortest text has the same value, so that money stays exact."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is out of range")
    if Decimal(text) != Decimal(repr(value)):
        raise ValueError(f"{text} has more digits than a float keeps: shorten or quote it")
    return value
