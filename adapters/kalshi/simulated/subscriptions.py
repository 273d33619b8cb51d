"""Subscriptions: their numbers and filters, and who of them wants what."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from adapters.kalshi.simulated.channels import Channel
from adapters.kalshi.simulated.stream_commands import Shard

if TYPE_CHECKING:
    from adapters.kalshi.simulated.stream_session import StreamSession


class Deferred(msgspec.Struct):
    """A snapshot that waits until `left` deltas of its market have gone."""

    left: int
    number: int  # of the command that asked for it, 0: none


class Subscription:
    """One sid of one connection. `tickers` None stands for every market."""

    def __init__(
        self,
        session: "StreamSession",
        sid: int,
        channel: Channel,
        tickers: Iterable[str] | None,
        *,
        is_sequenced: bool,
    ) -> None:
        self.session = session
        self.sid = sid
        self.channel = channel
        self.tickers: dict[str, None] | None = None if tickers is None else dict.fromkeys(tickers)
        self.is_sequenced = is_sequenced
        self.is_open = True
        self.seq = 0  # the last number used
        self.frame_count = 0  # of data, before faults
        self.uses_yes_price = False
        self.skips_ticker_ack = False
        self.names_market_ids = False
        self.shard: Shard | None = None
        self.is_own_only = False
        self.deferred: dict[str, Deferred] = {}
        self.command_window = (0, 0)  # second, and the commands in it

    def next_seq(self) -> int | None:
        """Use up a number; None where frames carry none."""
        if not self.is_sequenced:
            return None
        self.seq += 1
        return self.seq


class Subscribers:
    """Finds the subscriptions that want an event, in the order they were made.

    Those to every market come before those to this one. Returned lists are copies: what is sent
    to one may end another.
    """

    def __init__(self) -> None:
        self._to_all: dict[str, dict[Subscription, None]] = {}
        self._to_one: dict[tuple[str, str], dict[Subscription, None]] = {}

    def add(self, subscription: Subscription) -> None:
        """Index a subscription by its channel and markets."""
        name = subscription.channel.name
        if subscription.tickers is None:
            self._to_all.setdefault(name, {})[subscription] = None
        else:
            self.add_markets(subscription, subscription.tickers)

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        name = subscription.channel.name
        if subscription.tickers is None:
            del self._to_all[name][subscription]
        else:
            self.remove_markets(subscription, subscription.tickers)

    def add_markets(self, subscription: Subscription, tickers: Iterable[str]) -> None:
        """Index a subscription by more markets."""
        name = subscription.channel.name
        for ticker in tickers:
            self._to_one.setdefault((name, ticker), {})[subscription] = None

    def remove_markets(self, subscription: Subscription, tickers: Iterable[str]) -> None:
        """Take a subscription out of some of its markets."""
        name = subscription.channel.name
        for ticker in tickers:
            subscriptions = self._to_one[name, ticker]
            del subscriptions[subscription]
            if not subscriptions:
                del self._to_one[name, ticker]

    def of(self, channel: str, ticker: str = "") -> list[Subscription]:
        """Return who wants what happened in a market; no ticker: what concerns none."""
        return [*self._to_all.get(channel, ()), *self._to_one.get((channel, ticker), ())]
