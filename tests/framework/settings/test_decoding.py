"""Sections that belong to adapters and strategies: typed, with every mistake at its key."""

from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import msgspec
import pytest

from framework.errors import ConfigError
from framework.settings.decoding import decode_section, is_representable
from framework.settings.places import join_key, one_line, parent_key, section


class Speed(Enum):
    SLOW = "slow"
    FAST = "fast"


class Leg(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    instrument: str
    weight: Decimal = Decimal(1)
    speed: Speed = Speed.SLOW


class Basket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    legs: list[Leg]
    by_name: dict[str, dict[str, Leg]] = {}
    by_number: dict[int, float] = {}
    threshold: float = 2.0
    anything: Any = None
    size: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        if not self.legs:
            raise ValueError("needs at least one leg")
        if any(leg.weight < 0 for leg in self.legs):
            raise ValueError("weights must not be negative")


def error_of(value: dict[str, Any] | None) -> str:
    with pytest.raises(ConfigError) as caught:
        decode_section(value, Basket, key="settings")
    return str(caught.value)


LEG = {"instrument": "a:B"}


def test_a_section_becomes_a_struct() -> None:
    basket = decode_section(
        {"legs": [{"instrument": "a:B", "weight": 0.1, "speed": "fast"}], "anything": [1, {}]},
        Basket,
        key="settings",
    )

    assert basket.legs == [Leg("a:B", Decimal("0.1"), Speed.FAST)]
    assert basket.anything == [1, {}]


def test_no_section_is_an_empty_one() -> None:
    assert error_of(None) == "settings.legs: the key is missing"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"legs": [LEG], "thresold": 1}, "settings.thresold: unknown key; known here: legs, by_na"),
        ({"legs": LEG}, "settings.legs: Expected `list`, got `mapping`"),
        ({"legs": [LEG, 5]}, "settings.legs[1]: Expected `mapping`, got `int`"),
        ({"legs": [LEG, {}]}, "settings.legs[1].instrument: the key is missing"),
        ({"legs": [{**LEG, "x": 1}]}, "settings.legs[0].x: unknown key; known here: instrument, w"),
        ({"legs": [{**LEG, "speed": "f"}]}, "settings.legs[0].speed: 'f' is not one of slow, fast"),
        ({"legs": [{**LEG, "weight": "NaN"}]}, "settings: a number is not finite or out of range"),
        ({"legs": [{**LEG, "weight": "inf"}]}, "settings.legs[0].weight: the number is not fini"),
        ({"legs": [{**LEG, "weight": "1e99"}]}, "settings.legs[0].weight: the number is not fini"),
        ({"legs": [{**LEG, "weight": "-1"}]}, "settings: weights must not be negative"),
        ({"legs": []}, "settings: needs at least one leg"),
        ({"legs": [LEG], "size": 0}, "settings.size: Expected `int` >= 1"),
        ({"legs": [LEG], "threshold": "2"}, "settings.threshold: Expected `float`, got `str`"),
        ({"legs": [LEG], "threshold": float("nan")}, "settings.threshold: the number is not"),
        ({"legs": [LEG], "anything": [{"x": float("inf")}]}, "settings.anything[0].x: the number"),
        (
            {"legs": [LEG], "by_name": {"a": {"b": LEG}, "c": {"d": LEG, "e": {}}}},
            "settings.by_name.c.e.instrument: the key is missing",
        ),
        (
            {"legs": [LEG], "by_name": {"a": {"b": {**LEG, "speed": "f"}}}},
            "settings.by_name.a.b.speed: 'f' is not one of slow, fast",
        ),
        ({"legs": [LEG], "by_number": {"x": 1.0}}, "settings.by_number.x: the name does not fit"),
    ],
)
def test_a_mistake_is_named_by_its_key(value: dict[str, Any], expected: str) -> None:
    assert error_of(value).startswith(expected)


@pytest.mark.parametrize("wrong", [0, 1, 4_999, 9_999])
def test_the_wrong_entry_of_a_large_mapping_is_found_quickly(wrong: int) -> None:
    entries = {f"n{number}": LEG for number in range(10_000)}
    entries[f"n{wrong}"] = {}

    message = error_of({"legs": [LEG], "by_name": {"a": {"b": LEG}, "c": entries}})

    assert message == f"settings.by_name.c.n{wrong}.instrument: the key is missing"


def test_hostile_keys_stay_on_one_line() -> None:
    message = error_of({"legs": [LEG], "a\nb` - at `$.legs[9].\x1b[31m": 1})

    assert message.isprintable()
    assert "unknown key" in message


def test_a_part_puts_its_key_in_front() -> None:
    with pytest.raises(ConfigError) as caught, section("venues.binance"), section("settings"):
        decode_section({}, Basket, key="")

    assert caught.value.key == "venues.binance.settings.legs"


def test_a_placed_error_passes_a_part_unchanged() -> None:
    with pytest.raises(ConfigError, match=r"^f.yaml:1: a: no$"), section("venues"):
        raise ConfigError("no", file="f.yaml", line=1, key="a")


def test_keys_join_and_part() -> None:
    assert join_key("", "a", "b[0]", "[1]", "c") == "a.b[0][1].c"
    assert parent_key("a.b[0].c") == "a.b[0]"
    assert parent_key("a.b[0]") == "a.b"
    assert parent_key("a") == ""


def test_a_line_is_printable_and_short() -> None:
    assert one_line("a\nb\x1b[1m\u2028é") == "a\\nb\\x1b[1m\\u2028é"
    assert len(one_line("x" * 10_000)) == 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", True),
        ("0E+999999", True),
        ("-0E-60", True),
        ("9" * 28, True),
        ("1" + "0" * 28, False),  # 29 digits, though the last ones are zeros
        ("1." + "0" * 27, True),
        ("1." + "0" * 28, False),
        ("9" * 28 + "E+1", True),
        ("9" * 28 + "E+2", False),
        ("9" * 28 + "E-55", True),
        ("9" * 28 + "E-56", False),
        ("1E-28", True),
        ("9E-29", False),
        ("Infinity", False),
        ("NaN", False),
        ("sNaN", False),
    ],
)
def test_a_number_of_28_digits_on_either_side_of_the_point_is_kept_exactly(
    text: str, *, expected: bool
) -> None:
    assert is_representable(Decimal(text)) is expected
