"""Lines of JSON to events: recorded book streams (`wire.py`) and our own events.

Pure but for the reading of lines. A book message's `ts` is its time: `cts`, when the matching
engine made it, is earlier than anybody outside could know it.
"""

from collections.abc import Iterator
from itertools import islice
from math import isfinite
from pathlib import Path

import msgspec

from adapters.replay.checks import NO_TIME_NS
from adapters.replay.settings import Kind
from adapters.replay.text_table import BROKEN_FILE, broken_file, open_text
from adapters.replay.wire import BookMessage
from framework.errors import DataError
from framework.model.identity import instrument_id, venue_of
from framework.model.market_data import (
    BookDelta,
    BookSnapshot,
    Candle,
    Funding,
    Level,
    MarketStatus,
    MarkPrice,
    Quote,
    Ticker,
    Trade,
)

CHUNK_LINES = 512  # a snapshot alone may hold a thousand levels
LineEvent = (
    Quote | Trade | Candle | BookSnapshot | BookDelta | Ticker | MarkPrice | Funding | MarketStatus
)
MILLISECOND_NS = 1_000_000
LAST_MS = (2**63 - 1) // MILLISECOND_NS

_messages = msgspec.json.Decoder(BookMessage, strict=False)  # numbers stand in strings
_events: msgspec.json.Decoder[LineEvent] = msgspec.json.Decoder(LineEvent)


def read_lines(path: Path) -> Iterator[list[tuple[int, str]]]:
    """Yield (line number, text) in chunks, blank lines left out.

    Raises:
        DataError: the file is missing, truncated or damaged; what was whole came before.
    """
    number = 0
    failure: Exception | None = None
    try:
        with open_text(path) as file:
            while failure is None:
                lines: list[str] = []
                try:
                    lines.extend(islice(file, CHUNK_LINES))
                except BROKEN_FILE as error:
                    failure = error
                if not lines:
                    break
                yield [(number + i, line) for i, line in enumerate(lines, 1) if line.strip()]
                number += len(lines)
    except BROKEN_FILE as error:
        failure = error
    if failure is not None:
        raise broken_file(failure, path, number) from failure


def first_time_ns(path: Path, kind: Kind) -> int:
    """Return the time of a file's first event, or NO_TIME_NS where its line is faulty.

    Raises:
        DataError: the file is missing, empty or damaged.
    """
    for lines in read_lines(path):
        for _, text in lines:
            try:
                return decode_line(text, kind, venue="", instrument="").time_ns
            except ValueError:
                return NO_TIME_NS
    raise DataError("is empty", file=str(path))


def decode_line(text: str, kind: Kind, *, venue: str, instrument: str) -> LineEvent:
    """Return one line's event; `instrument` empty takes any, `venue` empty any venue's.

    Raises:
        ValueError: it is no such message, of another instrument, or says something impossible.
    """
    try:
        if kind is Kind.BOOK:
            return _book_event(_messages.decode(text), venue, instrument)
        event = _events.decode(text)
    except msgspec.DecodeError as error:
        raise ValueError(f"unreadable line: {error}") from None
    if venue and venue_of(event.instrument) != venue:
        raise ValueError(f"of another venue: {event.instrument!r}")
    if instrument and event.instrument != instrument:
        raise ValueError(f"of another instrument: {event.instrument!r}")
    check_event(event)
    return event


def check_event(event: LineEvent) -> None:
    """Raise ValueError where a recorded event says something impossible."""
    if isinstance(event, Quote):
        _check_sizes(event.bid_size, event.ask_size)
        _check_prices(event.bid, event.ask)
    elif isinstance(event, Trade):
        _check_sizes(event.size)
        _check_prices(event.price)
    elif isinstance(event, Candle):
        _check_candle(event)
    elif isinstance(event, BookSnapshot | BookDelta):
        _check_levels(event)


def _check_candle(candle: Candle) -> None:
    _check_prices(candle.open, candle.high, candle.low, candle.close)
    _check_sizes(candle.volume)
    if candle.high < candle.low:
        raise ValueError("high is below low")
    if not candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close):
        raise ValueError("open or close is outside low and high")
    if max(candle.open, candle.close) > candle.high:
        raise ValueError("open or close is outside low and high")
    if candle.time_ns < candle.open_ns or (candle.is_closed and candle.time_ns < candle.close_ns):
        raise ValueError("candle is known before it could be")


def _book_event(message: BookMessage, venue: str, instrument: str) -> BookSnapshot | BookDelta:
    data = message.data
    name = instrument_id(venue, data.s)
    if instrument and name != instrument:
        raise ValueError(f"of another instrument: {data.s!r}")
    if not 0 <= message.ts <= LAST_MS:
        raise ValueError(f"time is out of range: {message.ts}")
    time_ns = message.ts * MILLISECOND_NS
    bids, asks = tuple(data.b), tuple(data.a)
    event: BookSnapshot | BookDelta
    if message.type == "snapshot":
        event = BookSnapshot(name, time_ns, time_ns, data.u, _ranked(bids, -1), _ranked(asks, 1))
    elif message.type == "delta":
        event = BookDelta(name, time_ns, time_ns, data.u, data.u, bids, asks)
    else:
        raise ValueError(f"unknown message type {message.type!r}")
    _check_levels(event)
    return event


def _ranked(levels: tuple[Level, ...], sign: int) -> tuple[Level, ...]:
    return tuple(sorted(levels, key=lambda level: sign * level[0]))


def _check_levels(event: BookSnapshot | BookDelta) -> None:
    for side in (event.bids, event.asks):
        for price, size in side:
            if not (isfinite(price) and isfinite(size)):
                raise ValueError("level is not finite")
            if price <= 0.0:
                raise ValueError(f"level price is not above zero: {price}")
            if size < 0.0:
                raise ValueError(f"level size is negative: {size}")
    is_whole = isinstance(event, BookSnapshot) and event.bids and event.asks
    if is_whole and event.bids[0][0] >= event.asks[0][0]:
        raise ValueError(f"book is crossed: bid {event.bids[0][0]}, ask {event.asks[0][0]}")


def _check_prices(*prices: float) -> None:
    if any(price <= 0.0 or not isfinite(price) for price in prices):
        raise ValueError(f"price is not above zero: {min(prices)}")


def _check_sizes(*sizes: float) -> None:
    if any(size < 0.0 or not isfinite(size) for size in sizes):
        raise ValueError(f"size is negative: {min(sizes)}")
