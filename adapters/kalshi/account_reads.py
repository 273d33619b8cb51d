"""The questions of `VenueQueries`, over REST: what the account has, in the core's words.

Orders and fills from before a moving cutoff are in the venue's historical lists alone: whoever
looks for all of them looks there too, last, so that what moves meanwhile is seen once at least.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

from adapters.kalshi.messages import Fill, UserOrder
from adapters.kalshi.order_words import (
    NS_PER_S,
    USD,
    WHOLE_RESULTS,
    contracts,
    execution_report,
    money,
    order_report,
    position_report,
    settled,
)
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.units import DOLLAR
from framework.errors import NotFound
from framework.interfaces import Clock
from framework.model.account import Settled
from framework.model.decimals import add
from framework.model.venue_state import (
    BalanceReport,
    ExecutionReport,
    OrderReport,
    PositionReport,
)

REMEMBERED = 100_000  # orders whose client ids are known


class AccountReads:
    """Reads of one account at one venue; `account` is its name in the configuration."""

    def __init__(self, account: str, venue: str, rest: KalshiRest, clock: Clock) -> None:
        self._account = account
        self._venue = venue
        self._rest = rest
        self._clock = clock
        self._client_ids: dict[str, str] = {}  # by the venue's order id
        self._settlements: set[str] = set()  # ids of those that were returned

    async def find(self, client_order_id: str, venue_order_id: str = "") -> UserOrder | None:
        """Return an order by our id, or None if the venue has none; by its own id where known.

        The venue has no look-up by client id: open orders first, then all there are, newest first.
        """
        if venue_order_id:
            with suppress(NotFound):  # by that id; it may be historical
                return await self._rest.order(venue_order_id)
        return (
            await _first(self._rest.orders(status="resting"), client_order_id)
            or await _first(self._rest.orders(), client_order_id)
            or await _first(self._rest.orders(is_historical=True), client_order_id)
        )

    async def order(self, client_order_id: str, venue_order_id: str = "") -> OrderReport | None:
        """Return the order that carries our id, or None."""
        found = await self.find(client_order_id, venue_order_id)
        return None if found is None else self._report(found)

    async def open_orders(self) -> list[OrderReport]:
        """Return every resting order."""
        return [self._report(order) async for order in self._rest.orders(status="resting")]

    async def executions(self, since_ns: int) -> list[ExecutionReport]:
        """Return every fill since then, oldest first.

        The venue's fills name its own order id; ours is looked up where it is not known.
        """
        fills = await self._fills(since_ns)
        unknown = {fill.order_id for fill in fills if not fill.client_order_id}
        await self._learn(unknown - self._client_ids.keys())
        now_ns = self._clock.now_ns
        return [
            execution_report(
                fill,
                self._account,
                self._venue,
                fill.client_order_id or self._client_ids.get(fill.order_id, ""),
                now_ns,
            )
            for fill in fills
            if (fill.time_ns or now_ns) >= since_ns
        ]

    async def positions(self) -> list[PositionReport]:
        """Return what is held, market by market."""
        now_ns = self._clock.now_ns
        return [
            position_report(position, self._account, self._venue, now_ns)
            async for position in self._rest.positions(count_filter="position")
            if position.position
        ]

    async def balances(self) -> list[BalanceReport]:
        """Return the account's dollars, as if no contracts were held by their other side.

        The venue says what can be used: less what resting orders bind, and less a dollar for each
        no contract beyond what it was bought for. A no contract bought at q is a yes contract sold
        at 1 - q here, whose proceeds are cash: total = available + bound + one dollar each.
        """
        available = (await self._rest.balance()).cash
        positions = self._rest.positions(count_filter="position")
        held = {item.market_ticker: item.position async for item in positions}
        orders = [order async for order in self._rest.orders(status="resting")]
        bound = sum(
            reserve([o for o in orders if o.ticker == ticker], held.get(ticker, 0))
            for ticker in {order.ticker for order in orders}
        )
        short = sum(-position for position in held.values() if position < 0)
        reserved = money(bound)
        total = add(money(available), add(reserved, contracts(short)))
        return [BalanceReport(self._account, USD, total, self._clock.now_ns, reserved)]

    async def settlements(self, since_ns: int) -> list[Settled]:
        """Return what settled markets paid since then and was not returned yet, oldest first."""
        now_ns = self._clock.now_ns
        settlements = self._rest.settlements(min_ts=since_ns // NS_PER_S)
        found = [item async for item in settlements if (item.settled_ns or now_ns) >= since_ns]
        values = {
            item.ticker: await self._value(item.ticker)
            for item in found
            if item.result not in WHOLE_RESULTS
        }
        paid = [
            settled(item, self._account, self._venue, now_ns, value=values.get(item.ticker))
            for item in reversed(found)
        ]
        news = [one for one in paid if one.settlement_id not in self._settlements]
        self._settlements.update(one.settlement_id for one in news)
        return sorted(news, key=lambda settled: settled.time_ns)

    def client_id(self, venue_order_id: str) -> str:
        """Return the client id of an order of the venue's, "" if it is not known yet."""
        return self._client_ids.get(venue_order_id, "")

    def remember(self, venue_order_id: str, client_order_id: str) -> None:
        """Know an order by both ids."""
        self._client_ids[venue_order_id] = client_order_id
        if len(self._client_ids) > REMEMBERED:
            del self._client_ids[next(iter(self._client_ids))]

    def _report(self, order: UserOrder) -> OrderReport:
        self.remember(order.order_id, order.client_order_id)
        return order_report(order, self._account, self._venue, self._clock.now_ns)

    async def _fills(self, since_ns: int) -> list[Fill]:
        """Return every fill of that time, oldest first."""
        since_s = since_ns // NS_PER_S
        found = [fill async for fill in self._rest.fills(min_ts=since_s)]
        cutoff_ns = (await self._rest.historical_cutoff()).trades_created_ns
        if cutoff_ns is not None and since_ns < cutoff_ns:
            past = self._rest.fills(is_historical=True, min_ts=since_s)
            found += [fill async for fill in past]
        fills = {(fill.order_id, fill.trade_id): fill for fill in reversed(found)}
        return sorted(fills.values(), key=lambda fill: fill.time_ns or 0)

    async def _learn(self, venue_order_ids: Iterable[str]) -> None:
        """Look the client ids of these orders up."""
        missing: set[str] = set()
        for venue_order_id in sorted(venue_order_ids):
            try:
                order = await self._rest.order(venue_order_id)
            except NotFound:
                missing.add(venue_order_id)
            else:
                self.remember(venue_order_id, order.client_order_id)
        if missing:
            async for order in self._rest.orders(is_historical=True):
                if order.order_id in missing:
                    self.remember(order.order_id, order.client_order_id)

    async def _value(self, ticker: str) -> int | None:
        """Return what a yes contract of a settled market paid, to the venue's full precision."""
        try:
            return (await self._rest.market(ticker)).settlement_value
        except NotFound:
            return None


async def _first(orders: AsyncIterator[UserOrder], client_order_id: str) -> UserOrder | None:
    async for order in orders:
        if order.client_order_id == client_order_id:
            return order
    return None


def reserve(orders: list[UserOrder], position: int) -> int:
    """Return the money (1/1_000_000 dollar) that the resting orders of one market bind.

    A bid binds its price per contract, an ask one minus it; contracts that close a position bind
    nothing, the best prices first.
    """
    bids = [(order.yes_price, order) for order in orders if order.outcome_side == "yes"]
    asks = [(DOLLAR - order.yes_price, order) for order in orders if order.outcome_side == "no"]
    return _uncovered(bids, max(0, -position)) + _uncovered(asks, max(0, position))


def _uncovered(orders: list[tuple[int, UserOrder]], cover: int) -> int:
    bound = 0
    for cost, order in sorted(orders, key=lambda item: -item[0]):  # the highest bid fills first
        closing = min(cover, order.remaining_count)
        cover -= closing
        bound += (order.remaining_count - closing) * cost
    return bound  # a price times a count is money, exactly
