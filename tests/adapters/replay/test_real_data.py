"""Recorded files of real venues, read whole."""

from itertools import pairwise

import pytest

from framework.model.events import Event
from framework.model.market_data import BookDelta, BookSnapshot, Candle, Quote
from tests.adapters.replay.files import MINUTE_NS, feed_of
from tests.real_data import real_data_file


def test_a_month_of_minute_candles_is_whole() -> None:
    path = str(real_data_file("btc-perp-1m-2022-01.csv.gz"))
    source = {"files": path, "instrument": "BTC", "stamp": "open", "interval": "1m"}

    candles = [event for event in feed_of(source).scan() if isinstance(event, Candle)]

    assert len(candles) == 45_031
    assert all(after.open_ns == before.close_ns for before, after in pairwise(candles))
    assert candles[0].open_ns == 1_640_991_660_000_000_000
    assert candles[0].close == 46_377.0
    assert candles[0].volume == 2_300_413.7295


def test_a_day_of_minute_candles_with_naive_times_is_utc() -> None:
    path = str(real_data_file("btcusd-1m-2020-01-01.csv"))
    source = {"files": path, "instrument": "BTC", "stamp": "open", "interval": "1m"}

    candles = [event for event in feed_of(source).scan() if isinstance(event, Candle)]

    assert len(candles) == 1_440
    assert candles[0].time_ns == 1_577_836_800_000_000_000 + MINUTE_NS
    assert candles[-1].close == 7_178.68


def test_quotes_with_times_of_uneven_length_keep_their_milliseconds() -> None:
    path = str(real_data_file("usdjpy-quotes-2013-01.csv"))

    quotes = list(feed_of({"files": path, "instrument": "USDJPY"}).scan())

    assert len(quotes) == 1_000
    first = Quote("venue:USDJPY", 1357077600295000000, 1357077600295000000, 86.655, 86.728)
    assert quotes[0] == first


def test_a_book_stream_is_numbered_without_a_hole() -> None:
    path = str(real_data_file("xrpusdt-book500-2024-12-01.jsonl.gz"))

    events: list[Event] = list(feed_of({"files": path, "kind": "book"}).scan())

    snapshot, *deltas = events
    assert isinstance(snapshot, BookSnapshot)
    assert (len(snapshot.bids), len(snapshot.asks)) == (500, 500)
    assert snapshot.bids[0] < snapshot.asks[0]
    numbers = [snapshot.sequence]
    numbers += [delta.first_sequence for delta in deltas if isinstance(delta, BookDelta)]
    assert numbers == list(range(numbers[0], numbers[0] + 50))


@pytest.mark.parametrize("order", [1, -1])
def test_all_of_them_merge_into_one_sorted_stream(order: int) -> None:
    minutes = {"instrument": "BTC", "stamp": "open", "interval": "1m"}
    files = [
        {"path": str(real_data_file("btcusd-1m-2020-01-01.csv")), **minutes},
        {"path": str(real_data_file("usdjpy-quotes-2013-01.csv")), "instrument": "USDJPY"},
        {"path": str(real_data_file("xrpusdt-book500-2024-12-01.jsonl.gz")), "kind": "book"},
    ]

    times = [event.time_ns for event in feed_of({"files": files[::order]}).scan()]

    assert len(times) == 1_440 + 1_000 + 50
    assert times == sorted(times)
