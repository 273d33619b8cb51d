"""Positions of the gateway: shown, closed, and their exits moved (spec 6.6, 7.3)."""

import anyio
import msgspec

from adapters.tektii import wire
from adapters.tektii.server_closing import Closer, Closing, closing_of, found_position
from adapters.tektii.server_errors import is_bug
from adapters.tektii.server_exits import ExitMover
from adapters.tektii.server_orders import handle_of
from adapters.tektii.server_settings import Place
from adapters.tektii.words import plain, time_text
from framework.model.decimals import ZERO, absolute
from framework.model.desk import DeskPosition, Principal, Verb
from framework.server.door import Answer, Call, Route

IDEMPOTENCY_KEY = "Idempotency-Key"


class PositionsQuery(msgspec.Struct, frozen=True):
    """The query of what concerns all positions, or those of a symbol (7.3)."""

    symbol: str | None = None


class Positions:
    """The routes of positions."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._closer = Closer(place)
        self._mover = ExitMover(place)

    def routes(self) -> list[Route]:
        """Return the operations."""
        all_of, one = "/v1/positions", "/v1/positions/{position_id}"
        return [
            Route("GET", all_of, self.list_positions, Verb.READ, {200: list[wire.Position]},
                  "List positions", query=PositionsQuery),
            Route("GET", one, self.show, Verb.READ, {200: wire.Position}, "Show a position"),
            Route("DELETE", one, self.close, Verb.REDUCE, {200: wire.OrderHandle},
                  "Close a position, or a part of it", body=wire.ClosePositionRequest,
                  needs_body=False),
            Route("DELETE", all_of, self.close_all, Verb.REDUCE, {200: list[wire.OrderHandle]},
                  "Close every position, or those of a symbol", query=PositionsQuery),
            Route("PATCH", one, self.move_exits, Verb.TRADE,
                  {200: wire.ModifyPositionExitsResult}, "Move the resting exits of a position",
                  body=wire.ModifyExitsRequest),
        ]  # fmt: skip

    async def list_positions(self, call: Call) -> Answer:
        """List what is held; never a flat position."""
        found = await self._found(call)
        return Answer([position_body(one, self._place) for one in found])

    async def show(self, call: Call) -> Answer:
        """Show the position of an id, or of a symbol."""
        found = await found_position(self._place, call.principal, call.path["position_id"])
        return Answer(position_body(found, self._place))

    async def close(self, call: Call) -> Answer:
        """Close a position, once however often it is asked for (8.9)."""
        closing = closing_of(call.body)
        key = call.request.headers.get(IDEMPOTENCY_KEY, "").strip()
        position_id = call.path["position_id"]
        order = await self._closer.close(call.principal, position_id, closing, key)
        return Answer(handle_of(order, self._place))

    async def close_all(self, call: Call) -> Answer:
        """Close everything; the first failure is the answer only where nothing could be (8.10)."""
        place = self._place
        found = await self._found(call)
        names = [place.position_id(one.instrument, one.bucket, one.run) for one in found]
        handles: dict[str, wire.OrderHandle] = {}
        failures: dict[str, Exception] = {}
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(self._try_to_close, call.principal, name, handles, failures)
        if failures and not handles:
            raise next(failures[name] for name in names if name in failures)
        return Answer([handles[name] for name in names if name in handles])

    async def move_exits(self, call: Call) -> Answer:
        """Move the resting exits of a position (9.8)."""
        return Answer(await self._mover.move(call.principal, call.path["position_id"], call.body))

    async def _try_to_close(
        self,
        principal: Principal,
        name: str,
        handles: dict[str, wire.OrderHandle],
        failures: dict[str, Exception],
    ) -> None:
        try:
            order = await self._closer.close(principal, name, Closing(), "")
            handles[name] = handle_of(order, self._place)
        except Exception as error:  # the others are to be tried all the same
            if is_bug(error):
                raise
            failures[name] = error

    async def _found(self, call: Call) -> list[DeskPosition]:
        place, symbol = self._place, call.query.symbol
        instrument = None if symbol is None else place.instrument_id(symbol)
        return await place.desk.positions(call.principal, instrument)


def position_body(position: DeskPosition, place: Place) -> wire.Position:
    """Return a position as the protocol shows it; also what frames of the stream carry.

    Where no price is known it is valued at what it cost.
    """
    price = position.average_price if position.price is None else position.price
    is_short = position.quantity < ZERO
    return wire.Position(
        place.position_id(position.instrument, position.bucket, position.run),
        place.symbol_of(position.instrument),
        wire.PositionSide.SHORT if is_short else wire.PositionSide.LONG,
        plain(absolute(position.quantity)),
        plain(position.average_price),
        plain(price),
        plain(position.unrealised),
        plain(position.realised),
        time_text(position.opened_ns),
        time_text(position.updated_ns),
    )
