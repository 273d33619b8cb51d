"""Marks: the price an instrument is valued at, and one set of them for sums that must agree."""

from collections.abc import Callable, Iterable
from decimal import Decimal

from framework.errors import OffGrid
from framework.interfaces import MarketView
from framework.model.instrument import to_decimal
from framework.portfolio.holding import Holding
from framework.portfolio.ledger import Mark


def usable(price: float | None) -> Decimal | None:
    """Return a market price as an exact number, None where it is missing or makes no sense."""
    if price is None:
        return None
    try:
        number = to_decimal(price)
    except OffGrid:  # not a number, or infinite
        return None
    return number


class MarketMarks:
    """The newest mark per instrument: the venue's own mark price, else the reference price.

    None where there is no price, or none that is a number. `number_of` makes a number of a price.
    """

    def __init__(
        self,
        market: MarketView,
        number_of: Callable[[float | None], Decimal | None] = usable,
    ) -> None:
        self._market = market
        self._number_of = number_of

    def __call__(self, instrument: str) -> Decimal | None:
        """Return the price to value an instrument at."""
        venue_mark = self._market.mark_price(instrument)
        if venue_mark is not None:
            price = self._number_of(venue_mark.price)
            if price is not None:
                return price
        return self._number_of(self._market.reference_price(instrument))


def taken(mark: Mark, holdings: Iterable[Holding]) -> dict[str, Decimal | None]:
    """Return the marks of what is held, each asked once: sums from them are at one mark."""
    marks: dict[str, Decimal | None] = {}
    for holding in holdings:
        name = holding.instrument.id
        if name not in marks:
            marks[name] = mark(name)
    return marks
