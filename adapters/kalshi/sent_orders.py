"""What the broker remembers of the orders that this process sent.

Bounded: what is forgotten is told as a report instead of a fact, which the core takes as well.
"""

import asyncio
from collections.abc import Hashable
from decimal import Decimal
from typing import TypeVar

import msgspec

from adapters.kalshi.messages import UserOrder
from adapters.kalshi.order_words import contracts, dollars, is_bid
from framework.model.commands import ModifyOrder, SubmitOrder
from framework.model.decimals import ZERO

REMEMBERED = 100_000
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SentOrder(msgspec.Struct, frozen=True, gc=False):
    """What an order asks for now."""

    is_bid: bool
    quantity: Decimal
    price: Decimal

    @classmethod
    def of_venue(cls, order: UserOrder) -> "SentOrder":
        """Return what an order of the venue asks for."""
        quantity = contracts(order.fill_count + order.remaining_count)
        return cls(order.outcome_side == "yes", quantity, dollars(order.yes_price))

    def changed(self, command: ModifyOrder) -> "SentOrder":
        """Return what it asks for after a change."""
        quantity = self.quantity if command.quantity is None else command.quantity
        price = self.price if command.price is None else command.price
        return SentOrder(self.is_bid, quantity, price)


class SentOrders:
    """Orders by our id; the venue's ids, ends and fills that were told."""

    def __init__(self) -> None:
        self._orders: dict[str, SentOrder] = {}
        self._venue_ids: dict[str, str] = {}
        self._order_ids: dict[str, str] = {}  # by the venue's id
        self._ended: dict[str, None] = {}
        self._fills: dict[tuple[str, str], None] = {}
        self._unanswered: dict[str, asyncio.Event] = {}

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._orders

    def begin(self, command: SubmitOrder) -> bool:
        """Remember an order that is about to leave; False: it left before and must not again."""
        if command.order_id in self._orders:
            return False
        intent = command.intent
        order = SentOrder(is_bid(intent.side), command.quantity, intent.price or ZERO)
        _keep(self._orders, command.order_id, order)
        self._unanswered[command.order_id] = asyncio.Event()
        return True

    def answered(self, order_id: str) -> None:
        """Its answer came, or none will."""
        self._unanswered.pop(order_id).set()

    async def wait(self, order_id: str) -> None:
        """Wait until the answer to a submission came, so that nothing overtakes it."""
        answer = self._unanswered.get(order_id)
        if answer is not None:
            await answer.wait()

    def get(self, order_id: str) -> SentOrder | None:
        """Return what an order asks for, if it is remembered."""
        return self._orders.get(order_id)

    def put(self, order_id: str, order: SentOrder) -> None:
        """Remember what it asks for now."""
        _keep(self._orders, order_id, order)

    def know(self, order_id: str, venue_order_id: str) -> bool:
        """Know an order by both ids; True: for the first time."""
        is_news = order_id not in self._venue_ids
        _keep(self._venue_ids, order_id, venue_order_id)
        _keep(self._order_ids, venue_order_id, order_id)
        return is_news

    def venue_order_id(self, order_id: str) -> str:
        """Return the venue's id of an order, "" if it is not known."""
        return self._venue_ids.get(order_id, "")

    def order_id(self, venue_order_id: str) -> str:
        """Return our id of an order of the venue's, "" if it is not known."""
        return self._order_ids.get(venue_order_id, "")

    def end(self, order_id: str) -> bool:
        """Note that its end is told; True: for the first time."""
        is_news = order_id not in self._ended
        _keep(self._ended, order_id, None)
        return is_news

    def is_new_fill(self, venue_order_id: str, trade_id: str) -> bool:
        """Note a fill; True: for the first time. Both sides of a trade may be ours."""
        is_news = (venue_order_id, trade_id) not in self._fills
        _keep(self._fills, (venue_order_id, trade_id), None)
        return is_news


def _keep(known: dict[K, V], key: K, value: V) -> None:
    """Put something in, and the oldest out where there is no room."""
    known[key] = value
    if len(known) > REMEMBERED:
        del known[next(iter(known))]
