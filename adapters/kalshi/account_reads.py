"""The questions of `VenueQueries`, over REST: what the account has, in the core's words."""

from collections.abc import Iterable

from adapters.kalshi.messages import UserOrder
from adapters.kalshi.order_words import (
    NS_PER_S,
    USD,
    contracts,
    execution_report,
    money,
    order_report,
    position_report,
    settled,
)
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.units import DOLLAR, MONEY_PER_PRICE
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

CONTRACT_UNITS = 100


class AccountReads:
    """Reads of one account at one venue; `account` is its name in the configuration."""

    def __init__(self, account: str, venue: str, rest: KalshiRest, clock: Clock) -> None:
        self._account = account
        self._venue = venue
        self._rest = rest
        self._clock = clock
        self._client_ids: dict[str, str] = {}  # by the venue's order id

    async def find(self, client_order_id: str, venue_order_id: str = "") -> UserOrder | None:
        """Return an order by our id, or None if the venue has none; by its own id where known.

        The venue has no look-up by client id: open orders first, then all there are, newest first.
        """
        if venue_order_id:
            try:
                return await self._rest.order(venue_order_id)
            except NotFound:
                return None
        for filters in ({"status": "resting"}, {}, {"is_historical": True}):
            async for order in self._rest.orders(**filters):
                if order.client_order_id == client_order_id:
                    return order
        return None

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
        since_s = since_ns // NS_PER_S
        fills = [fill async for fill in self._rest.fills(min_ts=since_s)]
        fills.sort(key=lambda fill: fill.time_ns or 0)
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
            async for position in self._rest.positions()
            if position.position
        ]

    async def balances(self) -> list[BalanceReport]:
        """Return the account's dollars, as if no contracts were held by their other side.

        The venue says what can be used: less what resting orders bind, and less a dollar for each
        no contract beyond what it was bought for. A no contract bought at q is a yes contract sold
        at 1 - q here, whose proceeds are cash: total = available + bound + one dollar each.
        """
        available = (await self._rest.balance()).cash
        held = {item.market_ticker: item.position async for item in self._rest.positions()}
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
        """Return what settled markets paid since then, oldest first."""
        now_ns = self._clock.now_ns
        found = self._rest.settlements(min_ts=since_ns // NS_PER_S)
        return [settled(item, self._account, self._venue, now_ns) async for item in found][::-1]

    def client_id(self, venue_order_id: str) -> str:
        """Return the client id of an order of the venue's, "" if it is not known yet."""
        return self._client_ids.get(venue_order_id, "")

    def remember(self, venue_order_id: str, client_order_id: str) -> None:
        """Know an order by both ids."""
        self._client_ids[venue_order_id] = client_order_id

    def _report(self, order: UserOrder) -> OrderReport:
        self.remember(order.order_id, order.client_order_id)
        return order_report(order, self._account, self._venue, self._clock.now_ns)

    async def _learn(self, venue_order_ids: Iterable[str]) -> None:
        for venue_order_id in sorted(venue_order_ids):
            try:
                order = await self._rest.order(venue_order_id)
            except NotFound:
                continue
            self.remember(venue_order_id, order.client_order_id)


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
    return bound * MONEY_PER_PRICE // CONTRACT_UNITS
