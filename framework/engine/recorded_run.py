"""What the recorder needs of others, and what it puts in the place of the clock and each run."""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from framework.bus.subscriber import Subscriber
from framework.engine.run_context import RunContext
from framework.interfaces import Clock, TimerHandle
from framework.strategy.strategy import Strategy

SetTimer = Callable[[Callable[[], None]], Callable[[], None]]
"""Takes what a timer calls and returns what is called instead."""


class InputSink(Protocol):
    """Where records go: the input log."""

    def append(self, payload: bytes) -> int: ...
    def sync(self) -> object: ...


class RecordedRun(Protocol):
    """What the recorder needs of a run of the system."""

    @property
    def context(self) -> RunContext: ...
    @property
    def subscriber(self) -> Subscriber: ...
    @property
    def strategy(self) -> Strategy: ...


class MatchesInSteps(Protocol):
    """A venue inside the process, which hears market events while they are stepped."""

    def on_market(self, event: Any) -> None: ...


class RecordingClock:
    """The core's market time: it stands still during an item, and tells of timers set in one.

    Adapters and venues keep the clock inside. A timer that is set outside an item is theirs who
    set it: what it publishes is an input.
    """

    def __init__(self, inner: Clock) -> None:
        self.item_ns: int | None = None
        self.set_timer: SetTimer | None = None
        self._inner = inner

    @property
    def now_ns(self) -> int:
        """Nanoseconds UTC."""
        item_ns = self.item_ns
        return self._inner.now_ns if item_ns is None else item_ns

    def call_at(self, time_ns: int, callback: Callable[[], None]) -> TimerHandle:
        """Call `callback` once time has come to `time_ns`, as an item of its own."""
        if self.item_ns is not None and self.set_timer is not None:
            callback = self.set_timer(callback)
        return self._inner.call_at(time_ns, callback)


class Following(deque[Any]):
    """What follows from a step, counted per item; `hear` is told before each."""

    def __init__(self, hear: Callable[[int, Any], None]) -> None:
        super().__init__()
        self.number = 0
        self._hear = hear
        self._append = super().append

    def append(self, event: Any) -> None:
        """Take in one more."""
        self._hear(self.number, event)
        self.number += 1
        self._append(event)


class Line:
    """One run as it is recorded."""

    def __init__(self, index: int, run: RecordedRun) -> None:
        self.index = index
        self.context = run.context
        self.subscriber = run.subscriber
        self.name = run.context.run
        self.waits = 0  # calls of the framework that its handler awaits now
        self.unverifiable = ""
        self.interrupted = ""  # by the watchdog, in its thread
