"""Entries of an order log as they are stored: a row each, chained by a checksum.

The checksum is a crc32 over place, time, subject and payload, continued from the checksum before
it; the first continues that of the journal's id. So a changed, moved, lost or added row breaks
the chain from there on. It finds damage and costs little; it does not stop a forger.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from struct import error as struct_error
from typing import NamedTuple, get_args
from zlib import crc32

import msgspec

from framework.errors import JournalDamaged, JournalError
from framework.model.records import Record, order_of

_PLACE = Struct("<qqqq").pack
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode
_KINDS: dict[type, str] = {kind: str(kind.__struct_config__.tag) for kind in get_args(Record)}


class _Tagged(msgspec.Struct):
    """As much of a record as says what it is."""

    type: str


Row = tuple[int, int, int, str, int | None, int, bytes]
"""One stored entry: position, epoch, time_ns, kind, subject, checksum, payload.

`kind` is the record's tag, `subject` a hash of its order's id. A plain tuple, as making a named
one would cost a tenth of an append.
"""

COLUMNS = ("position", "epoch", "time_ns", "kind", "subject", "checksum", "payload")


class Head(NamedTuple):
    """Where a chain ends: the newest entry's position and checksum."""

    position: int
    checksum: int


def first_checksum(journal_id: str) -> int:
    """Return what the first entry's checksum continues."""
    return crc32(journal_id.encode())


def row_of(record: Record, position: int, epoch: int, time_ns: int, before: int) -> Row:
    """Return `record` as the row behind the one whose checksum is `before`."""
    payload = _encode(record)
    order_id = order_of(record)
    subject = crc32(order_id.encode()) if order_id else None
    checksum = crc32(payload, crc32(_PLACE(position, epoch, time_ns, subject or 0), before))
    return position, epoch, time_ns, _KINDS[type(record)], subject, checksum, payload


def head_of(row: Row) -> Head:
    """Return the chain's end, if `row` is the newest."""
    return Head(row[0], row[5])


def subject_of(order_id: str) -> int:
    """Return the 32 bits under which an order's entries are found; others may share them."""
    return crc32(order_id.encode())


def kind_of(record: Record) -> str:
    """Return the tag of a record, such as `submit_order`."""
    return _KINDS[type(record)]


def checked(rows: Iterable[Row], before: Head, place: str) -> Iterator[Row]:
    """Yield rows as long as each bears out the chain that goes on from `before`.

    Raises:
        JournalDamaged: one is missing or was changed; the message names it.
    """
    position, chain = before
    try:
        for row in rows:
            at, epoch, time_ns, _, subject, checksum, payload = row
            position += 1
            if at != position:
                raise JournalDamaged(f"{place}: entry {position} is missing")
            chain = crc32(payload, crc32(_PLACE(at, epoch, time_ns, subject or 0), chain))
            if chain != checksum:
                raise JournalDamaged(f"{place}: entry {at} does not bear out its checksum")
            yield row
    except (struct_error, TypeError, ValueError) as error:
        raise JournalDamaged(f"{place}: entry {position} cannot be read: {error}") from error


def record_of(row: Row, place: str) -> Record:
    """Return the record in a row.

    Raises:
        JournalError: it is of a kind that this build does not know.
        JournalDamaged: it is none.
    """
    try:
        record: Record = _decode(row[6])
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        unknown = _unknown_kind(row[6])
        if unknown:
            raise JournalError(
                f"{place}: entry {row[0]} is of a kind that a newer headrace writes ({unknown!r}):"
                " open the journal with that"
            ) from error
        raise JournalDamaged(f"{place}: entry {row[0]} cannot be read: {error}") from error
    return record


def _unknown_kind(payload: bytes) -> str:
    """Return the tag of a record that this build has no words for, "" if it is no such record."""
    try:
        tag = msgspec.msgpack.decode(payload, type=_Tagged).type
    except (msgspec.MsgspecError, TypeError, ValueError):
        return ""
    return "" if tag in _KINDS.values() else tag
