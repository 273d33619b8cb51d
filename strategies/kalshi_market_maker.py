"""Quotes both sides of binary markets, within limits per market and for all of them together."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from framework import (
    BookView,
    Fill,
    FillCorrected,
    MarketPhase,
    MarketStatus,
    Order,
    OrderStatus,
    Side,
    Strategy,
)

WORKING = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)
ONE = Decimal(1)
DIGITS = 6  # of a dollar: 0.42 + 0.02 is a bit more than 0.44 as a float, and would round up
Quoted = tuple[Side, Decimal, Decimal]  # side, quantity, price
Dollars = Annotated[float, msgspec.Meta(ge=0, le=1)]


class KalshiMarketMaker(Strategy):
    """One post-only bid and ask per market, `edge` away from the fair price.

    A yes contract pays one dollar or nothing: held long it can lose its price, held short (a no
    contract) one minus its price. The fair price is the mid, moved against the inventory by up to
    `skew`. Quotes move when they are off by more than `tolerance`, and never while a request of
    theirs is unanswered. One that was refused waits until the fair price has moved; one whose
    change was refused is taken back, and a new one waits for that as well.

    No quote where the fair price is outside `lowest` to `highest` (near the outcome one side has
    all the news), where the book is not synced or the market not open, where the position would
    pass its limit, and where more than `maximum_loss` would be gone if every quote filled and
    every contract then settled the wrong way.
    """

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """What the configuration file may set; prices in dollars, quantities in contracts."""

        instruments: tuple[str, ...]
        quantity: Decimal = Decimal(10)  # of each quote
        maximum_position: Decimal = Decimal(50)  # per market, long or short
        maximum_loss: Decimal = Decimal(100)  # over all markets, in dollars
        edge: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] = 0.02
        skew: Dollars = 0.02
        tolerance: Dollars = 0.01
        lowest: Dollars = 0.05
        highest: Dollars = 0.95

        def __post_init__(self) -> None:
            if not self.instruments:
                raise ValueError("instruments must name at least one market")
            if not 0 < self.quantity <= self.maximum_position:
                raise ValueError(
                    f"quantity {self.quantity} must be positive and at most "
                    f"maximum_position {self.maximum_position}"
                )
            if self.lowest >= self.highest:
                raise ValueError(f"lowest {self.lowest} is not below highest {self.highest}")

    settings: Settings

    def on_start(self) -> None:
        self.closed: set[str] = set()  # markets that are not open
        self.refused: dict[str, float] = {}  # market -> the fair price at which a quote was refused
        self.asked: dict[str, Decimal] = {}  # order id -> the price that it was to move to
        for instrument in self.settings.instruments:
            self.watch_book(instrument)
            self.watch_market(instrument)

    def on_market(self, event: object) -> None:
        if isinstance(event, MarketStatus):
            if event.phase is MarketPhase.OPEN:
                self.closed.discard(event.instrument)
            else:
                self.closed.add(event.instrument)
                self.cancel_all(event.instrument)

    def on_book(self, book: BookView) -> None:
        self.requote(book.instrument, book)

    def on_fill(self, fill: Fill | FillCorrected) -> None:
        book = self.book(fill.instrument)
        if book is not None:
            self.requote(fill.instrument, book)

    def on_order(self, order: Order) -> None:
        if order.status in (OrderStatus.REJECTED, OrderStatus.DENIED):
            self.pause(order.instrument, order.reason)
        if order.is_closed:
            self.asked.pop(order.order_id, None)
        for quote in self.orders(order.instrument):  # as they are now: what is told may be older
            asked = self.asked.get(quote.order_id)
            if asked is not None and is_settled(quote):
                del self.asked[quote.order_id]
                if quote.price != asked:
                    self.take_back(quote, "its change was refused")

    def take_back(self, quote: Order, reason: str) -> None:
        """Cancel a quote that cannot be brought to where it belongs."""
        self.cancel(quote.order_id)
        self.pause(quote.instrument, reason)

    def pause(self, instrument: str, reason: str) -> None:
        """Leave a market's quotes alone until its fair price has moved."""
        self.log.info("quote_refused", instrument=instrument, reason=reason)
        book = self.book(instrument)
        fair = None if book is None else self.fair_price(instrument, book)
        self.refused[instrument] = 0.0 if fair is None else fair

    def requote(self, instrument: str, book: BookView) -> None:
        """Bring both quotes of a market to where they belong."""
        quotes = self.orders(instrument)
        fair = self.fair_price(instrument, book)
        if fair is None:
            self.cancel_all(instrument)
            return
        if self.refused.get(instrument) == fair or not all(map(is_settled, quotes)):
            return
        self.refused.pop(instrument, None)
        grid = self.instrument(instrument)
        bid = grid.round_price(round(fair - self.settings.edge, DIGITS), towards="below")
        ask = grid.round_price(round(fair + self.settings.edge, DIGITS), towards="above")
        self.place_quote(instrument, Side.BUY, bid, quotes)
        self.place_quote(instrument, Side.SELL, ask, quotes)

    def fair_price(self, instrument: str, book: BookView) -> float | None:
        """Return the mid leaning against the inventory, or None: no quote belongs here now."""
        bid, ask = book.best_bid, book.best_ask
        if instrument in self.closed or not book.is_synced or bid is None or ask is None:
            return None
        settings = self.settings
        mid = (bid[0] + ask[0]) / 2
        if not settings.lowest <= mid <= settings.highest:
            return None
        held = float(self.position(instrument).quantity / settings.maximum_position)
        return mid - settings.skew * max(-1.0, min(1.0, held))

    def place_quote(
        self, instrument: str, side: Side, price: Decimal, quotes: Sequence[Order]
    ) -> None:
        """Bring the quote of one side to `price`, or take it back where a limit forbids it."""
        settings = self.settings
        mine = [order for order in quotes if order.side is side]
        is_allowed = 0 < price < 1 and self.fits(instrument, side, price)
        for order in mine:
            if not is_allowed:
                self.cancel(order.order_id)
            elif order.price is None or abs(float(order.price - price)) > settings.tolerance:
                self.asked[order.order_id] = price
                refusal = self.modify(order.order_id, price=price)
                if refusal is not None:
                    del self.asked[order.order_id]
                    self.take_back(order, refusal)
        if is_allowed and not mine:
            place = self.buy if side is Side.BUY else self.sell
            place(instrument, settings.quantity, price=price, post_only=True)

    def fits(self, instrument: str, side: Side, price: Decimal) -> bool:
        """Whether this quote may fill, and every other one with it, within both limits."""
        settings = self.settings
        held = self.position(instrument).quantity
        after = held + settings.quantity if side is Side.BUY else held - settings.quantity
        if abs(after) <= abs(held):
            return True
        if abs(after) > settings.maximum_position:
            return False
        loss = Decimal(0)
        for market in settings.instruments:
            quotes = [
                (order.side, order.remaining, order.price or ONE)
                for order in self.orders(market)
                if market != instrument or order.side is not side
            ]
            if market == instrument:
                quotes.append((side, settings.quantity, price))
            loss += self.loss_at_worst(market, quotes)
        return loss <= settings.maximum_loss

    def loss_at_worst(self, instrument: str, quotes: Sequence[Quoted]) -> Decimal:
        """Return what a market can cost: what is held, and one side's quotes that add to it."""
        position = self.position(instrument)
        held = position.quantity
        price = position.average_price or Decimal(0)
        loss = abs(held) * (price if held > 0 else ONE - price)
        growth = {Side.BUY: Decimal(0), Side.SELL: Decimal(0)}
        for side, quantity, quoted in quotes:
            closing = max(Decimal(0), -held if side is Side.BUY else held)
            risk = quoted if side is Side.BUY else ONE - quoted
            growth[side] += max(Decimal(0), quantity - closing) * risk
        return loss + max(growth.values())


def is_settled(order: Order) -> bool:
    """Return whether the venue has the order and has answered everything asked about it."""
    requests = (order.submit_state, order.modify_state, order.cancel_state)
    return order.status in WORKING and all(state.value == "none" for state in requests)
