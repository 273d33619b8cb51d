"""What a simulated venue checks before it takes an order in or changes one."""

from decimal import Decimal

from framework.errors import OffGrid
from framework.interfaces import MarketView
from framework.model.commands import ModifyOrder, SubmitOrder
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import OrderIntent, OrderSession, OrderType, TimeInForce, TriggerBy
from framework.simulation.resting import VenueOrder, is_stop

_MARKET, _LIMIT = OrderType.MARKET, OrderType.LIMIT
_STOP, _STOP_LIMIT = OrderType.STOP, OrderType.STOP_LIMIT
_GTC, _DAY, _GTD = TimeInForce.GTC, TimeInForce.DAY, TimeInForce.GTD
_NOW = OrderSession.NOW
_MARK = TriggerBy.MARK
_INDEX = InstrumentKind.INDEX


class Admission:
    """Judges the orders for one instrument."""

    __slots__ = ("_instrument", "_last_quantity", "_market")

    def __init__(self, instrument: Instrument, market: MarketView) -> None:
        self._instrument = instrument
        self._market = market
        self._last_quantity: Decimal | None = None  # most orders repeat one that was good

    def refusal(self, command: SubmitOrder, now_ns: int) -> str | None:
        """Return why the venue does not take the order in, or None.

        Whether a post-only order would take and a reduce-only order reduces is judged after it.
        """
        intent = command.intent
        instrument = self._instrument
        if instrument.kind is _INDEX:
            return f"{instrument.id} is an index and cannot be traded"
        if instrument.expiry_ns is not None and instrument.expiry_ns <= now_ns:
            return f"{instrument.id} has expired"
        if intent.session is not _NOW:
            return f"session {intent.session.value} is not supported"
        reason: str | None = None
        try:
            if command.quantity != self._last_quantity:
                self._last_quantity = None
                instrument.quantity(command.quantity)
                self._last_quantity = command.quantity
            if intent.type is not _MARKET:
                reason = _price_refusal(intent, instrument)
        except OffGrid as refusal:
            return refusal.reason
        if reason is None and intent.trigger_by is _MARK and is_stop(intent.type):
            reason = None if self._market.mark_price(instrument.id) else "there is no mark price"
        return reason or _terms_refusal(intent, now_ns)


def _price_refusal(intent: OrderIntent, instrument: Instrument) -> str | None:
    kind = intent.type
    if kind is _LIMIT or kind is _STOP_LIMIT:
        if intent.price is None:
            return f"a {kind.value} order needs a price"
        instrument.price(intent.price)
    if kind is _STOP or kind is _STOP_LIMIT:
        if intent.stop_price is None:
            return f"a {kind.value} order needs a stop price"
        instrument.price(intent.stop_price)
    elif kind is not _LIMIT:
        return f"{kind.value} orders are not supported"
    return None


def _terms_refusal(intent: OrderIntent, now_ns: int) -> str | None:
    time_in_force = intent.time_in_force
    if intent.expire_ns is None:
        if time_in_force is _GTD:
            return "a gtd order needs an expiry"
    elif intent.expire_ns <= now_ns:
        return "the expiry has passed"
    if intent.post_only:
        if intent.type is not _LIMIT and intent.type is not _STOP_LIMIT:
            return f"a {intent.type.value} order cannot be post-only"
        if time_in_force not in (_GTC, _DAY, _GTD):
            return f"a post-only order cannot be {time_in_force.value}"
    return None


def modify_refusal(command: ModifyOrder, order: VenueOrder) -> str | None:
    """Return why the order stays as it is, or None."""
    if command.revision <= order.revision:
        return f"revision {command.revision} is not above {order.revision}"
    if command.price is not None and order.limit is None:
        return f"a {order.kind.value} order has no price to change"
    if command.stop_price is not None and not is_stop(order.kind):
        return "there is no stop price to change"
    try:
        return _value_refusal(command, order)
    except OffGrid as refusal:
        return refusal.reason


def _value_refusal(command: ModifyOrder, order: VenueOrder) -> str | None:
    quantity: Decimal | None = command.quantity
    if quantity is not None:
        order.instrument.quantity(quantity)
        if quantity <= order.filled:
            return f"quantity {quantity} is not above the {order.filled} that have traded"
    for price in (command.price, command.stop_price):
        if price is not None:
            order.instrument.price(price)
    return None
