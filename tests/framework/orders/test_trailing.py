"""Trailing stops: against a brute-force oracle, and the promises one by one."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from hypothesis import given
from hypothesis import strategies as st

from framework.model.instrument import Instrument, PriceRange
from framework.model.orders import Offset, Percent
from framework.orders.trailing import TrailingStop, distance, stop_behind

D = Decimal
TICK = D("0.05")
GRID = Instrument("v:X", ranges=(PriceRange(D(0), TICK),))
ANY = Instrument("v:Y")
prices = st.lists(st.integers(1_000, 3_000).map(lambda ticks: ticks * TICK), min_size=1)
trails = st.one_of(
    st.integers(1, 200).map(lambda n: Offset(D(n) / 100)),
    st.integers(1, 2_000).map(lambda n: Percent(D(n) / 100)),
)


def brute(seen: list[Decimal], trail: Offset | Percent, *, is_buy: bool) -> Decimal:
    """Return the best of the stops that every single price would have given."""
    stops = []
    for price in seen:
        gap = trail.distance if isinstance(trail, Offset) else price * trail.percent / 100
        raw = (price + gap if is_buy else price - gap) / TICK
        stops.append(raw.to_integral_value(ROUND_FLOOR if is_buy else ROUND_CEILING) * TICK)
    return min(stops) if is_buy else max(stops)


def follow(seen: list[Decimal], trail: Offset | Percent, *, is_buy: bool) -> TrailingStop:
    stop = TrailingStop.started(seen[0], trail, GRID, is_buy=is_buy)
    for price in seen[1:]:
        stop = stop.after(price)
    return stop


@given(prices, trails, st.booleans())
def test_it_equals_the_brute_force_oracle(
    seen: list[Decimal], trail: Offset | Percent, is_buy: bool
) -> None:
    stop = follow(seen, trail, is_buy=is_buy)

    assert stop.stop == brute(seen, trail, is_buy=is_buy)
    assert stop.extreme == (min(seen) if is_buy else max(seen))


@given(prices, trails, st.booleans())
def test_it_only_moves_in_favour_and_stays_on_the_grid(
    seen: list[Decimal], trail: Offset | Percent, is_buy: bool
) -> None:
    stop = TrailingStop.started(seen[0], trail, GRID, is_buy=is_buy)
    for price in seen[1:]:
        before, stop = stop.stop, stop.after(price)
        assert stop.stop <= before if is_buy else stop.stop >= before
        assert stop.stop % TICK == 0


@given(prices, trails, st.booleans())
def test_rounding_never_adds_risk_r78(
    seen: list[Decimal], trail: Offset | Percent, is_buy: bool
) -> None:
    stop = follow(seen, trail, is_buy=is_buy)

    assert abs(stop.extreme - stop.stop) <= distance(trail, stop.extreme)


def test_a_price_between_stop_and_extreme_changes_nothing() -> None:
    stop = TrailingStop.started(D(100), Offset(D(2)), GRID, is_buy=False)

    assert stop.after(D(99)) is stop
    assert not stop.is_met(D("98.05"))
    assert stop.is_met(D(98))


def test_a_buy_trails_the_low() -> None:
    stop = TrailingStop.started(D(100), Offset(D(2)), GRID, is_buy=True).after(D(95))

    assert stop.stop == D(97)
    assert stop.is_met(D(97))
    assert not stop.is_met(D("96.95"))


def test_a_better_stop_that_was_given_is_kept() -> None:
    stop = TrailingStop.started(D(100), Offset(D(5)), GRID, is_buy=False, stop=D(98))

    assert stop.after(D(101)).stop == D(98)
    assert stop.after(D(104)).stop == D(99)


def test_a_closer_trail_moves_the_stop_up_to_its_distance_from_the_extreme() -> None:
    stop = TrailingStop.started(D(100), Offset(D(5)), GRID, is_buy=False)

    closer = stop.with_trail(Percent(D(2)))

    assert closer.stop == D(98)
    assert closer.after(D(102)).stop == D("100")


def test_a_wider_trail_moves_nothing_back_and_waits_for_the_extreme() -> None:
    stop = TrailingStop.started(D(100), Offset(D(2)), GRID, is_buy=False)

    wider = stop.with_trail(Percent(D(5)))

    assert wider.stop == D(98)
    assert wider.after(D(102)).stop == D(98)
    assert wider.after(D(104)).stop == D("98.8")


def test_percent_of_a_negative_price_is_still_a_distance() -> None:
    assert stop_behind(D(-10), Percent(D(10)), ANY, is_buy=False) == D(-11)


def test_without_a_grid_nothing_is_rounded() -> None:
    assert stop_behind(D("1.23456"), Percent(D(1)), ANY, is_buy=True) == D("1.2469056")
