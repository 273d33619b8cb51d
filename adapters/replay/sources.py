"""Files on disk to sources that can be scanned: patterns expanded, headers read, names checked.

All that can be known before the first event is refused here, so a run never starts on a guess.
"""

from collections.abc import Sequence
from glob import glob, has_magic
from itertools import islice
from pathlib import Path

import msgspec

from adapters.replay.arrow_table import parquet_chunks, parquet_head
from adapters.replay.book_lines import first_time_ns
from adapters.replay.checks import NO_TIME_NS
from adapters.replay.columns import kind_of, map_columns
from adapters.replay.settings import FileSettings, Kind, Stamp, TimeUnit, interval_ns
from adapters.replay.text_table import Row, TableLayout, open_text, read_rows
from adapters.replay.times import TimeReader, TimeStyle, style_of, unit_hint
from framework.errors import ConfigError, DataError
from framework.model.identity import instrument_id

LINES = (".jsonl", ".ndjson")
TABLES = (".csv", ".tsv", ".txt")
PARQUET = (".parquet", ".pq")


class Source(msgspec.Struct, frozen=True):
    """One file, ready to be scanned.

    `start_ns` is the time of its first event, so that a file need not be open before; it is
    `NO_TIME_NS` where the first row is faulty. `instrument` is empty where each line names its
    own. `shift_ns` leads from a row's time to the close of its candle.
    """

    path: Path
    kind: Kind
    instrument: str
    settings: FileSettings
    start_ns: int
    layout: TableLayout | None = None
    interval_ns: int = 0

    @property
    def shift_ns(self) -> int:
        """Nanoseconds from a row's time to its event's time."""
        return self.interval_ns if self.settings.stamp is Stamp.OPEN else 0

    @property
    def is_parquet(self) -> bool:
        """Return whether the rows come from a Parquet file."""
        return format_of(self.path) in PARQUET


def resolve(
    files: Sequence[tuple[str, FileSettings]], *, venue: str, instruments: Sequence[str]
) -> list[Source]:
    """Return the sources of all entries, in configured order, a pattern's files by name.

    Args:
        files: each entry with the path of its key in the configuration.
        venue: its configured name, the first half of every instrument's name.
        instruments: the ids that the venue lists; a single one is the default.

    Raises:
        ConfigError: an entry leaves something open that nothing else tells.
        DataError: a file is missing or empty, or its header lacks a column.
    """
    sources: list[Source] = []
    seen: set[Path] = set()
    for key, settings in files:
        for path in _paths(settings.path, key):
            if path in seen:
                raise ConfigError(f"{str(path)!r} is listed twice", key=f"{key}.path")
            seen.add(path)
            if format_of(path) in LINES:
                sources.append(_lines_source(path, settings, key, venue=venue))
            else:
                sources.append(_table_source(path, settings, key, venue, instruments))
    return sources


def format_of(path: Path) -> str:
    """Return the suffix that tells a file's format, compression aside."""
    return Path(path.stem).suffix.lower() if path.suffix == ".gz" else path.suffix.lower()


def _paths(pattern: str, key: str) -> list[Path]:
    if has_magic(pattern) and not Path(pattern).exists():
        paths = [Path(name) for name in sorted(glob(pattern, recursive=True))]
        paths = [path for path in paths if path.is_file()]
        if not paths:
            raise DataError("no file matches this pattern", file=pattern)
    else:
        paths = [Path(pattern)]
        if not paths[0].is_file():
            reason = "is a directory" if paths[0].is_dir() else "no such file"
            raise DataError(reason, file=pattern)
    for path in paths:
        if format_of(path) not in (*LINES, *TABLES, *PARQUET):
            known = ", ".join((*TABLES, *PARQUET, *LINES))
            reason = f"{path.name!r} has no known format; one of {known}, or with .gz"
            raise ConfigError(reason, key=f"{key}.path")
    return paths


def _lines_source(path: Path, settings: FileSettings, key: str, *, venue: str) -> Source:
    if settings.kind not in (Kind.BOOK, Kind.EVENTS):
        raise ConfigError("is `book` or `events` for a file of JSON lines", key=f"{key}.kind")
    instrument = "" if settings.instrument is None else instrument_id(venue, settings.instrument)
    start_ns = first_time_ns(path, settings.kind)
    return Source(path, settings.kind, instrument, settings, start_ns)


def _table_source(
    path: Path, settings: FileSettings, key: str, venue: str, instruments: Sequence[str]
) -> Source:
    header, first = _parquet_head(path) if format_of(path) in PARQUET else _csv_head(path, settings)
    kind = settings.kind or kind_of(header)
    if kind is None:
        reason = f"is missing: the header of {path.name!r} does not tell it"
        raise ConfigError(reason, key=f"{key}.kind")
    if kind in (Kind.BOOK, Kind.EVENTS):
        raise ConfigError(f"{kind.value!r} needs a file of JSON lines", key=f"{key}.kind")
    length_ns = _candle_length(settings, key) if kind is Kind.CANDLES else 0
    instrument = _instrument(settings, key, venue, instruments)
    layout = _layout(path, header, first, kind, settings)
    source = Source(path, kind, instrument, settings, NO_TIME_NS, layout, length_ns)
    start_ns = _first_row_ns(source, first)
    if start_ns != NO_TIME_NS:
        start_ns += source.shift_ns
    return msgspec.structs.replace(source, start_ns=start_ns)


def _candle_length(settings: FileSettings, key: str) -> int:
    if settings.stamp is None:
        reason = "is missing: does a candle's time name its `open` or its `close`?"
        raise ConfigError(reason, key=f"{key}.stamp")
    if settings.interval is None:
        raise ConfigError("is missing: how long is a candle?", key=f"{key}.interval")
    length_ns = interval_ns(settings.interval)
    if length_ns is None:
        reason = f"{settings.interval!r} is no length of time such as 1m, 4h or 1d"
        raise ConfigError(reason, key=f"{key}.interval")
    return length_ns


def _instrument(settings: FileSettings, key: str, venue: str, instruments: Sequence[str]) -> str:
    if settings.instrument is not None:
        if not settings.instrument:
            raise ConfigError("is empty", key=f"{key}.instrument")
        return instrument_id(venue, settings.instrument)
    if len(instruments) != 1:
        reason = f"is missing: venue {venue!r} lists {len(instruments)} instruments"
        raise ConfigError(reason, key=f"{key}.instrument")
    return instruments[0]


def _csv_head(path: Path, settings: FileSettings) -> tuple[list[str], Row]:
    with open_text(path):  # a missing or unreadable file speaks for itself
        pass
    chunks = read_rows(path, settings.delimiter, chunk_rows=2)
    rows = [row for chunk in islice(chunks, 2) for row in chunk.rows][:2]
    if len(rows) < 2:
        reason = "has a header and no rows" if rows else "is empty"
        raise DataError(reason, file=str(path), line=len(rows) or None)
    return rows[0], rows[1]


def _parquet_head(path: Path) -> tuple[list[str], Row]:
    names, row, count = parquet_head(path)
    if not count:
        raise DataError("has no rows", file=str(path))
    return names, [row[name] for name in names]


def _layout(
    path: Path, header: Sequence[str], first: Row, kind: Kind, settings: FileSettings
) -> TableLayout:
    try:
        fields = map_columns(header, kind, stated=settings.columns, stamp=settings.stamp)
        readers = {
            field: _time_reader(header[fields[field]], _cell(first, fields[field]), settings)
            for field in ("time", "received")
            if field in fields
        }
    except ValueError as error:
        raise DataError(str(error), file=str(path), line=1) from None
    return TableLayout(
        header=tuple(header),
        fields=fields,
        time=readers["time"],
        received=readers.get("received"),
        delimiter=settings.delimiter,
    )


def _cell(row: Row, index: int) -> str:
    return row[index] if index < len(row) else ""


def _time_reader(column: str, text: str, settings: FileSettings) -> TimeReader:
    """Return the reader of a column by what the settings, its name and its first time say."""
    if settings.time_format is not None:
        return TimeReader(TimeStyle.FORMAT, format=settings.time_format)
    style = style_of(text)
    if style is not TimeStyle.NUMBER:
        return TimeReader(style)
    unit = settings.time_unit
    if unit is None:
        suffix = column.strip().lower().rpartition("_")[2]
        if suffix not in {known.value for known in TimeUnit}:
            hint = unit_hint(text)
            raise ValueError(
                f"column {column!r} holds numbers such as {text}: say `time_unit:`"
                f" s, ms, us or ns (this looks like {hint})"
            )
        unit = TimeUnit(suffix)
    return TimeReader(TimeStyle.NUMBER, unit_ns=unit.nanoseconds)


def _first_row_ns(source: Source, first: Row) -> int:
    """Return the first row's time, or NO_TIME_NS where it is faulty: the scan will say so."""
    layout = source.layout
    if layout is None:
        return NO_TIME_NS
    if source.is_parquet:
        return int(next(parquet_chunks(source.path, layout)).time[0])
    try:
        return int(layout.time.parse([_cell(first, layout.fields["time"])])[0])
    except ValueError:
        return NO_TIME_NS
