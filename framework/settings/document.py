"""Reads a YAML file into plain values with a line for every key, and trusts nothing in it.

Built from the parser's events, never from tags: no object is constructed, and size, depth,
aliases and repeated keys are judged while reading (T-42).
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from framework.errors import ConfigError
from framework.settings.places import config_error, join_key, parent_key
from framework.settings.scalars import plain_value, substituted

MAXIMUM_BYTES = 1_000_000
MAXIMUM_DEPTH = 32
MAXIMUM_ALIASES = 10
MAXIMUM_NODES = 50_000  # values and keys, those behind an alias counted each time

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


class Document(msgspec.Struct, frozen=True):
    """A file's values, and the line (from 1) of each dotted key."""

    file: str
    values: dict[str, Any]
    lines: dict[str, int]

    def line_of(self, key: str) -> int | None:
        """Return the line of `key`, or of the nearest part above it that the file has."""
        while key and key not in self.lines:
            key = parent_key(key)
        return self.lines.get(key)


def read_document(path: str, environment: Mapping[str, str] | None) -> Document:
    """Read the file at `path`; without an `environment` variables stay as they are written.

    Raises:
        ConfigError: it cannot be read, or breaks a rule of this module.
    """
    return parse_document(read_text(path), file=path, environment=environment)


def read_text(path: str) -> str:
    """Return the file's text: UTF-8, printable, within the size limit."""
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAXIMUM_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise config_error(f"cannot be read: {reason}", file=path) from None
    if len(content) > MAXIMUM_BYTES:
        raise config_error(f"is larger than {MAXIMUM_BYTES} bytes", file=path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise config_error("is not UTF-8 text", file=path, line=line) from None
    if found := _FORBIDDEN.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise config_error(f"has a control character {found.group()!r}", file=path, line=line)
    return text


def parse_document(text: str, *, file: str, environment: Mapping[str, str] | None) -> Document:
    """Return the values and lines of one YAML document.

    Raises:
        ConfigError: with file, line, key and reason.
    """
    builder = _Builder(text, file, environment)
    try:
        values = builder.document()
    except yaml.MarkedYAMLError as error:
        raise syntax_error(error, text, file) from None
    except yaml.YAMLError as error:
        raise config_error(f"is not YAML: {error}", file=file) from None
    return Document(file=file, values=values, lines=builder.lines)


def syntax_error(error: yaml.MarkedYAMLError, text: str, file: str) -> ConfigError:
    """Return what the parser says, with a hint for the two mistakes people make most."""
    mark = error.problem_mark or error.context_mark
    number = None if mark is None else mark.line + 1
    reason = " ".join(part for part in (error.context, error.problem) if part)
    lines = text.splitlines()
    wrong = lines[number - 1] if number is not None and number <= len(lines) else ""
    if "\t" in wrong[: len(wrong) - len(wrong.lstrip())]:
        reason = "a tab indents this line; YAML wants spaces"
    elif "${" in wrong:
        reason += " (inside braces write ${...} in quotes)"
    return config_error(reason, file=file, line=number)


class _Builder:
    """Turns the parser's events into values; one instance reads one document."""

    def __init__(self, text: str, file: str, environment: Mapping[str, str] | None) -> None:
        self.lines: dict[str, int] = {}
        self._events = yaml.parse(text, Loader=_LOADER)
        self._file = file
        self._environment = environment
        self._anchors: dict[str, Any] = {}
        self._aliases = 0
        self._nodes = 0

    def document(self) -> dict[str, Any]:
        """Return the one document of the stream."""
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise config_error("is empty", file=self._file)
        first = next(self._events)
        values = self._value(first, "", 1)
        if not isinstance(values, dict):
            raise self._error("the file must be a mapping of keys to values", first, "")
        next(self._events)  # the end of the document
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise self._error("only one document per file", following, "")
        return values

    def _value(self, event: yaml.Event, key: str, depth: int) -> Any:
        """Return the value that begins with `event`."""
        self._count(event, key, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, key, depth)
        self._refuse_tag(event, key)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, key)
        elif depth > MAXIMUM_DEPTH:
            raise self._error(f"nested deeper than {MAXIMUM_DEPTH} levels", event, key)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(key, depth)
        else:
            value = self._sequence(key, depth)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            if anchor in self._anchors:
                raise self._error(f"anchor &{anchor} is defined twice", event, key)
            self._anchors[anchor] = value  # once whole, so that it cannot contain itself
        return value

    def _mapping(self, key: str, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error("a key must be text", event, key)
            self._refuse_tag(event, key)
            self._count(event, key, 1)
            name = event.value
            place = join_key(key, name)
            if name in values:
                raise self._error("the key is repeated", event, place)
            if event.anchor is not None:
                raise self._error("a key cannot be an anchor", event, place)
            if "${" in name:
                raise self._error("a variable can only be in a value", event, place)
            self._note(place, event)
            values[name] = self._value(next(self._events), place, depth + 1)
        return values

    def _sequence(self, key: str, depth: int) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            place = f"{key}[{len(values)}]"
            self._note(place, event)
            values.append(self._value(event, place, depth + 1))
        return values

    def _scalar(self, event: yaml.ScalarEvent, key: str) -> Any:
        is_plain = event.implicit[0]
        try:
            if self._environment is None:
                return event.value
            text = substituted(event.value, self._environment)
            return plain_value(text) if is_plain else text
        except ValueError as error:
            raise self._error(str(error), event, key) from None

    def _alias(self, event: yaml.AliasEvent, key: str, depth: int) -> Any:
        self._aliases += 1
        if self._aliases > MAXIMUM_ALIASES:
            raise self._error(f"more than {MAXIMUM_ALIASES} aliases", event, key)
        if event.anchor not in self._anchors:
            raise self._error(f"alias *{event.anchor} comes before its anchor", event, key)
        value = self._anchors[event.anchor]
        nodes, height = measured(value)
        self._count(event, key, nodes)
        if depth + height - 1 > MAXIMUM_DEPTH:
            raise self._error(f"nested deeper than {MAXIMUM_DEPTH} levels", event, key)
        return value

    def _note(self, key: str, event: yaml.Event) -> None:
        line = line_number(event)
        if line is not None:
            self.lines.setdefault(key, line)

    def _count(self, event: yaml.Event, key: str, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAXIMUM_NODES:
            raise self._error(f"more than {MAXIMUM_NODES} values", event, key)

    def _refuse_tag(self, event: yaml.Event, key: str) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self._error(f"the tag {tag} is not allowed", event, key)

    def _error(self, reason: str, event: yaml.Event, key: str) -> ConfigError:
        return config_error(reason, file=self._file, line=line_number(event), key=key)


def line_number(event: yaml.Event) -> int | None:
    """Return the line, from 1, at which an event starts."""
    return None if event.start_mark is None else event.start_mark.line + 1


def measured(value: Any) -> tuple[int, int]:
    """Return how many values and keys `value` holds, and its height in levels."""
    if isinstance(value, dict):
        below = [measured(item) for item in value.values()]
        keys = len(value)
    elif isinstance(value, list):
        below = [measured(item) for item in value]
        keys = 0
    else:
        return 1, 0
    nodes = 1 + keys + sum(count for count, _ in below)
    return nodes, 1 + max((height for _, height in below), default=0)
