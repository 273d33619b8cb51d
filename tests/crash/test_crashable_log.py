"""The log that crashes: exactly what was durable survives, plus any part of the rest (R-04)."""

import asyncio

import pytest

from framework.interfaces import OrderLog
from framework.model.records import GateSet
from framework.simulation.loop import run_simulated
from tests.crash.crashable_log import CrashableLog
from tests.crash.points import Crash, Points


def entry(number: int) -> GateSet:
    return GateSet("active", f"{number}", "test", number)


def test_what_is_appended_together_is_durable_together() -> None:
    told: list[int] = []

    async def main() -> None:
        log = CrashableLog(commit_s=0.001)
        log.on_durable = lambda: told.append(log.durable_position)
        promised: OrderLog = log
        assert [promised.append(entry(n)) for n in (1, 2)] == [1, 2]
        assert (log.durable_position, log.volatile_count) == (0, 2)
        await asyncio.sleep(0.002)
        log.append(entry(3))
        await log.flush()
        assert list(log.read(1)) == [(2, entry(2)), (3, entry(3))]
        await log.aclose()

    run_simulated(main)
    assert told == [2, 3, 3]


@pytest.mark.parametrize("kept", [0, 1, 2, 9])
def test_r04_a_crash_leaves_any_part_of_what_was_not_durable(kept: int) -> None:
    async def main() -> list[int]:
        log = CrashableLog()
        log.append(entry(1))
        await log.flush()
        for number in (2, 3):
            log.append(entry(number))
            await asyncio.sleep(0)  # one turn of the loop is one transaction
        log.die()
        log.append(entry(4))
        await log.flush()
        survivor = log.survivor(kept, Points())
        assert survivor.epoch == 2
        assert survivor.durable_position == survivor.position
        return [position for position, _ in survivor.read()]

    assert run_simulated(main) == list(range(1, 2 + min(kept, 2)))


def test_r04_a_crash_leaves_no_part_of_a_turn_of_the_loop() -> None:
    async def main() -> list[int]:
        log = CrashableLog()
        for turn in ((1, 2, 3), (4, 5)):
            for number in turn:
                log.append(entry(number))
            await asyncio.sleep(0)
        log.append(entry(6))
        log.die()
        return [len(list(log.survivor(kept, Points()).read())) for kept in range(7)]

    assert run_simulated(main) == [0, 0, 0, 3, 3, 5, 5]


def test_a_disk_that_fails_keeps_what_was_durable_and_says_so() -> None:
    async def main() -> list[object]:
        log, told = CrashableLog(), []
        log.append(entry(1))
        await log.flush()
        log.on_durable = lambda: told.append(log.failure)
        log.append(entry(2))
        log.fail("disk full")
        log.append(entry(3))
        await asyncio.sleep(1)
        await log.flush()
        return [*told, log.durable_position, len(list(log.survivor(0, Points()).read()))]

    assert run_simulated(main) == ["disk full", 1, 1]


def test_a_snapshot_survives_once_it_was_committed() -> None:
    async def main() -> None:
        log = CrashableLog()
        log.save_snapshot(log.append(entry(1)), b"one")
        await log.flush()
        log.save_snapshot(log.append(entry(2)), b"two")
        assert log.newest_snapshot() == (2, b"two")
        log.die()
        log.save_snapshot(9, b"nine")
        assert log.survivor(0, Points()).newest_snapshot() == (1, b"one")

    run_simulated(main)


def test_each_moment_can_be_the_last() -> None:
    async def life(points: Points) -> None:
        log = CrashableLog(point=points)
        log.append(entry(1))
        await asyncio.sleep(1)

    counted = Points()
    run_simulated(lambda: life(counted))
    assert counted.names == ["before append", "after append", "before commit", "after commit"]
    for number, name in enumerate(counted.names, 1):
        points = Points(number)
        with pytest.raises(Crash, match=name):
            run_simulated(lambda points=points: life(points))  # type: ignore[misc]
        assert points.is_dead
        assert points.count == number
