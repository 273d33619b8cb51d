"""The recorded twin of the market, the configuration of both, and the sample file."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from adapters.mock import build
from adapters.mock.sample import main
from adapters.mock.synthetic import SyntheticFeed
from adapters.replay import build as build_replay
from framework.errors import ConfigError
from framework.model.market_data import BookDelta, BookSnapshot, Candle, Quote, Trade
from tests.adapters.mock.seams import HandContext

START_NS = 1_704_067_200_000_000_000
MINUTE_NS = 60_000_000_000


def feed_of(seed: int = 7, **section: Any) -> SyntheticFeed:
    section.setdefault("instruments", [{"symbol": "X"}])
    feed = build(section, HandContext(seed=seed)).recorded
    assert isinstance(feed, SyntheticFeed)
    return feed


def test_a_series_has_as_many_candles_as_asked_for() -> None:
    candles = list(feed_of(source={"count": 2_500}).scan())

    assert all(isinstance(candle, Candle) for candle in candles)
    assert [candle.time_ns for candle in candles] == [
        START_NS + i * MINUTE_NS for i in range(1, 2_501)
    ]


def test_a_series_may_end_at_a_time() -> None:
    feed = feed_of(source={"start": "2024-01-01T01:00", "end": "2024-01-01T01:10:59"})

    assert len(list(feed.scan())) == 10


def test_channels_change_nothing_but_what_is_shown() -> None:
    channels = ["quotes", "trades", "candles", "book"]
    whole = list(feed_of(source={"count": 100, "channels": channels}).scan())

    for channel, kind in (("quotes", Quote), ("trades", Trade), ("candles", Candle)):
        alone = list(feed_of(source={"count": 100, "channels": [channel]}).scan())
        assert alone == [event for event in whole if isinstance(event, kind)]
    assert all(before.time_ns <= after.time_ns for before, after in pairwise(whole))
    assert len(whole) == 100 + 3 * 6_000


def test_the_book_of_a_series_is_numbered_and_agrees_with_its_quotes() -> None:
    source = {"count": 20, "channels": ["quotes", "book"]}
    events = list(feed_of(source=source).scan())

    books = [event for event in events if isinstance(event, BookSnapshot | BookDelta)]
    first = next(event for event in events if isinstance(event, Quote))
    assert [event.sequence for event in books] == list(range(1, 1_201))
    assert isinstance(books[0], BookSnapshot)
    assert books[0].bids[0] == (first.bid, first.bid_size)
    assert books[0].asks[0] == (first.ask, first.ask_size)


def test_candles_of_all_instruments_come_before_the_rest_of_their_instant() -> None:
    feed = feed_of(
        instruments=[{"symbol": "A"}, {"symbol": "B"}],
        source={"count": 2, "channels": ["quotes", "candles"]},
    )

    at_close = [event for event in feed.scan() if event.time_ns == START_NS + MINUTE_NS]

    assert [type(event) for event in at_close] == [Candle, Candle, Quote, Quote]


def test_instruments_do_not_disturb_each_other() -> None:
    alone = list(feed_of(source={"count": 50}).scan())
    both = feed_of(instruments=[{"symbol": "W"}, {"symbol": "X"}], source={"count": 50})

    assert [e for e in both.scan() if isinstance(e, Candle) and e.instrument == "venue:X"] == alone


def test_the_grid_of_the_configuration_holds() -> None:
    feed = feed_of(
        instruments=[{"symbol": "X", "tick": "0.25", "lot": 10, "currency": "EUR"}],
        settings={"instruments": [{"symbol": "X", "start_price": 50}]},
        source={"count": 5, "channels": ["quotes"]},
    )
    instrument = feed.instruments[0]
    assert instrument.currency == "EUR"

    for quote in feed.scan():
        assert isinstance(quote, Quote)
        assert instrument.price(quote.bid) < instrument.price(quote.ask)
        assert instrument.quantity(quote.bid_size) > 0


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"instruments": []}, "instruments"),
        ({"instruments": [{"symbol": "X", "tick": -1}]}, "instruments[0].tick"),
        ({"instruments": [{"symbol": "X"}, {"symbol": "X"}]}, "instruments[1].symbol"),
        ({"settings": {"instruments": [{"symbol": "X"}] * 2}}, "settings.instruments[1].symbol"),
        ({"settings": {"speed": 3}}, "settings.speed"),
        ({"settings": []}, None),
        ({"settings": "fast"}, "settings"),
        ({"settings": {"candle_interval": "100t"}}, "settings.candle_interval"),
        ({"settings": {"interval_ms": 7_000}}, "settings.interval_ms"),
        ({"settings": {"interval_ms": 120_000}}, "settings.interval_ms"),
        ({"settings": {"candle_interval": "1w", "interval_ms": 1}}, "settings.interval_ms"),
        ({"settings": {"faults": {"burst_size": 0}}}, "settings.faults.burst_size"),
        ({"settings": {"instruments": [{"symbol": "X", "start_price": 0.001}]}},
         "settings.instruments[0].start_price"),
        ({"source": {"start": "soon"}}, "source.start"),
        ({"source": {"start": "1900-01-01"}}, "source.start"),
        ({"source": {"end": "2023-01-01"}}, "source.end"),
        ({"source": {"end": "2025-01-01", "count": 3}}, "source.count"),
        ({"source": {"count": 0}}, "source.count"),
        ({"source": {"channels": ["news"]}}, "source.channels[0]"),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_names_its_key(section: Any, key: str | None) -> None:
    """R-88."""
    if key is None:
        assert feed_of(**section).instruments
        return
    with pytest.raises(ConfigError) as caught:
        feed_of(**section)

    assert caught.value.key == key


def test_the_sample_file_is_the_same_bytes_for_a_seed(tmp_path: Path) -> None:
    for name, seed in (("a.csv", "7"), ("b.csv", "7"), ("c.csv", "8")):
        assert main([str(tmp_path / name), "--seed", seed, "--candles", "300"]) == 0

    first, second, other = (Path(tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert first == second != other
    assert first.count(b"\n") == 301


def test_the_sample_file_replays_as_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    main([str(path), "--candles", "200", "--interval", "5m"])
    source = {"files": str(path), "instrument": "S", "stamp": "open", "interval": "5m"}

    recorded = build_replay({"source": source}, HandContext()).recorded

    assert recorded is not None
    candles = [event for event in recorded.scan() if isinstance(event, Candle)]
    assert len(candles) == 200
    assert candles[0].open_ns == START_NS
    assert all(after.open_ns == before.close_ns for before, after in pairwise(candles))


@pytest.mark.parametrize("arguments", [["--interval", "7x"], ["--candles", "0"], ["--price", "-1"]])
def test_a_sample_that_makes_no_sense_is_refused(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "s.csv"), *arguments])

    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err
