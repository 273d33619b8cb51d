"""The newest price of an instrument, whatever told it last."""

from typing import Any

import pytest

from framework.bus.bus import Bus
from framework.clock.clock import VirtualClock
from framework.engine.books import Books
from framework.engine.market_state import MarketState
from framework.model.market_data import BookSnapshot, MarkPrice
from tests.scripted_venue import BTC, ETH, START_NS, candle, quote, trade


@pytest.fixture
def bus() -> Bus:
    bus = Bus(VirtualClock(START_NS))
    bus.pump()
    return bus


@pytest.fixture
def state(bus: Bus) -> MarketState:
    books = Books(bus, {}, bus.clock)
    bus.set_step(BookSnapshot, books.on_snapshot)
    return MarketState(bus, books.by_instrument)


def test_nothing_is_known_before_anything_came(state: MarketState) -> None:
    newest = (state.quote, state.trade, state.candle, state.book, state.mark_price)
    assert [read(BTC) for read in newest] == [None] * 5
    assert state.reference_price(BTC) is None


@pytest.mark.parametrize(
    ("events", "price"),
    [
        ([candle(0, 50.0)], 50.0),
        ([candle(0, 50.0), trade(61, 51.0)], 51.0),
        ([trade(59, 51.0), candle(0, 50.0)], 50.0),
        ([trade(60, 51.0), candle(0, 50.0)], 51.0),  # at one time the trade says more
        ([trade(1, 51.0), quote(2, 52.0, 54.0)], 53.0),
        ([quote(2, 52.0, 54.0), trade(3, 51.0)], 51.0),
        ([candle(0, 50.0, at=ETH), trade(1, 51.0, at=ETH)], None),
    ],
)
def test_the_reference_price_is_the_newest_of_quote_trade_and_candle(
    bus: Bus, state: MarketState, events: list[Any], price: float | None
) -> None:
    for event in events:
        bus.publish(event)

    assert state.reference_price(BTC) == price


def test_a_book_counts_until_something_newer_came(bus: Bus, state: MarketState) -> None:
    bus.publish(BookSnapshot(BTC, START_NS, START_NS, 1, ((10.0, 1.0),), ((12.0, 1.0),)))
    assert state.reference_price(BTC) == 11.0

    bus.publish(trade(1, 9.0))
    assert state.reference_price(BTC) == 9.0


def test_the_newest_of_each_kind_is_kept_per_instrument(bus: Bus, state: MarketState) -> None:
    mark = MarkPrice(BTC, START_NS, START_NS, 7.0)
    for event in (candle(0, 1.0), candle(1, 2.0), quote(1, 1.0, 2.0), quote(2, 3.0, 4.0), mark):
        bus.publish(event)

    newest, newest_quote = state.candle(BTC), state.quote(BTC)
    assert newest is not None
    assert newest_quote is not None
    assert (newest.close, newest_quote.bid, state.mark_price(BTC)) == (2.0, 3.0, mark)
    assert state.quote(ETH) is None
