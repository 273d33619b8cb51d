"""Closed orders leave memory: the log answers for them from then on (R-53)."""

from collections import deque
from collections.abc import Callable

from framework.model.reports import OrderFact
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry

KEPT = 10_000  # closed orders: a kilobyte each, and almost every late question is about these


class ClosedOrders:
    """Releases the oldest closed orders beyond `kept`, each once its last entry is durable.

    Attributes:
        is_needed: tells whether a closed order must stay, because others hang on it.
    """

    def __init__(
        self, registry: OrderRegistry, position: Callable[[], int], *, kept: int = KEPT
    ) -> None:
        self.is_needed: Callable[[OrderState], bool] = _never
        self._registry = registry
        self._position = position
        self._kept = kept
        closed = (order.order_id for order in registry if order.facts.is_closed)
        self._closed = deque((position(), order_id) for order_id in closed)

    def after_change(self, order: OrderState, _fact: OrderFact | None) -> None:
        """Note that an order is closed as of the log's position."""
        if order.facts.is_closed:
            self._closed.append((self._position(), order.order_id))

    def evict(self, durable_position: int) -> None:
        """Release what may go; called when more of the log has become durable."""
        closed = self._closed
        for _ in range(len(closed) - self._kept):
            if closed[0][0] > durable_position:
                return
            _, order_id = closed.popleft()
            order = self._registry.get(order_id)
            if order is not None and self.is_needed(order):
                closed.append((self._position(), order_id))
            else:
                self._registry.release(order_id)


def _never(order: OrderState) -> bool:
    return False
