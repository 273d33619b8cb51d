"""Runs a subscriber's coroutines in its own task, with the first step taken at once.

Most `async def` handlers finish without waiting. Waking a task for each costs 1 to 2 µs; here the
caller takes the coroutine's first step itself while the subscriber's task stands as the current
one (asyncio's documented `_enter_task` / `_leave_task`), for 0.2 µs. A coroutine that does wait
is handed to that task together with what it waits for, so timeouts and cancel scopes work in it
from its first line on. All steps run in one context of the subscriber's own.

Cancelling has two senders. The task's owner ends the task. A handler may cancel its own task, as
a timeout does: that ends the handler, never the task, which other events still need.
"""

import asyncio
import contextvars
from asyncio.tasks import _enter_task, _leave_task  # the extension interface asyncio documents
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from types import coroutine as generator_coroutine
from typing import Any

from framework.errors import StrategyError

Steps = Coroutine[Any, Any, object]
ENDED = object()  # in place of what a coroutine waits for: nothing, it has ended


class _Handoff(asyncio.Future[tuple[Steps | None, Any]]):
    """What the task waits for while it is idle: a coroutine and what that waits for.

    (None, error) stands for a coroutine that cancelled the task and ended in its first step.
    """

    owner: "EagerTask"

    def cancel(self, msg: Any = None) -> bool:
        """Refuse while a first step is under way: then the handler is cancelled, not its task."""
        if asyncio.current_task(self.get_loop()) is self.owner.task:
            self.owner.cancelled_itself += 1
            return False
        return super().cancel(msg)


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
        self.task: asyncio.Task[Any] | None = None
        self.cancelled_itself = 0  # by the handler that runs now
        self.before = before
        self.after = after
        self.done = done
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handoff: _Handoff | None = None
        self._run_in_context: Callable[..., Any] = contextvars.Context().run
        self._is_carrying = False
        self._is_given_up = False
        self._is_closed = False

    @property
    def is_running(self) -> bool:
        """The task exists and can take coroutines."""
        return self._handoff is not None

    @property
    def is_given_up(self) -> bool:
        """The handler that waits is being cancelled by `give_up`."""
        return self._is_given_up

    async def run(self, ready: Callable[[], None]) -> None:
        """Carry waiting coroutines on until `close` or cancelled; calls `ready` at the start."""
        self._loop = loop = asyncio.get_running_loop()
        self.task = task = asyncio.current_task(loop)
        if task is None:
            raise StrategyError("a subscriber's coroutines need a task")
        self._run_in_context = contextvars.copy_context().run
        handoff = self._next_handoff()
        ready()
        try:
            while not self._is_closed:
                cancelled: BaseException | None = None
                base = task.cancelling()
                try:
                    await handoff
                except asyncio.CancelledError as error:
                    if not handoff.done() or handoff.cancelled():
                        raise  # while idle: by the owner
                    cancelled = error  # just after a handler's first step: the handler hears it
                    base = min(base, task.cancelling() - 1)
                waiting = handoff.result()
                if waiting[0] is None and waiting[1] is None and not self.cancelled_itself:
                    return
                handoff = self._next_handoff()
                await self._finish(task, *waiting, cancelled, base)
        finally:
            self._handoff = None

    def _next_handoff(self) -> _Handoff:
        self._handoff = handoff = _Handoff(loop=self._loop)
        handoff.owner = self
        return handoff

    def close(self) -> None:
        """End the task once the handler that runs now has ended."""
        self._is_closed = True
        if self._handoff is not None and self._loop is not None:
            self._loop.call_soon(self._end_idle)  # not now: a first step may be under way

    def _end_idle(self) -> None:
        if self._handoff is not None and not self._handoff.done():
            self._handoff.set_result((None, None))

    def start(self, coroutine: Steps) -> bool:
        """Take the first step now; True if the coroutine ended with it. Raises what it raises."""
        loop, task, handoff = self._loop, self.task, self._handoff
        if handoff is None:
            coroutine.close()
            raise StrategyError("an async handler needs its subscriber's task: start `bus.run()`")
        try:
            _enter_task(loop, task)  # type: ignore[arg-type] # set together with the handoff
        except RuntimeError:  # called from within another task, not from a callback
            return self._start_inside(coroutine)
        ended: BaseException | None = None
        try:
            # Without an exception for its end, which `send` raises: half the time.
            waits_for = self._run_in_context(next, coroutine.__await__(), ENDED)
        except BaseException as error:
            if not self.cancelled_itself:
                raise
            waits_for, ended = ENDED, error
        finally:
            _leave_task(loop, task)  # type: ignore[arg-type]
        if waits_for is not ENDED:
            handoff.set_result((coroutine, waits_for))
            return False
        if not self.cancelled_itself:
            return True
        handoff.set_result((None, ended))
        return False

    def _start_inside(self, coroutine: Steps) -> bool:
        """Start while another task is the current one: it steps aside meanwhile."""
        loop = self._loop
        current = asyncio.current_task(loop)
        if loop is None or current is None:
            coroutine.close()
            raise StrategyError("a handler cannot be started here")
        _leave_task(loop, current)
        try:
            return self.start(coroutine)
        finally:
            _enter_task(loop, current)

    def give_up(self) -> None:
        """Cancel the handler that waits, if one does; the task itself lives on."""
        is_idle = self._handoff is None or (not self._is_carrying and not self._handoff.done())
        if self.task is not None and not is_idle and not self._is_given_up:
            self._is_given_up = True
            self.cancelled_itself += 1
            self.task.cancel()

    async def _finish(
        self,
        task: "asyncio.Task[Any]",
        coroutine: Steps | None,
        waits_for: Any,
        cancelled: BaseException | None,
        base: int,
    ) -> None:
        """Carry a coroutine to its end, and tell the cancellations of its own from the owner's."""
        error: BaseException | None = None
        self._is_carrying = True
        try:
            if coroutine is None:
                error = waits_for
            else:
                await self._carry_on(task, coroutine, waits_for, cancelled)
        except (Exception, asyncio.CancelledError) as raised:  # told by `done`, with its handler
            error = raised
        if self.cancelled_itself:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)  # a cancellation of the last step is still to come
        while self.cancelled_itself:
            self.cancelled_itself -= 1
            task.uncancel()
        is_given_up, self._is_given_up = self._is_given_up, False
        self._is_carrying = False
        is_ending = task.cancelling() > base
        if isinstance(error, asyncio.CancelledError) and (is_given_up or is_ending):
            error = None
        self.done(error)
        if is_ending:
            raise asyncio.CancelledError

    @generator_coroutine
    def _carry_on(
        self,
        task: "asyncio.Task[Any]",
        coroutine: Steps,
        waits_for: Any,
        error: BaseException | None,
    ) -> Generator[Any, Any, None]:
        value: Any = None
        while True:
            if error is None:
                try:
                    value = yield waits_for
                except BaseException as raised:
                    error = raised
            cancelling = task.cancelling()
            self.before()
            try:
                if error is None:
                    waits_for = self._run_in_context(coroutine.send, value)
                else:
                    waits_for = self._run_in_context(coroutine.throw, error)
            except StopIteration:
                return
            finally:
                error = None  # its traceback holds this frame
                self.cancelled_itself += max(0, task.cancelling() - cancelling)
                self.after()
