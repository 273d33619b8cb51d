"""Bounded queues between the engine and one subscriber, one class per overflow rule.

A subscriber takes events of all its channels in the engine's order: every accepted event also
leaves a *mark*, a reference to its channel, in the subscriber's `Marks`. Merging by marks costs
one deque operation; comparing sequence numbers of the channels' heads cost 1.6 times as much.
An event that the overflow rule removed leaves a stale mark, which the subscriber skips.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from framework.bus.overflow import ChannelRule, Overflow
from framework.bus.statistics import ChannelStatistics
from framework.errors import ChannelOverflow

if TYPE_CHECKING:
    from framework.bus.routes import Taker

Item = tuple[int, Any]
"""(the engine's sequence number, the event)"""


class Marks(deque["Channel"]):
    """The order of what waits across a subscriber's channels."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 0  # twice what all channels hold

    def compact(self) -> None:
        """Drop stale marks if they outnumber what can wait (R-53)."""
        if len(self) <= self.limit:
            return
        kept: list[Channel] = []
        for channel in self:
            if channel.stale_marks:
                channel.stale_marks -= 1
            else:
                kept.append(channel)
        self.clear()
        self.extend(kept)


class Channel(ABC):
    """A bounded queue; `accept` never waits."""

    def __init__(self, name: str, capacity: int, marks: Marks) -> None:
        self.name = name
        self.capacity = capacity
        self.published = 0
        self.delivered = 0
        self.dropped = 0
        self.conflated = 0
        self.discarded = 0
        self.stale_marks = 0
        self.failure: ChannelOverflow | None = None
        self.takers: list[Taker] = []  # the ways by which events come here
        self._direct = 0  # by ways that are closed
        self._marks = marks
        marks.limit += 2 * capacity

    @property
    @abstractmethod
    def queued(self) -> int:
        """How many events wait."""

    @abstractmethod
    def accept(self, sequence: int, event: Any) -> bool:
        """Take one event in by this channel's rule; False if the channel has just ended."""

    @abstractmethod
    def take(self) -> Item:
        """Return the oldest event; the caller counts it as delivered."""

    @abstractmethod
    def discard(self) -> None:
        """Forget what waits, counted as discarded, and free its memory."""

    @property
    def direct(self) -> int:
        """How many events a driver handed to the handler without this queue in between."""
        return self._direct + sum(
            taker.route.direct_count - taker.direct_from for taker in self.takers
        )

    def join(self, taker: "Taker") -> None:
        """Count what comes by `taker` from now on."""
        self.takers.append(taker)

    def leave(self, taker: "Taker") -> None:
        """Keep what came by `taker` until now."""
        self._direct += taker.route.direct_count - taker.direct_from
        self.takers.remove(taker)

    def statistics(self) -> ChannelStatistics:
        """Return the counters as of now."""
        direct = self.direct
        return ChannelStatistics(
            channel=self.name,
            capacity=self.capacity,
            published=self.published + direct,
            delivered=self.delivered + direct,
            dropped=self.dropped,
            conflated=self.conflated,
            discarded=self.discarded,
            queued=self.queued,
        )


class QueueChannel(Channel):
    """A channel whose events wait in the order in which they came."""

    def __init__(self, name: str, capacity: int, marks: Marks) -> None:
        super().__init__(name, capacity, marks)
        self.items: deque[Item] = deque()

    @property
    def queued(self) -> int:
        return len(self.items)

    def take(self) -> Item:
        return self.items.popleft()

    def discard(self) -> None:
        self.discarded += len(self.items)
        self.items = deque()


class DropOldestChannel(QueueChannel):
    """When full, the oldest event of this channel makes room."""

    def accept(self, sequence: int, event: Any) -> bool:
        self.published += 1
        self.items.append((sequence, event))
        self._marks.append(self)
        if len(self.items) > self.capacity:
            self.items.popleft()
            self.dropped += 1
            self.stale_marks += 1
            self._marks.compact()
        return True


class ErrorChannel(QueueChannel):
    """When full, the channel ends: what was queued stays readable, then the failure is raised."""

    def accept(self, sequence: int, event: Any) -> bool:
        self.published += 1
        if self.failure is not None:
            self.discarded += 1
            return True
        if len(self.items) >= self.capacity:
            self.discarded += 1
            counts = msgspec.structs.asdict(self.statistics())
            self.failure = ChannelOverflow(
                self.name,
                self.capacity,
                counts={name: n for name, n in counts.items() if name != "channel"},
                resume_after=sequence - 1,  # all before it is delivered, queued or accounted for
            )
            return False
        self.items.append((sequence, event))
        self._marks.append(self)
        return True


class ConflateChannel(Channel):
    """Keeps the newest event per key in the place of the oldest undelivered one.

    With more keys than `capacity`, the oldest key makes room and counts as dropped.
    """

    def __init__(
        self,
        name: str,
        capacity: int,
        marks: Marks,
        *,
        merge: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        super().__init__(name, capacity, marks)
        self._merge = merge
        self._newest: dict[object, Item] = {}
        self._keys: deque[object] = deque()

    @property
    def queued(self) -> int:
        return len(self._keys)

    def accept(self, sequence: int, event: Any) -> bool:
        return self.accept_keyed(sequence, event, event.__class__)

    def accept_keyed(self, sequence: int, event: Any, key: object) -> bool:
        """Take in the newest event of `key`; raises TypeError if that cannot be a key."""
        waiting = self._newest.get(key)
        self.published += 1
        if waiting is not None:
            self.conflated += 1
            if self._merge is not None:
                event = self._merge(waiting[1], event)
            self._newest[key] = (sequence, event)
            return True
        self._newest[key] = (sequence, event)
        self._keys.append(key)
        self._marks.append(self)
        if len(self._keys) > self.capacity:
            del self._newest[self._keys.popleft()]
            self.dropped += 1
            self.stale_marks += 1
            self._marks.compact()
        return True

    def take(self) -> Item:
        return self._newest.pop(self._keys.popleft())

    def discard(self) -> None:
        self.discarded += len(self._keys)
        self._keys = deque()
        self._newest = {}


class Ring(Channel):
    """The only channel of a subscriber that asks for no sequence numbers: DROP_OLDEST, bare.

    Routes append to `events` themselves, so an event costs one C call on its way in. What was
    published is what the routes have carried; what is missing from it was dropped.
    """

    def __init__(self, name: str, capacity: int, marks: Marks) -> None:
        self.events: deque[Any] = deque(maxlen=capacity)
        self._left = 0  # what came by ways that are closed
        super().__init__(name, capacity, marks)

    @property
    def published(self) -> int:
        """How many events the routes have carried here."""
        return self._left + sum(taker.route.count - taker.count_from for taker in self.takers)

    @published.setter
    def published(self, count: int) -> None:
        self._left = count

    @property
    def dropped(self) -> int:
        """How many were evicted."""
        return self.published - self.delivered - self.discarded - len(self.events)

    @dropped.setter
    def dropped(self, count: int) -> None:
        """It follows from the other counters."""

    @property
    def queued(self) -> int:
        return len(self.events)

    def accept(self, sequence: int, event: Any) -> bool:
        self.events.append(event)
        return True

    def take(self) -> Item:
        return 0, self.events.popleft()

    def leave(self, taker: "Taker") -> None:
        self._left += taker.route.count - taker.count_from
        super().leave(taker)

    def discard(self) -> None:
        self.discarded += len(self.events)
        self.events.clear()  # in place: the drain holds on to it

    def marked(self) -> DropOldestChannel:
        """Return the channel that goes on where this one stands, with marks."""
        channel = DropOldestChannel(self.name, self.capacity, self._marks)
        self._marks.limit -= 2 * self.capacity
        channel.published, channel.delivered = self.published, self.delivered
        channel.dropped, channel._direct = self.dropped, self.direct
        channel.items.extend((0, event) for event in self.events)
        self._marks.extend(channel for _ in self.events)
        return channel


def make_channel(
    name: str,
    rule: ChannelRule,
    marks: Marks,
    *,
    merge: Callable[[Any, Any], Any] | None = None,
) -> Channel:
    """Return the channel that `rule` asks for."""
    if rule.overflow is Overflow.CONFLATE:
        return ConflateChannel(name, rule.capacity, marks, merge=merge)
    kind = DropOldestChannel if rule.overflow is Overflow.DROP_OLDEST else ErrorChannel
    return kind(name, rule.capacity, marks)
