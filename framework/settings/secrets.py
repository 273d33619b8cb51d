"""Secrets by reference: a configuration names where a secret is, never what it is.

    env:NAME     an environment variable
    file:PATH    a file that only its owner can read (mode 0600 or stricter)

A `Secret` prints `***` everywhere; `reveal` is the one way to its value. Every value read in this
process is known to `redact`, which takes it out of text on its way to a log (T-40, T-41).
"""

import base64
import json
import os
import stat
from collections.abc import Mapping
from urllib.parse import quote

MASK = "***"
LARGEST_FILE = 65_536  # bytes: a PEM key is below 10,000
SHORTEST_REDACTED = 4  # characters: removing shorter ones would only garble the log

_known: list[str] = []  # the longest first: one may contain another


class Secret:
    """A value that must not be seen; equal to nothing but itself, never copied or encoded."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        remember(value)

    def reveal(self) -> str:
        """Return the value, for the one place that signs or sends it."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __format__(self, specification: str) -> str:
        return format(MASK, specification)

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled or copied")


def is_reference(text: str) -> bool:
    """Return whether `text` says where a secret is."""
    return text.startswith(("env:", "file:"))


def resolve_secret(
    text: str, environment: Mapping[str, str], *, allows_literal: bool = False
) -> Secret:
    """Return the secret that `text` refers to.

    Raises:
        ValueError: it is not set, cannot be read, is open to others, or is a literal where
            only references are allowed; the message never contains the value.
    """
    kind, _, place = text.partition(":")
    if kind == "env":
        value = environment.get(place, "")
        if not value:
            raise ValueError(f"environment variable {place} is not set")
        return Secret(value)
    if kind == "file":
        return Secret(read_private(place))
    if kind in ("keyring", "age"):
        raise ValueError(f"{kind}: is not supported; write env:NAME or file:PATH")
    if not allows_literal:
        raise ValueError("a secret must be a reference: env:NAME or file:PATH")
    if not text:
        raise ValueError("the secret is empty")
    return Secret(text)


def read_private(path: str) -> str:
    """Return a secret file's text without its last line break; others must not be able to read it.

    Raises:
        ValueError: with a reason that does not contain the text.
    """
    try:
        with open(path, "rb") as stream:
            status = os.fstat(stream.fileno())  # of what was opened, not of what the path is now
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{path} is not a file")
            if status.st_mode & 0o077:
                raise ValueError(f"{path} is open to other users; run chmod 600 on it")
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{path} is larger than {LARGEST_FILE} bytes")
    try:
        value = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    if not value:
        raise ValueError(f"{path} is empty")
    return value


def remember(value: str) -> None:
    """Let `redact` know a secret value: as it is and in the forms it may leak in (R-85)."""
    if len(value) >= SHORTEST_REDACTED:
        raw = value.encode(errors="surrogateescape")
        encoded = base64.b64encode(raw).decode().rstrip("=")
        forms = {value, encoded, raw.hex(), quote(raw, safe=""), repr(value)[1:-1]}
        forms |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
        _known[:] = sorted(forms.union(_known), key=len, reverse=True)


def redact(text: str) -> str:
    """Return `text` with every known secret value replaced by `***`."""
    for value in _known:
        if value in text:
            text = text.replace(value, MASK)
    return text
