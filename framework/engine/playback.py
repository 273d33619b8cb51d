"""Plays recorded inputs to the core and its strategies, and compares every command.

The same wiring as in the recorded session, with a clock that only the records move, brokers that
are never reached and feeds that do not run. Each record is played in turn: an input is published,
a handler takes its event, a waiting handler goes on, exactly where it did. What a record caused
must follow from it: commands are compared byte for byte with those that come next.

A run that is not verifiable is played until the record says so. From there on its strategy is
silent and its recorded commands are carried out instead, so that the others meet the same world.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any, TypeVar, cast

import anyio
import msgspec

from framework.engine.engine import Engine
from framework.engine.played_core import BESIDE, PlayedCore
from framework.engine.played_desk import PlayedDesk, inject
from framework.engine.played_handlers import PlayedHandlers, turn_until
from framework.engine.played_run import (
    Following,
    PlayedRun,
    PlayedTimer,
    SilentFeed,
)
from framework.engine.record_cursor import Difference, RecordCursor, in_words
from framework.engine.recorded_core import CORE
from framework.engine.recorded_run import RecordedRun
from framework.engine.session_start import changed_code
from framework.engine.values import path_of
from framework.errors import DataError, InvariantBroken, StrategyError
from framework.interfaces import TimerHandle
from framework.model.inputs import (
    ChannelEnded,
    CommandAnswered,
    CommandIssued,
    EventDelivered,
    EventsHanded,
    GateMoved,
    HandlerEnded,
    HandlerResumed,
    InputRecord,
    InputTaken,
    OnlookerCame,
    OnlookerLeft,
    OrderForgotten,
    OrdersBlocked,
    RunUnverifiable,
    SessionStarted,
    TimerFired,
    VenueCommandMade,
    VenueCommandSent,
    WarmUpAnswered,
)

T = TypeVar("T")


class PlaybackClock:
    """Market time as the records tell it; timers fire when a record says so."""

    def __init__(self, start_ns: int = 0) -> None:
        self.now_ns = start_ns
        self.playback: Playback | None = None

    def call_at(self, time_ns: int, callback: Callable[[], None]) -> TimerHandle:
        """Keep `callback` for its record, if it is set within an item as it was then."""
        return PlayedTimer() if self.playback is None else self.playback.timer(callback)


class Verdict(msgspec.Struct, frozen=True):
    """What the replay of one session came to. `unverifiable` gives the reason per run.

    `command_count` are the strategies' commands that were compared; `outside_count` those that
    came from outside every strategy (front doors, stop policies, whoever embeds the runtime) and
    were given again, their answers compared; `entry_count` the compared entries of the order log.
    `lost` says why the rest of the session could not be played at all. `is_cut`: the records end
    within an item, as a kill leaves them; what would have come behind is not judged.
    """

    journal_id: str
    epoch: int
    record_count: int
    command_count: int
    difference: Difference | None
    unverifiable: dict[str, str]
    lost: str = ""
    changed_code: tuple[str, ...] = ()
    outside_count: int = 0
    entry_count: int = 0
    is_cut: bool = False


class Playback:
    """Plays one session. `engine` and `runs` are wired as they were, and nothing of them runs.

    `clock` must be the one that the engine was made with.

    Raises:
        DataError: the runs are not those of the session.
    """

    def __init__(
        self,
        engine: Engine,
        runs: Sequence[RecordedRun],
        start: SessionStarted,
        records: RecordCursor,
        clock: PlaybackClock,
    ) -> None:
        self.records = records
        self.command_count = 0
        self.outside_count = 0
        self.difference: Difference | None = None
        self.engine = engine
        self._clock = clock
        self._start = start
        self._runs = runs
        self._lost = ""
        self._is_cut = False
        self._owner = CORE
        self._derives = False
        self._following = Following(self.insert)
        self._is_over = False
        self._record_count = 0
        self._input = "nothing: the session had just begun"
        self._timers: dict[tuple[int, int], Callable[[], None]] = {}
        self._timer_counts: dict[int, int] = {}
        self.lines = [PlayedRun(index, run) for index, run in enumerate(runs)]
        for kind in chain.from_iterable(run.strategy.events for run in runs):
            records.known_types[path_of(kind)] = kind
        handlers = self._handlers = PlayedHandlers(self)
        core = self._core = PlayedCore(self)
        self._play_by: dict[type, Callable[[Any], Awaitable[None] | None]] = {
            InputTaken: self._take,
            TimerFired: self._fire,
            EventDelivered: handlers.deliver,
            ChannelEnded: handlers.end_channel,
            HandlerResumed: handlers.resume,
            HandlerEnded: handlers.end_handler,
            CommandIssued: self._inject,
            CommandAnswered: self._unfounded,
            VenueCommandMade: self._unfounded,
            VenueCommandSent: core.send,
            EventsHanded: self._hand,
            WarmUpAnswered: handlers.warm_up,
            OrdersBlocked: self._block,
            GateMoved: core.move_gate,
            OrderForgotten: core.forget,
            OnlookerCame: core.welcome,
            OnlookerLeft: core.part,
            RunUnverifiable: self._abandon,
        }
        named = [code.run for code in start.runs]
        if [line.name for line in self.lines] != named:
            raise DataError(f"the session had the runs {named}, the configuration has others")

    def begin_session(self, start: Callable[[], object]) -> None:
        """Have `start` put the core into the state that it begins in; timers it sets are kept."""
        self._clock.playback = self
        self.engine.market_watch.on_first = _unasked
        self.engine.books.on_request = _unasked
        self.within(CORE, self._start.time_ns, start)

    def keep_outside(self, owner: object, name: str) -> None:
        """Have a method of `owner` set no timers, as `Recorder.keep_outside` says."""
        setattr(owner, name, partial(self._outside, getattr(owner, name)))

    def _outside(self, call: Callable[..., T], *args: Any, **named: Any) -> T:
        clock = self._clock
        playback, clock.playback = clock.playback, None
        try:
            return call(*args, **named)
        finally:
            clock.playback = playback

    async def play(self) -> Verdict:
        """Play the session to its end or to the first difference."""
        self._attach()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.engine.bus.run)
            await turn_until(self._are_tasks_up)
            try:
                for record in self.records.rest_of_session():
                    self._record_count += 1
                    await self._play(record)
                    if self.difference is not None or self._lost:
                        break
            finally:
                self._is_over = True
                tasks.cancel_scope.cancel()
        return Verdict(
            journal_id=self._start.journal_id,
            epoch=self._start.epoch,
            record_count=self._record_count,
            command_count=self.command_count,
            difference=self.difference,
            unverifiable={line.name: line.unverifiable for line in self.lines if line.unverifiable},
            lost=self._lost,
            changed_code=changed_code(self._start, self._runs),
            outside_count=self.outside_count,
            is_cut=self._is_cut,
        )

    async def _play(self, record: InputRecord) -> None:
        try:
            played = self._play_by[type(record)](record)
            if played is not None:
                await played
        except InvariantBroken as error:  # a step of the core failed
            self.differ(None, str(error), record)
        except DataError as error:
            self._lost = str(error)

    def _attach(self) -> None:
        engine = self.engine
        engine.bus.wake = _asleep  # type: ignore[method-assign] # the records deliver
        if self._start.is_pumped:
            engine.bus.pump()
        engine.bus.follow_in(self._following)
        self._core.attach()
        for line, code in zip(self.lines, self._start.runs, strict=True):
            self._attach_run(line)
            line.context.session = code.session

    def _attach_run(self, line: PlayedRun) -> None:
        line.desk = PlayedDesk(line.context.desk, line, self)
        line.context.desk = cast(Any, line.desk)
        line.context.replace_feeds(SilentFeed())
        self._handlers.attach(line)

    # -- items -----------------------------------------------------------------------------------

    @property
    def is_deriving(self) -> bool:
        """Whether what happens now follows from a record."""
        return self._derives

    def begin(self, owner: int, time_ns: int) -> None:
        self._owner, self._derives = owner, True
        self._clock.now_ns = time_ns
        self._following.number = 0

    def end_item(self) -> None:
        self._owner, self._derives = CORE, False

    def within(self, owner: int, time_ns: int, call: Callable[[], object]) -> None:
        self.begin(owner, time_ns)
        try:
            call()
        finally:
            self.end_item()

    def as_core(self, time_ns: int, call: Callable[[], T]) -> T:
        """Return what `call` returns, as `Recorder.as_core` does."""
        owner, derives, now_ns = self._owner, self._derives, self._clock.now_ns
        self.begin(CORE, time_ns)
        try:
            return call()
        finally:
            self._owner, self._derives, self._clock.now_ns = owner, derives, now_ns

    def timer(self, callback: Callable[[], None]) -> PlayedTimer:
        """Keep a timer for its record; one that is set outside every item has none."""
        if not self._derives:
            return PlayedTimer()
        number = self._timer_counts[self._owner] = self._timer_counts.get(self._owner, 0) + 1
        key = (self._owner, number)
        self._timers[key] = callback
        return PlayedTimer(partial(self._timers.pop, key, None))

    # -- what differs ----------------------------------------------------------------------------

    def differ(
        self, line: PlayedRun | None, replayed: str, record: InputRecord | None = None
    ) -> None:
        """Note the first difference: of the record at hand, or of the one that comes next.

        Behind the last record is none: inputs reach the disk while the core goes on, so that a
        kill may leave the first records of an item without the others.
        """
        if self.difference is not None or self._is_over:
            return
        if record is None and isinstance(self.peek(), SessionStarted | None):
            self._is_cut = True
            return
        self.difference = Difference(
            position=self.records.position + (record is None),
            run="" if line is None else line.name,
            recorded=in_words(self.peek() if record is None else record),
            replayed=replayed,
            before=self._before(line),
        )

    def differ_in_log(self, entry: int, written: str, replayed: str) -> None:
        """Note that the order log has another entry there than this session comes to."""
        if self.difference is not None or self._is_over:
            return
        owner = self.line_of(self._owner)
        self.difference = Difference(
            position=self.records.position,
            run="" if owner is None else owner.name,
            recorded=written,
            replayed=replayed,
            before=self._before(owner),
            entry=entry,
        )

    def _before(self, line: PlayedRun | None) -> str:
        """Return what was handled when something differed."""
        if line is not None and line.subscriber.event is not None:
            return f"event {line.subscriber.sequence}: {line.subscriber.event!r}"
        return self._input

    def peek(self) -> InputRecord | None:
        """Return the next record that what is played now may have caused."""
        return cast(InputRecord | None, self.records.peek(BESIDE))

    def take(self) -> None:
        """Go on past that record; what was written before it happened before it."""
        self.play_beside()
        self.records.take()

    def play_beside(self) -> None:
        """Play what happened beside the item that is played, up to its own next record."""
        while isinstance(found := self.records.peek(), BESIDE) and not self._is_over:
            self._play_by[type(found)](self.records.take())

    def require_player(self, line: PlayedRun) -> None:
        """Refuse a command of a run that is not played now: its records speak for it."""
        found = self.peek()
        if isinstance(found, RunUnverifiable) and found.run == line.index and not self._is_over:
            self.take()
            self._abandon(found)
        is_playing = self.engine.bus.running is line.subscriber
        if self._is_over or line.unverifiable or not is_playing or self.difference is not None:
            raise StrategyError("the replay does not play this strategy now")

    def _unfounded(self, record: InputRecord) -> None:
        line = self.line_of(record.run) if isinstance(record, CommandAnswered) else None
        self.differ(line, "nothing of it", record)

    def line_of(self, run: int) -> PlayedRun | None:
        """Return the run that a record names; None for the core."""
        return None if run == CORE else self.lines[run]

    # -- inputs ----------------------------------------------------------------------------------

    def _take(self, record: InputTaken) -> None:
        bus = self.engine.bus
        event = self.records.event(record.type_number, record.event)
        if bus.sequence != record.sequence:
            text = f"{type(event).__name__} comes after event {bus.sequence}"
            self.differ(None, text, record)
            return
        self._input = f"event {record.sequence + 1}: {event!r}"
        self.within(CORE, record.time_ns, partial(self._publish, event))

    def _publish(self, event: Any) -> None:
        self.insert()
        self.engine.bus.publish(event)

    def insert(self) -> None:
        """Put in what a simulated venue published at this point of the step."""
        found = self.peek()
        if isinstance(found, InputTaken) and found.behind == self._following.number:
            self.take()
            self._following.append(self.records.event(found.type_number, found.event))

    def _fire(self, record: TimerFired) -> None:
        callback = self._timers.pop((record.run, record.number), None)
        line = self.line_of(record.run)
        if line is not None and line.unverifiable:
            return
        if callback is None:
            self.differ(line, "that timer is not set", record)
            return
        self.within(record.run, record.time_ns, callback)

    # -- runs ------------------------------------------------------------------------------------

    def _inject(self, record: CommandIssued) -> None:
        line = self.line_of(record.run)
        if line is None:
            self._input = f"a command from outside: {in_words(record)}"
            self.outside_count += 1
            inject(self, None, self.engine.desk, record)
        elif line.unverifiable:
            line.desk.inject(record)
        else:
            self.differ(line, "no command", record)

    def _hand(self, record: EventsHanded) -> None:
        events = [self.records.event(number, payload) for number, payload in record.events]
        self._clock.now_ns = record.time_ns
        self.lines[record.run].subscriber.release(events)

    def _block(self, record: OrdersBlocked) -> None:
        self._clock.now_ns = record.time_ns
        self.lines[record.run].context.block(record.reason)

    def _abandon(self, record: RunUnverifiable) -> None:
        """Play the strategy no more; -1: an input is missing, and nothing can be played."""
        if record.run == CORE:
            self._lost = record.reason
            return
        line = self.lines[record.run]
        line.unverifiable = record.reason
        line.subscriber.on_error = _unheard
        line.subscriber.silence()

    # -- the loop --------------------------------------------------------------------------------

    def _are_tasks_up(self) -> bool:
        return all(
            line.subscriber.task.is_running or not line.subscriber.is_async for line in self.lines
        )


def _asleep() -> None:
    """Nobody is woken: the records deliver."""


def _unasked(*_: object) -> None:
    """No feed is there to be asked."""


def _unheard(_: object, __: object) -> None:
    """The errors of a strategy that is not played are not told."""
