"""Orders that the core keeps: held until their condition is met, then sent, changed or ended here.

What wakes them is decided elsewhere (`triggers.py`, `exits.py`, `oco.py`); this is how that becomes
state, records and a command, in the same commit as what caused it.
"""

from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from framework.interfaces import Clock
from framework.model.commands import SubmitOrder
from framework.model.orders import Offset, Order, OrderIntent, OrderStatus, OrderType, Percent
from framework.model.records import CoverNoted, ExitsReplaced, OrderTrailed, Record
from framework.model.reports import EndKind, OrderEnded, OrderReplaced, OrderTriggered
from framework.orders.admission import Admission
from framework.orders.application import FactApplication
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.orders.trailing import TrailingStop
from framework.risk.gate import Refused

HELD = OrderStatus.HELD
IN_CORE = "core"
STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)


class HeldOrders:
    """Releases, changes and ends orders of status HELD; `dispatch` sends what was recorded."""

    def __init__(
        self,
        *,
        registry: OrderRegistry,
        admission: Admission,
        application: FactApplication,
        clock: Clock,
        emit: Callable[[object], None],
        wants: Callable[[type, str], bool],
        record: Callable[[Record], None],
        dispatch: Callable[[OrderState, SubmitOrder], None],
        shrinks_account: Callable[[OrderState], bool],
    ) -> None:
        self._registry = registry
        self._admission = admission
        self._application = application
        self._clock = clock
        self._emit = emit
        self._wants = wants
        self._record = record
        self._dispatch = dispatch
        self._shrinks_account = shrinks_account

    def release(self, order: OrderState, intent: OrderIntent, *, cause: str = "") -> str | None:
        """Send a held order now, as `intent` says; None, or why it is not sent.

        `intent` differs from the order's own in type and prices only (a triggered stop goes out
        as a market or limit order). An entry passes the gate again, an exit does not: it can only
        shrink what is held. A refused entry has ended.
        """
        if order.facts.status is not HELD:
            return f"order {order.order_id} is {order.facts.status.value}, not held"
        if order.intent.type in STOPS and intent.type is not order.intent.type:
            self._application.apply(OrderTriggered(order.order_id, self._clock.now_ns, IN_CORE))
        refusal = None if order.parent else self._refusal(order)
        if refusal is not None:
            self.end(order, EndKind.REJECTED, f"refused when {cause or 'released'}: {refusal}")
            return refusal
        now_ns = self._clock.now_ns
        intent = replace(intent, cause_ns=now_ns, send_by_ns=None)  # decided now, not when asked
        quantity = order.facts.remaining
        order.facts.release()
        order.is_released = True
        self._registry.track(order)
        reduce_only = order.intent.reduce_only and self._shrinks_account(order)
        command = SubmitOrder(order.order_id, order.account, intent, quantity, now_ns, reduce_only)
        self._record(command)
        self._dispatch(order, command)
        return None

    def change(
        self,
        order: OrderState,
        *,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> None:
        """Change a held order at once: nobody else has to agree. The quantity is the new total."""
        facts = order.facts
        self._application.apply(
            OrderReplaced(
                order.order_id,
                1 + (facts.replaced.revision if facts.replaced is not None else 0),
                facts.quantity if quantity is None else quantity,
                self._clock.now_ns,
                price,
                stop_price,
                evidence=IN_CORE,
            ),
        )

    def trail(self, order: OrderState, extreme: Decimal, stop_price: Decimal) -> None:
        """Move a held trailing stop after the best price so far, and write both down."""
        self._record(OrderTrailed(order.order_id, extreme, stop_price, self._clock.now_ns))
        order.extreme = extreme
        order.facts.stop_price = stop_price
        if self._wants(Order, order.intent.run):
            self._emit(order.event())

    def retrail(self, order: OrderState, trail: Offset | Percent) -> None:
        """Let a held trailing stop follow at another distance; its stop never goes back."""
        extreme, stop = order.extreme, order.facts.stop_price
        if extreme is not None and stop is not None:
            before = TrailingStop(order.is_buy, trail, order.instrument, extreme, stop)
            stop = before.with_trail(trail).stop
        self._record(OrderTrailed(order.order_id, extreme, stop, self._clock.now_ns, trail))
        order.changed_trail = trail
        order.facts.stop_price = stop
        self._tell(order)

    def replace_exits(self, order: OrderState, replaced: ExitsReplaced) -> None:
        """Give an entry other exits; what becomes of those it has is decided elsewhere."""
        self._record(replaced)
        order.replaced_exits = replaced
        self._tell(order)

    def note_cover(self, order: OrderState, noted: CoverNoted) -> None:
        """Write down what an entry's exits need not cover; it concerns nobody else."""
        self._record(noted)
        order.noted_cover = noted

    def _tell(self, order: OrderState) -> None:
        if self._wants(Order, order.intent.run):
            self._emit(order.event())
        for hear in self._application.after_change:
            hear(order, None)

    def end(self, order: OrderState, kind: EndKind, reason: str) -> None:
        """End an order that never left."""
        self._application.apply(
            OrderEnded(order.order_id, kind, self._clock.now_ns, reason, IN_CORE)
        )

    def _refusal(self, order: OrderState) -> str | None:
        facts = order.facts
        verdict = self._admission.judge_change(
            order,
            self._application.holding_of(order),
            quantity=facts.quantity,
            price=facts.price,
            stop_price=facts.stop_price,
            now_ns=self._clock.now_ns,
        )
        return verdict.reason if isinstance(verdict, Refused) else None
