"""Orders: what was asked for (`OrderIntent`), and the whole state of it (`Order`).

Prices and quantities are `Decimal` on the instrument's grid; times are nanoseconds UTC.
"""

from decimal import Decimal
from enum import Enum

import msgspec

from framework.model.decimals import ZERO, subtract


class Side(Enum):
    """Which way an order trades."""

    BUY = "buy"
    SELL = "sell"


class OrderType(Enum):
    """How an order finds its price."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"


class TriggerBy(Enum):
    """Which price wakes a stop; a stop judged by `BID_ASK` looks at the side it would hit."""

    LAST = "last"
    BID_ASK = "bid_ask"
    MARK = "mark"


class TimeInForce(Enum):
    """How long an order works."""

    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    GTD = "gtd"


class OrderSession(Enum):
    """When an order starts to work."""

    NOW = "now"
    NEXT_OPEN = "next_open"


class OrderStatus(Enum):
    """Where an order stands; a function of its facts (`framework/orders/lifecycle.py`).

    `is_closed`: no more fills are expected. Told by the member: a look-up in a set would hash it,
    which is Python code.
    """

    is_closed: bool

    INITIALISED = "initialised"
    DENIED = "denied"
    HELD = "held"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    TRIGGERED = "triggered"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"

    def __init__(self, word: str) -> None:
        self.is_closed = word in ("denied", "filled", "cancelled", "expired", "rejected")


CLOSED_STATUSES = frozenset(status for status in OrderStatus if status.is_closed)


class RequestState(Enum):
    """What is known of a submit, cancel or modify request that we made."""

    NONE = "none"
    WAITING = "waiting"  # decided, not yet durable or not yet written to the venue
    SENT = "sent"
    IN_DOUBT = "in_doubt"  # only evidence ends this


class Offset(msgspec.Struct, frozen=True, gc=False, tag="offset"):
    """A distance from the entry's average fill price, in price units, always positive."""

    distance: Decimal


class Percent(msgspec.Struct, frozen=True, gc=False, tag="percent"):
    """A distance from the entry's average fill price in percent: `Percent(Decimal(2))` is 2 %."""

    percent: Decimal


class AtPrice(msgspec.Struct, frozen=True, gc=False, tag="price"):
    """An absolute price."""

    price: Decimal


ExitPrice = AtPrice | Offset | Percent


class Exits(msgspec.Struct, frozen=True, gc=False):
    """Protective orders that follow an entry's fills; sized to what is filled."""

    stop_loss: ExitPrice | None = None
    take_profit: ExitPrice | None = None
    trail: Offset | Percent | None = None
    trail_activation: ExitPrice | None = None


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """Keeps positions of one instrument apart where a venue does: a product, a position id."""

    product: str = ""
    position_id: str = ""


NO_BUCKET = Bucket()


class OrderIntent(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag="order_intent",
    rename={"type": "order_type"},
    # It is written down three times: less than half the bytes and the time. A default of a field
    # can therefore never be changed: it is what journals mean by leaving the field out.
    omit_defaults=True,
):
    """One wish to trade: the same through every door, gate, registry and broker.

    Exactly one of `quantity` and `quote_quantity` (in the instrument's currency) is set.
    `key` is the caller's idempotency key, at most 160 characters, scope: the run. `send_by_ns`
    is when it is too late to send it. `cause_sequence` and `cause_ns` name the event that
    caused it.
    """

    run: str
    key: str
    instrument: str
    side: Side
    quantity: Decimal | None = None
    type: OrderType = OrderType.MARKET
    price: Decimal | None = None
    stop_price: Decimal | None = None
    quote_quantity: Decimal | None = None
    trail: Offset | Percent | None = None
    trail_activation: Decimal | None = None
    trigger_by: TriggerBy = TriggerBy.BID_ASK
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_ns: int | None = None
    session: OrderSession = OrderSession.NOW
    post_only: bool = False
    reduce_only: bool = False
    display_quantity: Decimal | None = None
    # Of a plain default the very object is left out and its equal is not: bytes would differ.
    bucket: Bucket = msgspec.field(default_factory=lambda: NO_BUCKET)
    exits: Exits | None = None
    oco_group: str = ""
    tags: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    send_by_ns: int | None = None
    cause_sequence: int = 0
    cause_ns: int = 0


class BasketIntent(msgspec.Struct, frozen=True, gc=False, tag="basket_intent"):
    """Several legs under one key; with `all_or_none` every leg passes the gate or none is sent."""

    run: str
    key: str
    legs: tuple[OrderIntent, ...]
    all_or_none: bool = True


class Order(msgspec.Struct, frozen=True, gc=False, tag="order", rename={"type": "order_type"}):
    """The whole state of one order after its last fact.

    Of a trailing stop that the core keeps, `stop_price` is its level now, None before it started,
    and `trail` its distance now.
    """

    order_id: str
    run: str
    account: str
    instrument: str
    side: Side
    type: OrderType
    status: OrderStatus
    quantity: Decimal
    filled: Decimal
    average_price: Decimal | None
    time_ns: int
    created_ns: int
    key: str
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    bucket: Bucket = NO_BUCKET
    submit_state: RequestState = RequestState.NONE
    cancel_state: RequestState = RequestState.NONE
    modify_state: RequestState = RequestState.NONE
    reason: str = ""
    venue_order_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    parent: str = ""
    is_redelivered: bool = False
    trail: Offset | Percent | None = None

    @property
    def remaining(self) -> Decimal:
        """What may still fill: zero once closed."""
        return ZERO if self.is_closed else subtract(self.quantity, self.filled)

    @property
    def is_closed(self) -> bool:
        """No more fills are expected; one that comes all the same is booked as an anomaly."""
        return self.status.is_closed


class Liquidity(Enum):
    """Whether a fill made or took liquidity."""

    MAKER = "maker"
    TAKER = "taker"
    UNKNOWN = "unknown"


class Fee(msgspec.Struct, frozen=True, gc=False):
    """What a fill cost beyond its price: positive is paid, negative is a rebate."""

    currency: str
    amount: Decimal


class Fill(msgspec.Struct, frozen=True, gc=False, tag="fill"):
    """One execution of an order, booked once; identity is (account, venue, execution id)."""

    execution_id: str
    order_id: str
    run: str
    account: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    time_ns: int
    received_ns: int
    fees: tuple[Fee, ...] = ()
    liquidity: Liquidity = Liquidity.UNKNOWN
    bucket: Bucket = NO_BUCKET
    realised: Decimal = ZERO
    is_redelivered: bool = False


class FillCorrected(msgspec.Struct, frozen=True, gc=False, tag="fill_corrected"):
    """A venue changed (or with quantity zero: busted) an execution that it had reported."""

    execution_id: str
    order_id: str
    run: str
    account: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    time_ns: int
    received_ns: int
    fees: tuple[Fee, ...] = ()
    reason: str = ""
    is_redelivered: bool = False
