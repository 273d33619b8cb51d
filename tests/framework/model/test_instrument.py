"""The only converter: what lies on the grid passes exactly, everything else is refused."""

import random
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from framework.errors import OffGrid
from framework.model.instrument import Instrument, InstrumentKind, Number, PriceRange

STEPS = st.sampled_from(
    [Decimal(text) for text in ("0.00000001", "0.01", "0.05", "0.25", "1", "5")]
)
COUNTS = st.integers(1, 10**7)


def instrument(tick: Decimal | str = "0.05", lot: Decimal | str = "0.001") -> Instrument:
    """Return an instrument with one tick for all prices."""
    ranges = (PriceRange(Decimal(0), Decimal(tick)),)
    return Instrument("cme:CL", kind=FUTURE, ranges=ranges, lot=Decimal(lot))


FUTURE = InstrumentKind.FUTURE  # the kind whose prices may be zero and below
GRIDLESS = Instrument("cme:CL", kind=FUTURE)
TWO_RANGES = Instrument(
    "kalshi:RAIN",
    ranges=(
        PriceRange(Decimal(0), Decimal("0.001")),
        PriceRange(Decimal("0.1"), Decimal("0.01")),
        PriceRange(Decimal("0.9"), Decimal("0.05")),
    ),
)


@given(STEPS, COUNTS)
def test_a_price_on_the_grid_survives_its_text(tick: Decimal, count: int) -> None:
    """R-78: parse(str(x)) == x."""
    price = tick * count
    traded = instrument(tick=tick)

    assert traded.price(price) == price
    assert traded.price(str(price)) == price
    assert traded.price(float(price)) == price


@given(STEPS, COUNTS)
def test_a_quantity_on_the_grid_survives_its_text(lot: Decimal, count: int) -> None:
    """R-78: parse(str(x)) == x."""
    quantity = lot * count
    traded = instrument(lot=lot)

    assert traded.quantity(quantity) == quantity
    assert traded.quantity(str(quantity)) == quantity
    assert traded.quantity(float(quantity)) == quantity


@given(st.integers(1 - 10**28, 10**28 - 1), st.integers(-28, 28))
def test_without_a_grid_a_price_of_28_digits_survives_its_text(digits: int, exponent: int) -> None:
    """R-78, without the rounding that a context would add."""
    price = Decimal(f"{digits}e{exponent}")

    assert GRIDLESS.price(price) == price
    assert GRIDLESS.price(str(price)) == price


def outcome(convert: object, value: Number) -> Decimal | str:
    """Return what a converter made of `value`."""
    assert callable(convert)
    try:
        converted: Decimal = convert(value)
    except OffGrid:
        return "refused"
    return converted


@given(STEPS, COUNTS, st.floats(0.001, 0.499))
def test_what_lies_between_two_ticks_is_refused(tick: Decimal, count: int, part: float) -> None:
    between = tick * count + tick * Decimal(repr(part))
    traded = instrument(tick=tick)

    for value in (between, str(between)):
        with pytest.raises(OffGrid, match=r"is not on the tick"):
            traded.price(value)


@given(STEPS, st.integers(1, 10**6), st.floats(-0.9e-6, 0.9e-6))
def test_a_float_is_snapped_within_a_millionth_of_a_tick(
    tick: Decimal, count: int, error: float
) -> None:
    meant = tick * count
    assume(float(meant) > 0)

    price = instrument(tick=tick).price(float(meant) + float(tick) * error)

    assert price == meant


@given(STEPS, st.integers(1, 10**4), st.floats(2e-6, 0.4), st.sampled_from([-1, 1]))
def test_a_float_farther_from_the_tick_is_refused(
    tick: Decimal, count: int, error: float, sign: int
) -> None:
    value = float(tick * count) + float(tick) * error * sign

    with pytest.raises(OffGrid):
        instrument(tick=tick).price(value)


def test_the_usual_float_sums_are_what_they_mean() -> None:
    assert instrument(tick="0.1").price(0.1 + 0.2) == Decimal("0.3")
    assert instrument(lot="0.1").quantity(1.1 * 3) == Decimal("3.3")


NOT_TEXTS = ("NaN", "sNaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "ten", "", "1,5")
NOT_FLOATS = (float("nan"), float("inf"), float("-inf"), 1e300)
NOT_DECIMALS = (Decimal("NaN"), Decimal("Infinity"), Decimal("1e999"), Decimal("1e-999"))
NOT_NUMBERS = (True, False, None, b"1", [1], 1j, 10**400)


@pytest.mark.parametrize("convert", ["price", "quantity"])
@pytest.mark.parametrize(
    "value",
    [*NOT_TEXTS, *NOT_FLOATS, *NOT_DECIMALS, *NOT_NUMBERS],
    ids=lambda value: f"{value!r:.12}",
)
def test_what_is_not_a_finite_number_on_the_grid_is_refused(convert: str, value: Number) -> None:
    """F-16, T-21: venue and caller text becomes a finite bounded number or a named refusal."""
    with pytest.raises(OffGrid):
        getattr(instrument(), convert)(value)


@pytest.mark.parametrize(
    "value", ["1e999", "-1e999", Decimal("1e999"), 10**400], ids=lambda value: f"{value!r:.12}"
)
def test_a_number_beyond_every_float_is_refused_without_a_grid_too(value: Number) -> None:
    """T-21: it could not be compared with a market price."""
    with pytest.raises(OffGrid):
        GRIDLESS.price(value)


@pytest.mark.parametrize("digits", ["100.00000000000000000000000000000001", "1" * 29])
def test_more_digits_than_the_context_holds_are_refused_not_rounded(digits: str) -> None:
    """R-78, F-16: silent rounding would move a text onto the grid, or change what was meant."""
    for value in (digits, Decimal(digits)):
        assert outcome(instrument(tick="0.05").price, value) == "refused"
        assert outcome(GRIDLESS.price, value) == "refused"


def test_numpy_floats_are_floats() -> None:
    assert instrument().price(np.float64(100.05)) == Decimal("100.05")


@pytest.mark.parametrize("quantity", [0, -1, "-0.001", Decimal(0), -0.5, 1e-12])
def test_a_quantity_must_be_positive(quantity: Number) -> None:
    with pytest.raises(OffGrid, match="positive"):
        instrument().quantity(quantity)


def test_only_a_future_has_prices_of_zero_and_below() -> None:
    """F-16; crude oil settled at -37.63 in April 2020."""
    assert instrument().price("-37.65") == Decimal("-37.65")

    for price in ("0", "-37.65"):
        with pytest.raises(OffGrid, match="is not positive"):
            Instrument("binance:BTCUSDT").price(price)


def test_limits_are_inclusive_and_named_in_the_refusal() -> None:
    limited = Instrument(
        "binance:BTCUSDT",
        minimum_price=Decimal(1),
        maximum_price=Decimal(9),
        minimum_quantity=Decimal(2),
        maximum_quantity=Decimal(8),
    )

    assert [limited.price(1), limited.price(9)] == [1, 9]
    assert [limited.quantity(2), limited.quantity(8)] == [2, 8]
    with pytest.raises(OffGrid, match=r"price 0\.9 is below the minimum 1"):
        limited.price("0.9")
    with pytest.raises(OffGrid, match=r"price 9\.1 is above the maximum 9"):
        limited.price("9.1")
    with pytest.raises(OffGrid, match=r"quantity 1 is below the minimum 2"):
        limited.quantity(1)
    with pytest.raises(OffGrid, match=r"quantity 9 is above the maximum 8"):
        limited.quantity(9)


@pytest.mark.parametrize(
    ("price", "tick"),
    [("0.05", "0.001"), ("0.099", "0.001"), ("0.1", "0.01"), ("0.89", "0.01"), ("0.9", "0.05")],
)
def test_the_tick_follows_the_price_range(price: str, tick: str) -> None:
    assert TWO_RANGES.tick_at(Decimal(price)) == Decimal(tick)
    assert TWO_RANGES.price(price) == Decimal(price)


def test_a_price_on_the_tick_of_another_range_is_refused() -> None:
    with pytest.raises(OffGrid, match=r"price 0\.505 is not on the tick 0\.01"):
        TWO_RANGES.price("0.505")
    with pytest.raises(OffGrid, match=r"price 0\.91 is not on the tick 0\.05"):
        TWO_RANGES.price("0.91")


@given(STEPS, st.decimals(-(10**9), 10**9, allow_nan=False, places=12))
def test_rounding_below_and_above_brackets_the_value(tick: Decimal, value: Decimal) -> None:
    traded = instrument(tick=tick)

    below = traded.round_price(value, towards="below")
    nearest = traded.round_price(value)
    above = traded.round_price(value, towards="above")

    assert below <= value <= above
    assert above - below in (0, tick)
    assert abs(nearest - value) <= tick / 2
    assert {below, nearest, above} == {below, above}
    assert [traded.price(rounded) for rounded in (below, nearest, above)] == [below, nearest, above]


@given(STEPS, st.decimals(0, 10**9, allow_nan=False, places=12))
def test_a_rounded_quantity_never_grows(lot: Decimal, value: Decimal) -> None:
    """R-78: rounding is never towards more risk."""
    rounded = instrument(lot=lot).round_quantity(value)

    assert value - lot < rounded <= value


def test_notional_counts_the_multiplier_and_keeps_the_sign() -> None:
    future = Instrument("cme:ES", multiplier=Decimal(50))

    assert future.notional(Decimal("4000.25"), Decimal(-2)) == Decimal(-400_025)
    assert GRIDLESS.notional(Decimal("0.1"), Decimal("0.2")) == Decimal("0.02")


def test_random_text_is_converted_or_refused_never_an_error_of_another_kind() -> None:
    """R-45: 20,000 texts near a number."""
    alphabet, source = "0123456789eE+-._ nainfNAINF", random.Random(7)
    texts = ["".join(source.choices(alphabet, k=source.randint(0, 9))) for _ in range(20_000)]

    prices = [outcome(instrument().price, text) for text in texts]

    assert any(price == "refused" for price in prices)
    assert any(isinstance(price, Decimal) for price in prices)
