"""Runs a subscriber's coroutines in its own task, with the first step taken at once.

Most `async def` handlers finish without waiting. Waking a task for each costs 1 to 2 µs; here the
caller takes the coroutine's first step itself while the subscriber's task stands as the current
one (asyncio's documented `_enter_task` / `_leave_task`), for 0.2 µs. A coroutine that does wait
is handed to that task together with what it waits for, so timeouts and cancel scopes work in it
from its first line on.
"""

import asyncio
import contextvars
from asyncio.tasks import _enter_task, _leave_task  # the extension interface asyncio documents
from collections.abc import Callable, Coroutine, Generator
from types import coroutine as generator_coroutine
from typing import Any

from framework.errors import StrategyError

Waiting = tuple[Coroutine[Any, Any, object], Any]
"""A started coroutine, and the future (or None) that it waits for."""


class EagerTask:
    """The one task of a subscriber; `start` runs a coroutine up to its first wait.

    `before` is called each time a waiting coroutine goes on, `after` each time it waits again
    or ends; `done` once it has ended, with its error or None.
    """

    def __init__(
        self,
        *,
        before: Callable[[], None],
        after: Callable[[], None],
        done: Callable[[BaseException | None], None],
    ) -> None:
        self._before = before
        self._after = after
        self._done = done
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._handoff: asyncio.Future[Waiting] | None = None
        self._context: contextvars.Context | None = None
        self._is_giving_up = False

    @property
    def is_running(self) -> bool:
        """The task exists and can take coroutines."""
        return self._handoff is not None

    async def run(self, ready: Callable[[], None]) -> None:
        """Carry waiting coroutines on until cancelled; `ready` is called once at the start."""
        self._loop = asyncio.get_running_loop()
        self._task = task = asyncio.current_task()
        self._context = contextvars.copy_context()
        self._handoff = self._loop.create_future()
        ready()
        try:
            while True:
                waiting = await self._handoff
                self._handoff = self._loop.create_future()
                self._done(await self._finish(waiting))
                if self._is_giving_up:  # it ended by itself in the same turn
                    self._is_giving_up = False
                    task.uncancel() if task is not None else None
        finally:
            self._handoff = None

    def start(self, coroutine: Coroutine[Any, Any, object]) -> bool:
        """Take the first step now; True if the coroutine ended with it. Raises what it raises."""
        loop, task, context, handoff = self._loop, self._task, self._context, self._handoff
        if loop is None or task is None or context is None or handoff is None:
            coroutine.close()
            raise StrategyError("an async handler needs its subscriber's task: start `bus.run()`")
        try:
            _enter_task(loop, task)
        except RuntimeError:  # called from within another task, not from a callback
            return self._start_inside(coroutine)
        try:
            waits_for = context.run(coroutine.send, None)
        except StopIteration:
            return True
        finally:
            _leave_task(loop, task)
        if handoff.done():  # the handler cancelled its own task
            coroutine.close()
            raise StrategyError("the handler cancelled its own task")
        handoff.set_result((coroutine, waits_for))
        return False

    def _start_inside(self, coroutine: Coroutine[Any, Any, object]) -> bool:
        """Start while another task is the current one: it steps aside meanwhile."""
        loop = self._loop
        current = asyncio.current_task(loop)
        if loop is None or current is None:
            raise StrategyError("a handler cannot be started here")
        _leave_task(loop, current)
        try:
            return self.start(coroutine)
        finally:
            _enter_task(loop, current)

    def give_up(self) -> None:
        """Cancel the coroutine that waits, if one does; the task itself lives on."""
        if self._task is not None and not self._is_giving_up:
            self._is_giving_up = True
            self._task.cancel()

    async def _finish(self, waiting: Waiting) -> BaseException | None:
        task = self._task
        try:
            await _carry_on(*waiting, self._before, self._after)
        except asyncio.CancelledError as error:
            if task is not None and self._is_giving_up:
                task.uncancel()
                self._is_giving_up = False
                return None
            if task is not None and task.cancelling():
                raise
            return error  # what it awaited was cancelled, not this task
        except Exception as error:  # isolation: reported through `done`, with its handler
            return error
        return None


@generator_coroutine
def _carry_on(
    coroutine: Coroutine[Any, Any, object],
    waits_for: Any,
    before: Callable[[], None],
    after: Callable[[], None],
) -> Generator[Any, Any, None]:
    while True:
        try:
            value = yield waits_for
        except BaseException as error:
            before()
            try:
                waits_for = coroutine.throw(error)
            except StopIteration:
                return
        else:
            before()
            try:
                waits_for = coroutine.send(value)
            except StopIteration:
                return
        after()
