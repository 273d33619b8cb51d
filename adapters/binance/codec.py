"""Market data between Binance's words and the framework's: pure, without state.

What a frame is about is told by the name of its stream, since some payloads (`bookTicker`) name no
type. Text is read into floats by the decoder itself, which refuses NaN, infinity and signs.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from adapters.binance import wire
from framework.errors import MalformedMessage
from framework.model.decimals import ZERO, parse
from framework.model.identity import instrument_id
from framework.model.instrument import Instrument, PriceRange
from framework.model.market_data import (
    Aggressor,
    BookDelta,
    BookSnapshot,
    Candle,
    MarketPhase,
    Quote,
    Trade,
)

T = TypeVar("T")

NS_PER_MS = 1_000_000
PHASES = {"TRADING": MarketPhase.OPEN, "AUCTION_MATCH": MarketPhase.AUCTION}


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The venue's answer to a request on the socket; `text` is "" where it did as asked.

    `streams` is what it lists, None for answers to other requests.
    """

    id: int | None
    code: int = 0
    text: str = ""
    streams: tuple[str, ...] | None = None


class Notice(msgspec.Struct, frozen=True, gc=False):
    """What the venue says about the connection, such as `serverShutdown`; "" if nothing known."""

    type: str


MarketEvent = Quote | Trade | Candle | BookDelta
Heard = MarketEvent | Answer | Notice

_ENVELOPE = msgspec.json.Decoder(wire.Envelope)
_STREAMS = msgspec.json.Decoder(tuple[str, ...] | None)
_TRADE = msgspec.json.Decoder(wire.TradeEvent, strict=False)
_TICKER = msgspec.json.Decoder(wire.BookTicker, strict=False)
_DEPTH = msgspec.json.Decoder(wire.DepthUpdate, strict=False)
_KLINE = msgspec.json.Decoder(wire.KlineEvent, strict=False)
_NOTICE = msgspec.json.Decoder(wire.ServerEvent)


def decode_frame(data: bytes | str, venue: str, received_ns: int) -> Heard:
    """Return what a frame of the combined streams says.

    Raises:
        MalformedMessage: it cannot be read, or says something impossible.
    """
    try:
        envelope = _ENVELOPE.decode(data)
        if not envelope.stream:
            return _answer(envelope) if envelope.id is not None else _notice(envelope, data)
        return _event(envelope, venue, received_ns)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"{venue}: {error}") from error


def _event(envelope: wire.Envelope, venue: str, received_ns: int) -> Heard:
    kind = envelope.stream.partition("@")[2]
    if kind.startswith("depth"):
        return to_delta(_DEPTH.decode(envelope.data), venue, received_ns)
    if kind == "bookTicker":
        return to_quote(_TICKER.decode(envelope.data), venue, received_ns)
    if kind == "trade":
        return to_trade(_TRADE.decode(envelope.data), venue, received_ns)
    if kind.startswith("kline_"):
        return to_candle(_KLINE.decode(envelope.data), venue, received_ns)
    return Notice("")


def _answer(envelope: wire.Envelope) -> Answer:
    number = envelope.id if isinstance(envelope.id, int) else None
    fault = envelope.error
    if fault is None and envelope.code is not None:
        fault = wire.Fault(envelope.code, envelope.msg)
    if fault is not None:
        return Answer(number, fault.code, fault.msg or f"code {fault.code}")
    streams = _STREAMS.decode(envelope.result) if envelope.result else None
    return Answer(number, streams=streams)


def _notice(envelope: wire.Envelope, data: bytes | str) -> Heard:
    if envelope.code is not None or envelope.error is not None:  # a refusal that names no request
        return _answer(envelope)
    return Notice(_NOTICE.decode(data).type)


def to_quote(ticker: wire.BookTicker, venue: str, received_ns: int) -> Quote:
    """Return the best bid and ask; the stream has no time of its own."""
    return Quote(
        instrument_id(venue, ticker.symbol),
        received_ns,
        received_ns,
        ticker.bid,
        ticker.ask,
        ticker.bid_size,
        ticker.ask_size,
    )


def to_trade(trade: wire.TradeEvent, venue: str, received_ns: int) -> Trade:
    """Return one trade of the tape."""
    return Trade(
        instrument_id(venue, trade.symbol),
        _happened_ns(trade.time_ms, received_ns),
        received_ns,
        trade.price,
        trade.quantity,
        Aggressor.SELLER if trade.is_buyer_maker else Aggressor.BUYER,
        str(trade.trade_id),
    )


def to_delta(update: wire.DepthUpdate, venue: str, received_ns: int) -> BookDelta:
    """Return the level changes of one message."""
    return BookDelta(
        instrument_id(venue, update.symbol),
        _happened_ns(update.time_ms, received_ns),
        received_ns,
        update.first,
        update.last,
        update.bids,
        update.asks,
    )


def to_candle(event: wire.KlineEvent, venue: str, received_ns: int) -> Candle:
    """Return a candle as it stands, closed or forming.

    Raises:
        MalformedMessage: its times or prices contradict each other.
    """
    kline = event.kline
    return _candle(
        kline,
        instrument_id(venue, event.symbol),
        kline.interval,
        time_ns=_happened_ns(event.time_ms, received_ns),
        received_ns=received_ns,
        is_closed=kline.is_closed,
    )


def _happened_ns(time_ms: int, received_ns: int) -> int:
    """Return the venue's time of an event; where its clock is ahead of ours, when we got it."""
    return min(time_ms * NS_PER_MS, received_ns)


def _candle(
    kline: wire.StreamedKline | wire.Kline,
    instrument: str,
    interval: str,
    *,
    time_ns: int,
    received_ns: int,
    is_closed: bool,
) -> Candle:
    """Return a candle; the venue names its last millisecond, `close_ns` is the next one."""
    close_ns = (kline.close_ms + 1) * NS_PER_MS
    spans = kline.low <= min(kline.open, kline.close) <= max(kline.open, kline.close) <= kline.high
    if not spans or kline.open_ms > kline.close_ms:
        raise MalformedMessage(f"{instrument}: candle {kline!r} contradicts itself")
    return Candle(
        instrument,
        close_ns if is_closed else time_ns,
        received_ns,
        interval,
        kline.open_ms * NS_PER_MS,
        close_ns,
        kline.open,
        kline.high,
        kline.low,
        kline.close,
        kline.volume,
        is_closed,
    )


def to_snapshot(body: bytes, instrument: str, *, time_ns: int, received_ns: int) -> BookSnapshot:
    """Return the book of an answer; the venue stamps it with a number only, so `time_ns` is ours.

    Raises:
        MalformedMessage: it cannot be read.
    """
    depth = read(body, wire.Depth)
    return BookSnapshot(
        instrument, time_ns, received_ns, depth.last_update_id, depth.bids, depth.asks
    )


def to_candles(body: bytes, instrument: str, interval: str, *, received_ns: int) -> list[Candle]:
    """Return closed candles, oldest first; one that ends after `received_ns` is still forming.

    Raises:
        MalformedMessage: the answer cannot be read.
    """
    return [
        _candle(
            kline,
            instrument,
            interval,
            time_ns=received_ns,
            received_ns=received_ns,
            is_closed=True,
        )
        for kline in read(body, tuple[wire.Kline, ...])
        if (kline.close_ms + 1) * NS_PER_MS <= received_ns
    ]


def read(body: bytes, kind: type[T]) -> T:
    """Return a REST body as one of the structs of `wire`; numbers may come as text.

    Raises:
        MalformedMessage: it does not have that shape.
    """
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        name = getattr(kind, "__name__", str(kind))
        raise MalformedMessage(f"{name}: {error}") from error


def read_fault(status: int, body: bytes) -> tuple[str, str]:
    """Return code and text of a refusal, "" for each that the body does not tell."""
    try:
        fault = msgspec.json.decode(body, type=wire.Fault)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", body[:200].decode(errors="replace") if status < 500 else ""
    return str(fault.code), fault.msg


def with_rules(known: Instrument, rules: wire.SymbolRules) -> Instrument:
    """Return an instrument with the grid and limits that the venue names.

    The least value of an order (`NOTIONAL`) has no place in it: the venue refuses what is below.

    Raises:
        MalformedMessage: a rule is no number.
    """
    filters = {one.filter_type: one for one in rules.filters}
    price, size = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    tick = None if price is None else _rule(price.tick_size)
    return msgspec.structs.replace(
        known,
        currency=rules.quote_asset,
        base=rules.base_asset,
        ranges=() if tick is None else (PriceRange(low=ZERO, tick=tick),),
        lot=None if size is None else _rule(size.step_size),
        minimum_quantity=None if size is None else _rule(size.min_qty),
        maximum_quantity=None if size is None else _rule(size.max_qty),
        minimum_price=None if price is None else _rule(price.min_price),
        maximum_price=None if price is None else _rule(price.max_price),
    )


def _rule(text: str) -> Decimal | None:
    """Return a limit; None where it is left out, or zero, which switches it off."""
    try:
        value = parse(text.rstrip("0").rstrip(".") if "." in text else text or "0")
    except InvalidOperation as error:
        raise MalformedMessage(f"{text!r} is no limit") from error
    if not value.is_finite() or value < ZERO:
        raise MalformedMessage(f"{text!r} is no limit")
    return value or None


def phase_of(rules: wire.SymbolRules) -> MarketPhase:
    """Return what a symbol's status allows; `BREAK` and `HALT` allow nothing."""
    return PHASES.get(rules.status, MarketPhase.HALTED)


def rules_by_symbol(body: bytes) -> Mapping[str, wire.SymbolRules]:
    """Return the rules of every symbol in an answer.

    Raises:
        MalformedMessage: it cannot be read.
    """
    return {rules.symbol: rules for rules in read(body, wire.ExchangeInfo).symbols}
