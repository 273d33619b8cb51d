"""Leg prices: counted from the entry's average fill price, and following it when it moves.

A leg somebody changed keeps its distance to what was counted: it moves by what the counted price
moves by. One that has yet to follow exits that were replaced moves to where they want it; the venue
refused its new price: the next one goes back to the old.
"""

from decimal import Decimal

import msgspec

from framework.model.decimals import add, subtract
from framework.model.orders import AtPrice, OrderIntent, RequestState
from framework.model.records import HoldRole
from framework.orders.cover import Bracket
from framework.orders.exits import STOP_LOSS, TAKE_PROFIT, TRAIL, exit_intent, price_of
from framework.orders.following import is_behind, is_move_refused
from framework.orders.order_state import OrderState
from framework.orders.trailing import stop_behind, tighter


def new_leg_intent(
    bracket: Bracket,
    role: HoldRole,
    *,
    key: str,
    quantity: Decimal,
    oco_group: str,
) -> OrderIntent:
    """Return the intent of a role's next leg, priced like the one before where there is one."""
    before, is_kept = leg_to_resemble(bracket, role)
    price = counted_price(bracket, role)
    if before is not None and role is not TRAIL:
        price = _by_average(bracket, before) if is_kept else _moved(bracket, before)
        price = asked_price(before) if price is None else price
    intent = exit_intent(
        wanted_intent(bracket.entry),
        role,
        key=key,
        quantity=quantity,
        price=price,
        oco_group=oco_group,
    )
    if role is not TRAIL or before is None:
        return intent
    if is_kept:
        activation = before.intent.trail_activation
        return msgspec.structs.replace(intent, trail=before.trail, trail_activation=activation)
    if is_behind(bracket.entry, before) or before.trail == intent.trail:
        return intent
    return msgspec.structs.replace(intent, trail=before.trail)  # somebody changed it


def leg_to_resemble(bracket: Bracket, role: HoldRole) -> tuple[OrderState | None, bool]:
    """Return the leg that a role's next one is priced like, and whether as it was.

    As it was: the newest was to follow the exits in its place, and the venue refused that one.
    """
    legs = bracket.legs[role]
    if len(legs) > 1 and is_move_refused(bracket.entry, legs[-1], legs[-2]):
        return legs[-2], True
    return bracket.newest(role), False


def wanted_intent(entry: OrderState) -> OrderIntent:
    """Return an entry's intent with the exits that hold now."""
    if entry.replaced_exits is None:
        return entry.intent
    return msgspec.structs.replace(entry.intent, exits=entry.exits)


def counted_price(
    bracket: Bracket, role: HoldRole, average: Decimal | None = None
) -> Decimal | None:
    """Return an exit's price from the entry's average; None: a trail without activation."""
    entry = bracket.entry
    if average is None:
        average = entry.facts.average_price
    exits = entry.exits
    if average is None or (role is TRAIL and (exits is None or exits.trail_activation is None)):
        return None
    return price_of(role, wanted_intent(entry), average, entry.instrument)


def wanted_prices(bracket: Bracket, leg: OrderState) -> dict[str, Decimal]:
    """Return what of a leg's prices has to change, by the names `modify` has for them."""
    moved = _moved(bracket, leg)
    if moved is None or moved == own_price(leg):
        return {}
    return {"price" if leg.role is TAKE_PROFIT else "stop_price": moved}


def note_answer(bracket: Bracket, leg: OrderState) -> None:
    """Note what became of a price change the venue was asked for."""
    if leg.facts.modify_state is RequestState.NONE:
        average = bracket.repriced.pop(leg.order_id, None)
        if average is not None and not leg.facts.is_modify_refused:
            bracket.priced[leg.order_id] = average


def own_price(leg: OrderState) -> Decimal | None:
    """Return the price that a stop or target waits for."""
    return leg.facts.price if leg.role is TAKE_PROFIT else leg.facts.stop_price


def asked_price(leg: OrderState) -> Decimal | None:
    """Return the price that a stop or target waits for, as asked for, answered or not."""
    pending = leg.pending
    asked = None
    if pending is not None:
        asked = pending.price if leg.role is TAKE_PROFIT else pending.stop_price
    return own_price(leg) if asked is None else asked


def trail_start(bracket: Bracket, leg: OrderState) -> tuple[Decimal, Decimal] | None:
    """Return where a new trail leg takes up: (extreme, stop), or None before its activation."""
    trail, exits = leg.trail, bracket.entry.exits
    average = bracket.entry.facts.average_price
    if trail is None or exits is None or average is None:
        return None
    for before in reversed(bracket.legs[TRAIL]):
        if before.extreme is not None and before.facts.stop_price is not None:
            behind = stop_behind(before.extreme, trail, leg.instrument, is_buy=leg.is_buy)
            return before.extreme, tighter(behind, before.facts.stop_price, is_buy=leg.is_buy)
    if exits.trail_activation is not None:
        return None
    return average, stop_behind(average, trail, leg.instrument, is_buy=leg.is_buy)


def resting_intent(leg: OrderState) -> OrderIntent:
    """Return what a held leg is sent as to wait at the venue."""
    facts = leg.facts
    return msgspec.structs.replace(
        leg.intent,
        quantity=facts.remaining,
        price=facts.price,
        stop_price=facts.stop_price if leg.role is STOP_LOSS else None,
        trail=leg.trail,
    )


def _moved(bracket: Bracket, leg: OrderState) -> Decimal | None:
    """Return a leg's price as the exits and the average now want it; None: nothing has moved."""
    if leg.role is not None and leg.role is not TRAIL and is_behind(bracket.entry, leg):
        return counted_price(bracket, leg.role)
    return _by_average(bracket, leg)


def _by_average(bracket: Bracket, leg: OrderState) -> Decimal | None:
    """Return a leg's price as the entry's average now wants it; None: nothing has moved."""
    role, price = leg.role, asked_price(leg)
    base, average = bracket.priced.get(leg.order_id), bracket.entry.facts.average_price
    if price != own_price(leg):
        base = bracket.repriced.get(leg.order_id, base)
    if role is None or role is TRAIL or price is None or base is None or average is None:
        return None
    exits = bracket.entry.exits
    wish = None if exits is None else (exits.stop_loss if role is STOP_LOSS else exits.take_profit)
    if base == average or isinstance(wish, AtPrice):
        return None
    old, new = counted_price(bracket, role, base), counted_price(bracket, role, average)
    if old is None or new is None:
        return None
    towards = "above" if leg.is_buy is not (role is STOP_LOSS) else "below"
    return leg.instrument.round_price(add(price, subtract(new, old)), towards=towards)
