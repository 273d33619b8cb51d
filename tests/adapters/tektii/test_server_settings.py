"""What a gateway's configuration may say, and what things are called at one place."""

from typing import Any

import pytest
from msgspec.structs import replace

from adapters.tektii.server_errors import GatewayRefusal
from adapters.tektii.server_settings import GatewaySettings, Place, decode_settings
from framework.errors import ConfigError
from framework.model.desk import ALL_VERBS, Principal
from framework.model.desk import Place as Seat
from framework.model.instrument import Instrument
from framework.model.orders import Bucket
from tests.adapters.tektii.fake_desk import APPLE, FakeDesk
from tests.adapters.tektii.trading_half import place_of

BOTH = Principal(
    "owner", (Seat("mock", "main", "tektii"), Seat("F", "fx", "tektii-fx")), verbs=ALL_VERBS
)


def place(*symbols: str, **chosen: Any) -> Place:
    return place_of(FakeDesk([Instrument(one, currency="EUR") for one in symbols]), BOTH, **chosen)


def test_nothing_said_is_the_protocols_own_defaults() -> None:
    settings = decode_settings({}, key="k")
    assert settings == GatewaySettings()
    assert (settings.ack_timeout_s, settings.first_ack_timeouts, settings.ack_timeouts) == (
        5.0, 24, 5,
    )  # fmt: skip
    assert (settings.max_exits, settings.longest_symbol) == (10_000, 20)


def test_numbers_and_switches_may_be_text() -> None:
    settings = decode_settings(
        {
            "swagger": "1", "scenarios": "false", "max_exits": "12", "ack_timeout_s": "0.5",
            "exit_ttl_hours": "24", "close_memory_s": 2, "provider": "mock", "git_sha": "12",
        },
        key="k",
    )  # fmt: skip
    assert (settings.swagger, settings.scenarios, settings.max_exits) == (True, False, 12)
    assert (settings.ack_timeout_s, settings.close_memory_s) == (0.5, 2.0)
    assert settings.git_sha == "12"


@pytest.mark.parametrize(("word", "value"), [("TRUE", True), ("", False), ("0", False)])
def test_switches_are_words(word: str, value: bool) -> None:
    assert decode_settings({"swagger": word}, key="k").swagger is value


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"unknown": 1}, "k.unknown"),
        ({"max_exits": "many"}, "k.max_exits"),
        ({"max_exits": "0"}, "k.max_exits"),
        ({"swagger": "maybe"}, "k.swagger"),
        ({"ack_mode": "none"}, "k.ack_mode"),
        ({"platforms": {"x": 1}}, "k.platforms.x"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(section: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as raised:
        decode_settings(section, key="k")
    assert raised.value.key == key


def test_the_provider_is_the_venue_of_the_first_account() -> None:
    assert place().provider == "mock"
    assert place(provider="F").provider == "F"
    assert place().venues == ("mock", "F")


def test_a_provider_without_an_account_is_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"GATEWAY_PROVIDER is 'alpaca'.*mock, F") as raised:
        place(provider="alpaca")
    assert raised.value.key == "server[0].doors[0].settings.provider"


def test_symbols_of_the_provider_are_bare_and_others_have_their_venue() -> None:
    at = place("mock:AAPL", "F:EURUSD")
    assert at.instrument_id("AAPL") == "mock:AAPL"
    assert at.instrument_id("BTC/USD") == "mock:BTC/USD"
    assert at.instrument_id("F:EURUSD") == "F:EURUSD"
    assert at.instrument_id("G:EURUSD") == "mock:G:EURUSD"
    assert at.instrument_id("mock:AAPL") == "mock:AAPL"
    assert at.symbol_of("mock:AAPL") == "AAPL"
    assert at.symbol_of("F:EURUSD") == "F:EURUSD"


def test_a_symbol_with_a_colon_of_its_own_is_the_providers() -> None:
    assert place("mock:F:EURUSD").instrument_id("F:EURUSD") == "mock:F:EURUSD"


def test_a_symbol_that_could_be_two_instruments_is_refused_with_both() -> None:
    at = place("mock:F:EURUSD", "F:EURUSD")
    with pytest.raises(GatewayRefusal, match="mock:F:EURUSD or F:EURUSD") as raised:
        at.instrument_id("F:EURUSD")
    assert (raised.value.status, raised.value.code) == (400, "INVALID_VALUE")


def test_positions_are_named_after_platform_and_symbol() -> None:
    at = place(platforms={"mock": "alpaca-paper"})
    assert at.position_id("mock:BTC/USD") == "alpaca-paper-pos-BTC/USD"
    assert at.position_id("F:EURUSD") == "F-pos-F:EURUSD"
    assert at.position_id("mock:A", Bucket("MIS")) == "alpaca-paper-pos-A/MIS"
    assert at.position_id("mock:A", Bucket("", "p-1"), "other") == "p-1"
    assert at.position_id("mock:A", run="tektii") == "alpaca-paper-pos-A"
    assert at.position_id("mock:A", run="cross") == "alpaca-paper-pos-A@cross"


def test_currencies_are_those_of_the_instruments() -> None:
    desk = FakeDesk([APPLE])
    at = place_of(desk, BOTH)
    assert at.currency_of("mock:AAPL") == "USD"
    desk.known["F:EURUSD"] = Instrument("F:EURUSD", currency="EUR")
    assert at.currency_of("F:EURUSD") == "EUR"
    assert at.currency_of("F:EURUSD") == "EUR"
    assert at.currency_of("F:NOPE") == "USD"


def test_what_is_simulated_is_known_of_each_venue() -> None:
    desk = FakeDesk()
    at = place_of(desk, BOTH)
    assert at.is_simulated("mock")
    assert not at.is_simulated("F")
    desk.venues = [replace(desk.venues[0], is_simulated=False)]
    assert not at.is_simulated("mock")
