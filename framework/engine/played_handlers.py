"""The handlers of a replay: what each takes, where it goes on, what it awaits, how it ends."""

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from inspect import iscoroutine
from types import coroutine as generator_coroutine
from typing import TYPE_CHECKING, Any

from framework.engine.played_run import PlayedRun, Waiting, step
from framework.engine.recorded_core import CORE
from framework.engine.recorder import AWAITED
from framework.engine.values import unpack, unpack_error
from framework.errors import ChannelOverflow
from framework.model.inputs import (
    ChannelEnded,
    EventDelivered,
    HandlerEnded,
    HandlerResumed,
    WarmUpAnswered,
)

if TYPE_CHECKING:
    from framework.engine.playback import Playback

OF_THE_CORE = ("sleep", "order_when")  # awaits whose answers the replay derives, and compares
MOST_TURNS = 10_000  # of the loop, until a handler that goes on waits again or ends


class PlayedHandlers:
    """Calls handlers, and lets them go on, when a record says so."""

    def __init__(self, playback: "Playback") -> None:
        self._playback = playback

    def attach(self, line: PlayedRun) -> None:
        """Put a run's waits, and the steps of its handlers, under the records."""
        context, subscriber, task = line.context, line.subscriber, line.subscriber.task
        for name in AWAITED:
            setattr(context, name, partial(self.awaited, line, name, getattr(context, name)))
        warm_up: Any = context.warm_up
        warm_up.ask_history = _history
        warm_up.start = partial(self.start_warm_up, line)
        subscriber.after = self._playback.end_item
        task.after = partial(line.stepped, task.after)
        line.end, task.done = task.done, line.endings.append

    def deliver(self, record: EventDelivered) -> None:
        """Hand a run its next event, which must be the recorded one."""
        line, bus = self._playback.lines[record.run], self._playback.engine.bus
        subscriber = line.subscriber
        try:
            event = subscriber.take()
        except ChannelOverflow as failure:
            self._playback.differ(line, str(failure), record)
            return
        found = (subscriber.sequence, bus.sequence)
        if event is None or found != (record.sequence, record.engine_sequence):
            self._playback.differ(line, f"event {found[0]} of {found[1]}: {event!r}", record)
            return
        if not line.unverifiable:
            self._playback.within(line.index, record.time_ns, partial(subscriber.handle, event))

    def end_channel(self, record: ChannelEnded) -> None:
        """Let a run hear that a channel of its own overflowed."""
        line = self._playback.lines[record.run]
        try:
            event = line.subscriber.take()
        except ChannelOverflow as failure:
            if not line.unverifiable:
                on_overflow = line.subscriber.on_overflow
                self._playback.within(line.index, record.time_ns, partial(on_overflow, failure))
            return
        self._playback.differ(line, f"no overflow, but {event!r}", record)

    async def resume(self, record: HandlerResumed) -> None:
        """Let a handler that waits go on with the recorded answer, up to its next wait."""
        line = self._playback.lines[record.run]
        if line.unverifiable:
            return
        waiting = line.waiting
        if waiting is None or waiting.call != record.call or not record.has_waited:
            awaits = "nothing" if waiting is None else waiting.call
            self._playback.differ(line, f"the handler awaits {awaits}", record)
            return
        before = line.step_count
        self._playback.begin(line.index, record.time_ns)
        self._answer(line, waiting, record)
        await turn_until(lambda: line.step_count > before)
        self._playback.end_item()

    def _answer(self, line: PlayedRun, waiting: Waiting, record: HandlerResumed) -> None:
        error = unpack_error(record.answer) if record.is_error else None
        if isinstance(error, asyncio.CancelledError):
            if waiting.work is not None:
                waiting.work.close()
            line.subscriber.task.give_up()
            return
        if waiting.work is not None:
            outcome = step(waiting.work)
            if outcome is None or outcome.packed() != (record.answer, record.is_error):
                waiting.work.close()
                self._playback.differ(line, f"{record.call} came to {outcome}", record)
        if error is None:
            waiting.answer.set_result(unpack(record.answer))
        else:
            waiting.answer.set_exception(error)

    async def end_handler(self, record: HandlerEnded) -> None:
        """Act on the end of a handler that had waited."""
        line = self._playback.lines[record.run]
        if line.unverifiable:
            return
        await turn_until(lambda: bool(line.endings))
        if not line.endings:
            self._playback.differ(line, "the handler has not come to its end", record)
            return
        self._playback.within(line.index, record.time_ns, partial(line.end, line.endings.pop()))

    async def awaited(
        self, line: PlayedRun, name: str, call: Callable[..., Any], *args: Any, **named: Any
    ) -> Any:
        """Wait for the recorded answer. Nobody outside is asked; the core waits as it did."""
        for value in args:
            if iscoroutine(value):
                value.close()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._playback.engine.bus.running is not line.subscriber or line.waiting is not None:
            return await answer  # for ever: what a task of the strategy's own hears is unknown
        work = call(*args, **named) if name in OF_THE_CORE else None
        outcome = None if work is None else step(work)
        found = self._playback.peek()
        if (
            isinstance(found, HandlerResumed)
            and (found.run, found.call, found.has_waited) == (line.index, name, False)
            and (work is None or outcome is not None)
        ):
            self._playback.take()
            if found.is_error:
                raise unpack_error(found.answer)
            return unpack(found.answer)
        if outcome is not None:
            self._playback.differ(line, f"{name} came to {outcome} at once")
        line.waiting = Waiting(name, answer, work)
        try:
            return await answer
        finally:
            line.waiting = None

    def start_warm_up(self, line: PlayedRun) -> None:
        """Fetch history up to where the first answer is awaited."""
        fetch = line.warm_up = line.context.warm_up.fetch()
        self._go_on(line, fetch.send, None)

    def warm_up(self, record: WarmUpAnswered) -> None:
        """Give a warm-up the history that came."""
        line = self._playback.lines[record.run]
        fetch = line.warm_up
        if fetch is None:
            self._playback.differ(line, "no warm-up is under way", record)
        elif not record.is_error:
            go_on = partial(self._go_on, line, fetch.send, unpack(record.answer))
            self._playback.within(CORE, record.time_ns, go_on)
        else:  # it ended the session then, as every failure of a part does
            fetch.close()
            line.warm_up = None

    def _go_on(self, line: PlayedRun, go_on: Callable[[Any], Any], value: Any) -> None:
        try:
            go_on(value)
        except StopIteration:
            line.warm_up = None


async def turn_until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds, or it has turned often enough."""
    for _ in range(MOST_TURNS):
        if condition():
            return
        await asyncio.sleep(0)


async def _history(*_: Any) -> Any:
    """Wait for the record that holds the candles."""
    return await _suspend()


@generator_coroutine
def _suspend() -> Generator[None, Any, Any]:
    return (yield)
