"""Orders that the gate refused, in the log and back: they never were anybody's but ours."""

from collections.abc import Callable, Iterable

import msgspec

from framework.errors import UnknownInstrument
from framework.model.instrument import Instrument
from framework.model.orders import Order, OrderIntent, Side
from framework.model.records import IntentDenied, Record
from framework.orders.lifecycle import OrderFacts
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.portfolio.holding import is_paid_in_full

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(OrderIntent).decode


def intent_denied(order: OrderState) -> IntentDenied | None:
    """Return what a denied order's event does not show of its intent; None: it shows all."""
    intent = order.intent
    plain = msgspec.structs.replace(intent, send_by_ns=None, cause_sequence=0, cause_ns=0)
    if plain == shown_intent(order.event()):
        return None
    try:
        is_sound = _decode(_encode(plain)) == plain
    except (msgspec.MsgspecError, TypeError, ValueError, ArithmeticError, OverflowError):
        is_sound = False  # it may be denied for that, and the log must be read again
    return IntentDenied(order.order_id, plain, order.created_ns) if is_sound else None


def denied_order(
    registry: OrderRegistry, entries: Iterable[Record], instrument: Callable[[str], Instrument]
) -> OrderState | None:
    """Return the DENIED order among these entries, to be shown; None: there is none."""
    intent: OrderIntent | None = None
    for entry in entries:
        if isinstance(entry, IntentDenied):
            intent = entry.intent
        elif isinstance(entry, Order):
            wish = shown_intent(entry) if intent is None else intent
            try:
                definition = instrument(entry.instrument)
            except UnknownInstrument:  # perhaps that is why
                definition = Instrument(entry.instrument)
            return _order(registry, entry, wish, definition)
    return None


def shown_intent(order: Order) -> OrderIntent:
    """Return what an order's event shows of its intent."""
    return OrderIntent(
        order.run,
        order.key,
        order.instrument,
        order.side,
        order.quantity,
        order.type,
        order.price,
        order.stop_price,
        trail=order.trail,
        time_in_force=order.time_in_force,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        bucket=order.bucket,
        tags=order.tags,
    )


def _order(
    registry: OrderRegistry, denied: Order, intent: OrderIntent, instrument: Instrument
) -> OrderState:
    facts = OrderFacts(denied.quantity, denied.price, denied.stop_price, denied.time_ns)
    facts.deny(denied.reason)
    return OrderState(
        denied.order_id,
        intent,
        denied.account,
        instrument,
        facts,
        registry.working(intent.run, intent.instrument),
        denied.created_ns,
        intent.side is Side.BUY,
        registry.reserved_cash(denied.account),
        is_paid_in_full(instrument),
        denied.reduce_only,
    )
