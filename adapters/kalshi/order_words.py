"""Pure: our commands in the venue's words, and its answers about orders in the core's.

An order buys or sells the yes contract; selling it without holding any is buying no. A market
order is an immediate-or-cancel limit at the last price of the grid: the venue takes no order
without a price (section 10.4).
"""

from decimal import Decimal

from adapters.kalshi.messages import Fill, MarketPosition, UserOrder
from adapters.kalshi.rest_values import NewOrder, Settlement
from adapters.kalshi.units import CONTRACT, DOLLAR
from framework.model.account import Settled
from framework.model.commands import SubmitOrder
from framework.model.decimals import ONE, ZERO, divide, multiply, subtract
from framework.model.identity import instrument_id, symbol_of
from framework.model.instrument import Instrument
from framework.model.orders import Fee, Liquidity, OrderStatus, OrderType, Side, TimeInForce
from framework.model.reports import EndKind, OrderFilled
from framework.model.venue_state import ExecutionReport, OrderReport, PositionReport

USD = "USD"
MONEY = Decimal(1_000_000)
PRICE, COUNT = Decimal(DOLLAR), Decimal(CONTRACT)
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
TIMES_IN_FORCE = {
    TimeInForce.GTC: "good_till_canceled",
    TimeInForce.GTD: "good_till_canceled",
    TimeInForce.IOC: "immediate_or_cancel",
    TimeInForce.FOK: "fill_or_kill",
}
WHOLE_RESULTS = ("yes", "no")
EXPIRED = ("ExpiryCancel", "CloseCancel")
REJECTED = ("PostOnlyCrossCancel", "ReduceOnlyCancel")


def price_of(price: Decimal) -> int:
    """Return dollars as the venue's integer; the instrument's grid is at least as coarse."""
    return int(multiply(price, PRICE))


def count_of(quantity: Decimal) -> int:
    """Return contracts as the venue's integer."""
    return int(multiply(quantity, COUNT))


def dollars(price: int) -> Decimal:
    """Return a price."""
    return divide(Decimal(price), PRICE)


def contracts(count: int) -> Decimal:
    """Return a quantity."""
    return divide(Decimal(count), COUNT)


def money(amount: int) -> Decimal:
    """Return cash in dollars."""
    return divide(Decimal(amount), MONEY)


def new_order(command: SubmitOrder, instrument: Instrument) -> NewOrder:
    """Return what to send for an order."""
    intent = command.intent
    is_bid = intent.side is Side.BUY
    is_market = intent.type is OrderType.MARKET
    price = _last_price(instrument, is_bid=is_bid) if is_market else intent.price
    expire_ns = intent.expire_ns
    return NewOrder(
        ticker=symbol_of(intent.instrument),
        client_order_id=command.order_id,
        is_bid=is_bid,
        count=count_of(command.quantity),
        price=price_of(price if price is not None else ZERO),
        time_in_force=TIMES_IN_FORCE[TimeInForce.IOC if is_market else intent.time_in_force],
        expiration_s=None if expire_ns is None else -(-expire_ns // NS_PER_S),
        is_post_only=intent.post_only,
        is_reduce_only=command.reduce_only,
    )


def _last_price(instrument: Instrument, *, is_bid: bool) -> Decimal:
    """Return the worst price that an order may have."""
    if is_bid:
        return instrument.maximum_price or ONE
    return instrument.minimum_price or ZERO


def is_bid(side: Side) -> bool:
    """Whether an order of ours buys yes."""
    return side is Side.BUY


def side_of(outcome: str) -> Side:
    """Return the side of an order or fill that acquires `yes` or `no`."""
    return Side.BUY if outcome == "yes" else Side.SELL


def end_of(order: UserOrder) -> EndKind:
    """Return how an order ended that is canceled."""
    if order.last_update_reason in EXPIRED:
        return EndKind.EXPIRED
    if order.last_update_reason in REJECTED and not order.fill_count:
        return EndKind.REJECTED
    return EndKind.CANCELLED


def status_of(order: UserOrder) -> OrderStatus:
    """Return where an order stands."""
    if order.status == "executed":
        return OrderStatus.FILLED
    if order.status == "canceled":
        return OrderStatus(end_of(order).value)
    return OrderStatus.PARTIALLY_FILLED if order.fill_count else OrderStatus.ACCEPTED


def fill_fact(fill: Fill, order_id: str, now_ns: int) -> OrderFilled:
    """Return an execution of an order that this process sent."""
    return OrderFilled(
        order_id,
        fill.trade_id,
        contracts(fill.count),
        dollars(fill.yes_price),
        _time_of(fill, now_ns),
        _fees(fill),
        _liquidity(fill),
    )


def execution_report(
    fill: Fill, account: str, venue: str, order_id: str, now_ns: int
) -> ExecutionReport:
    """Return any execution of the account."""
    return ExecutionReport(
        account,
        fill.trade_id,
        fill.order_id,
        instrument_id(venue, fill.market_ticker),
        side_of(fill.outcome_side),
        contracts(fill.count),
        dollars(fill.yes_price),
        _time_of(fill, now_ns),
        order_id,
        _fees(fill),
        _liquidity(fill),
    )


def order_report(order: UserOrder, account: str, venue: str, now_ns: int) -> OrderReport:
    """Return any order of the account; the quantity is what was asked for, filled or not."""
    quantity = order.fill_count + order.remaining_count
    if order.status == "canceled":  # an amended order may name its first count or its newest
        quantity = max(order.initial_count, quantity)
    return OrderReport(
        account,
        order.order_id,
        instrument_id(venue, order.ticker),
        side_of(order.outcome_side),
        contracts(quantity),
        contracts(order.fill_count),
        status_of(order),
        order.last_update_ns or order.created_ns or now_ns,
        order.client_order_id,
        OrderType.LIMIT,
        dollars(order.yes_price),
        reason=order.last_update_reason,
    )


def position_report(
    position: MarketPosition, account: str, venue: str, now_ns: int
) -> PositionReport:
    """Return what is held of a market: no contracts count as less than nothing of yes."""
    name = instrument_id(venue, position.market_ticker)
    return PositionReport(account, name, contracts(position.position), now_ns)


def settled(
    settlement: Settlement, account: str, venue: str, now_ns: int, *, value: int | None = None
) -> Settled:
    """Return that a market paid: one dollar for yes, or nothing, or in between.

    `value` is what a yes contract of a scalar market pays, where the market says so.
    """
    price = dollars(value) if value is not None else _paid(settlement)
    if settlement.result in WHOLE_RESULTS:
        price = ONE if settlement.result == "yes" else ZERO
    name = instrument_id(venue, settlement.ticker)
    time_ns = settlement.settled_ns or now_ns
    return Settled(account, name, price, time_ns, f"settlement {settlement.ticker}")


def _paid(settlement: Settlement) -> Decimal:
    """Return what a yes contract paid, by what came in; that and `value` are whole cents."""
    held = settlement.yes_count - settlement.no_count
    if not held:
        return dollars(settlement.value or 0)
    paid = divide(money(settlement.revenue), contracts(abs(held)))
    return paid if held > 0 else subtract(ONE, paid)


def _time_of(fill: Fill, now_ns: int) -> int:
    """Return when a fill happened in the stream's resolution; reads of the same fill say more."""
    time_ns = fill.time_ns or now_ns
    return time_ns - time_ns % NS_PER_MS


def _fees(fill: Fill) -> tuple[Fee, ...]:
    return (Fee(USD, money(fill.fee_cost)),) if fill.fee_cost else ()


def _liquidity(fill: Fill) -> Liquidity:
    if fill.is_taker is None:
        return Liquidity.UNKNOWN
    return Liquidity.TAKER if fill.is_taker else Liquidity.MAKER
