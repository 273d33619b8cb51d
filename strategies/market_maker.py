"""Quotes both sides of a book and leans against its own inventory."""

from decimal import Decimal
from typing import Annotated

import msgspec

from framework import BookView, Fill, FillCorrected, Order, OrderStatus, Side, Strategy

WORKING = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)


class MarketMaker(Strategy):
    """One post-only bid and one post-only ask around the mid.

    centre = mid × (1 − skew × position ÷ maximum position); bid and ask lie half a spread below
    and above. They move when the mid has moved by more than the threshold, and after a fill,
    but never while a request of theirs is without an answer. A side that would take the position
    beyond its limits is not quoted; without a synced book nothing is.

    A quote that was refused waits for the next move of the mid: sent again at once it would
    only be refused again. One whose change was refused is taken back and given anew.
    """

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """What the configuration file may set."""

        instrument: str
        quantity: Decimal = Decimal(1)  # of each quote
        maximum_position: Decimal = Decimal(5)
        can_short: bool = False  # down to −maximum_position; a spot account cannot
        spread_bps: Annotated[float, msgspec.Meta(gt=0, lt=10_000)] = 10.0  # from bid to ask
        skew_bps: Annotated[float, msgspec.Meta(ge=0, lt=10_000)] = 5.0  # at the maximum position
        requote_bps: Annotated[float, msgspec.Meta(ge=0)] = 1.0

        def __post_init__(self) -> None:
            if not 0 < self.quantity <= self.maximum_position:
                raise ValueError(
                    f"quantity {self.quantity} must be positive and at most "
                    f"maximum_position {self.maximum_position}"
                )

    settings: Settings

    def on_start(self) -> None:
        self.quoted_mid = 0.0  # 0: quote again on the next chance
        self.asked: dict[str, Decimal] = {}  # order id -> the price that it was to move to
        self.watch_book(self.settings.instrument)

    def on_book(self, book: BookView) -> None:
        if not book.is_synced or book.best_bid is None or book.best_ask is None:
            self.cancel_all(self.settings.instrument)
            self.quoted_mid = 0.0
            return
        mid = (book.best_bid[0] + book.best_ask[0]) / 2.0
        if abs(mid - self.quoted_mid) > mid * self.settings.requote_bps / 1e4:
            quotes = self.orders(self.settings.instrument)
            if all(map(is_settled, quotes)):
                self.quoted_mid = mid
                self.requote(mid, quotes)

    def on_order(self, order: Order) -> None:
        if order.status in (OrderStatus.REJECTED, OrderStatus.DENIED):
            self.log.info("quote_refused", side=order.side.value, reason=order.reason)
        if order.is_closed:
            self.asked.pop(order.order_id, None)
        for quote in self.orders(order.instrument):  # as they are now: what is told may be older
            asked = self.asked.get(quote.order_id)
            if asked is not None and is_settled(quote):
                del self.asked[quote.order_id]
                if quote.price != asked:
                    self.take_back(quote, "its change was refused")

    def take_back(self, quote: Order, reason: str) -> None:
        """Cancel a quote that cannot be brought to where it belongs; a new one follows."""
        self.log.info("change_refused", side=quote.side.value, reason=reason)
        self.cancel(quote.order_id)
        self.quoted_mid = 0.0

    def on_fill(self, fill: Fill | FillCorrected) -> None:
        self.quoted_mid = 0.0
        book = self.book(self.settings.instrument)
        if book is not None:
            self.on_book(book)

    def requote(self, mid: float, quotes: list[Order]) -> None:
        """Bring both quotes to where they belong around `mid`."""
        settings, instrument = self.settings, self.instrument(self.settings.instrument)
        position, maximum = self.position(settings.instrument).quantity, settings.maximum_position
        lean = max(-1.0, min(1.0, float(position) / float(maximum)))
        centre = mid * (1.0 - settings.skew_bps / 1e4 * lean)
        reach = mid * settings.spread_bps / 2e4
        bid = instrument.round_price(centre - reach, towards="below")
        ask = instrument.round_price(centre + reach, towards="above")
        can_buy = position + settings.quantity <= maximum
        can_sell = position - settings.quantity >= (-maximum if settings.can_short else 0)
        self.place_quote(Side.BUY, bid if can_buy else None, quotes)
        self.place_quote(Side.SELL, ask if can_sell else None, quotes)

    def place_quote(self, side: Side, price: Decimal | None, quotes: list[Order]) -> None:
        """Bring the quote of one side to `price`, or take it back."""
        mine = [order for order in quotes if order.side is side]
        for order in mine:
            if price is None:
                self.cancel(order.order_id)
            elif order.price != price:
                self.asked[order.order_id] = price
                refusal = self.modify(order.order_id, price=price)
                if refusal is not None:
                    del self.asked[order.order_id]
                    self.take_back(order, refusal)
        if not mine and price is not None:
            place = self.buy if side is Side.BUY else self.sell
            place(self.settings.instrument, self.settings.quantity, price=price, post_only=True)


def is_settled(order: Order) -> bool:
    """Return whether the venue has the order and has answered everything asked about it."""
    requests = (order.submit_state, order.modify_state, order.cancel_state)
    return order.status in WORKING and all(state.value == "none" for state in requests)
