"""Where requests wait for their tokens: the shell around `RateLimits`, on the loop's time."""

import asyncio
from functools import partial

from framework.errors import NotSent
from framework.net.rate_limit import Line, RateLimits, Ticket

SHORTEST_WAIT_S = 1e-6  # a timer for less might not move the loop's time at all


class TokenGate:
    """Lets requests through as their buckets allow; several gates may share the limits."""

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits
        self._timers: dict[Line, asyncio.TimerHandle] = {}

    async def take(self, group: str, cost: float, is_cancel: bool, deadline_s: float) -> None:
        """Return once the tokens were taken; `deadline_s` is a time of the loop.

        Raises:
            NotSent: they cannot be there before the deadline; told at once.
            ConfigError: the limits have no such group, or never that many tokens.
        """
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        wait_s = self._limits.try_take(group, cost, is_cancel, now_s)
        if wait_s <= 0:
            return
        if now_s + wait_s > deadline_s:
            raise NotSent(f"the rate limit leaves no room for another {wait_s:.3f} s")
        await self._wait(self._limits.line(group), cost, is_cancel)

    async def _wait(self, line: Line, cost: float, is_cancel: bool) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket = Ticket(cost, is_cancel, partial(_let_pass, granted))
        line.join(ticket)
        self._advance(line)
        try:
            await granted
        finally:
            line.leave(ticket)
            self._advance(line)  # who comes next may need less

    def _advance(self, line: Line) -> None:
        timer = self._timers.pop(line, None)
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        wait_s = line.advance(loop.time())
        if wait_s is not None:
            delay_s = max(wait_s, SHORTEST_WAIT_S)
            self._timers[line] = loop.call_later(delay_s, self._advance, line)


def _let_pass(granted: "asyncio.Future[None]") -> None:
    if not granted.done():  # else its waiter has just given up, and the tokens are lost
        granted.set_result(None)
