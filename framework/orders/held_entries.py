"""Held entries: orders that the core keeps because the venue lacks what they wait for.

An entry passes its conditions in this order, and is sent as soon as the venue can do the rest:

    after     option ("after", "<key>"): until the run's order of that key is filled whole; ended
              when that one ends otherwise (one-triggers-other)
    open      session next_open where the venue lacks it: until the calendar opens
    trigger   a stop, stop-limit or trailing stop (or its `trigger_by`) that the venue lacks

A held entry ends by itself at `expire_ns` (GTD) and at the end of its session (DAY).
"""

from collections.abc import Callable
from enum import Enum

import msgspec

from framework.clock.trading_hours import TradingHours
from framework.interfaces import BrokerCapabilities, Clock
from framework.model.orders import (
    CLOSED_STATUSES,
    OrderIntent,
    OrderSession,
    OrderStatus,
    OrderType,
    TimeInForce,
)
from framework.model.records import HoldRole
from framework.model.reports import EndKind
from framework.orders.exits import due_intent
from framework.orders.held_desk import HeldDesk
from framework.orders.legs import is_held
from framework.orders.order_state import OrderState

STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
FILLED = OrderStatus.FILLED
AFTER = "after"


class Wait(Enum):
    """What a held entry waits for."""

    PARENT = "parent"
    OPEN = "open"
    TRIGGER = "trigger"
    NOTHING = "nothing"


def needs_holding(intent: OrderIntent, venue: BrokerCapabilities) -> bool:
    """Tell whether the core has to keep an intent that the venue cannot do by itself."""
    return (
        bool(parent_key(intent))
        or (intent.session is OrderSession.NEXT_OPEN and not venue.has_next_open)
        or needs_trigger(intent, venue)
    )


def needs_trigger(intent: OrderIntent, venue: BrokerCapabilities) -> bool:
    """Tell whether the venue lacks a stop's type, or the price that is to wake it."""
    return intent.type in STOPS and (
        intent.type not in venue.order_types or intent.trigger_by not in venue.trigger_bys
    )


def parent_key(intent: OrderIntent) -> str:
    """Return the key of the order that this one comes after, "" if none."""
    return next((value for name, value in intent.options if name == AFTER), "")


class HeldEntries:
    """The entries that wait in the core; `arm` is told of those that wait for a price now.

    Attributes:
        held: those entries by order id; to be read only.
    """

    def __init__(
        self,
        *,
        desk: HeldDesk,
        clock: Clock,
        capabilities: Callable[[str], BrokerCapabilities],
        hours_of: Callable[[str], TradingHours],
        arm: Callable[[OrderState], None],
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._capabilities = capabilities
        self._hours_of = hours_of
        self._arm = arm
        self.held: dict[str, OrderState] = {}
        self._expected: dict[tuple[str, str], dict[str, OrderState]] = {}

    def rebuild(self) -> None:
        """Read the held entries off the orders in memory; nothing is changed."""
        self.held.clear()
        self._expected.clear()
        for order in self._desk.registry:
            self._take_in(order)

    def expects(self, run: str, key: str) -> bool:
        """Tell whether an entry waits for the run's order of this key."""
        return (run, key) in self._expected

    def hear(self, order: OrderState) -> None:
        """React to a change: of a held entry, or of an order that others come after."""
        if order.role is HoldRole.ENTRY:
            self._take_in(order)
            self._advance(order)
        for child in list(self._expected.get((order.run, order.intent.key), {}).values()):
            self._advance(child)

    def fire(self, order: OrderState) -> None:
        """Send a held stop now: its price was met."""
        if is_held(order):
            intent = due_intent(
                order.intent, quantity=order.facts.remaining, price=order.facts.price
            )
            self._desk.release(order, intent, cause="triggered")

    def due(self, now_ns: int) -> None:
        """End what expired, send what opens."""
        for order in list(self.held.values()):
            expiry_ns = self.expiry_ns(order)
            if expiry_ns is not None and expiry_ns <= now_ns:
                self._desk.end_held(order, EndKind.EXPIRED, "expired while held")
            else:
                self._advance(order)

    def next_due_ns(self) -> int | None:
        """Return when `due` has something to do again; None: for nothing that is held now."""
        times = [self._next_ns(order) for order in self.held.values() if is_held(order)]
        return min((time_ns for time_ns in times if time_ns is not None), default=None)

    def waits_for(self, order: OrderState) -> Wait:
        """Return the first condition of a held entry that is not met."""
        intent = order.intent
        key = parent_key(intent)
        if key and self._parent_status(order.run, key) is not FILLED:
            return Wait.PARENT
        venue = self._capabilities(order.account)
        if not self._is_open(order, venue):
            return Wait.OPEN
        return Wait.TRIGGER if needs_trigger(intent, venue) else Wait.NOTHING

    def expiry_ns(self, order: OrderState) -> int | None:
        """Return when a held entry ends by itself, None: never."""
        intent = order.intent
        if intent.time_in_force is TimeInForce.GTD:
            return intent.expire_ns
        if intent.time_in_force is TimeInForce.DAY:
            start_ns = order.created_ns
            if intent.session is OrderSession.NEXT_OPEN:
                start_ns = self._opens_ns(order) or start_ns
            return self._hours_of(intent.instrument).day_end_ns(start_ns)
        return None

    def _take_in(self, order: OrderState) -> None:
        if order.role is not HoldRole.ENTRY:
            return
        name = order.run, parent_key(order.intent)
        if is_held(order):
            self.held[order.order_id] = order
            if name[1]:
                self._expected.setdefault(name, {})[order.order_id] = order
            return
        self.held.pop(order.order_id, None)
        children = self._expected.get(name)
        if children is not None:
            children.pop(order.order_id, None)
            if not children:
                del self._expected[name]

    def _advance(self, order: OrderState) -> None:
        """Send or end a held entry as far as its conditions say so."""
        if not is_held(order):
            return
        wait = self.waits_for(order)
        if wait is Wait.PARENT:
            key = parent_key(order.intent)
            status = self._parent_status(order.run, key)
            if status in CLOSED_STATUSES:
                reason = f"order {key} ended {status.value}" if status else ""
                self._desk.end_held(order, EndKind.CANCELLED, reason)
        elif wait is Wait.NOTHING:
            self._desk.release(order, self._native_intent(order), cause="its conditions are met")
        elif wait is Wait.TRIGGER:
            self._arm(order)

    def _native_intent(self, order: OrderState) -> OrderIntent:
        """Return the intent as the venue is to have it: what the core waited for is done."""
        intent, facts = order.intent, order.facts
        is_open = not self._capabilities(order.account).has_next_open
        return msgspec.structs.replace(
            intent,
            quantity=facts.remaining,
            quote_quantity=None,
            price=facts.price,
            stop_price=facts.stop_price,
            trail=order.trail,
            session=OrderSession.NOW if is_open else intent.session,
        )

    def _parent_status(self, run: str, key: str) -> OrderStatus | None:
        registry = self._desk.registry
        parent = registry.by_key(run, key)
        if parent is not None:
            return parent.facts.status
        closed = registry.closed_order(run, key)
        return None if closed is None else closed.status

    def _is_open(self, order: OrderState, venue: BrokerCapabilities) -> bool:
        """Tell whether the session that an entry is for has begun."""
        if order.intent.session is not OrderSession.NEXT_OPEN or venue.has_next_open:
            return True
        opens_ns, now_ns = self._opens_ns(order), self._clock.now_ns
        if opens_ns is None:  # a market that never closes; or one whose openings nobody knows
            return self._hours_of(order.intent.instrument).is_open(now_ns)
        return opens_ns <= now_ns

    def _opens_ns(self, order: OrderState) -> int | None:
        """Return when the session after the one an entry was made in, or before, begins."""
        return self._hours_of(order.intent.instrument).next_open_ns(order.created_ns)

    def _next_ns(self, order: OrderState) -> int | None:
        times = [self.expiry_ns(order)]
        if self.waits_for(order) is Wait.OPEN:
            times.append(self._opens_ns(order))
        return min((time_ns for time_ns in times if time_ns is not None), default=None)
