"""Every check of the area *limits* has an adapter that fails it."""

from typing import Any

import pytest

from framework.adapter_kit import limits as area
from framework.errors import RateLimited
from framework.model.commands import CancelOrder, SubmitOrder
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, RequestInDoubt
from framework.net.rate_limit import RateLimits
from tests.framework.adapter_kit.sabotage import (
    Case,
    Scene,
    dropping,
    named,
    repeating,
    require_all_proven,
    require_failure,
)


def knows_no_limits(scene: Scene) -> None:
    scene.broker._account._client._gate._limits = RateLimits({})


def rejects_all(scene: Scene) -> None:
    """Answer every order by itself, so that nothing can be too much."""
    send = scene.broker.send

    def reject(command: Any) -> None:
        if isinstance(command, SubmitOrder):
            reason = "too much work"
            scene.stage.publish(
                OrderEnded(command.order_id, EndKind.REJECTED, command.time_ns, reason, "core")
            )
        else:
            send(command)

    scene.broker.send = reject


def queues_cancels(scene: Scene) -> None:
    """Hold a cancel until every order before it is answered."""
    send, waiting = scene.broker.send, set[str]()
    held: list[Any] = []

    def send_in_turn(command: Any) -> None:
        if isinstance(command, CancelOrder) and waiting:
            held.append(command)
            return
        if isinstance(command, SubmitOrder):
            waiting.add(command.order_id)
        send(command)

    def change(event: Any) -> Any:
        if isinstance(event, OrderAccepted | OrderEnded | RequestInDoubt):
            waiting.discard(event.order_id)
            while held and not waiting:
                send(held.pop())
        return (event,)

    scene.broker.send, scene.change = send_in_turn, change


def insists(scene: Scene) -> None:
    """Send an order again that was too many."""
    place = scene.broker._account.place

    async def place_again(command: SubmitOrder) -> Any:
        try:
            return await place(command)
        except RateLimited:
            return await place(command)

    scene.broker._account.place = place_again


CASES = (
    Case(area.keeps_below_the_venue_s_limits, knows_no_limits, "requests were too many"),
    Case(area.keeps_below_the_venue_s_limits, rejects_all, "not one order of the storm"),
    Case(
        area.keeps_below_the_venue_s_limits,
        named("says_nothing", dropping(OrderEnded)),
        "every order of the storm is answered: not within",
    ),
    Case(
        area.keeps_below_the_venue_s_limits,
        named(
            "accepts_what_never_left",
            repeating(OrderEnded, lambda end: OrderAccepted(end.order_id, end.time_ns)),
        ),
        "taken 0 times",
    ),
    Case(area.lets_cancels_through_a_storm, queues_cancels, "a cancel in a storm .*: not within"),
    Case(area.obeys_when_told_to_pause, insists, "a refused order was sent again"),
    Case(
        area.obeys_when_told_to_pause,
        named("says_nothing", dropping(OrderEnded)),
        "nothing was said of the refused order",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_broken_promise_is_found(case: Case) -> None:
    """R-68, F-23: no check of limits can be passed by an adapter that breaks its promise."""
    require_failure(case)


def test_every_check_can_fail() -> None:
    require_all_proven(area.CHECKS, CASES)
