"""The market data shell against the simulated venue."""

from itertools import pairwise
from typing import Any

import pytest

from adapters.binance import build
from adapters.binance.simulated.faults import Fate, RestFault, StreamFaults
from adapters.binance.simulated.rig import ADDRESS, BinanceRig
from framework.adapter_kit.rig import Fault
from framework.adapter_kit.stage import Stage, staged
from framework.errors import UnknownInstrument, VenueError
from framework.model.events import (
    ConnectionChanged,
    ConnectionState,
    DataStale,
    ErrorRaised,
    Resynced,
)
from framework.model.instrument import InstrumentChanged
from framework.model.market_data import (
    BookDelta,
    BookSnapshot,
    Candle,
    MarketPhase,
    MarketStatus,
    Quote,
    Trade,
)
from framework.simulation.link import LinkFaults
from framework.simulation.loop import run_simulated
from tests.adapters.binance.world import BTC, ETH, START_NS, World, play, world

MINUTE_NS = 60_000_000_000
LOST_SNAPSHOT = RestFault(method="GET", path="/depth", kind="lose_answer")
STREAMING = ConnectionState.STREAMING


def states(one: World) -> list[ConnectionState]:
    """Return the moves of the feed's link."""
    return [event.state for event in one.heard(ConnectionChanged) if event.link == "feed"]


def test_subscriptions_before_and_after_the_connection_are_the_same() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(BTC, "trades")
            one.run(one.feed)
            await one.until(lambda: states(one)[-1:] == [STREAMING])
            one.feed.subscribe(ETH, "quotes")
            await one.until(lambda: one.heard(Trade) and one.heard(Quote))

            assert {trade.instrument for trade in one.heard(Trade)} == {BTC}
            assert {quote.instrument for quote in one.heard(Quote)} == {ETH}
            assert one.feed.statistics()["texts"] > 2

    play(main)


def test_a_feed_that_nobody_asks_anything_streams_nothing() -> None:
    async def main() -> None:
        async with world() as one:
            one.run(one.feed)
            await one.pass_time(60.0)

            assert states(one)[-1] is STREAMING
            assert not one.heard(Trade)

    play(main)


@pytest.mark.parametrize(
    ("instrument", "channel", "interval", "error"),
    [
        ("x:NOPE", "quotes", "", UnknownInstrument),
        (BTC, "dreams", "", VenueError),
        (BTC, "candles", "7m", VenueError),
    ],
)
def test_what_the_venue_does_not_have_is_refused_at_once(
    instrument: str, channel: str, interval: str, error: type[Exception]
) -> None:
    async def main() -> None:
        async with world() as one:
            with pytest.raises(error):
                one.feed.subscribe(instrument, channel, interval)

    play(main)


def test_candles_form_close_and_join_history_without_a_seam() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(BTC, "candles", "1m")
            one.run(one.feed)
            await one.until(
                lambda: sum(candle.is_closed for candle in one.heard(Candle)) == 2, within_s=200.0
            )
            streamed = [candle for candle in one.heard(Candle) if candle.is_closed]
            end_ns = streamed[-1].close_ns
            past = await one.feed.history(BTC, "1m", end_ns=end_ns, limit=2)

            assert any(not candle.is_closed for candle in one.heard(Candle))
            for told, asked in zip(streamed, past, strict=True):
                assert (told.open_ns, told.close_ns) == (asked.open_ns, asked.close_ns)
                assert (told.open, told.close, told.volume) == (
                    asked.open,
                    asked.close,
                    asked.volume,
                )

    play(main)


def test_history_goes_beyond_one_page_and_ends_before_the_end() -> None:
    async def main() -> None:
        async with world() as one:
            end_ns = START_NS // MINUTE_NS * MINUTE_NS - 30_000_000_000  # within a candle
            candles = await one.feed.history(BTC, "1m", end_ns=end_ns, limit=2_345)
            longer = await one.feed.history(BTC, "5m", end_ns=START_NS, limit=3)

            assert len(candles) == 2_345
            assert all(b.open_ns == a.close_ns for a, b in pairwise(candles))
            assert end_ns - MINUTE_NS < candles[-1].close_ns <= end_ns
            assert [c.close_ns - c.open_ns for c in longer] == [5 * MINUTE_NS] * 3

    play(main)


def test_history_ends_where_the_venues_does_and_never_holds_a_forming_candle() -> None:
    async def main() -> None:
        async with world() as one:
            candles = await one.feed.history(BTC, "1m", end_ns=START_NS + MINUTE_NS, limit=5_000)
            none = await one.feed.history(BTC, "1m", end_ns=START_NS, limit=0)

            assert len(candles) == 3_000
            assert candles[-1].close_ns <= START_NS
            assert none == []
            with pytest.raises(VenueError):
                await one.feed.history(BTC, "7m", end_ns=START_NS, limit=1)

    play(main)


def test_a_refused_stream_is_told_and_does_not_cost_the_others() -> None:
    """K54: each subscription by itself; F-08."""

    async def main() -> None:
        async with world() as one:
            one.venue.faults.stream = StreamFaults(refused=frozenset({"ethusdt@trade"}))
            for instrument in (BTC, ETH):
                one.feed.subscribe(instrument, "trades")
            one.run(one.feed)
            await one.until(lambda: one.heard(Trade) and one.heard(ErrorRaised))

            (told,) = one.heard(ErrorRaised)
            assert told.handler == "ethusdt@trade"
            assert "no stream" in told.error
            assert states(one)[-1] is STREAMING

    play(main)


def test_r43_after_a_break_everything_is_subscribed_again() -> None:
    """R-43, F-08."""

    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(BTC, "trades")
            one.feed.subscribe(ETH, "candles", "5m")
            one.run(one.feed)
            await one.until(lambda: states(one)[-1:] == [STREAMING])
            before = one.venue.streams.subscriptions()
            for _ in range(5):
                one.loop.network.cut(ADDRESS)
                await one.pass_time(1.0)
                await one.until(lambda: states(one)[-1] is STREAMING)

            assert one.venue.streams.subscriptions() == before
            assert len(before) == 2
            assert len(one.venue.streams) == 1

    play(main)


def test_a_connection_that_the_venue_keeps_for_so_long_ends_and_the_feed_does_not() -> None:
    """A day at the venue itself, an hour here."""

    async def main() -> None:
        async with world(venue={"longest_s": 3_600.0}) as one:
            one.venue.pause()
            one.feed.subscribe(BTC, "trades")
            one.run(one.feed)
            await one.pass_time(3_660.0)

            assert states(one).count(STREAMING) == 2
            assert one.venue.streams.subscriptions() == ["btcusdt@trade"]

    play(main)


def test_an_announced_shutdown_is_not_waited_for() -> None:
    async def main() -> None:
        async with world() as one:
            one.run(one.feed)
            await one.until(lambda: states(one)[-1:] == [STREAMING])
            one.venue.streams.announce_shutdown()
            await one.until(lambda: states(one).count(STREAMING) == 2)
            one.venue.streams.close_all()
            await one.until(lambda: states(one).count(STREAMING) == 3)

    play(main)


def test_r42_a_mute_link_is_given_up_within_twice_the_heartbeat() -> None:
    """R-42, F-06: by data; the venue still answers pings."""

    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(BTC, "quotes")
            one.run(one.feed)
            await one.until(lambda: one.heard(Quote))
            one.venue.faults.stream = StreamFaults(is_mute=True)

            def is_given_up() -> bool:
                return states(one)[-1] is ConnectionState.RECONNECTING

            assert await one.until(is_given_up, within_s=41.0) <= 40.0

    play(main)


def test_r42_a_half_open_link_is_found_and_replaced() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(BTC, "quotes")
            one.run(one.feed)
            await one.until(lambda: one.heard(Quote))
            one.loop.network.set_faults(ADDRESS, LinkFaults(half_open=True))
            await one.pass_time(60.0)
            one.loop.network.set_faults(ADDRESS, LinkFaults())
            count = len(one.heard(Quote))
            await one.until(lambda: len(one.heard(Quote)) > count, within_s=90.0)

    play(main)


def test_r42_a_quiet_stream_on_a_living_link_is_told_and_renewed() -> None:
    """R-42, F-06: only the stream itself shows that it has died."""

    async def main() -> None:
        async with world(stale_s=20.0) as one:
            one.feed.subscribe(BTC, "quotes")
            one.run(one.feed)
            await one.until(lambda: one.heard(Quote))
            one.venue.pause()
            await one.until(lambda: one.heard(DataStale), within_s=25.0)
            (stale,) = one.heard(DataStale)
            await one.pass_time(60.0)
            one.venue.resume()
            await one.until(lambda: one.heard(Resynced), within_s=10.0)

            assert (stale.instrument, stale.stream) == (BTC, "btcusdt@bookTicker")
            assert stale.age_ns == 20_000_000_000
            assert len(one.heard(DataStale)) == 1  # once, however long it lasts
            assert states(one).count(STREAMING) == 1

    play(main)


def test_a_stale_stream_that_nobody_wants_any_more_misleads_nobody() -> None:
    async def main() -> None:
        async with world(stale_s=20.0) as one:
            one.feed.subscribe(BTC, "book")
            one.run(one.feed)
            await one.until(lambda: one.heard(BookDelta))
            one.venue.pause()
            await one.until(lambda: one.heard(DataStale), within_s=25.0)
            one.feed.unsubscribe(BTC, "book")

            assert len(one.heard(Resynced)) == 1
            await one.pass_time(60.0)
            assert len(one.heard(DataStale)) == 1

    play(main)


def test_what_was_on_its_way_when_the_last_reader_left_is_not_waited_for() -> None:
    async def main() -> None:
        async with world(stale_s=5.0) as one:
            latency = LinkFaults(latency_ms_low=300.0, latency_ms_high=300.0)
            one.loop.network.set_faults(ADDRESS, latency)
            one.feed.subscribe(BTC, "quotes")
            one.run(one.feed)
            await one.until(lambda: one.heard(Quote))
            one.feed.unsubscribe(BTC, "quotes")
            count = len(one.heard(Quote))
            await one.pass_time(60.0)

            assert len(one.heard(Quote)) > count
            assert not one.heard(DataStale)

    play(main)


def test_without_a_limit_nothing_is_ever_stale() -> None:
    async def main() -> None:
        async with world(stale_s=0.0) as one:
            one.feed.subscribe(BTC, "quotes")
            one.run(one.feed)
            await one.until(lambda: one.heard(Quote))
            one.venue.pause()
            await one.pass_time(600.0)

            assert not one.heard(DataStale)

    play(main)


def test_the_venues_rules_replace_the_configured_ones_and_a_halt_is_told() -> None:
    async def main() -> None:
        async with world() as one:
            one.venue.rest.statuses["ETHUSDT"] = "BREAK"
            one.run(one.feed)
            await one.until(lambda: len(one.heard(InstrumentChanged)) == 2)

            definitions = {
                event.instrument: event.definition for event in one.heard(InstrumentChanged)
            }
            assert str(definitions[BTC].maximum_quantity) == "9000"
            assert {i.id: i for i in one.feed.instruments} == definitions
            (status,) = one.heard(MarketStatus)
            assert (status.instrument, status.phase) == (ETH, MarketPhase.HALTED)
            assert status.reason == "BREAK"

    play(main)


def test_rules_that_cannot_be_had_leave_what_is_known() -> None:
    async def main() -> None:
        async with world() as one:
            one.venue.faults.failing.add(("GET", "/exchangeInfo"))
            one.run(one.feed)
            await one.pass_time(10.0)

            assert not one.heard(InstrumentChanged)
            assert [instrument.id for instrument in one.feed.instruments] == [BTC, ETH]

    play(main)


def test_a_snapshot_is_asked_for_only_while_events_come() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.request_snapshot(BTC)
            one.run(one.feed)
            await one.until(lambda: states(one)[-1:] == [STREAMING])
            one.feed.request_snapshot(BTC)
            await one.pass_time(5.0)
            assert not one.heard(BookSnapshot)

            one.feed.subscribe(BTC, "book")
            await one.until(lambda: one.heard(BookDelta))
            for _ in range(3):
                one.feed.request_snapshot(BTC)
            await one.pass_time(5.0)

            (snapshot,) = one.heard(BookSnapshot)
            assert snapshot.instrument == BTC
            assert snapshot.bids[0][0] < snapshot.asks[0][0]
            assert one.venue.rest.counts["GET", "/depth"] == 1

    play(main)


def test_a_snapshot_of_before_a_break_is_not_told() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(BTC, "book")
            one.run(one.feed)
            await one.until(lambda: one.heard(BookDelta))
            one.loop.network.set_faults(
                ADDRESS, LinkFaults(latency_ms_low=200.0, latency_ms_high=200.0)
            )
            one.feed.request_snapshot(BTC)
            one.feed.reconnect("asked for")
            await one.until(lambda: states(one)[-1] is STREAMING)
            await one.pass_time(5.0)

            assert not one.heard(BookSnapshot)

    play(main)


def test_a_snapshot_that_fails_is_counted_and_can_be_asked_for_again() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(BTC, "book")
            one.run(one.feed)
            await one.until(lambda: one.heard(BookDelta))
            broken = RestFault(method="GET", path="/depth", kind="answer", status=200, body=b"{}")
            one.venue.faults.add(broken)
            one.feed.request_snapshot(BTC)
            await one.until(lambda: one.feed.statistics().get("snapshots_failed") == 1)
            one.feed.request_snapshot(BTC)
            await one.until(lambda: one.heard(BookSnapshot))

    play(main)


def test_r45_frames_that_cannot_be_read_are_counted_and_change_nothing() -> None:
    async def main() -> None:
        async with world() as one:
            one.feed.subscribe(BTC, "book")
            one.run(one.feed)
            await one.until(lambda: one.heard(BookDelta))
            one.venue.faults.destine(Fate.GARBLED, 5)
            await one.until(lambda: one.feed.statistics().get("malformed") == 5)
            one.feed.on_binary(b"\x00")

            assert one.feed.statistics()["unexpected"] == 1
            assert states(one).count(STREAMING) == 1

    play(main)


async def storm(stage: Stage, rig: BinanceRig) -> None:
    """Let a lot go wrong for ten minutes, then heal."""
    for index in (0, 1):
        stage.feed.subscribe(stage.name(index), "book")
    await stage.until_synced(within_s=30.0, indices=(0, 1))
    rig.binance.faults.stream = StreamFaults(
        drop_rate=0.01, duplicate_rate=0.01, swap_rate=0.005, malformed_rate=0.002
    )
    for number in range(60):
        if number % 5 == 0:
            rig.binance.faults.add(LOST_SNAPSHOT)
        await stage.pass_time(10.0)
        rig.inflict(Fault.CUT)
    stage.rig.heal()
    await stage.until_synced(within_s=90.0, indices=(0, 1))
    await stage.pass_time(5.0)


@pytest.mark.parametrize("seed", [1, 2])
def test_r40_a_book_that_says_it_is_synced_is_the_venues_whatever_goes_wrong(seed: int) -> None:
    """R-40, R-41, F-07: 360 breaks an hour, gaps, repeats, swaps, damage, lost snapshots."""

    async def main() -> tuple[int, list[str]]:
        rig = BinanceRig(seed)
        async with staged(build, rig) as stage:
            await storm(stage, rig)
            return stage.compared_count, stage.wrong

    compared, wrong = run_simulated(main, seed=seed, start_ns=START_NS)

    assert wrong == []
    assert compared > 3_000


def test_r47_small_and_late_pieces_give_the_same_book() -> None:
    """R-47: one-byte segments, delays up to 400 ms."""

    async def main() -> list[str]:
        rig = BinanceRig(3)
        async with staged(build, rig) as stage:
            rig._loop.network.set_faults(
                ADDRESS, LinkFaults(split_max_bytes=3, latency_ms_low=0.0, latency_ms_high=400.0)
            )
            stage.feed.subscribe(stage.name(), "book")
            await stage.until_synced(within_s=60.0)
            await stage.pass_time(5.0)
            assert stage.compared_count > 10
            return stage.wrong

    assert run_simulated(main, seed=3, start_ns=START_NS) == []


def test_one_seed_is_one_exact_run() -> None:
    async def main() -> list[Any]:
        async with world(seed=5) as one:
            for channel in ("quotes", "trades", "book"):
                one.feed.subscribe(BTC, channel)
            one.run(one.feed)
            await one.until(lambda: one.heard(BookDelta))
            one.feed.request_snapshot(BTC)
            await one.pass_time(20.0)
            return list(one.context.events)

    first, second = play(main), play(main)

    assert first == second
    assert len(first) > 200
