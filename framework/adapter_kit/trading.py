"""Orders that checks give through an adapter's broker, and what came of them."""

from collections.abc import Iterable
from decimal import Decimal
from functools import reduce
from typing import Any

from framework.adapter_kit.rig import Terms, VenueOrder
from framework.adapter_kit.stage import CheckFailed, Stage
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.decimals import ZERO, add
from framework.model.orders import OrderIntent, OrderType, TimeInForce
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderFact,
    OrderFilled,
    OrderReplaced,
    RequestInDoubt,
    RequestRefused,
)

FACTS = (
    OrderAccepted,
    OrderFilled,
    OrderReplaced,
    OrderEnded,
    RequestRefused,
    RequestInDoubt,
)
ANSWER_S = 45.0  # more than any request timeout
READY_S = 20.0
SETTLED_S = 10.0


def total(quantities: Iterable[Decimal]) -> Decimal:
    """Return their sum, to the last digit."""
    return reduce(add, quantities, ZERO)


class Trader:
    """Gives orders for the rig's first instrument; ids count, and look like the core's.

    `sent` are the ids of all that were given.
    """

    def __init__(self, stage: Stage) -> None:
        self.sent: list[str] = []
        self._stage = stage

    @classmethod
    async def on(cls, stage: Stage) -> "Trader":
        """Return one whose broker answers."""
        trader = cls(stage)
        await trader.ready()
        return trader

    async def ready(self) -> None:
        """Wait until the broker's questions are answered: its link is up."""
        queries, seen = self._stage.queries, ""
        for _ in range(int(READY_S)):
            await self._stage.pass_time(1.0)
            try:
                await queries.balances(self._stage.rig.account)
            except Exception as error:  # not connected yet: any error of its own
                seen = repr(error)
                continue
            return
        raise CheckFailed(f"the broker does not answer {READY_S:g} s after its start: {seen}")

    def submit(
        self,
        terms: Terms,
        *,
        order_type: OrderType = OrderType.LIMIT,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> str:
        """Send one order; return its id."""
        stage = self._stage
        number = len(self.sent) + 1
        order_id = f"KIT{number:017d}"
        self.sent.append(order_id)
        intent = OrderIntent(
            run="kit",
            key=f"kit {number}",
            instrument=stage.name(),
            side=terms.side,
            quantity=terms.quantity,
            type=order_type,
            price=None if order_type is OrderType.MARKET else terms.price,
            time_in_force=time_in_force,
            post_only=post_only,
            reduce_only=reduce_only,
        )
        now_ns = stage.clock.now_ns
        stage.broker.send(
            SubmitOrder(order_id, stage.rig.account, intent, terms.quantity, now_ns, reduce_only)
        )
        return order_id

    def cancel(self, order_id: str) -> None:
        """Ask for an order to be taken back."""
        stage = self._stage
        stage.broker.send(
            CancelOrder(order_id, stage.rig.account, stage.name(), stage.clock.now_ns)
        )

    def modify(
        self,
        order_id: str,
        revision: int,
        *,
        price: Decimal | None = None,
        quantity: Decimal | None = None,
    ) -> None:
        """Ask for a new price or total quantity."""
        stage = self._stage
        now_ns = stage.clock.now_ns
        stage.broker.send(
            ModifyOrder(
                order_id, stage.rig.account, stage.name(), revision, now_ns, quantity, price
            )
        )

    def facts(self, order_id: str) -> list[OrderFact]:
        """Return what the adapter said of one order."""
        facts: list[Any] = self._stage.of(*FACTS)
        return [fact for fact in facts if fact.order_id == order_id]

    def has(self, order_id: str, kind: type, end: EndKind | None = None) -> bool:
        """Whether such a fact came."""
        return any(
            isinstance(fact, kind) and (end is None or getattr(fact, "kind", None) is end)
            for fact in self.facts(order_id)
        )

    def fills(self, order_id: str) -> list[OrderFilled]:
        """Return every execution that was told of an order, as often as it was."""
        return [fact for fact in self.facts(order_id) if isinstance(fact, OrderFilled)]

    def filled(self, order_id: str) -> Decimal:
        """Return the sum of an order's executions, each once."""
        return total({fill.execution_id: fill.quantity for fill in self.fills(order_id)}.values())

    async def until(self, order_id: str, kind: type, end: EndKind | None = None) -> None:
        """Wait for a fact of this kind."""
        name = f"{kind.__name__}{'' if end is None else f' ({end.value})'}"
        try:
            await self._stage.until(
                lambda: self.has(order_id, kind, end), f"{order_id}: {name}", within_s=ANSWER_S
            )
        except CheckFailed as failed:
            raise CheckFailed(f"{failed}; facts: {self.facts(order_id)}") from None

    async def until_filled(self, order_id: str, quantity: Decimal) -> None:
        """Wait until the executions told of add up to `quantity`."""
        await self._stage.until(
            lambda: self.filled(order_id) == quantity,
            f"{order_id} filled {quantity}",
            within_s=ANSWER_S,
        )

    def at_venue(self, order_id: str) -> VenueOrder:
        """Return the venue's truth of an order that it must have taken exactly once."""
        found = [order for order in self._stage.rig.orders() if order.client_id == order_id]
        if len(found) != 1:
            raise CheckFailed(f"the venue has {len(found)} orders with the id {order_id}")
        return found[0]

    def require_no_others(self) -> None:
        """Require that the account has no orders but those that were given here."""
        others = {order.client_id for order in self._stage.rig.orders()} - set(self.sent)
        if others:
            raise CheckFailed(f"the venue has orders that nobody gave: {sorted(others)}")

    async def until_held(self) -> None:
        """Wait until `positions` says what the venue does; one may settle a moment later."""
        stage = self._stage
        for _ in range(int(SETTLED_S)):
            reports = await stage.queries.positions(stage.rig.account)
            held = total(r.quantity for r in reports if r.instrument == stage.name())
            truth = stage.rig.position(stage.rig.symbols[0])
            if held == truth:
                return
            await stage.pass_time(1.0)
        raise CheckFailed(f"positions() says {held}, the venue {truth}")
