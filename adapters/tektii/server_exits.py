"""Resting exits of a position moved: the stop-loss first, then the target (spec 9.8).

The core moves exits by their entry, whatever a venue needs for that; a leg that cannot be moved
stays where it was.
"""

from decimal import Decimal

import anyio

from adapters.tektii import wire
from adapters.tektii.server_changes import new_exits
from adapters.tektii.server_closing import found_position
from adapters.tektii.server_errors import (
    GatewayRefusal,
    conflict,
    masked,
    missing,
    provider_error,
)
from adapters.tektii.server_exit_table import OPEN
from adapters.tektii.server_order_form import check_positive
from adapters.tektii.server_settings import Place
from adapters.tektii.words import plain
from framework.errors import OrderError
from framework.model.desk import DeskOrder, DeskPosition, OrderQuery, Principal
from framework.model.orders import Order, RequestState
from framework.model.records import HoldRole

NAMES = {HoldRole.STOP_LOSS: "stop_loss", HoldRole.TAKE_PROFIT: "take_profit"}


class ExitMover:
    """Moves all legs of one kind that protect a position."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def move(
        self, principal: Principal, position_id: str, request: wire.ModifyExitsRequest
    ) -> wire.ModifyPositionExitsResult:
        """Move what is asked for; where the target fails, the stop-loss has been moved.

        Raises:
            GatewayRefusal: there is no such position or leg, or a leg could not be moved.
        """
        check_positive("stop_loss", request.stop_loss)
        check_positive("take_profit", request.take_profit)
        if request.stop_loss is None and request.take_profit is None:
            raise missing("stop_loss", "stop_loss or take_profit is needed")
        position = await found_position(self._place, principal, position_id)
        name = self._place.position_id(position.instrument, position.bucket, position.run)
        wanted = {HoldRole.STOP_LOSS: request.stop_loss, HoldRole.TAKE_PROFIT: request.take_profit}
        for role, price in wanted.items():  # nothing is moved where something is missing
            if price is not None and not await self._legs(principal, position, role):
                raise conflict(f"position {name} has no resting {NAMES[role]}")
        placed: dict[HoldRole, wire.ExitLegPlacement] = {}
        for role, price in wanted.items():
            if price is not None:
                placed[role] = await self._move_all(principal, position, role, price, name)
        return wire.ModifyPositionExitsResult(
            name, placed.get(HoldRole.STOP_LOSS), placed.get(HoldRole.TAKE_PROFIT)
        )

    async def _move_all(
        self,
        principal: Principal,
        position: DeskPosition,
        role: HoldRole,
        price: Decimal,
        name: str,
    ) -> wire.ExitLegPlacement:
        before = await self._legs(principal, position, role)
        for entry_id in dict.fromkeys(leg.order.parent for leg in before):
            try:
                await self._move(principal, entry_id, role, price)
            except OrderError as refusal:
                raise await self._failure(principal, position, role, refusal, name) from refusal
        legs = await self._answered(principal, position, role)
        moved = [leg for leg in legs if level_of(leg) == price or is_under_way(leg)]
        if not legs or len(moved) < len(legs):
            why = OrderError("the venue refused" if legs else "it has ended")
            raise await self._failure(principal, position, role, why, name)
        return wire.ExitLegPlacement([leg.order.order_id for leg in moved], plain(price))

    async def _answered(
        self, principal: Principal, position: DeskPosition, role: HoldRole
    ) -> list[DeskOrder]:
        """Return the legs once their venue has answered, or its time is up."""
        desk, news = self._place.desk, anyio.Event()

        def on_order(order: Order) -> None:
            if order.instrument == position.instrument:
                news.set()

        subscription = desk.listen("moved exits", {Order: on_order})
        try:
            with anyio.move_on_after(self._place.answer_s):
                while True:
                    legs = await self._legs(principal, position, role)
                    if desk.is_paced or not any(is_under_way(leg) for leg in legs):
                        return legs
                    await news.wait()
                    news = anyio.Event()
        finally:
            subscription.close()
        return await self._legs(principal, position, role)

    async def _move(
        self, principal: Principal, entry_id: str, role: HoldRole, price: Decimal
    ) -> None:
        desk = self._place.desk
        entry = await desk.order(principal, entry_id)
        if entry is None:
            raise OrderError(f"its entry {entry_id} is not known any more")
        is_stop = role is HoldRole.STOP_LOSS
        exits = new_exits(entry, price if is_stop else None, None if is_stop else price)
        await desk.modify(principal, entry_id, exits=exits, answer_s=self._place.answer_s)

    async def _failure(
        self,
        principal: Principal,
        position: DeskPosition,
        role: HoldRole,
        refusal: OrderError,
        name: str,
    ) -> GatewayRefusal:
        """Return a 409 while the leg still rests, a 502 where the position lost it."""
        legs = await self._legs(principal, position, role)
        what = f"the {NAMES[role]} of position {name}"
        if legs:
            return conflict(
                f"{what} stays where it was: {masked(refusal.reason)}",
                {"order_id": legs[0].order.order_id},
            )
        platform = self._place.platform_of(position.instrument)
        return provider_error(f"{what} was lost: {masked(refusal.reason)}", platform)

    async def _legs(
        self, principal: Principal, position: DeskPosition, role: HoldRole
    ) -> list[DeskOrder]:
        query = OrderQuery(instrument=position.instrument, statuses=OPEN)
        return [
            order
            for order in await self._place.desk.orders(principal, query)
            if order.role is role
            and order.order.parent
            and order.order.run == position.run
            and order.order.account == position.account
            and order.order.bucket == position.bucket
            and order.order.cancel_state is RequestState.NONE  # else another one is in its place
        ]


def level_of(leg: DeskOrder) -> Decimal | None:
    """Return where a leg is to leave the position."""
    order = leg.order
    return order.stop_price if leg.role is HoldRole.STOP_LOSS else order.price


def is_under_way(leg: DeskOrder) -> bool:
    """Tell whether a leg's venue has been asked to move it, and has not answered."""
    return leg.order.modify_state in (RequestState.WAITING, RequestState.SENT)
