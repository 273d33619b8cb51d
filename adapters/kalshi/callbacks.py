"""Calls async functions of the user, each in a task and with a queue of its own (B18)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog

from adapters.kalshi.client_settings import CHANNELS
from adapters.kalshi.codec import Frame
from adapters.kalshi.queues import MessageQueue
from adapters.kalshi.readers import Messages
from framework.errors import ChannelOverflow

log = structlog.get_logger("kalshi")

Callback = Callable[[Any], Awaitable[None]]
Raised = Callable[[str, Exception], None]
"""Is told the name of what raised, and the error."""


class Caller:
    """Awaits one function for each item of its queue, one after another; errors end nothing."""

    def __init__(
        self,
        name: str,
        queue: MessageQueue[Any],
        call: Callback,
        *,
        raised: Raised,
        budget_s: float | None = None,
    ) -> None:
        self.name = name
        self.queue = queue
        self.error_count = 0
        self.slow_count = 0
        self._call = call
        self._raised = raised
        self._budget_s = budget_s
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to call, if it has not begun."""
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._run())

    def statistics(self) -> dict[str, int]:
        """Return counters of its queue and of the calls."""
        return {**self.queue.statistics(), "errors": self.error_count, "slow": self.slow_count}

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for item in self.queue:
                begun_s = loop.time()
                try:
                    await self._call(item)
                except Exception as error:
                    self.error_count += 1
                    self._raised(self.name, error)
                self._check_budget(loop.time() - begun_s)
        except ChannelOverflow:
            return  # who filled the queue has reported it

    def _check_budget(self, spent_s: float) -> None:
        if self._budget_s is None or spent_s <= self._budget_s:
            return
        self.slow_count += 1
        if self.slow_count == 1:
            log.warning("callback_slow", callback=self.name, spent_s=round(spent_s, 3))


class Callbacks:
    """The callbacks of all channels; they subscribe nothing (K22)."""

    def __init__(self, *, delivers_unread: bool, budget_s: float, raised: Raised) -> None:
        self._delivers_unread = delivers_unread
        self._budget_s = budget_s
        self._raised = raised
        self._callers: dict[str, list[Caller]] = {}
        self._is_started = False

    def add(self, channel: str, callback: Callback, queue: MessageQueue[Frame]) -> None:
        """Call `callback` for each message of a channel from now on (K19)."""
        is_known = channel in CHANNELS  # what is not is delivered as it came (K8)
        reader = Messages(delivers_unread=self._delivers_unread or not is_known)

        async def call(frame: Frame) -> None:
            message = reader.read(frame)
            if message is not None:
                await callback(message)

        number = len(self._callers.setdefault(channel, [])) + 1
        caller = Caller(
            f"{channel} callback {number}",
            queue,
            call,
            raised=self._raised,
            budget_s=self._budget_s,
        )
        self._callers[channel].append(caller)
        if self._is_started:
            caller.start()

    def has(self, channel: str) -> bool:
        """Say whether anybody listens to a channel."""
        return bool(self._callers.get(channel))

    def start(self) -> None:
        """Begin to call."""
        self._is_started = True
        for caller in self.all:
            caller.start()

    def take(self, channel: str, frame: Frame) -> list[Caller]:
        """Queue a frame for each callback; return those for which that was too much."""
        callers = self._callers.get(channel)
        if callers is None:
            return []
        return [caller for caller in callers if not caller.queue.push(frame)]

    def statistics(self) -> dict[str, int]:
        """Return the counters of all of them, added up."""
        total: Counter[str] = Counter()
        for caller in self.all:
            total.update(caller.statistics())
        return dict(total)

    @property
    def all(self) -> list[Caller]:
        """Every caller."""
        return [caller for callers in self._callers.values() for caller in callers]


async def finish(callers: Iterable[Caller], patience_s: float) -> None:
    """Let them call for what waits, for so long in all, and end; not the one that asks for it."""
    tasks: set[asyncio.Task[None]] = set()
    for caller in callers:
        caller.queue.end(None)
        if caller.task is not None and caller.task is not asyncio.current_task():
            tasks.add(caller.task)
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, timeout=patience_s)
    finally:
        late = [task for task in tasks if task.cancel()]
    if late:
        await asyncio.wait(late)
