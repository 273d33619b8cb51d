"""The price of an instrument is its newest value, by a stated rule."""

import pytest

from framework.market.fast_book import FastOrderBook
from framework.market.latest import newest_price
from framework.model.market_data import BookSnapshot, Candle, Quote, Trade

NAME = "v:X"


def quote(time_ns: int, **sizes: float) -> Quote:
    return Quote(NAME, time_ns, time_ns, 10.0, 12.0, **sizes)


def book(time_ns: int, *, is_synced: bool = True) -> FastOrderBook:
    made = FastOrderBook(NAME)
    made.apply_snapshot(
        BookSnapshot(NAME, time_ns, time_ns, 1, bids=((20.0, 1.0),), asks=((22.0, 1.0),))
    )
    if not is_synced:
        made.mark_stale()
    return made


def trade(time_ns: int) -> Trade:
    return Trade(NAME, time_ns, time_ns, 30.0, 1.0)


def candle(time_ns: int) -> Candle:
    return Candle(NAME, time_ns, time_ns, "1m", 0, time_ns, 40.0, 40.0, 40.0, 40.0)


@pytest.mark.parametrize(
    ("times", "price"),
    [
        ((4, 3, 2, 1), 11.0),
        ((1, 4, 3, 2), 21.0),
        ((1, 2, 4, 3), 30.0),
        ((1, 2, 3, 4), 40.0),
        ((5, 5, 5, 5), 11.0),
        ((1, 5, 5, 5), 21.0),
        ((1, 1, 5, 5), 30.0),
    ],
)
def test_the_newest_value_is_the_price_and_the_first_kind_wins_a_tie(
    times: tuple[int, int, int, int], price: float
) -> None:
    made = (quote(times[0]), book(times[1]), trade(times[2]), candle(times[3]))

    assert newest_price(*made) == price


def test_a_one_sided_quote_and_a_stale_book_do_not_count() -> None:
    one_sided = quote(9, bid_size=1.0, ask_size=0.0)

    assert newest_price(one_sided, book(8, is_synced=False), trade(1), None) == 30.0


def test_without_any_value_there_is_no_price() -> None:
    assert newest_price(None, None, None, None) is None
