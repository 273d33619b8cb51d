"""Momentum by RSI: both directions against a plain loop, and the hysteresis of its levels."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from framework.model.orders import Side
from framework.settings.structs import LatencySettings
from strategies.rsi_momentum import RsiMomentum
from tests.scripted_venue import BTC, orders_of, play, position_of, run_settings, settings
from tests.strategies.sessions import (
    Ordered,
    after_history,
    assert_refused,
    candles,
    ordered,
)

ONE = Decimal(1)


def momentum(**section: Any) -> Any:
    chosen = {"instrument": BTC, "period": 5, **section}
    return run_settings(RsiMomentum, settings=chosen)


def walk(seed: int, count: int = 150) -> list[float]:
    """Return whole prices around 200."""
    random, price, closes = Random(seed), 200, []
    for _ in range(count):
        price += random.choice((-3, -2, -1, 1, 2, 3))
        closes.append(float(price))
    return closes


def relative_strength(closes: Sequence[float], period: int) -> float:
    """Return Wilder's index of the whole series, from its definition."""
    changes = [after - before for before, after in pairwise(closes)]
    gain = sum(max(change, 0.0) for change in changes[:period]) / period
    loss = sum(max(-change, 0.0) for change in changes[:period]) / period
    for change in changes[period:]:
        gain = (gain * (period - 1) + max(change, 0.0)) / period
        loss = (loss * (period - 1) + max(-change, 0.0)) / period
    return 100.0 - 100.0 / (1.0 + gain / loss) if loss else 100.0


def expected(
    closes: Sequence[float], *, enter: float, leave: float, can_short: bool
) -> list[Ordered]:
    """Return what a plain loop would order, minute by minute."""
    orders: list[Ordered] = []
    position = 0
    for now in range(6, len(closes) + 1):
        index = relative_strength(closes[:now], 5)
        side = 0
        if position == 0 and index > enter:
            side = 1
        elif (position == 0 and can_short and index < 100.0 - enter) or (
            position > 0 and index < leave
        ):
            side = -1
        elif position < 0 and index > 100.0 - leave:
            side = 1
        if side:
            orders.append((now, "buy" if side > 0 else "sell", ONE))
            position += side
    return orders


@pytest.mark.parametrize("can_short", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_it_orders_what_a_plain_loop_orders(seed: int, can_short: bool) -> None:
    closes = walk(seed)
    run = momentum(enter_above=62.5, leave_below=51.5, can_short=can_short)

    runtime = play(settings(run, script=candles(closes)))

    plain = expected(closes, enter=62.5, leave=51.5, can_short=can_short)
    assert ordered(runtime) == plain
    assert len(plain) > 5


def test_between_the_levels_it_neither_enters_nor_leaves() -> None:
    # Five rises bring it to 100; small falls then below the level of entry, not that of exit.
    closes = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 104.0, 103.5, 103.5, 103.5]
    index = [relative_strength(closes[:now], 5) for now in range(6, 11)]
    assert index[0] == 100.0
    assert 50.0 < index[-1] < 75.0

    runtime = play(settings(momentum(enter_above=75.0), script=candles(closes)))

    assert ordered(runtime) == [(6, "buy", ONE)]
    assert position_of(runtime) == 1


def test_a_spot_account_never_sells_what_it_does_not_have() -> None:
    falling = [float(price) for price in range(200, 150, -1)]

    assert orders_of(play(settings(momentum(), script=candles(falling)))) == []


def test_it_enters_once_while_the_order_is_on_its_way() -> None:
    rising = [float(price) for price in range(100, 120)]
    venue = {"latency": LatencySettings(order_ms=200_000)}

    runtime = play(settings(momentum(), script=candles(rising), venue=venue))

    assert ordered(runtime) == [(6, "buy", ONE)]
    assert position_of(runtime) == 1


def test_history_warms_the_index_and_orders_nothing() -> None:
    history = candles([float(price) for price in range(100, 125)])
    live = candles([126.0, 127.0], first=25)

    runtime, before = after_history(momentum(), history, live)

    assert before == 0
    assert [(order.side, order.reason) for order in orders_of(runtime)] == [(Side.BUY, "")]


@pytest.mark.parametrize(
    ("section", "key", "says"),
    [
        ({"leave_below": 70.0}, "", "leave_below 70.0 and enter_above 60.0"),
        ({"leave_below": 40.0}, "", "50 <= leave_below"),
        ({"enter_above": 100.0}, "", "enter_above < 100"),
        ({"enter_above": float("nan")}, "", "levels must satisfy"),
        ({"period": 0}, "period", ">= 1"),
        ({"quantity": "-1"}, "", "quantity -1 must be positive"),
        ({"can_short": "maybe"}, "can_short", "Expected `bool`"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    section: dict[str, Any], key: str, says: str
) -> None:
    assert_refused(RsiMomentum, {"instrument": BTC, **section}, key=key, says=says)
