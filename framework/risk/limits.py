"""One small class per check of an order; each says nothing, or names its limit and the value.

A check reads a `Proposal` (what would be sent) and a `View` (what is held and open already) and
returns None or the reason for refusing. A missing input refuses (R-61). Notionals are valued at
`View.price`: the highest of the order's limit, its stop and the market's reference price, so
that no choice of price makes an order look smaller than it may become.
"""

from collections import deque
from decimal import Decimal
from typing import Protocol

import msgspec

from framework.errors import OffGrid
from framework.model.decimals import (
    ZERO,
    absolute,
    add,
    divide,
    multiply,
    negate,
    remainder,
    subtract,
)
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import OrderIntent, OrderType, Side

MARKET = OrderType.MARKET
LIMIT = OrderType.LIMIT
STOP = OrderType.STOP
STOP_LIMIT = OrderType.STOP_LIMIT
TRAILING_STOP = OrderType.TRAILING_STOP
BUY = Side.BUY
INDEX = InstrumentKind.INDEX
SECOND_NS = 1_000_000_000
LONGEST_KEY = 160
UNBOUNDED = Decimal("Infinity")


class RiskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the configuration may limit; None leaves it unlimited.

    Notionals are price × quantity × multiplier in the instrument's currency.
    """

    max_order_notional: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_orders_per_second: int | None = None


class Proposal(msgspec.Struct, gc=False):
    """An order, or the change of one, before it is sent.

    `quantity` is the whole order's, `remaining` what it may still fill, `added` what it adds to
    the open quantity: all three are equal for a new order and differ for a change.
    `is_closing` marks the one order by which the core itself closes a position.
    """

    run: str
    instrument: Instrument
    side: Side
    type: OrderType
    quantity: Decimal
    remaining: Decimal
    added: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    has_trail: bool = False
    reduce_only: bool = False
    is_closing: bool = False

    def shrinks(self, position: Decimal) -> bool:
        """Tell whether it trades against `position` and for no more than all of it."""
        if self.side is BUY:
            return position < ZERO and self.remaining <= negate(position)
        return position > ZERO and self.remaining <= position


class View(msgspec.Struct, gc=False):
    """What the checks compare with, of one run and instrument at `now_ns` (UTC).

    `position` is signed and over all buckets, `held` its part in the order's bucket; `open_buy`
    and `open_sell` are the quantities that working and in-doubt orders may still fill, without
    the proposal; `price` is None where no price is known.
    """

    position: Decimal
    held: Decimal
    open_buy: Decimal
    open_sell: Decimal
    price: Decimal | None
    now_ns: int


class Check(Protocol):
    """One reason why an order may be refused."""

    def check(self, proposal: Proposal, view: View) -> str | None:
        """Return None, or the reason for refusing."""


class PricesFitType:
    """An order has exactly the prices that its type needs."""

    def check(self, proposal: Proposal, view: View) -> str | None:
        kind, price, stop = proposal.type, proposal.price, proposal.stop_price
        if kind is MARKET and price is None and stop is None:
            return None
        if (price is None) is (kind is LIMIT or kind is STOP_LIMIT):
            return _misfit(kind, "price", is_missing=price is None)
        if kind is not TRAILING_STOP and (stop is None) is (kind is STOP or kind is STOP_LIMIT):
            return _misfit(kind, "stop price", is_missing=stop is None)
        if kind is TRAILING_STOP and not proposal.has_trail:
            return _misfit(kind, "trail", is_missing=True)
        return None


class QuantityOnLot:
    """The quantity is a finite positive Decimal on the lot, within the instrument's limits."""

    def check(self, proposal: Proposal, view: View) -> str | None:
        quantity, instrument = proposal.quantity, proposal.instrument
        if quantity.__class__ is not Decimal:
            return f"quantity {quantity!r} is not a Decimal"
        try:
            if (
                quantity > ZERO
                and (instrument.lot is None or not remainder(quantity, instrument.lot))
                and (instrument.minimum_quantity is None or quantity >= instrument.minimum_quantity)
                and (instrument.maximum_quantity is None or quantity <= instrument.maximum_quantity)
                and quantity.is_finite()
            ):
                return None
        except ArithmeticError:  # NaN, or more digits than the context holds
            pass
        return _off_grid(instrument, quantity=quantity)


class PriceOnTick:
    """Limit and stop price are finite Decimals on the tick, within the instrument's limits."""

    def check(self, proposal: Proposal, view: View) -> str | None:
        if proposal.instrument.kind is INDEX:
            return f"{proposal.instrument.id} is an index: it cannot be traded"
        for price in (proposal.price, proposal.stop_price):
            if price is not None:
                if price.__class__ is not Decimal:
                    return f"price {price!r} is not a Decimal"
                reason = _off_grid(proposal.instrument, price=price)
                if reason is not None:
                    return reason
        return None


class ReduceOnly:
    """A reduce-only order trades against the run's position and for no more than all of it."""

    def check(self, proposal: Proposal, view: View) -> str | None:
        if proposal.reduce_only and not proposal.shrinks(view.held):
            return (
                f"reduce-only {proposal.side.value} of {proposal.remaining} does not fit"
                f" the position {view.held}"
            )
        return None


class MaxOrderNotional:
    """No order is worth more than `limit`."""

    def __init__(self, limit: Decimal) -> None:
        self.limit = limit

    def check(self, proposal: Proposal, view: View) -> str | None:
        if view.price is None:
            return f"no price of {proposal.instrument.id} is known to value the order at"
        notional = proposal.instrument.notional(view.price, proposal.quantity)
        if notional <= self.limit:
            return None
        return f"order notional {notional} is above max_order_notional {self.limit}"


class MaxPositionNotional:
    """No position can become worth more than `limit`, whichever of its open orders fill.

    Worst case of a buy: position + open buys + the new quantity; of a sell: position − open
    sells − the new quantity. Whatever the limit, an order passes that is reduce-only, or trades
    against the position with a worst case no larger than it: it can only shrink the exposure.
    """

    def __init__(self, limit: Decimal) -> None:
        self.limit = limit

    def check(self, proposal: Proposal, view: View) -> str | None:
        if not proposal.added:  # a change that asks for no more than is open already
            return None
        if proposal.reduce_only:  # the check `ReduceOnly` has seen that it shrinks the position
            return None
        position = view.position
        if proposal.side is BUY:
            worst = add(add(position, view.open_buy), proposal.added)
        else:
            worst = subtract(add(view.open_sell, proposal.added), position)
        if worst <= ZERO or (worst <= absolute(position) and proposal.shrinks(position)):
            return None
        if view.price is None:
            return f"no price of {proposal.instrument.id} is known to value the position at"
        notional = proposal.instrument.notional(view.price, worst)
        if notional <= self.limit:
            return None
        return f"position notional {notional} would be above max_position_notional {self.limit}"


class MaxOrdersPerSecond:
    """At most `limit` orders within any second of market time, over all runs of its gate.

    Only what passed every check counts: `reserve` is called then. The core's own closing orders
    count but are never refused: an emergency stop must not wait for the next second.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._sent_ns: deque[int] = deque(maxlen=limit)

    def check(self, proposal: Proposal, view: View) -> str | None:
        sent_ns = self._sent_ns
        if len(sent_ns) < self.limit or proposal.is_closing:
            return None
        if sent_ns and view.now_ns - sent_ns[0] >= SECOND_NS:
            return None
        return f"{self.limit} orders within one second reach max_orders_per_second {self.limit}"

    def reserve(self, view: View) -> None:
        """Count an order that is about to be sent."""
        self._sent_ns.append(view.now_ns)

    def take(self, now_ns: int) -> bool:
        """Count an order if there is room for it; tell whether there was."""
        sent_ns = self._sent_ns
        if len(sent_ns) >= self.limit and (not sent_ns or now_ns - sent_ns[0] < SECOND_NS):
            return False
        sent_ns.append(now_ns)
        return True


ALWAYS_CHECKED = (PricesFitType, QuantityOnLot, PriceOnTick, ReduceOnly)


def standard_checks(settings: RiskSettings) -> tuple[Check, ...]:
    """Return the checks that every order passes, and those that `settings` ask for."""
    checks: list[Check] = [kind() for kind in ALWAYS_CHECKED]
    if settings.max_order_notional is not None:
        checks.append(MaxOrderNotional(settings.max_order_notional))
    if settings.max_position_notional is not None:
        checks.append(MaxPositionNotional(settings.max_position_notional))
    if settings.max_orders_per_second is not None:
        checks.append(MaxOrdersPerSecond(settings.max_orders_per_second))
    return tuple(checks)


def is_plain(intent: OrderIntent, instrument: Instrument, quantity: Decimal, now_ns: int) -> bool:
    """Tell whether an intent is surely well formed: a market or limit order on a simple grid.

    A yes means that `malformed` and every one of `ALWAYS_CHECKED` have nothing against it.
    """
    kind, price, lot = intent.type, intent.price, instrument.lot
    if (
        not (price is None if kind is MARKET else kind is LIMIT)
        or intent.stop_price is not None
        or intent.reduce_only
        or instrument.kind is INDEX
        or quantity.__class__ is not Decimal
        or intent.quote_quantity is not None
        or unsupported(intent) is not None
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


def malformed(intent: OrderIntent, now_ns: int) -> str | None:
    """Return why an intent makes no sense before any number in it is judged, or None."""
    if not 0 < len(intent.key) <= LONGEST_KEY:
        return f"a key has 1 to {LONGEST_KEY} characters, this one has {len(intent.key)}"
    if (intent.quantity is None) is (intent.quote_quantity is None):
        return "exactly one of quantity and quote_quantity must be given"
    lacking = unsupported(intent)
    if lacking is not None:
        return f"{lacking} is not supported yet"  # never ignored: a stop that nobody keeps (F-11)
    if intent.send_by_ns is not None and now_ns > intent.send_by_ns:
        return f"too late: it was to be sent by {intent.send_by_ns} and it is {now_ns}"
    return None


def unsupported(intent: OrderIntent) -> str | None:
    """Return the first wish of an intent that nothing in the core or a venue acts on, or None."""
    if intent.exits is not None:
        return "exits"
    if intent.oco_group:
        return "oco_group"
    return None if intent.display_quantity is None else "display_quantity"


def quantity_for(
    amount: Decimal | None, instrument: Instrument, price: Decimal | None
) -> Decimal | None:
    """Return the largest quantity on the grid that costs no more than `amount` at `price`.

    None where that is less than one lot, or there is no usable amount or price.
    """
    if amount is None or price is None or not amount.is_finite() or amount <= ZERO or not price:
        return None
    value = divide(amount, multiply(price, instrument.multiplier))
    return instrument.round_quantity(value) or None


def _misfit(kind: OrderType, name: str, *, is_missing: bool) -> str:
    return f"a {kind.value} order {'needs a' if is_missing else 'takes no'} {name}"


def _off_grid(
    instrument: Instrument, *, quantity: Decimal | None = None, price: Decimal | None = None
) -> str | None:
    """Return the instrument's own words for refusing a number, or None where it takes it."""
    try:
        if quantity is not None:
            instrument.quantity(quantity)
        if price is not None:
            instrument.price(price)
    except OffGrid as error:
        return error.reason
    return None
