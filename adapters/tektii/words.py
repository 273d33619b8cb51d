"""The gateway's spelling of numbers, times, enums and names, and ours; both ways.

symbols        as the venue writes them; of several venues behind one door `venue:symbol`
client ids     an order key is `c.` + the client's id, escaped: no key of the framework's own
               looks like it, and the legs of a bracket are `<key>/stop` and `<key>/target`
leg ids        `<client id or order id of the entry>-sl` and `-tp`, further ones `-sl-1`, ...
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote

from adapters.tektii import wire
from framework.model.orders import Order, OrderStatus, OrderType, RequestState, Side, TimeInForce

E = TypeVar("E", bound=Enum)

SIDES: Mapping[Side, wire.Side] = {Side.BUY: wire.Side.BUY, Side.SELL: wire.Side.SELL}
TYPES: Mapping[OrderType, wire.OrderType] = {one: wire.OrderType(one.name) for one in OrderType}
TIMES_IN_FORCE: Mapping[TimeInForce, wire.TimeInForce] = {
    TimeInForce.GTC: wire.TimeInForce.GTC,
    TimeInForce.GTD: wire.TimeInForce.GTC,  # the nearest that the protocol has
    TimeInForce.DAY: wire.TimeInForce.DAY,
    TimeInForce.IOC: wire.TimeInForce.IOC,
    TimeInForce.FOK: wire.TimeInForce.FOK,
}
STATUSES: Mapping[OrderStatus, wire.OrderStatus] = {
    OrderStatus.INITIALISED: wire.OrderStatus.PENDING,
    OrderStatus.SUBMITTED: wire.OrderStatus.PENDING,
    OrderStatus.HELD: wire.OrderStatus.OPEN,  # it rests here instead of at the venue
    OrderStatus.ACCEPTED: wire.OrderStatus.OPEN,
    OrderStatus.TRIGGERED: wire.OrderStatus.OPEN,
    OrderStatus.PARTIALLY_FILLED: wire.OrderStatus.PARTIALLY_FILLED,
    OrderStatus.FILLED: wire.OrderStatus.FILLED,
    OrderStatus.CANCELLED: wire.OrderStatus.CANCELLED,
    OrderStatus.EXPIRED: wire.OrderStatus.EXPIRED,
    OrderStatus.REJECTED: wire.OrderStatus.REJECTED,
    OrderStatus.DENIED: wire.OrderStatus.REJECTED,
}
OPEN_STATUSES = frozenset(
    {
        wire.OrderStatus.PENDING,
        wire.OrderStatus.OPEN,
        wire.OrderStatus.PARTIALLY_FILLED,
        wire.OrderStatus.PENDING_CANCEL,
    }
)
ENDED_STATUSES = frozenset(wire.OrderStatus) - OPEN_STATUSES
TIMEFRAMES = ("1m", "2m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "12h", "1d", "1w")

_CLIENT = "c."
_LEG = re.compile(
    r"(?P<entry>.*)/(?P<role>stop|target|trail)(?:\.(?P<number>[0-9]+))?\Z", re.DOTALL
)
_LEG_NAMES = {"stop": "sl", "trail": "sl", "target": "tp"}
_NS = 1_000_000_000


def plain(number: Decimal) -> str:
    """Return a decimal in plain notation, never `1E-7`; trailing zeros stay."""
    return format(number, "f")


def plain_float(number: float) -> str:
    """Return a float's shortest decimal text in plain notation."""
    text = repr(number)
    if "e" in text or "E" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def time_text(time_ns: int) -> str:
    """Return RFC 3339 in UTC with as many fractional digits as it takes."""
    seconds, nanoseconds = divmod(time_ns, _NS)
    text = _second_text(seconds)
    if nanoseconds:
        text = f"{text}.{nanoseconds:09d}".rstrip("0")
    return f"{text}Z"


@lru_cache(maxsize=64)
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def member(kind: type[E], word: str) -> E | None:
    """Return the member of a wire enum that a word means, in any case; None: there is none."""
    return kind.__members__.get(word.upper())  # each is named as it is spelled


def status_of(order: Order) -> wire.OrderStatus:
    """Return an order's status; one whose cancel is on its way is PENDING_CANCEL."""
    if not order.is_closed and order.cancel_state in (RequestState.SENT, RequestState.IN_DOUBT):
        return wire.OrderStatus.PENDING_CANCEL
    return STATUSES[order.status]


def key_of(client_order_id: str) -> str:
    """Return the order key of a client's id."""
    return _CLIENT + client_order_id.replace("%", "%25").replace("/", "%2F")


def client_order_id_of(key: str, parent: str = "") -> str | None:
    """Return the client's id behind a key, or the name of a bracket's leg; None: it has none.

    `parent` is the entry's order id, after which a leg is named whose entry has no client's id.
    """
    leg = _LEG.fullmatch(key) if "/" in key else None
    if leg is not None:
        seed = client_order_id_of(leg["entry"]) or parent
        number = int(leg["number"] or 1) - 1
        return f"{seed}-{_LEG_NAMES[leg['role']]}" + (f"-{number}" if number else "")
    if not key.startswith(_CLIENT):
        return None
    name = key[len(_CLIENT) :]
    return unquote(name) if "%" in name else name
