"""Reconciliation at start, after each reconnect and every 30 s, against bad answers."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from decimal import Decimal
from random import Random
from typing import Any

import anyio
import pytest

from framework.model.orders import OrderStatus
from framework.model.venue_state import OrderReport
from framework.orders.order_state import OrderState
from framework.runtime.reconciling import Reconciling
from tests.framework.orders.venue_world import START_NS
from tests.framework.runtime.answering_venue import LOST_AFTER, Scene, play


class Rig:
    """The shell of a scene, and when its account became ready."""

    def __init__(self, scene: Scene) -> None:
        self.ready_s: list[float] = []
        self.shell = Reconciling(
            reconciliation=scene.world.reconciliation,
            brokers=scene.brokers,
            clock=scene.clock,
            publish=scene.world.publish,
            random=Random(1),
            alert=scene.world.alert,
        )
        self.shell.on_ready = lambda account: self.ready_s.append(scene.now_s)

    @property
    def is_ready(self) -> bool:
        return self.shell.is_ready("main")


def run(act: Callable[[Scene, Rig], Awaitable[None]], *, visibility_s: float = 0.0) -> None:
    rigs: list[Rig] = []

    def beside(scene: Scene) -> Callable[[], Coroutine[Any, Any, None]]:
        rigs.append(Rig(scene))
        return rigs[0].shell.run

    play(lambda scene: act(scene, rigs[0]), beside=beside, visibility_s=visibility_s)


def test_an_account_is_ready_after_one_whole_answer_and_looked_at_every_30_s_r_34_r_35() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        assert not rig.is_ready
        await scene.until(lambda: rig.is_ready)
        assert scene.now_s < 1
        await anyio.sleep(95)
        times = [
            (at_ns - START_NS) // 1_000_000_000
            for what, at_ns in scene.venue.asked
            if what == "orders"
        ]
        assert times == [0, 30, 60, 90]
        assert rig.ready_s == [pytest.approx(0.04)]

    run(act)


@pytest.mark.parametrize("part", ["orders", "executions", "positions", "balances"])
def test_nothing_is_ready_while_any_question_fails_r_34_r_35(part: str) -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        scene.venue.failing = {part}
        await anyio.sleep(100)
        assert not rig.is_ready
        assert scene.world.alert_names() == ["reconcile_failing"]
        assert scene.venue.count(part) <= 12  # with growing waits
        scene.venue.failing = set()
        await scene.until(lambda: rig.is_ready)
        assert scene.now_s <= 100 + 31

    run(act)


def test_an_account_that_cannot_be_asked_is_ready_at_once() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        assert rig.shell.is_ready("simulated")
        rig.shell.request("simulated")
        assert rig.shell.is_ready("simulated")

    run(act)


def test_ten_thousand_orders_of_a_slow_venue_are_all_known_before_ready_r_35() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        template = scene.world.order_report(None)
        for number in range(10_000):
            report = OrderReport(
                "main",
                f"V{number}",
                template.instrument,
                template.side,
                template.quantity,
                Decimal(0),
                OrderStatus.ACCEPTED,
                1,
                price=template.price,
            )
            scene.venue.accepted[str(number)] = (0, report)
        scene.venue.latency_s = 20
        await anyio.sleep(79)
        assert not rig.is_ready
        await scene.until(lambda: rig.is_ready)
        assert len(scene.world.registry) == 10_000

    run(act)


def test_what_happened_while_away_is_known_before_ready_f_03_f_14() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        scene.venue.fate = lambda command: LOST_AFTER
        order = scene.world.submit()
        scene.venue.fills = [scene.world.execution(order, "E1")]
        await scene.until(lambda: rig.is_ready)
        assert order.status is OrderStatus.FILLED

    run(act)


def test_a_difference_at_start_is_confirmed_and_booked_before_ready() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        scene.venue.held = (scene.world.position("7"),)
        scene.venue.cash = (scene.world.balance("1000"),)
        await scene.until(lambda: rig.is_ready)
        assert scene.now_s < 5
        assert scene.world.held("external") == Decimal(7)
        assert scene.world.ledger.cash("main") == {"USD": Decimal(1000)}

    run(act)


def test_an_account_that_never_stands_still_is_ready_after_three_looks_with_an_alert() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        async def trade() -> None:
            for count in range(1, 10_000):
                scene.venue.held = (scene.world.position(str(count)),)
                await anyio.sleep(0.03)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trade)
            await scene.until(lambda: rig.is_ready)
            tasks.cancel_scope.cancel()
        assert scene.now_s < 5
        assert scene.world.alert_names() == ["reconcile_unsettled"]
        assert scene.world.held("external") == Decimal(0)

    run(act)


def test_after_a_reconnect_nothing_is_ready_before_a_new_whole_answer_r_34() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        await scene.until(lambda: rig.is_ready)
        await anyio.sleep(3)
        asked = scene.venue.count("orders")
        rig.shell.request("main")
        assert not rig.is_ready
        await scene.until(lambda: rig.is_ready)

        assert scene.venue.count("orders") == asked + 1
        assert len(rig.ready_s) == 2

    run(act)


def fill_behind_our_back(
    scene: Scene, order: OrderState | None, *, seen_after_s: float = 2.95
) -> None:
    """Have an order filled while nobody is told; answers show it after so long."""
    fill = scene.world.execution(order, "E1")
    loop = asyncio.get_running_loop()
    loop.call_later(seen_after_s, lambda: scene.venue.fills.append(fill))


@pytest.mark.parametrize("streams_after_s", [0.0, 0.5, 2.9])
def test_a_fill_that_reads_still_miss_is_known_before_ready_r_35_f_14(
    streams_after_s: float,
) -> None:
    """R-35, F-03: the newest fill of the outage, and one before the pushes began again."""

    async def act(scene: Scene, rig: Rig) -> None:
        await scene.until(lambda: rig.is_ready)
        order = scene.world.submit()
        await anyio.sleep(10)
        rig.shell.request("main")
        await anyio.sleep(streams_after_s)
        fill_behind_our_back(scene, order)
        if streams_after_s:
            rig.shell.hears("main")
        heard_s = scene.now_s
        await scene.until(lambda: rig.is_ready)

        assert order.status is OrderStatus.FILLED
        assert scene.now_s - heard_s > 2.8

    run(act, visibility_s=3.0)


def test_where_nothing_happened_a_reconnect_costs_the_visibility_time_and_two_looks() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        await scene.until(lambda: rig.is_ready)
        await anyio.sleep(5)
        began_s, asked = scene.now_s, scene.venue.count("orders")
        rig.shell.request("main")
        await scene.until(lambda: rig.is_ready)

        assert scene.now_s - began_s == pytest.approx(3, abs=0.1)
        assert scene.venue.count("orders") == asked + 2

    run(act, visibility_s=3.0)


def test_a_fill_just_before_the_start_is_known_before_ready_r_35() -> None:
    """R-35: the same at a start, which is a crash recovery."""

    async def act(scene: Scene, rig: Rig) -> None:
        fill_behind_our_back(scene, None)
        await scene.until(lambda: rig.is_ready)

        assert "E1" in {name for one in scene.world.registry for name in one.facts.executions}
        assert scene.now_s >= 3

    run(act, visibility_s=3.0)


def test_pushes_that_begin_late_lead_to_a_look_and_leave_a_ready_account_ready() -> None:
    """R-34: what happened before the subscription was agreed to is found without the period."""

    async def act(scene: Scene, rig: Rig) -> None:
        await scene.until(lambda: rig.is_ready)
        asked = scene.venue.count("orders")
        rig.shell.hears("main")
        await anyio.sleep(3.5)

        assert scene.venue.count("orders") == asked + 1
        assert rig.is_ready
        rig.shell.hears("simulated")  # of an account that cannot be asked: nothing

    run(act, visibility_s=3.0)


@pytest.mark.parametrize("visibility_s", [0.0, 3.0])
def test_pushes_that_begin_while_a_ready_account_is_looked_at_lead_to_another_look(
    visibility_s: float,
) -> None:
    """R-34: an answer of before knew nothing of a fill that no push told of either."""

    async def act(scene: Scene, rig: Rig) -> None:
        await scene.until(lambda: rig.is_ready)
        order = scene.world.submit()
        asked = scene.venue.count("balances")
        await scene.until(lambda: scene.venue.count("balances") > asked)  # the last question
        fill_behind_our_back(scene, order, seen_after_s=visibility_s * 0.98)
        rig.shell.hears("main")
        await anyio.sleep(visibility_s + 1)

        assert order.status is OrderStatus.FILLED
        assert rig.is_ready

    run(act, visibility_s=visibility_s)


def test_an_answer_from_before_the_reconnect_makes_nothing_ready() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        scene.venue.latency_s = 1
        await anyio.sleep(3.5)  # within the first round
        rig.shell.request("main")
        await anyio.sleep(1)
        assert not rig.is_ready
        await scene.until(lambda: rig.is_ready)
        assert scene.now_s >= 8

    run(act)


def test_a_reconnect_ends_the_wait_between_attempts() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        scene.venue.outages = [(0, 200)]
        await anyio.sleep(201)
        rig.shell.request("main")
        await scene.until(lambda: rig.is_ready)
        assert scene.now_s < 202

    run(act)


def test_answers_about_another_account_are_no_whole_answer() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        scene.venue.fills = [scene.world.execution(None, "E1", account="other")]
        await anyio.sleep(20)
        assert not rig.is_ready
        assert any("another account" in text for text in scene.world.findings[-1].failures)

    run(act)


def test_a_venue_that_answers_nothing_in_time_is_given_up_and_asked_again() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        scene.venue.latency_s = 1e9
        await anyio.sleep(300)
        assert not rig.is_ready
        assert scene.world.findings
        scene.venue.latency_s = 0.01
        await scene.until(lambda: rig.is_ready)

    run(act)


def test_a_failure_between_two_good_rounds_changes_nothing_about_ready() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        await scene.until(lambda: rig.is_ready)
        scene.venue.outages = [(20, 100)]
        await anyio.sleep(90)
        assert rig.is_ready

    run(act)


def test_a_fill_that_a_report_counts_and_nobody_told_of_is_looked_for_within_seconds_f_03() -> None:
    async def act(scene: Scene, rig: Rig) -> None:
        await scene.until(lambda: rig.is_ready)
        await anyio.sleep(5)
        world = scene.world
        order = world.submit(quantity="2")
        asked_s = scene.now_s
        world.publish(world.order_report(order, OrderStatus.PARTIALLY_FILLED, filled="1"))
        world.publish(world.order_report(order, OrderStatus.PARTIALLY_FILLED, filled="1"))
        await anyio.sleep(3)

        looks = [at_ns for what, at_ns in scene.venue.asked if what == "executions"]
        began_s = [(at_ns - START_NS) / 1e9 for at_ns in looks]
        assert next(at for at in began_s if at > asked_s) == pytest.approx(asked_s + 1, abs=0.1)
        assert rig.is_ready

    run(act)
