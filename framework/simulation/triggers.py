"""Which stops of an instrument are met: the price that judges each, by its `trigger_by`.

    bid_ask   the side the stop would hit; trades and candles only where there is no bid or ask
    last      trades and candles; the side it would hit only until the first trade
    mark      the mark price alone

The functions return orders nearest trigger first, buys before sells; the caller triggers those
that are still open when their turn comes.
"""

from framework.interfaces import MarketView
from framework.model.orders import TriggerBy
from framework.simulation.offers import Offers
from framework.simulation.resting import RestingOrders, VenueOrder

_LAST, _BID_ASK, _MARK = TriggerBy.LAST, TriggerBy.BID_ASK, TriggerBy.MARK


class StopTriggers:
    """Judges the stops of one instrument."""

    __slots__ = ("_id", "_market", "_offers", "_resting")

    def __init__(
        self, instrument: str, market: MarketView, offers: Offers, resting: RestingOrders
    ) -> None:
        self._id = instrument
        self._market = market
        self._offers = offers
        self._resting = resting

    def is_met_on_arrival(self, order: VenueOrder) -> bool:
        """Whether a stop that arrives where quotes or a book stand is triggered at once."""
        price: float | None
        trade = self._market.trade(self._id) if order.trigger_by is _LAST else None
        if order.trigger_by is _MARK:
            price = self._mark()
        elif trade is not None:
            price = trade.price
        else:
            price = self._offers.best(for_buy=order.is_buy)
        return price is not None and order.is_met(price)

    def met_by_standing(self) -> list[VenueOrder]:
        """Return the stops that the quote or book meets."""
        resting = self._resting
        if not (resting.buy_stops or resting.sell_stops):
            return []
        no_trades = self._market.trade(self._id) is None
        met: list[VenueOrder] = []
        for shelf in (resting.buy_stops, resting.sell_stops):
            best = self._offers.best(for_buy=shelf is resting.buy_stops) if shelf else None
            if best is not None:
                met += _met(shelf, best, last=no_trades, bid_ask=True)
        return met

    def met_by_price(self, price: float, *, bid_ask: bool) -> list[VenueOrder]:
        """Return the stops that a traded price meets; `bid_ask`: it stands for bid and ask."""
        resting = self._resting
        return _met(resting.buy_stops, price, last=True, bid_ask=bid_ask) + _met(
            resting.sell_stops, price, last=True, bid_ask=bid_ask
        )

    def met_by_mark(self) -> list[VenueOrder]:
        """Return the stops that the mark price meets."""
        resting = self._resting
        mark = self._mark() if resting.mark_stop_count else None
        if mark is None:
            return []
        stops = (*resting.buy_stops, *resting.sell_stops)
        return [order for order in stops if order.trigger_by is _MARK and order.is_met(mark)]

    def _mark(self) -> float | None:
        mark = self._market.mark_price(self._id)
        return None if mark is None else mark.price


def _met(shelf: list[VenueOrder], price: float, *, last: bool, bid_ask: bool) -> list[VenueOrder]:
    met: list[VenueOrder] = []
    for order in shelf:
        if not order.is_met(price):
            break
        if (order.trigger_by is _LAST and last) or (order.trigger_by is _BID_ASK and bid_ask):
            met.append(order)
    return met
