"""Recorded inputs read one by one, session by session, and words for what they say."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from framework.engine.values import find_type, unpack
from framework.errors import DataError
from framework.model.inputs import (
    CommandAnswered,
    CommandIssued,
    HandlerResumed,
    InputRecord,
    SessionStarted,
    TypeNamed,
    VenueCommandMade,
)

SHOWN = 2_000  # characters of one value


class Difference(msgspec.Struct, frozen=True):
    """Where the replay parts from the record; `before` is the event that was handled then.

    `entry` is the place in the order log, where it is that which differs.
    """

    position: int
    run: str
    recorded: str
    replayed: str
    before: str
    entry: int = 0


class RecordCursor:
    """Yields the records of an input log in order, and knows the next one.

    `entries` are (position, epoch, payload), as `read_segments` yields them. `known_types` are
    event types that cannot be imported by their path.

    Attributes:
        position: of the record taken last.
    """

    def __init__(
        self, entries: Iterable[tuple[int, int, bytes]], known_types: dict[str, type] | None = None
    ) -> None:
        self.position = 0
        self.known_types = known_types or {}
        self._entries = iter(entries)
        self._decode = msgspec.msgpack.Decoder(InputRecord).decode
        self._held: deque[tuple[int, Any]] = deque()
        self._paths: dict[int, str] = {}
        self._decoders: dict[int, msgspec.msgpack.Decoder[Any]] = {}

    def peek(self, past: tuple[type, ...] = ()) -> Any:
        """Return the next record that is of none of the types `past`, or None at the end.

        Raises:
            DataError: it is no record of this version.
        """
        index = 0
        while True:
            if index == len(self._held) and not self._read():
                return None
            record = self._held[index][1]
            if not isinstance(record, past):
                return record
            index += 1

    def take(self) -> Any:
        """Return the next record and go on to the one behind it."""
        record = self.peek()
        if self._held:
            self.position, _ = self._held.popleft()
        return record

    def _read(self) -> bool:
        for position, _, payload in self._entries:
            try:
                record = self._decode(payload)
            except msgspec.MsgspecError as error:
                raise DataError(f"input {position} cannot be read: {error}") from error
            if not isinstance(record, TypeNamed):
                self._held.append((position, record))
                return True
            self._paths[record.number] = record.path  # of use to `event` alone
        return False

    def next_session(self) -> SessionStarted | None:
        """Go on to the next session and return its start; None if there is no more."""
        while True:
            record = self.take()
            if record is None or isinstance(record, SessionStarted):
                self._paths.clear()
                self._decoders.clear()
                return record

    def rest_of_session(self) -> Iterator[InputRecord]:
        """Yield what is left of this session."""
        while True:
            record = self.peek()
            if record is None or isinstance(record, SessionStarted):
                return
            self.take()
            yield record

    def type_of(self, type_number: int) -> type:
        """Return a recorded event type. Raises DataError if it is not there any more."""
        path = self._paths.get(type_number, f"unnamed type {type_number}")
        return self.known_types.get(path) or find_type(path)

    def event(self, type_number: int, payload: msgspec.Raw) -> Any:
        """Return a recorded event. Raises DataError if its type is not there any more."""
        decoder = self._decoders.get(type_number)
        if decoder is None:
            kind = self.type_of(type_number)
            decoder = self._decoders[type_number] = msgspec.msgpack.Decoder(kind)
        try:
            return decoder.decode(payload)
        except msgspec.MsgspecError as error:
            raise DataError(f"input {self.position} cannot be read: {error}") from error


def in_words(record: InputRecord | None) -> str:
    """Return what a record says, for a person."""
    if record is None:
        return "the record ends"
    if isinstance(record, CommandIssued):
        return command_text(record.name, record.arguments)
    if isinstance(record, CommandAnswered):
        return f"answered {record.outcome!r}"
    if isinstance(record, VenueCommandMade):
        return f"venue command {plain(record.command)}"
    if isinstance(record, HandlerResumed):
        value = repr(unpack(record.answer)) if record.answer else "nothing"
        return f"{record.call} came to {value}"[:SHOWN]
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    fields.pop("event", None)
    return f"{type(record).__name__} {fields}"[:SHOWN]


def command_text(name: str, arguments: msgspec.Raw) -> str:
    """Return a command as it might have been written in code."""
    args, named = msgspec.msgpack.decode(arguments)
    shown = [repr(value) for value in args]
    shown += [f"{key}={value!r}" for key, value in named.items()]
    return f"{name}({', '.join(shown)})"[:SHOWN]


def plain(payload: msgspec.Raw) -> str:
    """Return encoded fields as text."""
    return repr(msgspec.msgpack.decode(payload))[:SHOWN]
