"""Requests about an order that exists: take it back, or change it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from framework.interfaces import Clock
from framework.model.commands import CancelOrder, ModifyOrder, VenueCommand
from framework.model.orders import Offset, Order, OrderStatus, OrderType, Percent, RequestState
from framework.model.records import Record
from framework.model.reports import EndKind, OrderEnded
from framework.orders.admission import Admission
from framework.orders.application import FactApplication
from framework.orders.exits import fault_in_wish
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.risk.gate import Refused

NONE = RequestState.NONE
WAITING = RequestState.WAITING
SENT = RequestState.SENT
HELD = OrderStatus.HELD
INITIALISED = OrderStatus.INITIALISED


class ChangeHeld(Protocol):
    """Changes an order that the core keeps, as `HeldOrders.change` does."""

    def __call__(
        self,
        order: OrderState,
        *,
        quantity: Decimal | None,
        price: Decimal | None,
        stop_price: Decimal | None,
    ) -> None: ...


class Requests:
    """Sends cancels and modifications, one of each kind at a time for an order."""

    def __init__(
        self,
        *,
        registry: OrderRegistry,
        admission: Admission,
        application: FactApplication,
        clock: Clock,
        emit: Callable[[object], None],
        wants: Callable[[type, str], bool],
        send: Callable[[VenueCommand], None],
        record: Callable[[Record], None],
        change_held: ChangeHeld,
        retrail: Callable[[OrderState, Offset | Percent], None],
    ) -> None:
        self._registry = registry
        self._admission = admission
        self._application = application
        self._clock = clock
        self._emit = emit
        self._wants = wants
        self._send = send
        self._record = record
        self._change_held = change_held
        self._retrail = retrail

    def cancel(self, order_id: str) -> str | None:
        """Take an order back: None when the request is on its way, else why it makes no sense."""
        order = self._registry.get(order_id)
        if order is None:
            return f"unknown order {order_id}"
        facts = order.facts
        if facts.is_closed:
            return f"order {order_id} is already {facts.status.value}"
        now_ns = self._clock.now_ns
        if facts.status is HELD or facts.status is INITIALISED:  # it never left
            self._application.apply(
                OrderEnded(order_id, EndKind.CANCELLED, now_ns, "cancelled", "core")
            )
            return None
        state = facts.cancel_state
        if state is WAITING or state is SENT:
            return None
        facts.request_cancel()
        self._request(order, CancelOrder(order_id, order.account, order.instrument.id, now_ns))
        return None

    def modify(
        self,
        order_id: str,
        *,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        stop_price: Decimal | None = None,
        trail: Offset | Percent | None = None,
    ) -> str | None:
        """Change a working order: None when the request is on its way, else why it was refused.

        `quantity` is the new total, filled part included. Until the venue answers, the larger of
        old and new counts as reserved. `trail` is the new distance of a trailing stop that the core
        keeps; its level moves if the new one is nearer to the market, and never back.
        """
        order = self._registry.get(order_id)
        if order is None:
            return f"unknown order {order_id}"
        reason = _unchangeable(order, quantity)
        if reason is None and trail is not None:
            reason = _untrailable(order, trail)
        if reason is not None:
            return reason
        facts = order.facts
        now_ns = self._clock.now_ns
        total = facts.quantity if quantity is None else quantity
        limit = facts.price if price is None else price
        stop = facts.stop_price if stop_price is None else stop_price
        verdict = self._admission.judge_change(
            order,
            self._application.holding_of(order),
            quantity=total,
            price=limit,
            stop_price=stop,
            now_ns=now_ns,
        )
        if isinstance(verdict, Refused):
            return verdict.reason
        if facts.status is HELD:  # nobody else has to agree
            if trail is None or not quantity is price is stop_price is None:
                self._change_held(order, quantity=total, price=price, stop_price=stop_price)
            if trail is not None:
                self._retrail(order, trail)
            return None
        revision = 1 + max(facts.modify_revision, facts.replaced.revision if facts.replaced else 0)
        order.pending = ModifyOrder(
            order_id,
            order.account,
            order.instrument.id,
            revision,
            now_ns,
            quantity,
            price,
            stop_price,
        )
        facts.request_modify(revision, quantity)
        self._registry.track(order)
        self._request(order, order.pending)
        self._application.tell_change(order)
        return None

    def _request(self, order: OrderState, command: VenueCommand) -> None:
        """Write down, tell, act: the engine holds the command until it is durable."""
        self._record(command)
        if self._wants(Order, order.intent.run):
            self._emit(order.event())
        self._send(command)


def _untrailable(order: OrderState, trail: Offset | Percent) -> str | None:
    """Return why this order cannot trail at another distance, or None."""
    if order.intent.type is not OrderType.TRAILING_STOP:
        return f"order {order.order_id} does not trail"
    if order.facts.status is not HELD:
        return f"order {order.order_id} trails at the venue: its distance cannot be changed here"
    return fault_in_wish("trail", trail, order.instrument)


def _unchangeable(order: OrderState, quantity: Decimal | None) -> str | None:
    """Return why this order cannot be changed now, or None."""
    facts = order.facts
    if facts.is_closed:
        return f"order {order.order_id} is already {facts.status.value}"
    if facts.modify_state is not NONE:
        return f"order {order.order_id} has a modify request without an answer"
    if quantity is not None and not (quantity.is_finite() and quantity > facts.filled):
        return f"quantity {quantity} is not above what is filled, {facts.filled}"
    return None
