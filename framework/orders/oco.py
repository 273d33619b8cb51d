"""OCO groups: of the orders of a run that share an `oco_group`, one cancels the others.

    a member is filled whole, or its stop is triggered    the others are cancelled
    a member is filled in part                            the others shrink in proportion: each may
                                                          still fill quantity × (1 − Σ filled parts)

The parts are shares of the quantity first asked for, rounded down to the lot; a member asked for by
quote quantity is cancelled by the first fill of another. Members may all be at the venue (only held
ones wait in the core), so two may cross before a cancel arrives: the second fill is booked like any
other. A group is over when it was won: orders that join later start a new one, so members are to be
submitted before one of them fills (a basket does that).

One-triggers-other is the intent option `("after", "<key>")`, see `held_entries.py`.
"""

from decimal import Decimal

from framework.model.decimals import ONE, ZERO, add, divide, multiply, subtract
from framework.model.orders import OrderStatus, RequestState
from framework.orders.held_desk import HeldDesk
from framework.orders.legs import is_given_up, is_held
from framework.orders.order_state import OrderState

NONE = RequestState.NONE
FILLED = OrderStatus.FILLED
SWEEP_FROM = 1_000


class OcoGroups:
    """The groups of all runs; everything but the index is in the orders."""

    def __init__(self, desk: HeldDesk) -> None:
        self._desk = desk
        self._members: dict[tuple[str, str], list[OrderState]] = {}
        self._sweep_at = SWEEP_FROM

    def __len__(self) -> int:
        """Return how many groups are known."""
        return len(self._members)

    def rebuild(self) -> None:
        """Read the groups off the orders in memory; nothing is changed."""
        self._members.clear()
        for order in self._desk.registry:
            self._take_in(order)

    def settle_all(self) -> None:
        """Let every group draw the consequences of its fills; changes nothing if it has."""
        for members in list(self._members.values()):
            self._settle(members)

    def hear(self, order: OrderState) -> None:
        """React to a change of a member."""
        members = self._take_in(order)
        if members is not None:
            self._settle(members)

    def keeps(self, order: OrderState) -> bool:
        """Tell whether an order has to stay in memory: others of its group are open."""
        members = self._members.get((order.run, order.intent.oco_group), ())
        return order in members and any(not member.facts.is_closed for member in members)

    def _take_in(self, order: OrderState) -> list[OrderState] | None:
        group = order.intent.oco_group
        if not group or order.parent:
            return None
        members = self._members.get((order.run, group))
        if members is None:
            self._sweep()
            members = self._members[order.run, group] = []
        if order not in members:
            # What ended before it came has done to its group what it had to.
            members[:] = [member for member in members if _concerns(member, order)]
            members.append(order)
        return members

    def _sweep(self) -> None:
        """Forget the groups whose members have all ended."""
        if len(self._members) >= self._sweep_at:
            for name, members in list(self._members.items()):
                if all(member.facts.is_closed for member in members):
                    del self._members[name]
            self._sweep_at = 2 * len(self._members) + SWEEP_FROM

    def _settle(self, members: list[OrderState]) -> None:
        for member in members:
            if member.facts.is_closed:
                continue
            rivals = [
                other for other in members if other is not member and _concerns(other, member)
            ]
            if any(_has_won(rival) for rival in rivals):
                self._cancel(member)
            elif any(rival.facts.filled for rival in rivals):
                self._shrink(member, rivals)

    def _shrink(self, member: OrderState, rivals: list[OrderState]) -> None:
        facts, asked = member.facts, member.intent.quantity
        part = _part(member)
        for rival in rivals:
            part = add(part, _part(rival))
        if asked is None or part >= ONE:
            self._cancel(member)
            return
        left = member.instrument.round_quantity(multiply(asked, subtract(ONE, part)))
        total = add(facts.filled, left)
        if left <= ZERO:
            self._cancel(member)
        elif total >= facts.quantity:
            return
        elif is_held(member):
            self._desk.change_held(member, quantity=total)
        elif facts.modify_state is NONE and (
            facts.is_modify_refused
            or self._desk.modify(member.order_id, quantity=total) is not None
        ):
            self._cancel(member)  # what cannot shrink must not fill whole

    def _cancel(self, member: OrderState) -> None:
        if not is_given_up(member):
            self._desk.cancel(member.order_id)


def _concerns(order: OrderState, other: OrderState) -> bool:
    """Tell whether an order was still there when another one came."""
    return not order.facts.is_closed or other.created_ns <= order.facts.updated_ns


def _has_won(order: OrderState) -> bool:
    return order.facts.status is FILLED or order.facts.is_triggered


def _part(order: OrderState) -> Decimal:
    """Return the share of what was first asked for that is filled."""
    filled, asked = order.facts.filled, order.intent.quantity
    if not filled:
        return ZERO
    return ONE if not asked else divide(filled, asked)
