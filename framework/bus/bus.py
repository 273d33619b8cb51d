"""The central event bus: one input, one step, one FIFO of consequences, fan-out, delivery.

design.md section 4 is the contract. Everything happens on the loop's thread. A *route* is where
events of one type and one key (instrument, run, ...) go: it holds the newest of them, counts
them, and knows who takes them, so that publishing is two look-ups and a call per subscriber.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from threading import get_ident
from typing import Any, NoReturn, TypeVar

import anyio
import structlog

from framework.bus.channel import Channel, ChannelStatistics
from framework.bus.overflow import DEFAULT_RULES, EVENT_RULES, ChannelRule, EventRule
from framework.bus.subscriber import (
    BATCH,
    EventIterator,
    Handler,
    Interest,
    Subscriber,
    SubscriberStatistics,
)
from framework.errors import ChannelOverflow, ConfigError, InvariantBroken
from framework.interfaces import Clock
from framework.model.events import ErrorRaised, Overflowed

log = structlog.get_logger("bus")
Function = TypeVar("Function", bound=Handler)
Step = Callable[[Any], None]


class Route:
    """Where events of one type and key go."""

    __slots__ = ("accepts", "count", "direct", "direct_count", "key", "newest", "step", "takers")

    def __init__(self, key: tuple[str, ...]) -> None:
        self.key = key
        self.newest: Any = None
        self.count = 0
        self.step: Step | None = None
        self.accepts: tuple[Callable[[Any], None], ...] = ()
        self.takers: tuple[tuple[Subscriber, Interest], ...] = ()
        # Backtests call plain handlers of idle subscribers without a queue in between.
        self.direct: tuple[tuple[Handler, Subscriber], ...] | None = ()
        self.direct_count = 0


class Topic:
    """All routes of one event type."""

    def __init__(self, event_type: type, rule: EventRule) -> None:
        self.event_type = event_type
        self.rule = rule
        self.routes: dict[Any, Route] = {}
        self.interests: list[tuple[Subscriber, Interest]] = []
        self.step: Step | None = None
        self.steps_by_instrument: dict[str, Step] = {}
        self.routes_by_instrument: dict[str, list[Route]] = {}  # by the first routing field
        self.key_of: Callable[[Any], Any] = attrgetter(*rule.route_by) if rule.route_by else _no_key


class Bus:
    """Numbers events, steps the core, and carries events to subscribers."""

    def __init__(
        self,
        clock: Clock,
        *,
        rules: Mapping[str, ChannelRule] | None = None,
        after_handler: Callable[[], None] = lambda: None,
    ) -> None:
        self.sequence = 0
        self.clock = clock
        self.rules = {**DEFAULT_RULES, **(rules or {})}
        self.subscribers: list[Subscriber] = []
        self.running: Subscriber | None = None  # whose handler holds the loop now
        self.ticket = 0
        self.halted: tuple[Any, BaseException] | None = None
        self.after_handler = after_handler
        self.is_pumped = False  # a backtest driver delivers; nothing is scheduled on the loop
        self.now_ns_for_statistics: Callable[[], int] | None = None
        self._iterators: dict[int, EventIterator] = {}
        self.topics: dict[type, Topic] = {}
        self._following: deque[Any] = deque()
        self._is_stepping = False
        self._is_awake = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = get_ident()
        self._new_tasks: deque[Subscriber] = deque()
        self._task_wanted: asyncio.Event | None = None
        self._errors: dict[tuple[str, str], int] = {}
        for name, rule in self.rules.items():
            if rule.capacity < BATCH:
                raise ConfigError(
                    f"capacity {rule.capacity} is smaller than one turn of {BATCH} events",
                    key=f"queues.{name}.capacity",
                )

    # -- input and step ----------------------------------------------------------------------

    def publish(self, event: Any) -> None:
        """Take one input (or one consequence, inside a step). Never waits.

        Raises:
            InvariantBroken: called from another thread (use `publish_threadsafe`), or the
                engine has halted.
        """
        if self._is_stepping:
            self._following.append(event)
            return
        if get_ident() != self._thread:
            raise InvariantBroken("publish from another thread: use publish_threadsafe")
        route = self.route_of(event)
        if route.step is None and self.halted is None:
            self.sequence += 1
            route.count += 1
            route.newest = event
            for accept in route.accepts:
                accept(event)
        else:
            self._run_steps(event, route)
        if not self._is_awake and not self.is_pumped:
            self.wake()

    def publish_threadsafe(self, event: Any) -> None:
        """Hand an event over from another thread; it is published on the loop's next turn."""
        if self._loop is None:
            raise InvariantBroken("the bus is not running")
        self._loop.call_soon_threadsafe(self.publish, event)

    def route_of(self, event: Any) -> Route:
        """Return the route an event takes, opening it if it is the first of its kind."""
        topic = self.topics.get(event.__class__) or self._topic(event.__class__)
        key = topic.key_of(event)
        return topic.routes.get(key) or self._open(topic, key)

    def _run_steps(self, event: Any, route: Route) -> None:
        if self.halted is not None:
            raise InvariantBroken(f"the engine has halted: {self.halted[1]}")
        self._is_stepping = True
        try:
            self._step(event, route)
        except Exception as error:
            self._halt(event, error)
        finally:
            self._is_stepping = False
        self._run_following()

    def _run_following(self) -> None:
        """Step what followed, in order, and what follows from that."""
        following = self._following
        self._is_stepping = True
        event: Any = None
        try:
            while following:
                event = following.popleft()
                self._step(event, self.route_of(event))
        except Exception as error:
            self._halt(event, error)
        finally:
            self._is_stepping = False

    def _halt(self, event: Any, error: Exception) -> NoReturn:
        """Stop the engine: a failure inside a step is a bug of ours, and state is in doubt."""
        self.halted = (event, error)
        log.critical("engine_halted", event=repr(event), error=repr(error))
        raise InvariantBroken(f"step failed on {event!r}: {error!r}") from error

    def _step(self, event: Any, route: Route) -> None:
        self.sequence += 1
        route.count += 1
        route.newest = event
        if route.step is not None:
            route.step(event)
        for accept in route.accepts:
            accept(event)

    def step_alone(self, event: Any, route: Route) -> bool:
        """Step `event`; True if nothing followed from it and its fan-out is left to the caller.

        Otherwise the event and what followed are in the queues already. For drivers of recorded
        data, which call handlers directly where they can.
        """
        if self.halted is not None or route.step is None:
            raise InvariantBroken("nothing to step, or halted")
        self.sequence += 1
        route.newest = event
        self._is_stepping = True
        try:
            route.step(event)
        except Exception as error:
            self._halt(event, error)
        finally:
            self._is_stepping = False
        following = self._following
        if not following:
            self.sequence -= 1  # the caller numbers it
            return True
        route.count += 1
        for accept in route.accepts:
            accept(event)
        self._run_following()
        return False

    def set_step(self, event_type: type, step: Step) -> None:
        """Have `step` change the core's state for every event of `event_type`."""
        topic = self._topic(event_type)
        topic.step = step
        self._refresh(topic)

    def set_instrument_step(self, event_type: type, instrument: str, step: Step | None) -> None:
        """Have `step` see one instrument's events after the type's own step; None ends it."""
        topic = self.topics.get(event_type) or self._topic(event_type)
        if step is None:
            topic.steps_by_instrument.pop(instrument, None)
        else:
            topic.steps_by_instrument[instrument] = step
        for route in topic.routes_by_instrument.get(instrument, ()):
            route.step = step if topic.step is None else self._step_of(topic, route)

    # -- reading -----------------------------------------------------------------------------

    def newest(self, event_type: type, *key: str) -> Any:
        """Return the newest event of a type and key (`instrument`, ...), or None."""
        topic = self.topics.get(event_type)
        if topic is None:
            return None
        route = topic.routes.get(key[0] if len(key) == 1 else key)
        return None if route is None else route.newest

    def routes(self, event_type: type) -> Iterator[Route]:
        """Iterate over the open routes of a type, in the order they were opened."""
        topic = self.topics.get(event_type)
        return iter(()) if topic is None else iter(topic.routes.values())

    def wants(self, event_type: type, key: str) -> bool:
        """Whether anybody takes events of this type under the routing key (a run, ...)."""
        topic = self.topics.get(event_type)
        if topic is None or not topic.interests:
            return False
        route = topic.routes.get(key) or self._open(topic, key)
        return bool(route.accepts)

    def has_step(self, event_type: type, key: str) -> bool:
        """Whether the core itself wants events of this type and routing key."""
        topic = self.topics.get(event_type)
        return topic is not None and (topic.step is not None or key in topic.steps_by_instrument)

    # -- subscribing -------------------------------------------------------------------------

    def on(
        self, *event_types: type, where: Callable[[Any], bool] | None = None, **only: Iterable[str]
    ) -> Callable[[Function], Function]:
        """Return a decorator that subscribes a function: `@bus.on(Quote, instruments=[...])`."""

        def subscribe(function: Function) -> Function:
            subscriber = self.add(
                getattr(function, "__qualname__", repr(function)),
                dict.fromkeys(event_types, function),
            )
            for event_type in event_types:
                self.watch(subscriber, Interest(event_type, _only(only), where))
            return function

        return subscribe

    def subscribe(
        self, *event_types: type, where: Callable[[Any], bool] | None = None, **only: Iterable[str]
    ) -> EventIterator:
        """Return an iterator over events, to be used with `async with`."""
        subscriber = self.add(f"iterator-{len(self.subscribers)}", {})
        for event_type in event_types:
            self.watch(subscriber, Interest(event_type, _only(only), where))
        iterator = self._iterators[id(subscriber)] = EventIterator(subscriber)
        return iterator

    def add(
        self,
        name: str,
        handlers: Mapping[type, Handler],
        *,
        rules: Mapping[str, ChannelRule] | None = None,
        on_error: Callable[[str, BaseException], None] | None = None,
        on_overflow: Callable[[ChannelOverflow], None] | None = None,
    ) -> Subscriber:
        """Add a consumer without interests yet; `watch` gives it some."""
        subscriber = Subscriber(
            self,
            name,
            handlers,
            rules={**self.rules, **(rules or {})},
            on_error=on_error or (lambda handler, error: self.report(name, handler, error)),
            on_overflow=on_overflow or (lambda failure: self.report(name, "overflow", failure)),
            after=self.after_handler,
        )
        self.subscribers.append(subscriber)
        if subscriber.is_async:
            self._new_tasks.append(subscriber)
            if self._task_wanted is not None:
                self._task_wanted.set()
        return subscriber

    def watch(self, subscriber: Subscriber, interest: Interest) -> None:
        """Route events of `interest` to `subscriber` from now on."""
        topic = self._topic(interest.event_type)
        if (subscriber, interest) in topic.interests:
            return
        subscriber.interests.append(interest)
        topic.interests.append((subscriber, interest))
        self._refresh(topic)

    def remove(self, subscriber: Subscriber) -> None:
        """Take a subscriber off every route."""
        for topic in self.topics.values():
            if any(taker is subscriber for taker, _ in topic.interests):
                topic.interests = [item for item in topic.interests if item[0] is not subscriber]
                self._refresh(topic)
        if subscriber in self.subscribers:
            self.subscribers.remove(subscriber)
        iterator = self._iterators.pop(id(subscriber), None)
        if iterator is not None:
            iterator.wake()

    # -- delivery ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Own the tasks of async subscribers until cancelled."""
        self.start()
        self._task_wanted = asyncio.Event()
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    while self._new_tasks:
                        subscriber = self._new_tasks.popleft()
                        tasks.start_soon(subscriber.run, name=f"subscriber {subscriber.name}")
                    self._task_wanted.clear()
                    await self._task_wanted.wait()
        finally:
            self._task_wanted = None

    def start(self) -> None:
        """Bind the bus to the running loop and its thread."""
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._is_awake = False
        self.wake()

    def pump(self) -> None:
        """Let a driver of recorded data deliver: publishing schedules nothing on the loop."""
        self.is_pumped = True
        for subscriber in self.subscribers:
            self.routes_changed(subscriber)

    def stop(self) -> None:
        """Let go of the loop: nothing is delivered any more."""
        self._loop = None

    def wake(self) -> None:
        """Have what is queued delivered on the loop's next turn."""
        if self._loop is not None and not self._is_awake:
            self._is_awake = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_awake = False
        if self._loop is None:
            return
        if self.deliver(BATCH):
            self.wake()

    def deliver(self, limit: int) -> bool:
        """Give every free subscriber up to `limit` events; True if some can take more."""
        measure = self.now_ns_for_statistics
        for subscriber in tuple(self.subscribers):
            if not subscriber.is_waiting:
                continue
            iterator = self._iterators.get(id(subscriber)) if self._iterators else None
            if iterator is not None:
                iterator.wake()
            elif measure is None:
                subscriber.drain(limit)
            else:
                started_ns = measure()
                subscriber.drain(limit)
                subscriber.handler_ns += measure() - started_ns
                subscriber.lag_ns = started_ns - getattr(subscriber.event, "time_ns", started_ns)
        return any(
            subscriber.is_waiting and id(subscriber) not in self._iterators
            for subscriber in self.subscribers
        )

    def deliver_all(self) -> None:
        """Deliver until every free subscriber's queues are empty (backtests)."""
        while self.deliver(BATCH):
            pass

    # -- failures and counters ---------------------------------------------------------------

    def report(self, subscriber: str, handler: str, error: BaseException) -> None:
        """Log a handler's error and publish it as `ErrorRaised`."""
        count = self._errors[subscriber, handler] = self._errors.get((subscriber, handler), 0) + 1
        log.error(
            "handler_raised",
            subscriber=subscriber,
            handler=handler,
            count=count,
            exc_info=error if count <= 3 else None,
            error=repr(error),
        )
        self.publish(ErrorRaised(subscriber, handler, repr(error), self.clock.now_ns, count))

    def overflowed(self, subscriber: Subscriber, channel: Channel) -> None:
        """End a subscription whose channel is full: nothing more is routed to it."""
        iterator = self._iterators.get(id(subscriber))
        self.remove(subscriber)
        self.subscribers.append(subscriber)  # until what it has queued is taken
        if iterator is not None:
            self._iterators[id(subscriber)] = iterator
        log.error("channel_overflowed", subscriber=subscriber.name, channel=channel.name)
        self._following.append(
            Overflowed(subscriber.name, channel.name, channel.capacity, self.clock.now_ns)
        )
        if not self._is_stepping and self._loop is not None:
            self._loop.call_soon(self._publish_following)

    def _publish_following(self) -> None:
        while self._following and not self._is_stepping:
            self.publish(self._following.popleft())

    def statistics(self) -> dict[str, SubscriberStatistics]:
        """Return the counters of every subscriber by name."""
        return {subscriber.name: subscriber.statistics() for subscriber in self.subscribers}

    def channel_statistics(self, subscriber: Subscriber) -> Iterator[ChannelStatistics]:
        """Yield a subscriber's counters per channel."""
        for channel in subscriber.channels.values():
            yield channel.statistics()

    # -- routes ------------------------------------------------------------------------------

    def _topic(self, event_type: type) -> Topic:
        topic = self.topics.get(event_type)
        if topic is None:
            rule = EVENT_RULES.get(event_type) or getattr(event_type, "RULE", None)
            topic = self.topics[event_type] = Topic(event_type, rule or EventRule("market"))
        return topic

    def _open(self, topic: Topic, key: Any) -> Route:
        route = topic.routes[key] = Route(key if isinstance(key, tuple) else (key,))
        topic.routes_by_instrument.setdefault(route.key[0] if route.key else "", []).append(route)
        self._refresh_route(topic, route)
        return route

    def _refresh(self, topic: Topic) -> None:
        for route in topic.routes.values():
            self._refresh_route(topic, route)

    def _refresh_route(self, topic: Topic, route: Route) -> None:
        route.step = self._step_of(topic, route)
        route.takers = tuple(
            (subscriber, interest)
            for subscriber, interest in topic.interests
            if interest.wants_route(topic.rule.route_by, route.key)
        )
        route.accepts = tuple(
            subscriber.acceptor(topic.rule, interest) for subscriber, interest in route.takers
        )
        self._refresh_direct(topic, route)

    def _refresh_direct(self, topic: Topic, route: Route) -> None:
        handlers = [
            (subscriber.direct_handler(topic.event_type), subscriber)
            for subscriber, interest in route.takers
            if not (subscriber.is_busy or interest.where)
        ]
        is_direct = len(handlers) == len(route.takers)
        route.direct = (
            tuple((handler, taker) for handler, taker in handlers if handler is not None)
            if is_direct
            else None
        )

    def routes_changed(self, subscriber: Subscriber) -> None:
        """Look again at which routes may call a subscriber without a queue in between."""
        if not self.is_pumped:
            return
        for interest in subscriber.interests:
            topic = self.topics[interest.event_type]
            for route in topic.routes.values():
                if any(taker is subscriber for taker, _ in route.takers):
                    self._refresh_direct(topic, route)

    @staticmethod
    def _step_of(topic: Topic, route: Route) -> Step | None:
        own = topic.steps_by_instrument.get(route.key[0]) if topic.steps_by_instrument else None
        first = topic.step
        if first is None or own is None:
            return first or own

        def both(event: Any) -> None:
            first(event)
            own(event)

        return both


def _no_key(event: Any) -> str:
    return ""


def _only(fields: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """`instruments=["a:b"]` limits the routing field `instrument`; likewise runs, intervals."""
    return {name.removesuffix("s"): frozenset(values) for name, values in fields.items()}
