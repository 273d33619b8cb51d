"""The members of the exchange: their cash, orders, positions, and what their orders reserve.

A resting order reserves what it would pay: p per contract for a bid, 1 - p for an ask. Contracts
that close a position reserve nothing; the position covers the orders that fill first, those at
the best price. Bids and asks of one market add up although not both can open a position: the
larger of the two would not do, as a fill on one side can cost more than it spares on the other.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from adapters.kalshi.simulated.domain import (
    DOLLAR,
    Fill,
    Order,
    Position,
    Refusal,
    Settlement,
)
from adapters.kalshi.simulated.exchange_settings import AccountSettings, ExchangeSettings
from adapters.kalshi.simulated.identity import UuidSource
from framework.interfaces import TimerHandle


class Account:
    """One member."""

    def __init__(
        self, settings: AccountSettings, *, user_id: str, creator_id: str, kept: ExchangeSettings
    ) -> None:
        self.name = settings.name
        self.key_id = settings.key_id
        self.user_id = user_id
        self.creator_id = creator_id  # what other members see of it
        self.is_background = settings.is_background
        self.cash = settings.cash
        self.positions: dict[str, Position] = {}
        self.orders: dict[str, Order] = {}  # resting and ended, in order of creation
        self.resting: dict[str, dict[str, Order]] = {}  # ticker -> order id -> order
        self.resting_count = 0
        self.fills: deque[Fill] = deque(maxlen=kept.fills_kept)
        self.settlements: deque[Settlement] = deque(maxlen=kept.fills_kept)
        self.expiries: dict[str, TimerHandle] = {}
        self._order_ids: dict[str, str] = {}  # by client order id
        self._ended: deque[str] = deque()
        self._orders_kept = 0 if self.is_background else kept.orders_kept
        self._reserved: dict[str, int] = {}
        self._reserved_total = 0
        self._outdated: dict[str, None] = {}  # markets whose reserve must be counted again

    def position(self, ticker: str) -> Position:
        """Return what it holds in a market."""
        held = self.positions.get(ticker)
        return held or Position(account=self.name, user_id=self.user_id, ticker=ticker)

    def put_position(self, position: Position) -> None:
        """Keep a position as it is now."""
        self.positions[position.ticker] = position
        self._outdated[position.ticker] = None

    def forget_market(self, ticker: str) -> None:
        """Forget a market in which nothing rests and nothing is held."""
        self.positions.pop(ticker, None)
        self.resting.pop(ticker, None)
        self._reserved_total -= self._reserved.pop(ticker, 0)
        self._outdated.pop(ticker, None)

    def order(self, order_id: str) -> Order:
        """Return an order. Raises Refusal 404."""
        order = self.orders.get(order_id)
        if order is None:
            raise Refusal(404, "not_found", f"no order {order_id!r}")
        return order

    def resting_order(self, order_id: str) -> Order:
        """Return an order that rests. Raises Refusal 404."""
        order = self.order(order_id)
        if order.status != "resting":
            raise Refusal(404, "not_found", f"order {order_id!r} is {order.status}")
        return order

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        """Return the order its owner gave this id, or None."""
        order_id = self._order_ids.get(client_order_id)
        return self.orders.get(order_id) if order_id else None

    def put_order(self, order: Order) -> None:
        """Keep an order as it is now."""
        self.orders[order.order_id] = order
        self._order_ids[order.client_order_id] = order.order_id
        self._outdated[order.ticker] = None
        resting = self.resting.get(order.ticker)
        if order.status == "resting":
            if resting is None:
                resting = self.resting[order.ticker] = {}
            self.resting_count += order.order_id not in resting
            resting[order.order_id] = order
            return
        if resting and resting.pop(order.order_id, None):
            self.resting_count -= 1
        if timer := self.expiries.pop(order.order_id, None):
            timer.cancel()
        self._ended.append(order.order_id)
        while len(self._ended) > self._orders_kept:
            forgotten = self.orders.pop(self._ended.popleft())
            del self._order_ids[forgotten.client_order_id]

    def rename_order(self, order: Order, client_order_id: str) -> Order:
        """Return the order under a new client order id; the old one is free again."""
        del self._order_ids[order.client_order_id]
        return msgspec.structs.replace(order, client_order_id=client_order_id)

    @property
    def available(self) -> int:
        """Cash that no resting order reserves."""
        for ticker in self._outdated:
            reserved = reserve(
                self.resting.get(ticker, {}).values(), self.position(ticker).position
            )
            self._reserved_total += reserved - self._reserved.get(ticker, 0)
            self._reserved[ticker] = reserved
        self._outdated.clear()
        return self.cash - self._reserved_total

    def shortfall(self, candidate: Order, *, replaces: str, fee: int) -> int:
        """How much is missing for an order that arrives; `fee` is the most it may cost.

        What it closes pays its own fee, as far as it goes. `replaces` is the id of the order
        that it amends, or "".
        """
        available = self.available
        position = self.position(candidate.ticker).position
        others = [
            order
            for order in self.resting.get(candidate.ticker, {}).values()
            if order.order_id != replaces
        ]
        needed = reserve([*others, candidate], position)
        held = -position if candidate.is_bid else position
        closing = min(candidate.remaining_count, max(0, held))
        proceeds = closing * (DOLLAR - leg_price(candidate))
        free = available + self._reserved.get(candidate.ticker, 0)
        return needed + max(0, fee - proceeds) - free


class Accounts:
    """All members, by name."""

    def __init__(self, settings: ExchangeSettings, make_id: UuidSource) -> None:
        self._accounts: dict[str, Account] = {}
        for account in settings.accounts:
            self._accounts[account.name] = Account(
                account,
                user_id=account.user_id or make_id(),
                creator_id=make_id(),
                kept=settings,
            )

    def __getitem__(self, name: str) -> Account:
        account = self._accounts.get(name)
        if account is None:
            raise Refusal(401, "authentication_error", f"no account {name!r}")
        return account

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def names(self) -> list[str]:
        """Return the names, in the order of the settings."""
        return list(self._accounts)


def leg_price(order: Order) -> int:
    """What one contract of an order costs: p for a bid, 1 - p for an ask."""
    return order.yes_price if order.is_bid else DOLLAR - order.yes_price


def reserve(orders: Iterable[Order], position: int) -> int:
    """How much money orders of one market reserve."""
    bids: list[Order] = []
    asks: list[Order] = []
    for order in orders:
        (bids if order.is_bid else asks).append(order)
    return _uncovered(bids, max(0, -position)) + _uncovered(asks, max(0, position))


def _uncovered(orders: Sequence[Order], cover: int) -> int:
    if cover:
        orders = sorted(orders, key=leg_price, reverse=True)  # what fills first
    total = 0
    for order in orders:
        covered = min(cover, order.remaining_count)
        cover -= covered
        total += (order.remaining_count - covered) * leg_price(order)
    return total
