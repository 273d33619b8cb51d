"""An order as a client asks for it: its rules, one at a time, and the intent that it becomes.

    order_type      limit_price  stop_price  trailing_distance  trailing_type
    MARKET          no           no          no                 -
    LIMIT           needed       no          no                 -
    STOP            no           needed      no                 -
    STOP_LIMIT      needed       needed      no                 -
    TRAILING_STOP   no           no          needed             needed

Source: spec 6.3, 8.2. The first rule that is broken is the answer.

A stop is judged by the last price, as the protocol says; before there was a trade by the side that
it would hit, and where there is neither by candles (`TriggerBy.LAST`). It is also what venues take
for their own stops. Exits on the wrong side of a limit entry's price are refused.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec

from adapters.tektii import wire
from adapters.tektii.server_errors import invalid, missing, out_of_bounds, shortened, unsupported
from adapters.tektii.server_settings import Place
from adapters.tektii.words import key_of
from framework.model.decimals import ZERO
from framework.model.desk import DeskPosition, Principal
from framework.model.identity import venue_of
from framework.model.orders import (
    NO_BUCKET,
    AtPrice,
    Bucket,
    Exits,
    Offset,
    OrderIntent,
    OrderType,
    Percent,
    Side,
    TimeInForce,
    TriggerBy,
)
from framework.settings.decoding import is_representable

LONGEST_ID = 64
LONGEST_KEY = 160
HUNDRED = Decimal(100)
Meaning = TypeVar("Meaning")

# What each word of the protocol means; it is spelled as its member is named.
SIDES = {one.name: Side[one.name] for one in wire.Side}
TYPES = {one.name: OrderType[one.name] for one in wire.OrderType}
TIMES_IN_FORCE = {one.name: TimeInForce[one.name] for one in wire.TimeInForce}
TRAILING_TYPES = {one.name: one for one in wire.TrailingType}
MARGIN_MODES = {one.name: one for one in wire.MarginMode}

_T = OrderType
PRICES: Mapping[OrderType, frozenset[str]] = {
    _T.MARKET: frozenset(),
    _T.LIMIT: frozenset({"limit_price"}),
    _T.STOP: frozenset({"stop_price"}),
    _T.STOP_LIMIT: frozenset({"limit_price", "stop_price"}),
    _T.TRAILING_STOP: frozenset({"trailing_distance"}),
}
PRICE_FIELDS = ("limit_price", "stop_price", "trailing_distance")
WHOLE = ("oco", "whole")


class Form:
    """A request whose own rules hold, with its words understood.

    Raises, when made: GatewayRefusal, for the first rule that is broken.
    """

    def __init__(self, request: wire.OrderRequest, longest_symbol: int) -> None:
        self.request = request
        check_length("symbol", request.symbol, 1, longest_symbol)
        check_quantity(request.quantity)
        for field in ("client_order_id", "oco_group_id", "position_id"):
            name: str | None = getattr(request, field)
            if name:
                check_length(field, name, 0, LONGEST_ID)
        self.side = meaning(SIDES, request.side, "side")
        self.type = meaning(TYPES, request.order_type, "order_type")
        self.time_in_force = TimeInForce.GTC
        if request.time_in_force is not None:
            self.time_in_force = meaning(TIMES_IN_FORCE, request.time_in_force, "time_in_force")
        if request.margin_mode is not None:
            meaning(MARGIN_MODES, request.margin_mode, "margin_mode")
        check_prices(self.type, request)
        self.trail = self._trail()
        for field in ("stop_loss", "take_profit", "display_quantity", "leverage"):
            check_positive(field, getattr(request, field))
        self._check_display()
        self._check_sides()
        self.client_order_id = request.client_order_id or ""
        self.key = key_of(self.client_order_id) if self.client_order_id else ""
        if len(self.key) > LONGEST_KEY:
            raise out_of_bounds(
                "client_order_id",
                "length",
                f"its characters take more than {LONGEST_KEY} when they are escaped",
                {"max": LONGEST_KEY, "value": self.client_order_id},
            )

    @property
    def exits(self) -> Exits | None:
        """The stop-loss and the target that go with it."""
        stop_loss, take_profit = self.request.stop_loss, self.request.take_profit
        if stop_loss is None and take_profit is None:
            return None
        return Exits(
            None if stop_loss is None else AtPrice(stop_loss),
            None if take_profit is None else AtPrice(take_profit),
        )

    def _trail(self) -> Offset | Percent | None:
        if self.type is not OrderType.TRAILING_STOP:
            return None
        distance, kind = self.request.trailing_distance, self.request.trailing_type
        if distance is None or kind is None:
            raise missing("trailing_type", "a TRAILING_STOP order needs trailing_type")
        if meaning(TRAILING_TYPES, kind, "trailing_type") is wire.TrailingType.ABSOLUTE:
            return Offset(distance)
        check_percent(distance)
        return Percent(distance)

    def _check_display(self) -> None:
        display = self.request.display_quantity
        if display is not None and display >= self.request.quantity:
            raise invalid("display_quantity", display, "must be less than the quantity")

    def _check_sides(self) -> None:
        limit = self.request.limit_price
        if self.type is not OrderType.LIMIT or limit is None:
            return
        is_buy = self.side is Side.BUY
        for field, is_below in (("stop_loss", is_buy), ("take_profit", not is_buy)):
            price: Decimal | None = getattr(self.request, field)
            if price is not None and (price >= limit if is_below else price <= limit):
                where = "below" if is_below else "above"
                raise invalid(field, price, f"must be {where} the entry's limit price")


async def intent_of(form: Form, place: Place, principal: Principal) -> OrderIntent:
    """Return what the desk is asked for; its run is filled in there.

    Raises:
        GatewayRefusal: the symbol or the position is not clear, or the venue could not do it.
    """
    request = form.request
    instrument = place.instrument_id(request.symbol)
    bucket = NO_BUCKET
    if request.position_id:
        bucket = await _bucket(place, principal, instrument, request.position_id)
    display, options = request.display_quantity, [WHOLE] if request.oco_group_id else []
    if request.hidden or request.margin_mode or request.leverage or display is not None:
        shown = _without_effect(request, place, instrument)
        if shown is not None:
            options += shown
            display = None
    return OrderIntent(
        "",
        form.key or place.desk.new_key(principal),
        instrument,
        form.side,
        request.quantity,
        form.type,
        request.limit_price,
        request.stop_price,
        trail=form.trail,
        trigger_by=TriggerBy.LAST,
        time_in_force=form.time_in_force,
        post_only=bool(request.post_only),
        reduce_only=bool(request.reduce_only),
        display_quantity=display,
        bucket=bucket,
        exits=form.exits,
        oco_group=request.oco_group_id or "",
        options=tuple(options),
    )


def same_wish(one: OrderIntent, other: OrderIntent) -> bool:
    """Compare two intents by what a client asked for: content, not run and cause."""
    return one == msgspec.structs.replace(
        other,
        run=one.run,
        send_by_ns=one.send_by_ns,
        cause_sequence=one.cause_sequence,
        cause_ns=one.cause_ns,
        tags=one.tags,
    )


async def _bucket(place: Place, principal: Principal, instrument: str, position_id: str) -> Bucket:
    """Return the part of a position that an id means; one of the netting position is none.

    Only of those that the order would go to: another run's may be seen, and has orders of its own.
    """
    if position_id in (place.position_id(instrument), place.symbol_of(instrument)):
        return NO_BUCKET
    own = {(seat.account, seat.run) for seat in principal.places}
    for position in await place.desk.positions(principal, instrument):
        is_own = (position.account, position.run) in own
        if is_own and is_named(position, position_id, place):
            return position.bucket
    raise invalid("position_id", position_id, "the symbol has no such position")


def is_named(position: DeskPosition, position_id: str, place: Place) -> bool:
    """Tell whether a position is called so."""
    name = place.position_id(position.instrument, position.bucket, position.run)
    return name == position_id


def _without_effect(
    request: wire.OrderRequest, place: Place, instrument: str
) -> list[tuple[str, str]] | None:
    """Return what is only shown again, as nobody sees or lends anything at a simulated venue.

    At a real one a display quantity is passed on (None); the rest nobody here can ask for.
    """
    if not place.is_simulated(venue_of(instrument)):
        for field in ("hidden", "margin_mode", "leverage"):
            if getattr(request, field):
                raise unsupported(field, place.platform_of(instrument))
        return None
    options = [("hidden", "true")] if request.hidden else []
    if request.display_quantity is not None:
        options.append(("display_quantity", format(request.display_quantity, "f")))
    if request.margin_mode is not None:
        options.append(("margin_mode", request.margin_mode.upper()))
    if request.leverage is not None:
        options.append(("leverage", format(request.leverage, "f")))
    return options


# -- rules -------------------------------------------------------------------------------------


def meaning(known: Mapping[str, Meaning], text: str, field: str) -> Meaning:
    """Return what a word means, in any case; refuse one that is not known."""
    found = known.get(text.upper())
    if found is None:
        raise missing(field, f"{field} must be one of {', '.join(known)}")
    return found


def check_length(field: str, text: str, shortest: int, longest: int) -> None:
    """Refuse a text that is too short or too long."""
    if not shortest <= len(text) <= longest:
        message = f"must have {shortest} to {longest} characters"
        params = {"min": shortest, "max": longest, "value": shortened(text, 2 * longest)}
        raise out_of_bounds(field, "length", message, params)


def check_quantity(quantity: Decimal) -> None:
    """Refuse a quantity that is no number, or not positive."""
    check_number("quantity", quantity)
    if quantity <= ZERO:
        raise out_of_bounds(
            "quantity", "range", "must be positive", {"min": "0", "value": str(quantity)}
        )


def check_number(field: str, number: Decimal) -> None:
    """Refuse what is not finite or has more digits than are kept exactly."""
    if not is_representable(number):
        raise invalid(field, number, "must be a finite number of at most 28 digits")


def check_positive(field: str, number: Decimal | None) -> None:
    """Refuse a number that is there and not positive."""
    if number is not None:
        check_number(field, number)
        if number <= ZERO:
            raise invalid(field, number, "must be positive")


def check_percent(distance: Decimal) -> None:
    """Refuse a trailing distance that would be all of the price."""
    if distance >= HUNDRED:
        raise invalid("trailing_distance", distance, "must be below 100 percent")


def check_prices(kind: OrderType, request: wire.OrderRequest) -> None:
    """Refuse a price that is missing, not positive, or that the type does not take."""
    needed = PRICES[kind]
    for field in PRICE_FIELDS:
        value: Decimal | None = getattr(request, field)
        if field in needed:
            if value is None:
                raise missing(field, f"a {kind.name} order needs {field}")
            check_positive(field, value)
        elif value is not None:
            raise invalid(field, value, f"a {kind.name} order takes no {field}")
