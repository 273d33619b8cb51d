"""Carries out what the matching core decided: orders, positions, cash, and who is told.

Every request to the exchange ends with `finish`.
"""

import msgspec

from adapters.kalshi.simulated.accounts import Account
from adapters.kalshi.simulated.domain import DOLLAR, Fill, Order, Reduction, Trade
from adapters.kalshi.simulated.emitted import (
    Filled,
    GroupChanged,
    PositionChanged,
    TickerChanged,
    Traded,
)
from adapters.kalshi.simulated.fees import rounded
from adapters.kalshi.simulated.floor import Floor
from adapters.kalshi.simulated.group_limits import GroupLimit, GroupLimits
from adapters.kalshi.simulated.positions import after_fill
from adapters.kalshi.simulated.traded_market import TradedMarket
from framework.simulation.central_book import Ending, Match, Outcome

_REASONS = {
    Ending.POST_ONLY: "PostOnlyCrossCancel",
    Ending.SELF_TRADE: "SelfTradeCancel",
    Ending.NOT_WHOLE: "",
    Ending.NOTHING_LEFT: "",
}


class Terms(msgspec.Struct, frozen=True):
    """What two orders agree on."""

    price: int
    count: int
    is_block: bool = False


class Executions:
    """Changes orders, positions and cash, one decision at a time."""

    def __init__(self, floor: Floor, limits: GroupLimits) -> None:
        self._floor = floor
        self._limits = limits

    def carry_out(self, market: TradedMarket, taker: Order, outcome: Outcome) -> Order:
        """Do what became of an arriving order, and return it as it is then."""
        fee_cost = 0
        for match in outcome.matches:
            taker, fee_cost = self._match(market, taker, match, fee_cost)
        for pulled in outcome.cancelled:
            order = self._floor.accounts[pulled.owner].orders[pulled.order_id]
            self._end(market, order, "SelfTradeCancel")
        if outcome.is_resting:
            self._floor.change_level(market, taker, taker.remaining_count)
            if taker.reduce_only:
                market.reduce_only[taker.order_id] = taker.account
        elif taker.remaining_count:
            taker = self._canceled(taker, _REASONS[outcome.reason])
        self._floor.put_order(self._floor.accounts[taker.account], taker)
        return taker

    def cancel(self, order: Order, reason: str = "") -> Reduction:
        """Take a resting order out of its book."""
        market = self._floor.market(order.ticker)
        market.book.cancel(order.order_id)
        return self._end(market, order, reason)

    def decrease(self, order: Order, to: int, reason: str = "Decrease") -> Order:
        """Leave a resting order `to`, in its place; 0 cancels it."""
        if to == 0:
            return self.cancel(order, reason).order
        market = self._floor.market(order.ticker)
        market.book.reduce(order.order_id, to)
        return self.shrink(
            market, order, msgspec.structs.replace(order, remaining_count=to), reason
        )

    def shrink(self, market: TradedMarket, old: Order, new: Order, reason: str) -> Order:
        """Tell that a resting order has less left at the same price."""
        now_ns = self._floor.clock.now_ns
        new = msgspec.structs.replace(new, updated_ns=now_ns, last_update_reason=reason)
        if change := new.remaining_count - old.remaining_count:
            self._floor.change_level(market, new, change)
        self._floor.put_order(self._floor.accounts[new.account], new)
        return new

    def refuse(self, order: Order, reason: str) -> Order:
        """Keep a new order that is canceled before it meets the book."""
        order = self._canceled(order, reason)
        self._floor.put_order(self._floor.accounts[order.account], order)
        return order

    def trade_block(self, market: TradedMarket, maker: Order, taker: Order) -> tuple[Order, Order]:
        """Let two orders trade with each other outside the book, at the taker's price."""
        terms = Terms(taker.yes_price, taker.remaining_count, is_block=True)
        trade = self._trade(market, maker, taker, terms)
        fee = rounded(market.fees.taker_cost(trade.yes_price, trade.count))
        maker_fee = market.fees.maker_fee(trade.yes_price, trade.count)
        filled = (
            self._fill(maker, trade, maker_fee, is_taker=False),
            self._fill(taker, trade, fee, is_taker=True),
        )
        for order in filled:
            self._floor.put_order(self._floor.accounts[order.account], order)
        return filled

    def trigger(self, group: GroupLimit) -> None:
        """Cancel a group's orders and let no new ones in until it is reset."""
        group.is_triggered = True
        self._floor.emit(
            GroupChanged(
                group.account,
                "triggered",
                group.group_id,
                group.contracts_limit,
                self._floor.clock.now_ns,
            )
        )
        self.cancel_members(group)

    def cancel_members(self, group: GroupLimit) -> None:
        """Cancel a group's orders."""
        for order in self.members(group):
            self.cancel(order)

    def members(self, group: GroupLimit) -> list[Order]:
        """Return a group's resting orders."""
        return [
            order
            for orders in self._floor.accounts[group.account].resting.values()
            for order in orders.values()
            if order.order_group_id == group.group_id
        ]

    def finish(self) -> None:
        """End a request: what follows from it, and the tickers that it changed."""
        floor = self._floor
        for market in list(floor.touched.values()):
            if market.reduce_only:
                self._trim(market)
        for group in self._limits.take_due(floor.clock.now_ns):
            self.trigger(group)
        for market in floor.touched.values():
            market.refresh(floor.clock.now_ns)
            if market.ticker is not market.announced:
                market.announced = market.ticker
                floor.emit(TickerChanged(market.ticker))
        floor.touched.clear()

    def _match(
        self, market: TradedMarket, taker: Order, match: Match, fee_cost: int
    ) -> tuple[Order, int]:
        """Carry out one match; return the taker, and what its fee comes to unrounded."""
        floor, price, count = self._floor, match.price, match.quantity
        account = floor.accounts[match.maker.owner]
        maker = account.orders[match.maker.order_id]
        floor.change_level(market, maker, -count)
        trade = self._trade(market, maker, taker, Terms(price, count))
        maker = self._fill(maker, trade, market.fees.maker_fee(price, count), is_taker=False)
        total_cost = fee_cost + market.fees.taker_cost(price, count)
        taker = self._fill(taker, trade, rounded(total_cost) - rounded(fee_cost), is_taker=True)
        floor.put_order(account, maker)
        return taker, total_cost

    def _trade(self, market: TradedMarket, maker: Order, taker: Order, terms: Terms) -> Trade:
        """Put a match on the tape; positions are still those before it."""
        floor = self._floor
        trade = Trade(
            trade_id=floor.make_id(),
            ticker=taker.ticker,
            yes_price=terms.price,
            count=terms.count,
            taker_side=taker.outcome_side,
            is_block_trade=terms.is_block,
            time_ns=floor.clock.now_ns,
        )
        floor.touched[taker.ticker] = market
        opened = self._opened(maker, terms.count) + self._opened(taker, terms.count)
        market.add_trade(trade, opened)
        floor.emit(Traded(trade))
        return trade

    def _opened(self, order: Order, count: int) -> int:
        """By how much a fill changes the yes contracts that the order's owner holds."""
        held = self._floor.accounts[order.account].position(order.ticker).position
        after = held + (count if order.is_bid else -count)
        return max(0, after) - max(0, held)

    def _fill(self, order: Order, trade: Trade, fee: int, *, is_taker: bool) -> Order:
        """Give an account its half of a match, and return its order as it is then."""
        account = self._floor.accounts[order.account]
        position, cash_change = after_fill(
            account.position(order.ticker),
            is_bid=order.is_bid,
            price=trade.yes_price,
            count=trade.count,
            fee=fee,
            time_ns=trade.time_ns,
        )
        account.cash += cash_change
        account.put_position(position)
        if order.order_group_id:
            self._limits.note(order.order_group_id, trade.count, trade.time_ns)
        if not account.is_background:
            fill = _fill_of(order, trade, fee=fee, is_taker=is_taker, post=position.position)
            account.fills.append(fill)
            self._floor.emit(Filled(account.name, fill))
            self._floor.emit(PositionChanged(account.name, position))
        return _filled(order, trade, fee, is_taker=is_taker)

    def _end(self, market: TradedMarket, order: Order, reason: str) -> Reduction:
        """Tell that an order has left the book unfilled."""
        self._floor.change_level(market, order, -order.remaining_count)
        canceled = self._canceled(order, reason)
        self._floor.put_order(self._floor.accounts[order.account], canceled)
        return Reduction(canceled, order.remaining_count)

    def _canceled(self, order: Order, reason: str) -> Order:
        return msgspec.structs.replace(
            order,
            status="canceled",
            remaining_count=0,
            updated_ns=self._floor.clock.now_ns,
            last_update_reason=reason,
        )

    def _trim(self, market: TradedMarket) -> None:
        """Make reduce-only orders no larger than what they may reduce."""
        for order_id, name in list(market.reduce_only.items()):
            account = self._floor.accounts[name]
            order = account.orders.get(order_id)
            if order is None or order.status != "resting":
                del market.reduce_only[order_id]
                continue
            held = reducible(account, order)
            if held < order.remaining_count:
                self.decrease(order, held, "ReduceOnlyCancel")


def reducible(account: Account, order: Order) -> int:
    """How many contracts an order of this direction can close."""
    position = account.position(order.ticker).position
    return max(0, -position if order.is_bid else position)


def _filled(order: Order, trade: Trade, fee: int, *, is_taker: bool) -> Order:
    count = trade.count
    cost = count * (trade.yes_price if order.is_bid else DOLLAR - trade.yes_price)
    left = order.remaining_count - count
    return msgspec.structs.replace(
        order,
        status="resting" if left else "executed",
        fill_count=order.fill_count + count,
        remaining_count=left,
        taker_fill_cost=order.taker_fill_cost + (cost if is_taker else 0),
        maker_fill_cost=order.maker_fill_cost + (0 if is_taker else cost),
        taker_fees=order.taker_fees + (fee if is_taker else 0),
        maker_fees=order.maker_fees + (0 if is_taker else fee),
        updated_ns=trade.time_ns,
        last_update_reason="Trade",
    )


def _fill_of(order: Order, trade: Trade, *, fee: int, is_taker: bool, post: int) -> Fill:
    return Fill(
        trade_id=trade.trade_id,
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        account=order.account,
        ticker=order.ticker,
        outcome_side=order.outcome_side,
        action=order.action,
        yes_price=trade.yes_price,
        count=trade.count,
        is_taker=is_taker,
        fee=fee,
        post_position=post,
        subaccount=order.subaccount,
        time_ns=trade.time_ns,
    )
