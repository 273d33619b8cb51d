"""Alerts to send, and targets that do as they are told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread

from framework.alerts.delivery import DELIVERED, Outcome
from framework.model.records import AlertRaised
from framework.settings.structs import LogLevel


def alert(name: str = "feed_lost", level: str = "error", **changes: Any) -> AlertRaised:
    """An alert of one second after the epoch."""
    values: dict[str, Any] = {"message": "no data from kite", "time_ns": 10**9} | changes
    return AlertRaised(name=name, level=level, **values)


class ScriptedTarget:
    """Answers each attempt with the next outcome, then delivers; remembers when it was asked."""

    def __init__(
        self,
        *outcomes: Outcome | Callable[[], Awaitable[Outcome]],
        name: str = "scripted",
        level: LogLevel = LogLevel.WARNING,
        timeout_s: float = 4.0,
    ) -> None:
        self.name = name
        self.level = level
        self.timeout_s = timeout_s
        self.attempts: list[tuple[float, AlertRaised]] = []
        self._outcomes = list(outcomes)

    @property
    def names(self) -> list[str]:
        return [told.name for _, told in self.attempts]

    async def send(self, told: AlertRaised) -> Outcome:
        self.attempts.append((asyncio.get_running_loop().time(), told))
        if not self._outcomes:
            return DELIVERED
        outcome = self._outcomes.pop(0)
        return outcome if isinstance(outcome, Outcome) else await outcome()


async def in_place(function: Callable[[], Any]) -> Any:
    """The seam for blocking work where there is no thread."""
    return function()


async def in_thread(function: Callable[[], Any]) -> Any:
    """The same with one."""
    return await anyio.to_thread.run_sync(function)
