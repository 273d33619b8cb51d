"""Questions about the account, answered by REST.

Lists are bounded by `limit` alone, and older gateways take some filters without obeying them (7.2,
7.4): what comes is filtered again here, and pages are asked for until one brings nothing new.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal

from adapters.tektii import heard
from adapters.tektii.client import MOST_ROWS, GatewayClient
from adapters.tektii.codec import signed, time_ns
from adapters.tektii.heard import Status, word
from adapters.tektii.order_codec import (
    OVER,
    STATUSES,
    cost_of,
    execution_report,
    order_report,
    position_reports,
)
from adapters.tektii.sent_orders import Orders
from adapters.tektii.words import time_text
from framework.errors import MalformedMessage
from framework.interfaces import Clock
from framework.model.decimals import CONTEXT, ONE, add, subtract
from framework.model.identity import instrument_id
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import OrderStatus
from framework.model.venue_state import (
    BalanceReport,
    ExecutionReport,
    OrderReport,
    PositionReport,
)

PAGE = 500
FULL_PAGE = 100  # a shorter one is the last: no gateway is known to cap below
MOST_PAGES = 200
MOST_LOOKUPS = 50  # orders asked for one by one to learn whose trades are
COST_STEP = Decimal("1e-12")  # an average has 28 digits; what it was divided from has fewer
VARIATION = (InstrumentKind.FUTURE, InstrumentKind.PERPETUAL)  # a trade moves no cash there
WORKING = ",".join(one.name for one in Status if one not in OVER and one is not Status.UNKNOWN)


class AccountReads:
    """Asks one gateway about its account and answers in reports."""

    def __init__(
        self,
        account: str,
        venue: str,
        client: GatewayClient,
        orders: Orders,
        clock: Clock,
        instrument: Callable[[str], Instrument | None],
    ) -> None:
        self._account = account
        self._venue = venue
        self._client = client
        self._orders = orders
        self._clock = clock
        self._instrument = instrument

    # -- orders --------------------------------------------------------------------------------

    def report(self, order: heard.Order) -> OrderReport:
        """Return an order as a report. Raises MalformedMessage."""
        name = order.client_order_id or self._orders.name(order.id or "") or ""
        now_ns = self._clock.now_ns
        return order_report(order, self._account, self._venue, order_id=name, now_ns=now_ns)

    async def open_orders(self) -> list[heard.Order]:
        """Return every order that works; a gateway that lists past ones too is not followed."""
        listed = await self._client.orders()  # unlimited: what a limit left out would be unknown
        working = [one for one in listed if word(Status, one.status) not in OVER]
        for order in working:
            self._learn(order)
        return working

    async def find(self, order_id: str) -> heard.Order | None:
        """Return the order that carries our id: one that works before one that is past.

        Of several, as after a replacement, the newest.
        """
        query = (("client_order_id", order_id), ("limit", str(MOST_ROWS)))
        for is_past in (False, True):
            listed = await self._client.orders(query, is_past=is_past)
            found = [one for one in listed if one.client_order_id == order_id and one.id]
            if found:
                return max(found, key=_rank)
        return None

    async def order(self, order_id: str) -> heard.Order | None:
        """Return an order of ours, by the gateway's id where that is known."""
        sent = self._orders.sent(order_id)
        found = None
        if sent is not None and sent.venue_order_id:
            found = await self._client.order(sent.venue_order_id)
        if found is None:
            found = await self.find(order_id)
        if found is not None:
            self._learn(found, order_id)
        return found

    async def name(self, venue_order_id: str) -> None:
        """Learn whose an order is; one that is not there any more is nobody's."""
        order = await self._client.order(venue_order_id)
        if order is None:
            self._orders.learn(venue_order_id, "")
        else:
            self._learn(order)

    def _learn(self, order: heard.Order, order_id: str = "") -> None:
        self._orders.learn(order.id or "", order.client_order_id or order_id)

    # -- trades --------------------------------------------------------------------------------

    async def trades(self, since_ns: int) -> list[heard.Trade]:
        """Return every trade since then, oldest first. Raises VenueError."""
        since = time_text(max(0, since_ns))
        found: dict[str, heard.Trade] = {}
        until_ns: int | None = None
        for _ in range(MOST_PAGES):
            query = [("since", since), ("limit", str(PAGE))]
            if until_ns is not None:
                query.append(("until", time_text(until_ns)))
            page = await self._client.trades(tuple(query))
            news = [one for one in page if one.id and one.id not in found]
            found |= {one.id: one for one in news if one.id}
            times = [at for at in (time_ns(one.timestamp) for one in page) if at is not None]
            if len(page) < FULL_PAGE or not news or not times:
                oldest_first = reversed(found.values())  # also of those that share a time
                return sorted(oldest_first, key=lambda one: time_ns(one.timestamp) or 0)
            until_ns = min(times) + 1  # exclusive: what shares the oldest time comes again
        raise MalformedMessage(f"more than {MOST_PAGES} pages of trades")

    async def trades_of(self, venue_order_id: str) -> list[heard.Trade]:
        """Return every trade of one order, oldest first. Raises VenueError."""
        query = (("order_id", venue_order_id), ("limit", str(MOST_ROWS)))
        page = await self._client.trades(query)
        return [one for one in reversed(page) if one.order_id == venue_order_id]

    async def executions(self, since_ns: int) -> list[ExecutionReport]:
        """Return every trade since then as a report, oldest first. Raises VenueError."""
        trades = await self.trades(since_ns)
        await self._name_all([one.order_id for one in trades if one.order_id], since_ns)
        now_ns = self._clock.now_ns
        return [
            execution_report(
                one,
                self._account,
                self._venue,
                order_id=self._orders.name(one.order_id or "") or "",
                now_ns=now_ns,
            )
            for one in trades
        ]

    async def _name_all(self, venue_order_ids: list[str], since_ns: int) -> None:
        """Learn whose these orders are: by the lists first, then, a few of them, one by one.

        What stays unnamed the core finds by the gateway's id.
        """
        unknown = [one for one in dict.fromkeys(venue_order_ids) if self._orders.name(one) is None]
        if len(unknown) > 1:
            query = (("since", time_text(max(0, since_ns))), ("limit", str(MOST_ROWS)))
            for is_past in (False, True):
                for order in await self._client.orders(query, is_past=is_past):
                    self._learn(order)
        unknown = [one for one in unknown if self._orders.name(one) is None]
        for one in unknown[:MOST_LOOKUPS]:
            await self.name(one)

    # -- what the account has --------------------------------------------------------------------

    async def positions(self) -> list[PositionReport]:
        """Return what is held. Raises VenueError."""
        listed = await self._client.positions()
        return position_reports(listed, self._account, self._venue, now_ns=self._clock.now_ns)

    async def balances(self) -> list[BalanceReport]:
        """Return the account's cash. Raises VenueError.

        The protocol's `balance` is cash with what positions cost (6.2). Of what is paid in full, as
        spot is here, that cost is no cash: it is taken off again.
        """
        told = await self._client.account()
        cash = signed(told.balance, "balance")
        if not told.currency:
            raise MalformedMessage("an account without a currency")
        for position in await self._client.positions():
            known = self._instrument(instrument_id(self._venue, position.symbol or ""))
            if known is not None and known.kind in VARIATION:
                continue
            cost = cost_of(position, ONE if known is None else known.multiplier)
            cash = subtract(cash, cost.quantize(COST_STEP, ROUND_HALF_EVEN, CONTEXT))
        now_ns = self._clock.now_ns
        return [BalanceReport(self._account, told.currency, add(cash, Decimal(0)), now_ns)]


def _rank(order: heard.Order) -> tuple[bool, int, int]:
    """Sort what works behind what is over, then by time."""
    is_open = STATUSES[word(Status, order.status)] in (
        OrderStatus.ACCEPTED,
        OrderStatus.PARTIALLY_FILLED,
    )
    return is_open, time_ns(order.updated_at) or 0, time_ns(order.created_at) or 0
