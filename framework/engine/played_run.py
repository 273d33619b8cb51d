"""What a replay puts in the place of timers, feeds and waits, and what it keeps of each run."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, cast

import anyio
import msgspec

from framework.bus.routes import Taker
from framework.engine.played_desk import PlayedDesk
from framework.engine.recorded_run import RecordedRun
from framework.engine.values import pack, pack_error
from framework.errors import InvariantBroken
from framework.model.market_data import Candle


class PlayedTimer:
    """A pending timer of a replay."""

    def __init__(self, forget: Callable[[], object] | None = None) -> None:
        self._forget = forget

    def cancel(self) -> None:
        """Take the timer back; harmless once it fired."""
        if self._forget is not None:
            self._forget()


class Following(deque[Any]):
    """What follows from a step, counted per item; `hear` is told after each."""

    def __init__(self, hear: Callable[[], None]) -> None:
        super().__init__()
        self.number = 0
        self._hear = hear

    def append(self, event: Any) -> None:
        """Take in one more."""
        super().append(event)
        self.number += 1
        self._hear()


class Waiting(msgspec.Struct):
    """What a handler awaits: `answer` is for the handler, `work` is the core's own wait for it."""

    call: str
    answer: "asyncio.Future[Any]"
    work: Coroutine[Any, Any, Any] | None


class PlayedRun:
    """One run as it is played again."""

    def __init__(self, index: int, run: RecordedRun) -> None:
        self.index = index
        self.context = run.context
        self.subscriber = run.subscriber
        self.name = run.context.run
        self.desk: PlayedDesk
        self.unverifiable = ""
        self.waiting: Waiting | None = None
        self.step_count = 0
        self.endings: list[BaseException | None] = []  # of handlers, until their records come
        self.end: Callable[[BaseException | None], None]
        self.warm_up: Coroutine[Any, Any, None] | None = None

    def stepped(self, after: Callable[[], None]) -> None:
        """Count a step of a handler that had waited, and do what comes after it."""
        self.step_count += 1
        after()


class Onlooker:
    """Stands where the session had a subscriber that is no run: wants the same, and hears nothing.

    What of a `Subscriber` the routes of the bus need.
    """

    is_ended = is_lane_open = False
    wake_reader = None

    def __init__(self) -> None:
        self.interests: list[Any] = []
        self.takers: list[Taker] = []

    def connect(self, taker: Taker) -> None:
        """Take events of a route, to forget them."""
        taker.accept = _forget
        taker.channel = cast(Any, self)
        self.takers.append(taker)

    def leave(self, taker: Taker) -> None:
        """Nothing is queued."""


def _forget(event: Any) -> None:
    """Take no notice."""


class SilentFeed:
    """Stands where the session had a live feed: nothing comes from it but what was recorded."""

    instruments = ()

    def subscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Ask for nothing."""

    def unsubscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Give nothing up."""

    async def history(
        self, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """Raise: the recorded answer is given instead."""
        raise InvariantBroken("a replay asks no feed")

    async def run(self) -> None:
        """Wait until cancelled."""
        await anyio.sleep_forever()


class Outcome(msgspec.Struct):
    """What awaiting came to."""

    value: Any = None
    error: Exception | None = None

    def packed(self) -> tuple[bytes, bool]:
        """Return it as a record holds it: the answer, and whether that is an error."""
        if self.error is not None:
            return pack_error(self.error), True
        return pack(self.value), False

    def __str__(self) -> str:
        return repr(self.value if self.error is None else self.error)


def step(work: Coroutine[Any, Any, Any]) -> Outcome | None:
    """Take a coroutine one step further by hand: what it came to, None while it waits."""
    try:
        waits_for = work.send(None)
    except StopIteration as end:
        return Outcome(end.value)
    except Exception as error:
        return Outcome(error=error)
    waits_for._asyncio_future_blocking = False  # no task waits for it, but a record
    return None
