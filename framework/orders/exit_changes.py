"""An entry's exits changed on request: judged, written down, and carried out by its bracket.

What has filled and is still held keeps its protection throughout: a leg that is held moves in the
core, one at the venue by a modification, or, where the venue refuses that or lacks it, by a held
one that takes its place. If the venue then refuses that one, the next is at the old price again.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from framework.interfaces import BrokerCapabilities, Clock, MarketView
from framework.model.decimals import ZERO, negate, subtract
from framework.model.exits import ExitRules
from framework.model.identity import EXTERNAL_RUN
from framework.model.orders import AtPrice, Exits
from framework.model.records import ExitsReplaced, HoldRole
from framework.orders.brackets import Brackets
from framework.orders.cover import Bracket, line_of
from framework.orders.exits import (
    STOP_LOSS,
    TAKE_PROFIT,
    exit_price,
    fault_in_exits,
    fault_in_wishes,
    roles_of,
)
from framework.orders.following import is_behind, legs_to_follow, names_other
from framework.orders.held_desk import HeldDesk
from framework.orders.leg_prices import asked_price
from framework.orders.legs import is_given_up
from framework.orders.order_state import OrderState
from framework.portfolio.marks import usable

PRICED = (STOP_LOSS, TAKE_PROFIT)


class ExitChanges:
    """Replaces the exits of entries, and tells where they are."""

    def __init__(
        self,
        brackets: Brackets,
        *,
        desk: HeldDesk,
        clock: Clock,
        market: MarketView,
        capabilities: Callable[[str], BrokerCapabilities],
        rules: Callable[[str], ExitRules],
    ) -> None:
        self._brackets = brackets
        self._desk = desk
        self._clock = clock
        self._market = market
        self._capabilities = capabilities
        self._rules = rules

    def refusal(self, entry: OrderState, exits: Exits) -> str | None:
        """Return why an order cannot have these exits from now on, or None."""
        facts, name = entry.facts, entry.order_id
        if entry.parent:
            return f"order {name} is an exit itself"
        if entry.run == EXTERNAL_RUN:
            return f"order {name} belongs to no run"
        if facts.is_closed and (facts.filled <= ZERO or self.held_of(entry) <= ZERO):
            return f"order {name} is {facts.status.value}, and nothing of it is held"
        return self._fault(entry, exits)

    def replace(self, entry: OrderState, exits: Exits) -> None:
        """Give an entry other exits and let its legs follow; `following.py` says which.

        One whose exits had all been given up is covered anew, as far as it is held.
        """
        brackets = self._brackets
        bracket = brackets.by_entry.get(entry.order_id)
        if bracket is None and not roles_of(exits):
            return
        newest = {} if bracket is None else _newest(bracket)
        held = self.held_of(entry)
        legs = legs_to_follow(entry, exits, newest, is_held=held > ZERO)
        replaced = ExitsReplaced(entry.order_id, exits, self._clock.now_ns, legs)
        self._desk.replace_exits(entry, replaced)
        if bracket is None:
            bracket = brackets.open(entry)
        else:
            bracket.follow()
            brackets.activate(bracket)
        for role in bracket.roles:
            leg = newest.get(role)
            if leg is None or is_behind(entry, leg):
                bracket.forgive(role)
        if not newest or bracket.due_cover() <= ZERO:
            bracket.written_off = ZERO
            bracket.written_off = max(ZERO, subtract(bracket.due_cover(), held))
        brackets.settle(line_of(entry))

    def held_of(self, entry: OrderState) -> Decimal:
        """Return how much of what an entry filled is held and not covered for another one."""
        brackets, line = self._brackets, line_of(entry)
        bracket = brackets.by_entry.get(entry.order_id)
        filled = entry.facts.filled
        if bracket is not None:
            for leg in bracket.all_legs():
                filled = subtract(filled, leg.facts.filled)
        held = brackets.quantity(line)
        held = held if entry.is_buy else negate(held)
        for other in brackets.of_line(line):
            if other is not bracket and other.is_long is entry.is_buy:
                held = subtract(held, max(ZERO, other.due_cover()))
        return max(ZERO, min(filled, held))

    def prices(self, entry: OrderState) -> tuple[Decimal | None, Decimal | None]:
        """Return where an entry's stop and target are, or are to be once it fills.

        None: it has none (any more); it is at a distance from a price that nobody knows yet; or
        nothing is known of the exits of an order that has ended long ago.
        """
        bracket = self._brackets.by_entry.get(entry.order_id)
        if bracket is None and entry.facts.is_closed:
            return None, None
        return self.prices_in(bracket, entry)

    def prices_in(
        self, bracket: Bracket | None, entry: OrderState
    ) -> tuple[Decimal | None, Decimal | None]:
        """Return where an entry's stop and target are in its bracket, perhaps one long over."""
        stop, target = (self._price(entry, bracket, role) for role in PRICED)
        return stop, target

    def _price(self, entry: OrderState, bracket: Bracket | None, role: HoldRole) -> Decimal | None:
        exits = entry.exits
        if exits is None or role not in roles_of(exits):
            return None
        newest = None if bracket is None else bracket.newest(role)
        if newest is None or bracket is None:
            facts = entry.facts
            known = (facts.average_price, facts.price, facts.stop_price)
            return _wished(entry, exits, role, next((p for p in known if p is not None), None))
        if is_given_up(newest) and bracket.cover > ZERO:
            return None
        return asked_price(newest)

    def _fault(self, entry: OrderState, exits: Exits) -> str | None:
        intent = msgspec.structs.replace(entry.intent, exits=exits, price=entry.facts.price)
        if not roles_of(exits) and exits.trail_activation is None and not intent.reduce_only:
            return None  # none from now on
        venue, rules = self._capabilities(entry.account), self._rules(entry.run)
        if entry.facts.average_price is None:
            expected = entry.facts.stop_price
            return fault_in_exits(intent, entry.instrument, venue, rules, expected)
        return (
            fault_in_wishes(intent, exits, entry.instrument, venue, rules)
            or _cross(entry, exits)
            or self._leaving_at_once(entry, exits)
        )

    def _leaving_at_once(self, entry: OrderState, exits: Exits) -> str | None:
        """Return which exit the market has passed; a stop may be beyond the entry's average."""
        before, average = entry.exits or Exits(), entry.facts.average_price
        market = usable(self._market.reference_price(entry.instrument.id))
        for role, name in zip(PRICED, ("stop_loss", "take_profit"), strict=True):
            if market is None or not names_other(role, before, exits):
                continue
            at = _wished(entry, exits, role, average)
            is_above = entry.is_buy is (role is TAKE_PROFIT)
            if at is not None and (at <= market if is_above else at >= market):
                return f"{name} {at} is on the wrong side of the market at {market}"
        return None


def _newest(bracket: Bracket) -> dict[HoldRole, OrderState]:
    """Return the legs that stand for each role, also for those not asked for any more."""
    return {role: legs[-1] for role, legs in bracket.legs.items() if legs}


def _wished(
    entry: OrderState, exits: Exits, role: HoldRole, average: Decimal | None
) -> Decimal | None:
    """Return where a stop or target is by its wish; None without one, or without an average."""
    wish = exits.stop_loss if role is STOP_LOSS else exits.take_profit
    if wish is None or isinstance(wish, AtPrice):
        return None if wish is None else wish.price
    if average is None:
        return None
    is_above = entry.is_buy is (role is TAKE_PROFIT)
    return exit_price(wish, average, entry.instrument, is_above=is_above)


def _cross(entry: OrderState, exits: Exits) -> str | None:
    average = entry.facts.average_price
    stop, target = (_wished(entry, exits, role, average) for role in PRICED)
    if stop is not None and target is not None and (stop >= target) is entry.is_buy:
        return f"stop_loss {stop} and take_profit {target} are on the wrong sides"
    return None
