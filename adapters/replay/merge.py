"""Merges sorted streams of events into one by time, chunk by chunk.

At equal time closed candles come first, then streams in their configured order; one stream's
events keep their order. A stream is opened when time comes to its start, so that a year of
daily files holds one open file at a time.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from adapters.replay.times import LAST_NS, Times
from framework.errors import DataError
from framework.model.events import Event


class Chunk(NamedTuple):
    """Some events of one stream, in time order, with their times; never empty."""

    times: Times
    events: Sequence[Event]


class Stream(msgspec.Struct, frozen=True):
    """A sorted stream that has not been opened; `rank` decides at equal time, lowest first.

    `start_ns` is at or before its first event.
    """

    rank: tuple[int, int]
    start_ns: int
    open: Callable[[], Iterator[Chunk]]


def merge(streams: Sequence[Stream]) -> Iterator[Sequence[Event]]:
    """Yield all events in time order, in lists that are never empty.

    Raises:
        DataError: from a stream, once every earlier event has been yielded.
    """
    waiting = deque(sorted(streams, key=lambda stream: (stream.start_ns, stream.rank)))
    lanes: list[_Lane] = []
    while waiting or lanes:
        _open_due(waiting, lanes)
        for lane in lanes:
            lane.check()
        lanes[:] = [lane for lane in lanes if lane.has_events]
        if len(lanes) == 1 and not waiting:
            yield from lanes[0].drain()
            return
        horizon_ns = min((lane.horizon_ns for lane in lanes), default=LAST_NS)
        if waiting:
            horizon_ns = min(horizon_ns, waiting[0].start_ns - 1)
        events = _take(lanes, horizon_ns)
        if events:
            yield events
        else:
            _read_on(lanes, horizon_ns)


class _Lane:
    """An opened stream and what has been read ahead of it."""

    def __init__(self, stream: Stream) -> None:
        self.rank = stream.rank
        self._chunks = stream.open()
        self._times: Times = np.empty(0, dtype=np.int64)
        self._events: Sequence[Event] = ()
        self._is_done = False
        self._failure: DataError | None = None
        self.read_on()

    @property
    def has_events(self) -> bool:
        return len(self._events) > 0

    @property
    def first_ns(self) -> int:
        return int(self._times[0])

    @property
    def horizon_ns(self) -> int:
        """Up to and including this time, all of the stream's events have been read.

        Events at the last time read may go on in the next chunk, so it lies just before. After
        a fault nothing more comes, and no other stream's event may pass it.
        """
        if self._is_done:
            return LAST_NS
        return int(self._times[-1]) - (self._failure is None)

    def read_on(self) -> None:
        """Read one more chunk behind what is here; a fault waits until that has been taken."""
        if self._failure is not None:
            return
        try:
            chunk = next(self._chunks, None)
        except DataError as failure:
            self._failure = failure
            return
        if chunk is None:
            self._is_done = True
        elif self._events:
            self._times = np.concatenate((self._times, chunk.times))
            self._events = [*self._events, *chunk.events]
        else:
            self._times, self._events = chunk

    def check(self) -> None:
        """Raise the fault that comes next, if there is one."""
        if self._failure is not None and not self._events:
            raise self._failure

    def take(self, horizon_ns: int) -> Chunk:
        """Remove and return the events up to and including `horizon_ns`; may be empty."""
        count = int(np.searchsorted(self._times, horizon_ns, side="right"))
        taken = Chunk(self._times[:count], self._events[:count])
        self._times, self._events = self._times[count:], self._events[count:]
        if not self._events and not self._is_done:
            self.read_on()
        return taken

    def drain(self) -> Iterator[Sequence[Event]]:
        """Yield all that is left."""
        if self._events:
            yield self._events
        self._events = ()
        self.check()
        for chunk in self._chunks:
            yield chunk.events


def _open_due(waiting: deque[Stream], lanes: list[_Lane]) -> None:
    """Open every stream that starts at or before the earliest event that is not yet out."""
    first_ns = min((lane.first_ns for lane in lanes if lane.has_events), default=None)
    while waiting and (first_ns is None or waiting[0].start_ns <= first_ns):
        lane = _Lane(waiting.popleft())
        lane.check()
        if lane.has_events:
            lanes.append(lane)
            first_ns = lane.first_ns if first_ns is None else min(first_ns, lane.first_ns)
    lanes.sort(key=lambda lane: lane.rank)


def _take(lanes: Sequence[_Lane], horizon_ns: int) -> Sequence[Event]:
    """Remove and return every lane's events up to `horizon_ns`, merged."""
    taken = [chunk for lane in lanes if (chunk := lane.take(horizon_ns)).events]
    if len(taken) <= 1:
        return taken[0].events if taken else ()
    order = np.argsort(np.concatenate([chunk.times for chunk in taken]), kind="stable")
    events = [event for chunk in taken for event in chunk.events]
    return list(map(events.__getitem__, order.tolist()))


def _read_on(lanes: Sequence[_Lane], horizon_ns: int) -> None:
    """Read on where the stream with the nearest horizon holds all others up."""
    for lane in lanes:
        if lane.horizon_ns == horizon_ns:
            lane.read_on()
