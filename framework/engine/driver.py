"""Pulls recorded events in time order through the engine: the inner loop of every backtest.

At one instant: market data in the order of the source, the reports it causes, then timers.
This module is on the hot path. It does what `Bus.publish` followed by
`Bus.deliver_all` does, but calls the plain handlers of idle subscribers without a queue in
between where nobody could tell the difference: every taker is idle with nothing queued, and nobody
hears what followed from the event's step. That is worth a factor of three on quotes
(benchmarks/README.md).
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, Protocol

from framework.bus.bus import Bus, Route
from framework.clock.clock import LoopClock, VirtualClock
from framework.clock.timers import NEVER_NS
from framework.engine.outputs import Outputs
from framework.errors import DataError
from framework.model.events import Event
from framework.model.market_data import BookDelta, BookSnapshot, Candle, Quote, Trade

BY_INSTRUMENT = frozenset({Quote, Trade, Candle, BookDelta, BookSnapshot})


class VirtualLoop(Protocol):
    """The part of a simulated loop that the driver moves."""

    now_ns: int
    ready: deque[Any]

    def advance_to(self, time_ns: int) -> None:
        """Move virtual time."""


class Driver:
    """Feeds events and fires the market timers between them.

    `ended` is called once, when the data has ended. `statistics` of the run: `event_count`,
    `first_ns` and `last_ns`.
    """

    def __init__(
        self,
        events: Iterator[Event],
        *,
        bus: Bus,
        outputs: Outputs,
        clock: VirtualClock | LoopClock,
        loop: VirtualLoop | None,
        ended: Callable[[], None],
    ) -> None:
        self.event_count = 0
        self.first_ns: int | None = None
        self.last_ns = 0
        self.is_stopped = False
        self._events: Iterator[Any] = events
        self._held: Any = None
        self._bus = bus
        self._outputs = outputs
        self._clock = clock
        self._loop = loop
        self._ended = ended

    def advance(self, until_ns: int | None) -> bool:
        """Feed events before `until_ns` until a callback is ready; False once data has ended."""
        before_ns = NEVER_NS if until_ns is None else until_ns
        if self.first_ns is None:
            self.first_ns = self.peek_ns()
        ready = self._loop.ready if self._loop is not None else ()
        while not self.is_stopped:
            event = self._feed(before_ns - 1, None)
            if event is None:
                if not ready:
                    break
            else:
                self._held = event
                if not self._fire(min(event.received_ns, before_ns) - 1):
                    return True  # it lies at or behind the loop's next timer
            if ready:
                return True
        self._end()
        return False

    def feed(self, count: int) -> bool:
        """Feed up to `count` events on a real loop; False once data has ended."""
        if self.first_ns is None:
            self.first_ns = self.peek_ns()
        while not self.is_stopped:
            before = self.event_count
            event = self._feed(NEVER_NS, count)
            count -= self.event_count - before
            if event is not None:
                self._held = event
                self._fire(event.received_ns - 1)
            elif count > 0:
                break
            if count <= 0:
                return True
        self._end()
        return False

    def step(self) -> bool:
        """Take the next market timer or event, one of them; False once data has ended.

        The timers of the last instant come after its data. For runs that are driven from outside,
        which may answer each: who calls it ends the run with `finish`.
        """
        next_ns = self.peek_ns()
        if self.first_ns is None:
            self.first_ns = next_ns
        if self.is_stopped:
            return False
        timers = self._clock.timers
        if next_ns is None:
            if timers.next_ns > self._clock.now_ns:
                return False
        elif timers.next_ns >= next_ns:
            self._feed(NEVER_NS, 1)
            return True
        self._move(max(timers.next_ns, self._clock.now_ns))
        timer = timers.pop(self._clock.now_ns)
        if timer is not None:
            timer.callback()
            self._settle()
        return True

    def finish(self) -> None:
        """Fire the timers of the last instant and tell that the data has ended."""
        self._end()

    def _end(self) -> None:
        if not self.is_stopped:
            self._fire(self._clock.now_ns)  # timers of the last instant come after its data
        self._ended()

    def peek_ns(self) -> int | None:
        """Return when the next event is due, or None at the end of the data."""
        if self._held is None:
            self._held = next(self._events, None)
        return None if self._held is None else self._held.received_ns

    def _fire(self, until_ns: int) -> bool:
        """Fire the market timers due up to `until_ns`; False if none is."""
        timers = self._clock.timers
        if timers.next_ns > until_ns:
            return False
        due_ns = timers.next_ns
        self._move(max(due_ns, self._clock.now_ns))
        while (timer := timers.pop(self._clock.now_ns)) is not None:
            timer.callback()
            self._settle()
        return True

    def _move(self, time_ns: int) -> None:
        if self._loop is not None:
            self._loop.advance_to(time_ns)
        else:
            self._clock.advance_to(time_ns)

    def _settle(self) -> None:
        """Deliver and send until nothing is left to do."""
        bus, outputs = self._bus, self._outputs
        while True:
            bus.deliver_all()
            if not outputs.pending:
                return
            before = len(outputs.pending)
            outputs.release()
            if len(outputs.pending) == before:
                return

    def _feed(self, stop_ns: int, count: int | None) -> Any:
        # Asked each time: a recorder is attached after the driver has been made.
        feed = self._feed_queues if self._bus.is_recorded else self._feed_handlers
        return feed(stop_ns, count)

    def _feed_queues(self, stop_ns: int, count: int | None) -> Any:
        """Do the same through `publish` and the queues, for a bus that is recorded."""
        bus, timers = self._bus, self._clock.timers
        ready = self._loop.ready if self._loop is not None else ()
        while count is None or count > 0:
            time_ns = self.peek_ns()
            event, self._held = self._held, None
            if time_ns is None:
                break
            if time_ns > stop_ns or time_ns > timers.next_ns:
                return event
            if time_ns < self._clock.now_ns:
                raise DataError(f"not in time order: {event} after {self._clock.now_ns}")
            self._move(time_ns)
            self.event_count += 1
            self.last_ns = time_ns
            count = None if count is None else count - 1
            bus.publish(event)
            self._settle()
            if ready:
                break
        return None

    def _feed_handlers(  # noqa: C901 - a call per event is dear
        self, stop_ns: int, count: int | None
    ) -> Any:
        """Feed events up to and including `stop_ns`; return the first that lies behind it.

        Returns None when data has ended, `count` is used up, or a callback is ready.
        """
        bus, outputs, timers = self._bus, self._outputs, self._clock.timers
        ready = self._loop.ready if self._loop is not None else ()
        now: Any = self._loop if self._loop is not None else self._clock  # where time is kept
        now_ns, pending = now.now_ns, outputs.pending
        held, self._held = self._held, None
        # Not `self._events = chain(...)`: chains of chains made a run 50 times slower.
        events: Iterator[Any] = self._events if held is None else chain((held,), self._events)
        if count is not None:
            events = islice(events, count)
        kind: Any = None  # of the last event: most have the same route as the one before
        name = interval = ""
        route = Route(())
        fed = 0
        try:
            for event in events:
                time_ns = event.received_ns
                if time_ns > stop_ns or time_ns > timers.next_ns:
                    return event
                if time_ns != now_ns:
                    if time_ns < now_ns:
                        raise DataError(f"not in time order: {event} after {now_ns}")
                    now_ns = now.now_ns = time_ns
                fed += 1
                if (
                    event.__class__ is not kind
                    or event.instrument is not name
                    or (kind is Candle and event.interval is not interval)
                ):
                    route = bus.route_of(event)
                    kind = event.__class__ if event.__class__ in BY_INSTRUMENT else None
                    name = event.instrument if kind is not None else ""
                    interval = event.interval if kind is Candle else ""
                direct = route.direct
                if route.step is None and direct is not None:
                    bus.sequence = number = sequence = bus.sequence + 1
                    route.newest = event
                else:
                    number = 0
                    if direct is None:
                        bus.publish(event)
                    else:
                        number = bus.step_alone(event, route)
                    direct = route.direct
                    if not number or direct is None:
                        self._settle()
                        if ready:
                            break
                        continue
                    sequence = bus.sequence
                route.direct_count += 1
                for handler, subscriber in direct:
                    subscriber.sequence = number
                    try:
                        handler(event)
                    except Exception as error:  # isolation, as in Subscriber.handle
                        subscriber.event = event
                        subscriber.failed(event.__class__, error)
                if pending or bus.sequence != sequence:
                    self._settle()
                if ready:
                    break
        finally:
            self.event_count += fed
            self.last_ns = now_ns
        return None
