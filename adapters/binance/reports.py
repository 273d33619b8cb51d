"""Orders, trades and balances between Binance's words and the framework's: pure.

The venue numbers orders and trades per symbol: its ids get the symbol in front, so that no two
are equal. A spot account has balances and no positions; what it holds of a base asset is the
balance of that asset.
"""

from decimal import Decimal
from typing import TypeVar

import msgspec

from adapters.binance import wire_account as wire
from adapters.binance.codec import NS_PER_MS
from framework.errors import MalformedMessage
from framework.model.decimals import ZERO, add, divide
from framework.model.identity import instrument_id
from framework.model.orders import Fee, Liquidity, OrderStatus, OrderType, Side, TimeInForce
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, OrderFact, OrderFilled
from framework.model.venue_state import BalanceReport, ExecutionReport, OrderReport

E = TypeVar("E")

STATUSES = {
    "NEW": OrderStatus.ACCEPTED,
    "PENDING_NEW": OrderStatus.ACCEPTED,
    "PENDING_CANCEL": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,  # self-trade prevention
}
ENDS = {
    "CANCELED": EndKind.CANCELLED,
    "REJECTED": EndKind.REJECTED,
    "EXPIRED": EndKind.EXPIRED,
    "EXPIRED_IN_MATCH": EndKind.EXPIRED,
}
TYPES = {
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
    "TAKE_PROFIT": OrderType.MARKET,  # others' orders only: there is no nearer word
    "TAKE_PROFIT_LIMIT": OrderType.LIMIT,
}
SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
TIMES_IN_FORCE = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}


def numbered(symbol: str, number: int) -> str:
    """Return the id of an order or a trade, of which another symbol may have the same number."""
    return f"{symbol}:{number}"


def order_id_of(event: wire.OrderEvent) -> str:
    """Return the client id of the order an event is about, not that of its cancellation."""
    if event.execution_type == "CANCELED" and event.original_client_id not in ("", "null"):
        return event.original_client_id
    return event.client_order_id


def facts_of_event(event: wire.OrderEvent) -> list[OrderFact]:
    """Return what an event says of an order of ours.

    Raises:
        MalformedMessage: an amount is none, or it names a status that is unknown.
    """
    order_id, time_ns = order_id_of(event), event.time_ms * NS_PER_MS
    _known(STATUSES, event.status)
    facts: list[OrderFact] = []
    if event.execution_type == "NEW":
        venue_id = numbered(event.symbol, event.order_id)
        facts.append(OrderAccepted(order_id, time_ns, venue_id))
    elif event.execution_type == "TRADE":
        facts.append(_fill(event, order_id))
    if event.status in ENDS:
        reason = "" if event.reject_reason == "NONE" else event.reject_reason
        facts.append(OrderEnded(order_id, ENDS[event.status], time_ns, reason))
    return facts


def _fill(event: wire.OrderEvent, order_id: str) -> OrderFilled:
    return OrderFilled(
        order_id,
        numbered(event.symbol, event.trade_id),
        amount(event.last_quantity),
        amount(event.last_price),
        event.time_ms * NS_PER_MS,
        _fees(event.commission, event.commission_asset),
        Liquidity.MAKER if event.is_maker else Liquidity.TAKER,
    )


def facts_of_answer(answer: wire.NewOrderAnswer) -> list[OrderFact]:
    """Return what the answer to a new order says: it takes at once, or rests.

    Raises:
        MalformedMessage: an amount is none, or the status is unknown.
    """
    order_id, time_ns = answer.client_order_id, answer.transact_time * NS_PER_MS
    _known(STATUSES, answer.status)
    facts: list[OrderFact] = [
        OrderAccepted(order_id, time_ns, numbered(answer.symbol, answer.order_id))
    ]
    facts += [
        OrderFilled(
            order_id,
            numbered(answer.symbol, fill.trade_id),
            amount(fill.qty),
            amount(fill.price),
            time_ns,
            _fees(fill.commission, fill.commission_asset),
            Liquidity.TAKER,
        )
        for fill in answer.fills
    ]
    if answer.status in ENDS:
        facts.append(OrderEnded(order_id, ENDS[answer.status], time_ns))
    return facts


def reports_of_event(
    event: wire.OrderEvent, account: str, venue: str
) -> list[OrderReport | ExecutionReport]:
    """Return what an event says of an order that nobody here knows: its state, then its trade.

    Raises:
        MalformedMessage: an amount is none, or a word is unknown.
    """
    order_id = order_id_of(event)
    instrument = instrument_id(venue, event.symbol)
    side, time_ns = _known(SIDES, event.side), event.time_ms * NS_PER_MS
    venue_id = numbered(event.symbol, event.order_id)
    filled = amount(event.filled)
    found: list[OrderReport | ExecutionReport] = [
        OrderReport(
            account,
            venue_id,
            instrument,
            side,
            max(amount(event.quantity), filled),
            filled,
            _known(STATUSES, event.status),
            time_ns,
            order_id=order_id,
            type=_known(TYPES, event.type),
            price=_price(event.price),
            stop_price=_price(event.stop_price),
            average_price=_average(event.quote_filled, filled),
            time_in_force=TIMES_IN_FORCE.get(event.time_in_force, TimeInForce.GTC),
            reason="" if event.reject_reason == "NONE" else event.reject_reason,
        )
    ]
    if event.execution_type == "TRADE":
        fill = _fill(event, order_id)
        found.append(
            ExecutionReport(
                account,
                fill.execution_id,
                venue_id,
                instrument,
                side,
                fill.quantity,
                fill.price,
                time_ns,
                order_id=order_id,
                fees=fill.fees,
                liquidity=fill.liquidity,
            )
        )
    return found


def report_of_row(row: wire.OrderRow, account: str, venue: str) -> OrderReport:
    """Return an order as the venue lists it.

    Raises:
        MalformedMessage: an amount is none, or a word is unknown.
    """
    filled = amount(row.executed_qty)
    return OrderReport(
        account,
        numbered(row.symbol, row.order_id),
        instrument_id(venue, row.symbol),
        _known(SIDES, row.side),
        max(amount(row.orig_qty), filled),  # an order by quote amount asks for none
        filled,
        _known(STATUSES, row.status),
        row.update_time * NS_PER_MS,
        order_id=row.client_order_id,
        type=_known(TYPES, row.type),
        price=_price(row.price),
        stop_price=_price(row.stop_price),
        average_price=_average(row.cummulative_quote_qty, filled),
        time_in_force=TIMES_IN_FORCE.get(row.time_in_force, TimeInForce.GTC),
    )


def report_of_trade(row: wire.TradeRow, account: str, venue: str, order_id: str) -> ExecutionReport:
    """Return a trade of the account; `order_id` is ours where it is known, "" else.

    Raises:
        MalformedMessage: an amount is none.
    """
    return ExecutionReport(
        account,
        numbered(row.symbol, row.id),
        numbered(row.symbol, row.order_id),
        instrument_id(venue, row.symbol),
        Side.BUY if row.is_buyer else Side.SELL,
        amount(row.qty),
        amount(row.price),
        row.time * NS_PER_MS,
        order_id=order_id,
        fees=_fees(row.commission, row.commission_asset),
        liquidity=Liquidity.MAKER if row.is_maker else Liquidity.TAKER,
    )


def balances_of(answer: wire.AccountAnswer, account: str, time_ns: int) -> list[BalanceReport]:
    """Return every balance that is not zero.

    Raises:
        MalformedMessage: an amount is none.
    """
    found = []
    for row in answer.balances:
        free, locked = amount(row.free), amount(row.locked)
        if free or locked:
            found.append(BalanceReport(account, row.asset, add(free, locked), time_ns, locked))
    return found


def amount(value: Decimal) -> Decimal:
    """Return an amount as it came.

    Raises:
        MalformedMessage: it is no finite number from zero up.
    """
    if not value.is_finite() or value < ZERO or abs(value.adjusted()) > 30:
        raise MalformedMessage(f"{value} is no amount")
    return value


def _price(value: Decimal) -> Decimal | None:
    """Return a price; the venue writes zero where there is none."""
    return amount(value) or None


def _average(quote: Decimal, filled: Decimal) -> Decimal | None:
    """Return the average price; below zero the venue does not know it any more."""
    return divide(amount(quote), filled) if filled and quote > ZERO else None


def _fees(commission: Decimal | None, asset: str | None) -> tuple[Fee, ...]:
    if commission is None or not asset:
        return ()
    return (Fee(asset, amount(commission)),)


def _known(words: dict[str, E], word: str) -> E:
    if word not in words:
        raise MalformedMessage(f"{word!r} is none of {', '.join(words)}")
    return words[word]


_USER_FRAME = msgspec.json.Decoder(wire.UserEnvelope)
_EVENT_TYPE = msgspec.json.Decoder(wire.EventType)
_ORDER_EVENT = msgspec.json.Decoder(wire.OrderEvent)


class UserEvent(msgspec.Struct, frozen=True, gc=False):
    """An event of the user stream; `order` where it is about one."""

    type: str
    order: wire.OrderEvent | None = None


class UserAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer to a request on the WebSocket API; `text` is "" where it did as asked."""

    id: int | None
    code: int = 0
    text: str = ""


def decode_user_frame(data: bytes | str) -> UserEvent | UserAnswer:
    """Return what a frame of the WebSocket API says.

    Raises:
        MalformedMessage: it cannot be read.
    """
    try:
        frame = _USER_FRAME.decode(data)
        if not frame.event:
            return _user_answer(frame)
        kind = _EVENT_TYPE.decode(frame.event).type
        order = _ORDER_EVENT.decode(frame.event) if kind == "executionReport" else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"user stream: {error}") from error
    return UserEvent(kind, order)


def _user_answer(frame: wire.UserEnvelope) -> UserAnswer:
    number = frame.id if isinstance(frame.id, int) else None
    if frame.status == 200 and frame.error is None:
        return UserAnswer(number)
    if frame.error is None:
        return UserAnswer(number, frame.status, f"status {frame.status}")
    return UserAnswer(number, frame.error.code, frame.error.msg or f"code {frame.error.code}")
