"""The place of our resting orders in the displayed queue at their price.

The size displayed when an order comes to rest is ahead of it. A trade at the price uses up the
queue from the front; what others cancel counts as behind us until the displayed size is
smaller than our place. An unknown place (None) fills only when the price trades through it.
"""

from collections.abc import Callable
from decimal import Decimal

from framework.model.decimals import ZERO, subtract
from framework.model.instrument import Instrument, to_decimal
from framework.model.market_data import Aggressor, Trade
from framework.simulation.offers import Offers
from framework.simulation.resting import RestingOrders, VenueOrder

_BUYER, _SELLER = Aggressor.BUYER, Aggressor.SELLER


def shrink_queues(resting: RestingOrders, offers: Offers) -> None:
    """Let the displayed sizes bound the queue before each order."""
    for order in (*resting.buys, *resting.sells):
        size = offers.queue_size(order)
        if size is not None:
            order.ahead = size if order.ahead is None else min(order.ahead, size)


def advance_queues(
    resting: RestingOrders,
    trade: Trade,
    instrument: Instrument,
    make_up_to: Callable[[VenueOrder, Decimal], Decimal],
) -> None:
    """Let a trade use up the queue at its price, then the orders behind it.

    `make_up_to(order, quantity)` fills an order with at most that and returns how much it took.
    """
    for shelf, own_side in ((resting.buys, _BUYER), (resting.sells, _SELLER)):
        if trade.aggressor is own_side:  # it took from the other side
            continue
        left = to_decimal(trade.size)  # after our own earlier orders
        for order in shelf[:]:
            ahead = order.ahead
            if order.limit_at != trade.price or order.is_fresh or ahead is None:
                continue
            order.ahead = max(ZERO, subtract(ahead, left))
            reached = instrument.round_quantity(subtract(left, ahead))
            if reached > ZERO and order.is_open:
                left = subtract(left, make_up_to(order, reached))
