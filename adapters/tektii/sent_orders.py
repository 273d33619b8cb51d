"""What a broker remembers of orders: whose they are, what of them was told, what is still owed.

A gateway names an order by an id of its own, a replacement by another one; ours is the same all
along. Bounded: what is forgotten is told as a report instead of a fact, which the core takes too.
"""

import asyncio
from decimal import Decimal
from typing import TypeVar

import msgspec

from framework.model.decimals import ZERO, add
from framework.model.reports import OrderEnded

K = TypeVar("K")
V = TypeVar("V")

REMEMBERED = 100_000


class SentOrder(msgspec.Struct, gc=False):
    """One order that this process sent.

    `answered` is set once the submit's answer came or never will; `changing` counts changes without
    an answer. `end` waits until every fill before it is told.
    """

    order_id: str
    answered: asyncio.Event
    venue_order_id: str = ""
    changing: int = 0
    is_accepted: bool = False
    is_over: bool = False
    end: OrderEnded | None = None


class Orders:
    """Orders of this process by our id, and of everybody by the gateway's."""

    def __init__(self, capacity: int = REMEMBERED) -> None:
        self._capacity = capacity
        self._sent: dict[str, SentOrder] = {}
        self._names: dict[str, str] = {}  # the gateway's id -> the client id, "" if it has none
        self._replaced: dict[str, str] = {}  # an id that another order has taken the place of
        self._filled: dict[str, Decimal] = {}  # by the gateway's id, of the trades that were told
        self._trades: dict[str, None] = {}

    def begin(self, order_id: str) -> SentOrder | None:
        """Remember an order that is about to leave; None: it left before and must not again."""
        if order_id in self._sent:
            return None
        order = SentOrder(order_id, asyncio.Event())
        _keep(self._sent, order_id, order, self._capacity)
        return order

    def sent(self, order_id: str) -> SentOrder | None:
        """Return an order by our id, if this process sent it."""
        return self._sent.get(order_id)

    @property
    def working(self) -> list[SentOrder]:
        """The orders of this process of which no end is known."""
        return [order for order in self._sent.values() if not order.is_over]

    def learn(self, venue_order_id: str, order_id: str) -> None:
        """Remember whose an id of the gateway's is; what has no client id has "" as its name."""
        if not venue_order_id or (not order_id and venue_order_id in self._names):
            return
        _keep(self._names, venue_order_id, order_id, self._capacity)
        order = self._sent.get(order_id)
        if order is not None and venue_order_id not in self._replaced:
            order.venue_order_id = venue_order_id

    def replace(self, old_id: str, new_id: str) -> None:
        """Remember that an order goes on under another id."""
        _keep(self._replaced, old_id, new_id, self._capacity)
        self.learn(new_id, self._names.get(old_id, ""))

    def is_replaced(self, venue_order_id: str) -> bool:
        """Whether another order has taken its place: its end is none of ours."""
        return venue_order_id in self._replaced

    def name(self, venue_order_id: str) -> str | None:
        """Return the client id behind an id of the gateway's; None: it is not known."""
        return self._names.get(venue_order_id)

    def is_told(self, trade_id: str) -> bool:
        """Whether a trade was told."""
        return trade_id in self._trades

    def is_new_trade(self, trade_id: str) -> bool:
        """Take a trade's id; tell whether it is the first time."""
        if trade_id in self._trades:
            return False
        _keep(self._trades, trade_id, None, self._capacity)
        return True

    def add_fill(self, venue_order_id: str, quantity: Decimal) -> None:
        """Count a trade that is told now."""
        filled = add(self.filled(venue_order_id), quantity)
        self._filled.pop(venue_order_id, None)
        _keep(self._filled, venue_order_id, filled, self._capacity)

    def filled(self, venue_order_id: str) -> Decimal:
        """Return how much of an order was told as filled."""
        return self._filled.get(venue_order_id, ZERO)


def _keep(memory: dict[K, V], key: K, value: V, capacity: int) -> None:
    """Remember a pair; the oldest goes when there is no room."""
    memory[key] = value
    if len(memory) > capacity:
        del memory[next(iter(memory))]
