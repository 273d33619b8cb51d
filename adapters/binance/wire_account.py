"""What Binance says about an account, in its own words: orders, trades, balances, user stream.

Amounts come as text and are read as `Decimal`; times are milliseconds since 1970, UTC.
Source: "Public REST API for Binance", "User Data Streams for Binance" (Spot).
"""

from decimal import Decimal

import msgspec
from msgspec import field

from adapters.binance.wire import Fault, Identifier, Milliseconds, Symbol


class OrderFillRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One of the `fills` in the answer to a new order."""

    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    trade_id: Identifier


class NewOrderAnswer(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`POST /api/v3/order` with `newOrderRespType=FULL`."""

    symbol: Symbol
    order_id: Identifier
    client_order_id: str
    transact_time: Milliseconds
    status: str = "NEW"
    fills: tuple[OrderFillRow, ...] = ()


class CancelAnswer(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`DELETE /api/v3/order`; `orig_client_order_id` is the id of the order."""

    symbol: Symbol
    order_id: Identifier
    orig_client_order_id: str
    transact_time: Milliseconds = 0
    status: str = "CANCELED"


class OrderRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`GET /api/v3/order`, one row of `GET /api/v3/openOrders`.

    `cummulative_quote_qty` is below zero where the venue does not know it any more.
    """

    symbol: Symbol
    order_id: Identifier
    client_order_id: str
    price: Decimal
    orig_qty: Decimal
    executed_qty: Decimal
    cummulative_quote_qty: Decimal
    status: str
    time_in_force: str
    type: str
    side: str
    update_time: Milliseconds
    stop_price: Decimal = Decimal(0)


class TradeRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One row of `GET /api/v3/myTrades`: it names the venue's order id, not ours."""

    symbol: Symbol
    id: Identifier
    order_id: Identifier
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: Milliseconds
    is_buyer: bool
    is_maker: bool


class BalanceRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One asset of `GET /api/v3/account`."""

    asset: str
    free: Decimal
    locked: Decimal


class AccountAnswer(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`GET /api/v3/account`."""

    balances: tuple[BalanceRow, ...]


class OrderEvent(msgspec.Struct, frozen=True, gc=False):
    """`executionReport`: an order changed, or traded.

    `client_order_id` of a cancelled order is the id of the cancellation; `original_client_id`
    then names the order.
    """

    symbol: Symbol = field(name="s")
    client_order_id: str = field(name="c")
    side: str = field(name="S")
    type: str = field(name="o")
    time_in_force: str = field(name="f")
    quantity: Decimal = field(name="q")
    price: Decimal = field(name="p")
    execution_type: str = field(name="x")
    status: str = field(name="X")
    order_id: Identifier = field(name="i")
    last_quantity: Decimal = field(name="l")
    filled: Decimal = field(name="z")
    last_price: Decimal = field(name="L")
    time_ms: Milliseconds = field(name="T")
    is_maker: bool = field(name="m", default=False)
    trade_id: int = field(name="t", default=-1)
    commission: Decimal | None = field(name="n", default=None)
    commission_asset: str | None = field(name="N", default=None)
    stop_price: Decimal = field(name="P", default=Decimal(0))
    original_client_id: str = field(name="C", default="")
    reject_reason: str = field(name="r", default="NONE")
    quote_filled: Decimal = field(name="Z", default=Decimal(-1))


class EventType(msgspec.Struct, frozen=True, gc=False):
    """What kind of event a user stream's `event` is."""

    type: str = field(name="e", default="")


class UserEnvelope(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Any frame of the WebSocket API: an event, or the answer to a request of ours."""

    event: msgspec.Raw = msgspec.Raw()
    id: int | str | None = None
    status: int = 0
    error: Fault | None = None
