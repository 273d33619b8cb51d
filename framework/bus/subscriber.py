"""One consumer of events: its bounded channels, its handlers, and the order between them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from inspect import iscoroutinefunction
from types import CoroutineType, TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from framework.bus.channel import Channel, ChannelStatistics, make_channel
from framework.bus.eager import EagerTask
from framework.bus.overflow import FORMING, ChannelRule, EventRule
from framework.errors import ChannelOverflow
from framework.model.events import Timer
from framework.model.market_data import Candle

if TYPE_CHECKING:
    from framework.bus.bus import Bus

Handler = Callable[[Any], Any]
BATCH = 256  # events per turn of the loop


class Interest(msgspec.Struct, frozen=True):
    """What a subscriber wants of one event type: routing fields it is limited to, a filter."""

    event_type: type
    only: Mapping[str, frozenset[str]] = {}
    where: Callable[[Any], bool] | None = None

    def wants_route(self, fields: tuple[str, ...], key: tuple[str, ...]) -> bool:
        """Whether events routed by `fields` under `key` are wanted."""
        return all(
            key[index] in self.only[field]
            for index, field in enumerate(fields)
            if field in self.only
        )


class SubscriberStatistics(msgspec.Struct, frozen=True):
    """What a dashboard shows of one subscriber; times in nanoseconds, taken per batch."""

    name: str
    channels: tuple[ChannelStatistics, ...]
    batches: int
    handler_ns: int
    lag_ns: int
    errors: int
    is_busy: bool
    is_ended: bool


class Subscriber:
    """Takes events in the engine's order across its channels; handlers never overlap."""

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
    ) -> None:
        self.bus = bus
        self.name = name
        self.marks: deque[Channel] = deque()
        self.channels: dict[str, Channel] = {}
        self.interests: list[Interest] = []
        self.sequence = 0  # of the event being handled
        self.event: Any = None  # the event being handled
        self.is_ended = False
        self.error_count = 0
        self.batch_count = 0
        self.handler_ns = 0
        self.lag_ns = 0
        self.current_handler = ""
        self._rules = rules
        self._handlers = dict(handlers)
        self.on_error = on_error
        self.on_overflow = on_overflow
        self._after = after
        self._failure: ChannelOverflow | None = None
        self._first: deque[Any] = deque()  # handed out before anything queued: warm-up
        self.is_async = any(iscoroutinefunction(handler) for handler in handlers.values())
        self._is_held = False
        self._is_paused = self.is_async  # until its task runs; later, while a handler waits
        self.is_busy = self._is_paused
        self.task = EagerTask(before=self._resume, after=after, done=self._finished)

    # -- taking in ---------------------------------------------------------------------------

    def direct_handler(self, event_type: type) -> Handler | None:
        """Return what a backtest may call for an event without a queue in between."""
        handler = self._handlers.get(event_type)
        return self.handle if handler is not None and self.is_async else handler

    def acceptor(self, rule: EventRule, interest: Interest) -> Callable[[Any], None]:
        """Return the call by which a route hands an event to this subscriber."""
        channel = self._channel(rule.channel, rule)
        if interest.event_type is Candle:
            return self._candle_acceptor(channel, self._channel(FORMING, rule), interest.where)
        where, accept, bus, end = interest.where, channel.accept, self.bus, self._end

        def take(event: Any) -> None:
            if (where is None or where(event)) and not accept(bus.sequence, event):
                end(channel)

        return take

    def _candle_acceptor(
        self, closed: Channel, forming: Channel, where: Callable[[Any], bool] | None
    ) -> Callable[[Any], None]:
        bus = self.bus

        def take(candle: Candle) -> None:
            channel = closed if candle.is_closed else forming
            if (where is None or where(candle)) and not channel.accept(bus.sequence, candle):
                self._end(channel)

        return take

    def _channel(self, name: str, rule: EventRule) -> Channel:
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = make_channel(
                name,
                rule.own_rule or self._rules[name],
                self.marks,
                key_of=rule.key or type,
                merge=_merge_timers if name == "timers" else None,
            )
        return channel

    def _end(self, channel: Channel) -> None:
        self._failure = channel.failure
        self.bus.overflowed(self, channel)

    def close(self) -> None:
        """Stop receiving and forget what waits."""
        self.is_ended = True
        self.bus.remove(self)
        self.marks.clear()
        for channel in self.channels.values():
            channel.stale_marks = 0
            channel.discard()

    def compact(self) -> None:
        """Drop stale marks once they outnumber what waits (R-53)."""
        kept: deque[Channel] = deque()
        for channel in self.marks:
            if channel.stale_marks:
                channel.stale_marks -= 1
            else:
                kept.append(channel)
        self.marks.clear()
        self.marks.extend(kept)

    # -- handing out -------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Something is queued (or has failed) and the subscriber is free to take it."""
        return (
            bool(self.marks) or self._failure is not None or bool(self._first)
        ) and not self.is_busy

    def hold(self) -> None:
        """Let what comes wait in the queues until `release`."""
        self._is_held = True
        self._note_busy()

    def release(self, first: Iterable[Any] = ()) -> None:
        """Go on, with `first` before anything that is queued."""
        self._first.extend(first)
        self._is_held = False
        self._note_busy()
        self.bus.wake()

    def wrap(self, event_type: type, wrapper: Callable[[Handler], Handler]) -> None:
        """Put `wrapper` around the handler of an event type."""
        handler = self._handlers.get(event_type)
        if handler is not None:
            self._handlers[event_type] = wrapper(handler)

    def silence(self) -> None:
        """Call no handler any more; what comes is counted as delivered."""
        self._handlers.clear()
        self.bus.routes_changed(self)

    def take(self) -> Any:
        """Return the next event in order, or None; raises what ended the subscription."""
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
            failure, self._failure = self._failure, None
            self.close()
            raise failure
        return None

    def drain(self, limit: int = BATCH) -> None:
        """Hand out up to `limit` events; stops early when an async handler starts to wait."""
        self.batch_count += 1
        try:
            while limit > 0 and not self.is_ended:
                event = self.take()
                if event is None:
                    return
                limit -= 1
                self.handle(event)
                if self.is_busy:  # it waits, or asked to be held
                    return
        except ChannelOverflow as failure:
            self.on_overflow(failure)

    def handle(self, event: Any) -> bool:
        """Call the handler of `event`; False if it is `async` and now waits."""
        handler = self._handlers.get(event.__class__)
        if handler is None:
            return True
        self.event = event
        bus = self.bus
        bus.running = self
        bus.ticket += 1  # the watchdog sees a handler that holds the loop by its ticket
        try:
            result = handler(event)
            is_done = result.__class__ is not CoroutineType or self.task.start(result)
        except Exception as error:  # isolation: one handler's failure stays its own
            self.failed(event.__class__, error)
            is_done = True
        bus.running = None
        self._after()
        if not is_done:
            self._pause(event.__class__)
        return is_done

    def failed(self, event_type: type, error: BaseException) -> None:
        """Count and report a handler's error."""
        self.error_count += 1
        handler = self._handlers.get(event_type)
        self.on_error(getattr(handler, "__name__", event_type.__name__), error)

    async def run(self) -> None:
        """Own the task that async handlers run in, until cancelled."""
        await self.task.run(self._ready)

    def _ready(self) -> None:
        self._is_paused = False
        self._note_busy()
        self.bus.wake()

    def _pause(self, event_type: type) -> None:
        self._is_paused = True
        self.current_handler = getattr(self._handlers.get(event_type), "__name__", "")
        self._note_busy()

    def _note_busy(self) -> None:
        self.is_busy = self._is_held or self._is_paused
        self.bus.routes_changed(self)

    def _resume(self) -> None:
        self.bus.running = self
        self.bus.ticket += 1

    def _finished(self, error: BaseException | None) -> None:
        self.bus.running = None
        if error is not None:
            self.failed(self.event.__class__, error)
        self._after()
        self._is_paused = False
        self._note_busy()
        self.bus.wake()

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


class EventIterator(AsyncIterator[Any]):
    """An iterator over events: `async with bus.subscribe(Quote) as quotes: async for q in quotes`.

    Raises `ChannelOverflow` once what was queued has been read, if the reader fell behind a
    channel that must not drop.
    """

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self._wakeup: asyncio.Future[None] | None = None

    async def __aenter__(self) -> "EventIterator":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.subscriber.close()

    def __aiter__(self) -> "EventIterator":
        return self

    async def __anext__(self) -> Any:
        while (event := self.subscriber.take()) is None:
            if self.subscriber.is_ended:
                raise StopAsyncIteration
            self._wakeup = asyncio.get_running_loop().create_future()
            try:
                await self._wakeup
            finally:
                self._wakeup = None
        return event

    def wake(self) -> None:
        """Let the reader look again."""
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)


def _merge_timers(waiting: Timer, fired: Timer) -> Timer:
    return msgspec.structs.replace(fired, missed=waiting.missed + fired.missed + 1)
