"""The orders that a simulated venue holds for one instrument, and the prices that wake them.

`buys` and `sells` are limit orders, best price first, then time priority; `buy_stops` and
`sell_stops` are nearest trigger first; `waiting` are orders that have not met a price yet, and
market orders that nothing was left for, in order of arrival; `parted` are those whose second part
is not due yet, which no price concerns.
"""

from bisect import insort
from decimal import Decimal
from operator import attrgetter

import msgspec

from framework.errors import InvariantBroken
from framework.interfaces import TimerHandle
from framework.model.decimals import subtract
from framework.model.instrument import Instrument
from framework.model.market_data import Level
from framework.model.orders import OrderType, Side, TimeInForce, TriggerBy

INFINITY = float("inf")

_MARK = TriggerBy.MARK
_MARKET, _LIMIT_ORDER = OrderType.MARKET, OrderType.LIMIT
_NOWHERE, _WAITING, _LIMIT, _STOP, _PARTED = range(5)
_by_rank = attrgetter("rank")


class VenueOrder(msgspec.Struct, gc=False, eq=False):
    """What the venue knows of one working order; `kind` changes when a stop is triggered.

    `limit_at` and `stop_at` are the prices as floats, to compare with market data (a market
    order's limit is infinitely good). `place` is the time priority. `is_fresh` until the order
    has met its first price, which it takes instead of making. `ahead` is the displayed size
    before it in the queue; None where that is unknown. `is_cut` while it may trade its first part
    alone; `part_timer` is pending until the second one is due.
    """

    order_id: str
    account: str
    instrument: Instrument
    side: Side
    is_buy: bool
    kind: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    remaining: Decimal
    limit: Decimal | None
    stop: Decimal | None
    limit_at: float
    stop_at: float
    arrived_ns: int
    place: int
    venue_order_id: str
    post_only: bool
    reduce_only: bool
    trigger_by: TriggerBy
    is_open: bool = True
    is_fresh: bool = True
    has_traded: bool = False
    is_cut: bool = False
    revision: int = 0
    ahead: Decimal | None = None
    timer: TimerHandle | None = None
    part_timer: TimerHandle | None = None
    shelf: int = _NOWHERE
    rank: tuple[float, int] = (0.0, 0)

    @property
    def filled(self) -> Decimal:
        """What has traded so far."""
        return subtract(self.quantity, self.remaining)

    @property
    def own_price(self) -> Decimal:
        """The limit that a resting order trades at."""
        if self.limit is None:
            raise InvariantBroken(f"resting order {self.order_id} has no limit price")
        return self.limit

    def is_within(self, price: float) -> bool:
        """Whether `price` is as good as the limit, or better."""
        return price <= self.limit_at if self.is_buy else price >= self.limit_at

    def is_through(self, price: float) -> bool:
        """Whether `price` is better than the limit."""
        return price < self.limit_at if self.is_buy else price > self.limit_at

    def is_met(self, price: float) -> bool:
        """Whether a stop's judging price is at its trigger or beyond."""
        return price >= self.stop_at if self.is_buy else price <= self.stop_at


class RestingOrders:
    """One instrument's orders, sorted, with the nearest prices at hand.

    A quote with `ask > buy_at`, `bid < sell_at` and, when `has_stops`, `ask < buy_stop_at` and
    `bid > sell_stop_at` concerns no order. After a change, one of `refresh`, `wake` and `sleep`
    brings these up to date.
    """

    __slots__ = (
        "buy_at",
        "buy_stop_at",
        "buy_stops",
        "buys",
        "has_stops",
        "mark_stop_count",
        "parted",
        "priced_count",
        "reduce_only_count",
        "sell_at",
        "sell_stop_at",
        "sell_stops",
        "sells",
        "waiting",
    )

    def __init__(self) -> None:
        self.waiting: list[VenueOrder] = []
        self.parted: list[VenueOrder] = []
        self.buys: list[VenueOrder] = []
        self.sells: list[VenueOrder] = []
        self.buy_stops: list[VenueOrder] = []
        self.sell_stops: list[VenueOrder] = []
        self.priced_count = 0  # limits and stops on their shelves
        self.mark_stop_count = 0
        self.reduce_only_count = 0
        self.sleep()

    def add_waiting(self, order: VenueOrder) -> None:
        """Keep an order for the next price."""
        order.shelf = _WAITING
        self.waiting.append(order)
        if order.reduce_only:
            self.reduce_only_count += 1

    def add_parted(self, order: VenueOrder) -> None:
        """Keep an order until the rest of it may trade."""
        order.shelf = _PARTED
        self.parted.append(order)
        if order.reduce_only:
            self.reduce_only_count += 1

    def add_limit(self, order: VenueOrder) -> None:
        """Let a limit order rest at its price, behind the earlier ones there."""
        order.shelf = _LIMIT
        order.rank = (-order.limit_at if order.is_buy else order.limit_at, order.place)
        insort(self.buys if order.is_buy else self.sells, order, key=_by_rank)
        self.priced_count += 1
        if order.reduce_only:
            self.reduce_only_count += 1

    def add_stop(self, order: VenueOrder) -> None:
        """Let a stop wait for its trigger."""
        order.shelf = _STOP
        order.rank = (order.stop_at if order.is_buy else -order.stop_at, order.place)
        insort(self.buy_stops if order.is_buy else self.sell_stops, order, key=_by_rank)
        self.priced_count += 1
        if order.trigger_by is _MARK:
            self.mark_stop_count += 1
        if order.reduce_only:
            self.reduce_only_count += 1

    def remove(self, order: VenueOrder) -> None:
        """Take an order off its shelf; harmless when it is on none."""
        shelf = order.shelf
        if shelf == _NOWHERE:
            return
        order.shelf = _NOWHERE
        if shelf == _WAITING:
            self.waiting.remove(order)
        elif shelf == _PARTED:
            self.parted.remove(order)
        elif shelf == _LIMIT:
            self.priced_count -= 1
            (self.buys if order.is_buy else self.sells).remove(order)
        else:
            self.priced_count -= 1
            (self.buy_stops if order.is_buy else self.sell_stops).remove(order)
            if order.trigger_by is _MARK:
                self.mark_stop_count -= 1
        if order.reduce_only:
            self.reduce_only_count -= 1

    def is_parted(self, order: VenueOrder) -> bool:
        """Whether the order waits for its second part."""
        return order.shelf == _PARTED

    def is_at_limit(self, order: VenueOrder) -> bool:
        """Whether the order rests on a limit shelf."""
        return order.shelf == _LIMIT

    def all(self) -> list[VenueOrder]:
        """Return every order, by time priority."""
        orders = [*self.waiting, *self.parted, *self.buys, *self.sells]
        orders += self.buy_stops + self.sell_stops
        orders.sort(key=attrgetter("place"))
        return orders

    def admit(self, until_ns: int) -> list[VenueOrder]:
        """Put waiting limit and stop orders that arrived by `until_ns` on their shelves.

        Returns the market orders among them, in order of arrival: each waits until its turn.
        """
        markets: list[VenueOrder] = []
        for order in self.waiting[:]:
            if order.arrived_ns > until_ns:
                continue
            if order.kind is _MARKET:
                markets.append(order)
                continue
            self.remove(order)
            if order.kind is _LIMIT_ORDER:
                self.add_limit(order)
            else:
                self.add_stop(order)
        return markets

    def refresh(self) -> None:
        """Set the nearest prices again."""
        buy_stops, sell_stops = self.buy_stops, self.sell_stops
        self.has_stops = bool(buy_stops or sell_stops)
        self.buy_stop_at = buy_stops[0].stop_at if buy_stops else INFINITY
        self.sell_stop_at = sell_stops[0].stop_at if sell_stops else -INFINITY
        self.sell_at = self.sells[0].limit_at if self.sells else INFINITY
        self.buy_at = self.buys[0].limit_at if self.buys else -INFINITY

    def concerns(self, best_bid: Level | None, best_ask: Level | None) -> bool:
        """Whether the best of a book reaches the nearest prices."""
        if self.has_stops or self.buy_at == INFINITY:
            return True
        return (best_ask is not None and best_ask[0] <= self.buy_at) or (
            best_bid is not None and best_bid[0] >= self.sell_at
        )

    def wake(self) -> None:
        """Let every quote, trade and candle concern us."""
        self.buy_at = INFINITY

    def sleep(self) -> None:
        """Let none concern us."""
        self.has_stops = False
        self.buy_at = self.sell_stop_at = -INFINITY
        self.sell_at = self.buy_stop_at = INFINITY


def is_stop(kind: OrderType) -> bool:
    """Whether an order of this type waits for a trigger."""
    return kind is OrderType.STOP or kind is OrderType.STOP_LIMIT
