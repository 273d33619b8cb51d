"""Orders of the gateway: shown, listed, and submitted once however often they are asked for.

An order's `correlation_id` is a UUID made from its order id, which is a hash of the journal's
random id, the run and the key: it is there before anything is told, the same on every frame and
after a restart, and needs no place to be kept.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b

import anyio
import anyio.lowlevel
import msgspec

from adapters.tektii import wire
from adapters.tektii.server_errors import (
    GatewayRefusal,
    duplicate,
    invalid,
    not_found,
    rejected,
    shutting_down,
)
from adapters.tektii.server_exit_table import ExitTable
from adapters.tektii.server_order_form import Form, intent_of, same_wish
from adapters.tektii.server_queries import (
    optional_time,
    optional_word,
    page,
    row_before,
    rows_wanted,
    words,
)
from adapters.tektii.server_rejections import reject_reason
from adapters.tektii.server_settings import Place
from adapters.tektii.words import (
    ENDED_STATUSES,
    OPEN_STATUSES,
    SIDES,
    STATUSES,
    TIMES_IN_FORCE,
    TYPES,
    client_order_id_of,
    key_of,
    plain,
    status_of,
    time_text,
)
from framework.errors import KeyConflict, OrderError, UnknownInstrument, VenueError
from framework.model.decimals import subtract
from framework.model.desk import Cursor, DeskOrder, OrderQuery, Principal, Verb
from framework.model.orders import (
    NO_BUCKET,
    Offset,
    OrderIntent,
    OrderStatus,
    Percent,
    Side,
)
from framework.server.door import Answer, Call, Route

REFUSED = (OrderStatus.DENIED, OrderStatus.REJECTED)  # a set would hash what is looked up
_SIDES_WANTED = {wire.Side.BUY: Side.BUY, wire.Side.SELL: Side.SELL}
_PENDING_CANCEL = frozenset({wire.OrderStatus.PENDING_CANCEL})


ROWS_IN_A_TURN = 256


class OrdersQuery(msgspec.Struct, frozen=True):
    """The query of both lists of orders (7.2)."""

    symbol: str | None = None
    status: list[str] = []
    side: str | None = None
    client_order_id: str | None = None
    oco_group_id: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int | None = None
    cursor: str | None = None


class Orders:
    """The routes that submit and show orders."""

    def __init__(self, place: Place, exits: ExitTable) -> None:
        self._place = place
        self._exits = exits
        self.is_leaving = False

    def routes(self) -> list[Route]:
        """Return the operations."""
        handle, listed = {201: wire.OrderHandle}, {200: list[wire.Order]}
        return [
            Route("POST", "/v1/orders", self.submit, Verb.TRADE, handle,
                  "Submit an order", body=wire.OrderRequest),
            Route("GET", "/v1/orders", self.list_open, Verb.READ, listed,
                  "List working orders, or those of a status", query=OrdersQuery),
            Route("GET", "/v1/orders/history", self.list_history, Verb.READ, listed,
                  "List orders that have ended, the last changed first", query=OrdersQuery),
            Route("GET", "/v1/orders/{order_id}", self.show, Verb.READ, {200: wire.Order},
                  "Show an order"),
        ]  # fmt: skip

    # -- submitting --------------------------------------------------------------------------

    async def submit(self, call: Call) -> Answer:
        """Submit an order; the answer shows what has become of it so far (8.5)."""
        request: wire.OrderRequest = call.body
        place = self._place
        form = Form(request, place.settings.longest_symbol)
        if self.is_leaving or place.context.is_stopping():
            raise shutting_down()
        scenario = place.scenarios.scenario(request.symbol, is_order=True)
        if scenario is not None:
            raise scenario
        begun_s = place.context.now_s()
        intent = await intent_of(form, place, call.principal)
        if intent.exits is not None:
            await self._take_room(form, intent, call.principal)
        await self._priced(call.principal, intent.instrument)
        try:
            order = await place.desk.submit(call.principal, intent, answer_s=place.answer_s)
        except UnknownInstrument:
            raise
        except KeyConflict as conflict:
            known_as = form.client_order_id or conflict.key
            raise duplicate(known_as, conflict.order_id) from conflict
        except OrderError as refusal:
            raise rejected(refusal.reason, place.platform_of(intent.instrument)) from refusal
        if form.client_order_id and not same_wish(order.intent, intent):
            raise duplicate(form.client_order_id, order.order.order_id)
        handle = handle_of(order, place)
        seconds = place.context.now_s() - begun_s
        place.metrics.order_submitted(place.platform_of(intent.instrument), seconds)
        return Answer(handle, 201)

    async def _take_room(self, form: Form, intent: OrderIntent, principal: Principal) -> None:
        """Make room for an order's exits; one that is known already has it."""
        assert intent.exits is not None
        try:
            await self._exits.take(intent.exits)
        except GatewayRefusal:
            if not form.client_order_id or await self._known(principal, intent.key) is None:
                raise

    async def _priced(self, principal: Principal, instrument: str) -> None:
        """Have a first price of an instrument that nobody asked for yet: orders are valued by it.

        Raises:
            UnknownInstrument: there is no such instrument.
        """
        desk = self._place.desk
        if desk.is_paced or desk.market.reference_price(instrument) is not None:
            return
        if principal.allows(Verb.TRADE, instrument):
            with suppress(VenueError):  # the order itself finds out what its venue can do
                await desk.quote(self._place.owner, instrument)

    async def _known(self, principal: Principal, key: str) -> DeskOrder | None:
        found = await self._place.desk.orders(principal, OrderQuery(key=key, limit=1))
        return found[0] if found else None

    # -- showing -----------------------------------------------------------------------------

    async def show(self, call: Call) -> Answer:
        """Show one order, ended or not."""
        order = await found_order(self._place, call.principal, call.path["order_id"])
        return Answer(order_body(order, self._place))

    async def list_open(self, call: Call) -> Answer:
        """List the working orders, newest first; with `status` those that stand so."""
        wanted = words(wire.OrderStatus, call.query.status, "status") or OPEN_STATUSES
        return await self._listed(call, wanted, by_update=False)

    async def list_history(self, call: Call) -> Answer:
        """List orders that have ended, the last changed first."""
        wanted = words(wire.OrderStatus, call.query.status, "status") or ENDED_STATUSES
        return await self._listed(call, wanted & ENDED_STATUSES, by_update=True)

    async def _listed(
        self, call: Call, wanted: frozenset[wire.OrderStatus], *, by_update: bool
    ) -> Answer:
        asked: OrdersQuery = call.query
        place = self._place
        side = optional_word(wire.Side, asked.side, "side")
        rows = rows_wanted(asked.limit)
        # A cancel on its way is no status of ours: it is told apart among the open ones.
        is_exact = not wanted & OPEN_STATUSES or wanted >= OPEN_STATUSES
        query = OrderQuery(
            instrument=None if asked.symbol is None else place.instrument_id(asked.symbol),
            statuses=_ours(wanted),
            side=None if side is None else _SIDES_WANTED[side],
            oco_group=asked.oco_group_id,
            since_ns=optional_time(asked.since, "since"),
            until_ns=optional_time(asked.until, "until"),
            limit=rows + 1 if is_exact else None,
            by_update=by_update,
            after=row_before(asked.cursor),
        )
        if not wanted or not rows:
            return Answer([])
        try:
            found = await self._found(call.principal, query, asked.client_order_id)
        except OrderError as error:
            raise invalid("cursor", asked.cursor, error.reason) from None
        fitting = found if is_exact else [one for one in found if status_of(one.order) in wanted]
        shown, headers = page(
            fitting,
            rows,
            lambda one: Cursor(
                one.order.time_ns if by_update else one.order.created_ns, one.order.order_id
            ),
        )
        bodies = []
        for count, order in enumerate(shown, 1):
            bodies.append(order_body(order, place))
            if not count % ROWS_IN_A_TURN:  # a long list must not hold up everybody else
                await anyio.lowlevel.checkpoint()
        return Answer(bodies, headers=headers)

    async def _found(
        self, principal: Principal, query: OrderQuery, client_order_id: str | None
    ) -> Sequence[DeskOrder]:
        desk = self._place.desk
        if client_order_id is None:
            return await desk.orders(principal, query)
        by_key = msgspec.structs.replace(query, key=key_of(client_order_id), limit=None)
        found = await desk.orders(principal, by_key)
        if found or not looks_like_leg(client_order_id):
            return found
        legs = await desk.orders(principal, msgspec.structs.replace(query, limit=None))
        return [leg for leg in legs if client_id_of(leg) == client_order_id]


async def found_order(place: Place, principal: Principal, order_id: str) -> DeskOrder:
    """Return an order that a principal sees.

    Raises:
        GatewayRefusal: there is none.
    """
    order = await place.desk.order(principal, order_id)
    if order is None:
        raise not_found("order", order_id)
    return order


# -- bodies ------------------------------------------------------------------------------------


def handle_of(desk_order: DeskOrder, place: Place) -> wire.OrderHandle:
    """Return what submitting or closing answers.

    Raises:
        GatewayRefusal: the order was refused, by the gate or by its venue.
    """
    order = desk_order.order
    if order.status in REFUSED:
        raise rejected(order.reason, place.platform_of(order.instrument))
    return wire.OrderHandle(
        order.order_id,
        status_of(order),
        client_order_id_of(order.key, order.parent),
        correlation_id_of(order.order_id),
    )


def order_body(desk_order: DeskOrder, place: Place) -> wire.Order:
    """Return an order as the protocol shows it; also what frames of the stream carry."""
    order, intent = desk_order.order, desk_order.intent
    trail = order.trail if order.trail is not None else intent.trail
    distance, trailing_type = (None, None) if trail is None else _trail(trail)
    options = dict(intent.options) if intent.options else _NO_OPTIONS
    display = intent.display_quantity
    stop_loss, take_profit, average = (
        desk_order.stop_loss, desk_order.take_profit, order.average_price
    )  # fmt: skip
    quantity, filled = order.quantity, order.filled
    if filled > quantity:  # a venue filled more than was asked for; what remains is never negative
        quantity = filled
    bucket = order.bucket
    position_id = None
    if bucket is not NO_BUCKET and bucket.position_id:
        position_id = bucket.position_id
    elif order.reduce_only:
        position_id = place.position_id(order.instrument, bucket, order.run)
    return wire.Order(
        order.order_id,
        place.symbol_of(order.instrument),
        SIDES[order.side],
        TYPES[order.type],
        plain(quantity),
        plain(filled),
        plain(subtract(quantity, filled)),
        status_of(order),
        TIMES_IN_FORCE[order.time_in_force],
        _time(order.created_ns),
        _time(order.time_ns),
        client_order_id_of(order.key, order.parent),
        None if order.price is None else plain(order.price),
        None if order.stop_price is None else plain(order.stop_price),
        None if stop_loss is None else plain(stop_loss),
        None if take_profit is None else plain(take_profit),
        distance,
        trailing_type,
        None if average is None else plain(average),
        reject_reason(order.reason) if order.status in REFUSED else None,
        position_id,
        order.parent or None,
        order.reduce_only,
        order.post_only,
        "hidden" in options,
        options.get("display_quantity") if display is None else plain(display),
        None if order.parent else intent.oco_group or None,
        correlation_id_of(order.order_id),
    )


def correlation_id_of(order_id: str) -> str:
    """Return the UUID of an order, the same for good (spec 3)."""
    hashing = _CORRELATION.copy()  # cheaper than a new one with these parameters
    hashing.update(order_id.encode())
    digest = hashing.hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:]}"


def client_id_of(desk_order: DeskOrder) -> str | None:
    """Return an order's `client_order_id`, if it has one."""
    return client_order_id_of(desk_order.order.key, desk_order.order.parent)


def looks_like_leg(client_order_id: str) -> bool:
    """Tell whether a client's id may be the name of a bracket's leg."""
    name = client_order_id.rstrip("0123456789").removesuffix("-")
    return client_order_id.endswith(("-sl", "-tp")) or name.endswith(("-sl", "-tp"))


_CORRELATION = blake2b(digest_size=16, person=b"correlation")
_NO_OPTIONS: Mapping[str, str] = {}
_time = lru_cache(maxsize=4_096)(time_text)  # an order's events share its first time


def _trail(trail: Offset | Percent) -> tuple[str, wire.TrailingType]:
    if isinstance(trail, Offset):
        return plain(trail.distance), wire.TrailingType.ABSOLUTE
    return plain(trail.percent), wire.TrailingType.PERCENT


def _ours(wanted: frozenset[wire.OrderStatus]) -> frozenset[OrderStatus]:
    """Return our statuses that may be shown as one of these."""
    found = {ours for ours, theirs in STATUSES.items() if theirs in wanted}
    if wanted & _PENDING_CANCEL:
        found |= {ours for ours, theirs in STATUSES.items() if theirs in OPEN_STATUSES}
    return frozenset(found)
