"""Exits that wait for a fill too long are dropped: `SL_TP_TTL_HOURS` of market time (spec 9.9).

Only those of an entry of which nothing has filled; whatever rests protects a position and stays.
"""

import anyio
import structlog

from adapters.tektii.server_exit_table import OPEN
from adapters.tektii.server_settings import Place
from framework.errors import FrameworkError
from framework.model.decimals import ZERO
from framework.model.desk import DeskOrder, OrderQuery
from framework.model.orders import Exits

log = structlog.get_logger("gateway")

NS_PER_HOUR = 3_600_000_000_000
LOOK_S = 60.0  # from one look at the open orders to the next
NO_EXITS = Exits()


class ExitAges:
    """Looks once a minute; a paced run has none of it, as its time is not the transport's."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._limit_ns = round(place.settings.exit_ttl_hours * NS_PER_HOUR)

    async def run(self) -> None:
        """Drop what is too old, until cancelled."""
        if not self._limit_ns or self._place.desk.is_paced:
            return
        while True:
            with anyio.move_on_after(LOOK_S):
                await anyio.sleep_forever()
            await self.drop_old()

    async def drop_old(self) -> None:
        """Drop the waiting exits that are too old by now."""
        place = self._place
        query = OrderQuery(statuses=OPEN, until_ns=place.now_ns - self._limit_ns)
        for order in await place.desk.orders(place.owner, query):
            if order.order.run not in place.runs or not waits_with_exits(order):
                continue
            name = order.order.order_id
            try:
                await place.desk.modify(place.owner, name, exits=NO_EXITS)
            except FrameworkError as error:  # it ended or filled meanwhile
                log.warning("exits_not_dropped", order=name, reason=str(error))
            else:
                hours = place.settings.exit_ttl_hours
                log.warning("exits_expired", order=name, hours=hours)


def waits_with_exits(order: DeskOrder) -> bool:
    """Tell whether an order is an entry of which nothing has filled, with exits to come."""
    has_exits = order.stop_loss is not None or order.take_profit is not None
    return has_exits and not order.order.parent and order.order.filled == ZERO
