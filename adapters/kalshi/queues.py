"""A bounded queue between the one reader of a connection and one consumer (K10, K15).

The rules and counters are those of the bus, so that for every queue and at every moment
`delivered + dropped + conflated + discarded + queued = published` (R-50, R-51).
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from framework.bus.channel import Channel, ConflateChannel, DropOldestChannel, ErrorChannel, Marks
from framework.bus.overflow import Overflow
from framework.errors import ChannelOverflow

T = TypeVar("T")


class MessageQueue(Generic[T]):
    """Takes items without waiting; what is read is in order.

    An ERROR queue that is full ends with the item that found it so: what waits stays readable,
    then its reader gets `failure` once (B10), unless that is for its writer alone. A CONFLATE queue
    keeps the newest item per `key`.

    Raises:
        ValueError: `maxsize` is below 1.
    """

    def __init__(
        self,
        name: str,
        maxsize: int,
        overflow: Overflow,
        *,
        key: Callable[[T], object],
        raises_to_reader: bool = True,
    ) -> None:
        if maxsize < 1:
            raise ValueError(f"a queue holds at least one item, not {maxsize}")
        self.overflow = overflow
        self._key = key
        self._raises_to_reader = raises_to_reader
        self._marks = Marks()
        self._conflating: ConflateChannel | None = None
        self._channel: Channel
        if overflow is Overflow.CONFLATE:
            self._channel = self._conflating = ConflateChannel(name, maxsize, self._marks)
        elif overflow is Overflow.ERROR:
            self._channel = ErrorChannel(name, maxsize, self._marks)
        else:
            self._channel = DropOldestChannel(name, maxsize, self._marks)
        self._arrival = asyncio.Event()
        self._is_ended = False
        self._error: Exception | None = None

    # -- writing ---------------------------------------------------------------------------------

    @property
    def failure(self) -> ChannelOverflow | None:
        """Why an ERROR queue takes nothing any more."""
        return self._channel.failure

    def push(self, item: T) -> bool:
        """Take an item, unless the end was put; False: it has just overflowed."""
        if self._is_ended:
            return True
        sequence = self._channel.published + 1
        if self._conflating is not None:
            is_taken = self._conflating.accept_keyed(sequence, item, self._key(item))
        else:
            is_taken = self._channel.accept(sequence, item)
        if not is_taken and self._raises_to_reader:
            self._error = self._channel.failure
        self._arrival.set()
        return is_taken

    async def put(self, item: T) -> None:
        """Take an item; one that comes after the end is ignored.

        Raises:
            ChannelOverflow: an ERROR queue is full, now or before (K14).
        """
        self.push(item)
        if self.failure is not None:
            raise self.failure

    async def put_sentinel(self) -> None:
        """Mark the end: what waits is still delivered."""
        self.end(None)

    def end(self, error: Exception | None) -> None:
        """Mark the end, once; its reader gets `error`, if there is one, after what waits."""
        if not self._is_ended:
            self._is_ended = True
            self._error = self._error or error
            self._arrival.set()

    def discard(self) -> None:
        """End, and forget what waits: nobody reads it any more."""
        self._is_ended = True
        self._error = None
        self._channel.discard()
        self._marks.clear()
        self._arrival.set()

    # -- reading ---------------------------------------------------------------------------------

    def qsize(self) -> int:
        """Return how many items wait; the end is none."""
        return self._channel.queued

    async def get(self) -> T:
        """Return the oldest item, waiting for one.

        Raises:
            ChannelOverflow: it overflowed; once, after what waited.
            StopAsyncIteration: the end was put, and everything before it was read.
        """
        while not self._channel.queued:
            if self._error is not None:
                error, self._error = self._error, None
                self._is_ended = True
                raise error
            if self._is_ended:
                raise StopAsyncIteration
            self._arrival.clear()
            await self._arrival.wait()
        self._marks.popleft()
        self._channel.delivered += 1
        return self._channel.take()[1]  # type: ignore[no-any-return] # a channel holds anything

    def __aiter__(self) -> "MessageQueue[T]":
        return self

    async def __anext__(self) -> T:
        return await self.get()

    def statistics(self) -> dict[str, int]:
        """Return its counters as of now."""
        counts = msgspec.structs.asdict(self._channel.statistics())
        del counts["channel"]
        return counts
