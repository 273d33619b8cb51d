"""An instrument's own words for a number that is not on its grid."""

from decimal import Decimal

from framework.errors import OffGrid
from framework.model.instrument import Instrument


def off_grid(
    instrument: Instrument, *, quantity: Decimal | None = None, price: Decimal | None = None
) -> str | None:
    """Return why the instrument refuses a number, or None where it takes it."""
    try:
        if quantity is not None:
            instrument.quantity(quantity)
        if price is not None:
            instrument.price(price)
    except OffGrid as error:
        return error.reason
    return None
