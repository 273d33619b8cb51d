"""Reads CSV with the standard library: the plain reader that knows every line's number.

It judges what the fast reader (`arrow_table.py`) could not read, and reads everything where
pyarrow is not installed. A blank line is no row; a quoted field may hold line ends.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import TextIO, cast

import msgspec
import numpy as np

from adapters.replay.columns import NUMBER_FIELDS, TIME_FIELDS, Columns, Floats, Texts
from adapters.replay.times import TimeReader, Times
from framework.errors import DataError

CHUNK_ROWS = 4_096
BROKEN_FILE = (EOFError, zlib.error, gzip.BadGzipFile, csv.Error, OSError)

Row = list[str]


class TableLayout(msgspec.Struct, frozen=True):
    """How one file's columns are to be read; `fields` maps field -> index in `header`."""

    header: tuple[str, ...]
    fields: dict[str, int]
    time: TimeReader
    received: TimeReader | None
    delimiter: str = ","

    @property
    def numbers(self) -> list[str]:
        """The fields that are float64."""
        return [field for field in self.fields if field in NUMBER_FIELDS]

    @property
    def texts(self) -> list[str]:
        """The fields that stay text."""
        known = NUMBER_FIELDS | TIME_FIELDS
        return [field for field in self.fields if field not in known]


class Rows(msgspec.Struct):
    """Some rows of a file with the number of the line on which each ends."""

    rows: list[Row]
    lines: list[int]


def open_text(path: Path) -> AbstractContextManager[TextIO]:
    """Open a text file, compressed where its name ends in `.gz`."""
    if path.suffix == ".gz":
        return cast(
            AbstractContextManager[TextIO],
            gzip.open(path, "rt", encoding="utf-8-sig", errors="replace", newline=""),
        )
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def read_rows(path: Path, delimiter: str, *, chunk_rows: int = CHUNK_ROWS) -> Iterator[Rows]:
    """Yield the rows of a CSV file, header included, in chunks.

    Raises:
        DataError: the file is missing, truncated, or no CSV; what was whole came before.
    """
    line = 0
    failure: Exception | None = None
    try:
        with open_text(path) as file:
            reader = csv.reader(file, delimiter=delimiter)
            while failure is None:
                rows: list[Row] = []
                try:
                    rows.extend(islice(reader, chunk_rows))  # keeps what came before a failure
                except BROKEN_FILE as error:
                    failure = error
                if not rows:
                    break
                numbered = _numbered(rows, line, reader.line_num)
                line = numbered.lines[-1] if numbered.lines else reader.line_num
                yield numbered
    except BROKEN_FILE as error:
        failure = error
    if failure is not None:
        raise broken_file(failure, path, line) from failure


def broken_file(error: Exception, path: Path, line: int) -> DataError:
    """Return what `error` says about the file as an operator would put it."""
    if isinstance(error, FileNotFoundError):
        return DataError("no such file", file=str(path))
    if isinstance(error, EOFError):
        reason = "compressed file is truncated"
    elif isinstance(error, zlib.error | gzip.BadGzipFile):
        reason = f"compressed file is damaged: {error}"
    elif isinstance(error, OSError) and error.strerror:
        reason = f"cannot be read: {error.strerror}"
    else:
        reason = f"is no CSV: {error}"
    return DataError(reason, file=str(path), line=line + 1)


def columns_of(rows: Sequence[Row], layout: TableLayout) -> Columns:
    """Return rows as columns.

    Raises:
        ValueError: a row has too few or too many fields, or one of them cannot be read.
    """
    width = len(layout.header)
    for count in sorted(set(map(len, rows)) - {width}):
        raise ValueError(f"row has {count} fields, the header {width}")
    texts = list(zip(*rows, strict=True)) if rows else [()] * width
    fields = layout.fields
    return Columns(
        time=layout.time.parse(texts[fields["time"]]),
        numbers={field: to_floats(texts[fields[field]], field) for field in layout.numbers},
        texts={field: list(texts[fields[field]]) for field in layout.texts},
        received=layout.received.parse(texts[fields["received"]]) if layout.received else None,
    )


def split_readable(
    rows: Sequence[Row], layout: TableLayout
) -> tuple[list[int], list[tuple[int, str]]]:
    """Return the indexes of the rows that can be read, and (index, reason) of the others."""
    readable, faulty = [], []
    for i, row in enumerate(rows):
        try:
            columns_of([row], layout)
        except ValueError as error:
            faulty.append((i, str(error)))
        else:
            readable.append(i)
    return readable, faulty


def to_floats(texts: Sequence[str], field: str) -> Floats:
    """Return decimal texts as the nearest float64 each.

    Raises:
        ValueError: one is no number.
    """
    if "_" in "".join(texts):  # Python would take 1_000 for a number
        texts = [text.replace("_", "?") for text in texts]
    try:
        return np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
    except ValueError:
        bad = next(text for text in texts if not _is_number(text)).replace("?", "_")
        raise ValueError(f"unreadable {field} {bad!r}") from None


def empty_columns(layout: TableLayout) -> Columns:
    """Return no rows at all, with every column in place."""
    none: Times = np.empty(0, dtype=np.int64)
    no_texts: Texts = []
    return Columns(
        time=none,
        numbers={field: np.empty(0, dtype=np.float64) for field in layout.numbers},
        texts={field: list(no_texts) for field in layout.texts},
        received=none if layout.received else None,
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbered(rows: list[Row], before: int, after: int) -> Rows:
    """Give rows their line numbers and leave the blank ones out."""
    if after - before == len(rows):
        lines = list(range(before + 1, after + 1))
    else:  # quoted fields hold line ends: each row stands on 1 + their number of lines
        lines, line = [], before
        for row in rows:
            line += 1 + sum(field.count("\n") for field in row)
            lines.append(line)
    if [] not in rows:
        return Rows(rows, lines)
    kept = [i for i, row in enumerate(rows) if row]
    return Rows([rows[i] for i in kept], [lines[i] for i in kept])
