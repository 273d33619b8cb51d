"""What is told of an order: its creation first and once, its changes, one end last and once.

    the core's order is                          told as
    asked for, not yet taken                     nothing
    taken (at the venue, or kept by the core)    ORDER_CREATED
    changed in quantity, a price or its exits    ORDER_MODIFIED
    filled further                               ORDER_PARTIALLY_FILLED, ORDER_FILLED
    at its end                                   ORDER_FILLED, _CANCELLED, _EXPIRED, _REJECTED

A fill or an end that comes before the acceptance is told after an ORDER_CREATED as the order then
was. What still changes once the end was told (an execution that arrives late, or was corrected)
is an ORDER_MODIFIED. A trailing stop that moves is told at most every 250 ms; the last move is
never left out.

Source: sections 8.1, 10 and 11.7 of the gateway's description.
"""

from collections import OrderedDict
from decimal import Decimal

import msgspec

from adapters.tektii.wire import OrderEventType
from framework.model.decimals import ZERO
from framework.model.desk import DeskOrder
from framework.model.orders import Order, OrderStatus, OrderType, RequestState
from framework.model.records import HoldRole

RATCHET_NS = 250_000_000
KEPT_ENDED = 65_536  # orders that have ended, in case that more is heard of them
UNTAKEN = (OrderStatus.INITIALISED, OrderStatus.SUBMITTED)  # a set would hash what is looked up
ENDS = {
    OrderStatus.FILLED: OrderEventType.ORDER_FILLED,
    OrderStatus.CANCELLED: OrderEventType.ORDER_CANCELLED,
    OrderStatus.EXPIRED: OrderEventType.ORDER_EXPIRED,
    OrderStatus.REJECTED: OrderEventType.ORDER_REJECTED,
    OrderStatus.DENIED: OrderEventType.ORDER_REJECTED,
}
REFUSED = (OrderStatus.REJECTED, OrderStatus.DENIED)

Telling = tuple[OrderEventType, DeskOrder]


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What may change of an order while it works."""

    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None


class Told(msgspec.Struct, gc=False):
    """How far an order's story has been told; `newest` waits for a trailing stop's next turn."""

    terms: Terms
    filled: Decimal = ZERO
    is_created: bool = False
    is_over: bool = False
    ratchet_ns: int | None = None
    newest: Order | None = None
    is_arranged: bool = False

    @property
    def due_ns(self) -> int:
        """When the next move of a trailing stop may be told."""
        return 0 if self.ratchet_ns is None else self.ratchet_ns + RATCHET_NS


class OrderStories:
    """The stories of all orders; orders made before `since_ns` count as created already."""

    def __init__(self, since_ns: int) -> None:
        self._since_ns = since_ns
        self._open: dict[str, Told] = {}
        self._ended: OrderedDict[str, Told] = OrderedDict()

    def __len__(self) -> int:
        """Return how many orders are remembered."""
        return len(self._open) + len(self._ended)

    def know(self, entry: DeskOrder) -> None:
        """Take an order as it stands for told: it was there before anybody listened."""
        told = Told(_terms(entry), entry.order.filled, is_created=True)
        self._keep(entry.order, told)

    def hear(self, entry: DeskOrder, now_ns: int) -> list[Telling]:
        """Return what is to be told of an order after a change, in order."""
        order = entry.order
        if order.is_redelivered:
            self.know(entry)
            return []
        terms = _terms(entry)
        told = self._open.get(order.order_id) or self._ended.get(order.order_id)
        if told is None:
            is_known = order.created_ns < self._since_ns
            told = Told(terms, order.filled if is_known else ZERO, is_created=is_known)
        tellings = self._tell(told, entry, terms, now_ns)
        self._keep(order, told)
        return tellings

    def arrange(self, order_id: str) -> int | None:
        """Return when to call `take_due` for a move that is held back; None: nothing new is."""
        told = self._open.get(order_id)
        if told is None or told.newest is None or told.is_arranged:
            return None
        told.is_arranged = True
        return told.due_ns

    def take_due(self, order_id: str, now_ns: int) -> Order | None:
        """Return the held-back move of a trailing stop once it is due, which counts as told then.

        None where something else was told meanwhile; `arrange` again.
        """
        told = self._open.get(order_id)
        if told is None:
            return None
        told.is_arranged = False
        if told.newest is None or now_ns < told.due_ns:
            return None
        order, told.newest = told.newest, None
        told.ratchet_ns = now_ns
        told.terms = msgspec.structs.replace(told.terms, stop_price=order.stop_price)
        return order

    def _tell(self, told: Told, entry: DeskOrder, terms: Terms, now_ns: int) -> list[Telling]:
        order = entry.order
        tellings: list[Telling] = []
        if not told.is_created:
            if order.status in UNTAKEN and not order.filled:
                return []
            told.is_created = True
            is_plain = not order.filled and not order.is_closed
            tellings.append((OrderEventType.ORDER_CREATED, entry if is_plain else _before(entry)))
            told.terms = terms
        event = self._event_of(told, entry, terms, now_ns)
        if event is not None:
            told.newest = None
            told.terms, told.filled = terms, order.filled
            tellings.append((event, entry))
        return tellings

    def _event_of(
        self, told: Told, entry: DeskOrder, terms: Terms, now_ns: int
    ) -> OrderEventType | None:
        """Return what is to be told, None where nothing is, or not yet."""
        order = entry.order
        if order.is_closed and not told.is_over:
            told.is_over = True
            return ENDS[order.status]
        has_filled = order.filled > told.filled
        if has_filled and not told.is_over:
            return OrderEventType.ORDER_PARTIALLY_FILLED
        if order.filled == told.filled and terms == told.terms:
            return None
        if _is_ratchet(told.terms, terms, entry) and order.filled == told.filled:
            if now_ns < told.due_ns:
                told.newest = order
                return None
            told.ratchet_ns = now_ns
        return OrderEventType.ORDER_MODIFIED

    def _keep(self, order: Order, told: Told) -> None:
        if not order.is_closed:
            self._open[order.order_id] = told
            return
        told.is_over = True
        told.newest = None
        self._open.pop(order.order_id, None)
        self._ended[order.order_id] = told
        if len(self._ended) > KEPT_ENDED:
            self._ended.popitem(last=False)


def _terms(entry: DeskOrder) -> Terms:
    order = entry.order
    return Terms(order.quantity, order.price, order.stop_price, entry.stop_loss, entry.take_profit)


def _is_ratchet(before: Terms, terms: Terms, entry: DeskOrder) -> bool:
    """Tell whether nothing but the stop of a trailing order has moved."""
    return (
        is_trailing(entry) and msgspec.structs.replace(before, stop_price=terms.stop_price) == terms
    )


def is_trailing(entry: DeskOrder) -> bool:
    """Tell whether an order's stop follows the market."""
    return entry.order.type is OrderType.TRAILING_STOP or entry.role is HoldRole.TRAIL


def _before(entry: DeskOrder) -> DeskOrder:
    """Return an order as it was when it was taken, before anything else was heard of it."""
    order = entry.order
    taken = msgspec.structs.replace(
        order,
        status=OrderStatus.SUBMITTED if order.status in REFUSED else OrderStatus.ACCEPTED,
        filled=ZERO,
        average_price=None,
        time_ns=order.created_ns,
        cancel_state=RequestState.NONE,
        reason="",
    )
    return msgspec.structs.replace(entry, order=taken)
