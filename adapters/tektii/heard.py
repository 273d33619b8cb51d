"""What a gateway says, read leniently: bodies of answers and frames of the stream.

Gateways of several generations and other hands are out there (specification, 1 and 20.7): a member
that is missing, null or new never costs the message, and a word that is not known is UNKNOWN.
`wire.py` has the same messages as our own server writes them.
"""

from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

import msgspec

from framework.errors import MalformedMessage

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

Text = str | None
Amount = Decimal | None
Flag = bool | None


class Side(Enum):
    """Which way an order trades."""

    BUY = "BUY"
    SELL = "SELL"
    UNKNOWN = "UNKNOWN"


class PositionSide(Enum):
    """Which way a position stands."""

    LONG = "LONG"
    SHORT = "SHORT"
    UNKNOWN = "UNKNOWN"


class OrderKind(Enum):
    """How an order finds its price."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"
    UNKNOWN = "UNKNOWN"


class Force(Enum):
    """How long an order works."""

    GTC = "GTC"
    DAY = "DAY"
    IOC = "IOC"
    FOK = "FOK"
    UNKNOWN = "UNKNOWN"


class Status(Enum):
    """Where an order stands; UNKNOWN is no end."""

    PENDING = "PENDING"
    PENDING_CANCEL = "PENDING_CANCEL"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"


class FrameKind(Enum):
    """What a frame is about."""

    CANDLE = "candle"
    QUOTE = "quote"
    ORDER = "order"
    TRADE = "trade"
    POSITION = "position"
    ACCOUNT = "account"
    CONNECTION = "connection"
    STALENESS = "data_staleness"
    RATE_LIMIT = "rate_limit"
    ERROR = "error"
    PING = "ping"
    FINANCING = "financing"
    COMPLETE = "backtest_complete"
    UNKNOWN = "unknown"


class ConnectionWord(Enum):
    """What happened to a link (13)."""

    CONNECTED = "CONNECTED"
    DISCONNECTING = "DISCONNECTING"
    RECONNECTING = "RECONNECTING"
    BROKER_DISCONNECTED = "BROKER_DISCONNECTED"
    BROKER_RECONNECTED = "BROKER_RECONNECTED"
    BROKER_CONNECTION_FAILED = "BROKER_CONNECTION_FAILED"
    UNKNOWN = "UNKNOWN"


def word(kind: type[E], said: str | None) -> E:
    """Return the member that a word means, in any case; UNKNOWN where there is none."""
    member = _MEMBERS[kind].get((said or "").upper())
    return kind["UNKNOWN"] if member is None else member  # type: ignore[return-value] # of `kind`


_MEMBERS: dict[type[Enum], dict[str, Enum]] = {
    kind: {str(member.value).upper(): member for member in kind}
    for kind in (Side, PositionSide, OrderKind, Force, Status, FrameKind, ConnectionWord)
}


class Order(msgspec.Struct, frozen=True, gc=False):
    """6.5."""

    id: Text = None
    client_order_id: Text = None
    symbol: Text = None
    side: Text = None
    order_type: Text = None
    status: Text = None
    quantity: Amount = None
    filled_quantity: Amount = None
    remaining_quantity: Amount = None
    limit_price: Amount = None
    stop_price: Amount = None
    average_fill_price: Amount = None
    time_in_force: Text = None
    created_at: Text = None
    updated_at: Text = None
    reject_reason: Text = None
    parent_order_id: Text = None


class Handle(msgspec.Struct, frozen=True, gc=False):
    """6.4."""

    id: Text = None
    status: Text = None
    client_order_id: Text = None


class Trade(msgspec.Struct, frozen=True, gc=False):
    """6.7."""

    id: Text = None
    order_id: Text = None
    symbol: Text = None
    side: Text = None
    quantity: Amount = None
    price: Amount = None
    commission: Amount = None
    commission_currency: Text = None
    is_maker: Flag = None
    timestamp: Text = None


class Position(msgspec.Struct, frozen=True, gc=False):
    """6.6."""

    id: Text = None
    symbol: Text = None
    side: Text = None
    quantity: Amount = None
    average_entry_price: Amount = None


class Account(msgspec.Struct, frozen=True, gc=False):
    """6.2."""

    balance: Amount = None
    equity: Amount = None
    margin_used: Amount = None
    margin_available: Amount = None
    unrealized_pnl: Amount = None
    currency: Text = None


class Quote(msgspec.Struct, frozen=True, gc=False):
    """6.8."""

    symbol: Text = None
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    bid_size: float | None = None
    ask_size: float | None = None
    timestamp: Text = None


class Bar(msgspec.Struct, frozen=True, gc=False):
    """6.8; `timestamp` is its start."""

    symbol: Text = None
    timeframe: Text = None
    timestamp: Text = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: float | None = None


class CancelResult(msgspec.Struct, frozen=True, gc=False):
    """6.9."""

    success: Flag = None
    order: Order | None = None


class ModifyResult(msgspec.Struct, frozen=True, gc=False):
    """6.9."""

    order: Order | None = None
    previous_order_id: Text = None


class BreakerState(msgspec.Struct, frozen=True, gc=False):
    """6.9."""

    state: Text = None
    failure_count: int | None = None


class Breakers(msgspec.Struct, frozen=True, gc=False):
    """6.9."""

    adapter: BreakerState | None = None
    exit_order: BreakerState | None = None


class RateLimits(msgspec.Struct, frozen=True, gc=False):
    """6.10."""

    requests_per_minute: float | None = None
    orders_per_second: float | None = None


class Capabilities(msgspec.Struct, frozen=True, gc=False):
    """6.10."""

    supported_order_types: list[Text] | None = None
    position_mode: Text = None
    features: list[Text] | None = None
    rate_limits: RateLimits | None = None


class Provider(msgspec.Struct, frozen=True, gc=False):
    """6.10."""

    platform: Text = None
    connected: Flag = None


class Health(msgspec.Struct, frozen=True, gc=False):
    """6.10."""

    status: Text = None
    version: Text = None
    providers: list[Provider] | None = None


class Ready(msgspec.Struct, frozen=True, gc=False):
    """6.10."""

    ready: Flag = None
    message: Text = None


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """5.1; `details` may be anything."""

    code: Text = None
    message: Text = None
    details: Any = None


class Frame(msgspec.Struct, frozen=True, gc=False):
    """Any frame of the stream (11.2); members of other kinds than its own are None."""

    type: Text = None
    timestamp: Text = None
    event: Text = None
    event_id: Text = None
    seq: int | None = None
    epoch: Text = None
    quote: Quote | None = None
    bar: Bar | None = None
    order: Order | None = None
    trade: Trade | None = None
    account: Account | None = None
    parent_order_id: Text = None
    broker: Text = None
    error: Text = None
    gap_duration_ms: float | None = None
    symbols: list[Text] | None = None
    stale_since: Text = None
    requests_remaining: float | None = None
    reset_at: Text = None
    code: Text = None
    message: Text = None
    details: Any = None

    @property
    def kind(self) -> FrameKind:
        """What it is about."""
        return word(FrameKind, self.type)


class Mark(msgspec.Struct, frozen=True, gc=False):
    """What is needed of a frame that cannot be read otherwise: how to acknowledge it."""

    event_id: Any = None
    seq: Any = None
    epoch: Any = None


_FRAME = msgspec.json.Decoder(Frame, strict=False)
_MARK = msgspec.json.Decoder(Mark, strict=False)
_BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError)


def read_frame(data: bytes | str) -> Frame:
    """Return what a frame says.

    Raises:
        MalformedMessage: it is no JSON object, or a member has another shape altogether.
    """
    try:
        return _FRAME.decode(data)
    except _BROKEN as error:
        raise MalformedMessage(f"frame: {error}") from error


def read_mark(data: bytes | str) -> Frame:
    """Return no more of a frame than its numbers; an empty one where not even these are there."""
    try:
        mark = _MARK.decode(data)
    except _BROKEN:
        return Frame()
    return Frame(
        event_id=mark.event_id if isinstance(mark.event_id, str) else None,
        seq=mark.seq if isinstance(mark.seq, int) else None,
        epoch=mark.epoch if isinstance(mark.epoch, str) else None,
    )


def read(body: bytes, kind: type[T]) -> T:
    """Return an answer's body.

    Raises:
        MalformedMessage: it is no JSON, or of another shape altogether.
    """
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except _BROKEN as error:
        name = getattr(kind, "__name__", str(kind))
        raise MalformedMessage(f"{name}: {error}") from error
