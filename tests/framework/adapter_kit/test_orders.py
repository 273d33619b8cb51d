"""Every check of the area *orders* has an adapter that fails it."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from framework.adapter_kit import orders as area
from framework.errors import VenueError, VenueUnavailable
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.orders import OrderType, Side, TimeInForce
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderReplaced,
    RequestInDoubt,
    RequestRefused,
)
from tests.framework.adapter_kit.sabotage import (
    Case,
    Sabotage,
    Scene,
    answering,
    changing,
    commanding,
    dropping,
    named,
    repeating,
    replace,
    require_all_proven,
    require_failure,
)

TWO = Decimal(2)


def with_intent(command: Any, **changes: Any) -> Any:
    """Return an order that asks for something else; other commands stay as they are."""
    if not isinstance(command, SubmitOrder):
        return command
    return replace(command, intent=replace(command.intent, **changes))


def asking_for(**changes: Any) -> Sabotage:
    """Send orders that ask for something else."""
    return commanding(lambda command: (with_intent(command, **changes),))


def turned(command: Any) -> Any:
    if not isinstance(command, SubmitOrder) or command.intent.price is None:
        return command
    side = Side.SELL if command.intent.side is Side.BUY else Side.BUY
    factor = Decimal("1.02") if side is Side.BUY else Decimal("0.98")
    return with_intent(
        command, side=side, price=(command.intent.price * factor).quantize(Decimal("0.01"))
    )


def telling(kind: type, fact: Any) -> Sabotage:
    """Tell a fact of a command instead of sending it."""

    def tell(scene: Scene) -> None:
        send = scene.broker.send

        def send_others(command: Any) -> None:
            if isinstance(command, kind):
                scene.stage.publish(fact(command))
            else:
                send(command)

        scene.broker.send = send_others

    return tell


def ended(command: Any, kind: EndKind = EndKind.CANCELLED) -> OrderEnded:
    return OrderEnded(command.order_id, kind, command.time_ns, "so they say")


def accepted(command: Any) -> OrderAccepted:
    return OrderAccepted(command.order_id, command.time_ns)


def replaced(command: Any) -> OrderReplaced:
    return OrderReplaced(
        command.order_id, command.revision, Decimal(10), command.time_ns, command.price
    )


def shadows(command: Any) -> Any:
    """Return the order, and another one under a new id."""
    if isinstance(command, SubmitOrder):
        return command, replace(command, order_id=f"SHADOW{command.order_id[-8:]}")
    return (command,)


def refilled(fill: OrderFilled) -> OrderFilled:
    return replace(fill, execution_id=f"{fill.execution_id}-again")


def dearer(fill: OrderFilled) -> OrderFilled:
    return replace(fill, price=fill.price * TWO)


def cheaper_and_dearer(fill: OrderFilled) -> OrderFilled:
    return replace(fill, price=fill.price + Decimal("0.01"))


def as_float(fill: OrderFilled) -> OrderFilled:
    return replace(fill, quantity=Decimal(float(fill.quantity)))


def cancels_instead(scene: Scene) -> None:
    """Answer a change that cannot be made by a cancel that nobody asked for."""
    send = scene.broker.send

    def send_others(command: Any) -> None:
        send(command)
        if isinstance(command, ModifyOrder):
            send(CancelOrder(command.order_id, command.account, command.instrument, 0))

    scene.broker.send = send_others


def claims_to_change(scene: Scene) -> None:
    scene.broker.capabilities = replace(scene.broker.capabilities, has_modify=True)


def sends_again(scene: Scene) -> None:
    """Send an order once more as soon as its answer is missing."""
    place = scene.broker._account.place

    async def place_again(command: SubmitOrder) -> Any:
        try:
            return await place(command)
        except VenueUnavailable:
            return await place(command)

    scene.broker._account.place = place_again


def sends_twice(scene: Scene) -> None:
    """Send every order twice, and tell of the first answer."""
    place = scene.broker._account.place

    async def place_twice(command: SubmitOrder) -> Any:
        answer = await place(command)
        with suppress(VenueError):
            await place(command)
        return answer

    scene.broker._account.place = place_twice


def rejected(doubt: RequestInDoubt) -> OrderEnded:
    return OrderEnded(doubt.order_id, EndKind.REJECTED, doubt.time_ns, doubt.reason)


def ends_on_paper(scene: Scene) -> None:
    """Let an order rest, and tell that it has ended."""
    asking_for(time_in_force=TimeInForce.GTC)(scene)
    send = scene.broker.send

    def send_and_tell(command: Any) -> None:
        send(command)
        scene.stage.loop.call_later(1.0, scene.stage.publish, ended(command))

    scene.broker.send = send_and_tell


def changes_what_is_left(command: Any) -> Any:
    """Return a change with the new quantity taken for what is still to be filled."""
    if isinstance(command, ModifyOrder) and command.quantity is not None:
        return (replace(command, quantity=command.quantity + 1),)
    return (command,)


IN_ORDER = (OrderAccepted, OrderFilled, RequestInDoubt)
CASES = (
    Case(
        area.places_and_cancels,
        named("cancels_on_paper", telling(CancelOrder, ended)),
        "told as cancelled, and open",
    ),
    Case(
        area.places_and_cancels,
        named("accepts_on_paper", telling(SubmitOrder, accepted)),
        "the venue has 0 orders",
    ),
    Case(area.places_and_cancels, named("shadows", commanding(shadows)), "nobody gave: .*SHADOW"),
    Case(area.has_the_side_right, named("turned", commanding(lambda c: (turned(c),))), "by -"),
    Case(
        area.has_the_side_right,
        named(
            "position_turned",
            answering("positions", lambda r: [replace(p, quantity=-p.quantity) for p in r]),
        ),
        r"positions\(\) says -",
    ),
    Case(
        area.has_the_side_right,
        named("no_position", answering("positions", lambda reports: [])),
        r"positions\(\) says 0",
    ),
    Case(
        area.has_the_side_right,
        named("dear_fills", changing(OrderFilled, dearer)),
        "filled at a worse price",
    ),
    Case(area.tells_fills_once, named("tells_twice", repeating(OrderFilled)), "was told twice"),
    Case(
        area.tells_fills_once,
        named("tells_again", repeating(OrderFilled, refilled)),
        "filled 0.00001: not within",
    ),
    Case(
        area.tells_fills_once,
        named("turned", changing(OrderFilled, lambda f: replace(f, quantity=-f.quantity))),
        "filled 0.00001: not within",
    ),
    Case(
        area.tells_fills_once,
        named("floats", changing(OrderFilled, as_float)),
        "filled 0.00001: not within",
    ),
    Case(
        area.tells_fills_once,
        named("wrong_price", changing(OrderFilled, cheaper_and_dearer)),
        "at its own price",
    ),
    Case(area.tells_fills_once, named("loses_fills", dropping(OrderFilled)), "filled .*: not"),
    Case(area.changes_orders, claims_to_change, "OrderReplaced: not within"),
    Case(
        area.changes_orders,
        named("on_paper", telling(ModifyOrder, replaced)),
        "not what was asked for",
        "kalshi",
    ),
    Case(
        area.changes_orders,
        named("no_revision", changing(OrderReplaced, lambda f: replace(f, revision=1))),
        "not what was asked for|both changes",
        "kalshi",
    ),
    Case(
        area.changes_orders,
        named("wrong_total", commanding(changes_what_is_left)),
        "not what was asked for|at the venue",
        "kalshi",
    ),
    Case(
        area.changes_what_fills_meanwhile,
        named("wrong_total", commanding(changes_what_is_left)),
        "in total, and",
        "kalshi",
    ),
    Case(
        area.changes_what_fills_meanwhile,
        named("loses_fills", dropping(OrderFilled)),
        "told as filled, the venue says",
        "kalshi",
    ),
    Case(
        area.changes_what_fills_meanwhile,
        named("says_nothing", dropping(OrderReplaced, RequestRefused)),
        "the change is answered: not within",
        "kalshi",
    ),
    Case(
        area.refuses_changes_it_cannot_make,
        named("ignores", commanding(lambda c: () if isinstance(c, ModifyOrder) else (c,))),
        "RequestRefused: not within",
    ),
    Case(area.refuses_changes_it_cannot_make, cancels_instead, "told as refused, and at the venue"),
    Case(
        area.refuses_with_the_reason,
        named("no_reason", changing(OrderEnded, lambda f: replace(f, reason=""))),
        "without a reason: OrderEnded",
    ),
    Case(
        area.refuses_with_the_reason,
        named("no_reason", changing(RequestRefused, lambda f: replace(f, reason=""))),
        "without a reason: RequestRefused",
    ),
    Case(
        area.refuses_with_the_reason,
        named("takes_liquidity", asking_for(post_only=False)),
        "OrderEnded: not within",
    ),
    Case(
        area.refuses_with_the_reason,
        named("tells_an_end", telling(CancelOrder, ended)),
        "RequestRefused: not within",
    ),
    Case(
        area.ends_what_cannot_rest,
        named("rests", asking_for(time_in_force=TimeInForce.GTC)),
        "OrderEnded: not within",
    ),
    Case(area.ends_what_cannot_rest, ends_on_paper, "was filled or stayed"),
    Case(
        area.fills_market_orders,
        named("rejects", dropping(OrderFilled)),
        "filled .*: not within",
    ),
    Case(
        area.fills_market_orders,
        named("dear_fills", changing(OrderFilled, dearer)),
        "filled at a worse price",
    ),
    Case(
        area.fills_market_orders,
        named("rests", asking_for(type=OrderType.LIMIT, price=Decimal(30_000))),
        "filled .*: not within",
    ),
    Case(
        area.doubts_a_lost_answer,
        named("rejects", changing(RequestInDoubt, rejected)),
        "ended without evidence",
    ),
    Case(
        area.doubts_a_lost_answer,
        named("says_nothing", dropping(*IN_ORDER)),
        "in doubt, or told by its stream: not within",
    ),
    Case(area.doubts_a_lost_answer, sends_again, "the venue took it 2 times"),
    Case(
        area.doubts_a_lost_answer,
        named("does_not_find_it", answering("order", lambda report: None)),
        "does not find it",
    ),
    Case(area.never_sends_twice, sends_twice, "was taken 2 times"),
    Case(area.never_sends_twice, sends_again, "was taken 2 times"),
    Case(area.never_sends_twice, named("shadows", commanding(shadows)), "nobody gave: .*SHADOW"),
    Case(
        area.never_sends_twice,
        named("rejects", changing(RequestInDoubt, rejected)),
        "told as ended and is at the venue",
    ),
    Case(
        area.never_sends_twice,
        named("forgets_refusals", dropping(OrderEnded, RequestInDoubt)),
        "nothing was said of",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_broken_promise_is_found(case: Case) -> None:
    """R-20, R-24, R-27, F-01, F-17: no check of orders passes an adapter that breaks a promise."""
    require_failure(case)


def test_every_check_can_fail() -> None:
    require_all_proven(area.CHECKS, CASES)
