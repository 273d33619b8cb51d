"""The gateway's words on the wire: bodies of requests and answers, and frames of the event stream.

What goes out is declared as text where it is a decimal or a time: decimals are strings in plain
notation, times RFC 3339 in UTC with `Z`. What comes in is `Decimal`, from a string (exponents
too) or a number; unknown members are ignored. Members without a value are left out.
"""

from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

Dec = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="a decimal as text")]
Time = Annotated[
    str, Meta(pattern=r"Z$", description="RFC 3339 in UTC", examples=["2026-03-02T15:10:00Z"])
]
SideWord = Annotated[str, Meta(examples=["BUY", "SELL"])]
TypeWord = Annotated[str, Meta(examples=["MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TRAILING_STOP"])]
TimeInForceWord = Annotated[str, Meta(examples=["GTC", "DAY", "IOC", "FOK"])]
TrailingWord = Annotated[str, Meta(examples=["ABSOLUTE", "PERCENT"])]
MarginWord = Annotated[str, Meta(examples=["CROSS", "ISOLATED"])]
"""Values of enums as they come in, in any case; `words.py` knows which there are."""


class Side(Enum):
    """Which way an order trades."""

    BUY = "BUY"
    SELL = "SELL"


class PositionSide(Enum):
    """Which way a position stands."""

    LONG = "LONG"
    SHORT = "SHORT"


class OrderType(Enum):
    """How an order finds its price."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"


class TimeInForce(Enum):
    """How long an order works; GTC where nothing is said."""

    GTC = "GTC"
    DAY = "DAY"
    IOC = "IOC"
    FOK = "FOK"


class OrderStatus(Enum):
    """Where an order stands (8.1)."""

    PENDING = "PENDING"
    PENDING_CANCEL = "PENDING_CANCEL"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class TrailingType(Enum):
    """What a trailing distance is counted in."""

    ABSOLUTE = "ABSOLUTE"
    PERCENT = "PERCENT"


class MarginMode(Enum):
    """How a position is collateralised."""

    CROSS = "CROSS"
    ISOLATED = "ISOLATED"


class RejectReason(Enum):
    """Why an order was refused (5.3)."""

    INSUFFICIENT_MARGIN = "INSUFFICIENT_MARGIN"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    INVALID_QUANTITY = "INVALID_QUANTITY"
    INVALID_PRICE = "INVALID_PRICE"
    SYMBOL_NOT_TRADEABLE = "SYMBOL_NOT_TRADEABLE"
    MARKET_CLOSED = "MARKET_CLOSED"
    REDUCE_ONLY_VIOLATED = "REDUCE_ONLY_VIOLATED"
    POST_ONLY_VIOLATED = "POST_ONLY_VIOLATED"
    RATE_LIMITED = "RATE_LIMITED"
    UNKNOWN = "UNKNOWN"


class OrderEventType(Enum):
    """What happened to an order."""

    ORDER_CREATED = "ORDER_CREATED"
    ORDER_MODIFIED = "ORDER_MODIFIED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    ORDER_REJECTED = "ORDER_REJECTED"
    ORDER_FILLED = "ORDER_FILLED"
    ORDER_PARTIALLY_FILLED = "ORDER_PARTIALLY_FILLED"
    ORDER_EXPIRED = "ORDER_EXPIRED"
    BRACKET_ORDER_CREATED = "BRACKET_ORDER_CREATED"
    BRACKET_ORDER_MODIFIED = "BRACKET_ORDER_MODIFIED"


class PositionEventType(Enum):
    """What happened to a position."""

    POSITION_OPENED = "POSITION_OPENED"
    POSITION_MODIFIED = "POSITION_MODIFIED"
    POSITION_CLOSED = "POSITION_CLOSED"


class AccountEventType(Enum):
    """What happened to an account."""

    BALANCE_UPDATED = "BALANCE_UPDATED"
    MARGIN_WARNING = "MARGIN_WARNING"
    MARGIN_CALL = "MARGIN_CALL"


class TradeEventType(Enum):
    """What a trade is told as."""

    TRADE_FILLED = "TRADE_FILLED"


class ConnectionEventType(Enum):
    """What happened to a link (13)."""

    CONNECTED = "CONNECTED"
    DISCONNECTING = "DISCONNECTING"
    RECONNECTING = "RECONNECTING"
    BROKER_DISCONNECTED = "BROKER_DISCONNECTED"
    BROKER_RECONNECTED = "BROKER_RECONNECTED"
    BROKER_CONNECTION_FAILED = "BROKER_CONNECTION_FAILED"


class StalenessEventType(Enum):
    """Whether prices can be trusted."""

    STALE = "STALE"
    FRESH = "FRESH"


class RateLimitEventType(Enum):
    """How near the venue's limit is."""

    RATE_LIMIT_WARNING = "RATE_LIMIT_WARNING"
    RATE_LIMIT_HIT = "RATE_LIMIT_HIT"


class StreamErrorCode(Enum):
    """What an error frame is about (11.4)."""

    INVALID_MESSAGE = "INVALID_MESSAGE"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    POSITION_UNPROTECTED = "POSITION_UNPROTECTED"
    LIQUIDATION = "LIQUIDATION"
    OCO_DOUBLE_EXIT = "OCO_DOUBLE_EXIT"


# -- requests ----------------------------------------------------------------------------------


class OrderRequest(msgspec.Struct, frozen=True):
    """POST /v1/orders (6.3); which prices go with which type is the matrix of 8.2."""

    symbol: str
    side: SideWord
    quantity: Decimal
    order_type: TypeWord
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trailing_distance: Decimal | None = None
    trailing_type: TrailingWord | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    time_in_force: TimeInForceWord | None = None
    client_order_id: str | None = None
    oco_group_id: str | None = None
    position_id: str | None = None
    reduce_only: bool | None = None
    post_only: bool | None = None
    hidden: bool | None = None
    display_quantity: Decimal | None = None
    margin_mode: MarginWord | None = None
    leverage: Decimal | None = None


class ModifyOrderRequest(msgspec.Struct, frozen=True):
    """PATCH /v1/orders/{order_id} (8.6): absent members stay as they are."""

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_distance: Decimal | None = None


class ClosePositionRequest(msgspec.Struct, frozen=True):
    """DELETE /v1/positions/{position_id} (8.9)."""

    quantity: Decimal | None = None
    order_type: TypeWord | None = None
    limit_price: Decimal | None = None


class ModifyExitsRequest(msgspec.Struct, frozen=True):
    """PATCH /v1/positions/{position_id} (9.8)."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


# -- answers -----------------------------------------------------------------------------------


class Account(msgspec.Struct, frozen=True, gc=False):
    """6.2."""

    balance: Dec
    equity: Dec
    margin_used: Dec
    margin_available: Dec
    unrealized_pnl: Dec
    currency: str


class OrderHandle(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What submitting and closing answer (6.4)."""

    id: str
    status: OrderStatus
    client_order_id: str | None = None
    correlation_id: str | None = None


class Order(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """6.5."""

    id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Dec
    filled_quantity: Dec
    remaining_quantity: Dec
    status: OrderStatus
    time_in_force: TimeInForce
    created_at: Time
    updated_at: Time
    client_order_id: str | None = None
    limit_price: Dec | None = None
    stop_price: Dec | None = None
    stop_loss: Dec | None = None
    take_profit: Dec | None = None
    trailing_distance: Dec | None = None
    trailing_type: TrailingType | None = None
    average_fill_price: Dec | None = None
    reject_reason: RejectReason | None = None
    position_id: str | None = None
    parent_order_id: str | None = None
    reduce_only: bool | None = None
    post_only: bool | None = None
    hidden: bool | None = None
    display_quantity: Dec | None = None
    oco_group_id: str | None = None
    correlation_id: str | None = None


class Position(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """6.6; `quantity` has no sign."""

    id: str
    symbol: str
    side: PositionSide
    quantity: Dec
    average_entry_price: Dec
    current_price: Dec
    unrealized_pnl: Dec
    realized_pnl: Dec
    opened_at: Time
    updated_at: Time
    margin_mode: MarginMode | None = None
    leverage: Dec | None = None
    liquidation_price: Dec | None = None


class Trade(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """6.7."""

    id: str
    order_id: str
    symbol: str
    side: Side
    quantity: Dec
    price: Dec
    commission: Dec
    commission_currency: str
    timestamp: Time
    is_maker: bool | None = None


class Quote(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """6.8."""

    symbol: str
    provider: str
    bid: Dec
    ask: Dec
    last: Dec
    timestamp: Time
    bid_size: Dec | None = None
    ask_size: Dec | None = None
    volume: Dec | None = None


class Bar(msgspec.Struct, frozen=True, gc=False):
    """6.8; `timestamp` is its start."""

    symbol: str
    provider: str
    timeframe: str
    timestamp: Time
    open: Dec
    high: Dec
    low: Dec
    close: Dec
    volume: Dec


class CancelOrderResult(msgspec.Struct, frozen=True, gc=False):
    """6.9."""

    success: bool
    order: Order


class CancelAllResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """6.9; the ids only where something failed."""

    cancelled_count: int
    failed_count: int
    failed_order_ids: list[str] | None = None


class ModifyOrderResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """6.9; the previous id where the venue replaced the order."""

    order: Order
    previous_order_id: str | None = None


class ExitLegPlacement(msgspec.Struct, frozen=True, gc=False):
    """6.9."""

    order_ids: list[str]
    trigger_price: Dec


class ModifyPositionExitsResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """6.9."""

    position_id: str
    stop_loss: ExitLegPlacement | None = None
    take_profit: ExitLegPlacement | None = None


class BreakerSnapshot(msgspec.Struct, frozen=True, gc=False):
    """6.9; `state` is `open` or `closed`."""

    state: str
    failure_count: int


class CircuitBreakerStatus(msgspec.Struct, frozen=True, gc=False):
    """6.9."""

    adapter: BreakerSnapshot
    exit_order: BreakerSnapshot


class RateLimits(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """6.10."""

    requests_per_minute: int | None = None
    orders_per_second: int | None = None
    orders_per_day: int | None = None


class Capabilities(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """6.10; what section 15 lists, as far as it is true."""

    supported_asset_classes: list[str]
    supported_order_types: list[OrderType]
    position_mode: str
    features: list[str]
    max_leverage: Dec | None = None
    rate_limits: RateLimits | None = None


class ConnectionStatus(msgspec.Struct, frozen=True, gc=False):
    """6.10."""

    connected: bool
    latency_ms: int
    last_heartbeat: Time


class ProviderHealth(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """6.10."""

    platform: str
    connected: bool
    stale_instruments: list[str] | None = None


class DetailedHealth(msgspec.Struct, frozen=True, gc=False):
    """6.10; `status` is `connected` or `degraded`."""

    status: str
    version: str
    git_sha: str
    providers: list[ProviderHealth]


class Ready(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """6.10."""

    ready: bool
    providers: list[str]
    provider_count: int
    message: str | None = None


class Live(msgspec.Struct, frozen=True, gc=False):
    """6.10."""

    status: str


class ErrorBody(msgspec.Struct, frozen=True, gc=False):
    """The one envelope of every refusal (5.1)."""

    code: str
    message: str
    details: Any | UnsetType = UNSET


# -- frames ------------------------------------------------------------------------------------
#
# `timestamp` of a frame is market time. What the stream adds to each (`seq`, `epoch`, in a paced
# run `event_id`) is put behind, so that one encoding serves every connection.


class CandleFrame(msgspec.Struct, frozen=True, gc=False, tag="candle"):
    """11.2."""

    bar: Bar
    timestamp: Time


class QuoteFrame(msgspec.Struct, frozen=True, gc=False, tag="quote"):
    """11.2."""

    quote: Quote
    timestamp: Time


class OrderFrame(msgspec.Struct, frozen=True, gc=False, tag="order", omit_defaults=True):
    """11.2; the parent of exit legs only."""

    event: OrderEventType
    order: Order
    timestamp: Time
    parent_order_id: str | None = None


class TradeFrame(msgspec.Struct, frozen=True, gc=False, tag="trade"):
    """11.2."""

    event: TradeEventType
    trade: Trade
    timestamp: Time


class PositionFrame(msgspec.Struct, frozen=True, gc=False, tag="position"):
    """11.2; one that closed has the quantity `"0"`."""

    event: PositionEventType
    position: Position
    timestamp: Time


class AccountFrame(msgspec.Struct, frozen=True, gc=False, tag="account"):
    """11.2."""

    event: AccountEventType
    account: Account
    timestamp: Time


class ConnectionFrame(msgspec.Struct, frozen=True, gc=False, tag="connection", omit_defaults=True):
    """11.2; meanings in section 13."""

    event: ConnectionEventType
    timestamp: Time
    broker: str | None = None
    error: str | None = None
    gap_duration_ms: int | None = None


class StalenessFrame(
    msgspec.Struct, frozen=True, gc=False, tag="data_staleness", omit_defaults=True
):
    """11.2."""

    event: StalenessEventType
    symbols: list[str]
    timestamp: Time
    stale_since: Time | None = None
    broker: str | None = None


class RateLimitFrame(msgspec.Struct, frozen=True, gc=False, tag="rate_limit", omit_defaults=True):
    """11.2."""

    event: RateLimitEventType
    timestamp: Time
    requests_remaining: int | None = None
    reset_at: Time | None = None


class ErrorFrame(msgspec.Struct, frozen=True, gc=False, tag="error"):
    """11.4."""

    code: StreamErrorCode
    message: str
    timestamp: Time
    details: Any | UnsetType = UNSET


class PingFrame(msgspec.Struct, frozen=True, gc=False, tag="ping"):
    """11.2."""

    timestamp: Time


class FinancingFrame(msgspec.Struct, frozen=True, gc=False, tag="financing"):
    """11.2; `amount` in the account's currency, negative where charged. Never paced (12.3)."""

    symbol: str
    amount: Dec
    timestamp: Time


class CompleteFrame(msgspec.Struct, frozen=True, gc=False, tag="backtest_complete"):
    """11.2; never paced (12.3)."""

    broker: str
    timestamp: Time


Frame = (
    CandleFrame
    | QuoteFrame
    | OrderFrame
    | TradeFrame
    | PositionFrame
    | AccountFrame
    | ConnectionFrame
    | StalenessFrame
    | RateLimitFrame
    | ErrorFrame
    | PingFrame
    | FinancingFrame
    | CompleteFrame
)
