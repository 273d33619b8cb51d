"""The life of one open stream: told to its door, kept alive, looked after, seen off.

| what happens                                       | the link ends with        |
|----------------------------------------------------|---------------------------|
| its outbox overflows                               | 1013 at once              |
| its peer takes nothing for `slow_s` while it could | 1013, at most a quarter of `slow_s` late |
| its peer answers no ping for 45 s                  | 1011                      |
| a callback of the door fails                       | 1011                      |
| the connection is lost                             | 1006                      |
| its handler is cancelled: the server goes away     | 1001                      |
"""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import structlog

from framework.server.links import FAILED, GOING_AWAY, Link, Links

PING_S = 15.0
SILENCE_S = 45.0  # without any frame, after which the peer is taken for dead
SILENT = "no answer to pings"
LOOKS_PER_SLOW = 4  # how often in `slow_s` it is looked whether a peer takes anything
LONGEST_LOOK_S = PING_S / 3

OnLink = Callable[[Link], None]
Step = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)


async def attend(
    links: Links, link: Link, *, on_open: OnLink, on_close: OnLink, hear: Step, leave: Step
) -> None:
    """Serve a link until its connection is over.

    `hear` takes what comes and returns once the link is no longer open; `leave` returns once its
    peer has noticed. The door is told of the end before that, in the turn after it ended.
    """
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.outgoing.run)
        try:
            await _hear(links, link, on_open, on_close, hear)
            with anyio.move_on_after(link.farewell_s):
                await link.outgoing.flush()
                await leave()
        finally:
            if not link.outgoing.is_empty:
                link.outgoing.abort()
            links.forget(link)
            tasks.cancel_scope.cancel()


async def _hear(links: Links, link: Link, on_open: OnLink, on_close: OnLink, hear: Step) -> None:
    watch = Watch(links, link)
    try:
        on_open(link)
        await hear()
    except Exception:  # a bug of the door's must end this stream alone
        log.exception("link_failed", principal=link.principal.name)
        link.cut(FAILED, "internal error")
    finally:
        link.cut(GOING_AWAY, "going away")  # open still: cancelled
        watch.stop()
        links.end(link)
        try:
            on_close(link)
        except Exception:
            log.exception("link_failed", principal=link.principal.name)


class Watch:
    """Looks after a link now and then, until `stop`."""

    def __init__(self, links: Links, link: Link) -> None:
        self._links = links
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._interval_s = min(links.limits.slow_s / LOOKS_PER_SLOW, LONGEST_LOOK_S)
        self._ping_s = link.opened_s + PING_S
        self._timer = self._loop.call_later(self._interval_s, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        link, now_s = self._link, self._loop.time()
        if link.outgoing.is_lost:
            link.lose()
        elif link.outgoing.stuck_s() >= self._links.limits.slow_s:
            link.cut_slow()
        elif link.heard_s is not None and now_s - link.heard_s >= SILENCE_S:
            self._links.count_silent()
            link.cut(FAILED, SILENT)
        elif now_s >= self._ping_s:
            self._ping_s = now_s + PING_S
            link.ping()
        if link.is_open:
            self._timer = self._loop.call_later(self._interval_s, self._look)


async def pause(wait_s: float) -> None:
    """Return after a time of the loop's."""
    with anyio.move_on_after(wait_s):
        await asyncio.Event().wait()
