"""Cover: how much of a position each entry's exits have to protect.

    cover = filled of the entry − filled of its exits − written off

`written off` is what left the position otherwise (a `close()`, a manual order, a settlement), the
oldest entry's share first. It grows whenever all brackets of a position together cover more than is
held, and falls when an execution that reduced the position is corrected. Nothing stores it: after a
restart the legs show it, as they are always sized to the cover.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from framework.model.decimals import ZERO, add, subtract
from framework.model.orders import Bucket, RequestState
from framework.model.records import CoverNoted, HoldRole
from framework.orders.exits import roles_of
from framework.orders.following import is_behind, is_to_be_made, last_change
from framework.orders.legs import intended, is_executing, is_failed, is_given_up, is_live
from framework.orders.order_state import OrderState


class Line(msgspec.Struct, frozen=True):
    """One position, which several brackets may share."""

    account: str
    run: str
    instrument: str
    bucket: Bucket


def line_of(order: OrderState) -> Line:
    """Return the position that an order's fills go to."""
    intent = order.intent
    return Line(order.account, intent.run, intent.instrument, intent.bucket)


class Bracket:
    """One entry with its exits, every one of them since the first.

    Attributes:
        cover: what the exits are to protect, as settled last; may be off the lot.
        priced: per leg the entry's average fill price that its own price was counted from.
        repriced: the same for a change the venue has been asked for and has not answered.
        tripped: the roles that are not sent any more because they kept being refused.
        forgiven: per role how many legs were taken out of that count: an operator reset it, or
            they had never left.
    """

    def __init__(self, entry: OrderState) -> None:
        self.entry = entry
        self.roles: tuple[HoldRole, ...] = ()
        self.legs: dict[HoldRole, list[OrderState]] = {}
        self.written_off = ZERO
        self.cover = ZERO
        self.priced: dict[str, Decimal] = {}
        self.repriced: dict[str, Decimal] = {}
        self.tripped: dict[HoldRole, bool] = {}
        self.forgiven: dict[HoldRole, int] = {}
        self.follow()

    def follow(self) -> None:
        """Read off the entry which exits it asks for now."""
        self.roles = () if self.entry.exits is None else roles_of(self.entry.exits)
        for role in self.roles:
            self.legs.setdefault(role, [])
        for role in [role for role in self.tripped if role not in self.roles]:
            del self.tripped[role]

    def take_in(self, leg: OrderState) -> None:
        """Count an exit in; harmless when repeated."""
        legs = self.legs.setdefault(leg.role, []) if leg.role is not None else []
        if leg not in legs:
            legs.append(leg)

    def newest(self, role: HoldRole) -> OrderState | None:
        """Return the leg that stands for a role now."""
        legs = self.legs[role]
        return legs[-1] if legs else None

    def all_legs(self) -> list[OrderState]:
        """Return every leg, closed ones too, by role."""
        return [leg for legs in self.legs.values() for leg in legs]

    def open_legs(self) -> list[OrderState]:
        """Return the legs that have not ended."""
        return [leg for leg in self.all_legs() if not leg.facts.is_closed]

    def live_legs(self) -> list[OrderState]:
        """Return the legs that may fill."""
        return [leg for leg in self.all_legs() if is_live(leg)]

    def forgive(self, role: HoldRole) -> None:
        """Let a role's legs so far count as no failures."""
        self.tripped.pop(role, None)
        self.forgiven[role] = len(self.legs[role])

    def due_cover(self) -> Decimal:
        """Return what the entry's and the exits' fills leave to protect; may be below zero."""
        left = subtract(self.entry.facts.filled, self.written_off)
        for leg in self.all_legs():
            left = subtract(left, leg.facts.filled)
        return left

    def is_given_up(self) -> bool:
        """Tell whether the end of every exit was asked for, and none is to be made again."""
        newest = [self.newest(role) for role in self.roles]
        return bool(newest) and all(
            leg is not None and is_given_up(leg) and not is_behind(self.entry, leg)
            for leg in newest
        )

    def failure_count(self, role: HoldRole) -> int:
        """Return how many of a role's legs failed in a row, up to the newest that has ended."""
        count = 0
        for leg in reversed(self.legs[role][self.forgiven.get(role, 0) :]):
            if is_failed(leg):
                count += 1
            elif count or leg.facts.is_closed:
                break
        return count

    @property
    def is_long(self) -> bool:
        """Tell whether the entry buys."""
        return self.entry.is_buy

    def is_over(self) -> bool:
        """Tell whether nothing can follow any more, but by a correction or a late fill."""
        return self.entry.facts.is_closed and self.cover <= ZERO and not self.open_legs()

    def recall(self) -> None:
        """Read off the legs, after a restart, what was covered and written off."""
        average = self.entry.facts.average_price
        self.written_off = ZERO
        for leg in self.open_legs():
            if average is not None:
                self.priced[leg.order_id] = average
        if not self.all_legs() or not self.roles:  # nothing shows it, and nothing follows it
            self.cover = ZERO
            return
        due = max(ZERO, self.due_cover())
        noted = self._noted()
        if noted is not None:
            self.cover = max(ZERO, subtract(due, noted.written_off))
        elif self._is_being_resized() or self._is_to_be_made():
            self.cover = due  # rather too much, up to what is held, than too little
        else:
            self.cover = self.shown_cover()
        # Never negative: fills that came since the legs were sized are still to be covered.
        self.written_off = max(ZERO, subtract(due, self.cover))

    def _is_being_resized(self) -> bool:
        """Tell whether the only legs that show a size wait for an answer about another one."""
        newest = [leg for role in self.roles if (leg := self.newest(role)) is not None]
        working = [leg for leg in newest if not leg.facts.is_closed and not is_given_up(leg)]
        is_waiting = [leg.facts.modify_state is not RequestState.NONE for leg in working]
        return any(is_waiting) and all(is_waiting)

    def shown_cover(self) -> Decimal:
        """Return the cover that the sizes of the exits show."""
        return max((self._shown(role) for role in self.roles), default=ZERO)

    def newest_live(self) -> tuple[tuple[str, int], ...]:
        """Return the exits at the venue that stand for a role, each with its last change."""
        newest = [leg for role in self.roles if (leg := self.newest(role)) is not None]
        return tuple((leg.order_id, last_change(leg)) for leg in newest if is_live(leg))

    def _noted(self) -> CoverNoted | None:
        """Return what was noted of the cover, if it still holds."""
        noted = self.entry.noted_cover
        return noted if noted is not None and noted.legs == self.newest_live() else None

    def _is_to_be_made(self) -> bool:
        """Tell whether exits were replaced, and one that is asked for now is still to be made.

        One that there has not been is so only beside others: without any the position was closed.
        """
        if self.entry.replaced_exits is None:
            return False
        has_others = any(not is_given_up(leg) for leg in self.open_legs())
        return any(
            has_others if leg is None else is_to_be_made(self.entry, leg)
            for leg in map(self.newest, self.roles)
        )

    def _shown(self, role: HoldRole) -> Decimal:
        """Return the cover that a role's legs were sized to; nothing if given up or filled."""
        newest = self.newest(role)
        if newest is None or is_given_up(newest):
            return ZERO
        if newest.facts.is_closed:
            return subtract(newest.facts.quantity, newest.facts.filled)
        cover = intended(newest)
        for leg in self.legs[role]:
            if leg is not newest and is_executing(leg):
                cover = add(cover, leg.facts.remaining)
        return cover


def write_off(brackets: Sequence[Bracket], held: Decimal) -> None:
    """Let the oldest brackets give up what together they cover beyond what is held."""
    due = [max(ZERO, bracket.due_cover()) for bracket in brackets]
    total = ZERO
    for part in due:
        total = add(total, part)
    excess = subtract(total, max(ZERO, held))
    for bracket, part in zip(brackets, due, strict=True):
        if excess <= ZERO:
            return
        share = min(part, excess)
        bracket.written_off = add(bracket.written_off, share)
        excess = subtract(excess, share)


def give_back(brackets: Sequence[Bracket], quantity: Decimal) -> list[Bracket]:
    """Let the newest brackets cover again what a corrected execution had taken; return them."""
    changed = []
    for bracket in reversed(brackets):
        share = min(bracket.written_off, quantity)
        if share > ZERO:
            bracket.written_off = subtract(bracket.written_off, share)
            quantity = subtract(quantity, share)
            changed.append(bracket)
    return changed
