"""How many exits wait or rest: beyond the most there may be an order is refused up front (9.1)."""

from adapters.tektii.server_errors import unavailable
from adapters.tektii.server_settings import Place
from framework.model.desk import DeskOrder, OrderQuery
from framework.model.orders import CLOSED_STATUSES, Exits, OrderStatus
from framework.model.records import HoldRole

OPEN = frozenset(OrderStatus) - CLOSED_STATUSES
RECOUNT_S = 1.0
FULL_RETRY_S = 5.0


class ExitTable:
    """Counts exits as they are asked for, and anew from the orders when the count is at its limit.

    Counting costs a look at every open order, so while the table stays full that is done once a
    second at most.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._limit = place.settings.max_exits
        self._count: int | None = None  # not counted since the start
        self._counted_s = 0.0

    async def take(self, exits: Exits) -> None:
        """Make room for the exits of one more order.

        Raises:
            GatewayRefusal: the table is full.
        """
        wanted = legs_of(exits)
        if self._count is None or (self._count + wanted > self._limit and self._is_due()):
            self._count = 0  # so that others do not count at the same time
            self._counted_s = self._place.context.now_s()
            query, runs = OrderQuery(statuses=OPEN), self._place.runs
            found = await self._place.desk.orders(self._place.owner, query)
            self._count += exits_among([one for one in found if one.order.run in runs])
        if self._count + wanted > self._limit:
            reason = f"there are {self._count} exits, and no more than {self._limit} are kept"
            raise unavailable(reason, FULL_RETRY_S)
        self._count += wanted

    def _is_due(self) -> bool:
        return self._place.context.now_s() - self._counted_s >= RECOUNT_S


def legs_of(exits: Exits) -> int:
    """Return how many exits these are."""
    return sum(one is not None for one in (exits.stop_loss, exits.take_profit, exits.trail))


def exits_among(open_orders: list[DeskOrder]) -> int:
    """Return how many exits open orders are, or wait to have once they fill."""
    legs: set[tuple[str, HoldRole]] = {
        (one.order.parent, one.role)
        for one in open_orders
        if one.role is not None and one.role is not HoldRole.ENTRY and one.order.parent
    }
    for one in open_orders:
        exits = one.intent.exits
        if exits is None or one.order.parent:
            continue
        for role, wanted in (
            (HoldRole.STOP_LOSS, exits.stop_loss),
            (HoldRole.TAKE_PROFIT, exits.take_profit),
            (HoldRole.TRAIL, exits.trail),
        ):
            if wanted is not None:
                legs.add((one.order.order_id, role))
    return len(legs)
