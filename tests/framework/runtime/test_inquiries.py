"""The shell that asks about orders in doubt, against venues that lose, delay and fail answers."""

from collections.abc import Callable, Coroutine
from decimal import Decimal
from random import Random
from typing import Any

import anyio
import pytest

from framework.errors import RateLimited
from framework.model.orders import OrderStatus, RequestState, Side
from framework.model.reports import RequestInDoubt, RequestKind
from framework.model.venue_state import OrderReport
from framework.orders.doubt import NEVER_NS
from framework.orders.order_state import OrderState
from framework.runtime.inquiries import Alarm, Inquiries
from tests.framework.runtime.answering_venue import (
    HEARD,
    LOST_AFTER,
    LOST_BEFORE,
    AnsweringVenue,
    Scene,
    play,
)

ACCEPTED, REJECTED = OrderStatus.ACCEPTED, OrderStatus.REJECTED


def asking(scene: Scene) -> Callable[[], Coroutine[Any, Any, None]]:
    world = scene.world
    inquiries = Inquiries(
        doubts=world.doubts, brokers=scene.brokers, clock=scene.clock, publish=world.publish
    )
    return inquiries.run


def lose(scene: Scene, fate: str) -> OrderState:
    """Submit an order whose answer is lost, and know that at once."""
    scene.venue.fate = lambda command: fate
    order = scene.world.submit()
    doubt(scene, order)
    return order


def doubt(scene: Scene, order: OrderState) -> None:
    now_ns = scene.clock.now_ns
    scene.world.publish(RequestInDoubt(order.order_id, RequestKind.SUBMIT, "timeout", now_ns))


def is_certain(order: OrderState) -> bool:
    return order.facts.submit_state is RequestState.NONE


@pytest.mark.parametrize("seed", range(20))
def test_lost_answers_end_in_the_truth_and_never_in_a_second_order_r_20_f_01(seed: int) -> None:
    """Ten orders each: cut before and after delivery, or not; 200 cases in all."""
    visibility_s = Random(seed).choice([0.0, 2.0, 10.0])

    async def act(scene: Scene) -> None:
        random = Random(seed)
        scene.venue.fate = lambda command: random.choice([HEARD, LOST_BEFORE, LOST_AFTER])
        orders = []
        for _ in range(10):
            orders.append(scene.world.submit(random.choice([Side.BUY, Side.SELL])))
            await anyio.sleep(random.uniform(0, 1))
        last_s = scene.now_s
        await scene.until(lambda: all(is_certain(order) for order in orders))

        assert scene.now_s <= last_s + 5 + visibility_s + 5  # no answer for 5 s, then R-20
        for order in orders:
            is_there = order.order_id in scene.venue.accepted
            assert order.status is (ACCEPTED if is_there else REJECTED)
        ids = [command.order_id for command in scene.venue.received]
        assert len(ids) == len(set(ids))

    play(act, beside=asking, seed=seed, visibility_s=visibility_s)


def test_an_order_is_found_within_five_seconds_of_the_venue_answering_again_r_20() -> None:
    async def act(scene: Scene) -> None:
        scene.venue.outages = [(0, 47.3)]
        order = lose(scene, LOST_AFTER)
        await scene.until(lambda: is_certain(order))

        assert order.status is ACCEPTED
        assert 47.3 <= scene.now_s <= 47.3 + 5

    play(act, beside=asking)


@pytest.mark.parametrize("visible_after_s", [0.0, 0.4, 3.0, 9.9])
@pytest.mark.parametrize("outage", [None, (0.2, 4.0), (1.0, 30.0)])
def test_an_order_that_shows_late_is_found_whatever_fails_in_between_r_22(
    visible_after_s: float, outage: tuple[float, float] | None
) -> None:
    async def act(scene: Scene) -> None:
        scene.venue.outages = [] if outage is None else [outage]
        order = lose(scene, LOST_AFTER)
        await scene.until(lambda: is_certain(order))

        assert order.status is ACCEPTED
        assert len(scene.venue.received) == 1

    play(act, beside=asking, visibility_s=10.0, visible_after_s=visible_after_s)


def test_outages_alone_never_end_an_order_f_02() -> None:
    async def act(scene: Scene) -> None:
        scene.venue.outages = [(0, 3600)]
        order = lose(scene, LOST_BEFORE)
        await anyio.sleep(3000)
        assert order.facts.submit_state is RequestState.IN_DOUBT
        assert scene.venue.count("order") < 3000  # bounded, too

    play(act, beside=asking)


def test_a_question_that_hangs_is_given_up_and_asked_again() -> None:
    async def act(scene: Scene) -> None:
        scene.venue.latency_s = 1e9
        order = lose(scene, LOST_AFTER)
        await anyio.sleep(10)
        scene.venue.latency_s = 0.01
        before_s = scene.now_s
        await scene.until(lambda: is_certain(order))
        assert scene.now_s <= before_s + 5

    play(act, beside=asking)


def test_history_that_cannot_be_read_is_no_evidence_r_22() -> None:
    async def act(scene: Scene) -> None:
        scene.venue.failing = {"executions"}
        order = lose(scene, LOST_BEFORE)
        await anyio.sleep(100)
        assert not order.is_closed
        scene.venue.failing = set()
        await scene.until(lambda: order.is_closed)
        assert order.status is REJECTED

    play(act, beside=asking)


def test_a_fill_found_in_history_ends_the_doubt() -> None:
    async def act(scene: Scene) -> None:
        order = lose(scene, LOST_BEFORE)
        scene.venue.fills = [
            scene.world.execution(order, "E1"),
            scene.world.execution(None, "E2", name="X"),
        ]
        await scene.until(lambda: is_certain(order))
        assert order.status is OrderStatus.FILLED
        assert scene.world.held("external") == Decimal(0)

    play(act, beside=asking)


def test_an_answer_about_another_order_is_no_answer() -> None:
    class Confused(AnsweringVenue):
        async def order(self, account: str, order_id: str) -> OrderReport | None:
            await self._answer("order")
            return next(iter(self.accepted.values()))[1]

    async def act(scene: Scene) -> None:
        scene.venue.fate = lambda command: HEARD
        scene.world.submit()
        scene.venue.__class__ = Confused
        order = lose(scene, LOST_BEFORE)
        await anyio.sleep(60)
        assert order.facts.submit_state is RequestState.IN_DOUBT

    play(act, beside=asking)


def test_a_broken_adapter_does_not_stop_the_questions() -> None:
    class Broken(AnsweringVenue):
        async def order(self, account: str, order_id: str) -> OrderReport | None:
            raise KeyError("status")

    async def act(scene: Scene) -> None:
        scene.venue.__class__ = Broken
        order = lose(scene, LOST_AFTER)
        await anyio.sleep(60)
        scene.venue.__class__ = AnsweringVenue
        await scene.until(lambda: is_certain(order))

    play(act, beside=asking)


def test_a_rate_limit_pauses_the_account() -> None:
    class Limited(AnsweringVenue):
        async def order(self, account: str, order_id: str) -> OrderReport | None:
            await self._answer("order")
            raise RateLimited("v", 20.0)

    async def act(scene: Scene) -> None:
        scene.venue.__class__ = Limited
        lose(scene, LOST_AFTER)
        await anyio.sleep(19)
        assert scene.venue.count("order") == 1

    play(act, beside=asking)


def test_a_venue_without_client_ids_is_asked_by_list_r_21() -> None:
    async def act(scene: Scene) -> None:
        found = lose(scene, LOST_AFTER)
        await scene.until(lambda: is_certain(found))
        lost = lose(scene, LOST_BEFORE)
        await scene.until(lambda: is_certain(lost))

        assert (found.status, lost.status) == (ACCEPTED, REJECTED)
        assert scene.venue.count("order") == 0
        assert scene.world.alert_names() == ["order_matched"]
        assert len(scene.venue.received) == 1

    play(act, beside=asking, has_client_ids=False)


def test_a_broker_that_answers_no_questions_after_all_is_no_answer() -> None:
    class Mute:
        capabilities = None

    async def act(scene: Scene) -> None:
        scene.brokers["main"] = Mute()  # type: ignore[assignment]
        order = lose(scene, LOST_AFTER)
        await anyio.sleep(10)
        assert order.facts.submit_state is RequestState.IN_DOUBT

    play(act, beside=asking)


def test_a_hundred_doubts_are_asked_within_the_rate() -> None:
    async def act(scene: Scene) -> None:
        scene.venue.fate = lambda command: LOST_AFTER
        orders = [scene.world.submit() for _ in range(100)]
        for order in orders:
            doubt(scene, order)
        await scene.until(lambda: all(is_certain(order) for order in orders), limit_s=200)
        assert scene.venue.count("order") <= 100 + 10
        assert scene.now_s >= 9.9

    play(act, beside=asking)


def test_an_alarm_rings_by_hand_and_by_time_and_keeps_no_old_ring() -> None:
    async def act(scene: Scene) -> None:
        alarm = Alarm(scene.clock)
        start_ns = scene.clock.now_ns
        await alarm.wait_until(start_ns + 2_000_000_000)
        assert scene.now_s == pytest.approx(2)
        alarm.ring()
        await alarm.wait_until(NEVER_NS)
        await alarm.wait_until(0)
        assert scene.now_s == pytest.approx(2)
        with anyio.move_on_after(1) as scope:
            await alarm.wait_until(NEVER_NS)
        assert scope.cancelled_caught

    play(act, beside=asking)
