"""Sizing: one leg of a bracket made, brought to its size and price, or taken back.

A held leg changes at once. One at the venue is modified; where the venue or the gate refuses that,
or has no such request, a held one of the right size takes its place and its end is asked for: the
held one may go when that has been confirmed.
"""

from collections.abc import Callable
from decimal import Decimal

from framework.errors import KeyConflict
from framework.interfaces import BrokerCapabilities
from framework.model.decimals import add
from framework.model.exits import ExitRules
from framework.model.orders import RequestState
from framework.model.records import HoldRole
from framework.model.reports import EndKind
from framework.orders.cover import Bracket
from framework.orders.exits import TRAIL, exit_key
from framework.orders.following import is_behind
from framework.orders.held_desk import Alert, HeldDesk
from framework.orders.leg_prices import (
    new_leg_intent,
    note_answer,
    trail_start,
    wanted_prices,
)
from framework.orders.legs import is_held
from framework.orders.order_state import OrderState

NONE = RequestState.NONE


class Sizing:
    """Makes, changes and takes back legs; how often a cancel was asked for is its only memory.

    Attributes:
        is_waiting: held legs alone are changed; what is at the venue stays as it is.
    """

    def __init__(
        self,
        *,
        desk: HeldDesk,
        capabilities: Callable[[str], BrokerCapabilities],
        rules: Callable[[str], ExitRules],
        alert: Alert,
    ) -> None:
        self._desk = desk
        self._capabilities = capabilities
        self._rules = rules
        self._alert = alert
        self.is_waiting = False
        self._cancel_count: dict[str, int] = {}

    def make(self, bracket: Bracket, role: HoldRole, quantity: Decimal) -> None:
        """Hold a new leg of a role, under the next key that the run has not used itself."""
        entry = bracket.entry
        linked = self._capabilities(entry.account).has_oco
        group = f"{entry.intent.key}/exits" if linked else ""
        count = len(bracket.legs[role])
        while True:
            count += 1
            key = exit_key(entry.intent, role, count)
            if self._desk.registry.by_key(entry.run, key) is not None:
                continue
            intent = new_leg_intent(bracket, role, key=key, quantity=quantity, oco_group=group)
            try:
                leg = self._desk.hold(intent, role=role, parent=entry.order_id, quantity=quantity)
            except KeyConflict:  # it is in the log, of an order that has left memory
                continue
            if is_held(leg):
                break
        start = trail_start(bracket, leg) if role is TRAIL else None
        bracket.take_in(leg)
        self._note_average(bracket, leg, bracket.priced)
        if start is not None:
            self._desk.trail(leg, *start)

    def size(self, bracket: Bracket, leg: OrderState, quantity: Decimal) -> None:
        """Let a leg fill this much from now on, at the price that exits and average want.

        A trail that is to follow other exits is made anew, and goes on from its extreme.
        """
        facts = leg.facts
        if facts.modify_state is not NONE:
            return  # the answer settles again
        note_answer(bracket, leg)
        if leg.role is TRAIL and is_behind(bracket.entry, leg):
            if is_held(leg) or not self.is_waiting:
                self.replace(bracket, leg, quantity)
            return
        total = add(facts.filled, quantity)
        prices = wanted_prices(bracket, leg)
        if total == facts.quantity and not prices:
            return
        if is_held(leg):
            self._desk.change_held(leg, quantity=total, **prices)
            self._note_average(bracket, leg, bracket.priced)
        elif self.is_waiting:
            return
        elif self._modify(leg, None if total == facts.quantity else total, prices):
            self._note_average(bracket, leg, bracket.repriced)
        else:
            self.replace(bracket, leg, quantity)

    def replace(self, bracket: Bracket, leg: OrderState, quantity: Decimal) -> None:
        """Let a held leg stand in for one at the venue, and ask for that one's end."""
        if leg.role is not None:
            self.make(bracket, leg.role, quantity)
        self.take_back(leg, "replaced")

    def take_back(self, leg: OrderState, reason: str) -> None:
        """Ask for a leg's end, again where the venue refused it, but not for ever (R-28)."""
        facts = leg.facts
        if facts.is_closed:
            return
        if is_held(leg):
            self._desk.end_held(leg, EndKind.CANCELLED, reason)
            return
        if self.is_waiting:
            return
        if facts.cancel_request is not NONE and not facts.is_cancel_refused:
            return
        asked = self._cancel_count.get(leg.order_id, 0)
        limit = self._rules(leg.run).refused_limit
        self._cancel_count[leg.order_id] = asked + 1
        if asked < limit:
            self._desk.cancel(leg.order_id)
        elif asked == limit:
            message = f"exit {leg.intent.key} has to go, and its cancel was refused {asked} times"
            self._alert("exit_not_cancelled", "critical", message, leg)

    def forget(self, leg: OrderState) -> None:
        """Drop what is remembered of a leg that ended."""
        self._cancel_count.pop(leg.order_id, None)

    def _modify(self, leg: OrderState, total: Decimal | None, prices: dict[str, Decimal]) -> bool:
        if not self._capabilities(leg.account).has_modify or leg.facts.is_modify_refused:
            return False
        return self._desk.modify(leg.order_id, quantity=total, **prices) is None

    def _note_average(self, bracket: Bracket, leg: OrderState, where: dict[str, Decimal]) -> None:
        average = bracket.entry.facts.average_price
        if average is not None:
            where[leg.order_id] = average
