"""What a client tells its owner besides messages: moves of the connection, and troubles."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from adapters.kalshi.callbacks import Caller
from adapters.kalshi.queues import MessageQueue
from adapters.kalshi.reports import Report, Trouble
from framework.bus.overflow import Overflow
from framework.model.events import ConnectionState

log = structlog.get_logger("kalshi")

OnStateChange = Callable[[ConnectionState, ConnectionState], Awaitable[None]]
OnError = Callable[[Report], Awaitable[None]]

WAITING = 10_000  # moves or reports; the oldest make room
LOGGED = 20  # of each trouble; later ones are only counted, and told


class Hooks:
    """Awaits `on_state_change` once per move and `on_error` once per report, each in order."""

    def __init__(self, on_state_change: OnStateChange | None, on_error: OnError | None) -> None:
        self.callers: list[Caller] = []
        self._counts: Counter[Trouble] = Counter()
        self._moves: MessageQueue[Any] | None = None
        self._reports: MessageQueue[Any] | None = None
        if on_state_change is not None:

            async def tell_move(move: tuple[ConnectionState, ConnectionState]) -> None:
                await on_state_change(*move)

            self._moves = self._hook("on_state_change", tell_move, self.raised)
        if on_error is not None:
            self._reports = self._hook("on_error", on_error, _log_raised)

    def start(self) -> None:
        """Begin to call."""
        for caller in self.callers:
            caller.start()

    def moved(self, old: ConnectionState, new: ConnectionState) -> None:
        """Tell of a move."""
        if self._moves is not None:
            self._moves.push((old, new))

    def report(self, report: Report) -> None:
        """Count a trouble, log it unless there were many, and tell it."""
        self._counts[report.trouble] += 1
        if self._counts[report.trouble] <= LOGGED:
            trouble = report.trouble.value
            log.warning("trouble", trouble=trouble, channel=report.channel, reason=report.text)
        if self._reports is not None:
            self._reports.push(report)

    def raised(self, name: str, error: Exception) -> None:
        """Report what a callback or a hook raised (K54, K55)."""
        self.report(Report(Trouble.CALLBACK, f"{name} raised {error!r}", error=error))

    def statistics(self) -> dict[str, int]:
        """Return how often each trouble came."""
        return {f"trouble_{trouble.value}": self._counts[trouble] for trouble in Trouble}

    def _hook(
        self,
        name: str,
        call: Callable[[Any], Awaitable[None]],
        raised: Callable[[str, Exception], None],
    ) -> MessageQueue[Any]:
        queue: MessageQueue[Any] = MessageQueue(name, WAITING, Overflow.DROP_OLDEST, key=id)
        self.callers.append(Caller(name, queue, call, raised=raised))
        return queue


def _log_raised(name: str, error: Exception) -> None:
    """What `on_error` itself raises can only be logged."""
    log.error("hook_raised", hook=name, error=repr(error), exc_info=error)
