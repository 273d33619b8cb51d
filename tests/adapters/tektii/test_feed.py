"""Market data of scripted gateways."""

from itertools import pairwise
from typing import Any

import pytest

from adapters.tektii import build
from adapters.tektii.words import time_text
from framework.errors import ConfigError, UnknownInstrument, VenueError
from framework.interfaces import FindsInstruments, RecoversBooks
from framework.model.events import (
    ConnectionChanged,
    ConnectionState,
    DataStale,
    ErrorRaised,
    GapDetected,
    RateLimited,
    Resynced,
)
from framework.model.market_data import Candle, Quote
from tests.adapters.mock.seams import HandContext
from tests.adapters.tektii.scripted_gateway import AAPL, EURUSD, World, play, world

MINUTE_NS = 60_000_000_000


def quote(one: World, bid: str = "149.9", symbol: str = "AAPL") -> dict[str, Any]:
    told = {"symbol": symbol, "bid": bid, "ask": "150.1", "bid_size": "1", "ask_size": "2"}
    return {"type": "quote", "quote": {**told, "timestamp": one.gateway.now}}


def candle(one: World, ago: int = 1, *, timeframe: str = "1m", close: str = "2") -> dict[str, Any]:
    """Return a frame of the minute that began so many minutes ago."""
    opened = one.loop.now_ns // MINUTE_NS * MINUTE_NS - ago * MINUTE_NS
    return {
        "type": "candle",
        "bar": bar(opened, close, timeframe=timeframe),
        "timestamp": one.gateway.now,
    }


def bar(open_ns: int, close: str = "2", **said: Any) -> dict[str, Any]:
    prices = {"open": "2", "high": "3", "low": "1", "close": close, "volume": "5"}
    return {"symbol": "AAPL", "timeframe": "1m", "timestamp": time_text(open_ns), **prices, **said}


def test_quotes_that_are_wanted_come() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(AAPL, "quotes")
            await one.ready(one.feed)
            await one.gateway.tell(quote(one))
            await one.gateway.tell(quote(one, symbol="EUR/USD"))
            await one.gateway.tell(quote(one, symbol="OTHER"))
            await one.pass_time(1)
            one.feed.unsubscribe(AAPL, "quotes")
            one.feed.unsubscribe(AAPL, "quotes")
            await one.gateway.tell(quote(one))
            await one.pass_time(1)

            assert [(q.instrument, q.bid, q.ask_size) for q in one.heard(Quote)] == [
                (AAPL, 149.9, 2.0)
            ]
            assert len(one.gateway.said) == 4

    play(main)


def test_r45_a_quote_that_cannot_be_is_counted_and_acknowledged() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(AAPL, "quotes")
            await one.ready(one.feed)
            for bid in ("NaN", "151", "-1"):
                await one.gateway.tell({**quote(one, bid), "event_id": bid})
            await one.gateway.tell(quote(one))
            await one.pass_time(1)

            assert one.feed.statistics()["malformed"] == 3
            assert len(one.heard(Quote)) == 1
            assert len(one.heard(ErrorRaised)) == 1
            assert [said["events_processed"] for said in one.gateway.said] == [
                ["NaN"],
                ["151"],
                ["-1"],
                [],
            ]

    play(main)


def test_the_end_of_a_run_is_acknowledged_after_all_before_it() -> None:
    """20.6, 12.2: the engine waits for it."""

    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(AAPL, "quotes")
            await one.ready(one.feed)
            await one.gateway.tell({**quote(one), "event_id": "evt-1"})
            await one.gateway.tell({**quote(one), "event_id": "evt-1"})
            await one.gateway.tell({"type": "backtest_complete", "event_id": "evt-2"})
            await one.until(lambda: len(one.gateway.said) == 3)

            acked = [said["events_processed"] for said in one.gateway.said]
            assert acked == [["evt-1"], ["evt-1"], ["evt-2"]]
            assert len(one.heard(Quote)) == 1

    play(main)


def test_candles_are_told_closed_once_and_in_order() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(AAPL, "candles", "1m")
            await one.ready(one.feed)
            for frame in (
                candle(one, 2),
                candle(one, 0, close="1.5"),
                candle(one, 1),
                candle(one, 1),
                candle(one, 2),
                candle(one, 0, close="2.5"),
                candle(one, 10, timeframe="5m"),
            ):
                await one.gateway.tell(frame)
            await one.pass_time(1)

            told = [(c.is_closed, c.close) for c in one.heard(Candle)]
            assert told == [(True, 2.0), (False, 1.5), (True, 2.0), (False, 2.5)]
            assert one.feed.statistics()["old_candles"] == 2

    play(main)


def test_one_more_wish_costs_one_new_connection_however_many_come_together() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(AAPL, "quotes")
            await one.ready(one.feed)
            assert '"events":["quote","candle_1m"]' in one.gateway.queries[0]["subscriptions"]
            one.feed.subscribe(AAPL, "candles", "1m")
            await one.pass_time(5)
            assert len(one.gateway.queries) == 1

            one.feed.subscribe(AAPL, "candles", "5m")
            one.feed.subscribe(EURUSD, "candles", "1h")
            await one.pass_time(10)

            assert len(one.gateway.queries) == 2
            asked = one.gateway.queries[1]["subscriptions"]
            assert '"events":["quote","candle_1m","candle_5m","candle_1h"]' in asked
            assert '"instrument":"EUR/USD"' in asked
            assert one.feed.statistics()["renewals"] == 1

    play(main)


def test_too_many_instruments_for_a_url_ask_for_everything() -> None:
    async def main() -> None:
        async with world() as one:
            one.gateway.quotes = {f"S{n}": {"symbol": f"S{n}"} for n in range(60)}
            for number in range(60):
                assert await one.feed.find_instrument(f"x:S{number}") is not None
            await one.ready(one.feed)
            one.feed.subscribe("x:S7", "candles", "1w")
            await one.pass_time(5)

            (query,) = one.gateway.queries
            assert '"instrument":"*"' in query["subscriptions"]
            assert len(one.feed.instruments) == 62

    play(main)


def test_instruments_are_found_by_their_quote() -> None:
    async def main() -> None:
        async with world(currency="EUR") as one:
            assert isinstance(one.feed, FindsInstruments)
            assert not isinstance(one.feed, RecoversBooks)
            one.gateway.quotes["BTC/USD"] = {"symbol": "BTC/USD"}
            with pytest.raises(UnknownInstrument):
                one.feed.subscribe("x:BTC/USD", "quotes")
            found = await one.feed.find_instrument("x:BTC/USD")
            again = await one.feed.find_instrument("x:BTC/USD")
            one.feed.subscribe("x:BTC/USD", "quotes")

            assert found is not None
            assert again is found
            assert found.currency == "EUR"
            assert "GET /v1/quotes/BTC%2FUSD" in one.gateway.calls
            assert await one.feed.find_instrument("x:NOTHING") is None
            assert await one.feed.find_instrument("other:AAPL") is None
            assert await one.feed.find_instrument("x") is None
            one.gateway.answers["GET", "/v1/quotes/DOWN"] = [(500, None)] * 9
            with pytest.raises(VenueError):
                await one.feed.find_instrument("x:DOWN")

    play(main)


@pytest.mark.parametrize(
    ("channel", "interval"), [("book", ""), ("trades", ""), ("candles", "3m"), ("candles", "")]
)
def test_what_the_protocol_does_not_have_is_refused(channel: str, interval: str) -> None:
    async def main() -> None:
        async with world() as one:
            with pytest.raises(VenueError):
                one.feed.subscribe(AAPL, channel, interval)

    play(main)


def test_r41_a_gap_is_told_of_everything_that_is_wanted() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(AAPL, "quotes")
            one.feed.subscribe(AAPL, "candles", "1m")
            await one.ready(one.feed)
            await one.gateway.tell({**quote(one), "seq": 1, "epoch": "e"})
            await one.gateway.tell({**quote(one), "seq": 4, "epoch": "e"})
            await one.pass_time(1)

            gaps = [(g.stream, g.expected, g.received) for g in one.heard(GapDetected)]
            assert gaps == [("quotes", 2, 4), ("candles 1m", 2, 4)]
            assert [r.stream for r in one.heard(Resynced)] == ["quotes", "candles 1m"]
            assert len(one.heard(Quote)) == 2

    play(main)


def test_r42_silence_is_told_and_the_feed_connects_anew() -> None:
    async def main() -> None:
        async with world(silence_s=20.0) as one:
            one.feed.subscribe(AAPL, "quotes")
            await one.ready(one.feed)
            await one.pass_time(60)
            assert len(one.gateway.queries) == 1  # there never was any data

            await one.gateway.tell(quote(one))
            await one.pass_time(25)
            assert [s.instrument for s in one.heard(DataStale)] == [AAPL]
            assert len(one.gateway.queries) == 2
            await one.pass_time(30)
            assert len(one.gateway.queries) == 2  # the second time it waits longer

            await one.gateway.tell(quote(one))
            await one.pass_time(1)
            assert [s.instrument for s in one.heard(Resynced)] == [AAPL]
            one.feed.unsubscribe(AAPL, "quotes")
            await one.pass_time(600)
            assert len(one.gateway.queries) == 2

    play(main)


# -- what the gateway says of itself ---------------------------------------------------------------


def platform(one: World) -> list[ConnectionState]:
    return [e.state for e in one.heard(ConnectionChanged) if e.link == "platform"]


UP = [ConnectionState.CONNECTING, ConnectionState.CONNECTED, ConnectionState.STREAMING]
DOWN = ConnectionState.RECONNECTING


def test_the_platform_behind_is_a_link_of_its_own() -> None:
    """13: the core compares everything once it is back."""

    async def main() -> None:
        async with world() as one:
            await one.ready(one.feed, one.broker)
            assert platform(one) == UP
            for event in ("BROKER_DISCONNECTED", "RECONNECTING", "NEWS"):
                await one.gateway.tell({"type": "connection", "event": event})
            await one.pass_time(1)
            assert platform(one) == [*UP, DOWN]
            back = {"type": "connection", "event": "BROKER_RECONNECTED", "gap_duration_ms": 42}
            await one.gateway.tell(back)
            await one.pass_time(1)
            assert platform(one) == [*UP, DOWN, *UP]
            failed = {"event": "BROKER_CONNECTION_FAILED", "broker": "mock", "error": "no"}
            await one.gateway.tell({"type": "connection", **failed})
            await one.gateway.tell({"type": "connection", "event": "DISCONNECTING"})
            await one.pass_time(1)

            assert platform(one)[-1] is DOWN
            assert [e.handler for e in one.heard(ErrorRaised)] == [
                "BROKER_CONNECTION_FAILED",
                "DISCONNECTING",
            ]

    play(main)


def test_a_platform_that_health_calls_gone_is_gone_until_it_is_told_otherwise() -> None:
    async def main() -> None:
        async with world(account="") as one:
            assert one.maybe_broker is None
            one.gateway.health = {"providers": [{"connected": False}]}
            await one.ready(one.feed)
            assert platform(one) == [DOWN]
            await one.gateway.tell({"type": "connection", "event": "CONNECTED"})
            await one.pass_time(1)
            assert platform(one) == [DOWN, *UP]
            await one.gateway.close_streams()
            await one.pass_time(5)
            assert platform(one) == [DOWN, *UP, DOWN]

    play(main)


def test_staleness_is_told_per_instrument() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready(one.feed, one.broker)
            since = time_text(one.loop.now_ns - 5_000_000_000)
            stale = {"type": "data_staleness", "event": "STALE", "stale_since": since}
            await one.gateway.tell({**stale, "symbols": ["AAPL", "EUR/USD", None]})
            await one.gateway.tell({**stale, "symbols": None, "event": "THAWED"})
            await one.pass_time(1)
            fresh = {"type": "data_staleness", "event": "FRESH", "symbols": ["AAPL", "OTHER"]}
            await one.gateway.tell(fresh)
            await one.pass_time(1)

            stales = one.heard(DataStale)
            assert [s.instrument for s in stales] == [AAPL, EURUSD]
            assert 5e9 <= stales[0].age_ns <= 6e9
            assert [r.instrument for r in one.heard(Resynced)] == [AAPL]

    play(main)


def test_limits_warnings_and_errors_are_told_once() -> None:
    async def main() -> None:
        async with world() as one:
            await one.ready(one.feed, one.broker)
            reset = time_text(one.loop.now_ns + 30_000_000_000)
            hit = {"type": "rate_limit", "event": "RATE_LIMIT_HIT"}
            await one.gateway.tell({**hit, "reset_at": reset})
            await one.gateway.tell(hit)
            await one.gateway.tell({**hit, "event": "RATE_LIMIT_WARNING"})
            unprotected = {
                "code": "POSITION_UNPROTECTED",
                "message": "no stop",
                "details": {"a": 1},
            }
            await one.gateway.tell({"type": "error", **unprotected})
            await one.gateway.tell({"type": "error", "code": None})
            margin = {"equity": "97510.40"}
            await one.gateway.tell({"type": "account", "event": "MARGIN_CALL", "account": margin})
            await one.gateway.tell({"type": "account", "event": "MARGIN_WARNING"})
            await one.gateway.tell({"type": "account", "event": "BALANCE_UPDATED"})
            await one.pass_time(1)

            pauses = [r.retry_after_ns / 1e9 for r in one.heard(RateLimited)]
            assert pauses == [pytest.approx(30, abs=0.1), 60.0]
            errors = [(e.handler, e.error) for e in one.heard(ErrorRaised)]
            assert [name for name, _ in errors] == [
                "POSITION_UNPROTECTED",
                "UNKNOWN",
                "MARGIN_CALL",
                "MARGIN_WARNING",
            ]
            assert "no stop" in errors[0][1]
            assert "97510.40" in errors[2][1]

    play(main)


# -- history ---------------------------------------------------------------------------------------


def filled_with_bars(one: World, count: int, *, without: tuple[int, ...] = ()) -> int:
    """Give the gateway so many minutes; return when the newest closed."""
    end_ns = one.loop.now_ns // MINUTE_NS * MINUTE_NS
    one.gateway.bars = [
        bar(end_ns - ago * MINUTE_NS) for ago in range(count, -1, -1) if ago not in without
    ]
    return end_ns


@pytest.mark.parametrize("count", [3, 1_000, 2_300])
def test_history_is_read_page_by_page(count: int) -> None:
    async def main() -> None:
        async with world() as one:
            end_ns = filled_with_bars(one, 3_000)
            found = await one.feed.history(AAPL, "1m", end_ns=end_ns, limit=count)
            late = await one.feed.history(AAPL, "1m", end_ns=end_ns + 30_000_000_000, limit=2)

            assert len(found) == count
            assert found[-1].close_ns == late[-1].close_ns == end_ns
            assert all(a.close_ns == b.open_ns for a, b in pairwise(found))
            assert all(one.is_closed for one in found)

    play(main)


def test_history_ends_where_the_gateway_has_no_more() -> None:
    async def main() -> None:
        async with world() as one:
            end_ns = filled_with_bars(one, 5)
            assert len(await one.feed.history(AAPL, "1m", end_ns=end_ns, limit=50)) == 5
            one.gateway.obeys_filters = False
            assert len(await one.feed.history(AAPL, "1m", end_ns=end_ns, limit=50)) == 5
            assert await one.feed.history(AAPL, "1m", end_ns=end_ns, limit=0) == []
            with pytest.raises(UnknownInstrument):
                await one.feed.history("x:OTHER", "1m", end_ns=end_ns, limit=1)

    play(main)


def test_a_minute_without_a_trade_is_flat_at_the_last_price() -> None:
    async def main() -> None:
        async with world() as one:
            end_ns = filled_with_bars(one, 10, without=(4, 5))
            found = await one.feed.history(AAPL, "1m", end_ns=end_ns, limit=9)

            assert [c.volume for c in found] == [5.0] * 4 + [0.0] * 2 + [5.0] * 3
            flat = found[4]
            assert (flat.open, flat.high, flat.low, flat.close) == (2.0, 2.0, 2.0, 2.0)

    play(main)


def test_a_market_that_was_closed_for_long_leaves_a_hole() -> None:
    async def main() -> None:
        async with world() as one:
            end_ns = filled_with_bars(one, 2_000, without=tuple(range(5, 1_900)))
            found = await one.feed.history(AAPL, "1m", end_ns=end_ns, limit=10)

            assert [c.volume for c in found] == [5.0] * 10
            assert found[-1].close_ns - found[0].open_ns > 1_800 * MINUTE_NS

    play(main)


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "instruments", "key"),
    [
        ({"url": "ftp://there"}, [], "settings.url"),
        ({"url": "http://there?key=1"}, [], "settings.url"),
        ({"order_types": []}, [], "settings.order_types"),
        ({"timeframes": ["3m"]}, [], "settings.timeframes[0]"),
        ({"nonsense": 1}, [], "settings.nonsense"),
        ({}, [{"symbol": "A"}, {"symbol": "A"}], "instruments[1].symbol"),
        ({}, [{"symbol": "A", "tick": "-1"}], "instruments[0].tick"),
    ],
)
def test_settings_that_make_no_sense_name_their_place(
    settings: dict[str, Any], instruments: list[dict[str, str]], key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build({"settings": settings, "instruments": instruments}, HandContext())

    assert caught.value.key == key


def test_a_configuration_is_checked_without_a_connection_or_a_loop() -> None:
    adapter = build({"settings": {"account": "main"}}, HandContext())

    assert adapter.feed is not None
    assert adapter.feed.instruments == ()
    assert adapter.broker is not None
