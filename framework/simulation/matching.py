"""Matches the orders of one instrument against quotes, books, trades and candles.

Against quotes and books ("standing" data) an arriving order takes the displayed sizes at once;
what rests fills at its own price when the opposite side reaches it. Where there is neither, an
order waits for the next trade, or the first candle that opens after it arrived, and is judged
there for the first time. Order of events at one quote, trade or candle open:

    1. market orders that wait, in order of arrival
    2. limit orders, buys then sells, each by price and time
    3. stops that are triggered, buys then sells, nearest trigger first, each acting at once

The market always trades on its recorded course: our orders do not move it. Where the fill model
parts orders, one that has traded its first part is out of reach until `continue_parted`.
"""

from collections.abc import Callable
from decimal import Decimal

from framework.interfaces import MarketView
from framework.model.decimals import ZERO, add, subtract
from framework.model.instrument import Instrument
from framework.model.market_data import Candle, Quote, Trade
from framework.model.orders import Liquidity, OrderType, TimeInForce
from framework.model.reports import EndKind
from framework.simulation.costs import CostModel
from framework.simulation.executions import Executions
from framework.simulation.fills import FillModel
from framework.simulation.offers import Offers
from framework.simulation.queues import advance_queues, shrink_queues
from framework.simulation.resting import RestingOrders, VenueOrder, is_stop
from framework.simulation.taking import TakingPrices
from framework.simulation.triggers import StopTriggers

_MARKET, _LIMIT, _STOP = OrderType.MARKET, OrderType.LIMIT, OrderType.STOP
_IOC, _FOK = TimeInForce.IOC, TimeInForce.FOK
_MAKER, _TAKER = Liquidity.MAKER, Liquidity.TAKER
_FOR_EVER = 1 << 63

NOTHING_TO_TAKE = "nothing left to take at once"
NOT_WHOLE = "cannot be filled whole at once"
WOULD_TAKE = "post-only order would take"
NOTHING_TO_REDUCE = "nothing left to reduce"


class InstrumentMatching:
    """One instrument's orders and how they trade; every method is one step, to completion."""

    __slots__ = (
        "_budget",
        "_executions",
        "_fills",
        "_market",
        "_matched_until_ns",
        "_partial",
        "_set_aside",
        "_taking_price",
        "_triggers",
        "has_ticks",
        "instrument",
        "is_watched",
        "offers",
        "resting",
    )

    def __init__(
        self,
        instrument: Instrument,
        *,
        market: MarketView,
        executions: Executions,
        costs: CostModel,
        fills: FillModel,
        set_aside: Callable[[VenueOrder], None],
    ) -> None:
        """`set_aside` is told of an order whose second part is to be let in later."""
        self.instrument = instrument
        self.resting = RestingOrders()
        self.offers = Offers(instrument, market, fills)
        self._triggers = StopTriggers(instrument.id, market, self.offers, self.resting)
        self.is_watched = False
        self.has_ticks = False  # quotes, trades or a book exist: candles no longer match
        self._market = market
        self._executions = executions
        self._fills = fills
        self._partial = fills.partial
        self._set_aside = set_aside
        self._budget: Decimal | None = None  # what this trade or candle still has for us
        self._matched_until_ns = 0
        self._taking_price = TakingPrices(instrument, costs).of

    def finish_step(self) -> bool:
        """Bring the nearest prices up to date where no order waits for its first price.

        Returns whether the market still matters here.
        """
        resting = self.resting
        has_taken = self.offers.has_taken
        if not resting.priced_count and not has_taken:
            resting.sleep()
            return False
        resting.refresh()
        if has_taken or resting.mark_stop_count or self._fills.tracks_queue:
            resting.wake()
        return True

    def would_take(self, order: VenueOrder) -> bool:
        """Whether a limit order would trade on arrival: strictly better than the last price
        where there is no bid or ask to compare with."""
        instrument = self.instrument.id
        if self.offers.is_standing:
            best = self.offers.best(for_buy=order.is_buy)
            return best is not None and order.is_within(best)
        trade = self._market.trade(instrument)
        candle = self._market.candle(instrument) if trade is None else None
        last = trade.price if trade else candle.close if candle else None
        return last is not None and order.is_through(last)

    def arrive(self, order: VenueOrder) -> None:
        """Match a new, amended or triggered order with what stands, or let it wait."""
        if self.offers.is_standing:
            self.has_ticks = True
            if not is_stop(order.kind):
                self._take_standing(order)
            elif self._triggers.is_met_on_arrival(order):
                self.trigger(order, None)
            else:
                order.is_fresh = False
                self.resting.add_stop(order)
            return
        if not self.has_ticks and self._market.trade(self.instrument.id) is not None:
            self.has_ticks = True
        self.resting.add_waiting(order)

    def continue_parted(self, order: VenueOrder) -> None:
        """Let the rest of an order trade that had traded its first part: as if it came now.

        One that rested goes on making, at its own price, where that is still reached.
        """
        self.resting.remove(order)
        if order.is_fresh:
            order.arrived_ns = self._executions.now_ns
            self.arrive(order)
            return
        best = self.offers.best(for_buy=order.is_buy) if self.offers.is_standing else None
        if best is not None and order.is_within(best):
            self._make_standing(order)
        if order.is_open:
            self._settle(order)

    def on_quote(self, quote: Quote) -> None:
        """Match against a new quote, unless a book tells more."""
        self.has_ticks = True
        if self.offers.book is None:
            self.offers.forget_taken()
            self._match_standing()

    def on_book(self) -> None:
        """Match against a changed book; a book that is not synchronised fills nothing."""
        self.has_ticks = True
        book = self.offers.book
        if book is not None and self.resting.concerns(book.best_bid, book.best_ask):
            self.offers.forget_taken()
            self._match_standing()

    def on_trade(self, trade: Trade) -> None:
        """Match against a public trade; takers trade on it only where nothing stands."""
        self.has_ticks = True
        self._budget = self._fills.allowance(self.instrument, trade.size)
        standing = self.offers.is_standing
        markets = [] if standing else self.resting.admit(_FOR_EVER)
        if self._fills.tracks_queue:
            advance_queues(self.resting, trade, self.instrument, self._make_up_to)
        self._match_point(trade.price, markets, improves=False)
        met = self._triggers.met_by_price(trade.price, bid_ask=not standing)
        self._trigger_all(met, trade.price)
        self._trigger_all(self._triggers.met_by_mark(), None)

    def on_candle_open(self, candle: Candle) -> bool:
        """Match at the open of a closed candle; return whether its path matters to an order.

        One that overlaps an earlier one (another interval) is left out, and so are all where
        the instrument has quotes, trades or a book.
        """
        if self.has_ticks or not candle.is_closed or candle.open_ns < self._matched_until_ns:
            return False
        self._matched_until_ns = candle.close_ns
        self._budget = self._fills.allowance(self.instrument, candle.volume)
        resting = self.resting
        markets = resting.admit(candle.open_ns)
        self._match_point(candle.open, markets, improves=True)
        if not resting.priced_count:
            return False
        self._trigger_all(self._triggers.met_by_price(candle.open, bid_ask=True), candle.open)
        self._trigger_all(self._triggers.met_by_mark(), None)
        return True

    def reaches(self, order: VenueOrder, price: float) -> bool:
        """Whether trading at `price` fills a limit order, by the fill model."""
        if price == order.limit_at:
            return self._fills.fills_on_touch
        return order.is_through(price)

    @property
    def is_exhausted(self) -> bool:
        """Whether this trade or candle has nothing left for our orders."""
        return self._budget is not None and self._budget <= ZERO

    def make(self, order: VenueOrder, price: Decimal | None) -> None:
        """Fill a limit order that rests, at its own price where `price` is None."""
        quantity = self._first_part(order, self._allowed(order))
        if quantity > ZERO:
            self._spend(quantity)
            self._fill(order, quantity, order.own_price if price is None else price, _MAKER)
            self._settle_part(order)

    def trigger(self, order: VenueOrder, price: float | None) -> None:
        """Tell that a stop was triggered, and go on with its market or limit order.

        It meets what stands, or else the `price` that triggered it; None: the next one.
        """
        self.resting.remove(order)
        self._executions.triggered(order)
        order.kind = _MARKET if order.kind is _STOP else _LIMIT
        order.place = self._executions.next_place()
        order.is_fresh = True
        is_standing = self.offers.is_standing
        if order.post_only and self._would_take_at(order, None if is_standing else price):
            self.end(order, WOULD_TAKE)
            return
        if is_standing:
            self._take_standing(order)
        elif price is None:
            order.arrived_ns = self._executions.now_ns
            self.resting.add_waiting(order)
        elif order.kind is _MARKET or self.reaches(order, price):
            self._take_point(order, price)
        else:
            self._settle(order)

    def end(self, order: VenueOrder, reason: str, kind: EndKind = EndKind.CANCELLED) -> None:
        """Take an order off and tell its end."""
        self.resting.remove(order)
        self._executions.ended(order, kind, reason)

    def _would_take_at(self, order: VenueOrder, price: float | None) -> bool:
        return self.would_take(order) if price is None else self.reaches(order, price)

    def _trigger_all(self, stops: list[VenueOrder], price: float | None) -> None:
        for order in stops:
            if order.is_open:
                self.trigger(order, price)

    def _match_standing(self) -> None:
        resting, offers = self.resting, self.offers
        has_fresh = bool(resting.waiting)
        for order in resting.admit(_FOR_EVER):
            if order.is_open:  # not ended by an earlier fill: nothing left to reduce
                resting.remove(order)
                self._take_standing(order)
        if self._fills.tracks_queue:
            shrink_queues(resting, offers)
        for shelf in (resting.buys, resting.sells):
            best = offers.best(for_buy=shelf is resting.buys) if shelf else None
            for order in shelf[:]:
                is_reached = best is not None and order.is_within(best)
                if not is_reached and not has_fresh:
                    break
                if not order.is_open:
                    continue
                if order.is_fresh and not order.post_only:
                    self._take_standing(order)
                    continue
                order.is_fresh = False
                if is_reached:
                    self._make_standing(order)
        self._trigger_all(self._triggers.met_by_standing(), None)
        self._trigger_all(self._triggers.met_by_mark(), None)

    def _match_point(self, price: float, markets: list[VenueOrder], *, improves: bool) -> None:
        """Match `markets` and the limit orders at one traded price.

        A limit that rested fills at its own price, or at `price` where that `improves` it: a
        gap between two candles.
        """
        resting = self.resting
        for order in markets:
            if order.is_open:  # not ended by an earlier fill: nothing left to reduce
                resting.remove(order)
                self._take_point(order, price)
        if not resting.priced_count:
            return
        for order in (*resting.buys, *resting.sells):
            if not order.is_open:
                continue
            is_reached = self.reaches(order, price)
            if not is_reached and order.is_fresh:
                self._settle(order)
            elif is_reached and order.is_fresh and not order.post_only:
                self._take_point(order, price)
            elif is_reached:
                order.is_fresh = False
                is_better = improves and not order.post_only
                self.make(order, self._round_price(order, price) if is_better else None)

    def _take_standing(self, order: VenueOrder) -> None:
        """Let an order take what is displayed, as far as it goes."""
        wanted = self._reducible(order)
        if self._is_stuck(order, wanted):
            return
        if order.time_in_force is _FOK and (
            wanted < order.remaining or not self.offers.covers(order, wanted)
        ):
            self.end(order, NOT_WHOLE)
            return
        for price, quantity in self.offers.take(order, self._first_part(order, wanted)):
            self._fill(order, quantity, self._taking_price(order, price), _TAKER)
        if order.is_open:
            self._settle(order)

    def _make_standing(self, order: VenueOrder) -> None:
        """Fill a resting limit order that the opposite side has reached, at its own price."""
        quantity = ZERO
        wanted = self._first_part(order, self._reducible(order))
        for _, taken in self.offers.take(order, wanted):
            quantity = add(quantity, taken)
        if quantity > ZERO:
            self._fill(order, quantity, order.own_price, _MAKER)
            self._settle_part(order)

    def _take_point(self, order: VenueOrder, price: float) -> None:
        """Let an order take what a trade or candle has at `price`."""
        quantity = order.remaining
        if order.reduce_only:
            quantity = self._reducible(order)
            if self._is_stuck(order, quantity):
                return
        if self._budget is not None:
            quantity = min(quantity, self._budget)
        if order.time_in_force is _FOK and quantity < order.remaining:
            self.end(order, NOT_WHOLE)
            return
        if self._partial is not None:
            quantity = self._first_part(order, quantity)
        if self._budget is not None:
            self._spend(quantity)
        if quantity > ZERO:
            self._fill(order, quantity, self._taking_price(order, price), _TAKER)
        if order.is_open:
            self._settle(order)

    def _settle(self, order: VenueOrder) -> None:
        """Decide what becomes of an order that has taken what it could."""
        if order.is_cut:
            order.is_cut = False
            if order.has_traded and order.time_in_force is not _IOC:
                self.resting.remove(order)
                self.resting.add_parted(order)
                self._set_aside(order)
                return
        order.is_fresh = False
        if order.time_in_force is _IOC or order.time_in_force is _FOK:
            self.end(order, NOTHING_TO_TAKE)
        elif order.kind is _MARKET:
            self.resting.add_waiting(order)
        else:
            if self._fills.tracks_queue:
                order.ahead = self.offers.queue_size(order)
            if not self.resting.is_at_limit(order):
                self.resting.add_limit(order)

    def _make_up_to(self, order: VenueOrder, most: Decimal) -> Decimal:
        """Fill a resting order at its own price with at most `most`; return how much it took."""
        quantity = self._first_part(order, min(most, self._allowed(order)))
        if quantity > ZERO:
            self._fill(order, quantity, order.own_price, _MAKER)
            self._settle_part(order)
        return quantity

    def _settle_part(self, order: VenueOrder) -> None:
        """Set an order aside that has just made its first part."""
        if order.is_cut and order.is_open:
            self._settle(order)

    def _first_part(self, order: VenueOrder, wanted: Decimal) -> Decimal:
        """Return how much of `wanted` an order may trade now: some of it where it is parted."""
        order.is_cut = False
        if self._partial is None or order.has_traded or order.time_in_force is _FOK:
            return wanted
        part = self._partial.first_part(self.instrument, order.quantity)
        if part is None or part >= wanted:
            return wanted
        order.is_cut = True
        return part

    def _fill(
        self, order: VenueOrder, quantity: Decimal, price: Decimal, liquidity: Liquidity
    ) -> None:
        self._executions.filled(order, quantity, price, liquidity)
        if order.shelf and not order.is_open:
            self.resting.remove(order)
        if self.resting.reduce_only_count or (order.reduce_only and order.is_open):
            self._end_stuck(order)

    def _end_stuck(self, traded: VenueOrder) -> None:
        """End the reduce-only orders of that account that have nothing left to reduce."""
        for order in (traded, *self.resting.all()):
            if order.is_open and order.reduce_only and order.account == traded.account:
                self._is_stuck(order, self._reducible(order))

    def _is_stuck(self, order: VenueOrder, wanted: Decimal) -> bool:
        if wanted > ZERO:
            return False
        self.end(order, NOTHING_TO_REDUCE)
        return True

    def _reducible(self, order: VenueOrder) -> Decimal:
        """Return what remains, for reduce-only at most what it can close."""
        if not order.reduce_only:
            return order.remaining
        return min(order.remaining, self._executions.reducible(order))

    def _allowed(self, order: VenueOrder) -> Decimal:
        """Return what the order may trade of this trade or candle."""
        wanted = self._reducible(order) if order.reduce_only else order.remaining
        return wanted if self._budget is None else min(wanted, self._budget)

    def _spend(self, quantity: Decimal) -> None:
        if self._budget is not None:
            self._budget = subtract(self._budget, quantity)

    def _round_price(self, order: VenueOrder, price: float) -> Decimal:
        """Return a traded price on the tick, rounded against the order."""
        return self.instrument.round_price(price, towards="above" if order.is_buy else "below")
