"""Coroutines that start at once in a task of their own: what a user may do in them holds."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from framework.bus.bus import Bus
from framework.bus.subscriber import Subscriber
from framework.errors import StrategyError
from framework.model.events import ErrorRaised
from framework.model.market_data import Quote
from framework.simulation.loop import run_simulated
from tests.framework.bus.samples import make_bus, play, quote, settle

color: ContextVar[str] = ContextVar("color", default="none")
Body = Callable[[], Awaitable[object]]


def outcomes_of(*bodies: Body, wait_s: float = 10.0) -> tuple[list[str], Subscriber]:
    """Have one async handler run each body in turn; return how each ended."""
    ended: list[str] = []
    errors: list[str] = []

    async def main(bus: Bus) -> Subscriber:
        @bus.on(Quote)
        async def handle(event: Quote) -> None:
            ended.append("started")
            try:
                ended[-1] = repr(await bodies[event.time_ns]())
            except BaseException as error:
                ended[-1] = type(error).__name__
                raise

        @bus.on(ErrorRaised)
        def note(error: ErrorRaised) -> None:
            errors.append(error.error)

        subscriber = bus.subscribers[0]
        await settle()
        for number in range(len(bodies)):
            bus.publish(quote(number))
        await anyio.sleep(wait_s)
        return subscriber

    subscriber = play(main)
    assert len(errors) == subscriber.error_count
    return ended, subscriber


async def value() -> int:
    return 1


def test_the_first_step_runs_at_once_in_the_subscribers_own_task() -> None:
    tasks: list[Any] = []

    async def body() -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(1)
        tasks.append(asyncio.current_task())

    outcomes_of(body, body)

    assert len(set(tasks)) == 1
    assert tasks[0].get_name().startswith("subscriber outcomes_of")


def test_asyncio_timeout_works_from_the_first_line() -> None:
    async def late() -> None:
        async with asyncio.timeout(1):
            await asyncio.sleep(60)

    async def at_once() -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(60)

    ended, subscriber = outcomes_of(late, at_once, value)

    assert ended == ["TimeoutError", "TimeoutError", "1"]
    assert subscriber.error_count == 2


def test_anyio_scopes_and_shields_work_from_the_first_line() -> None:
    async def failing() -> None:
        with anyio.fail_after(1):
            await anyio.sleep(60)

    async def moving_on() -> str:
        with anyio.move_on_after(1) as scope:
            await anyio.sleep(60)
        return f"moved on: {scope.cancelled_caught}"

    async def shielded() -> str:
        with anyio.move_on_after(1):
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)
            await anyio.sleep(60)
        return "shielded"

    async def cancelled_from_inside() -> str:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep(60)
        return "out"

    async def group() -> int:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 1)
        return 2

    ended, subscriber = outcomes_of(
        failing, moving_on, shielded, cancelled_from_inside, group, value
    )

    expected = ["TimeoutError", "'moved on: True'", "'shielded'", "'out'", "2", "1"]
    assert ended == expected
    assert subscriber.error_count == 1


def test_what_a_handler_awaits_may_be_cancelled_without_harm_to_its_task() -> None:
    async def was_cancelled_before() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def is_cancelled_later() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_later(1, future.cancel)
        await future

    ended, subscriber = outcomes_of(was_cancelled_before, is_cancelled_later, value)

    assert ended == ["CancelledError", "CancelledError", "1"]
    assert subscriber.error_count == 2


def cancel_current_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def test_a_handler_that_cancels_its_own_task_ends_only_itself() -> None:
    async def in_the_first_step() -> None:
        cancel_current_task()
        await asyncio.sleep(60)

    async def without_waiting() -> str:
        cancel_current_task()
        return "ended"

    async def in_a_later_step() -> None:
        await asyncio.sleep(1)
        cancel_current_task()
        await asyncio.sleep(60)

    async def in_the_last_step() -> str:
        await asyncio.sleep(1)
        cancel_current_task()
        return "ended"

    async def and_catches_it() -> str:
        cancel_current_task()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return "caught"

    async def and_fails() -> None:
        cancel_current_task()
        raise ValueError("in the first step")

    bodies = (
        in_the_first_step,
        value,
        without_waiting,
        in_a_later_step,
        value,
        in_the_last_step,
        and_catches_it,
        and_fails,
        value,
    )
    ended, subscriber = outcomes_of(*bodies)

    assert ended == [
        "CancelledError",
        "1",
        "'ended'",
        "CancelledError",
        "1",
        "'ended'",
        "'caught'",
        "ValueError",
        "1",
    ]
    assert subscriber.error_count == 3


def test_a_bare_yield_to_the_loop_goes_on() -> None:
    async def body() -> str:
        for _ in range(3):
            await asyncio.sleep(0)
        return "done"

    assert outcomes_of(body, body)[0] == ["'done'", "'done'"]


def test_the_context_is_one_for_all_steps_and_the_subscribers_own() -> None:
    seen: list[str] = []

    async def paint() -> None:
        color.set("red")
        await asyncio.sleep(1)
        seen.append(color.get())
        color.set("blue")

    async def look() -> None:
        seen.append(color.get())

    async def main(bus: Bus) -> None:
        @bus.on(Quote)
        async def other(event: Quote) -> None:
            seen.append(f"other {color.get()}")

        @bus.on(Quote)
        def plain(event: Quote) -> None:
            seen.append(f"plain {color.get()}")

        await settle()
        color.set("the publisher's")
        bus.publish(quote(0))
        await settle()

    outcomes_of(paint, look)
    play(main)

    assert seen == ["red", "blue", "other none", "plain none"]


def test_giving_up_cancels_the_waiting_handler_and_nothing_else() -> None:
    async def main(bus: Bus) -> list[str]:
        ended: list[str] = []

        @bus.on(Quote)
        async def handle(event: Quote) -> None:
            try:
                await asyncio.sleep(60 if event.time_ns == 1 else 0)
            finally:
                ended.append(str(event.time_ns))

        await settle()
        task = bus.subscribers[0].task
        task.give_up()  # nothing waits
        bus.publish(quote(1))
        bus.publish(quote(2))
        await settle()
        task.give_up()
        task.give_up()
        await settle()
        bus.publish(quote(3))
        await settle()
        assert bus.subscribers[0].error_count == 0
        return ended

    assert play(main) == ["1", "2", "3"]


def test_cancelling_the_bus_lets_a_handler_clean_up_under_a_shield() -> None:
    cleaned: list[str] = []

    async def main(bus: Bus) -> None:
        @bus.on(Quote)
        async def handle(event: Quote) -> None:
            try:
                await anyio.sleep(60)
            finally:
                with anyio.move_on_after(5, shield=True):
                    await anyio.sleep(1)
                    cleaned.append("cleaned")

        await settle()
        bus.publish(quote(1))
        await settle()

    play(main)

    assert cleaned == ["cleaned"]


def test_an_async_handler_without_a_running_bus_keeps_its_events_until_there_is_one() -> None:
    heard: list[int] = []
    bus = make_bus()

    @bus.on(Quote)
    async def handle(event: Quote) -> None:
        heard.append(event.time_ns)

    bus.publish(quote(1))
    bus.deliver_all()
    assert heard == []

    async def main(bus: Bus) -> None:
        await settle()

    play(main, bus)
    assert heard == [1]


def test_a_coroutine_without_a_task_is_refused_and_closed() -> None:
    bus = make_bus()
    subscriber = bus.add("plain", {})
    coroutine = value()

    with pytest.raises(StrategyError, match="needs its subscriber's task"):
        subscriber.task.start(coroutine)


def test_a_handler_started_from_within_another_task_runs_in_its_own() -> None:
    async def main(bus: Bus) -> list[bool]:
        own: list[bool] = []
        outer = asyncio.current_task()

        @bus.on(Quote)
        async def handle(event: Quote) -> None:
            own.append(asyncio.current_task() is not outer)
            await asyncio.sleep(0)

        await settle()
        bus.publish(quote(1))
        bus.deliver_all()
        own.append(asyncio.current_task() is outer)
        await settle()
        return own

    assert play(main) == [True, True]


def test_r55_no_task_is_left_after_the_bus_was_cancelled() -> None:
    async def main() -> set[str]:
        bus = make_bus()

        @bus.on(Quote)
        async def handle(event: Quote) -> None:
            await asyncio.sleep(60)

        running = asyncio.ensure_future(bus.run())
        await settle()
        bus.publish(quote(1))
        await settle()
        running.cancel()
        await asyncio.wait([running])
        return {task.get_name() for task in asyncio.all_tasks() if not task.done()}

    assert len(run_simulated(main)) == 1
