"""Tasks, futures and cancel scopes that sets hold in creation order, never by address.

asyncio keeps all tasks, and those of a task group, in sets; anyio does so with the tasks and nested
scopes of a cancel scope. With the default hash, which is the address, the order of cancellation
would differ from process to process. A set of small integers is still only nearly in order (it
wraps at the table's size), so the groups' sets are replaced by ones that sort when they are read.
"""

import asyncio
import itertools
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from contextvars import Context
from typing import Any, TypeVar

import anyio._backends._asyncio as anyio_backend

T = TypeVar("T")

_AnyioCancelScope = anyio_backend.CancelScope
_asyncio_begin = asyncio.TaskGroup.__init__


class NumberedLoop(asyncio.BaseEventLoop):
    """A loop whose futures and tasks hash by a counter of its own."""

    _check_closed: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count(1)
        self._task_names = itertools.count(1)
        self._asyncgens = AsyncGenerators()

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a future that hashes by a counter."""
        return SimulatedFuture(loop=self)

    def create_task(
        self, coro: Any, *, name: object = None, context: Context | None = None
    ) -> "asyncio.Task[Any]":
        """Return a task that hashes, and unless named is named, by a counter."""
        self._check_closed()
        if self.get_task_factory() is not None:
            return super().create_task(coro, name=name, context=context)
        label = f"Task-{next(self._task_names)}" if name is None else str(name)
        return SimulatedTask(coro, loop=self, name=label, context=context)


class SimulatedFuture(asyncio.Future[T]):
    """A future of a `NumberedLoop` that hashes by a counter; the number is drawn at first use."""

    __slots__ = ("_number",)
    _number: int

    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:
            self._number = next(_numbers_of(self))
            return self._number


class SimulatedTask(asyncio.Task[T]):
    """A task of a `NumberedLoop` that hashes by a counter: asyncio hashes it when it is made."""

    __slots__ = ("_number",)
    _number: int

    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:
            self._number = next(_numbers_of(self))
            return self._number


def _numbers_of(future: "asyncio.Future[Any]") -> "itertools.count[int]":
    loop = future.get_loop()
    assert isinstance(loop, NumberedLoop)
    return loop.numbers


class AsyncGenerators(weakref.WeakKeyDictionary[AsyncGenerator[Any, Any], None]):
    """Stands in for the loop's `WeakSet` of running generators, which are closed in this order."""

    def add(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Remember `generator` at the end."""
        self[generator] = None

    def discard(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Forget `generator` if it is here."""
        self.pop(generator, None)


class _SortedTasks(set[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=hash))


class _SortedScopes(set[Any]):
    def __iter__(self) -> Iterator[Any]:  # anyio runs every task of a group in a scope of its own
        return iter(sorted(super().__iter__(), key=lambda scope: hash(scope._host_task)))


class _OrderedCancelScope(_AnyioCancelScope):
    __slots__ = ()

    def __init__(self, deadline: float = float("inf"), shield: bool = False) -> None:
        super().__init__(deadline, shield)
        self._tasks = _SortedTasks()
        self._child_scopes = _SortedScopes()


def _begin_task_group(group: asyncio.TaskGroup) -> None:
    _asyncio_begin(group)
    group._tasks = _SortedTasks()


def order_cancellation() -> None:
    """Make the task groups of anyio and asyncio cancel their tasks in creation order.

    For the whole process and for good: on other loops the order stays as arbitrary as it was.
    Calling it again changes nothing.
    """
    anyio_backend.CancelScope = _OrderedCancelScope  # type: ignore[misc]
    asyncio.TaskGroup.__init__ = _begin_task_group  # type: ignore[assignment, method-assign]
