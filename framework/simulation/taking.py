"""At which price a taker trades: the quoted one with slippage, never beyond the order's limit."""

from decimal import Decimal

from framework.model.instrument import Instrument
from framework.model.orders import OrderType
from framework.simulation.costs import CostModel
from framework.simulation.resting import VenueOrder

_MARKET = OrderType.MARKET
_PRICES_KEPT = 4_096


class TakingPrices:
    """One instrument's, each worked out once per quoted price and side."""

    __slots__ = ("_buys", "_costs", "_instrument", "_sells")

    def __init__(self, instrument: Instrument, costs: CostModel) -> None:
        self._instrument = instrument
        self._costs = costs
        self._buys: dict[float, Decimal] = {}
        self._sells: dict[float, Decimal] = {}

    def of(self, order: VenueOrder, price: float) -> Decimal:
        """Return what an order gets that takes where `price` is quoted."""
        prices = self._buys if order.is_buy else self._sells
        taking = prices.get(price)
        if taking is None:
            if len(prices) == _PRICES_KEPT:
                prices.clear()
            taking = prices[price] = self._costs.taking_price(self._instrument, order.side, price)
        limit = order.limit
        if limit is None or order.kind is _MARKET:
            return taking
        return min(taking, limit) if order.is_buy else max(taking, limit)
