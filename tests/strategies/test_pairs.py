"""The pair: both legs, their sizes, the way back past the mean, and legs that fail."""

from collections.abc import Sequence
from decimal import Decimal
from math import log
from random import Random
from statistics import fmean, pstdev
from typing import Any

import pytest

from framework import OrderHandle
from framework.model.decimals import ZERO
from framework.model.market_data import Candle
from framework.model.orders import OrderStatus, Side
from framework.settings.structs import LatencySettings, RiskSettings
from strategies.pairs import ENTRY, Pairs
from tests.scripted_venue import (
    BTC,
    ETH,
    orders_of,
    play,
    position_of,
    quote,
    run_settings,
    settings,
)
from tests.strategies.sessions import (
    Ordered,
    after_history,
    assert_refused,
    candles,
    minute_of,
    ordered,
)

FLAT = [100.0, 100.5, 100.0, 99.5, 100.0]  # around 100: a jump from it is wide or narrow


def pairs(**section: Any) -> Any:
    chosen = {
        "first": BTC,
        "second": ETH,
        "lookback": 5,
        "enter_zscore": 1.7,
        "leave_zscore": 0.41,
        **section,
    }
    return run_settings(Pairs, settings=chosen)


def both(first: Sequence[float], second: Sequence[float], *, start: int = 0) -> list[Candle]:
    """Return the candles of both instruments by time."""
    made = candles(first, first=start) + candles(second, at=ETH, first=start)
    return sorted(made, key=lambda candle: candle.time_ns)


def against_fifty(first: Sequence[float]) -> list[Candle]:
    """Return candles whose second instrument stands at 50."""
    return both(first, [50.0] * len(first))


def expected(
    first: Sequence[float], second: Sequence[float], hedge_ratio: float
) -> tuple[list[Ordered], list[Ordered]]:
    """Return what a plain loop would order of both instruments, minute by minute."""
    spreads = [log(a) - hedge_ratio * log(b) for a, b in zip(first, second, strict=True)]
    legs: tuple[list[Ordered], list[Ordered]] = ([], [])
    side, held = 0, Decimal(0)
    for now in range(20, len(spreads) + 1):
        window = spreads[now - 20 : now]
        zscore = (window[-1] - fmean(window)) / pstdev(window)
        if side and zscore * side <= 0.41:
            legs[0].append((now, "buy" if side > 0 else "sell", Decimal(1)))
            legs[1].append((now, "sell" if side > 0 else "buy", held))
            side = 0
        elif not side and abs(zscore) >= 1.7:
            side = 1 if zscore > 0 else -1
            lots = int(hedge_ratio * first[now - 1] / second[now - 1] * 100)
            held = Decimal(lots) / 100
            legs[0].append((now, "sell" if side > 0 else "buy", Decimal(1)))
            legs[1].append((now, "buy" if side > 0 else "sell", held))
    return legs


@pytest.mark.parametrize("hedge_ratio", [1.0, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_it_orders_what_a_plain_loop_orders(seed: int, hedge_ratio: float) -> None:
    random = Random(seed)
    first, second, common = [], [], 0.0
    for _ in range(200):
        common += random.gauss(0.0, 0.5)
        first.append(round(2 * (200 + common + random.gauss(0.0, 3.0))) / 2)
        second.append(round(2 * (80 + 0.4 * common + random.gauss(0.0, 0.8))) / 2)

    run = pairs(lookback=20, hedge_ratio=hedge_ratio)
    runtime = play(settings(run, script=both(first, second)))

    plain = expected(first, second, hedge_ratio)
    assert (ordered(runtime), ordered(runtime, ETH)) == plain
    assert len(plain[0]) > 10


def test_a_wide_spread_is_sold_with_a_hedge_of_the_same_value() -> None:
    runtime = play(settings(pairs(), script=against_fifty([*FLAT, 105.0, 105.0])))

    assert ordered(runtime) == [(6, "sell", Decimal(1))]
    assert ordered(runtime, ETH) == [(6, "buy", Decimal("2.1"))]
    assert (position_of(runtime), position_of(runtime, instrument=ETH)) == (
        Decimal(-1),
        Decimal("2.1"),
    )


def test_a_narrow_spread_is_bought() -> None:
    runtime = play(settings(pairs(quantity=2), script=against_fifty([*FLAT, 95.0, 95.0])))

    assert ordered(runtime) == [(6, "buy", Decimal(2))]
    assert ordered(runtime, ETH) == [(6, "sell", Decimal("3.8"))]


def test_a_spread_that_leaps_past_its_mean_is_left() -> None:
    closes = [*FLAT, 105.0, 98.0, 98.0]  # from +2 standard deviations to about −1 at once

    runtime = play(settings(pairs(enter_zscore=1.9), script=against_fifty(closes)))

    assert [side for _, side, _ in ordered(runtime)] == ["sell", "buy"]
    assert (position_of(runtime), position_of(runtime, instrument=ETH)) == (ZERO, ZERO)


def test_it_enters_once_while_the_legs_are_on_their_way() -> None:
    closes = [*FLAT, 105.0, 110.0, 115.0, 120.0, 125.0]
    venue = {"latency": LatencySettings(order_ms=150_000)}

    runtime = play(settings(pairs(enter_zscore=1.2), script=against_fifty(closes), venue=venue))

    assert ordered(runtime) == [(6, "sell", Decimal(1))]
    assert position_of(runtime) == -1


def test_a_candle_without_its_partner_is_left_out() -> None:
    events = against_fifty([*FLAT, 105.0, 105.0])
    del events[11]  # the second instrument's sixth

    runtime = play(settings(pairs(), script=events))

    assert ordered(runtime) == [(7, "sell", Decimal(1))]


def test_a_candle_that_comes_twice_is_no_partner_of_itself() -> None:
    events = against_fifty([*FLAT, 105.0, 105.0])
    events.insert(10, events[10])  # the first instrument's sixth

    runtime = play(settings(pairs(), script=events))

    assert ordered(runtime) == [(6, "sell", Decimal(1))]
    assert ordered(runtime, ETH) == [(6, "buy", Decimal("2.1"))]


def test_an_entry_that_it_takes_back_itself_is_no_failure() -> None:
    # Ordered at 6 and at the venue at 7.5; taken back at 7, before the candle after can fill it.
    closes = [*FLAT, 105.0, 100.0, 100.0, 110.0]
    venue = {"latency": LatencySettings(order_ms=90_000)}

    runtime = play(settings(pairs(), script=against_fifty(closes), venue=venue))

    statuses = [order.status for order in orders_of(runtime) if order.instrument == BTC]
    assert statuses[0] is OrderStatus.CANCELLED
    assert ordered(runtime) == [(6, "sell", Decimal(1)), (9, "sell", Decimal(1))]


def test_a_hedge_below_one_lot_enters_nothing() -> None:
    events = both([*FLAT, 105.0], [90_000.0] * 6)

    assert orders_of(play(settings(pairs(), script=events))) == []


# -- legs that fail ------------------------------------------------------------------------------

FIRST_ONLY = RiskSettings(max_order_notional=Decimal(150))  # of 105; the hedge is twice that


def test_when_the_second_leg_is_refused_the_first_is_taken_back() -> None:
    run = pairs(hedge_ratio=2.0)

    runtime = play(settings(run, script=against_fifty([*FLAT, 105.0, 105.0]), risk=FIRST_ONLY))

    first, second = orders_of(runtime)
    assert (first.status, first.filled) == (OrderStatus.CANCELLED, ZERO)
    assert second.status is OrderStatus.DENIED
    assert position_of(runtime) == 0


def test_when_the_second_leg_is_refused_and_the_first_has_filled_the_first_is_closed() -> None:
    run = pairs(hedge_ratio=2.0)
    script = [quote(1, 104.5, 105.0), *against_fifty([*FLAT, 105.0, 105.0])]

    runtime = play(settings(run, script=script, risk=FIRST_ONLY))

    entry, refused, closing = orders_of(runtime)
    assert (entry.side, entry.status) == (Side.SELL, OrderStatus.FILLED)
    assert refused.status is OrderStatus.DENIED
    assert (closing.side, closing.status, closing.reduce_only) == (
        Side.BUY,
        OrderStatus.FILLED,
        True,
    )
    assert position_of(runtime) == 0


def test_a_fill_that_crosses_with_the_request_to_cancel_it_is_closed_as_well() -> None:
    run = pairs(hedge_ratio=2.0)
    venue = {"latency": LatencySettings(order_ms=200)}  # the cancel finds the order filled
    script = [quote(1, 104.5, 105.0), *against_fifty([*FLAT, 105.0, 105.0, 105.0])]

    runtime = play(settings(run, script=script, risk=FIRST_ONLY, venue=venue))

    assert [order.status for order in orders_of(runtime)] == [
        OrderStatus.FILLED,
        OrderStatus.DENIED,
        OrderStatus.FILLED,
    ]
    assert minute_of(orders_of(runtime)[-1]) == 6  # at once, not at the next candle
    assert position_of(runtime) == 0


class Unheard(Pairs):
    """What it closes when a leg is refused and when one fills gets lost."""

    def on_start(self) -> None:
        super().on_start()
        self.lost_count = 0

    def close(self, instrument: str) -> OrderHandle | None:
        self.lost_count += 1
        return super().close(instrument) if self.lost_count > 4 else None


def test_a_leg_that_could_not_be_closed_is_closed_at_the_next_candle() -> None:
    section = {"first": BTC, "second": ETH, "lookback": 5, "enter_zscore": 1.7, "hedge_ratio": 2.0}
    run = run_settings(Unheard, settings=section)
    closes = [*FLAT, 105.0, 108.0, 112.0, 117.0]  # as wide as before

    runtime = play(settings(run, script=against_fifty(closes), risk=FIRST_ONLY))

    assert [side for _, side, _ in ordered(runtime)] == ["sell", "buy"]
    assert [minute for minute, _, _ in ordered(runtime)] == [6, 7]
    assert position_of(runtime) == 0


def test_when_the_first_leg_is_refused_the_second_is_not_sent() -> None:
    risk = RiskSettings(max_order_notional=Decimal(100))
    run = pairs(hedge_ratio=0.5)

    runtime = play(settings(run, script=against_fifty([*FLAT, 105.0, 105.0]), risk=risk))

    (first,) = orders_of(runtime)
    assert (first.instrument, first.status) == (BTC, OrderStatus.DENIED)


def test_after_a_refused_leg_nothing_is_entered_until_the_spread_was_at_its_mean() -> None:
    run = pairs(hedge_ratio=2.0, enter_zscore=1.2)
    closes = [*FLAT, 105.0, 108.0, 112.0, 100.0, 100.0, 100.0, 100.0, 100.0, 105.0]

    runtime = play(settings(run, script=against_fifty(closes), risk=FIRST_ONLY))

    entries = [order for order in orders_of(runtime) if ENTRY in order.tags]
    minutes = [minute for minute, _, _ in ordered(runtime)]
    assert [order.instrument for order in entries] == [BTC, ETH, BTC, ETH]
    assert minutes == [6, 14]


# -- warm-up and settings ------------------------------------------------------------------------


def test_history_warms_the_spread_and_orders_nothing() -> None:
    history = candles([*FLAT, 106.0]) + candles([50.0] * 6, at=ETH)
    live = both([108.0, 108.0], [50.0, 50.0], start=6)

    runtime, before = after_history(pairs(enter_zscore=1.2), history, live)

    assert before == 0
    assert [(order.instrument, order.side) for order in orders_of(runtime)] == [
        (BTC, Side.SELL),
        (ETH, Side.BUY),
    ]


@pytest.mark.parametrize(
    ("section", "key", "says"),
    [
        ({"second": BTC}, "", "first and second are the same instrument 'x:BTC'"),
        ({"lookback": 1}, "lookback", ">= 2"),
        ({"hedge_ratio": 0}, "hedge_ratio", "> 0"),
        ({"leave_zscore": -0.5}, "leave_zscore", ">= 0"),
        ({"leave_zscore": 2.0}, "", "leave_zscore 2.0 must be below enter_zscore 2.0"),
        ({"quantity": 0}, "", "quantity 0 must be positive"),
        ({"instrument": BTC}, "instrument", "unknown key"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    section: dict[str, Any], key: str, says: str
) -> None:
    assert_refused(Pairs, {"first": BTC, "second": ETH, **section}, key=key, says=says)
