"""Frames of the venue's socket to `Frame`: pure, and decided per field, never per connection.

Deltas, trades and tickers are one typed decode each; everything else is its envelope first and
then its body. A body that a strict decode refuses gets a lenient one.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.json import Decoder

from adapters.kalshi import reading, reading_private
from adapters.kalshi.lenient import UNREADABLE, read_leniently
from adapters.kalshi.messages import Message, Subscribed, Unsubscribed
from adapters.kalshi.wire import (
    DeltaBody,
    DeltaFrame,
    Envelope,
    ErrorBody,
    EventFeeUpdateBody,
    EventLifecycleBody,
    MarketLifecycleBody,
    Markets,
    MultivariateLookupBody,
    Numbered,
    SnapshotBody,
    TickerBody,
    TickerFrame,
    TradeBody,
    TradeFrame,
)
from adapters.kalshi.wire_private import (
    CommunicationKeys,
    FillBody,
    MarketPositionBody,
    OrderGroupBody,
    QuoteBody,
    QuoteExecutedBody,
    RfqBody,
    UserOrderBody,
)
from framework.errors import MalformedMessage


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame: its envelope, what it says, and the bytes it came in.

    `message` is None where the type is unknown (`error` is "") or where the body lacks what is
    needed (`error` says what). `left_out` names optional fields that could not be read: the
    message beside it is good without them.
    """

    type: str
    sid: int | None
    seq: int | None
    id: int | None
    message: Message | None
    raw: bytes
    error: str = ""
    left_out: str = ""


class _Kind(msgspec.Struct, frozen=True):
    """How the body of one type is decoded and what it becomes."""

    body: type[msgspec.Struct]
    read: Callable[[Any], Message]
    decode: Callable[[msgspec.Raw], Any]


def _kind(body: type[msgspec.Struct], read: Callable[[Any], Message]) -> _Kind:
    return _Kind(body, read, Decoder(body).decode)


KINDS = {
    "subscribed": _kind(Numbered, lambda body: Subscribed(body.channel, body.sid)),
    "ticker": _kind(TickerBody, reading.ticker),
    "trade": _kind(TradeBody, reading.trade),
    "orderbook_snapshot": _kind(SnapshotBody, reading.book),
    "orderbook_delta": _kind(DeltaBody, reading.level),
    "market_lifecycle_v2": _kind(MarketLifecycleBody, reading.market_lifecycle),
    "multivariate_market_lifecycle": _kind(MarketLifecycleBody, reading.market_lifecycle),
    "event_lifecycle": _kind(EventLifecycleBody, reading.event_lifecycle),
    "event_fee_update": _kind(EventFeeUpdateBody, reading.event_fee_update),
    "multivariate_lookup": _kind(MultivariateLookupBody, reading.multivariate_lookup),
    "fill": _kind(FillBody, reading_private.fill),
    "user_order": _kind(UserOrderBody, reading_private.user_order),
    "market_position": _kind(MarketPositionBody, reading_private.market_position),
    "order_group_updates": _kind(OrderGroupBody, reading_private.order_group_update),
    "rfq_created": _kind(RfqBody, reading_private.rfq_created),
    "rfq_deleted": _kind(RfqBody, reading_private.rfq_deleted),
    "quote_created": _kind(QuoteBody, reading_private.quote_created),
    "quote_accepted": _kind(QuoteBody, reading_private.quote_accepted),
    "quote_executed": _kind(QuoteExecutedBody, reading_private.quote_executed),
}

FREQUENT: dict[type[msgspec.Struct], tuple[str, Callable[[Any], Message]]] = {
    DeltaFrame: ("orderbook_delta", reading.level),
    TickerFrame: ("ticker", reading.ticker),
    TradeFrame: ("trade", reading.trade),
}

LARGEST_FRAME = 1 << 20
"""Bytes of a frame that is read: twice those of a book with a level at every price there is."""

_frequent = Decoder(DeltaFrame | TickerFrame | TradeFrame).decode
_envelope = Decoder(Envelope).decode
_markets = Decoder(Markets).decode
_subscriptions = Decoder(list[Numbered]).decode
_refusal_text = Decoder(str).decode
_communication_keys = Decoder(CommunicationKeys).decode


def decode_frame(data: bytes | str) -> Frame:
    """Decode one text frame.

    Raises:
        MalformedMessage: it is no JSON object, or has no usable envelope.
    """
    try:
        wire = _frequent(data)
        kind, read = FREQUENT[wire.__class__]
        message = read(wire.msg)
        raw = data if isinstance(data, bytes) else data.encode()
        return Frame(kind, wire.sid, wire.seq, wire.id, message, raw)
    except UNREADABLE:  # another type, or a body that needs a second try
        return _decode_in_steps(data)


def _decode_in_steps(data: bytes | str) -> Frame:
    try:
        raw = data if isinstance(data, bytes) else data.encode()
        envelope = _envelope(raw)
    except UNREADABLE as error:
        raise MalformedMessage(f"no frame: {error}") from error
    message: Message | None = None
    problem = left_out = ""
    try:
        message, left_out = _read(envelope, raw)
    except UNREADABLE as error:
        problem = str(error)
    return Frame(
        type=envelope.type,
        sid=envelope.sid,
        seq=envelope.seq,
        id=envelope.id,
        message=message,
        raw=raw,
        error=problem,
        left_out=left_out,
    )


def _read(envelope: Envelope, raw: bytes) -> tuple[Message | None, str]:
    """Return what the frame says, and what of it was left out."""
    body = envelope.msg
    if len(raw) > LARGEST_FRAME:
        raise MalformedMessage(f"a frame of {len(raw)} bytes is not read")
    match envelope.type:
        case "unsubscribed":
            return Unsubscribed(), ""
        case "ok":
            return _read_okay(body, raw), ""
        case "error":
            return _read_error(body)
        case "communications":
            return _read_kind(KINDS[_communication(body)], body)
    kind = KINDS.get(envelope.type)
    return (None, "") if kind is None else _read_kind(kind, body)


def _read_kind(kind: _Kind, body: msgspec.Raw) -> tuple[Message, str]:
    try:
        return kind.read(kind.decode(body)), ""
    except UNREADABLE:
        lenient, left_out = read_leniently(kind.body, body)
        return kind.read(lenient), left_out


def _read_okay(body: msgspec.Raw, raw: bytes) -> Message:
    """The lists are the body, in the body, or, on older servers, beside where it would be."""
    if bytes(body) in (b"", b"null"):
        return reading.okay(_markets(raw))
    if bytes(body)[:1] == b"[":
        return reading.okay(Markets(subscriptions=_subscriptions(body)))
    return reading.okay(_markets(body))


def _read_error(body: msgspec.Raw) -> tuple[Message, str]:
    """A refusal that is only a text still ends the command that it names."""
    if bytes(body)[:1] == b'"':
        return reading.refusal(ErrorBody(msg=_refusal_text(body))), ""
    lenient, left_out = read_leniently(ErrorBody, body)
    return reading.refusal(lenient), left_out


def _communication(body: msgspec.Raw) -> str:
    """Return which of the five a frame of the single type `communications` is."""
    keys = _communication_keys(body)
    if bytes(keys.quote_id):
        if bytes(keys.executed_ts):
            return "quote_executed"
        return "quote_accepted" if bytes(keys.accepted_side) else "quote_created"
    return "rfq_deleted" if bytes(keys.deleted_ts) else "rfq_created"
