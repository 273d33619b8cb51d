"""Market time: it never goes back or jumps, and timers fire at theirs (R-57)."""

import asyncio
from functools import partial
from itertools import pairwise
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.clock.clock import MAXIMUM_SLEW, LiveClock, VirtualClock
from framework.errors import InvariantBroken
from framework.simulation.loop import SimulatedLoop, run_simulated

SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS


class Machine:
    """A wall clock that can be set, and a monotonic one that cannot."""

    def __init__(self) -> None:
        self.wall_ns = 1_700_000_000 * SECOND_NS
        self.monotonic_ns = 5 * SECOND_NS

    def pass_by(self, elapsed_ns: int) -> None:
        self.wall_ns += elapsed_ns
        self.monotonic_ns += elapsed_ns

    def clock(self) -> LiveClock:
        return LiveClock(wall_ns=lambda: self.wall_ns, monotonic_ns=lambda: self.monotonic_ns)


def loop_clock() -> LiveClock:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)


def test_a_virtual_clock_moves_only_forward() -> None:
    clock = VirtualClock(10)

    clock.advance_to(20)

    assert clock.now_ns == 20
    with pytest.raises(InvariantBroken, match="cannot go back from 20 to 19"):
        clock.advance_to(19)


def test_a_virtual_timer_set_for_the_past_is_due_now() -> None:
    clock = VirtualClock(10)

    timer = clock.call_at(3, lambda: None)

    assert timer.due_ns == clock.timers.next_ns == 10


def test_a_live_clock_follows_the_wall_clock() -> None:
    machine = Machine()
    clock = machine.clock()

    machine.pass_by(10 * SECOND_NS)

    assert clock.now_ns == machine.wall_ns
    assert clock.drift_ns() == 0


@pytest.mark.parametrize("jump_ns", [HOUR_NS, -HOUR_NS])
def test_r57_a_wall_clock_that_is_set_is_followed_slowly(jump_ns: int) -> None:
    machine = Machine()
    clock = machine.clock()
    before_ns = clock.now_ns

    machine.wall_ns += jump_ns
    assert clock.now_ns == before_ns
    assert clock.drift_ns() == jump_ns
    machine.pass_by(10 * SECOND_NS)

    elapsed_ns = clock.now_ns - before_ns
    slewed_ns = int(10 * SECOND_NS * MAXIMUM_SLEW) * (1 if jump_ns > 0 else -1)
    assert elapsed_ns == 10 * SECOND_NS + slewed_ns


@given(
    st.lists(
        st.tuples(st.integers(0, 20 * SECOND_NS), st.integers(-2 * HOUR_NS, 2 * HOUR_NS)),
        max_size=30,
    )
)
def test_r57_time_never_goes_back_and_never_runs_away(steps: list[tuple[int, int]]) -> None:
    machine = Machine()
    clock = machine.clock()
    now_ns = clock.now_ns

    for elapsed_ns, jump_ns in steps:
        machine.pass_by(elapsed_ns)
        machine.wall_ns += jump_ns
        before_ns, now_ns = now_ns, clock.now_ns
        assert now_ns >= before_ns
        longest_ns = (elapsed_ns + SECOND_NS) * MAXIMUM_SLEW + 1  # it looks once a second
        assert abs(now_ns - before_ns - elapsed_ns) <= longest_ns


def test_live_timers_fire_on_the_loop_in_order_and_not_early() -> None:
    async def main() -> list[tuple[str, int]]:
        clock = loop_clock()
        fired: list[tuple[str, int]] = []

        def note(name: str) -> None:
            fired.append((name, clock.now_ns))

        clock.call_at(3, lambda: fired.append(("before start", clock.now_ns)))
        clock.start()
        for name, due_ns in (("b", 20), ("a", 10), ("c", 20), ("past", -5)):
            clock.call_at(due_ns * SECOND_NS, partial(note, name))
        clock.call_at(15 * SECOND_NS, lambda: fired.append(("never", 0))).cancel()
        await anyio.sleep(60)
        return fired

    assert run_simulated(main) == [
        ("past", 0),
        ("before start", 1_000),  # a timer waits for at least a microsecond
        ("a", 10 * SECOND_NS),
        ("b", 20 * SECOND_NS),
        ("c", 20 * SECOND_NS),
    ]


def test_r57_timers_hold_their_interval_while_the_wall_clock_jumps() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        offset_ns = 0
        clock = LiveClock(wall_ns=lambda: loop.now_ns + offset_ns, monotonic_ns=lambda: loop.now_ns)
        clock.start()
        fired_s: list[float] = []

        def fire() -> None:
            fired_s.append(loop.time())
            clock.call_at((len(fired_s) + 1) * SECOND_NS, fire)

        clock.call_at(SECOND_NS, fire)
        for jump_ns in (HOUR_NS, -HOUR_NS, 0):
            offset_ns = jump_ns
            await anyio.sleep(20)
        return fired_s

    fired_s = run_simulated(main)

    gaps = [later - earlier for earlier, later in pairwise(fired_s)]
    assert len(fired_s) in (59, 60)  # no storm, and none is left out
    assert all(abs(gap - 1) < 0.002 for gap in gaps)


def test_a_timer_that_raises_keeps_no_other_from_firing() -> None:
    async def main() -> tuple[list[str], list[BaseException]]:
        fired: list[str] = []
        errors: list[BaseException] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: errors.append(context["exception"])
        )
        clock = loop_clock()
        clock.start()

        def fail() -> None:
            raise KeyError("missing")

        clock.call_at(SECOND_NS, fail)
        clock.call_at(SECOND_NS, lambda: fired.append("same instant"))
        clock.call_at(2 * SECOND_NS, lambda: fired.append("later"))
        await anyio.sleep(5)
        return fired, errors

    fired, errors = run_simulated(main)

    assert fired == ["same instant", "later"]
    assert [type(error) for error in errors] == [KeyError]


def test_a_timer_that_sets_itself_for_now_lets_the_loop_run() -> None:
    async def main() -> int:
        clock = loop_clock()
        clock.start()
        count = 0

        def again() -> None:
            nonlocal count
            count += 1
            clock.call_at(clock.now_ns, again)

        clock.call_at(0, again)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        clock.stop()
        return count

    assert 1 <= run_simulated(main) <= 21


def test_timers_wait_while_stopped_and_fire_after_the_next_start() -> None:
    async def main() -> list[int]:
        clock = loop_clock()
        fired: list[int] = []
        clock.start()
        clock.call_at(SECOND_NS, lambda: fired.append(clock.now_ns))
        clock.stop()
        clock.stop()
        await anyio.sleep(10)
        assert fired == []
        clock.start()
        await anyio.sleep(1)
        return fired

    assert run_simulated(main) == [10 * SECOND_NS]


def test_a_timer_for_many_years_ahead_is_armed_in_steps() -> None:
    async def main() -> Any:
        clock = loop_clock()
        clock.start()
        fired = asyncio.get_running_loop().create_future()
        clock.call_at(10 * 24 * HOUR_NS, lambda: fired.set_result(clock.now_ns))
        return await fired

    assert 0 <= run_simulated(main) - 10 * 24 * HOUR_NS <= 1_000
