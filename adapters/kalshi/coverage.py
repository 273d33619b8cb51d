"""Which markets each channel must cover, and the few subscriptions that cover them.

A second subscription of a channel is not settled between sources (section 6 of the venue's
protocol as observed), so a channel has one, whose markets are added and taken away, until it is
full. Requests are counted: a market is covered for as long as anybody wants it.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from adapters.kalshi.connection import KalshiConnection
from adapters.kalshi.subscription import BOOKS, Parameters, Subscription

TICKERS = "ticker"
TRADES = "trade"
LIFECYCLE = "market_lifecycle_v2"  # of all markets, whatever is asked for


class Group(msgspec.Struct, eq=False):
    """One subscription and the markets asked of it."""

    subscription: Subscription
    markets: dict[str, None]


class Coverage:
    """Keeps the session's subscriptions at what is wanted.

    `most_markets` is what one of them takes; the venue may say that it is less.
    """

    def __init__(self, connection: KalshiConnection, *, most_markets: int) -> None:
        self._connection = connection
        self._most_markets = most_markets
        self._wanted: Counter[tuple[str, str]] = Counter()
        self._groups: dict[str, list[Group]] = {}
        self._added: dict[int, tuple[Group, str]] = {}  # requests without an answer yet

    def wants(self, channel: str, market: str) -> bool:
        """Whether anybody wants this."""
        return self._wanted[channel, market] > 0

    def markets_of(self, channel: str) -> list[str]:
        """Return the markets wanted of a channel."""
        return [
            market for (name, market), count in self._wanted.items() if name == channel and count
        ]

    def want(self, channel: str, market: str) -> None:
        """Cover a market; counted."""
        self._wanted[channel, market] += 1
        if self._wanted[channel, market] == 1:
            self._cover(channel, market)

    def unwant(self, channel: str, market: str) -> None:
        """Take one request back."""
        self._wanted[channel, market] -= 1
        if not self.wants(channel, market):
            self._uncover(channel, market)

    # -- what the venue does ---------------------------------------------------------------------

    def ended(self, subscription: Subscription, *, is_full: bool) -> list[str]:
        """Forget a subscription that the venue will not renew; return what it leaves uncovered.

        `is_full`: because of too many markets, of which we are not told how many are.
        """
        groups = self._groups.get(subscription.channel, [])
        group = next((group for group in groups if group.subscription is subscription), None)
        if group is None:
            return []
        groups.remove(group)
        self._added = {n: added for n, added in self._added.items() if added[0] is not group}
        if is_full:
            self._most_markets = max(1, len(group.markets) // 2)
        return list(group.markets)

    def done(self, request: int) -> None:
        """A market was added, or taken away."""
        self._added.pop(request, None)

    def refused(self, request: int, *, is_full: bool) -> tuple[str, str] | None:
        """Forget a market that could not be added; return (channel, market), None: no addition.

        `is_full`: because its subscription takes no more.
        """
        group, market = self._added.pop(request, (None, ""))
        if group is None:
            return None
        group.markets.pop(market, None)
        if is_full:
            self._most_markets = max(1, len(group.markets))
        return group.subscription.channel, market

    def cover_again(self, channel: str, markets: Sequence[str]) -> None:
        """Try once more what is not covered, and let go what covers nothing."""
        groups = self._groups.get(channel, [])
        for empty in [group for group in groups if not group.markets]:
            groups.remove(empty)  # a subscription without markets would be one to all of them
            self._connection.unsubscribe(empty.subscription)
        for market in markets:
            if self.wants(channel, market) and self._group_of(channel, market) is None:
                self._cover(channel, market)

    # -- details ---------------------------------------------------------------------------------

    def _cover(self, channel: str, market: str) -> None:
        groups = self._groups.setdefault(channel, [])
        for group in groups:
            if channel == LIFECYCLE:
                group.markets[market] = None
                return
            if len(group.markets) < self._most_markets:
                group.markets[market] = None
                request = self._connection.add_markets(group.subscription, (market,))
                self._added[request] = group, market
                return
        subscription = self._connection.subscribe(channel, _parameters(channel, market))
        groups.append(Group(subscription, {market: None}))

    def _uncover(self, channel: str, market: str) -> None:
        group = self._group_of(channel, market)
        if group is None:
            return
        del group.markets[market]
        if not group.markets:
            self._groups[channel].remove(group)
            self._connection.unsubscribe(group.subscription)
        elif channel != LIFECYCLE:
            self._connection.delete_markets(group.subscription, (market,))

    def _group_of(self, channel: str, market: str) -> Group | None:
        groups = self._groups.get(channel, [])
        return next((group for group in groups if market in group.markets), None)


def _parameters(channel: str, market: str) -> Parameters:
    if channel == LIFECYCLE:
        return Parameters()
    is_snapshot_wanted = True if channel in (TICKERS, BOOKS) else None
    return Parameters(market_tickers=(market,), send_initial_snapshot=is_snapshot_wanted)
