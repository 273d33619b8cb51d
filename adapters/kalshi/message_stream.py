"""What a subscribe call returns: an async iterator with a queue of its own."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from adapters.kalshi.actions import BookInvalid
from adapters.kalshi.codec import Frame
from adapters.kalshi.ladders import Ladders
from adapters.kalshi.queues import MessageQueue
from adapters.kalshi.readers import Reader
from framework.errors import ChannelOverflow

T_co = TypeVar("T_co", covariant=True)


class Source(Protocol):
    """Where the messages of a stream come from, for as long as it is open."""

    @property
    def books(self) -> Mapping[str, Ladders]:
        """The books that are kept, by market."""

    async def leave(self, stream: "MessageStream[Any]") -> None: ...
    async def add_markets(self, stream: "MessageStream[Any]", markets: tuple[str, ...]) -> None: ...
    async def delete_markets(
        self, stream: "MessageStream[Any]", markets: tuple[str, ...]
    ) -> None: ...
    def gauges(self) -> dict[str, int]:
        """Return the statistics of the subscription."""


class MessageStream(Generic[T_co]):
    """One consumer's messages, in order. It outlives reconnects; closing it unsubscribes.

    Iterating raises `ChannelOverflow` where an ERROR queue overflowed, and `SubscriptionRefused`
    where the venue ended the subscription for good, both after what was queued; it just finishes
    when the stream or the client was closed. `async with` closes it.

    Attributes:
        markets: what it covers; empty: everything.
    """

    def __init__(
        self, channel: str, markets: Iterable[str], queue: MessageQueue[Any], reader: Reader[T_co]
    ) -> None:
        self.channel = channel
        self.markets = frozenset(markets)
        self.source: Source | None = None  # None: not subscribed yet, or over
        self.was_read = False
        self._queue = queue
        self._reader = reader
        self._last_gauges: dict[str, int] = {}

    # -- for its consumer ------------------------------------------------------------------------

    def __aiter__(self) -> "MessageStream[T_co]":
        return self

    async def __anext__(self) -> T_co:
        self.was_read = True
        while True:
            message = self._reader.read(await self._queue.get())
            if message is not None:
                return message

    async def add_markets(self, *markets: str) -> None:
        """Cover more markets.

        Raises:
            SubscriptionRefused: with the venue's code, or 0: no answer in time, or it is over.
            ValueError: the stream covers everything.
        """
        if self.source is not None:
            await self.source.add_markets(self, markets)

    async def delete_markets(self, *markets: str) -> None:
        """Cover fewer markets.

        Raises:
            SubscriptionRefused: as `add_markets`.
            ValueError: none would be left: close the stream instead.
        """
        if self.source is not None:
            await self.source.delete_markets(self, markets)

    async def aclose(self) -> None:
        """Unsubscribe, unless others share the subscription; what waits is discarded."""
        source = self.source
        self.end(None)
        self._queue.discard()
        if source is not None:
            await source.leave(self)

    async def __aenter__(self) -> "MessageStream[T_co]":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def is_open(self) -> bool:
        """Whether anything may still come."""
        return self.source is not None and self._queue.failure is None

    @property
    def books(self) -> Mapping[str, Ladders]:
        """State, reason and age of the books it is about, by market; for reading only."""
        kept = self.source.books if self.source is not None else {}
        return {market: ladders for market, ladders in kept.items() if market in self.markets}

    def qsize(self) -> int:
        """Return how many messages wait."""
        return self._queue.qsize()

    def statistics(self) -> dict[str, int]:
        """Return counters of its queue, and of the subscription, which others may share (B14)."""
        if self.source is not None:
            self._last_gauges = self.source.gauges()
        return {**self._last_gauges, **self._queue.statistics()}

    # -- for its source --------------------------------------------------------------------------

    @property
    def failure(self) -> ChannelOverflow | None:
        """Why it takes nothing any more, if it overflowed."""
        return self._queue.failure

    def covers(self, market: str) -> bool:
        """Say whether it is about a market; "" stands for none."""
        return not self.markets or not market or market in self.markets

    def take(self, frame: Frame, ladders: Ladders | None, now_ns: int) -> bool:
        """Queue a frame; False: that was too much."""
        kept = self._reader.keep(frame, ladders, now_ns)
        return kept is None or self._queue.push(kept)

    def lose(self, invalid: BookInvalid) -> bool:
        """Hear that a book cannot be trusted; False: that was too much."""
        kept = self._reader.lose(invalid)
        return kept is None or self._queue.push(kept)

    def end(self, error: Exception | None) -> None:
        """Finish after what waits, by an error if there is one."""
        if self.source is not None:
            self._last_gauges = self.source.gauges()
            self.source = None
        self._queue.end(error)
