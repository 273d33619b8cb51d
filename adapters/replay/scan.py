"""One source's events in time order, chunk by chunk: read, judged, cut to the range asked for."""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from adapters.replay.arrow_table import csv_chunks, has_pyarrow, parquet_chunks
from adapters.replay.book_lines import LineEvent, decode_line, read_lines
from adapters.replay.checks import NO_TIME_NS, Judge
from adapters.replay.columns import Columns
from adapters.replay.events import events_of
from adapters.replay.merge import Chunk
from adapters.replay.settings import Kind, OnError
from adapters.replay.sources import Source
from adapters.replay.text_table import (
    Row,
    TableLayout,
    columns_of,
    empty_columns,
    read_rows,
    split_readable,
)
from adapters.replay.times import LAST_NS
from framework.errors import DataError

SPACING_ROWS = 10  # fewer candles do not show their interval


class Range(msgspec.Struct, frozen=True):
    """Which events are wanted: `start_ns` inclusive, `end_ns` exclusive."""

    start_ns: int = NO_TIME_NS
    end_ns: int = LAST_NS


def scan_table(
    source: Source,
    layout: TableLayout,
    *,
    wanted: Range,
    on_error: OnError,
    skipped: Counter[str],
    prefer_arrow: bool = True,
) -> Iterator[Chunk]:
    """Yield the events of a CSV or Parquet file.

    Raises:
        DataError: the file or a row is faulty; the events before it have been yielded.
    """
    judge = Judge(
        source.path,
        source.kind,
        prices=source.settings.prices,
        on_error=on_error,
        start_ns=source.start_ns,
        skipped=skipped,
    )
    if source.is_parquet:
        judged = _judged_parquet(source, layout, judge)
    elif prefer_arrow and has_pyarrow():
        judged = _judged_fast(source, layout, judge)
    else:
        judged = _judged_plain(source, layout, judge)
    is_first = True
    for columns in judged:
        if is_first and source.kind is Kind.CANDLES:
            _check_spacing(columns, source)
        is_first = False
        if len(columns) and int(columns.time[0]) >= wanted.end_ns:
            return
        inside = _cut(columns, wanted)
        if len(inside):
            events = events_of(
                inside,
                source.kind,
                instrument=source.instrument,
                interval=source.settings.interval or "",
                interval_ns=source.interval_ns,
            )
            yield Chunk(inside.time, events)
    if judge.failure is not None:
        raise judge.failure


def scan_lines(
    source: Source, venue: str, *, wanted: Range, on_error: OnError, skipped: Counter[str]
) -> Iterator[Chunk]:
    """Yield the events of a file of JSON lines.

    Raises:
        DataError: the file or a line is faulty; the events before it have been yielded.
    """
    last_ns = source.start_ns
    for lines in read_lines(source.path):
        events: list[LineEvent] = []
        failure: DataError | None = None
        for number, text in lines:
            try:
                event = decode_line(text, source.kind, venue=venue, instrument=source.instrument)
                if event.time_ns < last_ns:
                    raise ValueError("time goes back")
            except ValueError as error:
                if on_error is OnError.STOP:
                    failure = DataError(str(error), file=str(source.path), line=number)
                    break
                skipped[str(error).partition(":")[0]] += 1
                continue
            last_ns = event.time_ns
            if wanted.start_ns <= last_ns < wanted.end_ns:
                events.append(event)
        if events:
            times = np.fromiter(
                (event.time_ns for event in events), dtype=np.int64, count=len(events)
            )
            yield Chunk(times, events)
        if failure is not None:
            raise failure
        if last_ns >= wanted.end_ns:
            return


def _judged_parquet(source: Source, layout: TableLayout, judge: Judge) -> Iterator[Columns]:
    row = 1
    for columns in parquet_chunks(source.path, layout):
        yield judge.judge(_closed(columns, source), range(row, row + len(columns)))
        if judge.failure is not None:
            return
        row += len(columns)


def _judged_fast(source: Source, layout: TableLayout, judge: Judge) -> Iterator[Columns]:
    """Read with pyarrow while all is well; from the first doubtful row on, read plainly."""
    done = 0
    chunks = csv_chunks(source.path, layout)
    while True:
        try:
            columns = next(chunks, None)
        except (ValueError, OSError, EOFError):  # pyarrow's own errors are among them
            break
        if columns is None:
            return
        columns = _closed(columns, source)
        if not judge.is_faultless(columns):
            break
        judge.accept(columns)
        done += len(columns)
        yield columns
    yield from _judged_plain(source, layout, judge, skip_rows=done)


def _judged_plain(
    source: Source, layout: TableLayout, judge: Judge, *, skip_rows: int = 0
) -> Iterator[Columns]:
    skip_rows += 1  # the header
    for chunk in read_rows(source.path, layout.delimiter):
        if skip_rows >= len(chunk.rows):
            skip_rows -= len(chunk.rows)
            continue
        columns, lines = _readable(chunk.rows[skip_rows:], chunk.lines[skip_rows:], layout, judge)
        skip_rows = 0
        yield judge.judge(_closed(columns, source), lines)
        if judge.failure is not None:
            return


def _readable(
    rows: Sequence[Row], lines: Sequence[int], layout: TableLayout, judge: Judge
) -> tuple[Columns, Sequence[int]]:
    """Return the rows that can be read; with a stop, those before the first that cannot."""
    try:
        return columns_of(rows, layout), lines
    except ValueError:
        readable, faulty = split_readable(rows, layout)
    for index, reason in faulty:
        if not judge.refuse(reason, lines[index]):
            readable = [i for i in readable if i < index]
            break
    if not readable:
        return empty_columns(layout), []
    return columns_of([rows[i] for i in readable], layout), [lines[i] for i in readable]


def _closed(columns: Columns, source: Source) -> Columns:
    """Return the rows with the time at which a candle stamped by its open is known."""
    if not source.shift_ns:
        return columns
    return msgspec.structs.replace(columns, time=columns.time + np.int64(source.shift_ns))


def _cut(columns: Columns, wanted: Range) -> Columns:
    start = int(np.searchsorted(columns.time, wanted.start_ns, side="left"))
    stop = int(np.searchsorted(columns.time, wanted.end_ns, side="left"))
    if start == 0 and stop == len(columns):
        return columns
    return columns.slice(start, stop)


def _check_spacing(columns: Columns, source: Source) -> None:
    """Refuse candles that are spaced otherwise than their interval says.

    An hour's candle that is taken for a minute's would be known 59 minutes before its close.
    Holes are no proof, a smallest step that is larger, or most steps being smaller, is.

    Raises:
        DataError: the interval cannot be right.
    """
    if len(columns) < SPACING_ROWS:
        return
    steps = np.diff(columns.time)
    smallest, usual = int(steps.min()), int(np.median(steps))
    if smallest > source.interval_ns or usual < source.interval_ns:
        wrong = smallest if smallest > source.interval_ns else usual
        reason = f"candles are {wrong / 1e9:g} s apart: interval {source.settings.interval!r}"
        raise DataError(f"{reason} cannot be right", file=str(source.path))
