"""OCO groups: of the orders of a run that share an `oco_group`, one cancels the others.

    a member is filled whole, or its stop is triggered    the others are cancelled
    a member is filled in part                            the others shrink in proportion: each may
                                                          still fill quantity × (1 − Σ filled parts)

With the intent option `("oco", "whole")` on any member the group goes by other rules:

    a member is filled whole, or rejected                 the others are cancelled
    a member is filled in part                            nothing, or as above if every member is
                                                          reduce-only: a group of exits
    its stop is triggered, it is cancelled or expires     nothing

Two members of such a group that were both filled whole, before the cancel of one got through, are
told of as an anomaly of the second, once: `oco_double_exit <first id> <second id>: ...`.

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
from framework.model.reports import OrderFact
from framework.orders.held_desk import HeldDesk
from framework.orders.legs import is_given_up, is_held
from framework.orders.order_state import OrderState

NONE = RequestState.NONE
FILLED = OrderStatus.FILLED
REJECTED = OrderStatus.REJECTED
WHOLE = ("oco", "whole")
DOUBLE_EXIT = "oco_double_exit"
SWEEP_FROM = 1_000


class OcoGroups:
    """The groups of all runs; everything but the index is in the orders.

    Attributes:
        doubled: the orders that were told of as filled besides another one; to be read only.
    """

    def __init__(self, desk: HeldDesk) -> None:
        self._desk = desk
        self._members: dict[tuple[str, str], list[OrderState]] = {}
        self.doubled: set[str] = set()
        self._sweep_at = SWEEP_FROM

    def __len__(self) -> int:
        """Return how many groups are known."""
        return len(self._members)

    def rebuild(self) -> None:
        """Read the groups off the orders in memory; nothing is changed."""
        self._members.clear()
        self.doubled.clear()
        for order in self._desk.registry:
            self._take_in(order)
        for members in self._members.values():
            self.doubled.update(order.order_id for order in _filled_whole(members)[1:])

    def settle_all(self) -> None:
        """Let every group draw the consequences of its fills; changes nothing if it has."""
        for members in list(self._members.values()):
            self._settle(members)

    def hear(self, order: OrderState, fact: OrderFact | None = None) -> None:
        """React to a change of a member."""
        members = self._take_in(order)
        if members is not None:
            self._settle(members)
            if fact is not None and order.facts.status is FILLED:
                self._tell_doubles(members)

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
                    self.doubled.difference_update(member.order_id for member in members)
            self._sweep_at = 2 * len(self._members) + SWEEP_FROM

    def _tell_doubles(self, members: list[OrderState]) -> None:
        """Tell of each member that was filled after another one had been, once."""
        filled = _filled_whole(members)
        for order in filled[1:]:
            if order.order_id not in self.doubled:
                self.doubled.add(order.order_id)
                what = f"{DOUBLE_EXIT} {filled[0].order_id} {order.order_id}"
                self._desk.tell_anomaly(order, f"{what}: group {order.intent.oco_group}")

    def _settle(self, members: list[OrderState]) -> None:
        is_whole = _is_whole(members)
        has_won = _has_ended_whole if is_whole else _has_won
        shares_parts = not is_whole or all(member.reduce_only for member in members)
        for member in members:
            if member.facts.is_closed:
                continue
            rivals = [
                other for other in members if other is not member and _concerns(other, member)
            ]
            if any(has_won(rival) for rival in rivals):
                self._cancel(member)
            elif shares_parts and any(rival.facts.filled for rival in rivals):
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


def _is_whole(members: list[OrderState]) -> bool:
    return any(WHOLE in member.intent.options for member in members)


def _filled_whole(members: list[OrderState]) -> list[OrderState]:
    """Return the filled members of a group with the option `WHOLE`, the first filled first."""
    if not _is_whole(members):
        return []
    filled = [member for member in members if member.facts.status is FILLED]
    return sorted(filled, key=_filled_ns)


def _filled_ns(order: OrderState) -> tuple[int, str]:
    return max(one.time_ns for one in order.facts.executions.values()), order.order_id


def _has_ended_whole(order: OrderState) -> bool:
    return order.facts.status is FILLED or order.facts.status is REJECTED


def _has_won(order: OrderState) -> bool:
    return order.facts.status is FILLED or order.facts.is_triggered


def _part(order: OrderState) -> Decimal:
    """Return the share of what was first asked for that is filled."""
    filled, asked = order.facts.filled, order.intent.quantity
    if not filled:
        return ZERO
    return ONE if not asked else divide(filled, asked)
