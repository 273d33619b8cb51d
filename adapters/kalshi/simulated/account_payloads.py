"""The `msg` of an account's own frames in each profile (7.7-7.10)."""

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.domain import Fill, Order, Position
from adapters.kalshi.simulated.emitted import GroupChanged
from adapters.kalshi.simulated.market_payloads import Payload
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
    ten_thousandths,
)

_BOOK_SIDE = {"yes": "bid", "no": "ask"}
_UPDATE_REASONS = frozenset(
    {
        *("Decrease", "Amend", "MarginCancel", "SelfTradeCancel", "ExpiryCancel", "CloseCancel"),
        *("HaltCancel", "Trade", "PostOnlyCrossCancel", "ReduceOnlyCancel"),
    }
)


def fill_payload(fill: Fill, profile: Profile) -> Payload:
    """Return the `msg` of a `fill` frame; `side` is the outcome acquired, whatever `action`."""
    payload: Payload = {
        "trade_id": fill.trade_id,
        "order_id": fill.order_id,
        "market_ticker": fill.ticker,
        "is_taker": fill.is_taker,
        "side": fill.outcome_side,
        "action": fill.action,
        "purchased_side": fill.outcome_side,
        "yes_price_dollars": dollars(fill.yes_price),
        "count_fp": fixed_point(fill.count),
        "fee_cost": money(fill.fee),
        "post_position_fp": fixed_point(fill.post_position),
        "ts": seconds(fill.time_ns),
    }
    if fill.client_order_id:
        payload["client_order_id"] = fill.client_order_id
    if fill.subaccount:
        payload["subaccount"] = fill.subaccount
    if profile is Profile.LEGACY:
        payload |= {
            "yes_price": cents(fill.yes_price),
            "count": contracts(fill.count),
            "post_position": contracts(fill.post_position),
        }
    elif profile is Profile.CURRENT:
        payload |= {
            "outcome_side": fill.outcome_side,
            "book_side": _BOOK_SIDE[fill.outcome_side],
            "exchange_index": 0,
            "ts_ms": milliseconds(fill.time_ns),
        }
    return payload


def order_payload(order: Order, profile: Profile) -> Payload:
    """Return the `msg` of a `user_order` frame.

    `side` is the outcome acquired: the frame has no `action` that could turn it round.
    """
    outcome = order.outcome_side
    payload: Payload = {
        "order_id": order.order_id,
        "user_id": order.user_id,
        "client_order_id": order.client_order_id,
        "ticker": order.ticker,
        "status": order.status,
        "side": outcome,
        "is_yes": outcome == "yes",
        "yes_price_dollars": dollars(order.yes_price),
        "initial_count_fp": fixed_point(order.initial_count),
        "fill_count_fp": fixed_point(order.fill_count),
        "remaining_count_fp": fixed_point(order.remaining_count),
        "taker_fill_cost_dollars": money(order.taker_fill_cost),
        "maker_fill_cost_dollars": money(order.maker_fill_cost),
        "self_trade_prevention_type": order.self_trade_prevention_type,
        "created_time": rfc3339(order.created_ns),
        "created_ts_ms": milliseconds(order.created_ns),
        "last_update_time": rfc3339(order.updated_ns),
        "last_updated_ts_ms": milliseconds(order.updated_ns),
        "subaccount_number": order.subaccount,
    }
    for name, fees in (("taker", order.taker_fees), ("maker", order.maker_fees)):
        if fees or profile is not Profile.LEGACY:  # older servers leave zero fees out
            payload[f"{name}_fees_dollars"] = money(fees)
    if order.order_group_id:
        payload["order_group_id"] = order.order_group_id
    if order.expiration_ns is not None:
        payload["expiration_time"] = rfc3339(order.expiration_ns)
        payload["expiration_ts_ms"] = milliseconds(order.expiration_ns)
    if profile is Profile.CURRENT:
        payload |= {
            "outcome_side": outcome,
            "book_side": _BOOK_SIDE[outcome],
            "exchange_index": 0,
        }
        if order.last_update_reason in _UPDATE_REASONS:
            payload["last_update_reason"] = order.last_update_reason
    return payload


def position_payload(position: Position, profile: Profile) -> Payload:
    """Return the `msg` of a `market_position` frame."""
    payload: Payload = {
        "user_id": position.user_id,
        "market_ticker": position.ticker,
        "position_fp": fixed_point(position.position),
        "position_cost_dollars": short_money(position.position_cost),
        "realized_pnl_dollars": short_money(position.realized_pnl),
        "fees_paid_dollars": short_money(position.fees_paid),
        "position_fee_cost_dollars": short_money(position.position_fee_cost),
        "volume_fp": fixed_point(position.volume),
    }
    if profile is Profile.LEGACY:
        payload |= {
            "position": contracts(position.position),
            "volume": contracts(position.volume),
            "position_cost": ten_thousandths(position.position_cost),
            "realized_pnl": ten_thousandths(position.realized_pnl),
            "fees_paid": ten_thousandths(position.fees_paid),
            "position_fee_cost": ten_thousandths(position.position_fee_cost),
        }
    return payload


def group_payload(change: GroupChanged, profile: Profile) -> Payload:
    """Return the `msg` of an `order_group_updates` frame."""
    payload: Payload = {"event_type": change.event_type, "order_group_id": change.group_id}
    if change.event_type in ("created", "limit_updated"):
        payload["contracts_limit_fp"] = fixed_point(change.contracts_limit)
        if profile is Profile.LEGACY:
            payload["contracts_limit"] = contracts(change.contracts_limit)
    if profile is Profile.CURRENT:
        payload["ts_ms"] = milliseconds(change.time_ns)
    return payload
