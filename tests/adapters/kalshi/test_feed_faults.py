"""The market data shell when subscriptions fall silent, end, or are refused."""

from itertools import pairwise

from adapters.kalshi.simulated.faults import (
    Lose,
    RefuseCommands,
    SendError,
    WithholdSnapshots,
)
from adapters.kalshi.simulated.stream_settings import StreamSettings
from framework.model.events import (
    ConnectionChanged,
    DataStale,
    ErrorRaised,
    GapDetected,
    Resynced,
)
from framework.model.market_data import BookSnapshot, Candle, Trade
from tests.adapters.kalshi.test_feed import errors
from tests.adapters.kalshi.world import (
    BUSY,
    NAMES,
    RAIN,
    TICKERS,
    X_RAIN,
    X_SNOW,
    World,
    play,
    world,
)


async def with_book(one: World) -> None:
    """Subscribe to a book that is there."""
    one.feed.subscribe(X_RAIN, "book")
    one.run(one.feed)
    await one.until(lambda: one.heard(BookSnapshot))


def snapshots_asked(one: World) -> int:
    return len(one.commands("update_subscription", action="get_snapshot"))


def test_r42_a_quiet_book_that_answers_is_not_stale() -> None:
    """R-42."""

    async def main() -> None:
        async with world(quiet_s=20.0) as one:
            await with_book(one)
            await one.pass_time(100.0)

            assert 3 <= snapshots_asked(one) <= 5
            assert len(one.commands("subscribe")) == 1
            assert not one.heard(DataStale)
            assert not one.heard(GapDetected)

    play(main)


def test_r42_b12_a_mute_book_is_said_to_be_stale_and_subscribed_anew() -> None:
    """R-42, B12: the connection lives, only the subscription says nothing."""

    async def main() -> None:
        async with world(activity=BUSY, quiet_s=20.0) as one:
            await with_book(one)
            one.venue.control.inject(Lose(channel="orderbook_delta", sid=1, count=None))
            waited_s = await one.until(lambda: one.heard(DataStale), within_s=60.0)
            await one.until(lambda: one.heard(Resynced))

            assert 39.0 <= waited_s <= 46.0
            (stale,) = one.heard(DataStale)
            assert (stale.instrument, stale.stream) == (X_RAIN, "orderbook_delta")
            assert stale.age_ns >= 40 * 10**9
            assert len(one.heard(GapDetected)) == 1
            assert snapshots_asked(one) >= 1
            assert len(one.commands("subscribe")) == 2

    play(main)


def test_a_book_that_has_just_been_subscribed_is_not_old() -> None:
    async def main() -> None:
        async with world(quiet_s=20.0) as one:
            one.venue.control.inject(WithholdSnapshots(for_s=3.0))
            one.feed.subscribe(X_RAIN, "book")
            one.run(one.feed)
            await one.pass_time(25.0)

            assert not one.heard(DataStale)

    play(main)


def test_r41_books_that_are_missing_for_long_are_said_to_be() -> None:
    """R-41: nobody is left to believe that all is well."""

    async def main() -> None:
        async with world(activity=BUSY) as one:
            await with_book(one)
            one.venue.control.inject(WithholdSnapshots(for_s=300.0))
            one.loop.network.cut(("kalshi", 8080))
            await one.pass_time(200.0)
            assert any(RAIN in text for text in errors(one, "books missing"))
            one.venue.control.heal()
            await one.until(lambda: one.heard(Resynced))

            assert len(one.heard(GapDetected)) == 1

    play(main)


def test_a_subscription_that_is_refused_is_said_and_tried_again_in_a_minute() -> None:
    async def main() -> None:
        async with world(activity=BUSY) as one:
            one.venue.control.inject(RefuseCommands(cmd="subscribe", code=11))
            one.feed.subscribe(X_RAIN, "trades")
            one.feed.subscribe(X_SNOW, "trades")
            one.run(one.feed)
            await one.pass_time(50.0)
            assert len(errors(one, "subscription trade")) == 1
            assert not one.heard(Trade)
            one.feed.unsubscribe(X_SNOW, "trades")
            await one.until(lambda: one.heard(Trade), within_s=20.0)

            assert [params.get("market_tickers") for params in one.commands("subscribe")] == [
                [RAIN, TICKERS[6]],
                [RAIN],
            ]

    play(main)


def test_a_feed_that_has_stopped_tries_nothing_again() -> None:
    async def main() -> None:
        async with world() as one:
            one.venue.control.inject(RefuseCommands(cmd="subscribe", code=11))
            one.feed.subscribe(X_RAIN, "trades")
            one.run(one.feed)
            await one.pass_time(2.0)
            await one.feed.aclose()
            await one.pass_time(100.0)

            assert len(one.commands("subscribe")) == 1

    play(main)


def test_a_market_that_cannot_be_added_is_tried_again_in_a_minute() -> None:
    async def main() -> None:
        async with world(activity=BUSY) as one:
            one.feed.subscribe(NAMES[0], "trades")
            one.run(one.feed)
            await one.until(lambda: one.heard(Trade))
            one.venue.control.inject(RefuseCommands(cmd="update_subscription", code=11))
            one.feed.subscribe(NAMES[1], "trades")
            await one.pass_time(50.0)
            assert len(errors(one, "subscription trade")) == 1
            assert {trade.instrument for trade in one.heard(Trade)} == {NAMES[0]}
            await one.until(
                lambda: {trade.instrument for trade in one.heard(Trade)} == set(NAMES[:2])
            )
            one.venue.control.inject(RefuseCommands(cmd="update_subscription", code=11))
            one.feed.unsubscribe(NAMES[1], "trades")  # refused: nothing is to be done about it
            await one.pass_time(70.0)

            assert len(errors(one, "subscription trade")) == 1

    play(main)


def test_a_subscription_that_is_full_gets_a_second_beside_it() -> None:
    """Code 26: the venue does not say how many markets a subscription takes."""

    async def main() -> None:
        venue = {"streams": StreamSettings(most_markets=2)}
        async with world(activity=BUSY, venue=venue) as one:
            one.run(one.feed)
            for name in NAMES[:4]:
                one.feed.subscribe(name, "book")
            wanted = set(NAMES[:4])
            await one.until(lambda: {book.instrument for book in one.heard(BookSnapshot)} == wanted)
            before = len(one.context.events)
            await one.pass_time(5.0)

            assert {event.instrument for event in one.context.events[before:]} == wanted
            assert all(
                len(subscription.market_tickers or ()) <= 2
                for subscription in one.venue.control.subscriptions()
            )

    play(main)


def test_what_the_configuration_says_a_subscription_takes_is_kept() -> None:
    async def main() -> None:
        async with world(activity=BUSY, markets_per_subscription=2) as one:
            one.run(one.feed)
            for name in NAMES[:3]:
                one.feed.subscribe(name, "trades")
            await one.until(
                lambda: {trade.instrument for trade in one.heard(Trade)} == set(NAMES[:3])
            )

            sizes = [len(sub.market_tickers or ()) for sub in one.venue.control.subscriptions()]
            assert sorted(sizes) == [1, 2]

    play(main)


def test_what_the_venue_ends_is_said_and_comes_back() -> None:
    """B12: codes 10 and 25 are the end of a subscription."""

    async def main() -> None:
        async with world(activity=BUSY) as one:
            one.feed.subscribe(X_RAIN, "trades")
            one.feed.subscribe(X_RAIN, "candles", "1m")
            one.feed.subscribe(X_RAIN, "book")
            one.run(one.feed)
            await one.pass_time(70.0)
            assert len(one.heard(Candle)) == 1
            for channel in ("trade", "orderbook_delta"):
                one.venue.control.inject(SendError(code=25, channel=channel))
            await one.pass_time(10.0)
            assert len(errors(one, "subscription interrupted")) == 2
            assert len(one.heard(Resynced)) == 1
            await one.pass_time(110.0)

            opened = [candle.open_ns for candle in one.heard(Candle)]
            assert len(opened) == 2  # none with a hole in it
            assert opened[1] - opened[0] == 120 * 10**9
            assert len({event.state for event in one.heard(ConnectionChanged)}) == 3

    play(main)


def test_lost_trades_are_said_and_spoil_their_candle() -> None:
    async def main() -> None:
        async with world(activity=BUSY) as one:
            one.feed.subscribe(X_RAIN, "candles", "1m")
            one.run(one.feed)
            await one.pass_time(90.0)
            one.venue.control.inject(Lose(channel="trade", count=1))
            await one.pass_time(160.0)

            opened = [candle.open_ns for candle in one.heard(Candle)]
            assert [(b - a) // (60 * 10**9) for a, b in pairwise(opened)] == [2, 1]
            assert errors(one, "trade") == ["trades are missing"]

    play(main)


def test_lost_frames_of_other_streams_are_nothing_to_say() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(X_RAIN, "market")
            one.run(one.feed)
            await one.pass_time(1.0)
            one.venue.control.inject(Lose(channel="market_lifecycle_v2", count=1))
            for step in (one.venue.exchange.lifecycle.pause, one.venue.exchange.lifecycle.activate):
                step(RAIN)
                await one.pass_time(1.0)

            assert not one.heard(ErrorRaised)

    play(main)


def test_a_resting_order_moves_the_book_on_its_side() -> None:
    """F-17: a yes bid is a bid, a no bid at q an ask at 1 - q."""

    async def main() -> None:
        async with world() as one:
            await with_book(one)
            one.rest(True, 40, 5)
            one.rest(False, 60, 7)
            await one.pass_time(1.0)

            bid, ask = [
                event for event in one.context.events if type(event).__name__ == "BookDelta"
            ]
            assert (bid.bids, bid.asks) == (((0.4, 5.0),), ())
            assert (ask.bids, ask.asks) == ((), ((0.6, 7.0),))
            assert (bid.first_sequence, ask.sequence) == (2, 3)

    play(main)
