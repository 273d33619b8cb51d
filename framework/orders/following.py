"""Exits that were replaced: which legs of an entry are to follow, and whether they have.

The record of the replacement lists the legs that are to follow, each with the number of its last
change before it. A leg that was changed since has followed; so the answer is in the orders alone, a
restart and a replay give the same one, and a leg somebody moved afterwards stays where it is.

    a stop, target or trail at a distance   follows where that distance is another than before
    a stop or target at a price             follows always: the price was named just now
    a leg that had ended, or was given up   is made again under the same conditions; where nothing
                                            was held, only for what fills later
"""

from collections.abc import Mapping

from framework.model.orders import AtPrice, Exits
from framework.model.records import TO_MAKE, TO_PRICE, HoldRole
from framework.orders.answers import BY_VENUE
from framework.orders.exits import STOP_LOSS, TAKE_PROFIT, roles_of
from framework.orders.legs import is_failed, is_given_up
from framework.orders.order_state import OrderState


def legs_to_follow(
    entry: OrderState, exits: Exits, newest: Mapping[HoldRole, OrderState], *, is_held: bool
) -> tuple[tuple[str, int], ...]:
    """Return what `ExitsReplaced.legs` lists when an entry is given these exits.

    `newest` is the leg that stands for a role now, where there is one; `is_held` tells whether
    anything of the entry is held.
    """
    before = entry.exits or Exits()
    found = []
    for role in roles_of(exits):
        leg = newest.get(role)
        if leg is None:
            continue
        if names_other(role, before, exits):
            has_ended = leg.facts.is_closed or is_given_up(leg)
            ended = TO_MAKE if is_held else TO_PRICE
            found.append((leg.order_id, ended if has_ended else last_change(leg)))
        elif is_behind(entry, leg):
            found.append((leg.order_id, _listed(entry, leg) or 0))
    return tuple(found)


def is_behind(entry: OrderState, leg: OrderState) -> bool:
    """Tell whether a leg has yet to follow its entry's exits."""
    number = _listed(entry, leg)
    return number is not None and (number < 0 or last_change(leg) <= number)


def is_to_be_made(entry: OrderState, leg: OrderState) -> bool:
    """Tell whether a leg that had ended is asked for again."""
    return _listed(entry, leg) == TO_MAKE


def last_change(leg: OrderState) -> int:
    """Return the number of a leg's newest change, asked for or made; a refused one is none."""
    facts = leg.facts
    made = 0 if facts.replaced is None else facts.replaced.revision
    return made if facts.is_modify_refused else max(made, facts.modify_revision)


def is_move_refused(entry: OrderState, leg: OrderState, before: OrderState) -> bool:
    """Tell whether the venue refused `leg`, which was to follow the exits in place of `before`.

    Not so where it never reached the venue, or was refused only once its price was met.
    """
    end = leg.facts.end
    if end is None or end.evidence != BY_VENUE or not is_failed(leg):
        return False
    if leg.facts.is_accepted or leg.facts.is_at_venue or leg.facts.is_triggered:
        return False
    number = _listed(entry, before)
    return number is not None and number >= 0 and is_behind(entry, before)


def _listed(entry: OrderState, leg: OrderState) -> int | None:
    replaced = entry.replaced_exits
    if replaced is not None:
        for order_id, number in replaced.legs:
            if order_id == leg.order_id:
                return number
    return None


def names_other(role: HoldRole, before: Exits, after: Exits) -> bool:
    """Tell whether a role's leg is to follow the exits that come after these."""
    if role is STOP_LOSS:
        return before.stop_loss != after.stop_loss or isinstance(after.stop_loss, AtPrice)
    if role is TAKE_PROFIT:
        return before.take_profit != after.take_profit or isinstance(after.take_profit, AtPrice)
    was = before.trail, before.trail_activation
    return was != (after.trail, after.trail_activation)
