"""What the simulated venue writes: events and answers as plain values, ready for JSON.

Written from the documentation, apart from the adapter's own structs, so that each tests the other.
Source: "WebSocket Streams", "User Data Streams" and "Public REST API for Binance" (Spot).
"""

from typing import Any

from adapters.binance.simulated.amounts import to_text
from adapters.binance.simulated.domain import (
    BalancesChanged,
    BestChanged,
    Execution,
    Listing,
    Order,
    OrderChanged,
    TradeMade,
)
from adapters.binance.simulated.klines import INTERVALS_MS, Bar
from adapters.binance.simulated.market import DepthChange, Levels

Body = dict[str, Any]


def levels(rows: Levels) -> list[list[str]]:
    """Return levels as pairs of texts."""
    return [[to_text(price), to_text(quantity)] for price, quantity in rows]


def trade_event(trade: TradeMade) -> Body:
    """`<symbol>@trade`."""
    return {
        "e": "trade",
        "E": trade.time_ms,
        "s": trade.symbol,
        "t": trade.trade_id,
        "p": to_text(trade.price),
        "q": to_text(trade.quantity),
        "T": trade.time_ms,
        "m": trade.is_buyer_maker,
        "M": True,
    }


def ticker_event(best: BestChanged) -> Body:
    """`<symbol>@bookTicker`."""
    return {
        "u": best.update_id,
        "s": best.symbol,
        "b": to_text(best.bid[0]),
        "B": to_text(best.bid[1]),
        "a": to_text(best.ask[0]),
        "A": to_text(best.ask[1]),
    }


def depth_event(symbol: str, change: DepthChange, now_ms: int) -> Body:
    """`<symbol>@depth@100ms`."""
    return {
        "e": "depthUpdate",
        "E": now_ms,
        "s": symbol,
        "U": change.first,
        "u": change.last,
        "b": levels(change.bids),
        "a": levels(change.asks),
    }


def kline_event(symbol: str, interval: str, bar: Bar, *, now_ms: int, is_closed: bool) -> Body:
    """`<symbol>@kline_<interval>`."""
    return {
        "e": "kline",
        "E": now_ms,
        "s": symbol,
        "k": {
            "t": bar.open_ms,
            "T": bar.open_ms + INTERVALS_MS[interval] - 1,
            "s": symbol,
            "i": interval,
            "o": to_text(bar.open),
            "c": to_text(bar.close),
            "h": to_text(bar.high),
            "l": to_text(bar.low),
            "v": to_text(bar.volume),
            "x": is_closed,
        },
    }


def kline_row(interval: str, bar: Bar) -> list[Any]:
    """One row of `GET /api/v3/klines`."""
    texts = [to_text(value) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume)]
    close_ms = bar.open_ms + INTERVALS_MS[interval] - 1
    return [bar.open_ms, *texts, close_ms, "0", 0, "0", "0", "0"]


def symbol_rules(listing: Listing, status: str) -> Body:
    """One symbol of `GET /api/v3/exchangeInfo`."""
    return {
        "symbol": listing.symbol,
        "status": status,
        "baseAsset": listing.base,
        "quoteAsset": listing.quote,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": to_text(listing.tick),
                "maxPrice": "1000000.00000000",
                "tickSize": to_text(listing.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": to_text(listing.least_quantity),
                "maxQty": to_text(listing.most_quantity),
                "stepSize": to_text(listing.step),
            },
            {"filterType": "NOTIONAL", "minNotional": to_text(listing.least_value)},
        ],
    }


def order_event(change: OrderChanged) -> Body:
    """`executionReport`; a cancellation takes the place of the order's own client id."""
    order, execution = change.order, change.execution
    body: Body = {
        "e": "executionReport",
        "E": change.time_ms,
        "s": order.symbol,
        "c": change.cancel_id or order.client_id,
        "S": "BUY" if order.is_buy else "SELL",
        "o": order.type,
        "f": order.time_in_force,
        "q": to_text(order.quantity),
        "p": to_text(order.price),
        "P": to_text(0),
        "C": order.client_id if change.cancel_id else "",
        "x": change.execution_type,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": to_text(0),
        "z": to_text(order.executed),
        "L": to_text(0),
        "n": "0",
        "N": None,
        "T": change.time_ms,
        "t": -1,
        "m": False,
        "Z": to_text(order.quote_executed),
    }
    if execution is not None:
        body |= {
            "l": to_text(execution.quantity),
            "L": to_text(execution.price),
            "n": to_text(execution.fee),
            "N": execution.fee_asset,
            "t": execution.trade_id,
            "m": execution.is_maker,
        }
    return body


def balances_event(change: BalancesChanged) -> Body:
    """`outboundAccountPosition`."""
    return {
        "e": "outboundAccountPosition",
        "E": change.time_ms,
        "u": change.time_ms,
        "B": [
            {"a": asset, "f": to_text(free), "l": to_text(locked)}
            for asset, free, locked in change.balances
        ],
    }


def order_row(order: Order) -> Body:
    """`GET /api/v3/order`, one row of `GET /api/v3/openOrders`."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "price": to_text(order.price),
        "origQty": to_text(order.quantity),
        "executedQty": to_text(order.executed),
        "cummulativeQuoteQty": to_text(order.quote_executed),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": "BUY" if order.is_buy else "SELL",
        "stopPrice": to_text(0),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }


def new_order_answer(order: Order, executions: list[Execution]) -> Body:
    """`POST /api/v3/order` with `newOrderRespType=FULL`."""
    fills = [
        {
            "price": to_text(one.price),
            "qty": to_text(one.quantity),
            "commission": to_text(one.fee),
            "commissionAsset": one.fee_asset,
            "tradeId": one.trade_id,
        }
        for one in executions
    ]
    return {**order_row(order), "transactTime": order.updated_ms, "fills": fills}


def cancel_answer(order: Order, cancel_id: str) -> Body:
    """`DELETE /api/v3/order`."""
    return {
        **order_row(order),
        "origClientOrderId": order.client_id,
        "clientOrderId": cancel_id,
        "transactTime": order.updated_ms,
    }


def trade_row(execution: Execution) -> Body:
    """One row of `GET /api/v3/myTrades`."""
    return {
        "symbol": execution.symbol,
        "id": execution.trade_id,
        "orderId": execution.order_id,
        "orderListId": -1,
        "price": to_text(execution.price),
        "qty": to_text(execution.quantity),
        "commission": to_text(execution.fee),
        "commissionAsset": execution.fee_asset,
        "time": execution.time_ms,
        "isBuyer": execution.is_buyer,
        "isMaker": execution.is_maker,
    }


def account_answer(rows: tuple[tuple[str, int, int], ...]) -> Body:
    """`GET /api/v3/account`."""
    balances = [
        {"asset": asset, "free": to_text(free), "locked": to_text(locked)}
        for asset, free, locked in rows
    ]
    return {"accountType": "SPOT", "canTrade": True, "balances": balances}
