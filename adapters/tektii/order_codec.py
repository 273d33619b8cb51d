"""Orders, trades and positions between a gateway's words (`heard.py`) and ours: pure.

Orders that this process sent become facts, all others reports; which is the broker's to know.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from adapters.tektii import heard
from adapters.tektii.codec import amount, past_ns, signed
from adapters.tektii.heard import Force, OrderKind, PositionSide, Status, word
from adapters.tektii.words import plain
from framework.errors import MalformedMessage
from framework.model.commands import ModifyOrder, SubmitOrder
from framework.model.decimals import ZERO, add, multiply, negate
from framework.model.identity import instrument_id, symbol_of
from framework.model.orders import (
    Fee,
    Liquidity,
    Offset,
    OrderStatus,
    OrderType,
    Percent,
    Side,
    TimeInForce,
)
from framework.model.reports import EndKind, OrderFilled
from framework.model.venue_state import ExecutionReport, OrderReport, PositionReport

LONGEST_ORDER_ID = 56  # of 64 characters, so that a leg's `-sl-12` still fits (20.2)

SIDES = {heard.Side.BUY: Side.BUY, heard.Side.SELL: Side.SELL}
KINDS: Mapping[OrderKind, OrderType] = {
    OrderKind(kind.name): kind for kind in OrderType if kind.name in OrderKind.__members__
}
FORCES = {
    Force.GTC: TimeInForce.GTC,
    Force.DAY: TimeInForce.DAY,
    Force.IOC: TimeInForce.IOC,
    Force.FOK: TimeInForce.FOK,
}
STATUSES = {
    Status.PENDING: OrderStatus.ACCEPTED,
    Status.PENDING_CANCEL: OrderStatus.ACCEPTED,
    Status.OPEN: OrderStatus.ACCEPTED,
    Status.PARTIALLY_FILLED: OrderStatus.PARTIALLY_FILLED,
    Status.FILLED: OrderStatus.FILLED,
    Status.CANCELLED: OrderStatus.CANCELLED,
    Status.REJECTED: OrderStatus.REJECTED,
    Status.EXPIRED: OrderStatus.EXPIRED,
    Status.UNKNOWN: OrderStatus.ACCEPTED,  # a word that nobody knows ends nothing
}
ENDS = {
    Status.CANCELLED: EndKind.CANCELLED,
    Status.REJECTED: EndKind.REJECTED,
    Status.EXPIRED: EndKind.EXPIRED,
}
OVER = frozenset({Status.FILLED, *ENDS})


# -- orders out --------------------------------------------------------------------------------


def order_body(command: SubmitOrder) -> bytes:
    """Return the body of a new order (6.3), under our id.

    Raises:
        MalformedMessage: the protocol has no words for it.
    """
    intent = command.intent
    said: dict[str, object] = {
        "symbol": symbol_of(intent.instrument),
        "side": intent.side.name,
        "quantity": plain(command.quantity),
        "order_type": intent.type.name,
        "time_in_force": intent.time_in_force.name,
        "client_order_id": command.order_id,
    }
    if len(command.order_id) > LONGEST_ORDER_ID:
        raise MalformedMessage(f"an id of more than {LONGEST_ORDER_ID} characters")
    if intent.type in (OrderType.LIMIT, OrderType.STOP_LIMIT) and intent.price is not None:
        said["limit_price"] = plain(intent.price)
    if intent.type in (OrderType.STOP, OrderType.STOP_LIMIT) and intent.stop_price is not None:
        said["stop_price"] = plain(intent.stop_price)
    if intent.type is OrderType.TRAILING_STOP:
        said["trailing_distance"], said["trailing_type"] = _trail(intent.trail)
    if intent.post_only:
        said["post_only"] = True
    if command.reduce_only:
        said["reduce_only"] = True
    if intent.display_quantity is not None:
        said["display_quantity"] = plain(intent.display_quantity)
    if intent.bucket.position_id:
        said["position_id"] = intent.bucket.position_id
    return msgspec.json.encode(said)


def _trail(trail: Offset | Percent | None) -> tuple[str, str]:
    if isinstance(trail, Offset):
        return plain(trail.distance), "ABSOLUTE"
    if isinstance(trail, Percent):
        return plain(trail.percent), "PERCENT"
    raise MalformedMessage("a trailing stop without a distance")


def change_body(command: ModifyOrder) -> bytes:
    """Return the body of a change (7.2): what is None stays as it is."""
    said = {
        "quantity": command.quantity,
        "limit_price": command.price,
        "stop_price": command.stop_price,
    }
    return msgspec.json.encode(
        {name: plain(value) for name, value in said.items() if value is not None}
    )


# -- orders in ---------------------------------------------------------------------------------


def filled_of(order: heard.Order) -> Decimal:
    """Return how much of an order has traded.

    Raises:
        MalformedMessage: what it says is no amount.
    """
    if order.filled_quantity is not None:
        return amount(order.filled_quantity, "filled_quantity")
    if word(Status, order.status) is Status.FILLED and order.quantity is not None:
        return amount(order.quantity, "quantity")
    return ZERO


def order_report(
    order: heard.Order, account: str, venue: str, *, order_id: str, now_ns: int
) -> OrderReport:
    """Return an order as the gateway has it; `order_id` is ours where it is known.

    Raises:
        MalformedMessage: it lacks what makes it an order: id, symbol, side, quantity.
    """
    if not order.id or not order.symbol:
        raise MalformedMessage(f"an order {order.id!r} of {order.symbol!r}")
    filled = filled_of(order)
    quantity = amount(order.quantity, "quantity")
    status = STATUSES[word(Status, order.status)]
    if status is OrderStatus.ACCEPTED and filled:
        status = OrderStatus.PARTIALLY_FILLED if filled < quantity else OrderStatus.FILLED
    return OrderReport(
        account,
        order.id,
        instrument_id(venue, order.symbol),
        side_of(order.side),
        max(quantity, filled),
        filled,
        status,
        past_ns(order.updated_at or order.created_at, now_ns),
        order_id=order_id,
        type=KINDS.get(word(OrderKind, order.order_type), OrderType.MARKET),
        price=_price(order.limit_price),
        stop_price=_price(order.stop_price),
        average_price=_price(order.average_fill_price) if filled else None,
        time_in_force=FORCES.get(word(Force, order.time_in_force), TimeInForce.GTC),
        reason=order.reject_reason or "",
    )


def fill_fact(trade: heard.Trade, order_id: str, *, now_ns: int) -> OrderFilled:
    """Return a trade of an order of ours. Raises MalformedMessage, as `execution_report`."""
    return OrderFilled(
        order_id,
        _trade_id(trade),
        amount(trade.quantity, "quantity"),
        amount(trade.price, "price"),
        past_ns(trade.timestamp, now_ns),
        _fees(trade),
        _liquidity(trade),
    )


def execution_report(
    trade: heard.Trade, account: str, venue: str, *, order_id: str, now_ns: int
) -> ExecutionReport:
    """Return a trade of the account.

    Raises:
        MalformedMessage: it lacks what makes it a trade: id, symbol, side, quantity, price.
    """
    if not trade.symbol:
        raise MalformedMessage(f"a trade {trade.id!r} of nothing")
    return ExecutionReport(
        account,
        _trade_id(trade),
        trade.order_id or "",
        instrument_id(venue, trade.symbol),
        side_of(trade.side),
        amount(trade.quantity, "quantity"),
        amount(trade.price, "price"),
        past_ns(trade.timestamp, now_ns),
        order_id=order_id,
        fees=_fees(trade),
        liquidity=_liquidity(trade),
    )


def _trade_id(trade: heard.Trade) -> str:
    if not trade.id:
        raise MalformedMessage("a trade without an id")
    return trade.id


def _fees(trade: heard.Trade) -> tuple[Fee, ...]:
    """Return what was paid; a commission below zero is a rebate."""
    if trade.commission is None or not trade.commission_currency:
        return ()
    paid = signed(trade.commission, "commission")
    return (Fee(trade.commission_currency, paid),) if paid else ()


def _liquidity(trade: heard.Trade) -> Liquidity:
    if trade.is_maker is None:
        return Liquidity.UNKNOWN
    return Liquidity.MAKER if trade.is_maker else Liquidity.TAKER


# -- the account -------------------------------------------------------------------------------


def held_of(position: heard.Position) -> Decimal:
    """Return what a position holds, signed; zero where it says that it is closed.

    Raises:
        MalformedMessage: its side is unknown, or its quantity none.
    """
    quantity = position.quantity
    if quantity is not None and quantity.is_finite() and quantity < ZERO:
        quantity = negate(quantity)  # the protocol has no sign here; the side decides
    held = amount(quantity, "quantity")
    side = word(PositionSide, position.side)
    if side is PositionSide.UNKNOWN and held:
        raise MalformedMessage(f"{position.side!r} is no side of a position")
    return negate(held) if side is PositionSide.SHORT else held


def position_reports(
    positions: list[heard.Position], account: str, venue: str, *, now_ns: int
) -> list[PositionReport]:
    """Return what is held of each instrument, over all position ids of a hedging platform.

    Raises:
        MalformedMessage: one cannot be read: what is held is then not known.
    """
    quantities: dict[str, Decimal] = {}
    prices: dict[str, list[Decimal | None]] = {}
    for position in positions:
        if not position.symbol:
            raise MalformedMessage("a position in nothing")
        symbol = position.symbol
        quantities[symbol] = add(quantities.get(symbol, ZERO), held_of(position))
        prices.setdefault(symbol, []).append(_price(position.average_entry_price))
    return [
        PositionReport(
            account,
            instrument_id(venue, symbol),
            quantity,
            now_ns,
            prices[symbol][0] if len(prices[symbol]) == 1 else None,
        )
        for symbol, quantity in quantities.items()
        if quantity
    ]


def cost_of(position: heard.Position, multiplier: Decimal) -> Decimal:
    """Return what a position cost, negative for a short one.

    Raises:
        MalformedMessage: it names no price.
    """
    price = signed(position.average_entry_price, "average_entry_price")
    return multiply(multiply(held_of(position), price), multiplier)


def side_of(said: str | None) -> Side:
    """Return a side. Raises MalformedMessage: there is no such side."""
    found = SIDES.get(word(heard.Side, said))
    if found is None:
        raise MalformedMessage(f"{said!r} is no side")
    return found


def _price(value: Decimal | None) -> Decimal | None:
    """Return a price, None where none is said or what is said is none."""
    return value if value is not None and value.is_finite() and value else None
