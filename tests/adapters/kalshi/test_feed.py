"""The market data shell against the simulated venue: what is asked for, and what it says."""

from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest

from adapters.kalshi.simulated.activity import ActivitySettings
from adapters.kalshi.simulated.faults import unknown_type
from adapters.kalshi.simulated.rest_faults import RestFault
from framework.errors import ConfigError, UnknownInstrument, VenueError
from framework.model.events import ConnectionChanged, ConnectionState, ErrorRaised
from framework.model.instrument import InstrumentChanged
from framework.model.market_data import (
    BookDelta,
    BookSnapshot,
    Candle,
    MarketPhase,
    MarketStatus,
    Quote,
    Ticker,
    Trade,
)
from tests.adapters.kalshi.world import (
    BUSY,
    MINUTE_NS,
    NAMES,
    RAIN,
    SNOW,
    X_RAIN,
    X_SNOW,
    World,
    play,
    world,
)

DAY_NS = 86_400_000_000_000
NO_MARKETS = RestFault(kind="refuse", path="/markets", status=404, count=1)


def states(one: World) -> list[ConnectionState]:
    """Return the moves of the feed's link."""
    return [event.state for event in one.heard(ConnectionChanged) if event.link == "feed"]


def errors(one: World, handler: str) -> list[str]:
    """Return what the feed complained of."""
    return [event.error for event in one.heard(ErrorRaised) if event.handler == handler]


def phases(one: World) -> list[MarketPhase]:
    """Return the phases told of."""
    return [status.phase for status in one.heard(MarketStatus)]


def test_subscriptions_before_and_after_the_connection_are_the_same() -> None:
    async def main() -> None:
        async with world(activity=BUSY) as one:
            one.feed.subscribe(X_RAIN, "trades")
            one.run(one.feed)
            await one.until(lambda: states(one)[-1:] == [ConnectionState.STREAMING])
            one.feed.subscribe(X_SNOW, "quotes")
            one.feed.subscribe(X_SNOW, "book")
            await one.until(lambda: one.heard(Trade) and one.heard(Quote) and one.heard(BookDelta))

            assert {trade.instrument for trade in one.heard(Trade)} == {X_RAIN}
            assert {quote.instrument for quote in one.heard(Quote)} == {X_SNOW}
            assert {book.instrument for book in one.heard(BookSnapshot)} == {X_SNOW}
            assert one.feed.statistics()["texts"] > 2
            await one.feed.aclose()
            assert states(one)[-1] is ConnectionState.CLOSED

    play(main)


def test_a_second_market_joins_the_subscription_of_its_channel() -> None:
    async def main() -> None:
        async with world(activity=BUSY) as one:
            one.run(one.feed)
            for name in NAMES[:3]:
                one.feed.subscribe(name, "book")
            await one.until(lambda: len({book.instrument for book in one.heard(BookSnapshot)}) == 3)
            one.feed.unsubscribe(NAMES[0], "book")
            await one.pass_time(1.0)
            before = len(one.context.events)
            await one.pass_time(5.0)

            assert len(one.commands("subscribe")) == 1
            assert {event.instrument for event in one.context.events[before:]} == set(NAMES[1:3])
            for name in NAMES[1:3]:
                one.feed.unsubscribe(name, "book")
            await one.pass_time(1.0)
            assert len(one.commands("unsubscribe")) == 1
            assert not one.venue.control.subscriptions()

    play(main)


def test_each_quiet_market_is_quoted_as_soon_as_it_is_asked_for() -> None:
    async def main() -> None:
        async with world() as one:
            one.run(one.feed)
            for name in (X_RAIN, X_SNOW):
                one.feed.subscribe(name, "quotes")
                await one.pass_time(1.0)

            assert [quote.instrument for quote in one.heard(Quote)] == [X_RAIN, X_SNOW]
            assert {(quote.bid_size, quote.ask_size) for quote in one.heard(Quote)} == {(0.0, 0.0)}

    play(main)


@pytest.mark.parametrize(
    ("channel", "wanted", "unwanted"),
    [("market", Ticker, Quote), ("candles", Candle, Trade), ("quotes", Quote, Ticker)],
)
def test_channels_that_share_a_stream_do_not_bring_each_others_events(
    channel: str, wanted: type, unwanted: type
) -> None:
    async def main() -> None:
        async with world(activity=BUSY) as one:
            one.feed.subscribe(X_RAIN, channel, "1m" if channel == "candles" else "")
            one.run(one.feed)
            await one.until(lambda: one.heard(wanted), within_s=300.0)

            assert not one.heard(unwanted)

    play(main)


def test_taking_back_what_was_never_asked_for_leaves_the_others_alone() -> None:
    async def main() -> None:
        async with world(activity=BUSY) as one:
            one.feed.subscribe(X_RAIN, "trades")
            one.feed.unsubscribe(X_RAIN, "candles", "1m")
            one.feed.unsubscribe(X_RAIN, "book")
            one.run(one.feed)

            await one.until(lambda: one.heard(Trade))

    play(main)


@pytest.mark.parametrize(
    ("instrument", "channel", "interval", "error"),
    [
        ("x:NOPE", "quotes", "", UnknownInstrument),
        (f"y:{RAIN}", "quotes", "", UnknownInstrument),
        (X_RAIN, "dreams", "", VenueError),
        (X_RAIN, "candles", "100t", VenueError),
        (X_RAIN, "candles", "soon", ConfigError),
    ],
)
def test_what_the_venue_does_not_have_is_refused_at_once(
    instrument: str, channel: str, interval: str, error: type[Exception]
) -> None:
    async def main() -> None:
        async with world() as one:
            with pytest.raises(error):
                one.feed.subscribe(instrument, channel, interval)
            one.run(one.feed)
            await one.pass_time(1.0)
            assert not one.commands("subscribe")

    play(main)


def test_streamed_candles_are_whole_and_are_those_of_history() -> None:
    async def main() -> None:
        async with world(activity=BUSY) as one:
            await one.pass_time(30.0)
            one.run(one.feed)
            one.feed.subscribe(X_RAIN, "candles", "1m")
            await one.pass_time(213.0)
            one.feed.unsubscribe(X_RAIN, "candles", "1m")
            await one.pass_time(120.0)
            streamed = one.heard(Candle)
            end_ns = streamed[-1].close_ns
            past = await one.feed.history(X_RAIN, "1m", end_ns=end_ns, limit=3)

            assert len(streamed) == 3
            for told, asked in zip(streamed, past, strict=True):
                assert msgspec.structs.replace(told, time_ns=0, received_ns=0) == (
                    msgspec.structs.replace(asked, time_ns=0, received_ns=0)
                )

    play(main)


def test_a_candle_with_an_outage_in_it_is_not_told_of() -> None:
    async def main() -> None:
        async with world(activity=BUSY) as one:
            one.run(one.feed)
            one.feed.subscribe(X_RAIN, "candles", "1m")
            await one.pass_time(150.0)
            one.loop.network.cut(("kalshi", 8080))
            await one.pass_time(240.0)

            missing = [
                (after.open_ns - before.close_ns) // MINUTE_NS
                for before, after in pairwise(one.heard(Candle))
            ]
            assert sorted(missing) == [0] * (len(missing) - 1) + [1]
            assert len(missing) >= 3

    play(main)


def test_the_venues_own_grid_replaces_what_was_configured() -> None:
    async def main() -> None:
        async with world() as one:
            assert {known.ranges[0].tick for known in one.feed.instruments} == {Decimal("0.01")}
            one.run(one.feed)
            await one.until(lambda: one.heard(InstrumentChanged))
            snow = one.feed.instrument(X_SNOW)

            assert snow is not None
            assert [part.tick for part in snow.ranges] == [
                Decimal("0.001"),
                Decimal("0.01"),
                Decimal("0.001"),
            ]
            assert snow.price("0.955") == Decimal("0.955")
            assert snow.expiry_ns == one.venue.exchange.data.market(SNOW).close_ns
            assert one.feed.instrument(f"y:{SNOW}") is None
            changed = {event.instrument: event.definition for event in one.heard(InstrumentChanged)}
            assert changed[X_SNOW] == snow

    play(main)


def test_a_change_of_grid_or_close_is_learned_from_the_lifecycle() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(X_RAIN, "market")
            one.run(one.feed)
            await one.pass_time(2.0)
            lifecycle = one.venue.exchange.lifecycle
            lifecycle.change_price_structure(RAIN, "deci_cent")
            await one.pass_time(1.0)
            rain = one.feed.instrument(X_RAIN)
            assert rain is not None
            assert rain.tick_at(Decimal("0.5")) == Decimal("0.001")
            lifecycle.change_close(RAIN, one.loop.now_ns + DAY_NS)
            await one.pass_time(1.0)

            assert one.heard(InstrumentChanged)[-1].definition.expiry_ns == (
                one.venue.exchange.data.market(RAIN).close_ns
            )

    play(main)


def test_definitions_that_cannot_be_had_are_asked_for_again() -> None:
    async def main() -> None:
        async with world() as one:
            one.venue.rest.faults.add(
                RestFault(kind="refuse", path="/markets", status=404, count=1)
            )
            one.run(one.feed)
            await one.pass_time(30.0)
            assert not one.heard(InstrumentChanged)
            assert len(errors(one, "market definitions")) == 1
            await one.pass_time(35.0)

            assert one.heard(InstrumentChanged)

    play(main)


def test_a_feed_that_stops_asks_no_more() -> None:
    async def main() -> None:
        async with world() as one:
            one.venue.rest.faults.add(
                RestFault(kind="refuse", path="/markets", status=404, count=1)
            )
            one.run(one.feed)
            await one.pass_time(30.0)
            asked = len(one.venue.rest.received)
            await one.feed.aclose()
            await one.pass_time(120.0)

            assert len(one.venue.rest.received) == asked

    play(main)


def test_a_feed_can_stop_while_it_asks() -> None:
    async def main() -> None:
        async with world() as one:
            delay = RestFault(kind="delay_answer", path="/markets", delay_s=5.0)
            one.venue.rest.faults.add(delay)
            one.run(one.feed)
            await one.pass_time(1.0)
            await one.aclose()
            await one.pass_time(10.0)

            assert not one.heard(InstrumentChanged)
            assert not one.heard(ErrorRaised)

    play(main)


def test_a_market_that_the_venue_does_not_have_is_said() -> None:
    async def main() -> None:
        async with world(markets=[RAIN, "KXNOPE-1"]) as one:
            one.run(one.feed)
            await one.pass_time(2.0)

            (said,) = errors(one, "market definitions")
            assert "KXNOPE-1" in said

    play(main)


def test_the_phase_is_told_at_first_and_when_it_changes() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(X_RAIN, "market")
            one.run(one.feed)
            await one.pass_time(2.0)
            assert phases(one) == [MarketPhase.OPEN]
            lifecycle = one.venue.exchange.lifecycle
            lifecycle.pause(SNOW)  # nobody asked about
            lifecycle.pause(RAIN)
            await one.pass_time(1.0)
            lifecycle.activate(RAIN)
            await one.pass_time(1.0)
            lifecycle.determine(RAIN, "yes")
            await one.pass_time(300.0)

            assert phases(one) == [
                MarketPhase.OPEN,
                MarketPhase.HALTED,
                MarketPhase.OPEN,
                MarketPhase.CLOSED,
                MarketPhase.SETTLED,
            ]
            assert {status.instrument for status in one.heard(MarketStatus)} == {X_RAIN}

    play(main)


def test_who_asks_later_is_told_the_phase_too() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(X_SNOW, "market")
            one.run(one.feed)
            await one.pass_time(2.0)
            one.feed.subscribe(X_RAIN, "market")
            await one.pass_time(1.0)
            assert [status.instrument for status in one.heard(MarketStatus)] == [X_SNOW, X_RAIN]
            one.feed.unsubscribe(X_RAIN, "market")
            one.feed.subscribe(X_RAIN, "market")
            await one.pass_time(1.0)

            assert phases(one) == [MarketPhase.OPEN] * 3

    play(main)


def test_a_pause_during_an_outage_is_told_afterwards() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(X_RAIN, "market")
            one.run(one.feed)
            await one.pass_time(2.0)
            one.loop.network.cut(("kalshi", 8080))
            one.venue.exchange.lifecycle.pause(RAIN)
            await one.until(lambda: phases(one)[-1] is MarketPhase.HALTED)

    play(main)


def test_what_is_unknown_or_broken_is_counted_and_told_of_three_times() -> None:
    """R-45: B19, B21."""

    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(X_RAIN, "trades")
            one.run(one.feed)
            await one.pass_time(1.0)
            for _ in range(5):
                one.venue.control.inject(unknown_type("trade"))
            await one.pass_time(1.0)

            assert errors(one, "unknown_type") == ["unheard_of"] * 3
            assert one.feed.statistics()["fault_unknown_type"] == 5
            assert states(one)[-1] is ConnectionState.STREAMING

    play(main)


def test_what_happens_in_markets_that_are_not_listed_is_nobodys_business() -> None:
    async def main() -> None:
        news = ActivitySettings(news_s=0.2)
        async with world(activity=news, markets=[RAIN]) as one:
            one.feed.subscribe(X_RAIN, "market")
            one.run(one.feed)
            await one.pass_time(20.0)

            assert {status.instrument for status in one.heard(MarketStatus)} == {X_RAIN}
            assert one.feed.statistics()["texts"] > 20

    play(main)


def test_history_that_cannot_be_had_is_an_error() -> None:
    async def main() -> None:
        async with world() as one:
            now_ns = one.loop.now_ns
            with pytest.raises(VenueError):
                await one.feed.history(X_RAIN, "7m", end_ns=now_ns, limit=1)
            with pytest.raises(UnknownInstrument):
                await one.feed.history("x:NOPE", "1m", end_ns=now_ns, limit=1)
            one.venue.rest.faults.add(RestFault(kind="refuse", path="/candlesticks", status=403))
            with pytest.raises(VenueError):
                await one.feed.history(X_RAIN, "1m", end_ns=now_ns, limit=1)

    play(main)
