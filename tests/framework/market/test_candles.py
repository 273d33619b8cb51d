"""Candles against an independent grouping, late data, quiet markets, sessions."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework.market.candles import CandleBuilder, IntervalKind, parse_interval
from framework.model.market_data import Candle, Quote, Trade

A = "v:A"
SECOND = 1_000_000_000
MINUTE = 60 * SECOND


def trade(time_ns: int, price: float = 100.0, size: float = 1.0) -> Trade:
    return Trade(A, time_ns, time_ns + 5, price, size)


def naive_candles(trades: list[Trade], length_ns: int, anchor_ns: int) -> list[tuple[object, ...]]:
    """Group sorted trades by window: the independent reference."""
    groups: dict[int, list[Trade]] = {}
    for one in sorted(trades, key=lambda t: t.time_ns):
        groups.setdefault((one.time_ns - anchor_ns) // length_ns, []).append(one)
    candles: list[tuple[object, ...]] = []
    for index, group in groups.items():
        prices = [one.price for one in group]
        open_ns = anchor_ns + index * length_ns
        bounds = (open_ns, open_ns + length_ns)
        body = (prices[0], max(prices), min(prices), prices[-1])
        candles.append((*bounds, *body, sum(one.size for one in group)))
    return candles


def facts(candle: Candle) -> tuple[object, ...]:
    bounds = (candle.open_ns, candle.close_ns)
    return (*bounds, candle.open, candle.high, candle.low, candle.close, candle.volume)


trade_lists = st.lists(
    st.builds(
        trade,
        st.integers(0, 40 * SECOND),
        st.integers(1, 50).map(float),
        st.integers(1, 9).map(float),
    ),
    max_size=60,
)


@given(trade_lists, st.sampled_from(["1s", "5s", "7s"]), st.integers(0, 3 * SECOND))
def test_time_candles_equal_a_naive_grouping(
    trades: list[Trade], interval: str, anchor_ns: int
) -> None:
    trades.sort(key=lambda t: t.time_ns)
    builder = CandleBuilder(A, interval, anchor_ns=anchor_ns)

    built = [candle for one in trades for candle in builder.on_trade(one)]
    built += builder.on_time(100 * SECOND)

    length_ns = parse_interval(interval).length_ns
    assert [facts(candle) for candle in built] == naive_candles(trades, length_ns, anchor_ns)
    assert all(candle.is_closed and candle.time_ns == candle.close_ns for candle in built)
    assert builder.late_count == 0


@given(trade_lists, st.integers(0, 1_000))
def test_within_a_candle_the_order_of_arrival_does_not_matter(
    trades: list[Trade], anchor_ns: int
) -> None:
    unique = list({one.time_ns: one for one in trades}.values())
    builder = CandleBuilder(A, "1h", anchor_ns=anchor_ns - 2_000)

    built = [candle for one in unique for candle in builder.on_trade(one)]
    built += builder.on_time(2 * 3_600 * SECOND)

    expected = naive_candles(unique, 3_600 * SECOND, anchor_ns - 2_000)
    assert [facts(candle) for candle in built] == expected


@given(st.lists(st.integers(1, 40), max_size=80), st.integers(1, 120))
def test_volume_candles_equal_a_naive_grouping(tenths: list[int], target: int) -> None:
    trades = [trade(i, size=size / 10) for i, size in enumerate(tenths)]
    builder = CandleBuilder(A, f"{target / 10}v")
    counts, filled, count = [], Fraction(0), 0
    for size in tenths:
        filled, count = filled + Fraction(size, 10), count + 1
        if filled >= Fraction(target, 10):
            counts.append(count)
            filled, count = Fraction(0), 0

    built = [candle for one in trades for candle in builder.on_trade(one)]

    assert [candle.close_ns - candle.open_ns for candle in built] == counts


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 7))
def test_tick_candles_count_trades_and_never_overlap(steps: list[int], ticks: int) -> None:
    builder = CandleBuilder(A, f"{ticks}t")
    time_ns, built = 0, []
    for number, step in enumerate(steps):
        time_ns += step  # many trades of one nanosecond
        built += builder.on_trade(trade(time_ns, price=float(number + 1)))

    assert len(built) == len(steps) // ticks
    assert [candle.open for candle in built] == [1.0 + ticks * i for i in range(len(built))]
    assert [candle.volume for candle in built] == [float(ticks)] * len(built)
    for earlier, later in pairwise(built):
        assert earlier.open_ns < earlier.close_ns <= later.open_ns


def test_a_trade_of_a_closed_candle_is_counted_and_ignored() -> None:
    builder = CandleBuilder(A, "1m")
    builder.on_trade(trade(10 * SECOND))
    builder.on_trade(trade(MINUTE))

    assert builder.on_trade(trade(MINUTE - 1, price=5.0)) == []

    assert builder.late_count == 1
    assert builder.forming is not None
    assert builder.forming.low == 100.0


def test_a_tick_older_than_the_last_of_a_closed_candle_is_late() -> None:
    builder = CandleBuilder(A, "1t")
    builder.on_trade(trade(10))

    assert builder.on_trade(trade(9)) == []
    assert len(builder.on_trade(trade(10))) == 1
    assert builder.late_count == 1


def test_the_clock_closes_a_candle_in_a_quiet_market() -> None:
    builder = CandleBuilder(A, "1m", grace_ns=SECOND)
    builder.on_trade(trade(10 * SECOND))

    assert builder.next_close_ns == MINUTE + SECOND
    assert builder.on_time(MINUTE + SECOND - 1) == []
    (closed,) = builder.on_time(MINUTE + SECOND)

    assert (closed.close_ns, closed.time_ns, closed.received_ns) == (
        MINUTE,
        MINUTE,
        MINUTE + SECOND,
    )
    assert builder.forming is None
    assert builder.next_close_ns is None


def test_the_forming_candle_is_stamped_with_its_last_change() -> None:
    builder = CandleBuilder(A, "1m")
    assert builder.forming is None
    builder.on_trade(trade(10 * SECOND, price=7.0, size=2.0))
    builder.on_trade(trade(20 * SECOND, price=8.0, size=3.0))

    assert builder.forming == Candle(
        A, 20 * SECOND, 20 * SECOND + 5, "1m", 0, MINUTE, 7.0, 8.0, 7.0, 8.0, 5.0, is_closed=False
    )


def test_empty_candles_are_off_by_default() -> None:
    builder = CandleBuilder(A, "1m")
    builder.on_trade(trade(0))

    assert len(builder.on_trade(trade(5 * MINUTE))) == 1


def test_empty_candles_on_request_are_flat_at_the_last_close() -> None:
    builder = CandleBuilder(A, "1m", emits_empty=True)
    builder.on_trade(trade(0, price=9.0))

    built = builder.on_trade(trade(3 * MINUTE)) + builder.on_time(5 * MINUTE)

    assert [(candle.open_ns // MINUTE, candle.volume) for candle in built] == [
        (0, 1.0),
        (1, 0.0),
        (2, 0.0),
        (3, 1.0),
        (4, 0.0),
    ]
    assert facts(built[1])[2:6] == (9.0, 9.0, 9.0, 9.0)
    assert builder.next_close_ns == 6 * MINUTE


def test_a_session_starts_new_windows_and_ends_the_candle_before_it() -> None:
    start_ns = 10 * MINUTE
    builder = CandleBuilder(A, "7m")
    builder.on_trade(trade(8 * MINUTE))

    (closed,) = builder.start_session(start_ns)
    builder.on_trade(trade(start_ns))

    assert (closed.open_ns, closed.close_ns) == (7 * MINUTE, start_ns)
    assert builder.forming is not None
    assert (builder.forming.open_ns, builder.forming.close_ns) == (start_ns, 17 * MINUTE)
    with pytest.raises(ValueError, match="session"):
        builder.start_session(start_ns - 1)


def test_a_session_on_the_windows_changes_nothing() -> None:
    builder = CandleBuilder(A, "5m")
    builder.on_trade(trade(MINUTE))

    assert builder.start_session(10 * MINUTE) == []
    assert builder.start_session(5 * MINUTE) == []
    assert builder.forming is not None


def test_quotes_make_candles_of_their_mid_and_one_sided_ones_none() -> None:
    builder = CandleBuilder(A, "2t")

    built = builder.on_quote(Quote(A, 1, 1, 99.0, 101.0))
    built += builder.on_quote(Quote(A, 2, 2, 99.0, 0.0, 1.0, 0.0))
    built += builder.on_quote(Quote(A, 3, 3, 101.0, 103.0, 1.0, 1.0))

    assert [facts(candle) for candle in built] == [(1, 4, 100.0, 102.0, 100.0, 102.0, 0.0)]


def test_quotes_cannot_fill_a_volume_candle() -> None:
    with pytest.raises(ConfigError, match="needs trades"):
        CandleBuilder(A, "50v").on_quote(Quote(A, 1, 1, 99.0, 101.0))


@pytest.mark.parametrize(
    ("text", "kind", "size"),
    [
        ("1s", IntervalKind.TIME, SECOND),
        ("5m", IntervalKind.TIME, 5 * MINUTE),
        ("1h", IntervalKind.TIME, 60 * MINUTE),
        ("1d", IntervalKind.TIME, 1_440 * MINUTE),
        ("100t", IntervalKind.TICK, 100),
        ("50v", IntervalKind.VOLUME, 50.0),
        ("0.5v", IntervalKind.VOLUME, 0.5),
    ],
)
def test_an_interval_is_a_number_and_a_unit(text: str, kind: IntervalKind, size: float) -> None:
    interval = parse_interval(text)

    assert (interval.text, interval.kind, interval.size) == (text, kind, size)


@pytest.mark.parametrize("text", ["", "m", "0m", "1.5m", "2.5t", "-1m", "1 m", "1M", "1x", "0v"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="interval"):
        parse_interval(text)
