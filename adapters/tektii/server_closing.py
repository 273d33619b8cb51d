"""A position closed once, however often the same request comes (spec 8.9, 21.1).

Clients repeat a DELETE by themselves when its answer was lost; a part would be closed twice.

    with `Idempotency-Key`    the order of that key, for good: the key is the order's; with another
                              body it is refused
    a part of a position      the same order for `close_memory_s`, by transport and by market time
    all of a position         the same order while it works, and for as long as above unless there
                              is a position again, which then is a new one

What a venue or the gate refused is forgotten: the same request is a new attempt.

A process that dies takes its memory along, and clients go on repeating through the next one. So an
order's key says what it was asked for by: principal, position, body, and which stretch of
`close_memory_s` it was. The log has every key, and what was asked for a moment ago is found there.
"""

from collections import OrderedDict
from decimal import Decimal
from hashlib import blake2b

import msgspec
from msgspec import json

from adapters.tektii import wire
from adapters.tektii.server_errors import invalid, missing, not_found, rejected
from adapters.tektii.server_order_form import check_positive
from adapters.tektii.server_orders import REFUSED
from adapters.tektii.server_queries import word
from adapters.tektii.server_settings import Place
from adapters.tektii.words import plain
from framework.errors import OrderError
from framework.model.desk import DeskOrder, DeskPosition, OrderQuery, Principal
from framework.model.orders import NO_BUCKET

KEPT_REQUESTS = 10_000
MOST_NAMED = 8  # attempts of one stretch that are found again after a crash
NS_PER_S = 1_000_000_000
WHOLE = wire.ClosePositionRequest()


class Closing(msgspec.Struct, frozen=True):
    """What a request to close says: `quantity` None is all, `price` None at market."""

    quantity: Decimal | None = None
    price: Decimal | None = None


class Remembered(msgspec.Struct, frozen=True):
    """The key that a request's order was given, and when."""

    key: str
    at_s: float
    at_ns: int


Signature = tuple[str, str, Closing]


def closing_of(request: wire.ClosePositionRequest | None) -> Closing:
    """Return what a body asks for; none asks for everything at market.

    Raises:
        GatewayRefusal: a value makes no sense.
    """
    if request is None or request == WHOLE:
        return Closing()
    check_positive("quantity", request.quantity)
    kind = wire.OrderType.MARKET
    if request.order_type is not None:
        kind = word(wire.OrderType, request.order_type, "order_type")
    if kind not in (wire.OrderType.MARKET, wire.OrderType.LIMIT):
        raise invalid("order_type", request.order_type, "a position is closed by MARKET or LIMIT")
    if kind is wire.OrderType.LIMIT and request.limit_price is None:
        raise missing("limit_price", "a LIMIT order needs limit_price")
    check_positive("limit_price", request.limit_price)
    if kind is wire.OrderType.MARKET and request.limit_price is not None:
        raise invalid("limit_price", request.limit_price, "a MARKET order takes no limit_price")
    return Closing(request.quantity, request.limit_price)


class Closer:
    """Closes positions, and remembers what it was asked for; the oldest request is forgotten."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._memory: OrderedDict[Signature, Remembered] = OrderedDict()
        self._asked: OrderedDict[tuple[str, str], Closing] = OrderedDict()  # by principal and key

    async def close(
        self, principal: Principal, position_id: str, closing: Closing, idempotency_key: str
    ) -> DeskOrder:
        """Return the closing order of a request, a new one where it has none yet.

        Raises:
            GatewayRefusal: there is no such position, or the order was refused.
        """
        signature = principal.name, position_id, closing
        if idempotency_key:
            key = key_of_header(idempotency_key)
            known = await self._order(principal, key)
            if known is not None:
                asked = self._asked.get((principal.name, key), closing)
                self._check_same(known, position_id, asked, closing)
                return known
            self._note_asked((principal.name, key), closing)
        else:
            free_key = await self._recall(principal, signature)
            known = await self._remembered(principal, signature)
            if known is not None:
                return known
            key = self._key(principal, signature, free_key)
        try:
            order = await self._close(principal, position_id, closing, key)
        except OrderError as refusal:
            self._memory.pop(signature, None)
            raise rejected(refusal.reason, self._place.platform(self._place.provider)) from refusal
        except BaseException as error:
            if not getattr(error, "is_retryable", False):  # else it may be there all the same
                self._memory.pop(signature, None)
            raise
        if order.order.status in REFUSED:
            self._memory.pop(signature, None)
        return order

    async def _close(
        self, principal: Principal, position_id: str, closing: Closing, key: str
    ) -> DeskOrder:
        place = self._place
        position = await found_position(place, principal, position_id)
        return await place.desk.close(
            principal,
            position,
            quantity=closing.quantity,
            price=closing.price,
            key=key,
            answer_s=place.answer_s,
        )

    async def _remembered(self, principal: Principal, signature: Signature) -> DeskOrder | None:
        """Return the order that answers a repeated request."""
        remembered = self._memory.get(signature)
        if remembered is None:
            return None
        order = await self._order(principal, remembered.key)
        if order is None or order.order.status in REFUSED:
            return None
        is_fresh = self._is_fresh(remembered)
        is_whole = signature[2].quantity is None
        if is_whole and not order.order.is_closed:
            return order
        if is_fresh and is_whole:
            is_fresh = await position_of(self._place, principal, signature[1]) is None
        if is_fresh:
            return order
        if self._memory.get(signature) is remembered:
            del self._memory[signature]
        return None

    async def _recall(self, principal: Principal, signature: Signature) -> str:
        """Remember a request's newest order of before a crash; return a key for a new one.

        The key is "" where there is nothing to name it by: the next order needs another.
        """
        place, limit_s = self._place, self._place.settings.close_memory_s
        if signature in self._memory or not limit_s or place.desk.is_paced:
            return ""
        now_ns, length_ns = place.now_ns, round(limit_s * NS_PER_S)
        newest, free_key = None, ""
        for stretch in (now_ns // length_ns - 1, now_ns // length_ns):
            free_key = ""
            for number in range(MOST_NAMED):
                key = key_of_request(signature, stretch, number)
                known = await self._order(principal, key)
                if known is None:
                    free_key = key
                    break
                newest = known
        if newest is not None and newest.order.status not in REFUSED:
            age_ns, now_s = now_ns - newest.order.created_ns, place.context.now_s()
            at_s = now_s - age_ns / NS_PER_S
            self._remember(signature, Remembered(newest.order.key, at_s, newest.order.created_ns))
        return free_key

    def _key(self, principal: Principal, signature: Signature, free_key: str) -> str:
        """Return the key of a request that is under way, or of a new order."""
        remembered = self._memory.get(signature)
        if remembered is not None and self._is_fresh(remembered):
            return remembered.key
        place = self._place
        key = free_key or place.desk.new_key(principal)
        self._remember(signature, Remembered(key, place.context.now_s(), place.now_ns))
        return key

    def _remember(self, signature: Signature, remembered: Remembered) -> None:
        self._memory[signature] = remembered
        self._memory.move_to_end(signature)
        while len(self._memory) > KEPT_REQUESTS:
            self._memory.popitem(last=False)

    def _is_fresh(self, remembered: Remembered) -> bool:
        limit_s, place = self._place.settings.close_memory_s, self._place
        return (
            place.context.now_s() - remembered.at_s < limit_s
            and place.now_ns - remembered.at_ns < limit_s * NS_PER_S
        )

    async def _order(self, principal: Principal, key: str) -> DeskOrder | None:
        found = await self._place.desk.orders(principal, OrderQuery(key=key, limit=1))
        return found[0] if found else None

    def _note_asked(self, name: tuple[str, str], closing: Closing) -> None:
        self._asked[name] = closing
        self._asked.move_to_end(name)
        while len(self._asked) > KEPT_REQUESTS:
            self._asked.popitem(last=False)

    def _check_same(
        self, known: DeskOrder, position_id: str, asked: Closing, closing: Closing
    ) -> None:
        """Refuse a caller's name for another request than `asked`, as far as that can be told.

        What was asked for is forgotten in time; the order has its price, and at most its quantity.
        """
        order, place = known.order, self._place
        names = (
            place.position_id(order.instrument, order.bucket, order.run),
            place.symbol_of(order.instrument),
        )
        if position_id not in names:
            raise invalid("Idempotency-Key", None, f"it was used to close {names[0]}")
        wanted, given = closing.quantity, known.intent.quantity
        is_less = wanted is not None and given is not None and wanted < given
        if closing != asked or closing.price != known.intent.price or is_less:
            raise invalid("Idempotency-Key", None, "it was used with another body")


def key_of_request(signature: Signature, stretch: int, number: int) -> str:
    """Return the order key of the n-th attempt at a request in a stretch of time."""
    principal, position_id, closing = signature
    amounts = [None if one is None else _as_one(one) for one in (closing.quantity, closing.price)]
    named = json.encode((principal, position_id, amounts, stretch, number))
    return f"closing:{blake2b(named, digest_size=16).hexdigest()}"


def _as_one(number: Decimal) -> str:
    """Return the same text for equal numbers: `1` and `1.0`."""
    text = plain(number)
    return text.rstrip("0").rstrip(".") if "." in text else text


def key_of_header(idempotency_key: str) -> str:
    """Return the order key of a caller's own name for a request."""
    return f"close:{blake2b(idempotency_key.encode(), digest_size=16).hexdigest()}"


async def position_of(place: Place, principal: Principal, position_id: str) -> DeskPosition | None:
    """Return the position that an id, or a bare symbol, means.

    Raises:
        GatewayRefusal: a symbol means several.
    """
    positions = await place.desk.positions(principal)
    named = [
        one
        for one in positions
        if place.position_id(one.instrument, one.bucket, one.run) == position_id
    ]
    if not named:
        named = [one for one in positions if place.symbol_of(one.instrument) == position_id]
    if len(named) > 1:
        plain = [one for one in named if one.bucket == NO_BUCKET]
        if len(plain) != 1:
            names = (place.position_id(one.instrument, one.bucket, one.run) for one in named)
            raise invalid("position_id", position_id, f"it could be {' or '.join(names)}")
        named = plain
    return named[0] if named else None


async def found_position(place: Place, principal: Principal, position_id: str) -> DeskPosition:
    """Return the position that an id means.

    Raises:
        GatewayRefusal: there is none, or there are several.
    """
    position = await position_of(place, principal, position_id)
    if position is None:
        raise not_found("position", position_id)
    return position
