"""The simulated exchange: orders of accounts and of the background on one central book per symbol.

No JSON, no sockets: requests come as values, refusals are raised, and what happened is told to
`on_event` in the order in which the matching made it.
Source: "Public REST API for Binance" (New order, Cancel order), "Error codes for Binance".
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import count

import msgspec

from adapters.binance.simulated.amounts import LARGEST, value_of
from adapters.binance.simulated.domain import (
    NOBODY,
    BalancesChanged,
    BestChanged,
    Execution,
    Listing,
    Order,
    OrderChanged,
    Refused,
    TradeMade,
    VenueEvent,
)
from adapters.binance.simulated.market import Market
from adapters.binance.simulated.purses import Purses
from framework.model.orders import TimeInForce
from framework.simulation.central_book import Ending, Match, Outcome, SelfTrade
from framework.simulation.central_levels import BookOrder

FEE_PARTS = 10_000
TIMES_IN_FORCE = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; `type` is LIMIT, LIMIT_MAKER or MARKET."""

    account: str
    client_id: str
    symbol: str
    is_buy: bool
    type: str
    quantity: int
    price: int = 0
    time_in_force: str = "GTC"


class Exchange:
    """Markets, accounts, orders and trades; `fee_bps` is taken from what a trade brings in."""

    def __init__(
        self,
        markets: Iterable[Market],
        balances: Mapping[str, Mapping[str, int]],
        *,
        now_ms: Callable[[], int],
        on_event: Callable[[VenueEvent], None],
        fee_bps: int = 10,
    ) -> None:
        self.markets = {market.listing.symbol: market for market in markets}
        self.purses = Purses(balances)
        self.executions: list[Execution] = []
        self._now_ms = now_ms
        self._on_event = on_event
        self._fee_bps = fee_bps
        self._numbers = count(1)
        self._orders: dict[int, Order] = {}  # of the background only those that work
        self._by_client_id: dict[tuple[str, str], Order] = {}

    # -- questions -------------------------------------------------------------------------------

    def market(self, symbol: str) -> Market:
        """Return a market. Raises Refused: there is no such symbol."""
        market = self.markets.get(symbol)
        if market is None:
            raise Refused(-1121, "Invalid symbol.")
        return market

    def order(self, account: str, symbol: str, client_id: str) -> Order:
        """Return the newest order with a client id. Raises Refused: there is none."""
        self.market(symbol)
        order = self._by_client_id.get((account, client_id))
        if order is None or order.symbol != symbol:
            raise Refused(-2013, "Order does not exist.")
        return order

    def orders(self, account: str) -> list[Order]:
        """Return every order of an account, oldest first."""
        return [order for order in self._orders.values() if order.account == account]

    def open_orders(self, account: str, symbol: str = "") -> list[Order]:
        """Return the working orders of an account, oldest first."""
        return [
            order
            for order in self._orders.values()
            if order.account == account and symbol in ("", order.symbol) and order.is_open
        ]

    def trades(self, account: str, symbol: str) -> list[Execution]:
        """Return the account's trades in a symbol, oldest first."""
        self.market(symbol)
        return [one for one in self.executions if one.account == account and one.symbol == symbol]

    # -- requests --------------------------------------------------------------------------------

    def place(self, request: NewOrder) -> tuple[Order, list[Execution]]:
        """Take a new order; return it with what it traded at once.

        Raises:
            Refused: a filter, the balance, its client id or the market forbids it.
        """
        market = self.market(request.symbol)
        if request.account != NOBODY:
            check_filters(request, market.listing)
            self._check_id(request)
        if request.type == "LIMIT_MAKER" and _would_take(request, market):
            raise Refused(-2010, "Order would immediately match and take.")
        self._check_market_funds(request, market)
        now_ms = self._now_ms()
        order = Order(
            order_id=next(self._numbers),
            client_id=request.client_id,
            account=request.account,
            symbol=request.symbol,
            is_buy=request.is_buy,
            type=request.type,
            time_in_force=request.time_in_force,
            price=request.price,
            quantity=request.quantity,
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        self._bind(order, market)
        self._orders[order.order_id] = order
        if order.account != NOBODY:
            self._by_client_id[order.account, order.client_id] = order
        self._tell(order, "NEW")
        first = len(self.executions)
        self._match(order, market)
        self._after(market, order)
        own = [one for one in self.executions[first:] if one.order_id == order.order_id]
        return order, own

    def cancel(self, order: Order, cancel_id: str = "") -> Order:
        """Take a working order back. Raises Refused: it is none."""
        if not order.is_open:
            raise Refused(-2011, "Unknown order sent.")
        market = self.markets[order.symbol]
        market.book.cancel(order.key)
        market.touch(order.is_buy, order.price)
        self._end(order, market, "CANCELED", "CANCELED", cancel_id=cancel_id)
        self._after(market, order)
        return order

    def deposit(self, account: str, asset: str, amount: int) -> None:
        """Let money come from outside; a negative amount goes."""
        self.purses.add(account, asset, amount)
        self._tell_balances(account, asset)

    # -- matching --------------------------------------------------------------------------------

    def _match(self, order: Order, market: Market) -> None:
        extreme = LARGEST if order.is_buy else 1
        arriving = BookOrder(
            order_id=order.key,
            owner=order.account,
            is_buy=order.is_buy,
            price=order.price or extreme,
            quantity=order.quantity,
            remaining=order.quantity,
        )
        is_market = order.type == "MARKET"
        outcome = market.book.submit(
            arriving,
            time_in_force=TimeInForce.IOC if is_market else TIMES_IN_FORCE[order.time_in_force],
            self_trade=SelfTrade.ALLOW if order.account == NOBODY else SelfTrade.CANCEL_MAKER,
        )
        self._settle(order, market, outcome)

    def _settle(self, order: Order, market: Market, outcome: Outcome) -> None:
        """Tell of everything that a match did, the arriving order's end last."""
        for match in outcome.matches:
            market.touch(not order.is_buy, match.price)
            self._trade(order, self._orders[int(match.maker.order_id)], match, market)
        for pulled in outcome.cancelled:
            market.touch(pulled.is_buy, pulled.price)
            maker = self._orders[int(pulled.order_id)]
            self._end(maker, market, "EXPIRED_IN_MATCH", "TRADE_PREVENTION")
        if outcome.is_resting:
            market.touch(order.is_buy, order.price)
        elif outcome.reason is not Ending.NONE:
            self._end(order, market, "EXPIRED", "EXPIRED")

    def _trade(self, taker: Order, maker: Order, match: Match, market: Market) -> None:
        now_ms = self._now_ms()
        market.trade_count += 1
        market.last_price = match.price
        market.klines.trade(match.price, match.quantity, now_ms)
        self._on_event(
            TradeMade(
                symbol=taker.symbol,
                trade_id=market.trade_count,
                price=match.price,
                quantity=match.quantity,
                time_ms=now_ms,
                is_buyer_maker=maker.is_buy,
            )
        )
        for order in (maker, taker):
            self._fill(order, match, market, is_maker=order is maker, now_ms=now_ms)

    def _fill(
        self, order: Order, match: Match, market: Market, *, is_maker: bool, now_ms: int
    ) -> None:
        order.executed += match.quantity
        order.quote_executed += value_of(match.price, match.quantity)
        order.updated_ms = now_ms
        order.status = "PARTIALLY_FILLED" if order.remaining else "FILLED"
        if order.account == NOBODY:
            self._forget(order)
            return
        fee, fee_asset = self._pay(order, match, market.listing)
        self._bind(order, market)
        execution = Execution(
            trade_id=market.trade_count,
            symbol=order.symbol,
            order_id=order.order_id,
            account=order.account,
            price=match.price,
            quantity=match.quantity,
            fee=fee,
            fee_asset=fee_asset,
            time_ms=now_ms,
            is_buyer=order.is_buy,
            is_maker=is_maker,
        )
        self.executions.append(execution)
        self._tell(order, "TRADE", execution)
        self._tell_balances(order.account, market.listing.base, market.listing.quote)

    def _pay(self, order: Order, match: Match, listing: Listing) -> tuple[int, str]:
        """Exchange the assets; return the fee and what it was taken in."""
        value = value_of(match.price, match.quantity)
        bought, sold = (match.quantity, value) if order.is_buy else (value, match.quantity)
        asset, paid_in = listing.base, listing.quote
        if not order.is_buy:
            asset, paid_in = paid_in, asset
        fee = bought * self._fee_bps // FEE_PARTS
        self.purses.lock(order.account, paid_in, -order.locked)
        order.locked = 0
        self.purses.add(order.account, paid_in, -sold)
        self.purses.add(order.account, asset, bought - fee)
        return fee, asset

    def _bind(self, order: Order, market: Market) -> None:
        """Lock what the rest of a limit order may need; a market order needs nothing for long."""
        if order.account == NOBODY or order.type == "MARKET":
            return
        asset = market.listing.quote if order.is_buy else market.listing.base
        needed = value_of(order.price, order.remaining) if order.is_buy else order.remaining
        self.purses.lock(order.account, asset, needed - order.locked)
        order.locked = needed

    def _end(
        self, order: Order, market: Market, status: str, execution_type: str, *, cancel_id: str = ""
    ) -> None:
        order.status = status
        order.updated_ms = self._now_ms()
        if order.account == NOBODY:
            self._forget(order)
            return
        asset = market.listing.quote if order.is_buy else market.listing.base
        self.purses.lock(order.account, asset, -order.locked)
        order.locked = 0
        self._tell(order, execution_type, cancel_id=cancel_id)

    def _forget(self, order: Order) -> None:
        if not order.is_open:
            del self._orders[order.order_id]

    # -- checks ----------------------------------------------------------------------------------

    def _check_id(self, request: NewOrder) -> None:
        known = self._by_client_id.get((request.account, request.client_id))
        if known is not None and known.is_open:
            raise Refused(-2010, "Duplicate order sent.")

    def _check_market_funds(self, request: NewOrder, market: Market) -> None:
        """Refuse a market order that its owner could not pay: it locks nothing beforehand."""
        if request.account == NOBODY or request.type != "MARKET":
            return
        asset = market.listing.quote if request.is_buy else market.listing.base
        needed = _cost(request, market) if request.is_buy else request.quantity
        if needed > self.purses.free(request.account, asset):
            raise Refused(-2010, "Account has insufficient balance for requested action.")

    # -- telling ---------------------------------------------------------------------------------

    def _tell(
        self,
        order: Order,
        execution_type: str,
        execution: Execution | None = None,
        cancel_id: str = "",
    ) -> None:
        if order.account != NOBODY:
            self._on_event(
                OrderChanged(
                    order=order,
                    execution_type=execution_type,
                    time_ms=order.updated_ms,
                    execution=execution,
                    cancel_id=cancel_id,
                )
            )

    def _tell_balances(self, account: str, *assets: str) -> None:
        rows = self.purses.rows(account, *assets)
        self._on_event(BalancesChanged(account, self._now_ms(), rows))

    def _after(self, market: Market, order: Order) -> None:
        """Tell what a request changed beyond the orders themselves."""
        if order.account != NOBODY:
            asset = market.listing.quote if order.is_buy else market.listing.base
            self._tell_balances(order.account, asset)
        best = market.take_best()
        if best is not None:
            self._on_event(BestChanged(market.listing.symbol, market.update_id, *best))


def check_filters(request: NewOrder, listing: Listing) -> None:
    """Judge an order by its symbol's rules. Raises Refused with the filter's name."""
    if not listing.least_quantity <= request.quantity <= listing.most_quantity:
        raise Refused(-1013, "Filter failure: LOT_SIZE")
    if request.quantity % listing.step:
        raise Refused(-1013, "Filter failure: LOT_SIZE")
    if request.type == "MARKET":
        return
    if request.price <= 0 or request.price % listing.tick:
        raise Refused(-1013, "Filter failure: PRICE_FILTER")
    if value_of(request.price, request.quantity) < listing.least_value:
        raise Refused(-1013, "Filter failure: NOTIONAL")


def _would_take(request: NewOrder, market: Market) -> bool:
    return next(iter(market.book.takeable(request.is_buy, request.price)), None) is not None


def _cost(request: NewOrder, market: Market) -> int:
    """What a market order would pay for as much as there is."""
    missing, cost = request.quantity, 0
    for level in market.book.takeable(True, LARGEST):
        taken = min(missing, level.quantity)
        cost += value_of(level.price, taken)
        missing -= taken
    return cost
