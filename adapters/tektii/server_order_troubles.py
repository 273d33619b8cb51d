"""What goes wrong with exits and groups, for `error` frames: nobody is to trust in what is not.

POSITION_UNPROTECTED    an exit was refused, or is not sent any more; told again after a reconnect
                        until it rests again or its entry's position is closed
OCO_DOUBLE_EXIT         the members of a group have filled more than one of them was for

Source: sections 8.11, 9.4, 11.4 and 13 of the gateway's description.
"""

from collections import OrderedDict
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from framework.model.decimals import ONE, ZERO, add, divide
from framework.model.desk import DeskOrder
from framework.model.orders import OrderStatus, Side
from framework.model.records import HoldRole

KEPT_GROUPS = 4_096
KEPT_EXITS = 4_096
ROUNDING = Decimal("1e-9")  # of the sum of shares: a third three times is not quite one
LEG_TYPES = {
    HoldRole.STOP_LOSS: "StopLoss",
    HoldRole.TRAIL: "StopLoss",
    HoldRole.TAKE_PROFIT: "TakeProfit",
}
SIDE_WORDS = {Side.BUY: "Buy", Side.SELL: "Sell"}
RESTING = frozenset(
    {
        OrderStatus.HELD,
        OrderStatus.ACCEPTED,
        OrderStatus.TRIGGERED,
        OrderStatus.PARTIALLY_FILLED,
        OrderStatus.FILLED,
    }
)

Details = dict[str, Any]
Exit = tuple[str, str]
"""An entry's order id, and what kind of exit of it."""

K = TypeVar("K")
V = TypeVar("V")


class Unprotected(msgspec.Struct, frozen=True):
    """An exit that is not there; `details` are those of the frame."""

    entry_id: str
    account: str
    run: str
    instrument: str
    message: str
    details: Details


class MissingExits:
    """The exits that were refused and do not rest again; at most 4,096, the oldest are dropped."""

    def __init__(self) -> None:
        self._missing: OrderedDict[Exit, Unprotected] = OrderedDict()
        self._legs: OrderedDict[str, DeskOrder] = OrderedDict()  # as heard last, by order id
        self._resting: OrderedDict[Exit, str] = OrderedDict()  # the leg that does

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._missing)

    def leg(self, order_id: str) -> DeskOrder | None:
        """Return an exit as it was heard of last."""
        return self._legs.get(order_id)

    def hear(self, entry: DeskOrder) -> None:
        """Note how an exit stands; one that rests is missing no more."""
        name = _exit_of(entry)
        if name is None:
            return
        order_id = entry.order.order_id
        _remember(self._legs, order_id, entry)
        if entry.order.status in RESTING:
            self._missing.pop(name, None)
            _remember(self._resting, name, order_id)
        elif self._resting.get(name) == order_id:
            del self._resting[name]

    def refused(
        self, leg: DeskOrder, message: str, symbol: str, *, is_tripped: bool
    ) -> Unprotected | None:
        """Note an exit that was refused; None if the order is no exit."""
        name = _exit_of(leg)
        if name is None:
            return None
        order = leg.order
        failed = {"type": name[1], "error": message, "actual_order_ids": []}
        details = {
            "order_id": order.parent,
            "symbol": symbol,
            "failed_exits": [failed],
            "circuit_breaker_open": is_tripped,
        }
        found = Unprotected(
            order.parent, order.account, order.run, order.instrument, message, details
        )
        if self._resting.get(name, order.order_id) == order.order_id:  # no other does by now
            _remember(self._missing, name, found)
        return found

    def flat(self, account: str, run: str, instrument: str) -> None:
        """Forget the exits of a position that is closed."""
        gone = [
            name
            for name, one in self._missing.items()
            if (one.account, one.run, one.instrument) == (account, run, instrument)
        ]
        for name in gone:
            del self._missing[name]

    def again(self) -> list[Unprotected]:
        """Return what is still missing, to be announced again."""
        return [
            msgspec.structs.replace(one, details={**one.details, "rebroadcast": True})
            for one in self._missing.values()
        ]


def _exit_of(leg: DeskOrder) -> Exit | None:
    leg_type = None if leg.role is None else LEG_TYPES.get(leg.role)
    return (leg.order.parent, leg_type) if leg_type is not None and leg.order.parent else None


def _remember(kept: OrderedDict[K, V], name: K, value: V) -> None:
    kept[name] = value
    kept.move_to_end(name)
    if len(kept) > KEPT_EXITS:
        kept.popitem(last=False)


class Member(msgspec.Struct):
    """One order of a group, and what is filled of it."""

    order_id: str
    side: Side
    asked: Decimal
    filled: Decimal = ZERO


class Group(msgspec.Struct):
    """The members of a group that have fills, in the order of their first one."""

    members: dict[str, Member] = {}
    is_told: bool = False


class DoubleExits:
    """The groups with fills; at most 4,096, the oldest are dropped."""

    def __init__(self) -> None:
        self._groups: OrderedDict[tuple[str, str], Group] = OrderedDict()

    def hear(self, entry: DeskOrder, symbol: str) -> tuple[str, Details] | None:
        """Return message and details once a group has filled more than it was for, else None."""
        order, name = entry.order, entry.intent.oco_group
        if not name or order.parent or not order.filled:
            return None
        group = self._groups.setdefault((order.run, name), Group(members={}))
        if len(self._groups) > KEPT_GROUPS:
            self._groups.popitem(last=False)
        asked = entry.intent.quantity or order.quantity
        member = group.members.setdefault(order.order_id, Member(order.order_id, order.side, asked))
        member.filled = order.filled
        share = ZERO
        for one in group.members.values():
            share = add(share, divide(one.filled, one.asked))
        if group.is_told or len(group.members) < 2 or share <= add(ONE, ROUNDING):
            return None
        group.is_told = True
        return f"more than one order of the group {name!r} was filled", _details(
            name, symbol, list(group.members.values())
        )


def _details(name: str, symbol: str, members: list[Member]) -> Details:
    total = ZERO
    for member in members:
        total = add(total, member.filled)
    return {
        "oco_group_id": name,
        "symbol": symbol,
        "first_fill": _fill(members[0]),
        "second_fill": _fill(members[-1]),
        "total_exit_quantity": format(total, "f"),
    }


def _fill(member: Member) -> Details:
    return {
        "order_id": member.order_id,
        "quantity": format(member.filled, "f"),
        "side": SIDE_WORDS[member.side],
    }
