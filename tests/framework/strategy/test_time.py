"""Timers, sleeping and the time a handler reads: market time, in every driver."""

from typing import Any

import anyio
import pytest

from framework import Strategy
from framework.errors import StrategyError
from framework.model.events import Timer
from framework.model.market_data import Quote
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.simulation.loop import run_simulated
from tests.scripted_venue import (
    BTC,
    SECOND_NS,
    START_NS,
    Script,
    play,
    quote,
    run_settings,
    settings,
    strategy_of,
)


class Noting(Strategy):
    """Keeps notes with the second they were made at."""

    def on_start(self) -> None:
        self.notes: list[Any] = []
        self.watch_quotes(BTC)
        self.begin()

    def begin(self) -> None:
        """Do what a test wants at the start."""

    @property
    def second(self) -> float:
        return (self.now_ns - START_NS) / SECOND_NS


def notes_of(strategy: type[Strategy], seconds: list[float]) -> list[Any]:
    events = [quote(second, 100.0, 101.0) for second in seconds]
    notes: list[Any] = strategy_of(play(settings(run_settings(strategy), script=events))).notes
    return notes


def test_every_fires_after_the_market_data_of_its_instant() -> None:
    class Ticking(Noting):
        def begin(self) -> None:
            self.every(10, "tick")

        def on_timer(self, timer: Timer) -> None:
            self.notes.append((timer.name, self.second, timer.missed))

        def on_quote(self, quote: Quote) -> None:
            self.notes.append(("quote", self.second, 0))

    assert notes_of(Ticking, [0, 10, 25, 30]) == [
        ("quote", 0, 0),
        ("quote", 10, 0),
        ("tick", 10, 0),
        ("tick", 20, 0),
        ("quote", 25, 0),
        ("quote", 30, 0),
        ("tick", 30, 0),
    ]


def test_at_fires_once_and_a_replaced_or_cancelled_timer_not_at_all() -> None:
    class Once(Noting):
        def begin(self) -> None:
            self.at(START_NS + 5 * SECOND_NS, "kept")
            self.at(START_NS + 6 * SECOND_NS, "replaced")
            self.at(START_NS + 7 * SECOND_NS, "replaced")
            self.every(4, "cancelled")

        def on_timer(self, timer: Timer) -> None:
            self.notes.append((timer.name, self.second))
            if self.second == 4:
                self.cancel_timer("cancelled")
                self.cancel_timer("never set")

    assert notes_of(Once, [0, 20]) == [("cancelled", 4), ("kept", 5), ("replaced", 7)]


def test_a_timer_for_the_past_fires_at_once_and_never_goes_back() -> None:
    class Late(Noting):
        def on_quote(self, quote: Quote) -> None:
            if self.second == 10:
                self.at(START_NS, "past")

        def on_timer(self, timer: Timer) -> None:
            self.notes.append((timer.name, self.second, timer.due_ns == START_NS))

    assert notes_of(Late, [0, 10, 20]) == [("past", 10, True)]


@pytest.mark.parametrize("seconds", [0, -1, 1e-12])
def test_a_period_must_be_above_zero(seconds: float) -> None:
    class Restless(Noting):
        def begin(self) -> None:
            with pytest.raises(StrategyError, match="is no period"):
                self.every(seconds)
            self.notes.append("refused")

    assert notes_of(Restless, [0, 1]) == ["refused"]


def test_timers_that_fire_while_a_handler_waits_are_one_with_their_number() -> None:
    class Slow(Noting):
        def begin(self) -> None:
            self.every(1, "tick")

        async def on_timer(self, timer: Timer) -> None:
            self.notes.append((self.second, timer.missed))
            if self.second == 2:
                await self.sleep(3.5)

    assert notes_of(Slow, [0, 8]) == [
        (1, 0),
        (2, 0),
        (5.5, 2),  # for those of 3, 4 and 5
        (6, 0),
        (7, 0),
        (8, 0),
    ]


def test_sleep_lasts_on_market_time_and_the_clock_stands_while_an_item_is_handled() -> None:
    class Sleeper(Noting):
        async def on_quote(self, quote: Quote) -> None:
            if self.second > 0:
                return
            before = self.now_ns
            await self.sleep(7.25)
            self.notes.append((before == START_NS, self.second))
            await self.sleep(0.5)
            self.notes.append(self.second)

    assert notes_of(Sleeper, [0, 5, 10]) == [(True, 7.25), 7.75]


def test_a_sleep_beyond_the_data_is_cancelled_and_then_comes_on_stop() -> None:
    class Oversleeper(Noting):
        async def on_quote(self, quote: Quote) -> None:
            try:
                await self.sleep(1_000)
            finally:
                self.notes.append(("woken", self.second))

        def on_stop(self) -> None:
            self.notes.append(("stopped", self.second))

    assert notes_of(Oversleeper, [0]) == [("woken", 0), ("stopped", 0)]


def test_now_ns_is_fixed_while_one_item_is_handled_live() -> None:
    class Reader(Noting):
        def on_quote(self, quote: Quote) -> None:
            self.notes.append({self.now_ns for _ in range(1_000)})

    async def live(context: Any) -> None:
        for _ in range(3):
            now_ns = context.clock.now_ns
            context.publish(Quote(BTC, now_ns, now_ns, 100.0, 101.0))
            await anyio.sleep(1)
        runtimes[0].request_stop()

    runtimes: list[Runtime] = []

    async def main() -> None:
        chosen = settings(run_settings(Reader), script=Script(live=live), mode=Mode.PAPER)
        async with Runtime(chosen) as runtime:
            runtimes.append(runtime)
            await runtime.wait()

    run_simulated(main, start_ns=START_NS)

    times = strategy_of(runtimes[0]).notes
    assert [len(read) for read in times] == [1, 1, 1]
    assert sorted(set.union(*times)) == [START_NS + n * SECOND_NS for n in range(3)]


def test_live_timers_and_sleeps_use_the_same_market_time() -> None:
    class Ticking(Noting):
        def begin(self) -> None:
            self.every(10, "tick")

        async def on_timer(self, timer: Timer) -> None:
            await self.sleep(2)
            self.notes.append(self.second)
            if len(self.notes) == 3:
                runtimes[0].request_stop()

    runtimes: list[Runtime] = []

    async def main() -> None:
        chosen = settings(run_settings(Ticking), script=Script(), mode=Mode.PAPER)
        async with Runtime(chosen) as runtime:
            runtimes.append(runtime)
            await runtime.wait()

    run_simulated(main, start_ns=START_NS)

    assert strategy_of(runtimes[0]).notes == pytest.approx([12, 22, 32])
