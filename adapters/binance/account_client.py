"""Signed requests about one account: what is asked, and the answers as the venue's rows.

A request is signed once, when it is made: waiting for its turn counts against the receive window,
so none of ours is carried out after we gave it up.
Source: "Public REST API for Binance", Account endpoints.
"""

from typing import TypeVar

from adapters.binance import wire, wire_account
from adapters.binance.client import ORDERS
from adapters.binance.codec import NS_PER_MS, read
from adapters.binance.requests import Credentials, Parameters, order_parameters
from framework.errors import RequestRefusedByVenue
from framework.interfaces import Clock
from framework.model.commands import CancelOrder, SubmitOrder
from framework.model.identity import symbol_of
from framework.net.rest import Request, RestClient

T = TypeVar("T")

DAY_MS = 86_400_000
MOST_ROWS = 1_000
NO_SUCH_ORDER = "-2013"


class AccountClient:
    """Asks and tells the venue on behalf of one key."""

    def __init__(self, client: RestClient, credentials: Credentials, clock: Clock) -> None:
        self.credentials = credentials
        self._client = client
        self._clock = clock
        self._offset_ms = 0

    @property
    def now_ms(self) -> int:
        """The venue's time as far as we know it."""
        return self._clock.now_ns // NS_PER_MS + self._offset_ms

    async def synchronise(self) -> None:
        """Learn how far the venue's clock is from ours; requests are stamped by it. VenueError."""
        asked_ns = self._clock.now_ns
        response = await self._client.send(Request(method="GET", path="/api/v3/time"))
        server_ms = read(response.body, wire.ServerTime).server_time
        self._offset_ms = server_ms - (asked_ns + self._clock.now_ns) // 2 // NS_PER_MS

    async def place(self, command: SubmitOrder) -> wire_account.NewOrderAnswer:
        """Send a new order; written once, whatever happens. Raises VenueError."""
        parameters = order_parameters(command)
        return await self._ask(
            "POST", "/order", parameters, wire_account.NewOrderAnswer, group=ORDERS
        )

    async def cancel(self, command: CancelOrder) -> wire_account.CancelAnswer:
        """Take an order back. Raises VenueError."""
        parameters = (
            ("symbol", symbol_of(command.instrument)),
            ("origClientOrderId", command.order_id),
        )
        return await self._ask(
            "DELETE", "/order", parameters, wire_account.CancelAnswer, is_cancel=True
        )

    async def order(self, symbol: str, order_id: str) -> wire_account.OrderRow | None:
        """Return an order by its client id, None where the venue says that there is none."""
        parameters = (("symbol", symbol), ("origClientOrderId", order_id))
        try:
            return await self._ask("GET", "/order", parameters, wire_account.OrderRow, cost=4.0)
        except RequestRefusedByVenue as refused:
            if refused.code == NO_SUCH_ORDER:
                return None
            raise

    async def open_orders(self) -> tuple[wire_account.OrderRow, ...]:
        """Return every working order of the account. Raises VenueError."""
        return await self._ask(
            "GET", "/openOrders", (), tuple[wire_account.OrderRow, ...], cost=80.0
        )

    async def balances(self) -> wire_account.AccountAnswer:
        """Return every balance. Raises VenueError."""
        return await self._ask("GET", "/account", (), wire_account.AccountAnswer, cost=20.0)

    async def trades(self, symbol: str, since_ms: int) -> list[wire_account.TradeRow]:
        """Return every trade in a symbol since then, oldest first. Raises VenueError.

        Times may span a day at most; the first trade found leads on by ids, which have no limit.
        """
        until_ms = self.now_ms
        for start_ms in range(since_ms, until_ms + 1, DAY_MS):
            times = (("startTime", str(start_ms)), ("endTime", str(start_ms + DAY_MS - 1)))
            page = await self._trades(symbol, times)
            if page:
                return await self._trades_from(symbol, page)
        return []

    async def _trades_from(
        self, symbol: str, page: tuple[wire_account.TradeRow, ...]
    ) -> list[wire_account.TradeRow]:
        """Follow a first page by ids, until a page is empty."""
        found: list[wire_account.TradeRow] = []
        while page:
            found += page
            page = await self._trades(symbol, (("fromId", str(page[-1].id + 1)),))
        return found

    async def _trades(self, symbol: str, where: Parameters) -> tuple[wire_account.TradeRow, ...]:
        parameters = (("symbol", symbol), *where, ("limit", str(MOST_ROWS)))
        rows = tuple[wire_account.TradeRow, ...]
        return await self._ask("GET", "/myTrades", parameters, rows, cost=20.0)

    async def _ask(
        self,
        method: str,
        path: str,
        parameters: Parameters,
        kind: type[T],
        *,
        group: str = "",
        cost: float = 1.0,
        is_cancel: bool = False,
    ) -> T:
        request = Request(
            method=method,
            path=f"/api/v3{path}",
            query=self.credentials.signed(parameters, self.now_ms),
            headers=(("X-MBX-APIKEY", self.credentials.api_key),),
            group=group,
            cost=cost,
            is_cancel=is_cancel,
        )
        return read((await self._client.send(request)).body, kind)
