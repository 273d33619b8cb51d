"""The subscriptions of a client, each shared by the streams that ask for the same (B24).

A channel gets one subscription for all streams whose parameters differ in markets alone: markets
are added to it and taken away as streams come and go, and the last one to leave unsubscribes. So
the question of what a second subscribe to a channel does (section 6 of the protocol as observed)
does not come up.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from adapters.kalshi.awaiting import Awaiting
from adapters.kalshi.connection import KalshiConnection
from adapters.kalshi.ladders import Ladders
from adapters.kalshi.message_stream import MessageStream
from adapters.kalshi.order_books import snapshot_frame
from adapters.kalshi.subscription import BOOKS, Parameters, Subscription
from framework.errors import SubscriptionRefused
from framework.interfaces import Clock

Stream = MessageStream[Any]


class Upstream:
    """One subscription at the venue and the streams that it feeds: a `Source`."""

    def __init__(self, subscription: Subscription, upstreams: "Upstreams") -> None:
        self.subscription = subscription
        self.streams: tuple[Stream, ...] = ()
        self.wanted: Counter[str] = Counter()  # streams per market
        self.answered = asyncio.Event()  # acknowledged for the first time, or refused
        self.error: SubscriptionRefused | None = None
        self.changing = asyncio.Lock()  # additions wait for each other's answer
        self.market_ids: dict[str, str] = {}
        self._upstreams = upstreams

    @property
    def books(self) -> Mapping[str, Ladders]:
        """The books that are kept, by market."""
        return self.subscription.books

    async def leave(self, stream: Stream) -> None:
        """Feed a stream no more."""
        await self._upstreams.leave(self, stream)

    async def add_markets(self, stream: Stream, markets: tuple[str, ...]) -> None:
        """Cover more markets for a stream."""
        await self._upstreams.add_markets(self, stream, markets)

    async def delete_markets(self, stream: Stream, markets: tuple[str, ...]) -> None:
        """Cover fewer markets for a stream."""
        await self._upstreams.delete_markets(self, stream, markets)

    def gauges(self) -> dict[str, int]:
        """Return the statistics of the subscription."""
        return {
            **self.subscription.gauges(self._upstreams.clock.now_ns),
            "shared_by": len(self.streams),
        }

    def admit(self, stream: Stream) -> None:
        """Feed a stream from now on."""
        self.streams = (*self.streams, stream)
        stream.source = self
        self.wanted.update(stream.markets)

    def dismiss(self, stream: Stream) -> tuple[str, ...]:
        """Feed a stream no more; return the markets that nobody else wants."""
        if stream not in self.streams:
            return ()
        self.streams = tuple(other for other in self.streams if other is not stream)
        return self.release(stream.markets)

    def release(self, markets: Iterable[str]) -> tuple[str, ...]:
        """Take one wish for each market back; return those that nobody else wants."""
        released = sorted(market for market in markets if self.wanted[market] == 1)
        self.wanted.subtract(markets)
        self.wanted += Counter()  # what is at zero goes
        return tuple(released)

    def tell_live_books(self, stream: Stream, markets: Iterable[str], now_ns: int) -> None:
        """Give a stream that comes later the snapshots that it did not hear."""
        for market in sorted(markets):
            ladders = self.subscription.books.get(market)
            if ladders is None:
                continue
            frame = snapshot_frame(ladders, self.market_ids.get(market, ""))
            if frame is not None:
                stream.take(frame, ladders, now_ns)


class Upstreams:
    """Opens, shares and closes subscriptions."""

    def __init__(
        self,
        connection: KalshiConnection,
        awaiting: Awaiting,
        clock: Clock,
        *,
        most_markets: int,
        is_heard: Callable[[str], bool],
    ) -> None:
        """Begin with none; `is_heard` says whether a channel has callbacks."""
        self.clock = clock
        self._connection = connection
        self._awaiting = awaiting
        self._most_markets = most_markets
        self._is_heard = is_heard
        self._by_id: dict[int, Upstream] = {}  # by the number of the subscription
        self._closed = ""

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def all(self) -> tuple[Upstream, ...]:
        """Every subscription, oldest first."""
        return tuple(self._by_id.values())

    def of(self, subscription: Subscription) -> Upstream | None:
        """Return the upstream of a subscription, None if it is nobody's any more."""
        return self._by_id.get(subscription.id)

    # -- coming ----------------------------------------------------------------------------------

    async def join(self, stream: Stream, parameters: Parameters) -> None:
        """Feed a stream, once the venue has acknowledged what it asks for (K7).

        Raises:
            SubscriptionRefused: with the venue's code, or 0: no answer in time, or closed.
        """
        if self._closed:
            raise SubscriptionRefused(stream.channel, 0, self._closed)
        upstream = self._shareable(stream.channel, parameters)
        if upstream is None:
            subscription = self._connection.subscribe(stream.channel, parameters)
            upstream = self._by_id[subscription.id] = Upstream(subscription, self)
        upstream.admit(stream)
        upstream.tell_live_books(stream, stream.markets, self.clock.now_ns)
        try:
            await self._cover(upstream, stream.markets)
        except BaseException:
            stream.end(None)
            self._withdraw(upstream, stream)
            raise

    async def add_markets(
        self, upstream: Upstream, stream: Stream, markets: tuple[str, ...]
    ) -> None:
        """Cover more markets for a stream. Raises as `MessageStream.add_markets`."""
        if not stream.markets:
            raise ValueError(f"a stream of {stream.channel} without a filter covers everything")
        new = frozenset(markets) - stream.markets
        stream.markets |= new
        upstream.wanted.update(new)
        upstream.tell_live_books(stream, new, self.clock.now_ns)
        try:
            await self._cover(upstream, new)
        except BaseException:
            stream.markets -= new
            self._uncover(upstream, upstream.release(new))
            raise

    def _shareable(self, channel: str, parameters: Parameters) -> Upstream | None:
        """Return an upstream that differs from what is wanted in markets alone."""
        if parameters.send_initial_snapshot and channel != BOOKS:
            return None  # the venue would not send another one to who comes later
        wanted = _without_markets(parameters)
        for upstream in self._by_id.values():
            subscription = upstream.subscription
            if (
                subscription.channel == channel
                and _without_markets(subscription.parameters) == wanted
                and bool(subscription.markets) is bool(parameters.markets)
                and len({*subscription.markets, *parameters.markets}) <= self._most_markets
            ):
                return upstream
        return None

    async def _cover(self, upstream: Upstream, markets: Iterable[str]) -> None:
        """Wait until the venue covers what is wanted; one at a time, as any may be refused."""
        async with upstream.changing:
            await upstream.answered.wait()
            if upstream.error is not None:
                raise upstream.error
            covered = upstream.subscription.markets
            missing = tuple(sorted(market for market in markets if market not in covered))
            if missing:
                await self._awaiting.add_markets(upstream.subscription, missing)

    # -- going -----------------------------------------------------------------------------------

    async def leave(self, upstream: Upstream, stream: Stream) -> None:
        """Feed a stream no more, and return when the venue knows."""
        released = upstream.dismiss(stream)
        with suppress(SubscriptionRefused):  # then it is over anyway
            if not upstream.streams:
                self._by_id.pop(upstream.subscription.id, None)
                await self._awaiting.unsubscribe(upstream.subscription)
            elif released:
                await self._awaiting.delete_markets(upstream.subscription, released)

    async def delete_markets(
        self, upstream: Upstream, stream: Stream, markets: tuple[str, ...]
    ) -> None:
        """Cover fewer markets for a stream. Raises as `MessageStream.delete_markets`."""
        gone = stream.markets & frozenset(markets)
        if gone == stream.markets:
            raise ValueError(f"a stream of {stream.channel} would be left without a market")
        stream.markets -= gone
        released = upstream.release(gone)
        if released:
            await self._awaiting.delete_markets(upstream.subscription, released)

    def overflowed(self, upstream: Upstream, stream: Stream) -> None:
        """Feed a stream no more; callbacks go on hearing its channel (K21, B10)."""
        released = upstream.dismiss(stream)
        if upstream.streams or not self._is_heard(upstream.subscription.channel):
            loop = asyncio.get_running_loop()  # not from inside an action of the session
            loop.call_soon(self._let_go, upstream, released)

    def ended(self, subscription: Subscription, error: SubscriptionRefused) -> tuple[Stream, ...]:
        """The venue ended a subscription; return the streams that it fed."""
        upstream = self._by_id.pop(subscription.id, None)
        if upstream is None:
            return ()
        upstream.error = error
        upstream.answered.set()
        return upstream.streams

    def close(self, reason: str) -> None:
        """End every stream normally (K2); nothing can be subscribed any more."""
        self._closed = self._closed or reason
        for upstream in self._by_id.values():
            channel = upstream.subscription.channel
            upstream.error = upstream.error or SubscriptionRefused(channel, 0, reason)
            upstream.answered.set()
            for stream in upstream.streams:
                stream.end(None)
        self._by_id = {}

    def _withdraw(self, upstream: Upstream, stream: Stream) -> None:
        """Take back what was asked for and not acknowledged."""
        self._let_go(upstream, upstream.dismiss(stream))

    def _let_go(self, upstream: Upstream, released: tuple[str, ...]) -> None:
        if upstream.streams:
            self._uncover(upstream, released)
        elif self._by_id.pop(upstream.subscription.id, None) is not None:
            self._connection.unsubscribe(upstream.subscription)

    def _uncover(self, upstream: Upstream, released: tuple[str, ...]) -> None:
        """Stop covering markets, without waiting for the answer."""
        gone = tuple(market for market in released if market in upstream.subscription.markets)
        if gone and upstream.subscription.id in self._by_id:
            self._connection.delete_markets(upstream.subscription, gone)


def _without_markets(parameters: Parameters) -> Parameters:
    return msgspec.structs.replace(parameters, market_ticker=None, market_tickers=None)
