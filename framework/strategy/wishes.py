"""What `buy` and `sell` take beyond the ordinary, as a strategy writes it and as the core reads it.

Exits and trails are written as a text in percent (`"2%"`), as a price (a number), or as one of
`Offset`, `Percent` and `AtPrice`.
"""

from decimal import Decimal
from typing import TypedDict, Unpack

import msgspec

from framework.errors import OrderError
from framework.model.decimals import ZERO
from framework.model.instrument import Instrument, Number, to_decimal
from framework.model.orders import (
    NO_BUCKET,
    AtPrice,
    Bucket,
    ExitPrice,
    Exits,
    Offset,
    OrderSession,
    Percent,
    Side,
    TimeInForce,
    TriggerBy,
)

Distance = str | Offset | Percent
"""How far a trail stays behind: `"2%"`, `Percent(...)`, or `Offset(...)` in price units."""


class Wishes(TypedDict, total=False):
    """Keyword arguments of an order.

    `quote_quantity` instead of a quantity: how much currency to spend. `stop_loss`,
    `take_profit` and `trailing_stop` (from `trailing_activation` on) follow what is filled.
    `trail` makes the order itself a trailing stop, from `trail_activation` on. `after` is the
    key of an order of this run that has to be filled first. `send_by_s`: how many seconds from
    now it may still be sent.
    """

    quote_quantity: Number
    stop_loss: Number | ExitPrice
    take_profit: Number | ExitPrice
    trailing_stop: Distance
    trailing_activation: Number | ExitPrice
    trail: Distance
    trail_activation: Number
    trigger_by: TriggerBy
    session: OrderSession
    display_quantity: Number
    bucket: Bucket
    oco_group: str
    after: str
    options: tuple[tuple[str, str], ...]
    send_by_s: float


class Terms(msgspec.Struct, frozen=True):
    """The same as exact values on the instrument's grid, field for field of an `OrderIntent`."""

    quote_quantity: Decimal | None = None
    exits: Exits | None = None
    trail: Offset | Percent | None = None
    trail_activation: Decimal | None = None
    trigger_by: TriggerBy = TriggerBy.BID_ASK
    session: OrderSession = OrderSession.NOW
    display_quantity: Decimal | None = None
    bucket: Bucket = NO_BUCKET
    oco_group: str = ""
    options: tuple[tuple[str, str], ...] = ()
    send_by_ns: int | None = None


PLAIN = Terms()


class Leg(msgspec.Struct, frozen=True):
    """One order of a basket."""

    instrument: str
    side: Side
    quantity: Number
    price: Number | None = None
    stop_price: Number | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    tags: tuple[str, ...] = ()


AFTER = "after"


def terms_of(instrument: Instrument, now_ns: int, **wishes: Unpack[Wishes]) -> Terms:
    """Return what the wishes come to.

    Raises:
        OrderError: a number is off the instrument's grid, or a text makes no sense.
    """
    activation, display = wishes.get("trail_activation"), wishes.get("display_quantity")
    spend, send_by_s = wishes.get("quote_quantity"), wishes.get("send_by_s")
    after, options = wishes.get("after"), wishes.get("options", ())
    trail = wishes.get("trail")
    return Terms(
        quote_quantity=None if spend is None else to_decimal(spend),
        exits=_exits(instrument, wishes),
        trail=None if trail is None else _distance(trail),
        trail_activation=None if activation is None else instrument.price(activation),
        trigger_by=wishes.get("trigger_by", TriggerBy.BID_ASK),
        session=wishes.get("session", OrderSession.NOW),
        display_quantity=None if display is None else instrument.quantity(display),
        bucket=wishes.get("bucket", NO_BUCKET),
        oco_group=wishes.get("oco_group", ""),
        options=options if after is None else (*options, (AFTER, after)),
        send_by_ns=None if send_by_s is None else now_ns + round(send_by_s * 1e9),
    )


def _exits(instrument: Instrument, wishes: Wishes) -> Exits | None:
    stop, target = wishes.get("stop_loss"), wishes.get("take_profit")
    trail, activation = wishes.get("trailing_stop"), wishes.get("trailing_activation")
    if stop is None and target is None and trail is None:
        if activation is not None:
            raise OrderError("trailing_activation needs a trailing_stop")
        return None
    return Exits(
        stop_loss=None if stop is None else _exit_price(instrument, stop),
        take_profit=None if target is None else _exit_price(instrument, target),
        trail=None if trail is None else _distance(trail),
        trail_activation=None if activation is None else _exit_price(instrument, activation),
    )


def _exit_price(instrument: Instrument, wish: Number | ExitPrice) -> ExitPrice:
    if isinstance(wish, str) and wish.strip().endswith("%"):
        return _percent(wish)
    if isinstance(wish, AtPrice):
        return AtPrice(instrument.price(wish.price))
    if isinstance(wish, Offset | Percent):
        return _positive(wish)
    return AtPrice(instrument.price(wish))


def _distance(wish: Distance) -> Offset | Percent:
    if isinstance(wish, Offset | Percent):
        return _positive(wish)
    if isinstance(wish, str) and wish.strip().endswith("%"):
        return _percent(wish)
    raise OrderError(f"a trail is a text such as '2%', an Offset or a Percent, not {wish!r}")


def _percent(text: str) -> Offset | Percent:
    return _positive(Percent(to_decimal(text.strip()[:-1].strip())))


def _positive(wish: Offset | Percent) -> Offset | Percent:
    distance = wish.distance if isinstance(wish, Offset) else wish.percent
    if not distance.is_finite() or distance <= ZERO:
        raise OrderError(f"a distance is above zero, this one is {distance}")
    return wish
