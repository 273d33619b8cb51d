"""History and live candles are one series: none twice, no silent hole, no order on old ones."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import msgspec
import pytest

from framework import Candle, GapDetected, OrderStatus, Strategy
from framework.errors import VenueUnavailable
from framework.model.market_data import Quote
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.simulation.loop import run_simulated
from tests.scripted_venue import (
    BTC,
    MINUTE_NS,
    START_NS,
    Script,
    candle,
    play,
    run_settings,
    settings,
    strategy_of,
)

Live = Callable[[Any], Awaitable[None]]
NOW_NS = START_NS + 10 * MINUTE_NS  # the end of candle 9
PAST = [candle(n, 100.0 + n) for n in range(10)]


class Collector(Strategy):
    """Buys on every candle, which must not work on old ones."""

    warmup = 5

    def on_start(self) -> None:
        self.prepare()
        self.watch_candles(BTC, "1m", warmup=self.warmup)

    def prepare(self) -> None:
        self.seen: list[tuple[int, bool]] = []
        self.refusals: list[str] = []
        self.gaps: list[GapDetected] = []
        self.on_other: list[bool] = []

    def on_candle(self, candle: Candle) -> None:
        self.seen.append(((candle.open_ns - START_NS) // MINUTE_NS, self.is_warming_up))
        order = self.buy(BTC, 1)
        self.refusals.append(order.reason if order.status is OrderStatus.DENIED else "")

    def on_gap(self, gap: Any) -> None:
        self.gaps.append(gap)

    def on_quote(self, quote: Quote) -> None:
        self.on_other.append(self.is_warming_up)


def publishing(candles: Sequence[Any], *, at_once: bool = False) -> Live:
    """Publish each event when it is known, on virtual time."""

    async def live(context: Any) -> None:
        for item in candles:
            if not at_once and item.time_ns > context.clock.now_ns:
                await anyio.sleep((item.time_ns - context.clock.now_ns) / 1e9)
            context.publish(item)

    return live


def run_live(
    strategy: type[Strategy],
    live: Live,
    history: Sequence[Candle] = PAST,
    *,
    minutes: float = 5.5,
) -> Any:
    """Run live on virtual time for some minutes and return the strategy."""

    async def main() -> Runtime:
        script = Script(live=live, history=history)
        chosen = settings(run_settings(strategy), script=script, mode=Mode.PAPER)
        async with Runtime(chosen) as runtime:
            with anyio.move_on_after(minutes * 60):
                await runtime.wait()
        return runtime

    return strategy_of(run_simulated(main, start_ns=NOW_NS))


def test_warm_up_candles_come_first_and_orders_on_them_are_denied() -> None:
    strategy = run_live(Collector, publishing([candle(n, 1.0) for n in range(10, 13)]))

    assert [number for number, _ in strategy.seen] == [5, 6, 7, 8, 9, 10, 11, 12]
    assert [is_old for _, is_old in strategy.seen] == [True] * 5 + [False] * 3
    assert strategy.refusals == ["warming_up"] * 5 + [""] * 3


def test_a_live_candle_that_history_held_already_does_not_come_twice() -> None:
    overlap = [candle(n, 1.0) for n in (8, 9, 10, 11)]

    strategy = run_live(Collector, publishing(overlap))

    assert [number for number, _ in strategy.seen] == [5, 6, 7, 8, 9, 10, 11]


def test_candles_that_come_while_history_is_fetched_wait_behind_it() -> None:
    strategy = run_live(Collector, publishing([candle(10, 1.0), candle(11, 1.0)], at_once=True))

    assert [number for number, _ in strategy.seen] == [5, 6, 7, 8, 9, 10, 11]


def test_a_hole_between_history_and_live_is_fetched_again() -> None:
    history = [candle(n, 1.0) for n in range(0, 8)]

    async def live(context: Any) -> None:
        await anyio.sleep(1)  # the first request has been answered
        history.extend(candle(n, 1.0) for n in (8, 9, 10))
        await publishing([candle(11, 1.0), candle(12, 1.0)])(context)

    script = Script(live=live)
    script.past = history

    async def main() -> Runtime:
        chosen = settings(run_settings(Collector), script=script, mode=Mode.PAPER)
        async with Runtime(chosen) as runtime:
            with anyio.move_on_after(330):
                await runtime.wait()
        return runtime

    runtime = run_simulated(main, start_ns=NOW_NS)

    strategy = strategy_of(runtime)
    assert [number for number, _ in strategy.seen] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert [old for _, old in strategy.seen] == [True] * 8 + [False] * 2
    assert strategy.gaps == []
    requests = [asked for asked in script.asked if asked[0] == "history"]
    assert requests == [("history", BTC, "1m", "5"), ("history", BTC, "1m", "3")]


def test_a_hole_that_stays_is_told() -> None:
    history = [candle(n, 1.0) for n in range(0, 8)]

    strategy = run_live(Collector, publishing([candle(11, 1.0), candle(12, 1.0)]), history)

    assert [number for number, _ in strategy.seen] == [3, 4, 5, 6, 7, 11, 12]
    (gap,) = strategy.gaps
    assert (gap.instrument, gap.stream) == (BTC, "candles 1m")
    assert gap.expected == START_NS + 8 * MINUTE_NS
    assert gap.received == START_NS + 11 * MINUTE_NS


def test_a_forming_candle_of_now_is_no_repeat_and_no_hole() -> None:
    whole = candle(10, 1.0)
    forming = msgspec.structs.replace(whole, time_ns=whole.open_ns + 1, is_closed=False)

    strategy = run_live(Collector, publishing([forming, whole]))

    assert [number for number, _ in strategy.seen] == [5, 6, 7, 8, 9, 10, 10]
    assert strategy.gaps == []


def test_warming_up_is_over_with_the_last_old_candle_not_with_the_first_live_one() -> None:
    class Quoted(Collector):
        def on_start(self) -> None:
            self.watch_quotes(BTC)
            super().on_start()

    now = Quote(BTC, NOW_NS, NOW_NS, 100.0, 101.0)

    strategy = run_live(Quoted, publishing([now]))

    assert len(strategy.seen) == 5
    assert strategy.on_other == [False]


def test_an_async_on_start_that_waits_first_is_warmed_up_all_the_same() -> None:
    class Patient(Collector):
        async def on_start(self) -> None:  # type: ignore[override] # either is allowed
            self.prepare()
            await self.sleep(90)
            self.watch_candles(BTC, "1m", warmup=2)
            await self.sleep(10)
            self.seen.append((-1, self.is_warming_up))

    strategy = run_live(Patient, publishing([candle(n, 1.0) for n in range(10, 13)]))

    # Candle 10 closed while nobody had asked; 11 and 12 came after.
    assert strategy.seen == [(-1, False), (8, True), (9, True), (11, False), (12, False)]
    assert [(gap.received - START_NS) // MINUTE_NS for gap in strategy.gaps] == [11]


def test_a_series_watched_later_is_warmed_up_then() -> None:
    class Late(Collector):
        def on_start(self) -> None:
            self.prepare()
            self.every(30, "watch")

        def on_timer(self, timer: Any) -> None:
            self.watch_candles(BTC, "1m", warmup=3)

    strategy = run_live(Late, publishing([candle(n, 1.0) for n in range(10, 12)]))

    assert strategy.seen == [(7, True), (8, True), (9, True), (10, False), (11, False)]


def test_positions_are_not_closed_for_what_an_old_candle_says() -> None:
    class Closer(Collector):
        def on_candle(self, candle: Candle) -> None:
            self.seen.append((len(self.seen), self.close(BTC) is None))
            self.flatten()

    strategy = run_live(Closer, publishing([]))

    assert strategy.seen == [(n, True) for n in range(5)]


def test_without_history_the_live_candles_come_as_they_are() -> None:
    strategy = run_live(Collector, publishing([candle(10, 1.0), candle(12, 1.0)]), [])

    assert strategy.seen == [(10, False), (12, False)]


def test_a_backtest_has_no_history_and_no_warm_up() -> None:
    runtime = play(settings(run_settings(Collector), script=PAST))

    assert [old for _, old in strategy_of(runtime).seen] == [False] * 10


def test_a_history_that_cannot_be_had_stops_the_system_with_its_reason() -> None:
    async def main() -> None:
        script = Script()
        script.past = None  # type: ignore[assignment] # so that fetching raises
        chosen = settings(run_settings(Collector), script=script, mode=Mode.PAPER)
        async with Runtime(chosen) as runtime:
            await runtime.wait()

    with pytest.raises((TypeError, VenueUnavailable)):
        run_simulated(main, start_ns=NOW_NS)
