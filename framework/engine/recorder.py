"""Records what the engine takes and what each strategy does with it, so that it can be replayed.

An *item* is what one record stands for: an input with all that follows from it, a timer of the
core, one stretch of a handler between two waits. While an item lasts market time stands still,
and what is published is derived from it, so that only items are recorded, in their one order.

The recorder puts itself in the place of methods of the bus, of each subscriber and each run's
context, once, at `attach`. Where nothing is recorded there is nothing to ask.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from threading import get_ident
from typing import Any, ParamSpec, TypeVar, cast

import msgspec
import structlog

from framework.engine.engine import Engine
from framework.engine.recorded_core import CORE, RecordedCore
from framework.engine.recorded_desk import RecordedDesk
from framework.engine.recorded_run import (
    Following,
    InputSink,
    Line,
    MatchesInSteps,
    RecordedRun,
    RecordingClock,
)
from framework.engine.recorded_warm_up import RecordedWarmUp
from framework.engine.values import pack, pack_error, path_of
from framework.errors import ChannelOverflow, DataError, InvariantBroken
from framework.model.events import Overflowed
from framework.model.inputs import (
    ChannelEnded,
    EventDelivered,
    EventsHanded,
    HandlerEnded,
    HandlerResumed,
    InputRecord,
    InputTaken,
    OrdersBlocked,
    RunUnverifiable,
    SessionStarted,
    TimerFired,
    TypeNamed,
)

P = ParamSpec("P")
T = TypeVar("T")
AWAITED = ("sleep", "history", "order_when", "external", "blocking")
OF_HANDLERS_ONLY = ("publish", "set_timer", "cancel_timer", "watch")

log = structlog.get_logger("recorder")


class Recorder:
    """Writes the records of one session to `sink`; `sync` makes them durable.

    `clock` must be the one that the engine was made with. Timers that are set at its standing time
    (`RecordingClock.item_ns`) are recorded from now on: those of a start are the core's too.

    Attributes:
        is_deriving: whether what happens now follows from a record.
    """

    def __init__(self, sink: InputSink, clock: RecordingClock) -> None:
        self._sink = sink
        self._append = sink.append
        self._clock = clock
        self._encode = msgspec.msgpack.Encoder().encode
        self._lines: list[Line] = []
        self._engine: Engine
        self._types: dict[type, int] = {}
        self._timer_counts: dict[int, int] = {}
        self.is_deriving = False
        self._is_matching = False  # a simulated venue is at work inside a step
        self._following = Following(self._follows)
        self._owner = CORE  # whose item it is
        self._thread = get_ident()
        self.core = RecordedCore(self, clock)
        self._from_threads = self.core.from_threads
        clock.set_timer = self.timer

    # -- for those who run the system ------------------------------------------------------------

    def attach(
        self,
        engine: Engine,
        runs: Sequence[RecordedRun],
        start: SessionStarted,
        *,
        venues: Iterable[MatchesInSteps] = (),
    ) -> None:
        """Record from now on. To be called once everything is wired and before anything runs.

        `venues` are the simulated ones: what they publish comes from outside, steps or not.

        Raises:
            InvariantBroken: the engine's clock is not this recorder's.
        """
        if engine.clock is not self._clock:
            raise InvariantBroken("what is recorded needs the recorder's clock")
        self._engine = engine
        self._thread = get_ident()
        self.write(start)
        engine.bus.record_inputs(self._take)
        engine.bus.follow_in(self._following)
        for venue in venues:
            on_market: Any = partial(self._match, venue.on_market)
            venue.on_market = on_market  # type: ignore[method-assign] # put between
        self.core.attach(engine, [run.context.run for run in runs])
        for asks, name in ((engine.market_watch, "on_first"), (engine.books, "on_request")):
            self.keep_outside(asks, name)
        for index, run in enumerate(runs):
            self._attach(Line(index, run))

    def sync(self) -> None:
        """Make everything recorded so far durable. Raises JournalError if it cannot be."""
        self._sink.sync()

    def keep_outside(self, owner: object, name: str) -> None:
        """Have the timers that a method of `owner` sets belong to nobody, even within an item.

        For what is beside the core (feeds, alerts): a replay has none of it.
        """
        setattr(owner, name, partial(self._outside, getattr(owner, name)))

    def _outside(self, call: Callable[..., T], *args: Any, **named: Any) -> T:
        clock = self._clock
        set_timer, clock.set_timer = clock.set_timer, None
        try:
            return call(*args, **named)
        finally:
            clock.set_timer = set_timer

    def write(self, record: InputRecord) -> None:
        """Append one record, behind what other threads did before."""
        while self._from_threads:
            self._append(self._encode(self._from_threads.popleft()))
        self._append(self._encode(record))

    # -- items -----------------------------------------------------------------------------------

    def begin(self, owner: int, time_ns: int, *, derives: bool = True) -> None:
        """Begin an item: time stands still until `end`."""
        self._owner = owner
        self.is_deriving = derives
        self._clock.item_ns = time_ns
        self._following.number = 0

    def end(self) -> None:
        """End the item that lasts, if one does."""
        self._owner, self.is_deriving = CORE, False
        self._clock.item_ns = None

    def as_core(self, time_ns: int, call: Callable[P, T], /, *args: P.args, **named: P.kwargs) -> T:
        """Return what `call` returns; what it publishes is derived, its timers are the core's."""
        owner, derives, item_ns = self._owner, self.is_deriving, self._clock.item_ns
        self.begin(CORE, time_ns)
        try:
            return call(*args, **named)
        finally:
            self._owner, self.is_deriving, self._clock.item_ns = owner, derives, item_ns

    @property
    def now_ns(self) -> int:
        """Market time: of the item, if one lasts."""
        return self._clock.now_ns

    def mark(self, line: Line, reason: str) -> None:
        """Note that a replay cannot know all that this run does from here on."""
        if line.unverifiable:
            return
        line.unverifiable = reason
        log.warning("run_not_verifiable", run=line.name, reason=reason)
        self.write(RunUnverifiable(line.index, reason, self._clock.now_ns))
        if self._owner == line.index:
            self.is_deriving = False

    # -- inputs ----------------------------------------------------------------------------------

    def _take(self, event: Any) -> None:
        """Record an event from outside and publish it."""
        bus = self._engine.bus
        if self.is_deriving:
            bus.publish_now(event)
            return
        clock = self._clock
        time_ns, before_ns, owner = clock.now_ns, clock.item_ns, self._owner
        number = self._types.get(event.__class__)
        if number is None:
            number = self.number_of(event.__class__)
        try:
            self.write(InputTaken(bus.sequence, time_ns, number, event))  # encoded in one go
        except (TypeError, ValueError, OverflowError) as error:
            self._lose(f"an event of {path_of(type(event))} cannot be recorded: {error}")
        self.begin(CORE, time_ns)
        try:
            bus.publish_now(event)
        finally:
            self._owner, self.is_deriving, clock.item_ns = owner, False, before_ns

    def _match(self, on_market: Callable[[Any], None], event: Any) -> None:
        was_matching, self._is_matching = self._is_matching, True
        try:
            self._outside(on_market, event)
        finally:
            self._is_matching = was_matching

    def _follows(self, behind: int, event: Any) -> None:
        """Record what a simulated venue publishes inside a step, and whose channels are full."""
        is_foreign = isinstance(event, Overflowed) and self.core.is_onlooker(event.subscriber)
        if self._is_matching or is_foreign:
            number, time_ns = self.number_of(event.__class__), self._clock.now_ns
            payload = cast(msgspec.Raw, event)
            sequence = self._engine.bus.sequence
            self.write(InputTaken(sequence, time_ns, number, payload, behind))

    def _lose(self, reason: str) -> None:
        self.write(RunUnverifiable(CORE, reason, self._clock.now_ns))
        for line in self._lines:
            line.unverifiable = line.unverifiable or reason
        log.error("input_not_recorded", reason=reason)

    def number_of(self, kind: type) -> int:
        """Return the number that stands for an event type in records."""
        number = self._types.get(kind)
        if number is None:
            number = self._types[kind] = len(self._types)
            self.write(TypeNamed(number, path_of(kind)))
        return number

    def timer(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Return what records that a timer fires, and then calls `callback`."""
        owner = self._owner
        number = self._timer_counts[owner] = self._timer_counts.get(owner, 0) + 1

        def fire() -> None:
            time_ns = self._clock.now_ns
            self.write(TimerFired(owner, number, time_ns))
            self.begin(owner, time_ns, derives=owner == CORE or not self._lines[owner].unverifiable)
            try:
                callback()
            finally:
                self.end()

        return fire

    # -- one run ---------------------------------------------------------------------------------

    def _attach(self, line: Line) -> None:
        self._lines.append(line)
        subscriber, context, task = line.subscriber, line.context, line.subscriber.task
        original: Any = subscriber.handle
        subscriber.handle = partial(self._handle, line, original)  # type: ignore[method-assign]
        subscriber.after = partial(self._after, line, subscriber.after)
        subscriber.on_overflow = partial(self._overflowed, line, subscriber.on_overflow)
        original = subscriber.release
        subscriber.release = partial(self._release, line, original)  # type: ignore[method-assign]
        task.before = partial(self._resume, line, task.before)
        task.done = partial(self._finished, line, task.done)
        context.desk = cast(Any, RecordedDesk(context.desk, line, self))
        self.keep_outside(context, "watch")
        for name in AWAITED:
            setattr(context, name, partial(self._await, line, name, getattr(context, name)))
        for name in OF_HANDLERS_ONLY:
            setattr(context, name, partial(self._call, line, name, getattr(context, name)))
        original = context.block
        context.block = partial(self._block, line, original)  # type: ignore[method-assign]
        original = context.unblock
        context.unblock = partial(self._block, line, lambda _: original(), "")  # type: ignore[method-assign]
        RecordedWarmUp(self, line.index).attach(context.warm_up)

    def _handle(self, line: Line, handle: Callable[[Any], None], event: Any) -> None:
        time_ns = self._clock.now_ns
        self.write(
            EventDelivered(line.index, line.subscriber.sequence, self._engine.bus.sequence, time_ns)
        )
        self.begin(line.index, time_ns, derives=not line.unverifiable)
        try:
            handle(event)
        finally:
            self.end()

    def _after(self, line: Line, after: Callable[[], None]) -> None:
        """End the item before what it caused leaves the process."""
        if line.interrupted:
            self.mark(line, line.interrupted)
        self.end()
        after()

    def _overflowed(
        self, line: Line, call: Callable[[ChannelOverflow], None], failure: ChannelOverflow
    ) -> None:
        time_ns = self._clock.now_ns
        self.write(ChannelEnded(line.index, self._engine.bus.sequence, time_ns))
        self._within(line, time_ns, partial(call, failure))

    def _resume(self, line: Line, before: Callable[[], None]) -> None:
        """A handler goes on. One that awaits the framework is recorded when the answer is there."""
        before()
        if line.waits:
            return
        self.mark(line, f"a foreign await in {line.subscriber.current_handler}")
        self.begin(line.index, self._clock.now_ns, derives=False)

    def _finished(
        self,
        line: Line,
        done: Callable[[BaseException | None], None],
        error: BaseException | None,
    ) -> None:
        time_ns = self._clock.now_ns
        self.write(HandlerEnded(line.index, self._engine.bus.sequence, time_ns))
        self._within(line, time_ns, partial(done, error))

    def _within(self, line: Line, time_ns: int, call: Callable[[], None]) -> None:
        self.begin(line.index, time_ns, derives=not line.unverifiable)
        try:
            call()
        finally:
            self.end()

    def _release(
        self, line: Line, release: Callable[[Iterable[Any]], None], first: Iterable[Any] = ()
    ) -> None:
        events = list(first)
        if not self.is_deriving:
            packed = tuple(
                (self.number_of(event.__class__), cast(msgspec.Raw, event)) for event in events
            )
            self.write(EventsHanded(line.index, self._clock.now_ns, packed))
        release(events)

    def _block(self, line: Line, block: Callable[[str], None], reason: str) -> None:
        if get_ident() != self._thread:  # the watchdog, while a handler holds the loop
            line.interrupted = reason
        elif not self.is_deriving:
            self.write(OrdersBlocked(line.index, self._clock.now_ns, reason))
        block(reason)

    # -- what a strategy calls -------------------------------------------------------------------

    def check_caller(self, line: Line, name: str) -> None:
        """Mark the run unless its own handler is what calls."""
        if self._engine.bus.running is not line.subscriber:
            self.mark(line, f"{name} in a task that the strategy started")
        elif line.waits:
            self.mark(line, f"{name} inside what was awaited through external")

    def _call(self, line: Line, name: str, call: Callable[..., T], *args: Any, **named: Any) -> T:
        self.check_caller(line, name)
        return call(*args, **named)

    async def _await(
        self, line: Line, name: str, call: Callable[..., Awaitable[T]], *args: Any, **named: Any
    ) -> T:
        if self._engine.bus.running is not line.subscriber:
            self.mark(line, f"{name} awaited in a task that the strategy started")
            return await call(*args, **named)
        if line.waits:  # inside `external`, whose answer is recorded as a whole
            return await call(*args, **named)
        line.waits += 1
        try:
            answer = await call(*args, **named)
        except BaseException as error:
            line.waits -= 1
            self._answered(line, name, partial(pack_error, error), error)
            raise
        line.waits -= 1
        self._answered(line, name, partial(pack, answer), None)
        return answer

    def _answered(
        self, line: Line, name: str, packed: Callable[[], bytes], error: BaseException | None
    ) -> None:
        """Record an answer; it begins the item of what its handler does next."""
        has_waited = self._clock.item_ns is None
        if isinstance(error, asyncio.CancelledError) and not line.subscriber.task.is_given_up:
            self.mark(line, f"{name} was cancelled by a timeout or scope of the strategy's own")
        elif isinstance(error, GeneratorExit):
            return  # the loop ends, and nothing goes on
        answer = b""
        if not line.unverifiable:
            try:
                answer = packed()
            except DataError as failure:
                self.mark(line, f"{name}: {failure}")
        time_ns = self._clock.now_ns
        sequence, is_error = self._engine.bus.sequence, error is not None
        self.write(
            HandlerResumed(line.index, name, has_waited, sequence, time_ns, answer, is_error)
        )
        self.begin(line.index, time_ns, derives=not line.unverifiable)
