"""Baskets: several legs under one key, reserved together, sent together or not at all."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from framework.errors import KeyConflict, OrderError
from framework.model.orders import BasketIntent, OrderIntent
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry


class BasketDesk(Protocol):
    """What a basket needs of the desk."""

    def admit(self, intent: OrderIntent) -> OrderState: ...
    def launch(self, orders: Sequence[OrderState]) -> None: ...
    def withdraw(self, order: OrderState, reason: str) -> None: ...
    def deny(self, intent: OrderIntent, reason: str) -> OrderState: ...


class Baskets:
    """Submits the legs of a basket as orders of their own, with keys `<basket key>/<n>` from 1."""

    def __init__(self, registry: OrderRegistry, desk: BasketDesk) -> None:
        self._registry = registry
        self._desk = desk

    def submit(self, basket: BasketIntent, refusal: str = "") -> list[OrderState]:
        """Return a state per leg, in their order (R-33).

        Each leg meets the gate with the legs before it reserved. With `all_or_none` one refused
        leg denies all of them; else each stands for itself. No leg is sent before every one of
        them is durable. The same basket again returns the same orders. `refusal` denies it for a
        reason found before the desk was asked.

        Raises:
            OrderError: it has no legs.
            KeyConflict: the key belongs to a basket of other legs.
        """
        if not basket.legs:
            raise OrderError(f"basket {basket.key!r} has no legs")
        legs = [
            msgspec.structs.replace(leg, run=basket.run, key=f"{basket.key}/{number}")
            for number, leg in enumerate(basket.legs, start=1)
        ]
        known = self._answer(basket, legs)
        if known is not None:
            return known
        orders: list[OrderState] = []
        for number, leg in enumerate(legs, start=1):
            order = self._desk.deny(leg, refusal) if refusal else self._desk.admit(leg)
            orders.append(order)
            if order.is_closed and basket.all_or_none and not refusal:
                refusal = f"leg {number} of the basket was refused: {order.reason}"
                for earlier in orders[:-1]:
                    self._desk.withdraw(earlier, refusal)
        admitted = [order for order in orders if not order.is_closed]
        self._desk.launch(admitted)
        return orders

    def _answer(self, basket: BasketIntent, legs: list[OrderIntent]) -> list[OrderState] | None:
        """Return the orders that this basket has been given already, if any (R-29)."""
        answers = [self._registry.answer(leg) for leg in legs]
        known = [order for order in answers if order is not None]
        beyond = self._registry.by_key(basket.run, f"{basket.key}/{len(legs) + 1}")
        if not known and beyond is None:
            return None
        if beyond is not None or len(known) < len(legs):
            order_id = (beyond or known[0]).order_id
            raise KeyConflict(basket.run, basket.key, order_id)
        return known
