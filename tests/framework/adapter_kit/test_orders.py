"""Every check of the area *orders* has an adapter that fails it."""

from decimal import Decimal
from typing import Any

import pytest

from framework.adapter_kit import orders as area
from framework.adapter_kit.finding import find_rig
from framework.adapter_kit.scoring import Check, play
from framework.adapter_kit.stage import CheckFailed, CheckSkipped
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.orders import OrderType, TimeInForce
from framework.model.reports import (
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderReplaced,
    RequestInDoubt,
    RequestRefused,
)
from tests.framework.adapter_kit.order_sabotage import (
    accepted,
    accepts_what_has_ended,
    as_float,
    asking_for,
    asks_for_another_price,
    asks_for_another_quantity,
    cancels_instead,
    changes_what_is_left,
    cheaper_and_dearer,
    claims_to_change,
    dearer,
    ended,
    ends_on_paper,
    makes_fills_up,
    refilled,
    rejected,
    replaced,
    sends_again,
    sends_twice,
    shadows,
    telling,
    trades_on_arrival,
    turned,
)
from tests.framework.adapter_kit.sabotage import (
    SEED,
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
    sabotaged,
)

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
    Case(area.places_and_cancels, accepts_what_has_ended, "accepted, and not open"),
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
    Case(area.tells_fills_once, makes_fills_up, "does not add up"),
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
    Case(area.changes_orders, asks_for_another_price, "told as changed to", "kalshi"),
    Case(area.changes_orders, asks_for_another_quantity, "and at the venue", "kalshi"),
    Case(
        area.changes_orders,
        named("ends_it", repeating(OrderReplaced, rejected)),
        "was told as ended",
        "kalshi",
    ),
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
    Case(
        area.refuses_changes_it_cannot_make,
        named("shadows", commanding(shadows)),
        "nobody gave: .*SHADOW",
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
    Case(area.refuses_with_the_reason, trades_on_arrival, "traded on arrival"),
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


def claiming(**claims: Any) -> Sabotage:
    """Let a broker say other things of itself; this one is no sabotage."""

    def claim(scene: Scene) -> None:
        scene.broker.capabilities = replace(scene.broker.capabilities, **claims)

    return claim


@pytest.mark.parametrize(
    ("check", "honest"),
    [
        (area.changes_orders, claiming(has_modify=False)),
        (area.changes_what_fills_meanwhile, claiming(has_modify=False)),
        (area.refuses_changes_it_cannot_make, claiming(has_modify=True)),
        (area.ends_what_cannot_rest, claiming(time_in_forces=frozenset({TimeInForce.GTC}))),
        (area.fills_market_orders, claiming(order_types=frozenset({OrderType.LIMIT}))),
    ],
)
def test_what_a_broker_does_not_claim_is_not_asked_of_it(check: Check, honest: Sabotage) -> None:
    with pytest.raises(CheckSkipped, match="the broker says that it"):
        play(check, sabotaged(honest), find_rig("binance"), seed=SEED)


def test_a_broker_without_post_only_is_judged_by_the_rest() -> None:
    honest = sabotaged(claiming(has_post_only=False))
    play(area.refuses_with_the_reason, honest, find_rig("binance"), seed=SEED)


def test_a_venue_of_market_data_only_is_not_asked_to_trade() -> None:
    without = sabotaged(lambda scene: setattr(scene.adapter, "broker", None))
    with pytest.raises(CheckSkipped, match="no broker"):
        play(area.places_and_cancels, without, find_rig("binance"), seed=SEED)


def test_a_broker_that_never_answers_says_why() -> None:
    def refuse(scene: Scene) -> None:
        async def balances(account: str) -> Any:
            raise KeyError(account)

        scene.broker.balances = balances

    with pytest.raises(CheckFailed, match=r"does not answer 20 s .*KeyError\('main'\)"):
        play(area.places_and_cancels, sabotaged(refuse), find_rig("binance"), seed=SEED)


def test_every_check_can_fail() -> None:
    require_all_proven(area.CHECKS, CASES)
