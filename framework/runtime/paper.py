"""Paper trading over restarts: a simulated venue forgets, the journal does not.

The venue begins each process with nothing. What the journal knows that it had accepted is put
back: positions at once, working orders for what is left of them. What it had not answered it
never saw: such orders end, requests about others are refused.
"""

from decimal import Decimal

from msgspec.structs import replace

from framework.engine.engine import Engine
from framework.model.commands import SubmitOrder
from framework.model.decimals import ZERO, add
from framework.model.orders import OrderIntent, OrderStatus, OrderType, RequestState
from framework.model.reports import EndKind, OrderEnded, RequestKind, RequestRefused
from framework.orders.order_state import OrderState
from framework.simulation.venue import SimulatedVenue

NONE = RequestState.NONE
REASON = "the simulated venue was restarted"


def resume(engine: Engine, venue: SimulatedVenue, accounts: frozenset[str]) -> None:
    """Give a new simulated venue what the journal says it held; publishes its answers."""
    for (account, instrument), quantity in _net_positions(engine, accounts).items():
        venue.executions.adopt(account, instrument, quantity)
    working = [
        order
        for order in engine.registry
        if order.account in accounts
        and not order.facts.is_closed
        and order.facts.status is not OrderStatus.HELD
    ]
    for order in working:
        _resume_order(engine, venue, order)


def _net_positions(engine: Engine, accounts: frozenset[str]) -> dict[tuple[str, str], Decimal]:
    net: dict[tuple[str, str], Decimal] = {}
    for holding in engine.ledger.holdings():
        if holding.account in accounts:
            key = (holding.account, holding.instrument.id)
            net[key] = add(net.get(key, ZERO), holding.quantity)
    return net


def _resume_order(engine: Engine, venue: SimulatedVenue, order: OrderState) -> None:
    facts, now_ns = order.facts, engine.clock.now_ns
    publish, order_id = engine.bus.publish, order.order_id
    expire_ns = venue.expiry_ns(order.intent, order.created_ns)
    if facts.is_closed:  # by what followed from an answer about another one
        return
    if not facts.has_evidence:
        publish(OrderEnded(order_id, EndKind.REJECTED, now_ns, f"{REASON} before it answered"))
        return
    if facts.cancel_state is not NONE:
        publish(OrderEnded(order_id, EndKind.CANCELLED, now_ns, f"{REASON} before it answered"))
        return
    if expire_ns is not None and expire_ns <= now_ns:
        publish(OrderEnded(order_id, EndKind.EXPIRED, now_ns, f"expired before {REASON}"))
        return
    if facts.modify_state is not NONE:
        publish(RequestRefused(order_id, RequestKind.MODIFY, REASON, now_ns))
    venue.resume(
        SubmitOrder(
            order_id,
            order.account,
            _remaining_intent(order),
            facts.remaining,
            now_ns,
            order.reduce_only,
        ),
        facts.filled,
    )


def _remaining_intent(order: OrderState) -> OrderIntent:
    """Return the intent as it stands now: changed prices, and a triggered stop without its stop."""
    intent, facts = order.intent, order.facts
    order_type = intent.type
    if facts.is_triggered:
        order_type = OrderType.MARKET if facts.price is None else OrderType.LIMIT
    is_stop = order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
    return replace(
        intent,
        type=order_type,
        quantity=facts.remaining,
        quote_quantity=None,
        price=facts.price,
        stop_price=facts.stop_price if is_stop else None,
    )
