"""Positions whose exits the core alone keeps: nothing protects them while the process is down."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from framework.model.decimals import ZERO
from framework.model.orders import Bucket
from framework.orders.cover import Bracket
from framework.orders.exits import PROTECTIVE
from framework.orders.legs import is_given_up, is_held, is_live
from framework.orders.order_state import OrderState


class UnprotectedPosition(msgspec.Struct, frozen=True):
    """A position that nothing protects while the process is down: only the core keeps its exits."""

    account: str
    run: str
    instrument: str
    bucket: Bucket
    quantity: Decimal
    keys: tuple[str, ...]


def unprotected_positions(
    brackets: Iterable[Bracket], orders: Iterable[OrderState]
) -> list[UnprotectedPosition]:
    """Return what exits cover in the core only, and what held orders of a run's own reduce."""
    found = [_unprotected(bracket) for bracket in brackets if bracket.cover > ZERO]
    manual = [
        _position(order, order.facts.remaining, (order.intent.key,))
        for order in orders
        if is_held(order) and not order.parent and order.reduce_only
    ]
    return [position for position in found if position is not None] + manual


def _unprotected(bracket: Bracket) -> UnprotectedPosition | None:
    """Return a bracket's cover unless a stop or trail of it waits at the venue."""
    asked = [role for role in bracket.roles if role in PROTECTIVE]
    for role in asked:
        leg = bracket.newest(role)
        if leg is not None and is_live(leg) and not is_given_up(leg):
            return None
    keys = [leg.intent.key for leg in bracket.open_legs() if is_held(leg)]
    return _position(bracket.entry, bracket.cover, tuple(keys))


def _position(order: OrderState, quantity: Decimal, keys: tuple[str, ...]) -> UnprotectedPosition:
    intent = order.intent
    return UnprotectedPosition(
        order.account, intent.run, intent.instrument, intent.bucket, quantity, keys
    )
