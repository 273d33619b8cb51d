"""One consumer of events: its bounded channels, its handlers, and the order between them."""

from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import iscoroutinefunction
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from framework.bus.accepting import acceptor, candle_acceptor, conflating_acceptor, merge_timers
from framework.bus.channel import (
    Channel,
    ConflateChannel,
    Marks,
    Ring,
    make_channel,
)
from framework.bus.eager import EagerTask
from framework.bus.overflow import (
    BATCH,
    FORMING,
    ChannelRule,
    EventRule,
    Overflow,
    check_capacity,
)
from framework.bus.routes import Accept, Handler, Interest, Taker
from framework.bus.statistics import SubscriberStatistics
from framework.errors import ChannelOverflow
from framework.model.market_data import Candle

if TYPE_CHECKING:
    from framework.bus.bus import Bus

__all__ = ["BATCH", "Handler", "Interest", "Subscriber", "SubscriberStatistics"]


class Subscriber:
    """Takes events in the engine's order across its channels; handlers never overlap.

    `is_busy` while it can take nothing: an async handler waits, its task does not run, or it is
    on `hold`. Without `is_numbered`, `sequence` need not be kept, and a single DROP_OLDEST channel
    without a filter costs less.
    """

    def __init__(
        self,
        bus: "Bus",
        name: str,
        handlers: Mapping[type, Handler],
        *,
        rules: Mapping[str, ChannelRule],
        on_error: Callable[[str, BaseException], None],
        on_overflow: Callable[[ChannelOverflow], None],
        after: Callable[[], None],
        is_numbered: bool = True,
    ) -> None:
        self.bus = bus
        self.name = name
        self.marks = Marks()
        self.channels: dict[str, Channel] = {}
        self.interests: list[Interest] = []
        self.takers: list[Taker] = []
        self.sequence = 0  # of the event being handled
        self.event: Any = None  # the event being handled
        self.is_resumed = False  # its handler has waited, and goes on
        self.is_ended = False
        self.error_count = 0
        self.batch_count = 0
        self.handler_ns = 0
        self.turn_limit = BATCH  # events per turn of the loop: few once it has been slow
        self.lag_ns = 0
        self.current_handler = ""
        self.on_error = on_error
        self.on_overflow = on_overflow
        self.wake_reader: Callable[[], None] | None = None  # of an iterator
        self._rules = rules
        self._handlers = dict(handlers)
        self._wrapped: set[type] = set()  # whose handlers may return coroutines unannounced
        self.after = after
        self._is_numbered = is_numbered
        self._ring: Ring | None = None
        self._queue: deque[Any] = self.marks  # empty when nothing waits
        self._failure: ChannelOverflow | None = None
        self._first: deque[Any] = deque()  # handed out before anything queued: warm-up
        self._is_held = False
        self._is_paused = False
        self.is_async = any(map(_is_async, handlers.values()))
        self.is_busy = self.is_async  # until its task runs
        self.is_lane_open = False  # a driver may call its handlers without a queue in between
        self.task = EagerTask(before=self._resume, after=self._step_ended, done=self._finished)

    # -- taking in ---------------------------------------------------------------------------

    def connect(self, taker: Taker) -> None:
        """Give a new taker its channel and the call by which its route hands events over."""
        rule = taker.route.topic.rule
        own_rule = rule.own_rule or self._rules[rule.channel]
        ring = self._ring
        is_plain = taker.where is None and taker.route.topic.event_type is not Candle
        is_first = not self.channels and not self._is_numbered
        if is_plain and is_first and own_rule.overflow is Overflow.DROP_OLDEST:
            check_capacity(rule.channel, own_rule)
            ring = self._ring = Ring(rule.channel, own_rule.capacity, self.marks)
            self.channels[rule.channel] = ring
            self._queue = ring.events
        if ring is not None and is_plain and rule.channel == ring.name:
            taker.channel, taker.accept = ring, ring.events.append
        else:
            if ring is not None:
                self._leave_ring(ring)
            taker.channel, taker.accept = self._acceptor(taker, rule)
        taker.channel.join(taker)
        self.takers.append(taker)

    def _leave_ring(self, ring: Ring) -> None:
        """Go on with marks: there is a second channel, or a filter."""
        channel = self.channels[ring.name] = ring.marked()
        self._ring, self._queue = None, self.marks
        for taker in self.takers:
            taker.direct_from = taker.route.direct_count
            taker.channel, taker.accept = self._acceptor(taker, taker.route.topic.rule)
            channel.join(taker)
            taker.route.reconnect()

    def _acceptor(self, taker: Taker, rule: EventRule) -> tuple[Channel, Accept]:
        channel = self._channel(rule.channel, rule)
        if taker.route.topic.event_type is Candle:
            forming = self._channel(FORMING, rule)
            return channel, candle_acceptor(self, channel, forming, taker.where)
        if isinstance(channel, ConflateChannel):
            return channel, conflating_acceptor(self, channel, rule.key or type, taker.where)
        return channel, acceptor(self, channel, taker.where)

    def _channel(self, name: str, rule: EventRule) -> Channel:
        channel = self.channels.get(name)
        if channel is None:
            own_rule = rule.own_rule or self._rules[name]
            check_capacity(name, own_rule)
            channel = self.channels[name] = make_channel(
                name, own_rule, self.marks, merge=merge_timers if name == "timers" else None
            )
        return channel

    def end(self, channel: Channel) -> None:
        """Take nothing more in: `channel` has overflowed."""
        self._failure = channel.failure
        self.bus.overflowed(self, channel)

    def close(self) -> None:
        """Stop receiving and forget what waits; its task ends with the handler that runs."""
        if self.is_ended:
            return
        self.is_ended = True
        self.bus.remove(self)
        self.marks.clear()
        self._first.clear()
        self._failure = None
        for channel in self.channels.values():
            channel.stale_marks = 0
            channel.discard()
        self.task.close()

    # -- handing out -------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Something is queued (or has failed) and the subscriber is free to take it."""
        return not self.is_busy and (
            bool(self._queue) or self._failure is not None or bool(self._first)
        )

    def hold(self) -> None:
        """Let what comes wait in the queues until `release`."""
        self._is_held = True
        self._look_again()

    def release(self, first: Iterable[Any] = ()) -> None:
        """Go on, with `first` before anything that is queued."""
        self._first.extend(first)
        self._is_held = False
        self._look_again()

    def _look_again(self) -> None:
        """Find out whether the subscriber is free, and have it served if it is."""
        self.is_busy = (
            self._is_held or self._is_paused or (self.is_async and not self.task.is_running)
        )
        self.refresh_lane()
        if not self.is_busy:
            self.bus.wake()

    def refresh_lane(self) -> None:
        """Open the driver's direct lane while this subscriber is free with nothing queued."""
        is_open = (
            self.bus.is_pumped
            and self.wake_reader is None
            and not self.is_busy
            and not self.is_waiting
        )
        if is_open != self.is_lane_open:
            self.is_lane_open = is_open
            if is_open:
                self.event = None  # the lane does not note each
            for taker in self.takers:
                taker.route.refresh_direct()

    def wrap(self, event_type: type, wrapper: Callable[[Handler], Handler]) -> None:
        """Put `wrapper` around the handler of an event type."""
        handler = self._handlers.get(event_type)
        if handler is not None:
            # The call inside is made from this module: there the watchdog knows a handler by.
            self._handlers[event_type] = wrapper(_called_from_here(handler))
            self._wrapped.add(event_type)
            for taker in self.takers:
                taker.route.refresh_direct()

    def silence(self) -> None:
        """Call no handler any more; what comes is counted as delivered."""
        self._handlers.clear()
        for taker in self.takers:
            taker.route.refresh_direct()

    def take(self) -> Any:
        """Return the next event in order, or None; raises what ended the subscription."""
        ring = self._ring
        if ring is not None and ring.events:
            ring.delivered += 1
            return ring.events.popleft()
        if self._first:
            return self._first.popleft()
        while self.marks:
            channel = self.marks.popleft()
            if channel.stale_marks:
                channel.stale_marks -= 1
                continue
            self.sequence, event = channel.take()
            channel.delivered += 1
            return event
        if self._failure is not None:
            failure = self._failure
            self.close()
            raise failure
        return None

    def drain(self, limit: int = BATCH) -> None:
        """Hand out up to `limit` events; stops early when an async handler starts to wait."""
        self.batch_count += 1
        try:
            if self._ring is not None and not self.is_async:
                self._drain_ring(self._ring, limit)
                return
            while limit > 0 and not self.is_busy:
                event = self.take()
                if event is None:
                    break
                limit -= 1
                self.handle(event)
        except ChannelOverflow as failure:
            self.on_overflow(failure)
        if not self.is_lane_open:
            self.refresh_lane()

    def _drain_ring(self, ring: Ring, limit: int) -> None:
        """Do what `take` and `handle` do, in one loop."""
        bus, events = self.bus, ring.events
        take, event, handler = events.popleft, None, self._handler_of_all()
        end = ring.delivered + min(limit, len(events))
        bus.running = self
        bus.begin_ring(ring)
        try:
            while ring.delivered < end and events:
                try:
                    numbers = range(ring.delivered + 1, end + 1)
                    for ring.delivered in numbers:  # exact at any time, and one store per event
                        event = take()
                        handler(event)
                except (Exception, CancelledError) as error:
                    if self.is_ended and _is_empty(error):
                        ring.delivered -= 1
                    else:
                        self.event = event
                        self.failed(event.__class__, error)
        finally:
            bus.end_ring(ring)
            bus.running = None
        self.event = event
        self.after()

    def _handler_of_all(self) -> Handler:
        """Return a call that handles whatever comes: the only handler, where there is one."""
        handlers = self._handlers
        if len(handlers) == 1:
            return next(iter(handlers.values()))

        def call(event: Any) -> None:
            handler = handlers.get(event.__class__)
            if handler is not None:
                handler(event)

        return call

    def handle(self, event: Any) -> None:
        """Call the handler of `event`; `is_busy` then says whether it is `async` and waits."""
        handler = self._handlers.get(event.__class__)
        if handler is None:
            return
        self.event = event
        self.is_resumed = False
        bus = self.bus
        bus.running = self
        bus.calls += 1  # the watchdog sees a handler that holds the loop by its number
        is_done = True
        try:
            result = handler(event)
            if result.__class__ is CoroutineType:
                is_done = self.task.start(result)
        except (Exception, CancelledError) as error:  # one handler's failure stays its own
            self.failed(event.__class__, error)
        finally:
            bus.running = None
        self.after()
        if not is_done:
            self._pause(event)

    def direct_handler(self, event_type: type) -> Handler | None:
        """Return what a backtest may call for an event without a queue in between."""
        handler = self._handlers.get(event_type)
        is_plain = event_type not in self._wrapped and not _is_async(handler)
        if handler is None or not self.is_async or is_plain:
            return handler
        start = self.task.start

        def call(event: Any) -> None:
            """Leave failures, and what comes after a handler, to the driver."""
            try:
                result = handler(event)
                if result.__class__ is CoroutineType and not start(result):
                    self._pause(event)
            except CancelledError as error:
                self.event = event
                self.failed(event.__class__, error)

        return call

    def failed(self, event_type: type, error: BaseException) -> None:
        """Count and report a handler's error."""
        self.error_count += 1
        handler = self._handlers.get(event_type)
        self.bus.failed_on = self.event
        try:
            self.on_error(getattr(handler, "__name__", event_type.__name__), error)
        finally:
            self.bus.failed_on = None

    # -- the subscriber's task -----------------------------------------------------------------

    async def run(self) -> None:
        """Own the task that async handlers run in, until cancelled or the subscription ends."""
        try:
            await self.task.run(self._look_again)
        finally:
            self._is_paused = False
            self._look_again()

    def _pause(self, event: Any) -> None:
        self.event = event
        self._is_paused = True
        self.current_handler = getattr(self._handlers.get(event.__class__), "__name__", "")
        self._look_again()

    def _resume(self) -> None:
        self.is_resumed = True
        self.bus.running = self
        self.bus.calls += 1

    def _step_ended(self) -> None:
        self.bus.running = None
        self.after()
        if self.bus.is_pumped:
            self.bus.wake()  # what the step published: no driver waits for it

    def _finished(self, error: BaseException | None) -> None:
        if error is not None:
            self.failed(self.event.__class__, error)
            self.after()
        self._is_paused = False
        self._look_again()

    def statistics(self) -> SubscriberStatistics:
        """Return the counters as of now."""
        return SubscriberStatistics(
            name=self.name,
            channels=tuple(self.bus.channel_statistics(self)),
            batches=self.batch_count,
            handler_ns=self.handler_ns,
            lag_ns=self.lag_ns,
            errors=self.error_count,
            is_busy=self.is_busy,
            is_ended=self.is_ended,
        )


def _is_async(handler: Handler | None) -> bool:
    return iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004 - of an object that is called


def _called_from_here(handler: Handler) -> Handler:
    @wraps(handler)
    def call(event: Any) -> Any:
        return handler(event)

    return call


def _is_empty(error: BaseException) -> bool:
    """Whether there was nothing to take, because the handler before had closed the subscriber."""
    trace = error.__traceback__
    return isinstance(error, IndexError) and trace is not None and trace.tb_next is None
