"""What `buy` and `sell` return: a name for the order, and waits for what becomes of it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from framework.model.orders import Order, OrderStatus


class OrderSource(Protocol):
    """Where a handle looks its order up and waits for it."""

    def order(self, order_id: str) -> Order | None: ...
    async def order_when(
        self, order_id: str, condition: Callable[[Order], bool], timeout_s: float | None
    ) -> Order: ...


class OrderHandle:
    """One order of a strategy. A timeout or a cancelled wait never changes the order."""

    __slots__ = ("_last", "_source", "order_id")

    def __init__(self, order_id: str, source: OrderSource, last: Order | None = None) -> None:
        self.order_id = order_id
        self._source = source
        self._last = last

    @property
    def order(self) -> Order:
        """The order's whole state as of now."""
        order = self._source.order(self.order_id)
        if order is not None:
            self._last = order
        if self._last is None:
            raise KeyError(self.order_id)
        return self._last

    @property
    def status(self) -> OrderStatus:
        """Where the order stands."""
        return self.order.status

    @property
    def is_closed(self) -> bool:
        """No more fills are expected."""
        return self.order.is_closed

    @property
    def is_open(self) -> bool:
        """The order may still trade."""
        return not self.order.is_closed

    @property
    def filled_quantity(self) -> Decimal:
        """What has been filled so far."""
        return self.order.filled

    @property
    def reason(self) -> str:
        """Why the order was denied, rejected or ended; empty otherwise."""
        return self.order.reason

    async def accepted(self, timeout_s: float | None = None) -> Order:
        """Wait until the venue has the order or it is closed. Raises TimeoutError."""
        return await self._source.order_when(self.order_id, _is_accepted, timeout_s)

    async def filled(self, timeout_s: float | None = None) -> Order:
        """Wait until the order is filled or otherwise closed. Raises TimeoutError."""
        return await self._source.order_when(self.order_id, _is_closed, timeout_s)

    async def done(self, timeout_s: float | None = None) -> Order:
        """Wait until the order is closed. Raises TimeoutError."""
        return await self._source.order_when(self.order_id, _is_closed, timeout_s)

    def __repr__(self) -> str:
        return f"OrderHandle({self.order_id})"


_NOT_ACCEPTED = frozenset({OrderStatus.INITIALISED, OrderStatus.HELD, OrderStatus.SUBMITTED})


def _is_accepted(order: Order) -> bool:
    return order.status not in _NOT_ACCEPTED


def _is_closed(order: Order) -> bool:
    return order.is_closed
