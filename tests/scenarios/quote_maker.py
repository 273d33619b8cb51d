"""A small strategy for venues without books: it quotes both sides of the best prices."""

from decimal import Decimal

import msgspec

from framework import Fill, FillCorrected, Quote, Strategy


class QuoteMaker(Strategy):
    """One bid and one ask around the mid; both move with it, and after a fill."""

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """What to quote: how much, how far apart, and how far the position may go."""

        instrument: str
        quantity: Decimal
        maximum_position: Decimal
        spread: Decimal

    settings: Settings

    def on_start(self) -> None:
        """Begin to watch."""
        self.quoted = Decimal(0)
        self.watch_quotes(self.settings.instrument)

    def on_quote(self, quote: Quote) -> None:
        """Quote anew once the mid has gone a quarter of the spread."""
        settings = self.settings
        mid = Decimal(str(round((quote.bid + quote.ask) / 2, 2)))
        orders = self.orders(settings.instrument)
        if any(order.submit_state.value != "none" for order in orders):
            return
        if orders and abs(mid - self.quoted) < settings.spread / 4:
            return
        self.quoted = mid
        self.cancel_all(settings.instrument)
        held = self.position(settings.instrument).quantity
        if held < settings.maximum_position:
            self.buy(settings.instrument, settings.quantity, price=mid - settings.spread / 2)
        if held > -settings.maximum_position:
            self.sell(settings.instrument, settings.quantity, price=mid + settings.spread / 2)

    def on_fill(self, fill: Fill | FillCorrected) -> None:
        """Quote anew with the next price."""
        self.quoted = Decimal(0)


class Watcher(Strategy):
    """Watches quotes and gives no orders; they come through the desk, as from any door."""

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """What to watch."""

        instruments: tuple[str, ...]

    settings: Settings

    def on_start(self) -> None:
        """Begin to listen."""
        for instrument in self.settings.instruments:
            self.watch_quotes(instrument)
