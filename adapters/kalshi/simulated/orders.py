"""Order entry: submit, amend, decrease, cancel. Each is one step of the matching core."""

from collections.abc import Iterable
from functools import partial

import msgspec

from adapters.kalshi.simulated.accounts import Account
from adapters.kalshi.simulated.admission import Admission
from adapters.kalshi.simulated.domain import (
    DOLLAR,
    Amendment,
    NewOrder,
    Order,
    Reduction,
    Refusal,
)
from adapters.kalshi.simulated.executions import Executions, reducible
from adapters.kalshi.simulated.floor import Floor
from adapters.kalshi.simulated.order_records import new_order
from adapters.kalshi.simulated.traded_market import TradedMarket
from framework.model.orders import TimeInForce
from framework.simulation.central_book import Ending, Outcome, SelfTrade
from framework.simulation.central_levels import BookOrder

_TIMES_IN_FORCE = {
    "good_till_canceled": TimeInForce.GTC,
    "immediate_or_cancel": TimeInForce.IOC,
    "fill_or_kill": TimeInForce.FOK,
}
_SELF_TRADES = {"taker_at_cross": SelfTrade.CANCEL_TAKER, "maker": SelfTrade.CANCEL_MAKER}


class Orders:
    """What members do with orders; every call names the account that calls."""

    def __init__(self, floor: Floor, admission: Admission, executions: Executions) -> None:
        self._floor = floor
        self._admission = admission
        self._executions = executions

    def submit(self, account: str, request: NewOrder) -> Order:
        """Take in a new order and return it as it is after matching.

        An order that post-only, reduce-only, fill-or-kill or self-trade prevention stops is not
        refused: it is created and canceled.

        Raises:
            Refusal: 400, 404 (market, group) or 409 (duplicate, paused, triggered group).
        """
        member = self._floor.accounts[account]
        market = self._floor.market(request.ticker)
        self._admission.check_new(member, market, request)
        order = new_order(self._floor, member, request)
        if request.reduce_only:
            held = reducible(member, order)
            if held == 0:
                return self._executions.refuse(order, "ReduceOnlyCancel")
            count = min(held, order.initial_count)
            order = msgspec.structs.replace(order, initial_count=count, remaining_count=count)
        self._admission.check_funds(member, market, order)
        order = self._executions.carry_out(market, order, self._arrive(market, order, request))
        if order.status == "resting" and order.expiration_ns is not None:
            expire = partial(self._expire, member, order.order_id)
            member.expiries[order.order_id] = self._floor.clock.call_at(order.expiration_ns, expire)
        self._executions.finish()
        return member.orders.get(order.order_id, order)  # a triggered group may have cancelled it

    def submit_batch(self, account: str, requests: Iterable[NewOrder]) -> list[Order | Refusal]:
        """Submit one after the other; each is taken or refused by itself."""
        answers: list[Order | Refusal] = []
        for request in requests:
            try:
                answers.append(self.submit(account, request))
            except Refusal as refusal:
                answers.append(refusal)
        return answers

    def cancel(self, account: str, order_id: str) -> Reduction:
        """Reduce a resting order to nothing. Raises Refusal 404 for one that does not rest."""
        order = self._floor.accounts[account].resting_order(order_id)
        reduction = self._executions.cancel(order)
        self._executions.finish()
        return reduction

    def cancel_batch(self, account: str, order_ids: Iterable[str]) -> list[Reduction | Refusal]:
        """Cancel one after the other; each succeeds or fails by itself."""
        answers: list[Reduction | Refusal] = []
        for order_id in order_ids:
            try:
                answers.append(self.cancel(account, order_id))
            except Refusal as refusal:
                answers.append(refusal)
        return answers

    def cancel_all(self, account: str, ticker: str = "") -> list[Reduction]:
        """Cancel what rests, in one market or in all."""
        resting = self._floor.accounts[account].resting
        tickers = [ticker] if ticker else list(resting)
        orders = [order for name in tickers for order in resting.get(name, {}).values()]
        reductions = [self._executions.cancel(order) for order in orders]
        self._executions.finish()
        return reductions

    def decrease(
        self, account: str, order_id: str, *, by: int | None = None, to: int | None = None
    ) -> Order:
        """Take a part of what an order has left, or all of it; its place in the queue stays.

        Raises:
            Refusal: 400 unless exactly one of `by` and `to` is given and makes sense, 404.
        """
        order = self._floor.accounts[account].resting_order(order_id)
        left = order.remaining_count - by if by is not None else to
        if (by is None) == (to is None) or left is None or not 0 <= left < order.remaining_count:
            raise Refusal(400, "invalid_parameters", "reduce by or to less than what is left")
        order = self._executions.decrease(order, left)
        self._executions.finish()
        return order

    def amend(self, account: str, order_id: str, amendment: Amendment) -> tuple[Order, Order]:
        """Give an order a new price and a new total; return it as it was and as it is.

        Raises:
            Refusal: 400, 404, or 409 (paused, the updated client order id is taken).
        """
        member = self._floor.accounts[account]
        old = member.resting_order(order_id)
        market = self._floor.market(old.ticker)
        self._admission.check_amendment(member, market, old, amendment)
        new = msgspec.structs.replace(
            old,
            yes_price=amendment.price,
            initial_count=amendment.count,
            remaining_count=amendment.count - old.fill_count,
            updated_ns=self._floor.clock.now_ns,
            last_update_reason="Amend",
        )
        self._admission.check_funds(member, market, new, replaces=order_id)
        renamed_to = amendment.updated_client_order_id
        if renamed_to and renamed_to != old.client_order_id:
            new = member.rename_order(new, renamed_to)
        self._change(market, old, new)
        self._executions.finish()
        return old, member.orders.get(order_id, new)

    def _change(self, market: TradedMarket, old: Order, new: Order) -> None:
        outcome = market.book.amend(
            old.order_id,
            price=new.yes_price,
            remaining=new.remaining_count,
            post_only=new.post_only,
            self_trade=_SELF_TRADES[new.self_trade_prevention_type],
        )
        if new.yes_price == old.yes_price and new.remaining_count <= old.remaining_count:
            self._executions.shrink(market, old, new, "Amend")
            return
        self._floor.change_level(market, old, -old.remaining_count)
        self._executions.carry_out(market, new, outcome)

    def _arrive(self, market: TradedMarket, order: Order, request: NewOrder) -> Outcome:
        most = request.buy_max_cost
        if most is not None and _cost_to_take(market, order) > most:
            return Outcome(reason=Ending.NOT_WHOLE)
        return market.book.submit(
            BookOrder(
                order_id=order.order_id,
                owner=order.account,
                is_buy=order.is_bid,
                price=order.yes_price,
                quantity=order.remaining_count,
                remaining=order.remaining_count,
            ),
            time_in_force=_TIMES_IN_FORCE[order.time_in_force],
            post_only=order.post_only,
            self_trade=_SELF_TRADES[order.self_trade_prevention_type],
        )

    def _expire(self, account: Account, order_id: str) -> None:
        self._executions.cancel(account.resting_order(order_id), "ExpiryCancel")
        self._executions.finish()


def _cost_to_take(market: TradedMarket, order: Order) -> int:
    """What an order would pay for its contracts now, fees apart, as far as there are any."""
    left, cost = order.remaining_count, 0
    for level in market.book.takeable(order.is_bid, order.yes_price):
        count = min(left, level.quantity)
        cost += count * (level.price if order.is_bid else DOLLAR - level.price)
        left -= count
        if not left:
            break
    return cost
