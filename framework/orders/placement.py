"""Placement: which leg of a bracket is at the venue, so that never two can fill (R-32).

A due leg goes as soon as nobody else of its bracket is at the venue; the others' end is asked for
first, and only evidence of it lets the due leg go. Otherwise the first leg that may rest at the
venue does, the stop before the trail before the target; on a venue that links orders all may.
While a market order that closes the position works, a due leg waits for its end.
"""

from collections.abc import Callable

from framework.interfaces import BrokerCapabilities
from framework.model.exits import ExitRules, ProtectionMode
from framework.model.orders import OrderType
from framework.model.records import HoldRole
from framework.orders.cover import Bracket
from framework.orders.exits import due_intent, is_native
from framework.orders.held_desk import HeldDesk
from framework.orders.leg_prices import resting_intent
from framework.orders.legs import is_due, is_executing, is_given_up, is_held
from framework.orders.order_state import OrderState
from framework.orders.sizing import Sizing


class Placement:
    """Sends held legs; decides from the orders' states alone."""

    def __init__(
        self,
        *,
        desk: HeldDesk,
        sizing: Sizing,
        capabilities: Callable[[str], BrokerCapabilities],
        rules: Callable[[str], ExitRules],
    ) -> None:
        self._desk = desk
        self._sizing = sizing
        self._capabilities = capabilities
        self._rules = rules

    def place(self, bracket: Bracket) -> None:
        """Send what may go now."""
        due = _first_due(bracket)
        if due is None:
            self._rest(bracket)
        elif self._is_clear_for(bracket, due) and not self._is_closing(bracket):
            intent = due_intent(due.intent, quantity=due.facts.remaining, price=due.facts.price)
            self._desk.release(due, intent, cause="due")

    def _is_clear_for(self, bracket: Bracket, due: OrderState) -> bool:
        """Tell whether nobody else is at the venue; ask for the end of whoever may go."""
        live = bracket.live_legs()
        for leg in live:
            if not is_executing(leg) and not is_given_up(leg) and leg.role is not due.role:
                self._sizing.replace(bracket, leg, leg.facts.remaining)
        return not live

    def _rest(self, bracket: Bracket) -> None:
        live = bracket.live_legs()
        links = self._links(bracket)
        if any(is_executing(leg) for leg in live) or (live and not links):
            return
        for role in bracket.roles:
            leg = bracket.newest(role)
            if leg is None or not is_held(leg) or not self._may_rest(bracket, role):
                continue
            if any(other.role is role for other in live):
                continue
            self._desk.release(leg, resting_intent(leg), cause="native")
            if not links:
                return

    def _may_rest(self, bracket: Bracket, role: HoldRole) -> bool:
        """Tell whether a role's leg may wait at the venue: once refused it waits in the core."""
        protection = self._rules(bracket.entry.run).protection
        if protection is ProtectionMode.CORE:
            return False
        if bracket.failure_count(role) and protection is ProtectionMode.PREFER_NATIVE:
            return False
        return is_native(role, bracket.entry.intent, self._capabilities(bracket.entry.account))

    def _links(self, bracket: Bracket) -> bool:
        return self._capabilities(bracket.entry.account).has_oco

    def _is_closing(self, bracket: Bracket) -> bool:
        """Tell whether a market order that is no exit reduces the same position right now."""
        entry = bracket.entry
        return any(
            not order.parent
            and order.reduce_only
            and order.is_buy is not entry.is_buy
            and order.intent.type is OrderType.MARKET
            and order.intent.bucket == entry.intent.bucket
            and order.account == entry.account
            and not is_held(order)
            for order in entry.working.orders.values()
        )


def _first_due(bracket: Bracket) -> OrderState | None:
    for role in bracket.roles:
        leg = bracket.newest(role)
        if leg is not None and is_due(leg):
            return leg
    return None
