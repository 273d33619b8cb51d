"""Numbers and times of the wire are exact integers, or refused (K65)."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi import units
from framework.errors import MalformedMessage
from tests.adapters.kalshi.frames import dollars, rfc3339

NO_NUMBERS = (
    "NaN",
    "Infinity",
    "1e999",
    "1e3",
    "0x10",
    "1_000",
    " 1",
    "1 ",
    "+1",
    "--1",
    "-",
    ".",
    ".5",
    "5.",
    "1.2.3",
    "1,5",
    "٣",
    "²",
    "0.0000000",
    "1" * 13,
    "9" * 100_000,
    "0." + "0" * 100_000,
)


@given(st.integers(0, 10_000), st.integers(0, 6))
def test_a_price_is_exact_with_any_number_of_decimals(value: int, decimals: int) -> None:
    """K65: nothing is rounded, and what cannot be held is refused."""
    text = dollars(value * 100, 6)[: None if decimals == 6 else decimals - 6].rstrip(".")
    cut = Decimal(text) * 10_000

    assert units.price(text) == int(cut)
    assert units.price(units.dollars_of_price(value)) == value


@given(st.integers(-(10**14) + 1, 10**14 - 1))
def test_a_count_survives_a_round_trip(value: int) -> None:
    assert units.signed_count(units.text_of_count(value)) == value
    assert units.text_of_count(value) == dollars(value, 2)


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_money_is_exact(value: int) -> None:
    assert units.money(dollars(value, 6)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.4200", 4200), ("0.5", 5000), ("1", 10_000), ("0", 0), ("0.420000", 4200), ("00.42", 4200)],
)
def test_prices_come_with_none_to_six_decimals(text: str, value: int) -> None:
    assert units.price(text) == value
    assert units.grid_price(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("15.00", 1500), ("7", 700), ("0.5", 50), ("-15.00", -1500), ("-0.05", -5)]
)
def test_counts_come_with_none_to_two_decimals(text: str, value: int) -> None:
    assert units.signed_count(text) == value
    if value > 0:
        assert units.count(text) == value


def test_an_empty_text_is_no_value() -> None:
    readers = (units.price, units.count, units.signed_count, units.money, units.rfc3339)

    assert [read("") for read in readers] == [None] * 5
    with pytest.raises(MalformedMessage, match="missing"):
        units.grid_price("")


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_plain_number_is_refused(text: str) -> None:
    """R-45, and an error never repeats a huge text."""
    for read in (units.price, units.count, units.signed_count, units.money):
        with pytest.raises(MalformedMessage) as caught:
            read(text)
        assert len(str(caught.value)) < 100


@pytest.mark.parametrize("text", ["0.42001", "0.420001", "1.0001", "2", "-0.10", "-0"])
def test_prices_off_the_scale_are_refused(text: str) -> None:
    with pytest.raises(MalformedMessage, match=re.escape(text)):
        units.price(text)


@pytest.mark.parametrize("text", ["-1.00", "-0"])
def test_a_size_has_no_sign(text: str) -> None:
    with pytest.raises(MalformedMessage, match="negative"):
        units.count(text)


@pytest.mark.parametrize("text", ["1.001", "-1.005"])
def test_a_count_is_never_finer_than_a_hundredth(text: str) -> None:
    with pytest.raises(MalformedMessage, match="finer than 2"):
        units.signed_count(text)


def test_legacy_integers() -> None:
    """Cents, whole contracts and 1/10_000 dollar."""
    assert units.price_of_cents(42) == 4_200
    assert units.count_of_contracts(15) == 1_500
    assert units.signed_count_of_contracts(-15) == -1_500
    assert units.money_of_cents(-250) == -2_500_000
    assert units.money_of_dollars(702) == 702_000_000
    assert units.money_of_legacy(46_800) == 4_680_000


@pytest.mark.parametrize("cents", [-1, 101, 1 << 1_000])
def test_cents_off_the_scale_are_refused(cents: int) -> None:
    with pytest.raises(MalformedMessage, match="between 0 and 1 dollar"):
        units.price_of_cents(cents)


@pytest.mark.parametrize("number", [10**12, -(10**12), 1 << 100_000], ids=int.bit_length)
def test_huge_legacy_integers_are_refused(number: int) -> None:
    for read in (
        units.signed_count_of_contracts,
        units.money_of_cents,
        units.money_of_dollars,
        units.money_of_legacy,
    ):
        with pytest.raises(MalformedMessage, match="out of range"):
            read(number)


def test_a_legacy_size_has_no_sign() -> None:
    with pytest.raises(MalformedMessage, match="negative"):
        units.count_of_contracts(-1)
    with pytest.raises(MalformedMessage, match="negative"):
        units.count_of_contracts(-1 << 100_000)


@given(st.integers(0, 9_000_000_000 * 10**6))
def test_a_time_as_text_is_exact_to_the_microsecond(microseconds: int) -> None:
    assert units.rfc3339(rfc3339(microseconds * 1000)) == microseconds * 1000


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T02:00:01+02:00", 10**9),
        ("1970-01-01T00:00:01.123456789Z", 1_123_456_000),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_times_as_text(text: str, time_ns: int | None) -> None:
    assert units.rfc3339(text) == time_ns
    assert units.time_of_text(text) == time_ns


@pytest.mark.parametrize(
    "text",
    [
        "now",
        "2026-02-02",
        "2026-02-02T02:40:02",
        "2026-13-02T02:40:02Z",
        "1969-12-31T23:59:59Z",
        "2400-01-01T00:00:00Z",
        "2026-02-02T02:40:02Z" * 50_000,
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        units.rfc3339(text)
    assert len(str(caught.value)) < 100


def test_times_as_numbers() -> None:
    assert units.seconds(5) == units.time_of_text(5) == 5 * 10**9
    assert units.milliseconds(5) == 5 * 10**6


@pytest.mark.parametrize("number", [-1, 1 << 1_000])
def test_numbers_that_are_no_time_are_refused(number: int) -> None:
    with pytest.raises(MalformedMessage, match="no time in seconds"):
        units.seconds(number)
    with pytest.raises(MalformedMessage, match="no time in milliseconds"):
        units.milliseconds(number)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "1e-999"])
def test_strikes_are_finite_and_of_some_size(text: str) -> None:
    with pytest.raises(MalformedMessage, match="out of range"):
        units.finite(Decimal(text))
    assert units.finite(Decimal("2.5")) == Decimal("2.5")
