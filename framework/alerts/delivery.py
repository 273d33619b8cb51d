"""Brings alerts to every configured target, each by itself: one that hangs holds up no other.

An alert always becomes a log line first. Each target has a bounded outbox (`Outbox` says what a
full one drops), a deadline per attempt, and a few attempts with growing pauses; what could not be
delivered is one more log line and a count.
"""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any, Protocol

import anyio
import msgspec
import structlog

from framework.alerts.alert import at_least
from framework.alerts.outbox import CAPACITY, Outbox
from framework.model.records import AlertRaised
from framework.settings.structs import LogLevel

ATTEMPTS = 5
FIRST_PAUSE_S = 0.5  # doubles with each attempt
log = structlog.get_logger("alerts")


class Outcome(msgspec.Struct, frozen=True):
    """How one attempt ended: delivered, or why not and whether another one makes sense."""

    reason: str = ""
    is_retryable: bool = False

    @property
    def is_delivered(self) -> bool:
        """Whether the target has the alert."""
        return not self.reason


DELIVERED = Outcome()


class Target(Protocol):
    """Where alerts go; `name` may be logged and holds no secret."""

    @property
    def name(self) -> str: ...
    @property
    def level(self) -> LogLevel: ...
    @property
    def timeout_s(self) -> float: ...
    async def send(self, alert: AlertRaised) -> Outcome:
        """Make one attempt; cancelling it is safe at any moment."""


class _Post(msgspec.Struct, eq=False):
    """One target and what waits for it."""

    target: Target
    outbox: Outbox
    arrived: asyncio.Event
    delivered_count: int = 0
    failed_count: int = 0
    is_sending: bool = False


class TargetStatistics(msgspec.Struct, frozen=True):
    """What became of one target's alerts."""

    target: str
    delivered: int
    failed: int
    dropped: int
    waiting: int


class AlertDelivery:
    """Takes alerts with `put`, on the loop's thread, and delivers them while `run` runs."""

    def __init__(
        self, targets: Sequence[Target], random: Random, *, capacity: int = CAPACITY
    ) -> None:
        self._random = random
        self._posts = [_Post(target, Outbox(capacity), asyncio.Event()) for target in targets]
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, alert: AlertRaised) -> None:
        """Log `alert` and queue it for every target that takes its level; never waits."""
        write_line(alert)
        for post in self._posts:
            if not at_least(alert, post.target.level):
                continue
            self._idle.clear()
            dropped = post.outbox.put(alert)
            post.arrived.set()
            if dropped is not None:
                log.error("alert_dropped", target=post.target.name, alert=dropped.name)

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with anyio.create_task_group() as tasks:
            for post in self._posts:
                tasks.start_soon(self._serve, post)

    async def drain(self, limit_s: float) -> bool:
        """Wait until nothing is left to deliver; False if there still was after `limit_s`."""
        with anyio.move_on_after(limit_s):
            await self._idle.wait()
        return self._idle.is_set()

    def statistics(self) -> list[TargetStatistics]:
        """Return the counters of each target, in the order they are configured."""
        return [
            TargetStatistics(
                target=post.target.name,
                delivered=post.delivered_count,
                failed=post.failed_count,
                dropped=post.outbox.dropped_count,
                waiting=len(post.outbox) + post.is_sending,
            )
            for post in self._posts
        ]

    async def _serve(self, post: _Post) -> None:
        while True:
            await post.arrived.wait()
            post.arrived.clear()
            while len(post.outbox):
                post.is_sending = True
                await self._deliver(post, post.outbox.take())
                post.is_sending = False
            if not any(other.is_sending or len(other.outbox) for other in self._posts):
                self._idle.set()

    async def _deliver(self, post: _Post, alert: AlertRaised) -> None:
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            outcome = await attempted(post.target, alert)
            if outcome.is_delivered:
                post.delivered_count += 1
                return
            place: dict[str, Any] = {"target": post.target.name, "alert": alert.name}
            log.warning("alert_attempt_failed", **place, reason=outcome.reason, attempt=attempt)
            if not outcome.is_retryable:
                break
            if attempt < ATTEMPTS:
                await _pause(pause_s * self._random.uniform(0.5, 1.0))
                pause_s *= 2
        post.failed_count += 1
        log.error("alert_not_delivered", **place, reason=outcome.reason, attempts=attempt)


async def attempted(target: Target, alert: AlertRaised) -> Outcome:
    """Make one attempt within the target's deadline; whatever goes wrong is in the outcome."""
    with anyio.move_on_after(target.timeout_s):
        try:
            return await target.send(alert)
        except Exception as error:  # a bug in one target must not silence the others
            log.error("alert_target_failed", target=target.name, error=type(error).__name__)
            return Outcome(f"{type(error).__name__} in the target")
    return Outcome(f"no answer within {target.timeout_s:g} s", is_retryable=True)


def write_line(alert: AlertRaised) -> None:
    """Log an alert at its own level."""
    log.log(
        LEVEL_NUMBERS.get(alert.level, LEVEL_NUMBERS["critical"]),
        "alert",
        alert=alert.name,
        message=alert.message,
        count=alert.count,
        fields=dict(alert.fields),
    )


LEVEL_NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


async def _pause(seconds: float) -> None:
    with anyio.move_on_after(seconds):  # transport time: the loop's
        await anyio.sleep_forever()
