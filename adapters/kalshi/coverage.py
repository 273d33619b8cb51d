"""Which markets each channel must cover, and the few subscriptions that cover them.

A second subscription of a channel is not settled between sources (section 6 of the venue's
protocol as observed), so a channel has one, whose markets are added and taken away, until it is
full. Requests are counted: a market is covered for as long as anybody wants it.
"""

from collections import Counter

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
    """Keeps the session's subscriptions at what is wanted."""

    def __init__(self, connection: KalshiConnection, *, most_markets: int) -> None:
        self._connection = connection
        self._most_markets = most_markets
        self._wanted: Counter[tuple[str, str]] = Counter()
        self._groups: dict[str, list[Group]] = {}

    def wants(self, channel: str, market: str) -> bool:
        """Whether anybody wants this."""
        return self._wanted[channel, market] > 0

    def want(self, channel: str, market: str) -> None:
        """Cover a market; counted."""
        self._wanted[channel, market] += 1
        if self._wanted[channel, market] == 1:
            self._cover(channel, market)

    def unwant(self, channel: str, market: str) -> bool:
        """Take one request back; True: it was the last."""
        if not self.wants(channel, market):
            return False
        self._wanted[channel, market] -= 1
        if self.wants(channel, market):
            return False
        self._uncover(channel, market)
        return True

    def ended(self, subscription: Subscription) -> list[str]:
        """Forget a subscription that the venue will not renew; return what it leaves uncovered."""
        groups = self._groups.get(subscription.channel, [])
        for group in groups:
            if group.subscription is subscription:
                groups.remove(group)
                return [name for name in group.markets if self.wants(subscription.channel, name)]
        return []

    def cover_again(self, channel: str, markets: list[str]) -> None:
        """Try once more what a subscription left uncovered."""
        for market in markets:
            if self.wants(channel, market) and self._group_of(channel, market) is None:
                self._cover(channel, market)

    def _cover(self, channel: str, market: str) -> None:
        groups = self._groups.setdefault(channel, [])
        if channel == LIFECYCLE:
            if not groups:
                groups.append(Group(self._connection.subscribe(channel, Parameters()), {}))
            groups[0].markets[market] = None
            return
        for group in groups:
            if len(group.markets) < self._most_markets:
                group.markets[market] = None
                self._connection.add_markets(group.subscription, (market,))
                return
        parameters = Parameters(
            market_tickers=(market,),
            send_initial_snapshot=True if channel in (TICKERS, BOOKS) else None,
        )
        subscription = self._connection.subscribe(channel, parameters)
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
