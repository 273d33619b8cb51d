"""R-66: each target gets its alerts in time, whatever the others do; on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import pytest

from framework.alerts.delivery import ATTEMPTS, AlertDelivery, Outcome, Target, attempted
from framework.settings.structs import LogLevel
from framework.simulation.loop import run_simulated
from tests.framework.alerts.samples import ScriptedTarget, alert

AWAY = Outcome("away", is_retryable=True)
R66_S = 5.0


async def hang() -> Outcome:
    await anyio.sleep_forever()
    raise AssertionError


async def fail() -> Outcome:
    raise RuntimeError("a bug")


def deliver(
    targets: Sequence[Target],
    script: Callable[[AlertDelivery], Awaitable[Any]],
    *,
    capacity: int = 100,
) -> AlertDelivery:
    """Run a delivery on virtual time while `script` goes on."""

    async def main() -> AlertDelivery:
        delivery = AlertDelivery(targets, Random(7), capacity=capacity)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(delivery.run)
            await script(delivery)
            tasks.cancel_scope.cancel()
        return delivery

    return run_simulated(main)


def putting(*alerts: Any, limit_s: float = 600) -> Callable[[AlertDelivery], Awaitable[Any]]:
    async def script(delivery: AlertDelivery) -> bool:
        for one in alerts:
            delivery.put(one)
        return await delivery.drain(limit_s)

    return script


def test_r66_a_hanging_target_holds_up_no_other() -> None:
    hanging = ScriptedTarget(*[hang] * ATTEMPTS, name="hanging")
    good = ScriptedTarget()

    deliver([hanging, good], putting(alert("a"), alert("b"), limit_s=R66_S))

    assert good.names == ["a", "b"]
    assert all(time_s < 0.001 for time_s, _ in good.attempts)


def test_r66_a_target_that_recovers_gets_its_alert_within_five_seconds() -> None:
    target = ScriptedTarget(AWAY, AWAY)

    delivery = deliver([target], putting(alert()))

    assert [shown.delivered for shown in delivery.statistics()] == [1]
    assert len(target.attempts) == 3
    assert target.attempts[-1][0] < R66_S


def test_attempts_end_and_the_failure_is_visible(logs: list[Any]) -> None:
    target = ScriptedTarget(*[AWAY] * 50)

    delivery = deliver([target], putting(alert("a")))

    times_s = [time_s for time_s, _ in target.attempts]
    pauses_s = [after - before for before, after in pairwise(times_s)]
    assert len(times_s) == ATTEMPTS
    assert pauses_s == sorted(pauses_s)
    (shown,) = delivery.statistics()
    assert (shown.delivered, shown.failed, shown.waiting) == (0, 1, 0)
    (line,) = [line for line in logs if line["event"] == "alert_not_delivered"]
    assert line["log_level"] == "error"
    assert (line["target"], line["alert"], line["reason"]) == ("scripted", "a", "away")


def test_what_cannot_get_better_is_not_tried_again() -> None:
    target = ScriptedTarget(Outcome("answered 404"))

    delivery = deliver([target], putting(alert("a"), alert("b")))

    assert target.names == ["a", "b"]
    (shown,) = delivery.statistics()
    assert (shown.delivered, shown.failed) == (1, 1)


def test_a_bug_in_one_target_silences_neither_it_nor_the_others(logs: list[Any]) -> None:
    broken, good = ScriptedTarget(fail, name="broken"), ScriptedTarget()

    deliver([broken, good], putting(alert("a"), alert("b")))

    assert broken.names == good.names == ["a", "b"]
    assert "alert_target_failed" in [line["event"] for line in logs]


def test_a_target_takes_its_level_and_above() -> None:
    target = ScriptedTarget(level=LogLevel.ERROR)

    deliver([target], putting(alert("a", "warning"), alert("b", "error"), alert("c", "critical")))

    assert target.names == ["b", "c"]


def test_every_alert_is_a_log_line_even_without_a_target(logs: list[Any]) -> None:
    deliver([], putting(alert("a", fields=(("venue", "kite"),)), alert("b", "loud")))

    assert [(line["alert"], line["log_level"]) for line in logs] == [
        ("a", "error"),
        ("b", "critical"),
    ]
    assert logs[0]["fields"] == {"venue": "kite"}


def test_a_full_outbox_drops_the_least_urgent_and_says_so(logs: list[Any]) -> None:
    target = ScriptedTarget()
    levels = ["info", "error", "error"]
    names = [alert(f"{number}", level) for number, level in enumerate(levels)]
    target.level = LogLevel.INFO

    delivery = deliver([target], putting(*names), capacity=2)

    assert target.names == ["1", "2"]
    assert delivery.statistics()[0].dropped == 1
    assert ("alert_dropped", "0") in [(line["event"], line["alert"]) for line in logs]


def test_draining_gives_up_at_its_limit() -> None:
    answers: list[bool] = []

    async def script(delivery: AlertDelivery) -> None:
        delivery.put(alert())
        answers.append(await delivery.drain(1.0))

    delivery = deliver([ScriptedTarget(hang)], script)

    assert answers == [False]
    assert delivery.statistics()[0].waiting == 1


def test_nothing_to_deliver_is_drained_at_once() -> None:
    async def script(delivery: AlertDelivery) -> None:
        assert await delivery.drain(0.0)
        assert asyncio.get_running_loop().time() == 0.0

    deliver([ScriptedTarget()], script)


def test_an_attempt_has_a_deadline() -> None:
    async def main() -> Outcome:
        return await attempted(ScriptedTarget(hang, timeout_s=2.5), alert())

    outcome = run_simulated(main)

    assert outcome == Outcome("no answer within 2.5 s", is_retryable=True)
    assert not outcome.is_delivered


@pytest.mark.parametrize("seed", [1, 2])
def test_pauses_follow_the_seed(seed: int) -> None:
    def times_s() -> list[float]:
        target = ScriptedTarget(*[AWAY] * 50)

        async def main() -> None:
            delivery = AlertDelivery([target], Random(seed))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(delivery.run)
                await putting(alert())(delivery)
                tasks.cancel_scope.cancel()

        run_simulated(main)
        return [time_s for time_s, _ in target.attempts]

    assert times_s() == times_s()
