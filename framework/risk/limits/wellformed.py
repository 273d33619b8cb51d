"""Whether an intent makes sense before any limit is asked, slowly with a reason or at one look."""

from decimal import Decimal

from framework.model.decimals import ZERO, remainder
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import OrderIntent, OrderSession, OrderType

MARKET = OrderType.MARKET
LIMIT = OrderType.LIMIT
NOW = OrderSession.NOW
INDEX = InstrumentKind.INDEX
LONGEST_KEY = 160
UNBOUNDED = Decimal("Infinity")


def malformed(intent: OrderIntent, now_ns: int) -> str | None:
    """Return why an intent makes no sense before any number in it is judged, or None."""
    if not 0 < len(intent.key) <= LONGEST_KEY:
        return f"a key has 1 to {LONGEST_KEY} characters, this one has {len(intent.key)}"
    if (intent.quantity is None) is (intent.quote_quantity is None):
        return "exactly one of quantity and quote_quantity must be given"
    if intent.post_only and intent.type is MARKET:
        return "a market order cannot be post-only"
    if intent.send_by_ns is not None and now_ns > intent.send_by_ns:
        return f"too late: it was to be sent by {intent.send_by_ns} and it is {now_ns}"
    return None


def is_plain(intent: OrderIntent, instrument: Instrument, quantity: Decimal, now_ns: int) -> bool:
    """Tell whether an intent is surely well formed: a market or limit order on a simple grid.

    Whether a reduce-only one fits the position is not looked at.

    A yes means that `malformed` and every check of an order's form have nothing against it, and
    that it wishes for nothing that a venue may lack but its time in force and `post_only`.
    """
    kind, price, lot = intent.type, intent.price, instrument.lot
    if (
        not (price is None if kind is MARKET else kind is LIMIT)
        or intent.stop_price is not None
        or instrument.kind is INDEX
        or quantity.__class__ is not Decimal
        or intent.quote_quantity is not None
        or intent.display_quantity is not None
        or intent.session is not NOW
        or (intent.post_only and kind is MARKET)
        or not 0 < len(intent.key) <= LONGEST_KEY
        or (intent.send_by_ns is not None and now_ns > intent.send_by_ns)
    ):
        return False
    try:
        return (
            ZERO < quantity < UNBOUNDED
            and (lot is None or not remainder(quantity, lot))
            and (instrument.minimum_quantity is None or quantity >= instrument.minimum_quantity)
            and (instrument.maximum_quantity is None or quantity <= instrument.maximum_quantity)
            and (kind is MARKET or (price is not None and is_plain_price(price, instrument)))
        )
    except ArithmeticError:  # NaN, or more digits than the context holds
        return False


def is_plain_price(price: Decimal, instrument: Instrument) -> bool:
    """Tell whether a price is surely on the grid of an instrument with at most one tick."""
    if price.__class__ is not Decimal or len(instrument.ranges) > 1 or not price.is_finite():
        return False
    if price <= ZERO:
        return False
    if instrument.ranges and remainder(price, instrument.ranges[0].tick):
        return False
    if instrument.minimum_price is not None and price < instrument.minimum_price:
        return False
    return instrument.maximum_price is None or price <= instrument.maximum_price
