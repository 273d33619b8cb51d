"""Instruments by id, alias and search; ambiguity is refused with both names."""

import pytest

from framework.errors import OrderError, UnknownInstrument
from framework.market.directory import AmbiguousName, InstrumentDirectory, Refreshed
from framework.model.instrument import Instrument, InstrumentChanged

INFY = Instrument("kite:NSE:INFY", currency="INR", aliases=("408065", "INFY-EQ"))
INFY_BSE = Instrument("kite:BSE:INFY", currency="INR", aliases=("128053924", "INFY-EQ"))
BTC = Instrument("binance:BTCUSDT")
BTC_PERP = Instrument("bybit:BTCUSDT")


def directory() -> InstrumentDirectory:
    return InstrumentDirectory([INFY, INFY_BSE, BTC, BTC_PERP])


@pytest.mark.parametrize("name", ["kite:NSE:INFY", "NSE:INFY", "408065"])
def test_an_instrument_is_found_by_id_symbol_and_alias(name: str) -> None:
    assert directory().resolve(name) == INFY


@pytest.mark.parametrize(
    ("name", "both"),
    [
        ("INFY-EQ", ("kite:BSE:INFY", "kite:NSE:INFY")),
        ("BTCUSDT", ("binance:BTCUSDT", "bybit:BTCUSDT")),
    ],
)
def test_a_name_that_fits_two_is_refused_with_both(name: str, both: tuple[str, str]) -> None:
    with pytest.raises(AmbiguousName) as caught:
        directory().resolve(name)

    assert caught.value.instruments == both
    assert all(instrument in str(caught.value) for instrument in both)
    assert isinstance(caught.value, OrderError)


def test_a_venue_decides_between_two() -> None:
    assert directory().resolve("BTCUSDT", venue="bybit") == BTC_PERP


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownInstrument, match="ETH"):
        directory().resolve("ETH")
    with pytest.raises(UnknownInstrument, match="408065"):
        directory().get("408065")  # an alias is no id


def test_search_finds_parts_of_names_in_either_case_best_match_first() -> None:
    found = directory()
    found.add(Instrument("kite:NSE:NIFTYINFY"))

    assert [i.id for i in found.search("nse:in")] == ["kite:NSE:INFY"]
    assert [i.id for i in found.search("infy-eq", limit=1)] == ["kite:BSE:INFY"]
    assert [i.id for i in found.search("INFY", venue="kite")] == [
        "kite:BSE:INFY",
        "kite:NSE:INFY",
        "kite:NSE:NIFTYINFY",
    ]
    assert found.search("nothing") == []


def test_a_refresh_tells_what_is_new_altered_and_gone() -> None:
    listed = directory()
    altered = Instrument("kite:NSE:INFY", currency="INR", aliases=("1",))
    new = Instrument("kite:NSE:TCS", currency="INR", aliases=("408065",))  # takes the old token

    refreshed = listed.refresh("kite", [altered, new], time_ns=5, received_ns=6)

    assert refreshed == Refreshed(
        (
            InstrumentChanged("kite:NSE:INFY", 5, 6, altered),
            InstrumentChanged("kite:NSE:TCS", 5, 6, new),
        ),
        ("kite:BSE:INFY",),
    )
    assert listed.resolve("408065") == new
    assert listed.resolve("1") == altered
    assert len(listed) == 4
    assert listed.refresh("kite", [altered, new], time_ns=7, received_ns=7) == Refreshed()


def test_what_is_gone_keeps_its_definition_but_not_its_names() -> None:
    listed = directory()
    listed.refresh("kite", [INFY], time_ns=5, received_ns=6)

    assert listed.get("kite:BSE:INFY") == INFY_BSE
    assert "kite:BSE:INFY" not in listed
    assert listed.resolve("INFY-EQ") == INFY
    assert [i.id for i in listed] == ["kite:NSE:INFY", "binance:BTCUSDT", "bybit:BTCUSDT"]


def test_a_refresh_of_another_venue_is_refused_and_changes_nothing() -> None:
    listed = directory()

    with pytest.raises(ValueError, match="binance:BTCUSDT"):
        listed.refresh("kite", [BTC], time_ns=5, received_ns=6)

    assert len(listed) == 4
