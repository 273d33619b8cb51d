import asyncio
import gc
import itertools
import math
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import (
    ForbiddenInSimulation,
    SimulationDeadlock,
    SimulationError,
    SimulationStalled,
    SimulationTimeLimit,
)
from framework.simulation.loop import SimulatedLoop, run_simulated

ROOT = Path(__file__).parents[3]
SECOND = 1_000_000_000


def running_loop() -> SimulatedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop


class Prices:
    """A source of events at given times, each handed to `on_event`."""

    def __init__(
        self, loop: SimulatedLoop, times: list[int], on_event: Callable[[int], object]
    ) -> None:
        self.asked: list[int | None] = []
        self._loop = loop
        self._times = list(times)
        self._on_event = on_event

    def advance(self, until_ns: int | None) -> bool:
        self.asked.append(until_ns)
        while self._times and (until_ns is None or self._times[0] < until_ns):
            time_ns = self._times.pop(0)
            self._loop.advance_to(time_ns)
            self._on_event(time_ns)
            if self._loop.ready:
                return True
        return bool(self._times)


# -- time ----------------------------------------------------------------------------------------


def test_time_jumps_to_the_first_timer_and_counts_integer_nanoseconds() -> None:
    async def main() -> list[tuple[float, int]]:
        loop = running_loop()
        seen = [(loop.time(), loop.now_ns)]
        await asyncio.sleep(86_400)
        seen.append((loop.time(), loop.now_ns))
        return seen

    start = 1_700_000_000 * SECOND

    assert run_simulated(main, start_ns=start) == [
        (0.0, start),
        (86_400.0, start + 86_400 * SECOND),
    ]


def test_timers_and_sleeps_may_be_set_to_the_nanosecond() -> None:
    async def main() -> list[int]:
        loop = running_loop()
        fired: list[int] = []
        loop.call_at_ns(10**18 + 7, lambda: fired.append(loop.now_ns))
        await loop.sleep_until(10**18 + 8)
        await loop.sleep_until(5)
        return [*fired, loop.now_ns]

    assert run_simulated(main) == [10**18 + 7, 10**18 + 8]


def test_timers_of_one_instant_run_in_creation_order() -> None:
    async def main() -> list[str]:
        loop = running_loop()
        await asyncio.sleep(1)
        order: list[str] = []
        loop.call_later(0.3, order.append, "a")
        loop.call_at_ns(1_300_000_000, order.append, "b")
        loop.call_at(1.29999999995, order.append, "c")  # rounds up to the same nanosecond
        loop.call_at(1.3, order.append, "d")
        loop.call_at(0.7, order.append, "cancelled").cancel()
        loop.call_at(0.7, order.append, "overdue 1")
        loop.call_at(0.2, order.append, "overdue 2")
        loop.call_later(-1, order.append, "overdue 3")
        await asyncio.sleep(1)
        return order

    expected = ["overdue 1", "overdue 2", "overdue 3", "a", "b", "c", "d"]

    assert run_simulated(main) == expected


@given(st.lists(st.floats(0, 1e8), min_size=1, max_size=30))
def test_a_timer_never_fires_before_its_float_time(whens: list[float]) -> None:
    fired: list[tuple[float, float]] = []

    async def main() -> None:
        loop = running_loop()
        for when in whens:
            loop.call_at(when, lambda set_for: fired.append((set_for, loop.time())), when)
        await asyncio.sleep(max(whens) + 1)

    run_simulated(main)

    assert len(fired) == len(whens)
    assert all(when <= now <= when + max(1e-9, 2 * math.ulp(when)) for when, now in fired)


@pytest.mark.parametrize("delay", [0.1 + 0.2, 1 / 3, 1e-9, 3.3e-10, 0.7 * 3, 1e7 / 7, 0.0])
def test_an_awkward_deadline_ends_an_anyio_scope_at_once(delay: float) -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError), anyio.fail_after(delay):
            await anyio.sleep_forever()
        return running_loop().time()

    loop = SimulatedLoop(max_rounds=20)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert delay <= runner.run(main()) <= delay + 1.1e-9


@settings(max_examples=50)
@given(st.lists(st.floats(1e-10, 1e6), min_size=1, max_size=15), st.integers(0, 2**61))
def test_random_deadlines_never_rearm_for_ever(delays: list[float], start_ns: int) -> None:
    async def main() -> int:
        ended = 0
        for delay in delays:
            with anyio.move_on_after(delay) as scope:
                await anyio.sleep(delay * 2)
            ended += scope.cancelled_caught
        return ended

    loop = SimulatedLoop(start_ns=start_ns, max_rounds=20)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(main()) == len(delays)


def test_asyncio_timeouts_run_on_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1 + 0.2):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 10)
        return running_loop().time()

    assert run_simulated(main) == pytest.approx(10.3, abs=1e-8)


def test_cancelled_timers_leave_the_heap() -> None:
    async def main() -> int:
        loop = running_loop()
        longest = 0
        for _ in range(10_000):
            loop.call_later(3600, print).cancel()
            longest = max(longest, len(loop._scheduled))
        return longest

    assert run_simulated(main) < 300


# -- what cannot go on ---------------------------------------------------------------------------


def test_a_deadlock_names_the_waiting_tasks_and_where_they_wait() -> None:
    async def wait_for_fills(event: asyncio.Event) -> None:
        await event.wait()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_fills, asyncio.Event(), name="fills")
            await asyncio.sleep(5)
            await asyncio.Event().wait()

    with pytest.raises(SimulationDeadlock) as failure:
        run_simulated(main)

    message = str(failure.value)
    assert "nothing is scheduled at 5000000000 ns (5.000000000 s)" in message
    assert "\n  fills: " in message
    assert "wait_for_fills > Event.wait at locks.py:" in message
    assert "main > Event.wait at locks.py:" in message
    assert message.index("main") < message.index("fills")


def test_a_deadlock_of_very_many_tasks_stays_readable() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(80):
                tasks.start_soon(anyio.sleep_forever, name=f"waiter {number}")

    with pytest.raises(SimulationDeadlock) as failure:
        run_simulated(main)

    assert str(failure.value).count("\n") == 51
    assert str(failure.value).endswith("and 31 more")


def test_a_sleep_without_end_is_not_scheduled() -> None:
    with pytest.raises(SimulationDeadlock, match="sleep"):
        run_simulated(anyio.sleep_forever)


def test_run_forever_with_nothing_to_do_is_a_deadlock() -> None:
    loop = SimulatedLoop()

    with pytest.raises(SimulationDeadlock, match="no task"):
        loop.run_forever()
    loop.close()


def test_time_that_does_not_move_is_stalled() -> None:
    async def spin() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    loop = SimulatedLoop(max_rounds=1000)

    with (
        pytest.raises(SimulationStalled, match=r"1000 rounds .* next is Task-1: .*spin"),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        runner.run(spin())


def test_a_stall_names_the_callback_if_it_is_no_task() -> None:
    loop = SimulatedLoop(max_rounds=1000)

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(SimulationStalled, match=r"next is .*again"):
        loop.run_forever()
    loop.close()


def test_many_rounds_at_different_instants_are_no_stall() -> None:
    async def main() -> None:
        for _ in range(2000):
            await asyncio.sleep(1e-9)

    loop = SimulatedLoop(max_rounds=50)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    assert loop.now_ns >= 2000


def test_virtual_time_stops_at_its_cap() -> None:
    seen: list[float] = []

    async def main() -> None:
        while True:
            seen.append(running_loop().time())
            await asyncio.sleep(1)

    with pytest.raises(SimulationTimeLimit, match="cap of 3000000000 ns"):
        run_simulated(main, limit_ns=3 * SECOND)

    assert seen == [0, 1, 2, 3]


# -- market data ---------------------------------------------------------------------------------


def test_at_one_instant_timers_come_before_market_data() -> None:
    async def main() -> list[str]:
        loop = running_loop()
        order: list[str] = []
        source = Prices(loop, [1, 5, 5, 9], lambda time_ns: order.append(f"price {time_ns}"))
        loop.attach_source(source)
        loop.call_at_ns(5, order.append, "timer 5")
        loop.call_at_ns(7, order.append, "timer 7")
        await loop.sleep_until(20)
        return [*order, str(loop.now_ns)]

    assert run_simulated(main) == [
        "price 1", "timer 5", "price 5", "price 5", "timer 7", "price 9", "20"
    ]  # fmt: skip


@given(
    st.lists(st.integers(0, 20), max_size=20),
    st.lists(st.integers(0, 20), max_size=20),
    st.lists(st.integers(0, 20), max_size=5),
)
def test_timers_and_market_data_merge_in_time_order(
    timers: list[int], prices: list[int], later_timers: list[int]
) -> None:
    """A handler that sets a timer for a later instant sees it fire in its place."""

    async def main() -> list[tuple[int, str]]:
        loop = running_loop()
        log: list[tuple[int, str]] = []
        pending = list(later_timers)

        def on_price(time_ns: int) -> None:
            log.append((time_ns, "price"))
            if pending:
                loop.call_at_ns(time_ns + pending.pop(), on_timer)

        def on_timer() -> None:
            log.append((loop.now_ns, "timer"))

        loop.attach_source(Prices(loop, sorted(prices), on_price))
        for when_ns in timers:
            loop.call_at_ns(when_ns, on_timer)
        await loop.sleep_until(1000)
        return log

    log = run_simulated(main)

    times = [time_ns for time_ns, _ in log]
    assert times == sorted(times)
    assert sorted(time_ns for time_ns, what in log if what == "price") == sorted(prices)
    assert len(log) - len(prices) == len(timers) + min(len(later_timers), len(prices))


def test_a_source_feeds_strictly_before_the_next_timer_until_its_data_ends() -> None:
    async def main() -> tuple[list[int | None], int]:
        loop = running_loop()
        done = asyncio.Event()
        source = Prices(loop, [1, 5, 8], lambda time_ns: done.set() if time_ns == 8 else None)
        loop.attach_source(source)
        loop.call_at_ns(5, lambda: None)
        await done.wait()
        return source.asked, loop.now_ns

    assert run_simulated(main) == ([5, None], 8)


def test_callbacks_run_before_the_next_market_event() -> None:
    async def main() -> list[str]:
        loop = running_loop()
        order: list[str] = []

        def on_price(time_ns: int) -> None:
            order.append(f"price {time_ns}")
            loop.call_soon(order.append, f"callback {loop.now_ns}")

        loop.attach_source(Prices(loop, [1, 2], on_price))
        await loop.sleep_until(3)
        return order

    assert run_simulated(main) == ["price 1", "callback 1", "price 2", "callback 2"]


def test_a_timer_set_while_data_flows_is_not_passed() -> None:
    async def main() -> list[str]:
        loop = running_loop()
        order: list[str] = []

        def on_price(time_ns: int) -> None:
            order.append(f"price {time_ns}")
            if time_ns == 10:
                loop.call_at_ns(25, order.append, "timer 25")

        loop.attach_source(Prices(loop, [10, 20, 30], on_price))
        await loop.sleep_until(100)
        return order

    assert run_simulated(main) == ["price 10", "price 20", "timer 25", "price 30"]


def test_a_timer_cancelled_while_data_flows_does_not_hide_later_data() -> None:
    async def main() -> list[int]:
        loop = running_loop()
        prices: list[int] = []
        timer = loop.call_at_ns(25, print)

        def on_price(time_ns: int) -> None:
            prices.append(time_ns)
            timer.cancel()

        loop.attach_source(Prices(loop, [10, 30, 50], on_price))
        await loop.sleep_until(100)
        return prices

    assert run_simulated(main) == [10, 30, 50]


def test_stop_ends_the_run_while_data_flows() -> None:
    loop = SimulatedLoop()
    prices: list[int] = []

    def on_price(time_ns: int) -> None:
        prices.append(time_ns)
        loop.stop()

    loop.attach_source(Prices(loop, [1, 2, 3], on_price))

    loop.run_forever()

    assert prices == [1]
    loop.close()


def test_a_deadlock_comes_only_after_the_data_has_ended() -> None:
    prices: list[int] = []

    async def main() -> None:
        running_loop().attach_source(Prices(running_loop(), [1, 2], prices.append))
        await asyncio.Event().wait()

    with pytest.raises(SimulationDeadlock, match="at 2 ns"):
        run_simulated(main)

    assert prices == [1, 2]


class Misbehaving:
    """A source that does one thing wrong."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def advance(self, until_ns: int | None) -> bool:
        self._act()
        return True


@pytest.mark.parametrize(
    ("act", "limit_ns", "error", "message"),
    [
        (lambda loop: loop.advance_to(4), None, SimulationError, "go back from 5 to 4"),
        (lambda loop: loop.advance_to(50), 50, SimulationError, "not before the timer at 50 ns"),
        (lambda loop: loop.advance_to(41), 40, SimulationTimeLimit, "cap of 40 ns"),
        (lambda loop: 1 / 0, None, ZeroDivisionError, "division"),
    ],
)
def test_what_a_source_does_wrong_ends_the_run(
    act: Callable[[SimulatedLoop], object],
    limit_ns: int | None,
    error: type[Exception],
    message: str,
) -> None:
    async def main() -> None:
        loop = running_loop()
        await loop.sleep_until(5)
        loop.attach_source(Misbehaving(lambda: act(loop)))
        await loop.sleep_until(50)

    with pytest.raises(error, match=message):
        run_simulated(main, limit_ns=limit_ns)


def test_a_source_that_feeds_nothing_and_has_no_end_is_stalled() -> None:
    async def main() -> None:
        running_loop().attach_source(Misbehaving(lambda: None))
        await asyncio.Event().wait()

    with pytest.raises(SimulationStalled, match="feeds none"):
        run_simulated(main)


def test_only_one_source_and_only_while_it_feeds_may_move_time() -> None:
    async def main() -> None:
        loop = running_loop()
        with pytest.raises(SimulationError, match="only a source"):
            loop.advance_to(1)
        loop.attach_source(Prices(loop, [1], print))
        with pytest.raises(SimulationError, match="attached already"):
            loop.attach_source(Prices(loop, [1], print))
        loop.detach_source()
        await asyncio.sleep(1)

    run_simulated(main)


# -- order ---------------------------------------------------------------------------------------

CANCELLATION = """
import asyncio, sys, anyio
from framework.simulation.loop import run_simulated

junk = [bytearray(n % 97) for n in range(int(sys.argv[1]))]  # other addresses for what follows
log = []

async def worker(name, deadlines):
    try:
        for deadline in deadlines:  # leaving a nested scope puts the task back into its parent's
            with anyio.move_on_after(deadline):
                await anyio.sleep_forever()
        if name % 3:
            await anyio.sleep_forever()
        with anyio.fail_after(1000):
            await anyio.sleep_forever()
    finally:
        log.append(f"anyio {name}")

async def plain(name):
    try:
        await asyncio.Event().wait()
    finally:
        log.append(f"asyncio {name}")

async def member(name):
    try:
        await asyncio.Event().wait()
    finally:
        log.append(f"member {name}")

async def grouped():
    async with asyncio.TaskGroup() as tasks:
        for name in range(40):
            junk.append(tasks.create_task(member(name)))
            junk.append(bytearray(name))
        await asyncio.sleep(1)
        raise LookupError

async def main():
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(100)))  # a plain set wraps at 128
    try:
        await grouped()
    except* LookupError:
        pass
    async with anyio.create_task_group() as outer:
        async with anyio.create_task_group() as tasks:
            for name in range(40):
                tasks.start_soon(worker, name, [0.1 + 0.01 * (name * 7 % 5)] * (name % 4))
                junk.append(asyncio.get_running_loop().create_task(plain(name)))
                junk.append(bytearray(name))
            await anyio.sleep(5)
            outer.cancel_scope.cancel()

run_simulated(main)
print(log)
"""


def run_python(code: str, *arguments: str, hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_r90_tasks_are_cancelled_in_creation_order_in_every_process() -> None:
    expected = [f"{kind} {name}" for kind in ("member", "anyio", "asyncio") for name in range(40)]

    logs = [run_python(CANCELLATION, str(n * 1000), hash_seed=str(n)) for n in (0, 1, 77)]

    assert logs == [f"{expected}\n"] * 3


def test_asynchronous_generators_are_closed_in_creation_order() -> None:
    closed: list[int] = []

    async def numbers(name: int) -> AsyncGenerator[int, None]:
        try:
            yield name
        finally:
            closed.append(name)

    async def main() -> list[AsyncGenerator[int, None]]:
        generators = [numbers(name) for name in range(50)]
        for generator in generators:
            await anext(generator)
        return generators

    run_simulated(main)

    assert closed == list(range(50))


def test_a_forgotten_asynchronous_generator_is_closed_by_the_loop() -> None:
    closed: list[str] = []

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            closed.append("closed")

    async def main() -> None:
        await anext(numbers())
        await asyncio.sleep(1)
        assert closed == ["closed"]

    run_simulated(main)


def test_tasks_and_futures_hash_by_creation_and_are_named_per_loop() -> None:
    async def main() -> list[str]:
        loop = running_loop()
        tasks = [loop.create_task(asyncio.sleep(0)) for _ in range(3)]
        assert [hash(task) for task in tasks] == sorted(hash(task) for task in tasks)
        futures = [loop.create_future() for _ in range(3)]
        assert [hash(future) for future in futures] == sorted(hash(future) for future in futures)
        named = loop.create_task(asyncio.sleep(0), name="mine")
        await asyncio.gather(*tasks, named)
        return [task.get_name() for task in (*tasks, named)]

    assert run_simulated(main) == ["Task-2", "Task-3", "Task-4", "mine"]
    assert run_simulated(main) == ["Task-2", "Task-3", "Task-4", "mine"]


def test_a_task_factory_is_respected() -> None:
    async def main() -> str:
        loop = running_loop()
        loop.set_task_factory(lambda loop, coro, **options: asyncio.Task(coro, loop=loop))
        task = loop.create_task(asyncio.sleep(0), name="made")
        await task
        return f"{type(task).__name__} {task.get_name()}"

    assert run_simulated(main) == "Task made"


def test_r90_random_streams_come_from_seed_and_name_alone() -> None:
    loop = SimulatedLoop(seed=7)
    first = [loop.random_for("orders").random() for _ in range(3)]
    loop.random_for("quotes").random()
    again = SimulatedLoop(seed=7)
    other = SimulatedLoop(seed=8)

    assert [again.random_for("orders").random() for _ in range(3)] == first
    assert again.random_for("quotes").random() != first[0]
    assert other.random_for("orders").random() != first[0]
    assert len(set(first)) == 3  # asking again continues the stream
    code = (
        "from framework.simulation.loop import seeded_random as s; print(s(7, 'orders').random())"
    )
    assert run_python(code, hash_seed="5") == f"{first[0]}\n"
    for made in (loop, again, other):
        made.close()


# -- the outside world ---------------------------------------------------------------------------


def forbidden_calls() -> dict[str, Callable[[], Coroutine[Any, Any, object]]]:
    async def executor() -> None:
        await running_loop().run_in_executor(None, print)

    async def name_lookup() -> None:
        await running_loop().getaddrinfo("localhost", 80)

    async def datagrams() -> None:
        protocol = asyncio.DatagramProtocol
        await running_loop().create_datagram_endpoint(protocol, ("127.0.0.1", 1))

    async def reader() -> None:
        running_loop().add_reader(0, print)

    async def tls_client() -> None:
        await asyncio.open_connection("venue", 443, ssl=True)

    async def tls_server() -> None:
        await asyncio.start_server(print, "venue", 443, ssl=True)

    async def unix_socket() -> None:
        await asyncio.open_unix_connection("/nowhere")

    return {
        "executor": executor,
        "asyncio.to_thread": lambda: asyncio.to_thread(print),
        "anyio.to_thread": lambda: anyio.to_thread.run_sync(print),
        "subprocess_exec": lambda: asyncio.create_subprocess_exec("true"),
        "subprocess_shell": lambda: asyncio.create_subprocess_shell("true"),
        "anyio process": lambda: anyio.run_process("true"),
        "name lookup": name_lookup,
        "anyio connection": lambda: anyio.connect_tcp("localhost", 80),
        "datagrams": datagrams,
        "reader": reader,
        "TLS client": tls_client,
        "TLS server": tls_server,
        "unix socket": unix_socket,
    }


@pytest.mark.parametrize("name", forbidden_calls())
def test_threads_processes_and_sockets_are_forbidden(name: str) -> None:
    with pytest.raises(ForbiddenInSimulation, match="do not exist in a simulated world"):
        run_simulated(lambda: forbidden_calls()[name]())


def test_another_thread_cannot_reach_the_loop() -> None:
    async def main() -> list[BaseException]:
        loop, refused = running_loop(), []

        def intrude() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except ForbiddenInSimulation as error:
                refused.append(error)

        thread = threading.Thread(target=intrude)
        thread.start()
        thread.join()
        loop.call_soon_threadsafe(lambda: None)  # its own thread may, as signal handlers do
        return list(refused)

    assert len(run_simulated(main)) == 1


def test_other_loops_keep_their_threads_and_their_cancellation() -> None:
    run_simulated(anyio.lowlevel.checkpoint)

    async def main() -> tuple[int, bool]:
        with anyio.move_on_after(0) as scope:
            await anyio.sleep_forever()
        return await anyio.to_thread.run_sync(lambda: 42), scope.cancelled_caught

    assert anyio.run(main) == (42, True)


# -- beginning and end ---------------------------------------------------------------------------


def test_what_main_raises_comes_out() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run_simulated(main)


def test_what_is_left_is_cancelled_in_creation_order_and_may_say_farewell() -> None:
    log: list[tuple[int, float]] = []

    async def linger(name: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)
            log.append((name, running_loop().time()))

    async def main() -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(linger(name)) for name in range(30)]
        await asyncio.sleep(1)
        return tasks

    run_simulated(main, limit_ns=2 * SECOND)

    assert log == [(name, 6.0) for name in range(30)]


def test_a_task_that_refuses_to_end_is_reported() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                continue

    async def main() -> None:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(1)
        assert not task.done()

    with pytest.raises(SimulationTimeLimit):
        run_simulated(main)
    gc.collect()


def test_a_failure_while_ending_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("on the way out")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(1)
        assert not task.done()

    run_simulated(main)

    assert "failed while it was cancelled at the end" in caplog.text


def test_a_runner_opens_and_closes_the_loop_without_a_trace() -> None:
    async def main() -> float:
        await asyncio.sleep(3)
        await running_loop().shutdown_default_executor()
        return running_loop().time()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with asyncio.Runner(loop_factory=SimulatedLoop, debug=True) as runner:
            assert runner.run(main()) == 3
            assert runner.run(main()) == 6
        del runner
        gc.collect()

    assert caught == []
    assert not hasattr(SimulatedLoop, "_selector")


def test_a_closed_loop_refuses_work() -> None:
    loop = SimulatedLoop()
    loop.close()

    for schedule in (loop.call_soon, lambda f: loop.call_at(1, f), lambda f: loop.call_at_ns(1, f)):
        with pytest.raises(RuntimeError, match="closed"):
            schedule(print)


# -- signals -------------------------------------------------------------------------------------


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have Ctrl-C interrupt: a shell that starts the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_cancels_main_and_comes_out_after_the_clean_up() -> None:
    log: list[str] = []

    async def main() -> None:
        try:
            await asyncio.sleep(1)
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(1)
        finally:
            await asyncio.sleep(30)
            log.append(f"cleaned up at {running_loop().time():.0f}")

    with pytest.raises(KeyboardInterrupt):
        run_simulated(main)

    assert log == ["cleaned up at 31"]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_a_source_that_feeds_plain_handlers() -> None:
    prices: list[int] = []

    def on_price(time_ns: int) -> None:
        prices.append(time_ns)
        if time_ns == 3:
            signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        loop = running_loop()
        loop.attach_source(Prices(loop, list(range(100)), on_price))
        await asyncio.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        run_simulated(main)

    assert prices == [0, 1, 2, 3]


@pytest.mark.usefixtures("interruptible")
def test_without_a_runner_keyboard_interrupt_leaves_run_until_complete() -> None:
    loop = SimulatedLoop()
    loop.call_at(1, signal.raise_signal, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(asyncio.sleep(5))
    loop.end_tasks()

    assert loop.time() == 1
    loop.close()


def test_signal_handlers_run_in_the_loop_and_are_given_back() -> None:
    async def main() -> list[str]:
        loop = running_loop()
        log: list[str] = []
        loop.add_signal_handler(signal.SIGUSR1, log.append, "heard")
        signal.raise_signal(signal.SIGUSR1)
        log.append("raised")
        await asyncio.sleep(0)
        return log

    assert run_simulated(main) == ["raised", "heard"]
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_a_signal_handler_can_be_removed_and_a_wrong_one_is_refused() -> None:
    loop = SimulatedLoop()
    loop.add_signal_handler(signal.SIGUSR1, print)

    assert loop.remove_signal_handler(signal.SIGUSR1)
    assert not loop.remove_signal_handler(signal.SIGUSR1)
    with pytest.raises(RuntimeError):
        loop.add_signal_handler(signal.SIGKILL, print)
    loop.close()


def test_r90_one_seed_is_one_run() -> None:
    def play(seed: int) -> list[tuple[int, int]]:
        log: list[tuple[int, int]] = []

        async def worker(name: int, chance: random.Random) -> None:
            for _ in range(20):
                await asyncio.sleep(chance.random())
                log.append((name, running_loop().now_ns))

        async def main() -> None:
            loop = running_loop()
            async with anyio.create_task_group() as tasks:
                for name in range(10):
                    tasks.start_soon(worker, name, loop.random_for(f"worker {name}"))

        run_simulated(main, seed=seed)
        return log

    assert play(1) == play(1)
    assert play(1) != play(2)
