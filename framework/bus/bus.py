"""The central event bus: one input, one step, one FIFO of consequences, fan-out, delivery.

Everything happens on the loop's thread (docs/laws.md: the life of an event). A *route* is where
events of one type and one key (instrument, run, ...) go: it holds the newest of them, counts
them, and knows who takes them, so that publishing is two look-ups and a call per subscriber.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Context, copy_context
from threading import get_ident
from typing import Any, TypeVar

import anyio
import structlog

from framework.bus.channel import Channel, Ring
from framework.bus.iterator import EventIterator
from framework.bus.overflow import BATCH, ChannelRule
from framework.bus.publishing import Publisher
from framework.bus.routes import Filter, Handler, Interest, Route
from framework.bus.statistics import ChannelStatistics, SubscriberStatistics
from framework.bus.subscriber import Subscriber
from framework.errors import ChannelOverflow, InvariantBroken
from framework.interfaces import Clock
from framework.model.events import ErrorRaised, Overflowed

__all__ = ["Bus", "EventIterator", "Interest", "Route"]

log = structlog.get_logger("bus")
Function = TypeVar("Function", bound=Handler)
TURN_NS = 20_000_000  # what one subscriber may take of a turn of the loop
REMEMBERED = 1_000  # handlers whose errors, and ended subscribers whose counters, are kept


class Bus(Publisher):
    """Numbers events, steps the core, and carries events to subscribers.

    Plain handlers run in the context of `start`; coroutines in one of their subscriber's own.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        rules: Mapping[str, ChannelRule] | None = None,
        after_handler: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(rules)
        self.clock = clock
        self.subscribers: list[Subscriber] = []
        self.running: Subscriber | None = None  # whose handler holds the loop now
        self.calls = 0  # of handlers; see `ticket`
        self.failed_on: Any = None  # the event whose handler is being reported
        self.after_handler = after_handler
        self.is_pumped = False  # a backtest driver delivers; nothing is scheduled on the loop
        self._ring: Ring | None = None  # that is being drained
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn_handle: asyncio.Handle | None = None
        self._context: Context = copy_context()
        self._new_tasks: deque[Subscriber] = deque()
        self._news: asyncio.Event | None = None  # for `run`
        self._crash: BaseException | None = None
        self._added_count = 0
        self._names: set[str] = set()
        self._errors: dict[tuple[str, str], int] = {}
        self._ended: dict[str, SubscriberStatistics] = {}

    # -- subscribing -------------------------------------------------------------------------

    def on(
        self, *event_types: type, where: Filter | None = None, **only: Iterable[str]
    ) -> Callable[[Function], Function]:
        """Return a decorator that subscribes a function: `@bus.on(Quote, instruments=[...])`.

        Raises:
            ConfigError: the events have no field of that name.
        """
        interests = _interests(event_types, where, only)

        def subscribe(function: Function) -> Function:
            name = getattr(function, "__qualname__", repr(function))
            handlers = dict.fromkeys(event_types, function)
            subscriber = self.add(name, handlers, is_numbered=False)
            self._watch_all(subscriber, interests)
            return function

        return subscribe

    def subscribe(
        self, *event_types: type, where: Filter | None = None, **only: Iterable[str]
    ) -> EventIterator:
        """Return an iterator over events, to be used with `async with`.

        Raises:
            ConfigError: the events have no field of that name.
        """
        subscriber = self.add(f"iterator-{self._added_count + 1}", {}, is_numbered=False)
        iterator = EventIterator(subscriber)
        self._watch_all(subscriber, _interests(event_types, where, only))
        return iterator

    def add(
        self,
        name: str,
        handlers: Mapping[type, Handler],
        *,
        rules: Mapping[str, ChannelRule] | None = None,
        on_error: Callable[[str, BaseException], None] | None = None,
        on_overflow: Callable[[ChannelOverflow], None] | None = None,
        is_numbered: bool = True,
    ) -> Subscriber:
        """Add a consumer without interests yet; `watch` gives it some.

        A name that is taken gets a number behind it. `is_numbered` keeps `Subscriber.sequence`.
        """
        name = self._unique(name)
        subscriber = Subscriber(
            self,
            name,
            handlers,
            rules={**self.rules, **(rules or {})},
            on_error=on_error or (lambda handler, error: self.report(name, handler, error)),
            on_overflow=on_overflow or (lambda failure: self.report(name, "overflow", failure)),
            after=self.after_handler,
            is_numbered=is_numbered,
        )
        self.subscribers.append(subscriber)
        subscriber.refresh_lane()
        if subscriber.is_async:
            self._new_tasks.append(subscriber)
            self._tell_run()
        return subscriber

    def _unique(self, name: str) -> str:
        self._added_count += 1
        if name in self._names:
            name = f"{name}-{self._added_count}"
        self._names.add(name)
        return name

    def watch(self, subscriber: Subscriber, interest: Interest) -> None:
        """Route events of `interest` to `subscriber` from now on.

        Raises:
            ConfigError: the events have no such field, or their `RULE` no such channel.
        """
        topic = self.topic(interest.event_type)
        interest.check(topic.rule)
        if subscriber.is_ended or topic.has(subscriber, interest):
            return
        subscriber.interests.append(interest)
        topic.add(subscriber, interest)

    def _watch_all(self, subscriber: Subscriber, interests: Iterable[Interest]) -> None:
        try:
            for interest in interests:
                self.watch(subscriber, interest)
        except Exception:
            subscriber.close()  # half a subscription is none
            raise

    def remove(self, subscriber: Subscriber) -> None:
        """Take a subscriber off every route and forget it."""
        self._unroute(subscriber)
        if subscriber in self.subscribers:
            self.subscribers.remove(subscriber)
            self._names.discard(subscriber.name)
        if subscriber.wake_reader is not None:
            subscriber.wake_reader()

    def _unroute(self, subscriber: Subscriber) -> None:
        for event_type in dict.fromkeys(interest.event_type for interest in subscriber.interests):
            self.topics[event_type].remove(subscriber)
        subscriber.interests.clear()

    # -- the loop ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver, and own the tasks of async subscribers, until cancelled.

        Raises:
            InvariantBroken: a step failed, or a subscriber's task died (R-55).
        """
        self.start()
        self._news = news = asyncio.Event()
        self._new_tasks = deque(s for s in self.subscribers if s.is_async)
        try:
            async with anyio.create_task_group() as tasks:
                while self._crash is None:
                    self._start_new(tasks)
                    news.clear()
                    await news.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._news = None
            self.stop()
        if self._crash is not None:
            crash, self._crash = self._crash, None
            raise crash

    def _start_new(self, tasks: anyio.abc.TaskGroup) -> None:
        while self._new_tasks:
            subscriber = self._new_tasks.popleft()
            tasks.start_soon(self._own, subscriber, name=f"subscriber {subscriber.name}")

    async def _own(self, subscriber: Subscriber) -> None:
        """Run a subscriber's task and notice its death."""
        if subscriber.is_ended:
            return
        try:
            await subscriber.run()
        except asyncio.CancelledError:
            if anyio.current_effective_deadline() == -math.inf:  # we end it ourselves
                raise
            self.crash(InvariantBroken(f"the task of subscriber {subscriber.name!r} was cancelled"))
        except Exception as error:
            self.crash(error)

    def crash(self, error: BaseException) -> None:
        """Have `run` raise `error`."""
        self._crash = self._crash or error
        self._tell_run()

    def _tell_run(self) -> None:
        if self._news is not None:
            self._news.set()

    def start(self) -> None:
        """Bind the bus to the running loop and its thread."""
        self.stop()
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._close_behind()
        self._context = copy_context()
        self._is_awake = self.is_pumped
        self.wake()

    def pump(self) -> None:
        """Let a driver of recorded data deliver: publishing schedules nothing on the loop."""
        self.is_pumped = self._is_awake = True
        for subscriber in self.subscribers:
            subscriber.refresh_lane()

    def stop(self) -> None:
        """Let go of the loop: nothing is delivered any more; what is queued stays."""
        if self._turn_handle is not None:
            self._turn_handle.cancel()
        self._loop = self._turn_handle = None

    def wake(self) -> None:
        """Have what is queued delivered on the loop's next turn."""
        if self._loop is not None and self._turn_handle is None:
            self._is_awake = True
            self._turn_handle = self._loop.call_soon(self._turn, context=self._context)

    @property
    def is_turn_due(self) -> bool:
        """Whether something is to be delivered on the loop's next turn."""
        return self._turn_handle is not None

    def publish_threadsafe(self, event: Any) -> None:
        """Hand an event over from another thread; it is published on the loop's next turn."""
        if self._loop is None:
            raise InvariantBroken("the bus is not running")
        self._loop.call_soon_threadsafe(self.publish, event)

    # -- delivery ----------------------------------------------------------------------------

    def _turn(self) -> None:
        self._turn_handle = None
        self._is_awake = self.is_pumped
        try:
            if self.deliver(BATCH):
                self.wake()
        except Exception as error:
            if self._news is None:
                raise
            self.crash(error)

    def deliver(self, limit: int) -> bool:
        """Give every free subscriber up to `limit` events; True if some may take more."""
        if self.halted is not None:
            return False
        sequence, has_more = self.sequence, False
        for subscriber in tuple(self.subscribers):
            if not subscriber.is_waiting:
                continue
            if subscriber.wake_reader is not None:
                subscriber.wake_reader()
                continue
            if self.is_pumped:  # virtual time stands still meanwhile
                subscriber.drain(limit)
            else:
                self._drain_measured(subscriber, limit)
            has_more = has_more or subscriber.is_waiting
        return has_more or self.sequence != sequence

    def _drain_measured(self, subscriber: Subscriber, limit: int) -> None:
        """Drain, and take time and lag: per batch, since per event costs half the rate.

        One that was slow gets few events in its next turns: other tasks, an operator's cancels
        above all, must not wait for a queue of slow handlers (R-64).
        """
        started_ns, first = self.clock.now_ns, self.ticket
        subscriber.drain(min(limit, subscriber.turn_limit))
        took_ns = self.clock.now_ns - started_ns
        if took_ns > TURN_NS:
            subscriber.turn_limit = max(1, (self.ticket - first) * TURN_NS // took_ns)
        elif subscriber.turn_limit < BATCH:
            subscriber.turn_limit *= 2
        subscriber.handler_ns += took_ns
        event = subscriber.event
        came_ns = getattr(event, "received_ns", 0) or getattr(event, "time_ns", started_ns)
        subscriber.lag_ns = started_ns - came_ns

    def deliver_all(self) -> None:
        """Deliver until every free subscriber's queues are empty (backtests)."""
        for subscriber in self.subscribers:
            if subscriber.is_waiting:
                break
        else:
            return
        while self.deliver(BATCH):
            pass

    @property
    def ticket(self) -> int:
        """The number of the handler call that runs: the watchdog tells a long one by it."""
        return self.calls + (0 if self._ring is None else self._ring.delivered)

    def begin_ring(self, ring: Ring) -> None:
        """Count calls by what `ring` delivers, one attribute less per event."""
        self.calls -= ring.delivered
        self._ring = ring

    def end_ring(self, ring: Ring) -> None:
        """Count calls as before."""
        self._ring = None
        self.calls += ring.delivered

    # -- failures and counters ---------------------------------------------------------------

    def report(self, subscriber: str, handler: str, error: BaseException) -> None:
        """Log a handler's error, with the event, and publish it as `ErrorRaised`.

        What a handler of `ErrorRaised` raises is logged only: it would go round for ever.
        """
        name = (subscriber, handler)
        has_trace = not isinstance(error, ChannelOverflow)  # which says all by itself
        count = self._errors[name] = self._errors.pop(name, 0) + 1
        _forget_oldest(self._errors)
        log.error(
            "handler_raised",
            subscriber=subscriber,
            handler=handler,
            count=count,
            about=repr(self.failed_on),
            exc_info=error if has_trace and count <= 3 else None,
            error=repr(error),
        )
        if self.halted is None and self.failed_on.__class__ is not ErrorRaised:
            self.publish(ErrorRaised(subscriber, handler, repr(error), self.clock.now_ns, count))

    def filter_failed(self, subscriber: Subscriber, event: Any, error: Exception) -> None:
        """Report a filter's error once the event has gone to everyone."""
        open_to, self._open_to = self._open_to, 0
        handled, subscriber.event = subscriber.event, event
        try:
            subscriber.failed(event.__class__, error)
        finally:
            self._open_to, subscriber.event = open_to, handled

    def overflowed(self, subscriber: Subscriber, channel: Channel) -> None:
        """End a subscription whose channel is full: nothing more is routed to it."""
        self._unroute(subscriber)
        self._ended[subscriber.name] = subscriber.statistics()
        _forget_oldest(self._ended)
        log.error("channel_overflowed", subscriber=subscriber.name, channel=channel.name)
        self._following.append(
            Overflowed(subscriber.name, channel.name, channel.capacity, self.clock.now_ns)
        )

    def statistics(self) -> dict[str, SubscriberStatistics]:
        """Return the counters of every subscriber by name, and of those that overflowed."""
        present = {subscriber.name: subscriber.statistics() for subscriber in self.subscribers}
        return {**self._ended, **present}

    def channel_statistics(self, subscriber: Subscriber) -> Iterator[ChannelStatistics]:
        """Yield a subscriber's counters per channel."""
        for channel in subscriber.channels.values():
            yield channel.statistics()


def _interests(
    event_types: Iterable[type], where: Filter | None, only: Mapping[str, Iterable[str]]
) -> list[Interest]:
    return [Interest(kind, _only(kind, only), where) for kind in event_types]


def _only(event_type: type, fields: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """`instruments=["a:b"]` limits the field `instrument`; likewise runs, intervals."""
    known = getattr(event_type, "__struct_fields__", ())
    return {
        name if name in known else name.removesuffix("s"): frozenset(
            (values,) if isinstance(values, str) else values
        )
        for name, values in fields.items()
    }


def _forget_oldest(remembered: dict[Any, Any]) -> None:
    if len(remembered) > REMEMBERED:
        del remembered[next(iter(remembered))]
