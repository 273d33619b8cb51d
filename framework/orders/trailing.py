"""Trailing stop arithmetic: a stop that follows the best price at a distance and never goes back.

    extreme   the best price since the trail started: the highest for a sell, the lowest for a buy
    stop      extreme − distance for a sell, extreme + distance for a buy

The stop is rounded to the tick that lies nearer to the market, never to the one farther away
(R-78): rounding may end a position a tick early, and never lets it lose a tick more.
"""

from decimal import Decimal

import msgspec

from framework.model.decimals import absolute, add, divide, multiply, subtract
from framework.model.instrument import Instrument
from framework.model.orders import Offset, Percent

HUNDRED = Decimal(100)


class TrailingStop(msgspec.Struct, frozen=True):
    """A trailing stop that has started: `stop` only ever moves in favour of the position."""

    is_buy: bool
    trail: Offset | Percent
    instrument: Instrument
    extreme: Decimal
    stop: Decimal

    @classmethod
    def started(
        cls,
        price: Decimal,
        trail: Offset | Percent,
        instrument: Instrument,
        *,
        is_buy: bool,
        stop: Decimal | None = None,
    ) -> "TrailingStop":
        """Return a trail that starts at `price`; a `stop` that is better already is kept."""
        behind = stop_behind(price, trail, instrument, is_buy=is_buy)
        if stop is not None:
            behind = tighter(behind, stop, is_buy=is_buy)
        return cls(is_buy, trail, instrument, price, behind)

    def after(self, price: Decimal) -> "TrailingStop":
        """Return the trail after a price: itself, unless the price is a new extreme."""
        if not is_beyond(price, self.extreme, is_buy=self.is_buy):
            return self
        behind = stop_behind(price, self.trail, self.instrument, is_buy=self.is_buy)
        stop = tighter(behind, self.stop, is_buy=self.is_buy)
        return msgspec.structs.replace(self, extreme=price, stop=stop)

    def with_trail(self, trail: Offset | Percent) -> "TrailingStop":
        """Return it with another distance from the same extreme.

        A wider one moves nothing back: the stop stays until the extreme has come so far.
        """
        behind = stop_behind(self.extreme, trail, self.instrument, is_buy=self.is_buy)
        stop = tighter(behind, self.stop, is_buy=self.is_buy)
        return msgspec.structs.replace(self, trail=trail, stop=stop)

    def is_met(self, price: Decimal) -> bool:
        """Tell whether a price reached the stop."""
        return price >= self.stop if self.is_buy else price <= self.stop


def stop_behind(
    extreme: Decimal, trail: Offset | Percent, instrument: Instrument, *, is_buy: bool
) -> Decimal:
    """Return the stop at a trail's distance from its extreme, on the grid."""
    gap = distance(trail, extreme)
    if is_buy:
        return instrument.round_price(add(extreme, gap), towards="below")
    return instrument.round_price(subtract(extreme, gap), towards="above")


def distance(trail: Offset | Percent, price: Decimal) -> Decimal:
    """Return how far a trail or an exit is from a price, in price units."""
    if isinstance(trail, Offset):
        return trail.distance
    return divide(multiply(absolute(price), trail.percent), HUNDRED)


def is_beyond(price: Decimal, extreme: Decimal, *, is_buy: bool) -> bool:
    """Tell whether a price is a new extreme."""
    return price < extreme if is_buy else price > extreme


def tighter(one: Decimal, other: Decimal, *, is_buy: bool) -> Decimal:
    """Return the stop that is nearer to the market."""
    return min(one, other) if is_buy else max(one, other)
