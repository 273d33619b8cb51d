"""The crossing of two averages: what is traded, when, and what never happens."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from framework.model.orders import OrderStatus, Side
from framework.settings.structs import LatencySettings
from strategies.moving_average_cross import MovingAverageCross
from tests.scripted_venue import BTC, orders_of, play, position_of, run_settings, settings
from tests.strategies.sessions import (
    Ordered,
    after_history,
    assert_refused,
    candles,
    minute_of,
    ordered,
)

RISE_AND_FALL = (100.0, 100.0, 100.0, 101.0, 102.0, 103.0, 99.0, 95.0, 95.0, 95.0, 95.0)


def cross(**section: Any) -> Any:
    chosen = {"instrument": BTC, "fast": 2, "slow": 3, "quantity": "0.5", **section}
    return run_settings(MovingAverageCross, settings=chosen)


def expected(closes: Sequence[float], fast: int, slow: int) -> list[Ordered]:
    """Return what a plain loop would order, minute by minute."""
    orders: list[Ordered] = []
    is_long = False
    for now in range(slow, len(closes) + 1):
        fast_mean = sum(closes[now - fast : now]) / fast
        slow_mean = sum(closes[now - slow : now]) / slow
        if fast_mean > slow_mean and not is_long:
            orders.append((now, "buy", Decimal("0.5")))
            is_long = True
        elif fast_mean < slow_mean and is_long:
            orders.append((now, "sell", Decimal("0.5")))
            is_long = False
    return orders


def test_it_buys_when_the_fast_average_is_above_and_sells_all_when_it_is_below() -> None:
    runtime = play(settings(cross(), script=candles(RISE_AND_FALL)))

    # 2 against 3: (100.5 > 100.3) at the 4th close, (101 < 101.3) at the 7th; fills a minute on.
    assert ordered(runtime) == [(4, "buy", Decimal("0.5")), (7, "sell", Decimal("0.5"))]
    bought, sold = orders_of(runtime)
    assert (bought.average_price, sold.average_price) == (Decimal(101), Decimal(99))
    assert sold.reduce_only
    assert position_of(runtime) == 0


@given(
    closes=st.lists(st.integers(90, 110).map(float), min_size=1, max_size=40),
    fast=st.integers(1, 4),
    distance=st.integers(1, 4),
)
@hypothesis_settings(max_examples=25)
def test_it_orders_what_a_plain_loop_orders(closes: list[float], fast: int, distance: int) -> None:
    run = cross(fast=fast, slow=fast + distance)

    runtime = play(settings(run, script=candles(closes)))

    assert ordered(runtime) == expected(closes, fast, fast + distance)


def test_nothing_is_ordered_before_the_slow_average_is_known() -> None:
    runtime = play(settings(cross(slow=12), script=candles(RISE_AND_FALL)))

    assert orders_of(runtime) == []


def test_it_enters_and_leaves_once_while_an_order_is_on_its_way() -> None:
    closes = (100.0, 100.0, 100.0, *range(101, 109), *range(100, 91, -1))
    venue = {"latency": LatencySettings(order_ms=150_000)}  # two and a half candles

    runtime = play(settings(cross(), script=candles(closes), venue=venue))

    bought, sold = orders_of(runtime)
    assert (bought.side, minute_of(bought), bought.status) == (Side.BUY, 4, OrderStatus.FILLED)
    assert (sold.side, sold.quantity, sold.status) == (Side.SELL, bought.filled, OrderStatus.FILLED)
    assert position_of(runtime) == 0


def test_candles_that_are_still_forming_are_left_out() -> None:
    replace = msgspec.structs.replace
    forming = [replace(shape, is_closed=False) for shape in candles(RISE_AND_FALL)]

    assert orders_of(play(settings(cross(), script=forming))) == []


def test_history_warms_the_averages_and_orders_nothing() -> None:
    history = candles(RISE_AND_FALL[:5])
    live = candles((103.0, 104.0), first=5)

    runtime, before = after_history(cross(), history, live)

    assert before == 0
    assert [(order.side, order.reason) for order in orders_of(runtime)] == [(Side.BUY, "")]


def test_no_history_leaves_the_averages_cold() -> None:
    runtime, _ = after_history(cross(), [], candles(RISE_AND_FALL[3:5], first=3))

    assert orders_of(runtime) == []


@pytest.mark.parametrize(
    ("section", "key", "says"),
    [
        ({"fast": 3, "slow": 3}, "", "fast 3 must be above 0 and below slow 3"),
        ({"fast": 0}, "", "fast 0 must be above 0"),
        ({"quantity": 0}, "", "quantity 0 must be positive"),
        ({"quantity": "NaN"}, "", "not finite"),
        ({"fast": "ten"}, "fast", "Expected `int`"),
        ({"slwo": 5}, "slwo", "unknown key; known here: instrument, interval, fast, slow"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    section: dict[str, Any], key: str, says: str
) -> None:
    assert_refused(MovingAverageCross, {"instrument": BTC, **section}, key=key, says=says)


def test_the_instrument_must_be_named() -> None:
    assert_refused(MovingAverageCross, {}, key="instrument", says="the key is missing")
