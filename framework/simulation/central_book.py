"""The order book of a simulated venue on which several accounts trade with each other.

Price-time priority on whole numbers, in units that the caller chooses. A market order is the
caller's limit order at the extreme price with IOC. The book knows no money, no clock and no
message: the caller judges what an order may do, and tells of what came out.
"""

from collections.abc import Iterator
from enum import Enum

import msgspec

from framework.model.orders import TimeInForce
from framework.simulation.central_levels import BookOrder, BookSide, PriceLevel

_FOK, _GTC = TimeInForce.FOK, TimeInForce.GTC


class SelfTrade(Enum):
    """What happens where an order meets one of the same owner."""

    ALLOW = "allow"  # they trade
    CANCEL_TAKER = "cancel_taker"  # the arriving order's rest is cancelled ("taker_at_cross")
    CANCEL_MAKER = "cancel_maker"  # the resting order is cancelled, matching goes on ("maker")
    CANCEL_BOTH = "cancel_both"


class Ending(Enum):
    """Why an order that arrived did not stay, beyond being filled."""

    NONE = ""  # it rests, or it is filled whole
    POST_ONLY = "post_only"  # it would have taken
    NOT_WHOLE = "not_whole"  # FOK, and there was not enough
    NOTHING_LEFT = "nothing_left"  # IOC, and the rest found nothing
    SELF_TRADE = "self_trade"  # it met an order of the same owner


class Match(msgspec.Struct, frozen=True):
    """An arriving order took `quantity` from a resting one, at the resting one's price."""

    maker: BookOrder
    price: int
    quantity: int


class Outcome(msgspec.Struct, frozen=True):
    """What became of an arriving order; what it has left is in its own `remaining`."""

    matches: tuple[Match, ...] = ()  # best price first, then first come first
    is_resting: bool = False
    cancelled: tuple[BookOrder, ...] = ()  # resting ones, pulled by self-trade prevention
    reason: Ending = Ending.NONE


class CentralBook:
    """One instrument's resting orders. Every method is one step, to completion."""

    __slots__ = ("_buys", "_orders", "_sells")

    def __init__(self) -> None:
        self._buys = BookSide(is_buy=True)
        self._sells = BookSide(is_buy=False)
        self._orders: dict[str, BookOrder] = {}

    def submit(
        self,
        order: BookOrder,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        self_trade: SelfTrade = SelfTrade.ALLOW,
    ) -> Outcome:
        """Match an order with what rests, then let it rest, unless its time in force forbids it.

        Raises:
            ValueError: it has nothing left, or an order of this id already rests.
        """
        if order.remaining <= 0 or order.order_id in self._orders:
            raise ValueError(f"order {order.order_id!r} rests already or has nothing left")
        facing = self._facing(order.is_buy)
        if post_only and facing.best_within(order.price) is not None:
            return Outcome(reason=Ending.POST_ONLY)
        if time_in_force is _FOK and self._takeable(order, self_trade) < order.remaining:
            return Outcome(reason=Ending.NOT_WHOLE)
        matches, cancelled, reason = self._take(order, facing, self_trade)
        is_resting = False
        if order.remaining and reason is Ending.NONE:
            is_resting = time_in_force not in (_FOK, TimeInForce.IOC)
            if is_resting:
                self._own(order.is_buy).add(order)
                self._orders[order.order_id] = order
            else:
                reason = Ending.NOTHING_LEFT
        return Outcome(tuple(matches), is_resting, tuple(cancelled), reason)

    def cancel(self, order_id: str) -> BookOrder:
        """Take an order out and return it, with what it had left.

        Raises:
            KeyError: it does not rest here.
        """
        order = self._orders.pop(order_id)
        self._own(order.is_buy).remove(order)
        return order

    def reduce(self, order_id: str, to: int) -> BookOrder:
        """Leave a resting order `to` of what it has left, in its place in the queue.

        Raises:
            KeyError: it does not rest here.
            ValueError: that is not less than it has, or not more than nothing.
        """
        order = self._orders[order_id]
        if not 0 < to < order.remaining:
            raise ValueError(f"order {order_id!r} has {order.remaining} left, not to be made {to}")
        self._own(order.is_buy).shrink(order, order.remaining - to)
        return order

    def amend(
        self,
        order_id: str,
        *,
        price: int,
        remaining: int,
        post_only: bool = False,
        self_trade: SelfTrade = SelfTrade.ALLOW,
    ) -> Outcome:
        """Give a resting order a new price, and a new quantity left.

        Less at the same price keeps its place; anything else puts it last in its queue, or makes
        it take what it meets now. `quantity` moves by as much as what is left.

        Raises:
            KeyError: it does not rest here.
            ValueError: nothing would be left.
        """
        order = self._orders[order_id]
        if remaining <= 0:
            raise ValueError(f"order {order_id!r} must have something left, not {remaining}")
        order.quantity += remaining - order.remaining
        if price == order.price and remaining <= order.remaining:
            self._own(order.is_buy).shrink(order, order.remaining - remaining)
            return Outcome(is_resting=True)
        self.cancel(order_id)
        order.price, order.remaining = price, remaining
        return self.submit(order, post_only=post_only, self_trade=self_trade)

    def order(self, order_id: str) -> BookOrder | None:
        """Return a resting order, or None."""
        return self._orders.get(order_id)

    def best_bid(self) -> int | None:
        """The highest buy price, or None."""
        return self._buys.best

    def best_ask(self) -> int | None:
        """The lowest sell price, or None."""
        return self._sells.best

    def levels(self, is_buy: bool, /) -> list[tuple[int, int]]:
        """Return (price, quantity) of one side, best price first."""
        return [(level.price, level.quantity) for level in self._own(is_buy).levels()]

    def quantity_at(self, is_buy: bool, price: int, /) -> int:
        """What rests at a price of one side."""
        level = self._own(is_buy).level(price)
        return level.quantity if level else 0

    def orders_at(self, is_buy: bool, price: int, /) -> list[BookOrder]:
        """Return the orders at a price of one side, next in line first."""
        level = self._own(is_buy).level(price)
        return list(level.orders.values()) if level else []

    def queue_ahead(self, order_id: str) -> int:
        """How much rests before an order at its price.

        Raises:
            KeyError: it does not rest here.
        """
        order = self._orders[order_id]
        ahead = 0
        for other in self.orders_at(order.is_buy, order.price):
            if other is order:
                break
            ahead += other.remaining
        return ahead

    def takeable(self, is_buy: bool, limit: int, /) -> Iterator[PriceLevel]:
        """Go through the levels that an order with this limit would meet, best first.

        The book must not change meanwhile.
        """
        return self._facing(is_buy).within(limit)

    def __len__(self) -> int:
        return len(self._orders)

    def _own(self, is_buy: bool) -> BookSide:
        return self._buys if is_buy else self._sells

    def _facing(self, is_buy: bool) -> BookSide:
        return self._sells if is_buy else self._buys

    def _takeable(self, order: BookOrder, self_trade: SelfTrade) -> int:
        """How much an order would take now: all it wants, or less."""
        found = 0
        for level in self.takeable(order.is_buy, order.price):
            if self_trade is SelfTrade.ALLOW:
                found += level.quantity
            else:
                for resting in level.orders.values():
                    if resting.owner != order.owner:
                        found += resting.remaining
                    elif self_trade is not SelfTrade.CANCEL_MAKER:
                        return found
                    if found >= order.remaining:
                        break
            if found >= order.remaining:
                break
        return found

    def _take(
        self, order: BookOrder, facing: BookSide, self_trade: SelfTrade
    ) -> tuple[list[Match], list[BookOrder], Ending]:
        matches: list[Match] = []
        cancelled: list[BookOrder] = []
        while order.remaining and (level := facing.best_within(order.price)):
            maker = next(iter(level.orders.values()))
            if maker.owner == order.owner and self_trade is not SelfTrade.ALLOW:
                if self_trade is not SelfTrade.CANCEL_TAKER:
                    cancelled.append(self.cancel(maker.order_id))
                if self_trade is not SelfTrade.CANCEL_MAKER:
                    return matches, cancelled, Ending.SELF_TRADE
                continue
            quantity = min(order.remaining, maker.remaining)
            order.remaining -= quantity
            facing.shrink(maker, quantity)
            if not maker.remaining:
                del self._orders[maker.order_id]
            matches.append(Match(maker, level.price, quantity))
        return matches, cancelled, Ending.NONE
