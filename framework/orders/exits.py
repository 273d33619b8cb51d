"""Exits: which protective orders an entry asks for, at which prices, and under which rules.

Prices are counted from the entry's average fill price, `+` away from the loss:

    stop_loss     average − distance for a long position, average + distance for a short one
    take_profit   the other way round
    trail         follows the best price since the entry filled, or since its activation

Each is rounded to the tick nearer to the average, never to more risk (R-78). An exit's key is
`<entry key>/stop`, `/target` or `/trail`, with `.2`, `.3` for each time it is made again, so that
order ids are pure functions of the entry.
"""

from decimal import Decimal

import msgspec

from framework.errors import OffGrid
from framework.interfaces import BrokerCapabilities
from framework.model.decimals import ZERO, add, subtract
from framework.model.exits import ExitRules, ProtectionMode
from framework.model.instrument import Instrument
from framework.model.orders import (
    AtPrice,
    ExitPrice,
    Exits,
    Offset,
    OrderIntent,
    OrderSession,
    OrderType,
    Percent,
    Side,
    TimeInForce,
)
from framework.model.records import HoldRole
from framework.orders.trailing import HUNDRED, distance

BUY, SELL = Side.BUY, Side.SELL
STOP_LOSS, TAKE_PROFIT, TRAIL = HoldRole.STOP_LOSS, HoldRole.TAKE_PROFIT, HoldRole.TRAIL
ROLES = (STOP_LOSS, TRAIL, TAKE_PROFIT)  # who goes first: what limits the loss
PROTECTIVE = frozenset({STOP_LOSS, TRAIL})
NAMES = {STOP_LOSS: "stop", TAKE_PROFIT: "target", TRAIL: "trail"}
NATIVE_TYPES = {
    STOP_LOSS: OrderType.STOP,
    TAKE_PROFIT: OrderType.LIMIT,
    TRAIL: OrderType.TRAILING_STOP,
}


def roles_of(exits: Exits) -> tuple[HoldRole, ...]:
    """Return the exits that are asked for, the protective ones first."""
    asked = {
        STOP_LOSS: exits.stop_loss is not None,
        TRAIL: exits.trail is not None,
        TAKE_PROFIT: exits.take_profit is not None,
    }
    return tuple(role for role in ROLES if asked[role])


def price_of(role: HoldRole, entry: OrderIntent, average: Decimal, grid: Instrument) -> Decimal:
    """Return the price of an exit, for a trail its activation, from the average fill price."""
    exits = entry.exits
    if exits is None:
        raise ValueError(f"order {entry.key} has no exits")
    if role is STOP_LOSS:
        wish, gains = exits.stop_loss, False
    elif role is TAKE_PROFIT:
        wish, gains = exits.take_profit, True
    else:
        wish, gains = exits.trail_activation, True
    if wish is None:
        raise ValueError(f"order {entry.key} has no price for its {NAMES[role]}")
    return exit_price(wish, average, grid, is_above=(entry.side is BUY) is gains)


def exit_price(wish: ExitPrice, average: Decimal, grid: Instrument, *, is_above: bool) -> Decimal:
    """Return an exit's price on the grid: above or below the average, rounded towards it."""
    if isinstance(wish, AtPrice):
        return wish.price
    gap = distance(wish, average)
    if is_above:
        return grid.round_price(add(average, gap), towards="below")
    return grid.round_price(subtract(average, gap), towards="above")


def exit_key(entry: OrderIntent, role: HoldRole, count: int) -> str:
    """Return the key of the `count`-th exit of a role, counted from 1."""
    name = f"{entry.key}/{NAMES[role]}"
    return name if count == 1 else f"{name}.{count}"


def exit_intent(
    entry: OrderIntent,
    role: HoldRole,
    *,
    key: str,
    quantity: Decimal,
    price: Decimal | None,
    oco_group: str = "",
) -> OrderIntent:
    """Return the order that leaves the position; `price` is a trail's activation, if any."""
    exits = entry.exits
    trail = exits.trail if exits is not None and role is TRAIL else None
    return OrderIntent(
        entry.run,
        key,
        entry.instrument,
        SELL if entry.side is BUY else BUY,
        quantity,
        NATIVE_TYPES[role],
        price=price if role is TAKE_PROFIT else None,
        stop_price=price if role is STOP_LOSS else None,
        trail=trail,
        trail_activation=price if role is TRAIL else None,
        trigger_by=entry.trigger_by,
        reduce_only=True,
        bucket=entry.bucket,
        oco_group=oco_group,
        tags=entry.tags,
    )


def due_intent(intent: OrderIntent, *, quantity: Decimal, price: Decimal | None) -> OrderIntent:
    """Return what a stop, target or trail is sent as once it is due: market, or its limit."""
    is_limit = intent.type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    return msgspec.structs.replace(
        intent,
        type=OrderType.LIMIT if is_limit else OrderType.MARKET,
        quantity=quantity,
        quote_quantity=None,
        price=price if is_limit else None,
        stop_price=None,
        trail=None,
        trail_activation=None,
        session=OrderSession.NOW,
        time_in_force=intent.time_in_force if is_limit else _immediate(intent.time_in_force),
        expire_ns=intent.expire_ns if is_limit else None,
        post_only=intent.post_only and is_limit,
        display_quantity=intent.display_quantity if is_limit else None,
    )


def _immediate(time_in_force: TimeInForce) -> TimeInForce:
    """Return how long a market order works that was a stop: an expiry has no meaning any more."""
    return TimeInForce.GTC if time_in_force is TimeInForce.GTD else time_in_force


def is_native(role: HoldRole, entry: OrderIntent, venue: BrokerCapabilities) -> bool:
    """Tell whether the venue has the type of an exit, and the price that is to wake it."""
    if NATIVE_TYPES[role] not in venue.order_types:
        return False
    return role is TAKE_PROFIT or entry.trigger_by in venue.trigger_bys


def fault_in_exits(
    intent: OrderIntent,
    instrument: Instrument,
    venue: BrokerCapabilities,
    rules: ExitRules,
    reference: Decimal | None = None,
) -> str | None:
    """Return why the exits of an intent make no sense, or None; `reference`: the price expected."""
    exits = intent.exits
    if exits is None:
        return None
    return fault_in_wishes(intent, exits, instrument, venue, rules) or _wrong_side(
        intent, exits, instrument, reference
    )


def fault_in_wishes(
    intent: OrderIntent,
    exits: Exits,
    instrument: Instrument,
    venue: BrokerCapabilities,
    rules: ExitRules,
) -> str | None:
    """Return why these exits make no sense wherever the market is, or None."""
    if intent.reduce_only:
        return "a reduce-only order has no exits: it opens nothing"
    if not roles_of(exits):
        return "exits need a stop_loss, a take_profit or a trail"
    if exits.trail_activation is not None and exits.trail is None:
        return "a trail_activation needs a trail"
    for name, wish in _named(exits):
        reason = fault_in_wish(name, wish, instrument)
        if reason is not None:
            return reason
    if rules.protection is ProtectionMode.NATIVE_ONLY:
        for role in roles_of(exits):
            if role in PROTECTIVE and not is_native(role, intent, venue):
                return f"protection is native_only, and the venue has no {NAMES[role]} of its own"
    return None


def _named(exits: Exits) -> list[tuple[str, ExitPrice]]:
    named = (
        ("stop_loss", exits.stop_loss),
        ("take_profit", exits.take_profit),
        ("trail", exits.trail),
        ("trail_activation", exits.trail_activation),
    )
    return [(name, wish) for name, wish in named if wish is not None]


def fault_in_wish(name: str, wish: ExitPrice, instrument: Instrument) -> str | None:
    """Return why a price or distance makes no sense, or None."""
    if isinstance(wish, AtPrice):
        try:
            instrument.price(wish.price)
        except OffGrid as error:
            return f"{name}: {error.reason}"
        return None
    value = wish.distance if isinstance(wish, Offset) else wish.percent
    if not value.is_finite() or value <= ZERO:
        return f"{name} must be above zero, and is {value}"
    if isinstance(wish, Percent) and value >= HUNDRED:
        return f"{name} must be below 100 percent, and is {value}"
    return None


def _wrong_side(
    intent: OrderIntent, exits: Exits, instrument: Instrument, reference: Decimal | None
) -> str | None:
    """Return which exit would leave at once, judged by the price the entry is expected to get."""
    is_long = intent.side is BUY
    average = intent.price if intent.price is not None else reference
    stop, target = exits.stop_loss, exits.take_profit
    if average is None:
        prices = [wish.price for wish in (stop, target) if isinstance(wish, AtPrice)]
        if len(prices) == 2 and (prices[0] >= prices[1]) is is_long:
            return f"stop_loss {prices[0]} and take_profit {prices[1]} are on the wrong sides"
        return None
    if stop is not None:
        at = exit_price(stop, average, instrument, is_above=not is_long)
        if (at >= average) if is_long else (at <= average):
            return f"stop_loss {at} is not on the losing side of {average}"
        if at <= ZERO and isinstance(stop, Offset):
            return f"stop_loss {at} is not positive"
    if target is not None:
        at = exit_price(target, average, instrument, is_above=is_long)
        if (at <= average) if is_long else (at >= average):
            return f"take_profit {at} is not on the winning side of {average}"
    return None
