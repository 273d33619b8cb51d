"""Orders changed and taken back, each safe to ask for again (spec 8.6 to 8.8)."""

from decimal import Decimal

import msgspec

from adapters.tektii import wire
from adapters.tektii.server_errors import invalid, missing, not_modifiable, rejected
from adapters.tektii.server_exit_table import ExitTable
from adapters.tektii.server_order_form import PRICES, check_percent, check_positive
from adapters.tektii.server_orders import found_order, order_body
from adapters.tektii.server_settings import Place
from adapters.tektii.words import status_of
from framework.errors import OrderError, UnknownOrder
from framework.model.desk import DeskOrder, Verb
from framework.model.orders import (
    AtPrice,
    ExitPrice,
    Exits,
    Offset,
    OrderStatus,
    Percent,
)
from framework.server.door import Answer, Call, Route

CHANGEABLE = frozenset(
    {
        wire.OrderStatus.OPEN,
        wire.OrderStatus.PENDING,
        wire.OrderStatus.PARTIALLY_FILLED,
    }
)
TAKEN_BACK = frozenset({wire.OrderStatus.CANCELLED, wire.OrderStatus.PENDING_CANCEL})
NOTHING = wire.ModifyOrderRequest()


class SymbolQuery(msgspec.Struct, frozen=True):
    """The query of what concerns all symbols, or one."""

    symbol: str | None = None


class Changes:
    """The routes that change and cancel orders."""

    def __init__(self, place: Place, exits: ExitTable) -> None:
        self._place = place
        self._exits = exits

    def routes(self) -> list[Route]:
        """Return the operations."""
        one = "/v1/orders/{order_id}"
        return [
            Route("PATCH", one, self.modify, Verb.TRADE, {200: wire.ModifyOrderResult},
                  "Change a working order", body=wire.ModifyOrderRequest, needs_body=False),
            Route("DELETE", one, self.cancel, Verb.REDUCE, {200: wire.CancelOrderResult},
                  "Cancel an order"),
            Route("DELETE", "/v1/orders", self.cancel_all, Verb.REDUCE,
                  {200: wire.CancelAllResult}, "Cancel every working order, or those of a symbol",
                  query=SymbolQuery),
        ]  # fmt: skip

    # -- modify ------------------------------------------------------------------------------

    async def modify(self, call: Call) -> Answer:
        """Change a working order in place; its id stays (8.6)."""
        request: wire.ModifyOrderRequest = call.body or NOTHING
        place = self._place
        for field in request.__struct_fields__:
            check_positive(field, getattr(request, field))
        order = await found_order(place, call.principal, call.path["order_id"])
        self._check_changeable(order)
        self._check_change(request, order)
        if request == NOTHING:
            return Answer(wire.ModifyOrderResult(order_body(order, place)))
        exits = new_exits(order, request.stop_loss, request.take_profit)
        if exits is not None and order.intent.exits is None:
            await self._exits.take(exits)
        try:
            changed = await place.desk.modify(
                call.principal,
                order.order.order_id,
                quantity=request.quantity,
                price=request.limit_price,
                stop_price=request.stop_price,
                trail=new_trail(order, request.trailing_distance),
                exits=exits,
                answer_s=place.answer_s,
            )
        except UnknownOrder:  # it has ended, and left the core's memory meanwhile
            raise not_modifiable(order.order.order_id, "the order has ended") from None
        except OrderError as refusal:
            now = await found_order(place, call.principal, order.order.order_id)
            self._check_changeable(now)
            if "without an answer" in refusal.reason:  # the venue still has another change of it
                raise not_modifiable(order.order.order_id, refusal.reason) from refusal
            raise rejected(refusal.reason, place.platform_of(order.order.instrument)) from refusal
        return Answer(wire.ModifyOrderResult(order_body(changed, place)))

    def _check_changeable(self, order: DeskOrder) -> None:
        status = status_of(order.order)
        if status not in CHANGEABLE:
            raise not_modifiable(order.order.order_id, f"the order is {status.value}")

    def _check_change(self, request: wire.ModifyOrderRequest, order: DeskOrder) -> None:
        """Refuse what would break the rules of an order's type (8.2), or undo what is filled."""
        kind, quantity, display = order.order.type, request.quantity, order.intent.display_quantity
        for field in ("limit_price", "stop_price", "trailing_distance"):
            value: Decimal | None = getattr(request, field)
            if value is not None and field not in PRICES[kind]:
                raise invalid(field, value, f"a {kind.name} order takes no {field}")
        if request.trailing_distance is not None and isinstance(order.intent.trail, Percent):
            check_percent(request.trailing_distance)
        if quantity is None:
            return
        if quantity < order.order.filled:
            filled = format(order.order.filled, "f")
            raise missing("quantity", f"quantity is below what is filled, {filled}")
        if quantity == order.order.filled:
            raise missing("quantity", "all of that quantity is filled: cancel the order instead")
        if display is not None and display >= quantity:
            raise invalid("quantity", quantity, "must be more than the display quantity")

    # -- cancel ------------------------------------------------------------------------------

    async def cancel(self, call: Call) -> Answer:
        """Take an order back; one that was cancelled is no error, as clients ask again (8.7)."""
        place = self._place
        order = await found_order(place, call.principal, call.path["order_id"])
        if not order.order.is_closed:
            try:
                order = await place.desk.cancel(
                    call.principal, order.order.order_id, answer_s=place.answer_s
                )
            except UnknownOrder:
                order = await found_order(place, call.principal, order.order.order_id)
            except OrderError as refusal:
                order = await found_order(place, call.principal, order.order.order_id)
                if not order.order.is_closed:
                    raise not_modifiable(order.order.order_id, refusal.reason) from refusal
        if order.order.is_closed and order.order.status is not OrderStatus.CANCELLED:
            status = status_of(order.order)
            raise not_modifiable(order.order.order_id, f"the order is {status.value}")
        return Answer(wire.CancelOrderResult(True, order_body(order, place)))

    async def cancel_all(self, call: Call) -> Answer:
        """Take back every working order; what could not be is counted and named (8.8)."""
        place, symbol = self._place, call.query.symbol
        instrument = None if symbol is None else place.instrument_id(symbol)
        orders = await place.desk.cancel_all(call.principal, instrument, answer_s=place.answer_s)
        failed = [one.order.order_id for one in orders if not _is_taken_back(one)]
        return Answer(wire.CancelAllResult(len(orders) - len(failed), len(failed), failed or None))


def new_trail(order: DeskOrder, distance: Decimal | None) -> Offset | Percent | None:
    """Return an order's trail with another distance, counted as before."""
    if distance is None:
        return None
    if isinstance(order.intent.trail, Percent):
        return Percent(distance)
    return Offset(distance)


def new_exits(
    order: DeskOrder, stop_loss: Decimal | None, take_profit: Decimal | None
) -> Exits | None:
    """Return an entry's exits with these prices, what is not named as it was; None: no change."""
    if stop_loss is None and take_profit is None:
        return None
    before = order.intent.exits or Exits()
    return msgspec.structs.replace(
        before,
        stop_loss=_exit(stop_loss, order.stop_loss, before.stop_loss),
        take_profit=_exit(take_profit, order.take_profit, before.take_profit),
    )


def _exit(
    wanted: Decimal | None, standing: Decimal | None, asked: ExitPrice | None
) -> ExitPrice | None:
    if wanted is not None:
        return AtPrice(wanted)
    if standing is not None:
        return AtPrice(standing)
    # Its price is not known before the fill, or it was cancelled, and is to stay away.
    return asked if isinstance(asked, Offset | Percent) else None


def _is_taken_back(order: DeskOrder) -> bool:
    return status_of(order.order) in TAKEN_BACK
