"""The stage: what an adapter must not leave behind, and what a check can ask of it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from adapters.binance import build
from adapters.binance.simulated.rig import BinanceRig
from framework.adapter_kit.rig import Fault
from framework.adapter_kit.scoring import play
from framework.adapter_kit.stage import (
    CheckFailed,
    CheckSkipped,
    Stage,
    beside,
    staged,
)
from framework.errors import SimulationError, VenueError
from framework.interfaces import Adapter
from framework.model.market_data import BookSnapshot
from tests.framework.adapter_kit.sabotage import SEED, Sabotage, Scene, sabotaged


async def nothing(stage: Stage) -> None:
    """Hold whatever the adapter does."""
    await stage.pass_time(5.0)


def play_with(
    sabotage: Sabotage, check: Callable[[Stage], Awaitable[None]] = nothing, rig: Any = BinanceRig
) -> None:
    play(check, sabotaged(sabotage), rig, seed=SEED)


def ends(error: Exception | None) -> Sabotage:
    """Let `run` of the feed end after a second."""

    def end(scene: Scene) -> None:
        async def run() -> None:
            await scene.stage.pass_time(1.0)
            if error is not None:
                raise error

        scene.feed.run = run

    return end


def stays(scene: Scene) -> None:
    """Do not end when cancelled, but when the loop does."""

    async def run() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    scene.broker.run = run


def fails_when_cancelled(scene: Scene) -> None:
    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("no farewell")

    scene.broker.run = run


def leaves_a_task(scene: Scene) -> None:
    async def linger() -> None:
        await asyncio.Event().wait()

    scene.stage.kept = scene.stage.loop.create_task(linger(), name="lingering")


def leaves_a_connection(scene: Scene) -> None:
    scene.run_another_feed(is_closed=False)


def fails_in_a_callback(scene: Scene) -> None:
    def fail() -> None:
        raise ValueError("nobody is looking")

    scene.stage.loop.call_later(1.0, fail)


def never_closes(scene: Scene) -> None:
    close = scene.adapter.close

    async def close_some_day() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await close()

    scene.adapter.close = close_some_day


@pytest.mark.parametrize(
    ("sabotage", "says"),
    [
        (ends(None), "`run` ended by itself: feed.run: returned"),
        (ends(ValueError("why")), r"`run` ended by itself: feed.run: ValueError\('why'\)"),
        (ends(asyncio.CancelledError()), "`run` ended by itself: feed.run: cancelled"),  # type: ignore[arg-type] # no Exception
        (stays, "left over: task broker.run"),
        (fails_when_cancelled, r"failed when it was cancelled: broker.run: ValueError"),
        (leaves_a_task, "left over: task lingering"),
        (leaves_a_connection, "left over: 1 connections"),
        (fails_in_a_callback, r"nobody took: .*ValueError\('nobody is looking'\)"),
        (never_closes, "`close` does not end"),
    ],
)
def test_what_an_adapter_must_not_do_fails_every_check(sabotage: Sabotage, says: str) -> None:
    """R-44: tasks, connections and exceptions that nobody owns are found whatever is played."""
    with pytest.raises(CheckFailed, match=says):
        play_with(sabotage)


def test_an_end_of_run_is_told_rather_than_what_came_of_it() -> None:
    async def check(stage: Stage) -> None:
        await stage.until_synced(within_s=5.0)

    with pytest.raises(CheckFailed, match="`run` ended by itself: feed"):
        play_with(ends(None), check)


def test_an_honest_adapter_leaves_nothing() -> None:
    play_with(lambda scene: None)


def without(part: str) -> Sabotage:
    return lambda scene: setattr(scene.adapter, part, None)


@pytest.mark.parametrize("part", ["feed", "broker"])
def test_a_part_that_a_venue_does_not_have_is_no_failure(part: str) -> None:
    """A venue of market data only is judged by that alone, and so is one of orders only."""

    async def check(stage: Stage) -> None:
        getattr(stage, part)

    with pytest.raises(CheckSkipped, match=part):
        play_with(without(part), check)


def test_a_broker_that_cannot_be_asked_is_a_failure() -> None:
    async def check(stage: Stage) -> None:
        stage.adapter.broker = object()  # type: ignore[assignment] # on purpose
        assert stage.queries

    with pytest.raises(CheckFailed, match="cannot be asked"):
        play_with(lambda scene: None, check)


def test_a_channel_that_a_feed_refuses_is_no_failure() -> None:
    def refuse(scene: Scene) -> None:
        subscribe = scene.feed.subscribe

        def subscribe_to_trades(instrument: str, channel: str, interval: str = "") -> None:
            if channel != "trades":
                raise VenueError("trades are all there is")
            subscribe(instrument, channel, interval)

        scene.feed.subscribe = subscribe_to_trades

    async def check(stage: Stage) -> None:
        assert stage.subscribe_any() == "trades"
        await stage.until_data(within_s=30.0)
        stage.subscribe("book")

    with pytest.raises(CheckSkipped, match="no channel 'book': trades are all there is"):
        play_with(refuse, check)


def test_a_fault_that_a_venue_does_not_have_is_no_failure() -> None:
    class Sturdy(BinanceRig):
        faults = frozenset({Fault.CUT})

    async def check(stage: Stage) -> None:
        stage.inflict(Fault.CUT)
        stage.inflict(Fault.MUTE)

    with pytest.raises(CheckSkipped, match="no fault 'mute'"):
        play_with(lambda scene: None, check, Sturdy)


def test_an_instrument_that_the_feed_does_not_list_is_a_failure() -> None:
    class Richer(BinanceRig):
        symbols = ("BTCUSDT", "ETHUSDT", "DOGEUSDT")

        def watch_book(self, symbol: str, on_change: Any) -> None:
            if symbol != "DOGEUSDT":
                super().watch_book(symbol, on_change)

    async def check(stage: Stage) -> None:
        assert stage.instrument().lot
        stage.instrument(2)

    with pytest.raises(CheckFailed, match="does not list binance:DOGEUSDT"):
        play_with(lambda scene: None, check, Richer)


def test_the_stage_stands_on_a_simulated_loop_only() -> None:
    async def stand() -> None:
        async with staged(build, object()):  # type: ignore[arg-type] # it does not come so far
            pass

    with pytest.raises(SimulationError, match="simulated loop only"):
        asyncio.run(stand())


def test_a_build_that_fails_is_told_as_it_is() -> None:
    def fail(section: Any, context: Any) -> Adapter:
        raise KeyError("depth")

    with pytest.raises(KeyError, match="depth"):
        play(nothing, fail, BinanceRig, seed=SEED)


def test_a_book_that_never_was_is_noted_once_for_each_time() -> None:
    async def check(stage: Stage) -> None:
        stage.subscribe("book")
        await stage.until_synced(within_s=5.0)
        assert not stage.wrong
        now_ns = stage.clock.now_ns
        sequence = stage.of(BookSnapshot)[-1].sequence + 1_000_000
        invented = BookSnapshot(
            stage.name(), now_ns, now_ns, sequence, ((1.0, 1.0),), ((2.0, 1.0),)
        )
        stage.publish(invented)
        assert len(stage.wrong) == 1
        assert "never was the book" in stage.wrong[0]
        assert not stage.is_true()

    play_with(lambda scene: None, check)


def test_two_adapters_stand_beside_each_other() -> None:
    async def check(stage: Stage) -> None:
        assert not stage.is_true(0)
        async with beside(stage) as other:
            assert other.adapter is not stage.adapter
            other.subscribe("trades")
            await other.until_data(within_s=30.0)
        assert not stage.of(BookSnapshot)

    play_with(lambda scene: None, check)


def test_the_clean_up_of_a_play_does_not_hide_its_failure() -> None:
    async def check(stage: Stage) -> None:
        raise CheckFailed("as said")

    with pytest.raises(CheckFailed, match="as said"):
        play_with(leaves_a_task, check)


def test_a_play_gets_a_world_of_its_own() -> None:
    times: list[int] = []

    async def check(stage: Stage) -> None:
        times.append(stage.clock.now_ns)
        await stage.pass_time(1.0)

    for _ in range(2):
        play_with(lambda scene: None, check)

    assert times[0] == times[1]
