"""A second simulated venue, written plainly: exact fractions, one list, everything rescanned.

It shares no code with `framework.simulation`: it is what the property tests hold that against.
Facts are tuples: ("accepted", id), ("filled", id, quantity, price, liquidity, fee),
("triggered", id), ("replaced", id, quantity), ("ended", id, how), ("refused", id, what).
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

OracleFact = tuple[str | Fraction, ...]
Levels = list[tuple[Fraction, Fraction | None]]  # price, size (None: unknown), best first
AT_ONCE = ("ioc", "fok")


@dataclass
class OracleOrder:
    """One order; `sign` is +1 for a buy, -1 for a sell."""

    id: str
    account: str
    sign: int
    kind: str  # market, limit, stop, stop_limit
    quantity: Fraction
    price: Fraction | None
    stop: Fraction | None
    tif: str
    post_only: bool
    reduce_only: bool
    by_last: bool
    expire_ns: int | None
    arrived_ns: int
    rank: int
    number: int
    left: Fraction
    is_new: bool = True  # has met no price yet
    is_alive: bool = True
    revision: int = 0


@dataclass(frozen=True)
class Rules:
    """The models the venue under test is configured with."""

    tick: Fraction
    lot: Fraction
    maker_bps: Fraction = Fraction(0)
    taker_bps: Fraction = Fraction(0)
    slippage_bps: Fraction = Fraction(0)
    touch: bool = False
    share: Fraction | None = None
    path: str = "by_direction"


class Oracle:
    """Answers the same calls as the venue under test."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.facts: list[OracleFact] = []
        self.orders: list[OracleOrder] = []
        self.asks: Levels | None = None  # what is left of the displayed sizes
        self.bids: Levels | None = None
        self.last_trade: Fraction | None = None
        self.last_close: Fraction | None = None
        self.now_ns = 0
        self.rank = 0
        self.budget: Fraction | None = None
        self.position: dict[str, Fraction] = {}
        self.cash: dict[str, Fraction] = {}
        self.market_cash = Fraction(0)
        self.fees = Fraction(0)

    # Requests

    def submit(self, order: OracleOrder) -> None:
        order.rank = self.next_rank()
        is_stuck = order.reduce_only and self.closable(order) <= 0
        if is_stuck or (order.post_only and order.kind == "limit" and self.would_take(order)):
            self.facts.append(("ended", order.id, "rejected"))
        else:
            self.facts.append(("accepted", order.id))
            self.orders.append(order)
            self.enter(order)

    def cancel(self, name: str) -> None:
        order = self.find(name)
        if order is None:
            self.facts.append(("refused", name, "cancel"))
        else:
            self.end(order, "cancelled")

    def modify(
        self,
        name: str,
        revision: int,
        quantity: Fraction | None,
        price: Fraction | None,
        stop: Fraction | None,
    ) -> None:
        order = self.find(name)
        if order is None or not self.may_modify(order, revision, quantity, price, stop):
            self.facts.append(("refused", name, "modify"))
            return
        grows = quantity is not None and quantity > order.quantity
        moves = price not in (None, order.price) or stop not in (None, order.stop)
        order.revision = revision
        if quantity is not None:
            order.left -= order.quantity - quantity
            order.quantity = quantity
        order.price = order.price if price is None else price
        order.stop = order.stop if stop is None else stop
        self.facts.append(("replaced", name, order.quantity))
        if grows or moves:
            order.rank = self.next_rank()
            order.arrived_ns = self.now_ns
            order.is_new = True
            self.enter(order)

    def may_modify(
        self,
        order: OracleOrder,
        revision: int,
        quantity: Fraction | None,
        price: Fraction | None,
        stop: Fraction | None,
    ) -> bool:
        if revision <= order.revision:
            return False
        if price is not None and order.price is None:
            return False
        if stop is not None and order.kind not in ("stop", "stop_limit"):
            return False
        if quantity is not None and quantity <= order.quantity - order.left:
            return False
        if order.post_only and price is not None and order.kind == "limit":
            before, order.price = order.price, price
            takes = self.would_take(order)
            order.price = before
            return not takes
        return True

    def pass_time(self, now_ns: int) -> None:
        due = [o for o in self.alive() if o.expire_ns is not None and o.expire_ns <= now_ns]
        for order in sorted(due, key=lambda o: (o.expire_ns, o.number)):
            self.end(order, "expired")
        self.now_ns = now_ns

    # Market data

    def display(self, bids: Levels, asks: Levels) -> None:
        """A new quote or book."""
        self.bids = [(price, self.ours(size)) for price, size in bids]
        self.asks = [(price, self.ours(size)) for price, size in asks]
        for order in self.by_rank("market"):
            self.take_displayed(order)
        for sign in (1, -1):
            for order in self.by_price(sign):
                if order.is_new and not order.post_only:
                    self.take_displayed(order)
                else:
                    order.is_new = False
                    self.give_displayed(order)
        met = [
            order
            for sign in (1, -1)
            for order in self.by_stop(sign)
            if not (order.by_last and self.last_trade is not None)
            and (best := self.best(sign)) is not None
            and is_met(order, best)
        ]
        for order in met:
            self.trigger(order, None)

    def trade(self, price: Fraction, size: Fraction) -> None:
        """A public trade."""
        self.last_trade = price
        self.budget = self.share_of(size)
        stands = self.asks is not None
        self.at_price(price, gap=False, only_resting=stands, since=None)
        met = [
            order
            for sign in (1, -1)
            for order in self.by_stop(sign)
            if (order.by_last or not stands) and is_met(order, price)
        ]
        for order in met:
            self.trigger(order, price)

    def candle(
        self, prices: tuple[Fraction, Fraction, Fraction, Fraction], volume: Fraction, open_ns: int
    ) -> None:
        """A closed candle's open, high, low and close."""
        opened, high, low, close = prices
        self.last_close = close
        if self.asks is not None or self.last_trade is not None:
            return
        self.budget = self.share_of(volume)
        self.at_price(opened, gap=True, only_resting=False, since=open_ns)
        eligible = [o for o in self.alive() if o.arrived_ns <= open_ns]
        stops = [o for sign in (1, -1) for o in self.by_stop(sign) if o in eligible]
        for order in stops:
            if is_met(order, opened):
                self.trigger(order, opened)
        low_first = self.rules.path == "olhc" or (
            self.rules.path == "by_direction" and close >= opened
        )
        at = opened
        for to in (low, high, close) if low_first else (high, low, close):
            self.move(at, to, open_ns)
            at = to

    def at_price(
        self, price: Fraction, *, gap: bool, only_resting: bool, since: int | None
    ) -> None:
        def may(order: OracleOrder) -> bool:
            return since is None or order.arrived_ns <= since

        if not only_resting:
            for order in self.by_rank("market"):
                if may(order):
                    self.take_traded(order, price)
        for order in [*self.by_price(1), *self.by_price(-1)]:
            if not order.is_alive or not may(order):
                continue
            reached = self.is_reached(order, price)
            if order.is_new and not reached:
                self.rest(order)
            elif order.is_new and not order.post_only:
                self.take_traded(order, price)
            elif reached:
                order.is_new = False
                own = order.price
                assert own is not None
                self.give_traded(order, price if gap and not order.post_only else own)

    def move(self, at: Fraction, to: Fraction, open_ns: int) -> None:
        """The price goes straight from `at` to `to`."""
        sign = 1 if to > at else -1  # an upward move meets buy stops and sell limits
        while to != at:
            meets: list[tuple[Fraction, int, int, OracleOrder]] = []
            for order in self.alive():
                if order.arrived_ns > open_ns:
                    continue
                if order.stop is not None and order.kind != "market" and order.kind != "limit":
                    if order.sign == sign and is_met(order, to):
                        meets.append((sign * order.stop, 0, order.rank, order))
                elif order.kind == "limit" and order.sign == -sign and order.price is not None:
                    has_budget = self.budget is None or self.budget > 0
                    if has_budget and self.is_reached(order, to):
                        meets.append((sign * order.price, 1, order.rank, order))
            if not meets:
                return
            where, is_limit, _, order = min(meets, key=lambda meet: meet[:3])
            if is_limit:
                self.give_traded(order, sign * where)
            else:
                self.trigger(order, sign * where)

    # What becomes of an order

    def enter(self, order: OracleOrder) -> None:
        if self.asks is None:
            return
        if order.kind in ("market", "limit"):
            self.take_displayed(order)
            return
        order.is_new = False
        judge = self.last_trade if order.by_last and self.last_trade else self.best(order.sign)
        if judge is not None and is_met(order, judge):
            self.trigger(order, None)

    def trigger(self, order: OracleOrder, price: Fraction | None) -> None:
        if not order.is_alive:
            return
        self.facts.append(("triggered", order.id))
        order.kind = "market" if order.kind == "stop" else "limit"
        order.rank = self.next_rank()
        order.is_new = True
        if self.asks is not None:
            if order.post_only and self.would_take(order):
                self.end(order, "cancelled")
            else:
                self.take_displayed(order)
            return
        assert price is not None
        if order.kind == "limit" and not self.is_reached(order, price):
            self.rest(order)
        elif order.post_only:
            self.end(order, "cancelled")
        else:
            self.take_traded(order, price)

    def rest(self, order: OracleOrder) -> None:
        order.is_new = False
        if order.tif in AT_ONCE:
            self.end(order, "cancelled")

    def take_displayed(self, order: OracleOrder) -> None:
        if not order.is_alive:
            return
        wanted = min(order.left, self.closable(order)) if order.reduce_only else order.left
        takes = self.within(order, wanted)
        whole = sum(quantity for _, quantity in takes) == order.left
        if wanted <= 0 or (order.tif == "fok" and not whole):
            self.end(order, "cancelled")
            return
        for price, quantity in takes:
            self.use(order.sign, price, quantity)
            self.fill(order, quantity, self.slipped(order, price), "taker")
        if order.is_alive:
            self.rest(order)

    def give_displayed(self, order: OracleOrder) -> None:
        if not order.is_alive:
            return
        wanted = min(order.left, self.closable(order)) if order.reduce_only else order.left
        takes = self.within(order, wanted)
        for price, quantity in takes:
            self.use(order.sign, price, quantity)
        total = sum((quantity for _, quantity in takes), Fraction(0))
        if total > 0 and order.price is not None:
            self.fill(order, total, order.price, "maker")

    def take_traded(self, order: OracleOrder, price: Fraction) -> None:
        if not order.is_alive:
            return
        quantity = self.allowed(order)
        is_stuck = order.reduce_only and self.closable(order) <= 0
        if is_stuck or (order.tif == "fok" and quantity < order.left):
            self.end(order, "cancelled")
        else:
            if quantity > 0:
                self.spend(quantity)
                self.fill(order, quantity, self.slipped(order, price), "taker")
            if order.is_alive:
                self.rest(order)

    def give_traded(self, order: OracleOrder, price: Fraction) -> None:
        quantity = self.allowed(order)
        if quantity > 0:
            self.spend(quantity)
            self.fill(order, quantity, price, "maker")

    def fill(self, order: OracleOrder, quantity: Fraction, price: Fraction, liquidity: str) -> None:
        assert quantity > 0
        bps = self.rules.maker_bps if liquidity == "maker" else self.rules.taker_bps
        fee = quantity * price * bps / 10_000
        who = order.account
        order.left -= quantity
        self.position[who] = self.position.get(who, Fraction(0)) + order.sign * quantity
        self.cash[who] = self.cash.get(who, Fraction(0)) - order.sign * quantity * price - fee
        self.market_cash += order.sign * quantity * price
        self.fees += fee
        if order.left == 0:
            order.is_alive = False
        self.facts.append(("filled", order.id, quantity, price, liquidity, fee))
        others = sorted(self.alive(), key=lambda o: (o is not order, o.rank))
        for other in others:
            if other.reduce_only and other.account == who and self.closable(other) <= 0:
                self.end(other, "cancelled")

    def end(self, order: OracleOrder, how: str) -> None:
        order.is_alive = False
        self.facts.append(("ended", order.id, how))

    # Looking things up

    def alive(self) -> list[OracleOrder]:
        return [order for order in self.orders if order.is_alive]

    def find(self, name: str) -> OracleOrder | None:
        return next((order for order in self.alive() if order.id == name), None)

    def by_rank(self, kind: str) -> list[OracleOrder]:
        found = [order for order in self.alive() if order.kind == kind]
        return sorted(found, key=lambda o: o.rank)

    def by_price(self, sign: int) -> list[OracleOrder]:
        found = [order for order in self.by_rank("limit") if order.sign == sign]
        return sorted(found, key=lambda o: (-sign * (o.price or 0), o.rank))

    def by_stop(self, sign: int) -> list[OracleOrder]:
        found = [
            order
            for order in self.alive()
            if order.kind in ("stop", "stop_limit") and order.sign == sign
        ]
        return sorted(found, key=lambda o: (sign * (o.stop or 0), o.rank))

    def best(self, sign: int) -> Fraction | None:
        levels = self.asks if sign > 0 else self.bids
        return levels[0][0] if levels else None

    def would_take(self, order: OracleOrder) -> bool:
        assert order.price is not None
        if self.asks is not None:
            best = self.best(order.sign)
            return best is not None and order.sign * (order.price - best) >= 0
        last = self.last_close if self.last_trade is None else self.last_trade
        return last is not None and order.sign * (order.price - last) > 0

    def is_reached(self, order: OracleOrder, price: Fraction) -> bool:
        assert order.price is not None
        beyond = order.sign * (order.price - price)
        return beyond > 0 or (beyond == 0 and self.rules.touch)

    def within(self, order: OracleOrder, wanted: Fraction) -> list[tuple[Fraction, Fraction]]:
        takes = []
        for price, left in (self.asks if order.sign > 0 else self.bids) or []:
            is_limit = order.price is not None and order.kind == "limit"
            if is_limit and order.sign * (price - (order.price or 0)) > 0:
                break
            quantity = wanted if left is None else min(wanted, left)
            if quantity > 0:
                takes.append((price, quantity))
                wanted -= quantity
        return takes

    def use(self, sign: int, price: Fraction, quantity: Fraction) -> None:
        levels = (self.asks if sign > 0 else self.bids) or []
        for number, (level, left) in enumerate(levels):
            if level == price and left is not None:
                levels[number] = (level, left - quantity)

    def closable(self, order: OracleOrder) -> Fraction:
        return max(Fraction(0), -order.sign * self.position.get(order.account, Fraction(0)))

    def allowed(self, order: OracleOrder) -> Fraction:
        quantity = min(order.left, self.closable(order)) if order.reduce_only else order.left
        return quantity if self.budget is None else min(quantity, self.budget)

    def spend(self, quantity: Fraction) -> None:
        if self.budget is not None:
            self.budget -= quantity

    def ours(self, size: Fraction | None) -> Fraction | None:
        if size is None:
            return None
        share = self.rules.share or Fraction(1)
        return floor(size * share / self.rules.lot) * self.rules.lot

    def share_of(self, size: Fraction) -> Fraction | None:
        return None if self.rules.share is None else self.ours(size)

    def slipped(self, order: OracleOrder, price: Fraction) -> Fraction:
        price += order.sign * abs(price) * self.rules.slippage_bps / 10_000
        to_grid = ceil if order.sign > 0 else floor
        price = to_grid(price / self.rules.tick) * self.rules.tick
        if order.kind == "limit" and order.price is not None:
            return min(price, order.price) if order.sign > 0 else max(price, order.price)
        return price

    def next_rank(self) -> int:
        self.rank += 1
        return self.rank


def is_met(order: OracleOrder, price: Fraction) -> bool:
    """Whether a stop's judging price is at its trigger or beyond."""
    assert order.stop is not None
    return order.sign * (price - order.stop) >= 0
