"""Candles of the tape: whole ones, on time, or none."""

import pytest

from adapters.kalshi.trade_candles import TradeCandles
from framework.errors import ConfigError, VenueError
from framework.model.market_data import Aggressor, Candle, Trade
from tests.fakes import ManualClock

MINUTE_NS = 60_000_000_000
START_NS = 100 * MINUTE_NS


class Tape:
    """The candles and a clock that is turned by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock(START_NS)
        self.told: list[Candle] = []
        self.candles = TradeCandles(self.clock, self.told.append)

    def trade(self, price: float, instrument: str = "x:A") -> None:
        now_ns = self.clock.now_ns
        trade = Trade(instrument, now_ns, now_ns, price, 2.0, Aggressor.BUYER, str(now_ns))
        self.candles.on_trade(trade)

    def wait(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns + round(seconds * 1e9))

    @property
    def minutes(self) -> list[int]:
        return [(candle.open_ns - START_NS) // MINUTE_NS for candle in self.told]


def begun(*intervals: str) -> Tape:
    tape = Tape()
    for interval in intervals or ("1m",):
        tape.candles.begin("x:A", interval)
    tape.candles.resume()
    return tape


def test_a_candle_comes_at_its_end_and_a_quiet_minute_is_flat() -> None:
    tape = begun()
    tape.trade(0.4)
    tape.wait(10)
    tape.trade(0.5)
    tape.wait(49)
    assert not tape.told
    tape.wait(2)
    (candle,) = tape.told
    assert (candle.open, candle.high, candle.low, candle.close) == (0.4, 0.5, 0.4, 0.5)
    assert (candle.volume, candle.is_closed) == (4.0, True)
    tape.wait(60)

    assert (tape.told[1].open, tape.told[1].volume) == (0.5, 0.0)
    assert tape.minutes == [0, 1]


def test_several_intervals_live_side_by_side() -> None:
    tape = begun("1m", "2m")
    tape.trade(0.4)
    tape.trade(0.9, "x:B")
    tape.wait(121)

    assert sorted(candle.interval for candle in tape.told) == ["1m", "1m", "2m"]
    assert {candle.instrument for candle in tape.told} == {"x:A"}
    tape.candles.end("x:A", "1m")
    tape.wait(120)
    assert [candle.interval for candle in tape.told[3:]] == ["2m"]


def test_the_candle_in_which_it_began_is_not_whole() -> None:
    tape = Tape()
    tape.candles.resume()
    tape.wait(30)
    tape.candles.begin("x:A", "1m")
    tape.trade(0.4)
    tape.wait(91)

    assert tape.minutes == [1]


def test_nothing_is_told_while_trades_are_missing() -> None:
    tape = begun()
    tape.trade(0.4)
    tape.wait(70)
    tape.candles.lose()
    tape.wait(120)
    tape.candles.resume()
    tape.trade(0.6)
    tape.wait(120)

    assert tape.minutes == [0, 4]


def test_a_trade_of_the_next_minute_closes_the_candle_before_the_timer_does() -> None:
    tape = begun()
    tape.trade(0.4)
    tape.wait(60.1)
    assert not tape.told  # trades may be on their way
    tape.trade(0.5)

    assert tape.minutes == [0]


def test_what_has_ended_says_nothing_more() -> None:
    tape = begun("1m", "2m")
    tape.trade(0.4)
    tape.candles.close()
    tape.candles.end("x:A", "1m")
    tape.wait(300)

    assert not tape.told


@pytest.mark.parametrize(("interval", "error"), [("100t", VenueError), ("soon", ConfigError)])
def test_intervals_that_are_no_time_are_refused(interval: str, error: type[Exception]) -> None:
    tape = Tape()
    with pytest.raises(error):
        tape.candles.begin("x:A", interval)
    tape.trade(0.4)

    assert not tape.told
