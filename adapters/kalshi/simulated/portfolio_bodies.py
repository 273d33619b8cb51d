"""What portfolio reads and order entry say, in the three profiles.

Source: sections 10.3 to 10.6 of the protocol notes.
"""

from collections.abc import Sequence

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.domain import (
    CENT_OF_MONEY,
    CONTRACT,
    DOLLAR,
    Balance,
    Fill,
    Order,
    OrderGroup,
    Position,
    Settlement,
)
from adapters.kalshi.simulated.market_bodies import BOOK_SIDE, Body
from adapters.kalshi.simulated.wire_units import (
    cents,
    contracts,
    dollars,
    fixed_point,
    milliseconds,
    money,
    rfc3339,
    seconds,
    short_money,
)


def order_body(order: Order, profile: Profile) -> Body:
    """Return an order as it stands."""
    counts = {
        "initial_count": order.initial_count,
        "fill_count": order.fill_count,
        "remaining_count": order.remaining_count,
    }
    amounts = {
        "taker_fill_cost": order.taker_fill_cost,
        "maker_fill_cost": order.maker_fill_cost,
        "taker_fees": order.taker_fees,
        "maker_fees": order.maker_fees,
    }
    body: Body = {
        "order_id": order.order_id,
        "user_id": order.user_id,
        "client_order_id": order.client_order_id,
        "ticker": order.ticker,
        "side": order.side,
        "action": order.action,
        "type": order.order_type,
        "status": order.status,
        "yes_price_dollars": dollars(order.yes_price),
        "no_price_dollars": dollars(DOLLAR - order.yes_price),
        **{f"{name}_fp": fixed_point(count) for name, count in counts.items()},
        **{f"{name}_dollars": money(amount) for name, amount in amounts.items()},
        "created_time": rfc3339(order.created_ns),
        "last_update_time": rfc3339(order.updated_ns),
        "expiration_time": None if order.expiration_ns is None else rfc3339(order.expiration_ns),
        "self_trade_prevention_type": order.self_trade_prevention_type,
        "order_group_id": order.order_group_id or None,
        "cancel_order_on_pause": order.cancel_order_on_pause,
        "subaccount_number": order.subaccount,
    }
    if profile is Profile.CURRENT:
        body["outcome_side"] = order.outcome_side
        body["book_side"] = BOOK_SIDE[order.outcome_side]
    if profile is Profile.LEGACY:
        body |= {name: contracts(count) for name, count in counts.items()}
        body |= {name: _cents(amount) for name, amount in amounts.items()}
        body["yes_price"] = cents(order.yes_price)
        body["no_price"] = cents(DOLLAR - order.yes_price)
        body["queue_position"] = 0  # the venue's old field never says more
    return body


def acknowledgement(order: Order, **counts: int) -> Body:
    """Return the thin answer of the second generation; `counts` go by their names."""
    return {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        **{name: fixed_point(count) for name, count in counts.items()},
        "ts_ms": milliseconds(order.updated_ns),
    }


def averages(fills: Sequence[Fill]) -> Body:
    """Return what these executions of one order came to per contract; nothing without any."""
    count = sum(fill.count for fill in fills)
    if not count:
        return {}
    paid = sum(fill.yes_price * fill.count for fill in fills)
    fees = sum(fill.fee for fill in fills) * CONTRACT
    return {
        "average_fill_price": dollars(_nearest(paid, count)),
        "average_fee_paid": money(_nearest(fees, count)),
    }


def fill_body(fill: Fill, profile: Profile) -> Body:
    """Return one execution."""
    no_price = DOLLAR - fill.yes_price
    body: Body = {
        "fill_id": fill.trade_id,
        "trade_id": fill.trade_id,
        "order_id": fill.order_id,
        "client_order_id": fill.client_order_id,
        "ticker": fill.ticker,
        "market_ticker": fill.ticker,
        "side": fill.outcome_side,
        "action": fill.action,
        "count_fp": fixed_point(fill.count),
        "yes_price_dollars": dollars(fill.yes_price),
        "no_price_dollars": dollars(no_price),
        "is_taker": fill.is_taker,
        "fee_cost": money(fill.fee),
        "created_time": rfc3339(fill.time_ns),
        "ts": seconds(fill.time_ns),
        "subaccount_number": fill.subaccount,
    }
    if profile is Profile.CURRENT:
        body["outcome_side"] = fill.outcome_side
        body["book_side"] = BOOK_SIDE[fill.outcome_side]
    if profile is Profile.LEGACY:
        body["count"] = contracts(fill.count)
        body["yes_price"] = cents(fill.yes_price)
        body["no_price"] = cents(no_price)
        body["yes_price_fixed"] = dollars(fill.yes_price)
        body["no_price_fixed"] = dollars(no_price)
        body["price"] = fill.yes_price / DOLLAR
    return body


def position_body(position: Position, profile: Profile, *, resting_orders: int) -> Body:
    """Return a position in one market."""
    amounts = {
        "total_traded": position.total_traded,
        "market_exposure": position.position_cost,
        "realized_pnl": position.realized_pnl,
        "fees_paid": position.fees_paid,
    }
    body: Body = {
        "ticker": position.ticker,
        "position_fp": fixed_point(position.position),
        **{f"{name}_dollars": short_money(amount) for name, amount in amounts.items()},
        "resting_orders_count": resting_orders,
        "last_updated_ts": rfc3339(position.updated_ns),
    }
    if profile is Profile.LEGACY:
        body["position"] = contracts(position.position)
        body |= {name: _cents(amount) for name, amount in amounts.items()}
    return body


def event_position_body(event_ticker: str, positions: list[Position], profile: Profile) -> Body:
    """Return the positions in one event's markets, summed up."""
    amounts = {
        "total_cost": sum(position.total_traded for position in positions),
        "event_exposure": sum(position.position_cost for position in positions),
        "realized_pnl": sum(position.realized_pnl for position in positions),
        "fees_paid": sum(position.fees_paid for position in positions),
    }
    shares = sum(position.volume for position in positions)
    body: Body = {
        "event_ticker": event_ticker,
        "total_cost_shares_fp": fixed_point(shares),
        **{f"{name}_dollars": short_money(amount) for name, amount in amounts.items()},
    }
    if profile is Profile.LEGACY:
        body["total_cost_shares"] = contracts(shares)
        body["resting_order_count"] = 0
        body |= {name: _cents(amount) for name, amount in amounts.items()}
    return body


def balance_body(balance: Balance) -> Body:
    """Return an account's money: whole cents, and dollars beside them."""
    return {
        "balance": _cents(balance.available),
        "balance_dollars": short_money(balance.available),
        "portfolio_value": _cents(balance.portfolio_value),
        "updated_ts": seconds(balance.updated_ns),
    }


def settlement_body(settlement: Settlement, profile: Profile) -> Body:
    """Return what a settled market paid; its amounts are whole cents in every profile."""
    body: Body = {
        "ticker": settlement.ticker,
        "event_ticker": settlement.event_ticker,
        "market_result": settlement.market_result,
        "yes_count_fp": fixed_point(settlement.yes_count),
        "no_count_fp": fixed_point(settlement.no_count),
        "yes_total_cost_dollars": short_money(settlement.yes_total_cost),
        "no_total_cost_dollars": short_money(settlement.no_total_cost),
        "revenue": _cents(settlement.revenue),
        "fee_cost": money(settlement.fee_cost),
        "value": cents(settlement.value),
        "settled_time": rfc3339(settlement.settled_ns),
    }
    if profile is Profile.LEGACY:
        body["yes_count"] = contracts(settlement.yes_count)
        body["no_count"] = contracts(settlement.no_count)
        body["yes_total_cost"] = _cents(settlement.yes_total_cost)
        body["no_total_cost"] = _cents(settlement.no_total_cost)
    return body


def group_body(group: OrderGroup, profile: Profile) -> Body:
    """Return what every read of an order group says."""
    body: Body = {
        "is_auto_cancel_enabled": True,
        "contracts_limit_fp": fixed_point(group.contracts_limit),
    }
    if profile is Profile.LEGACY:
        body["contracts_limit"] = contracts(group.contracts_limit)
    return body


def _nearest(total: int, count: int) -> int:
    return (2 * total + count) // (2 * count)


def _cents(amount: int) -> int:
    """Return money in whole cents, towards zero."""
    return amount // CENT_OF_MONEY if amount >= 0 else -(-amount // CENT_OF_MONEY)
