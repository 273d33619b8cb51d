"""Turns what happens to orders at a simulated venue into published order facts.

Holds what every fact needs: the time of the step, the counters behind venue order ids and
execution ids, the working orders by id, and the net position per account and instrument that
reduce-only orders are judged by.
"""

from collections.abc import Callable
from decimal import Decimal

from framework.model.decimals import ZERO, add, negate, subtract
from framework.model.orders import Liquidity
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderFact,
    OrderFilled,
    OrderReplaced,
    OrderTriggered,
    RequestKind,
    RequestRefused,
)
from framework.simulation.costs import CostModel
from framework.simulation.resting import VenueOrder

_CANCELLED = EndKind.CANCELLED


class Executions:
    """The venue's own record; the venue sets `now_ns` at the start of each step, once.

    Ids begin with `venue` and, from a journal's second process start on, its `epoch`: the counters
    begin again then, and no execution may ever be taken for another.
    """

    def __init__(
        self,
        venue: str,
        publish: Callable[[OrderFact], None],
        costs: CostModel,
        *,
        epoch: int = 1,
    ) -> None:
        self.now_ns = 0
        self.working: dict[str, VenueOrder] = {}
        self._prefix = f"{venue}-" if epoch == 1 else f"{venue}-{epoch}-"
        self._publish = publish
        self._charges = costs.charges
        self._net: dict[tuple[str, str], Decimal] = {}
        self._order_count = 0
        self._execution_count = 0
        self._place = 0

    def next_place(self) -> int:
        """Return the next time priority."""
        self._place += 1
        return self._place

    def next_order_id(self) -> str:
        """Return the next venue order id: `<venue>-<n>`, n from 1."""
        self._order_count += 1
        return self._prefix + str(self._order_count)

    def net(self, account: str, instrument: str) -> Decimal:
        """Return the signed quantity that `account` holds by its fills here."""
        return self._net.get((account, instrument), ZERO)

    def adopt(self, account: str, instrument: str, quantity: Decimal) -> None:
        """Start from a position that was made before this venue was: a restart of paper trading."""
        self._net[(account, instrument)] = quantity

    def reducible(self, order: VenueOrder) -> Decimal:
        """Return how much of the account's position the order's side can close."""
        net = self._net.get((order.account, order.instrument.id), ZERO)
        return max(ZERO, negate(net) if order.is_buy else net)

    def accepted(self, order: VenueOrder) -> None:
        """Take the order in."""
        self.working[order.order_id] = order
        self._publish(OrderAccepted(order.order_id, self.now_ns, order.venue_order_id))

    def filled(
        self, order: VenueOrder, quantity: Decimal, price: Decimal, liquidity: Liquidity
    ) -> None:
        """Book one execution; the order closes when nothing remains."""
        instrument = order.instrument
        fees = self._charges(
            instrument, order.side, quantity, price, liquidity, is_first=not order.has_traded
        )
        order.has_traded = True
        if quantity == order.remaining:
            order.remaining = ZERO
            self._close(order)
        else:
            order.remaining = subtract(order.remaining, quantity)
        key = (order.account, instrument.id)
        net = self._net.get(key, ZERO)
        self._net[key] = add(net, quantity) if order.is_buy else subtract(net, quantity)
        self._execution_count = count = self._execution_count + 1
        execution_id = self._prefix + str(count)
        self._publish(
            OrderFilled(order.order_id, execution_id, quantity, price, self.now_ns, fees, liquidity)
        )

    def triggered(self, order: VenueOrder) -> None:
        """Tell that a stop's condition was met."""
        self._publish(OrderTriggered(order.order_id, self.now_ns))

    def replaced(self, order: VenueOrder) -> None:
        """Tell the order's new quantity and prices."""
        self._publish(
            OrderReplaced(
                order_id=order.order_id,
                revision=order.revision,
                quantity=order.quantity,
                time_ns=self.now_ns,
                price=order.limit,
                stop_price=order.stop,
                venue_order_id=order.venue_order_id,
            )
        )

    def cancelled(self, order: VenueOrder, reason: str) -> None:
        """End a working order without a fill."""
        self.ended(order, _CANCELLED, reason)

    def ended(self, order: VenueOrder, kind: EndKind, reason: str) -> None:
        """End a working order as `kind`."""
        self._close(order)
        self._publish(OrderEnded(order.order_id, kind, self.now_ns, reason))

    def rejected(self, order_id: str, reason: str) -> None:
        """Tell that a submitted order was not taken in."""
        self._publish(OrderEnded(order_id, EndKind.REJECTED, self.now_ns, reason))

    def refused(self, order_id: str, request: RequestKind, reason: str) -> None:
        """Tell that a request was not followed; the order goes on as it was."""
        self._publish(RequestRefused(order_id, request, reason, self.now_ns))

    def _close(self, order: VenueOrder) -> None:
        order.is_open = False
        del self.working[order.order_id]
        if order.timer is not None:
            order.timer.cancel()
            order.timer = None
        if order.part_timer is not None:
            order.part_timer.cancel()
            order.part_timer = None
