"""Pure: order entry as requests, in both generations (sections 10.4, 10.5 and 10.6).

Costs are the tokens of 2026 (section 9): a creation 10, a cancel 2; the first generation's create
and decrease 100. Counts and prices are written as the wire's texts, exactly.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from adapters.kalshi.rest_values import Amendment, NewOrder
from adapters.kalshi.units import DOLLAR, dollars_of_price, text_of_count
from framework.net.http_messages import Request

READ, WRITE = "read", "write"
DEFAULT_COST, CANCEL_COST, RETIRING_COST = 10.0, 2.0, 100.0
FIRST, SECOND = "/portfolio/orders", "/portfolio/events/orders"
GROUPS = "/portfolio/order_groups"


def read_request(
    path: str, query: Mapping[str, object] | None = None, *, cost: float = DEFAULT_COST
) -> Request:
    """Return a read; None and "" are left out of its query, lists are joined by commas."""
    return Request(method="GET", path=path, query=_query(query or {}), group=READ, cost=cost)


def books_request(tickers: Sequence[str]) -> Request:
    """Return the read of several books, the one that wants its tickers one by one."""
    query = tuple(("tickers", ticker) for ticker in tickers)
    return Request(
        method="GET", path="/markets/orderbooks", query=query, group=READ, cost=DEFAULT_COST
    )


def path(*parts: str) -> str:
    """Return a path; whatever a name holds, it stays one part."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def write_request(
    method: str, path: str, body: object = None, *, cost: float = DEFAULT_COST, **options: Any
) -> Request:
    """Return a write; one without a body sends {} where the venue wants a JSON body."""
    encoded = b"" if body is None else msgspec.json.encode(body)
    return Request(method=method, path=path, body=encoded, group=WRITE, cost=cost, **options)


def create_order(order: NewOrder, *, uses_first: bool = False) -> Request:
    """Return the request that creates an order."""
    if uses_first:
        return write_request("POST", FIRST, _first_body(order), cost=RETIRING_COST)
    return write_request("POST", SECOND, _second_body(order))


def create_orders(orders: Sequence[NewOrder], *, uses_first: bool = False) -> Request:
    """Return the request that creates several orders, each for itself."""
    below, body = (FIRST, _first_body) if uses_first else (SECOND, _second_body)
    bodies = [body(order) for order in orders]
    cost = DEFAULT_COST * len(orders)
    return write_request("POST", f"{below}/batched", {"orders": bodies}, cost=cost)


def cancel_order(order_id: str, *, uses_first: bool = False) -> Request:
    """Return the request that takes an order back."""
    below = FIRST if uses_first else SECOND
    return write_request("DELETE", below + path(order_id), cost=CANCEL_COST, is_cancel=True)


def cancel_orders(order_ids: Sequence[str], *, uses_first: bool = False) -> Request:
    """Return the request that takes several orders back."""
    below = FIRST if uses_first else SECOND
    body = {"orders": [{"order_id": order_id} for order_id in order_ids]}
    cost = CANCEL_COST * len(order_ids)
    return write_request("DELETE", f"{below}/batched", body, cost=cost, is_cancel=True)


def amend_order(order_id: str, amendment: Amendment, *, uses_first: bool = False) -> Request:
    """Return the request that gives an order a new price and total count."""
    body: dict[str, object] = {"ticker": amendment.ticker}
    if uses_first:
        body |= _direction(amendment.is_bid, amendment.price)
        body["count_fp"] = text_of_count(amendment.count)
    else:
        body["side"] = "bid" if amendment.is_bid else "ask"
        body["price"] = dollars_of_price(amendment.price)
        body["count"] = text_of_count(amendment.count)
    if amendment.client_order_id:
        body["client_order_id"] = amendment.client_order_id
    if amendment.updated_client_order_id:
        body["updated_client_order_id"] = amendment.updated_client_order_id
    below = FIRST if uses_first else SECOND
    return write_request("POST", below + path(order_id, "amend"), body)


def decrease_order(
    order_id: str, *, by: int | None = None, to: int | None = None, uses_first: bool = False
) -> Request:
    """Return the request that makes an order smaller, which keeps its place.

    Raises:
        ValueError: not exactly one of `by` and `to` is given.
    """
    if (by is None) == (to is None):
        raise ValueError("give exactly one of `by` and `to`")
    name, amount = ("reduce_by", by) if by is not None else ("reduce_to", to)
    body = {f"{name}_fp" if uses_first else name: text_of_count(amount or 0)}
    below, cost = (FIRST, RETIRING_COST) if uses_first else (SECOND, DEFAULT_COST)
    return write_request("POST", below + path(order_id, "decrease"), body, cost=cost)


def _second_body(order: NewOrder) -> dict[str, object]:
    return {
        "ticker": order.ticker,
        "client_order_id": order.client_order_id,
        "side": "bid" if order.is_bid else "ask",
        "count": text_of_count(order.count),
        "price": dollars_of_price(order.price),
        "time_in_force": order.time_in_force,
        "self_trade_prevention_type": order.self_trade_prevention_type,
        **({"expiration_time": order.expiration_s} if order.expiration_s is not None else {}),
        **_common(order),
        **({"exchange_index": order.exchange_index} if order.exchange_index else {}),
    }


def _first_body(order: NewOrder) -> dict[str, object]:
    return {
        "ticker": order.ticker,
        "client_order_id": order.client_order_id,
        "type": "limit",
        **_direction(order.is_bid, order.price),
        "count_fp": text_of_count(order.count),
        "time_in_force": order.time_in_force,
        "self_trade_prevention_type": order.self_trade_prevention_type,
        **({"expiration_ts": order.expiration_s} if order.expiration_s is not None else {}),
        **_common(order),
    }


def _direction(is_bid: bool, price: int) -> dict[str, object]:
    """Say buy yes, or buy no at one minus the price, which is the same as selling yes."""
    if is_bid:
        return {"side": "yes", "action": "buy", "yes_price_dollars": dollars_of_price(price)}
    return {"side": "no", "action": "buy", "no_price_dollars": dollars_of_price(DOLLAR - price)}


def _common(order: NewOrder) -> dict[str, object]:
    options: dict[str, object] = {
        "post_only": order.is_post_only,
        "reduce_only": order.is_reduce_only,
        "cancel_order_on_pause": order.cancels_on_pause,
        "order_group_id": order.order_group_id,
        "subaccount": order.subaccount,
    }
    return {name: value for name, value in options.items() if value}


def _query(values: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    texts = ((name, _text(value)) for name, value in values.items())
    return tuple((name, text) for name, text in texts if text)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list | tuple) else str(value)
