"""REST of the simulated venue: parameters in, documented answers out.

Source: "Public REST API for Binance" (Spot), with the weights that it names.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from adapters.binance.simulated import payloads
from adapters.binance.simulated.amounts import to_units
from adapters.binance.simulated.domain import Execution, Refused
from adapters.binance.simulated.exchange import Exchange, NewOrder
from adapters.binance.simulated.faults import Faults, RestFault
from adapters.binance.simulated.keys import Gatekeeper
from adapters.binance.simulated.klines import INTERVALS_MS
from adapters.binance.simulated.weights import TooMuch, Weights

PREFIX = "/api/v3"
MOST_ROWS = 1_000
DAY_MS = 86_400_000
LOST_S = 10.0  # how long a connection stays open on which no answer comes


class Call(msgspec.Struct, frozen=True):
    """A request's parameters, and the account it is of; "" where none is needed."""

    parameters: Mapping[str, str]
    account: str = ""

    def text(self, name: str) -> str:
        """Return a parameter. Raises Refused: it is missing."""
        if not self.parameters.get(name):
            text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
            raise Refused(-1102, text)
        return self.parameters[name]

    def number(self, name: str) -> int | None:
        """Return a whole number, None where it is left out. Raises Refused: it is none."""
        text = self.parameters.get(name)
        if text is None:
            return None
        if not text.isdigit():
            raise Refused(-1100, f"Illegal characters found in parameter '{name}'.")
        return int(text)

    def amount(self, name: str) -> int:
        """Return an amount in units. Raises Refused: it is missing, or none."""
        try:
            return to_units(self.text(name))
        except ValueError:
            raise Refused(-1100, f"Illegal characters found in parameter '{name}'.") from None

    def limit(self, usual: int) -> int:
        """Return how many rows are asked for."""
        return min(self.number("limit") or usual, MOST_ROWS)


Handler = Callable[[Call], Any]


class Endpoint(msgspec.Struct, frozen=True):
    """What answers a request, what it weighs, and whether it must be signed."""

    handler: Handler
    weight: Callable[[Mapping[str, str]], int]
    is_signed: bool = False


class RestServer:
    """Answers every request of `/api/v3`."""

    def __init__(
        self,
        exchange: Exchange,
        gatekeeper: Gatekeeper,
        faults: Faults,
        *,
        now_ms: Callable[[], int],
        weights: Weights,
    ) -> None:
        self.statuses: dict[str, str] = {}  # of symbols that do not trade
        self.on_depth: Callable[[str, int], None] = _nothing
        self.counts: dict[tuple[str, str], int] = {}
        self._exchange = exchange
        self._gatekeeper = gatekeeper
        self._faults = faults
        self._now_ms = now_ms
        self._weights = weights
        self._endpoints = {
            ("GET", "/ping"): Endpoint(lambda _: {}, _fixed(1)),
            ("GET", "/time"): Endpoint(lambda _: {"serverTime": now_ms()}, _fixed(1)),
            ("GET", "/exchangeInfo"): Endpoint(self._exchange_info, _fixed(20)),
            ("GET", "/depth"): Endpoint(self._depth, _depth_weight),
            ("GET", "/klines"): Endpoint(self._klines, _fixed(2)),
            ("POST", "/order"): Endpoint(self._new_order, _fixed(1), True),
            ("GET", "/order"): Endpoint(self._order, _fixed(4), True),
            ("DELETE", "/order"): Endpoint(self._cancel, _fixed(1), True),
            ("GET", "/openOrders"): Endpoint(self._open_orders, _open_orders_weight, True),
            ("GET", "/myTrades"): Endpoint(self._my_trades, _fixed(20), True),
            ("GET", "/account"): Endpoint(self._account, _fixed(20), True),
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, unless a fault has it otherwise."""
        path = request.path.removeprefix(PREFIX)
        self.counts[request.method, path] = self.counts.get((request.method, path), 0) + 1
        fault = self._faults.take(request.method, path)
        if fault is not None and fault.kind != "lose_answer":
            return await _failed(fault, request)
        response = self._answer(request, path, await request.text())
        if fault is not None:
            return await _failed(fault, request)
        return response

    def _answer(self, request: web.Request, path: str, body: str) -> web.Response:
        try:
            endpoint = self._endpoints.get((request.method, path))
            if endpoint is None:
                raise Refused(-1020, "This operation is not supported.", status=404)
            parameters = dict(parse_qsl(body) + parse_qsl(request.rel_url.raw_query_string))
            used = self._weights.take(request.remote or "", endpoint.weight(parameters))
            call = Call(parameters)
            if endpoint.is_signed:
                call = Call(parameters, self._signer(request, parameters, body))
            answer = endpoint.handler(call)
        except TooMuch as refused:
            pause_s = refused.retry_after_s
            return _refusal(refused, {} if pause_s is None else {"Retry-After": str(pause_s)})
        except Refused as refused:
            return _refusal(refused, {})
        headers = {"X-MBX-USED-WEIGHT-1M": str(used)}
        return _json(200, answer, headers)

    def _signer(self, request: web.Request, parameters: dict[str, str], body: str) -> str:
        """Return whose request this is: what was signed is query and body as they were sent."""
        sent = request.rel_url.raw_query_string
        payload = sent.partition("&signature=")[0] + body.partition("&signature=")[0]
        api_key = request.headers.get("X-MBX-APIKEY", "")
        signature = parameters.get("signature", "")
        return self._gatekeeper.account(api_key, payload, signature, parameters)

    # -- market data -----------------------------------------------------------------------------

    def _exchange_info(self, call: Call) -> payloads.Body:
        named = call.parameters.get("symbols")
        try:
            symbols = msgspec.json.decode(named, type=list[str]) if named else []
        except msgspec.MsgspecError:
            raise Refused(-1100, "Illegal characters found in parameter 'symbols'.") from None
        markets = [self._exchange.market(one) for one in symbols or self._exchange.markets]
        rules = [
            payloads.symbol_rules(
                market.listing, self.statuses.get(market.listing.symbol, "TRADING")
            )
            for market in markets
        ]
        return {"timezone": "UTC", "serverTime": self._now_ms(), "symbols": rules}

    def _depth(self, call: Call) -> payloads.Body:
        market = self._exchange.market(call.text("symbol"))
        bids, asks = market.levels(min(call.number("limit") or 100, 5_000))
        self.on_depth(market.listing.symbol, market.update_id)
        return {
            "lastUpdateId": market.update_id,
            "bids": payloads.levels(bids),
            "asks": payloads.levels(asks),
        }

    def _klines(self, call: Call) -> list[Any]:
        market = self._exchange.market(call.text("symbol"))
        interval = call.text("interval")
        if interval not in INTERVALS_MS:
            raise Refused(-1120, "Invalid interval.")
        market.klines.pass_time(self._now_ms())
        rows = market.klines.rows(
            interval,
            start_ms=call.number("startTime"),
            end_ms=call.number("endTime"),
            limit=call.limit(500),
        )
        return [payloads.kline_row(interval, row) for row in rows]

    # -- orders ----------------------------------------------------------------------------------

    def _new_order(self, call: Call) -> payloads.Body:
        order_type = call.text("type")
        if order_type not in ("LIMIT", "LIMIT_MAKER", "MARKET"):
            raise Refused(-1116, "Invalid orderType.")
        side = call.text("side")
        if side not in ("BUY", "SELL"):
            raise Refused(-1117, "Invalid side.")
        time_in_force = call.text("timeInForce") if order_type == "LIMIT" else "GTC"
        if time_in_force not in ("GTC", "IOC", "FOK"):
            raise Refused(-1115, "Invalid timeInForce.")
        symbol = call.text("symbol")
        self._check_trading(symbol)
        self._weights.take_order(call.account)
        order, executions = self._exchange.place(
            NewOrder(
                account=call.account,
                client_id=call.text("newClientOrderId"),
                symbol=symbol,
                is_buy=side == "BUY",
                type=order_type,
                quantity=call.amount("quantity"),
                price=0 if order_type == "MARKET" else call.amount("price"),
                time_in_force=time_in_force,
            )
        )
        return payloads.new_order_answer(order, executions)

    def _check_trading(self, symbol: str) -> None:
        if self.statuses.get(symbol, "TRADING") != "TRADING":
            raise Refused(-2010, "Market is closed.")

    def _order(self, call: Call) -> payloads.Body:
        order = self._exchange.order(
            call.account, call.text("symbol"), call.text("origClientOrderId")
        )
        return payloads.order_row(order)

    def _cancel(self, call: Call) -> payloads.Body:
        try:
            order = self._exchange.order(
                call.account, call.text("symbol"), call.text("origClientOrderId")
            )
        except Refused as refused:
            if refused.code != -2013:
                raise
            raise Refused(-2011, "Unknown order sent.") from None
        cancel_id = f"cancel-{order.order_id}"
        return payloads.cancel_answer(self._exchange.cancel(order, cancel_id), cancel_id)

    # -- the account -----------------------------------------------------------------------------

    def _open_orders(self, call: Call) -> list[payloads.Body]:
        symbol = call.parameters.get("symbol", "")
        orders = self._exchange.open_orders(call.account, symbol)
        return [payloads.order_row(order) for order in orders]

    def _my_trades(self, call: Call) -> list[payloads.Body]:
        """Return trades from an id on, else those within a day's span, else the newest."""
        trades = self._exchange.trades(call.account, call.text("symbol"))
        from_id, start_ms = call.number("fromId"), call.number("startTime")
        end_ms, limit = call.number("endTime"), call.limit(500)
        if from_id is not None and (start_ms is not None or end_ms is not None):
            raise Refused(-1128, "Combination of optional parameters invalid.")
        if from_id is not None:
            chosen = [one for one in trades if one.trade_id >= from_id][:limit]
        elif start_ms is not None:
            until_ms = start_ms + DAY_MS if end_ms is None else end_ms
            if until_ms - start_ms > DAY_MS:
                raise Refused(-1127, "More than 24 hours between startTime and endTime.")
            chosen = [one for one in trades if start_ms <= one.time_ms <= until_ms][:limit]
        else:
            chosen = _until(trades, end_ms)[-limit:]
        return [payloads.trade_row(one) for one in chosen]

    def _account(self, call: Call) -> payloads.Body:
        rows = self._exchange.purses.rows(call.account)
        return payloads.account_answer(rows)


def _until(trades: list[Execution], end_ms: int | None) -> list[Execution]:
    return [one for one in trades if end_ms is None or one.time_ms <= end_ms]


async def _failed(fault: RestFault, request: web.Request) -> web.StreamResponse:
    """Carry out a fault: an answer of its own, or none."""
    if fault.kind == "answer":
        headers = {}
        if fault.retry_after_s is not None:
            headers["Retry-After"] = str(fault.retry_after_s)
        return web.Response(status=fault.status, body=fault.body, headers=headers)
    nothing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with suppress(TimeoutError):
        async with asyncio.timeout(LOST_S):
            await nothing
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=504)


def _refusal(refused: Refused, headers: dict[str, str]) -> web.Response:
    return _json(refused.status, {"code": refused.code, "msg": refused.text}, headers)


def _json(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers=headers,
    )


def _fixed(weight: int) -> Callable[[Mapping[str, str]], int]:
    return lambda _: weight


def _depth_weight(parameters: Mapping[str, str]) -> int:
    levels = int(parameters.get("limit", "100"))
    for most, weight in ((100, 5), (500, 25), (1_000, 50)):
        if levels <= most:
            return weight
    return 250


def _open_orders_weight(parameters: Mapping[str, str]) -> int:
    return 6 if "symbol" in parameters else 80


def _nothing(symbol: str, update_id: int) -> None:
    """Tell nobody."""
