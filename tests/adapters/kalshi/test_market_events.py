"""What the venue says of its markets, as events: sides, scales, times, phases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi.market_events import STATUSES, quote_of, status_of, ticker_of, trade_of
from adapters.kalshi.messages import MarketLifecycle, Ticker, Trade
from framework.model.market_data import Aggressor, MarketPhase

NOW_NS = 1_000


def ticker(**fields: int | None) -> Ticker:
    """Return a ticker frame's content."""
    known = {"price": 4_200, "yes_bid": 4_100, "yes_ask": 4_300} | fields
    return Ticker(market_ticker="A", market_id="", **known)


def test_a_quote_is_in_dollars_and_contracts() -> None:
    quote = quote_of(ticker(yes_bid_size=150, yes_ask_size=2_000, time_ns=900), "x:A", NOW_NS)

    assert quote is not None
    assert (quote.bid, quote.ask) == (0.41, 0.43)
    assert (quote.bid_size, quote.ask_size) == (1.5, 20.0)
    assert (quote.time_ns, quote.received_ns) == (900, NOW_NS)


def test_a_side_that_nobody_quotes_has_no_size() -> None:
    """No bid is 0, no ask is a dollar; `None` comes where frames leave them out."""
    for bid, ask in ((0, 10_000), (None, None)):
        quote = quote_of(ticker(yes_bid=bid, yes_ask=ask), "x:A", NOW_NS)
        assert quote is not None
        assert (quote.bid, quote.bid_size) == (0.0, 0.0)
        assert (quote.ask, quote.ask_size) == (1.0, 0.0)


def test_older_frames_without_sizes_quote_one_contract() -> None:
    quote = quote_of(ticker(), "x:A", NOW_NS)

    assert quote is not None
    assert (quote.bid_size, quote.ask_size) == (1.0, 1.0)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_t21_what_crosses_for_a_moment_is_no_quote(bid: int, ask: int) -> None:
    """T-21."""
    quote = quote_of(ticker(yes_bid=bid, yes_ask=ask), "x:A", NOW_NS)

    assert (quote is None) == (bid >= (ask or 10_000))
    assert quote is None or quote.bid < quote.ask


def test_last_price_and_totals_once_it_has_traded() -> None:
    assert ticker_of(ticker(price=None), "x:A", NOW_NS) is None
    assert ticker_of(ticker(price=0), "x:A", NOW_NS) is None
    first = ticker_of(ticker(), "x:A", NOW_NS)
    full = ticker_of(ticker(volume=1_050, open_interest=300, time_ns=2_000), "x:A", NOW_NS)

    assert first is not None
    assert (first.last, first.volume, first.open_interest) == (0.42, None, None)
    assert full is not None
    assert (full.volume, full.open_interest) == (10.5, 3.0)
    assert full.time_ns == NOW_NS  # the venue's clock is ahead


@pytest.mark.parametrize(
    ("taker", "aggressor"),
    [("yes", Aggressor.BUYER), ("no", Aggressor.SELLER), (None, Aggressor.UNKNOWN)],
)
def test_f17_who_takes_yes_buys(taker: str | None, aggressor: Aggressor) -> None:
    """F-17."""
    message = Trade("t", "A", 3_900, 6_100, 1_200, taker)  # type: ignore[arg-type] # a literal
    trade = trade_of(message, "x:A", NOW_NS)

    assert (trade.price, trade.size, trade.aggressor) == (0.39, 12.0, aggressor)
    assert (trade.trade_id, trade.time_ns) == ("t", NOW_NS)


@pytest.mark.parametrize(
    ("event_type", "is_deactivated", "phase"),
    [
        ("activated", False, MarketPhase.OPEN),
        ("activated", None, MarketPhase.OPEN),
        ("activated", True, MarketPhase.HALTED),
        ("deactivated", True, MarketPhase.HALTED),
        ("determined", None, MarketPhase.CLOSED),
        ("settled", None, MarketPhase.SETTLED),
        ("created", None, None),
        ("close_date_updated", None, None),
        ("something_new", None, None),
    ],
)
def test_a_lifecycle_message_begins_a_phase_or_none(
    event_type: str, is_deactivated: bool | None, phase: MarketPhase | None
) -> None:
    message = MarketLifecycle(event_type, "A", is_deactivated=is_deactivated, result="yes")
    status = status_of(message, "x:A", NOW_NS)

    assert (None if status is None else status.phase) is phase
    assert status is None or status.reason == "determined yes"


def test_every_status_of_a_market_is_a_phase() -> None:
    from typing import get_args

    from adapters.kalshi.simulated.domain import MarketStatus

    assert set(get_args(MarketStatus)) == set(STATUSES)
