"""What the exchange demands of an order before it meets the book."""

import msgspec

from adapters.kalshi.simulated.accounts import Account
from adapters.kalshi.simulated.domain import CONTRACT, Amendment, NewOrder, Order, Refusal
from adapters.kalshi.simulated.fees import rounded
from adapters.kalshi.simulated.floor import Floor
from adapters.kalshi.simulated.group_limits import GroupLimits
from adapters.kalshi.simulated.traded_market import TradedMarket


class Admission:
    """Refuses what must not trade; every refusal is a `Refusal`, and nothing has happened."""

    def __init__(self, floor: Floor, limits: GroupLimits) -> None:
        self._floor = floor
        self._limits = limits

    def check_new(self, account: Account, market: TradedMarket, request: NewOrder) -> None:
        """Judge a new order, money apart. A duplicate is told before all else."""
        self.check_client_id(account, request.client_order_id)
        self.check_open(market)
        check_terms(market, request.price, request.count)
        _check_consistent(request)
        if request.expiration_ns is not None and request.expiration_ns <= self._floor.clock.now_ns:
            raise _invalid("the expiration lies in the past")
        if request.order_group_id:
            group = self._limits.get(account.name, request.order_group_id)
            if group.is_triggered:
                raise Refusal(409, "order_group_triggered", "reset the order group first")
        if account.resting_count >= self._floor.settings.most_open_orders:
            raise _invalid("too many open orders")

    def check_amendment(
        self, account: Account, market: TradedMarket, order: Order, amendment: Amendment
    ) -> None:
        """Judge a change of a resting order, money apart."""
        named = (
            (amendment.ticker, order.ticker),
            (amendment.side, order.side),
            (amendment.action, order.action),
            (amendment.client_order_id, order.client_order_id),
        )
        for given, actual in named:
            if given and given != actual:
                raise _invalid(f"the order has {actual!r}, not {given!r}")
        if amendment.updated_client_order_id != order.client_order_id:
            self.check_client_id(account, amendment.updated_client_order_id)
        self.check_open(market)
        check_terms(market, amendment.price, amendment.count)
        if amendment.count <= order.fill_count:
            raise _invalid(f"{order.fill_count} of the order is filled already")

    def check_client_id(self, account: Account, client_order_id: str) -> None:
        """Refuse a client order id that is taken; "" never is."""
        if client_order_id and account.order_by_client_id(client_order_id):
            raise Refusal(409, "order_already_exists", f"{client_order_id!r} exists already")

    def check_open(self, market: TradedMarket) -> None:
        """Refuse where there is no trading now."""
        status = market.market.status
        is_running = self._floor.is_exchange_active and self._floor.is_trading_active
        if status == "inactive" or not is_running:
            raise Refusal(409, "trading_is_paused", "trading is paused")
        if status != "active":
            raise Refusal(400, "market_not_open", f"the market is {status}")

    def check_funds(
        self,
        account: Account,
        market: TradedMarket,
        order: Order,
        *,
        replaces: str = "",
        is_block: bool = False,
    ) -> None:
        """Refuse what the account could not pay for.

        What cannot rest is judged by the worst price it would really get.
        """
        meets = market.book.takeable(order.is_bid, order.yes_price)
        is_taking = is_block or next(meets, None) is not None
        if order.time_in_force != "good_till_canceled":
            order = as_taken(market, order)
        cost = market.fees.taker_cost(order.yes_price, order.remaining_count) if is_taking else 0
        missing = account.shortfall(order, replaces=replaces, fee=rounded(cost))
        if missing > 0:
            raise Refusal(400, "insufficient_balance", f"{missing} millionths of a dollar missing")


def check_terms(market: TradedMarket, price: int, count: int) -> None:
    """Refuse a price off the grid and a count that cannot trade."""
    if price not in market.grid:
        raise Refusal(400, "invalid_price", f"{price} is not a price of this market")
    if count <= 0 or (count % CONTRACT and not market.market.fractional_trading_enabled):
        raise _invalid(f"{count} is no count of this market")


def as_taken(market: TradedMarket, order: Order) -> Order:
    """Return an order with the count and the worst price that it would find now."""
    found, worst = 0, order.yes_price
    for level in market.book.takeable(order.is_bid, order.yes_price):
        if found >= order.remaining_count:
            break
        for resting in level.orders.values():
            if resting.owner != order.account:
                found += resting.remaining
                worst = level.price
    count = min(found, order.remaining_count)
    return msgspec.structs.replace(order, yes_price=worst, remaining_count=count)


def _check_consistent(request: NewOrder) -> None:
    is_immediate = request.time_in_force != "good_till_canceled"
    if request.post_only and (is_immediate or request.buy_max_cost is not None):
        raise _invalid("a post-only order cannot be immediate")
    if request.buy_max_cost is not None and request.action != "buy":
        raise _invalid("buy_max_cost is for buys")


def _invalid(message: str) -> Refusal:
    return Refusal(400, "invalid_parameters", message)
