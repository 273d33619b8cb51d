"""What is told of positions and money: opened, changed, closed; enough, low, too little.

A position that changes sides is told as closed and then opened: it starts anew at that price. One
that is closed is shown with the side and entry price that it had.

    margin in use, of the equity        told as
    below 80 %                          BALANCE_UPDATED
    80 % and more, since just now       MARGIN_WARNING
    100 % and more, since just now      MARGIN_CALL

Source: sections 8.12, 11.2 and 21.3 of the gateway's description; the shares are ours.
"""

from collections.abc import Hashable
from decimal import Decimal

import msgspec

from adapters.tektii.wire import AccountEventType, PositionEventType, PositionSide
from framework.model.account import Position
from framework.model.decimals import ZERO, divide, multiply, subtract
from framework.model.desk import DeskPosition, Money

OPENED = PositionEventType.POSITION_OPENED
MODIFIED = PositionEventType.POSITION_MODIFIED
CLOSED = PositionEventType.POSITION_CLOSED
WARNING_SHARE = Decimal("0.8")
LEVELS = {
    AccountEventType.BALANCE_UPDATED: 0,
    AccountEventType.MARGIN_WARNING: 1,
    AccountEventType.MARGIN_CALL: 2,
}

Telling = tuple[PositionEventType, DeskPosition, PositionSide]


class PositionStories:
    """What was last told of each position that is held."""

    def __init__(self) -> None:
        self._held: dict[Hashable, DeskPosition] = {}

    def know(self, position: DeskPosition) -> None:
        """Take a position as it stands for told."""
        self._held[_name(position)] = position

    def forget(self, event: Position) -> None:
        """Take a position for closed and told."""
        self._held.pop(_name(event), None)

    def hear(self, event: Position, now: DeskPosition | None) -> list[Telling]:
        """Return what is to be told of a position after a change, in order.

        `now` is how it stands by now, which may be later than the event.
        """
        position = as_of(event, now)
        name = _name(position)
        before = self._held.pop(name, None)
        if event.quantity:
            self._held[name] = position
        if event.is_redelivered:
            return []
        tellings: list[Telling] = []
        if before is not None and not (event.quantity and _is_same_way(before, position)):
            tellings.append((CLOSED, _closed(before, position), side_of(before.quantity)))
            before = None
        if event.quantity:
            kind = OPENED if before is None else MODIFIED
            tellings.append((kind, position, side_of(event.quantity)))
        return tellings


class MarginWatch:
    """How much of each account's equity was bound when its owner was last told."""

    def __init__(self) -> None:
        self._levels: dict[str, AccountEventType] = {}

    def hear(self, money: Money) -> AccountEventType:
        """Return what an account's money is told as."""
        level = _level(money)
        before = self._levels.get(money.account, AccountEventType.BALANCE_UPDATED)
        self._levels[money.account] = level
        return level if LEVELS[level] > LEVELS[before] else AccountEventType.BALANCE_UPDATED


def as_of(event: Position, now: DeskPosition | None) -> DeskPosition:
    """Return a position as it was when an event told of it, valued at the newest price."""
    average = event.average_price or ZERO
    if now is None:
        return DeskPosition(
            event.account,
            event.run,
            event.instrument,
            event.quantity,
            average,
            None,
            ZERO,
            event.realised,
            event.time_ns,
            event.time_ns,
            event.bucket,
        )
    if now.quantity == event.quantity and now.realised == event.realised:
        return now
    unrealised = ZERO
    if now.price is not None:
        each = multiply(subtract(now.price, average), event.multiplier)
        unrealised = multiply(each, event.quantity)
    return msgspec.structs.replace(
        now,
        quantity=event.quantity,
        average_price=average,
        unrealised=unrealised,
        realised=event.realised,
        updated_ns=event.time_ns,
    )


def side_of(quantity: Decimal) -> PositionSide:
    """Return which way a signed quantity stands."""
    return PositionSide.LONG if quantity > ZERO else PositionSide.SHORT


def _is_same_way(one: DeskPosition, other: DeskPosition) -> bool:
    return side_of(one.quantity) is side_of(other.quantity)


def _closed(before: DeskPosition, after: DeskPosition) -> DeskPosition:
    return msgspec.structs.replace(
        before,
        quantity=ZERO,
        price=after.price,
        unrealised=ZERO,
        realised=after.realised,
        updated_ns=after.updated_ns,
    )


def _level(money: Money) -> AccountEventType:
    if not money.bound or not money.margins:
        return AccountEventType.BALANCE_UPDATED  # paid in full: nobody can call for more
    if money.bound >= money.equity:
        return AccountEventType.MARGIN_CALL
    if divide(money.bound, money.equity) >= WARNING_SHARE:
        return AccountEventType.MARGIN_WARNING
    return AccountEventType.BALANCE_UPDATED


def _name(position: DeskPosition | Position) -> Hashable:
    return position.account, position.run, position.instrument, position.bucket
