"""What is known to be wrong at the moment."""

import pytest

from framework.model.events import DataStale, GapDetected, Resynced
from framework.model.market_data import MarketPhase, MarketStatus
from framework.risk.conditions import Conditions


def test_it_is_clear_again_once_everything_is_well() -> None:
    conditions = Conditions()
    assert conditions.is_clear
    conditions.block_account("a", "new")
    conditions.doubt_account("a", "again")
    conditions.distrust("x", "gap")
    conditions.halt_market("y", "halted")

    conditions.confirm_account("a")
    assert not conditions.is_clear
    conditions.trust("x")
    assert not conditions.is_clear
    conditions.open_market("y")
    assert conditions.is_clear
    conditions.trust("never heard of")
    assert conditions.is_clear


def test_an_instrument_is_trusted_once_all_of_its_streams_are_whole() -> None:
    conditions = Conditions()
    conditions.hear(GapDetected("x", "x book", 5, 9, 0))
    conditions.hear(DataStale("x", "x trades", 3_000_000_000, 0))
    assert conditions.distrusted == {
        "x": {"x book": "x book: 9 came instead of 5", "x trades": "x trades: silent for 3 s"}
    }

    conditions.hear(Resynced("x", "x book", 9, 0))
    assert not conditions.is_clear
    conditions.hear(Resynced("x", "x trades", 1, 0))
    assert conditions.is_clear


@pytest.mark.parametrize("phase", MarketPhase)
def test_a_venue_says_whether_its_market_trades(phase: MarketPhase) -> None:
    conditions = Conditions()
    conditions.hear(MarketStatus("x", 0, 0, phase, "volatility"))

    trades = phase in (MarketPhase.OPEN, MarketPhase.AUCTION)
    assert conditions.halted == ({} if trades else {"x": f"{phase.value} (volatility)"})
    conditions.hear(MarketStatus("x", 0, 0, MarketPhase.OPEN))
    assert conditions.is_clear


def test_a_halt_without_a_reason_is_named_by_its_phase() -> None:
    conditions = Conditions()
    conditions.hear(MarketStatus("x", 0, 0, MarketPhase.CLOSED))

    assert conditions.halted == {"x": "closed"}
