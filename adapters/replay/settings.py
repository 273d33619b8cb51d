"""What the configuration may say about recorded files, and about the instruments in them."""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from framework.errors import ConfigError
from framework.model.instrument import Instrument
from framework.settings.decoding import decode_section
from framework.settings.structs import InstrumentSettings


class Kind(Enum):
    """What the rows or lines of a file are."""

    CANDLES = "candles"
    QUOTES = "quotes"
    TRADES = "trades"
    BOOK = "book"
    EVENTS = "events"


class Stamp(Enum):
    """Which end of its candle a time names."""

    OPEN = "open"
    CLOSE = "close"


class OnError(Enum):
    """What a faulty row does: end the scan, or be left out and counted."""

    STOP = "stop"
    SKIP = "skip"


class TimeUnit(Enum):
    """What a time that is written as a number counts since 1970-01-01 UTC."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"

    @property
    def nanoseconds(self) -> int:
        """Return one unit in nanoseconds."""
        return {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}[self.value]


class Prices(Enum):
    """Which prices are possible; `ANY` is for spreads, rates and some futures."""

    POSITIVE = "positive"
    ANY = "any"


class FileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file, or all files that match a pattern.

    Attributes:
        path: relative to the working directory; `*`, `?`, `[` and `**` make it a pattern.
        kind: read from the header where its columns leave no doubt.
        instrument: the symbol; may be left out where the venue lists exactly one.
        columns: field -> column name, where the documented guesses do not fit.
        stamp: which end of the candle a time names; required for candles.
        interval: length of the candles; required for candles.
        time_unit: required for times that are numbers, unless the column's name ends in it.
        time_format: `strptime` format of times that are not ISO 8601; read as UTC.
    """

    path: str
    kind: Kind | None = None
    instrument: str | None = None
    columns: dict[str, str] = {}
    stamp: Stamp | None = None
    interval: str | None = None
    time_unit: TimeUnit | None = None
    time_format: str | None = None
    delimiter: str = ","
    prices: Prices = Prices.POSITIVE


class ReplaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `source:` of a venue whose data are recorded.

    Keys of `FileSettings` may stand here too, as defaults for every file. `start` (inclusive)
    and `end` (exclusive) are ISO 8601, UTC where they name no offset.
    """

    files: str | list[str | dict[str, Any]]
    on_error: OnError = OnError.STOP
    start: str | None = None
    end: str | None = None


def decode_source(source: object) -> tuple[ReplaySettings, list[tuple[str, FileSettings]]]:
    """Return the settings of `source:`, and each entry of `files` behind the path of its key.

    Raises:
        ConfigError: a key is missing, unknown or makes no sense; `key` is its path.
    """
    if source is None:
        raise ConfigError("is missing: which files? `source: {files: PATH}`", key="source")
    section = _mapping(source, "source")
    shared = {key: value for key, value in section.items() if key in _SHARED_KEYS}
    own = {key: value for key, value in section.items() if key not in _SHARED_KEYS}
    settings = decode_section(own, ReplaySettings, key="source")
    if isinstance(settings.files, str):
        entries: list[tuple[str, str | dict[str, Any]]] = [("source.files", settings.files)]
    else:
        entries = [(f"source.files[{i}]", entry) for i, entry in enumerate(settings.files)]
    if not entries:
        raise ConfigError("names no file", key="source.files")
    files = []
    for key, entry in entries:
        own_entry = {"path": entry} if isinstance(entry, str) else entry
        files.append((key, decode_section({**shared, **own_entry}, FileSettings, key=key)))
    return settings, files


def decode_instruments(instruments: object, venue: str) -> list[Instrument]:
    """Return the definitions of a venue's `instruments:`, decoded already or plain mappings.

    Raises:
        ConfigError: a key is missing, unknown or makes no sense, or a symbol comes twice.
    """
    if instruments is None:
        return []
    if not isinstance(instruments, list | tuple):
        raise ConfigError("must be a list of instruments", key="instruments")
    definitions: dict[str, Instrument] = {}
    for i, entry in enumerate(instruments):
        key = f"instruments[{i}]"
        if not isinstance(entry, InstrumentSettings):
            entry = decode_section(_mapping(entry, key), InstrumentSettings, key=key)
        definition = entry.to_instrument(venue)
        if definition.id in definitions:
            raise ConfigError(f"{entry.symbol!r} is listed twice", key=f"{key}.symbol")
        definitions[definition.id] = definition
    return list(definitions.values())


_SHARED_KEYS = frozenset(FileSettings.__struct_fields__) - {"path"}
_INTERVAL = re.compile(r"([1-9]\d{0,8})(ms|s|m|h|d|w)")
_UNIT_NS = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}


def interval_ns(interval: str) -> int | None:
    """Return the length of a time interval such as `1m`, or None where it has no fixed one."""
    match = _INTERVAL.fullmatch(interval)
    return int(match[1]) * _UNIT_NS[match[2]] if match else None


def _mapping(value: object, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"must be a section with keys, and is {value!r}", key=key)
    return value
