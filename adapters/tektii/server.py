"""The gateway's door: other programs trade here by the Tektii protocol (spec 3 to 18).

Its parts know one thing each; together they are its routes. Nothing is decided here: a request
becomes a question to the trading desk, and the answer one body.
"""

from collections.abc import Mapping, Sequence

import anyio

from adapters.tektii.server_account import AccountRoutes
from adapters.tektii.server_changes import Changes
from adapters.tektii.server_document import DocumentRoutes
from adapters.tektii.server_errors import REFUSALS, answer_to
from adapters.tektii.server_exit_ages import ExitAges
from adapters.tektii.server_exit_table import ExitTable
from adapters.tektii.server_markets import MarketRoutes
from adapters.tektii.server_orders import Orders
from adapters.tektii.server_positions import Positions
from adapters.tektii.server_settings import Place, decode_settings
from adapters.tektii.server_stream import EventStream
from adapters.tektii.server_system import SystemRoutes
from adapters.tektii.server_trades import Trades
from framework.model.desk import Verb
from framework.server.door import Answer, Door, DoorContext, Pacer, Route

TOKEN_HEADERS = ("X-API-Key",)


def build(section: Mapping[str, object], context: DoorContext) -> Door:
    """Return a gateway.

    Raises:
        ConfigError: a setting is unknown or makes no sense.
    """
    settings = decode_settings(section, key=f"{context.key}.settings")
    return Gateway(Place(context, settings))


class Gateway:
    """One gateway at one prefix; see `Door`."""

    name = "tektii"
    refusals: Mapping[int, type] = REFUSALS
    token_headers: Sequence[str] = TOKEN_HEADERS
    default_verbs = frozenset(Verb)  # the protocol has one key for everything (4)
    fewest_distinct = 1  # any key of 32 characters

    def __init__(self, place: Place) -> None:
        exits = ExitTable(place)
        self._orders = Orders(place, exits)
        self._ages = ExitAges(place)
        self._stream = EventStream(place)
        self.pacer: Pacer | None = self._stream.pacer
        self.links = [self._stream.links]
        self.routes: Sequence[Route] = [
            *AccountRoutes(place).routes(),
            *self._orders.routes(),
            *Changes(place, exits).routes(),
            *Positions(place).routes(),
            *Trades(place).routes(),
            *MarketRoutes(place).routes(),
            *SystemRoutes(place).routes(),
            *self._stream.routes(),
            *DocumentRoutes(place, self).routes(),
        ]

    def refuse(self, error: BaseException) -> Answer:
        """Return the answer to whatever was raised, in the protocol's envelope."""
        return answer_to(error)

    async def run(self) -> None:
        """Tell the streams what happens, and drop exits that are too old, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stream.run)
            tasks.start_soon(self._ages.run)

    async def leave(self) -> None:
        """Refuse new orders, then tell the streams, which end (18.4)."""
        self._orders.is_leaving = True
        await self._stream.leave()
