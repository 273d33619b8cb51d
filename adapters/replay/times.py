"""Times as files write them, to nanoseconds UTC.

ISO 8601 text without an offset is UTC; with one it is converted. Numbers need a unit. Nothing
is rounded: more than nine decimals are refused.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.int64]
"""Nanoseconds UTC, shape (n,), in file order."""

LAST_NS = 2**63 - 1  # the year 2262
SECOND_NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}(?::\d{2}(?::\d{2})?)?)(?:[.](\d{1,9}))?)?"
    r" ?(Z|[+-]\d{2}:?\d{2}|[+-]\d{2})?"
)
_ZONE = re.compile(r"(?<=\d)(Z|[+-]\d{2}:?\d{2})$")
_WIDTHS = frozenset({10, 16, 19, *range(21, 30)})  # a day, minutes, seconds, decimals
_SEPARATORS = {4: b"-", 7: b"-", 10: b"T ", 13: b":", 16: b":", 19: b"."}


class TimeStyle(Enum):
    """How a column writes its times."""

    NUMBER = "number"
    NAIVE = "naive"
    ZONED = "zoned"
    FORMAT = "format"


class TimeReader(msgspec.Struct, frozen=True):
    """Reads one column's times; the style is the one of the first row."""

    style: TimeStyle
    unit_ns: int = 1
    format: str = ""

    def parse(self, texts: Sequence[str]) -> Times:
        """Return the times of many texts.

        Raises:
            ValueError: one of them cannot be read, or lies outside 1678 to 2261.
        """
        fast = self._parse_alike(texts)
        if fast is not None:
            return fast
        return np.fromiter(map(self._one, texts), dtype=np.int64, count=len(texts))

    def from_numbers(self, numbers: Times) -> Times:
        """Return the times of whole numbers of units.

        Raises:
            ValueError: one lies outside the years 1678 to 2261.
        """
        limit = LAST_NS // self.unit_ns
        if len(numbers) and (numbers.max() > limit or numbers.min() < -limit):
            raise ValueError("time out of range: is `time_unit` right?")
        return numbers * np.int64(self.unit_ns)

    def _parse_alike(self, texts: Sequence[str]) -> Times | None:
        """Return the times where one numpy call reads them all, else None."""
        if self.style is TimeStyle.NAIVE:
            return _iso_array(texts)
        if self.style is TimeStyle.ZONED:
            return _zoned_array(texts)
        return None

    def _one(self, text: str) -> int:
        readers: dict[TimeStyle, Callable[[str], int]] = {
            TimeStyle.NUMBER: self._number,
            TimeStyle.FORMAT: self._formatted,
        }
        return readers.get(self.style, parse_iso)(text)

    def _number(self, text: str) -> int:
        if not _NUMBER.fullmatch(text.strip()):
            raise ValueError(f"unreadable time {text!r}")
        time_ns = Decimal(text.strip()) * self.unit_ns
        if time_ns != int(time_ns) or abs(time_ns) > LAST_NS:
            raise ValueError(f"time out of range {text!r}: is `time_unit` right?")
        return int(time_ns)

    def _formatted(self, text: str) -> int:
        try:
            moment = datetime.strptime(text, self.format)  # noqa: DTZ007 - a missing zone is UTC
        except ValueError:
            raise ValueError(f"unreadable time {text!r} in format {self.format!r}") from None
        return _to_ns(moment.replace(tzinfo=moment.tzinfo or UTC))


def style_of(text: str) -> TimeStyle:
    """Return how `text` writes its time, judged by its look alone."""
    if _NUMBER.fullmatch(text.strip()):
        return TimeStyle.NUMBER
    return TimeStyle.ZONED if _ZONE.search(text) and ":" in text else TimeStyle.NAIVE


def unit_hint(text: str) -> str:
    """Return the unit that makes `text` a time of our days: a hint for a person, not a guess."""
    try:
        digits = len(str(abs(int(Decimal(text)))))
    except (InvalidOperation, ValueError):
        return "s"
    return "s" if digits <= 10 else "ms" if digits <= 13 else "us" if digits <= 16 else "ns"


def parse_iso(text: str) -> int:
    """Return the time of one ISO 8601 text.

    Raises:
        ValueError: it cannot be read, or lies outside the years 1678 to 2261.
    """
    match = _ISO.fullmatch(text)
    if match is None or (match[3] is not None and match[2].count(":") != 2):
        raise ValueError(f"unreadable time {text!r}")
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00'}{zone or 'Z'}")
    except ValueError:
        raise ValueError(f"unreadable time {text!r}") from None
    return _to_ns(moment) + int((fraction or "0").ljust(9, "0"))


def _to_ns(moment: datetime) -> int:
    if not 1678 <= moment.year <= 2261:
        raise ValueError(f"time {moment.isoformat()} is outside the years 1678 to 2261")
    gone = moment - _EPOCH
    return (gone.days * 86_400 + gone.seconds) * SECOND_NS + gone.microseconds * 1_000


def _iso_array(texts: Sequence[str]) -> Times | None:
    """Return naive ISO texts in one call, or None where they do not all look alike.

    numpy alone would read "now" off a clock, cut the tenth decimal, and wrap around in other
    centuries; so every character is compared with the first text's pattern before.
    """
    width = len(texts[0]) if texts else 0
    if width not in _WIDTHS or set(map(len, texts)) != {width}:
        return None
    try:
        cells = np.array(texts, dtype=f"S{width}").view(np.uint8).reshape(-1, width)
        is_digit = (cells >= ord("0")) & (cells <= ord("9"))
        for position in range(width):
            allowed = _SEPARATORS.get(position)
            column = cells[:, position]
            if not (
                is_digit[:, position] if allowed is None else np.isin(column, list(allowed))
            ).all():
                return None
        if min(texts) < "1678" or max(texts) >= "2262":
            return None
        return np.array(texts, dtype="datetime64[ns]").view(np.int64)
    except ValueError:  # not ASCII, or no such day
        return None


def _zoned_array(texts: Sequence[str]) -> Times | None:
    """Return ISO texts that all name the same offset, or None."""
    match = _ZONE.search(texts[0]) if texts else None
    if match is None or not all(text.endswith(match[0]) for text in texts):
        return None
    naive = _iso_array([text[: -len(match[0])] for text in texts])
    if naive is None:
        return None
    shift_ns = parse_iso(f"2000-01-01T00:00{match[0]}") - parse_iso("2000-01-01T00:00Z")
    return naive + np.int64(shift_ns)
