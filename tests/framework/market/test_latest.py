"""The newest values per instrument."""

from decimal import Decimal
from math import nan

import pytest

from framework.errors import StreamError
from framework.interfaces import MarketView
from framework.market.latest import LatestValues
from framework.model.events import GapDetected, Resynced
from framework.model.market_data import (
    BookDelta,
    BookSnapshot,
    Candle,
    Funding,
    MarkPrice,
    Quote,
    Trade,
)

A = "v:A"


def quote(time_ns: int, bid: float = 99.0, ask: float = 101.0, **sizes: float) -> Quote:
    return Quote(A, time_ns, time_ns, bid, ask, **sizes)


def trade(time_ns: int, price: float = 102.0) -> Trade:
    return Trade(A, time_ns, time_ns, price, 1.0)


def candle(close_ns: int, *, close: float = 104.0, is_closed: bool = True) -> Candle:
    return Candle(A, close_ns, close_ns, "1m", 0, close_ns, 1.0, 200.0, 1.0, close, 1.0, is_closed)


def snapshot(time_ns: int) -> BookSnapshot:
    return BookSnapshot(A, time_ns, time_ns, 1, ((105.0, 1.0),), ((107.0, 1.0),))


def test_nothing_is_known_before_anything_came() -> None:
    market: MarketView = LatestValues()

    known = [market.quote(A), market.trade(A), market.candle(A), market.book(A)]
    assert [*known, market.mark_price(A), market.reference_price(A)] == [None] * 6


def test_the_newest_of_each_kind_is_kept() -> None:
    latest = LatestValues()
    mark = MarkPrice(A, 3, 3, 100.5)

    for event in (quote(1), quote(2), trade(1), trade(3), mark, Funding(A, 4, 4, 0.1, 9)):
        latest.record(event)

    assert latest.quote(A) == quote(2)
    assert latest.trade(A) == trade(3)
    assert latest.mark_price(A) == mark


def test_what_arrives_late_does_not_replace_what_is_newer() -> None:
    latest = LatestValues()

    for event in (quote(5), quote(4, bid=1.0), trade(5), trade(4), candle(60), candle(5)):
        latest.record(event)

    assert latest.quote(A) == quote(5)
    assert latest.trade(A) == trade(5)
    assert latest.candle(A) == candle(60)


def test_a_forming_candle_is_not_the_newest_closed_one() -> None:
    latest = LatestValues()
    latest.record(candle(60))

    latest.record(candle(90, is_closed=False))

    assert latest.candle(A) == candle(60)


def test_the_book_follows_snapshots_deltas_and_gaps() -> None:
    latest = LatestValues(tick_of=lambda _: Decimal("0.01"))
    latest.record(BookDelta(A, 0, 0, 1, 1, ((1.0, 1.0),), ()))
    assert latest.book(A) is None

    latest.record(snapshot(1))
    latest.record(BookDelta(A, 2, 2, 2, 2, ((106.0, 3.0),), ()))
    book = latest.book(A)
    assert book is not None
    assert (book.best_bid, book.is_synced) == ((106.0, 3.0), True)

    latest.record(GapDetected(A, "books", 3, 5, 3))
    assert not book.is_synced

    latest.record(snapshot(4))
    latest.record(Resynced(A, "books", 5, 4))
    assert book.is_synced


def test_a_bad_book_message_is_refused_and_the_book_no_longer_synced() -> None:
    latest = LatestValues()
    latest.record(snapshot(1))

    with pytest.raises(StreamError, match="bad level"):
        latest.record(BookDelta(A, 2, 2, 2, 2, ((nan, 3.0),), ()))

    book = latest.book(A)
    assert book is not None
    assert (book.best_bid, book.is_synced) == ((105.0, 1.0), False)


def test_the_reference_price_is_that_of_the_newest_event() -> None:
    latest = LatestValues()
    prices = []

    for event in (candle(1), trade(2), quote(3), snapshot(4), trade(5), candle(6)):
        latest.record(event)
        prices.append(latest.reference_price(A))

    assert prices == [104.0, 102.0, 100.0, 106.0, 102.0, 104.0]


def test_at_equal_times_the_quote_comes_first() -> None:
    latest = LatestValues()

    for event in (candle(1), trade(1), snapshot(1), quote(1)):
        latest.record(event)

    assert latest.reference_price(A) == 100.0


def test_one_sided_quotes_and_stale_books_are_no_reference() -> None:
    latest = LatestValues()
    latest.record(trade(1))
    latest.record(quote(2, bid_size=1.0, ask_size=0.0))
    latest.record(snapshot(3))
    latest.record(GapDetected(A, "books", 2, 5, 4))

    assert latest.reference_price(A) == 102.0
