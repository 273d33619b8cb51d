"""A runtime is a guest in any asyncio program: it cleans up and touches nothing global."""

import asyncio
import gc
import logging
import runpy
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog

from framework import ConnectionChanged, Fill, Strategy
from framework.errors import ConfigError, DataError, InvariantBroken, VenueUnavailable
from framework.model.market_data import Quote
from framework.model.records import JournalOpened
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import ReplaySettings, Settings
from framework.simulation.loop import run_simulated
from tests.real_data import REPOSITORY
from tests.scripted_venue import (
    BTC,
    START_NS,
    Script,
    cash_of,
    play,
    position_of,
    quote,
    settings,
    strategy_of,
)

QUOTES = [quote(second, 100.0 + second % 3, 101.0 + second % 3) for second in range(0, 60)]


class Flipper(Strategy):
    """Buys and closes in turn."""

    def on_start(self) -> None:
        self.quotes = 0
        self.has_stopped = False
        self.watch_quotes(BTC)

    def on_quote(self, quote: Quote) -> None:
        self.quotes += 1
        if self.quotes % 10 == 1:
            self.buy(BTC, 1)
        elif self.quotes % 10 == 6:
            self.close(BTC)

    def on_stop(self) -> None:
        self.has_stopped = True


async def endless(context: Any) -> None:
    """Publish a quote at each turn of the loop's clock."""
    while True:
        now_ns = context.clock.now_ns
        context.publish(Quote(BTC, now_ns, now_ns, 100.0, 101.0))
        await anyio.sleep(0.001)


def live_settings(script: Script | None = None, *strategies: type[Strategy]) -> Settings:
    """Return paper trading on an endless feed."""
    chosen = script or Script(live=endless)
    return settings(*(strategies or (Flipper,)), script=chosen, mode=Mode.PAPER)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition of a running system."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - of a whole system, with a deadline
            await anyio.sleep(0.001)


def global_state() -> dict[str, Any]:
    """Return what a guest must leave as it is."""
    return {
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "gc": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "logging": (logging.getLogger().level, list(logging.getLogger().handlers)),
        "structlog": structlog.is_configured(),
        "switch interval": sys.getswitchinterval(),
        "warnings": list(warnings.filters),
        "hook": sys.excepthook,
        "threads": {thread.name for thread in threading.enumerate()},
    }


def test_a_runtime_runs_beside_other_work_and_leaves_no_task() -> None:
    async def main() -> tuple[Runtime, int]:
        before = asyncio.all_tasks()
        beats = 0
        async with Runtime(live_settings()) as runtime:
            strategy = strategy_of(runtime)
            while strategy.quotes < 10:
                await asyncio.sleep(0.002)
                beats += 1
        assert asyncio.all_tasks() == before
        return runtime, beats

    runtime, beats = asyncio.run(main())

    assert beats > 0
    assert strategy_of(runtime).has_stopped


def test_nothing_global_is_touched_while_it_runs_and_after() -> None:
    async def main() -> list[dict[str, Any]]:
        before = global_state()
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        async with Runtime(live_settings()) as runtime:
            await until(lambda: strategy_of(runtime).quotes > 3)
            during = global_state()
            assert loop.get_exception_handler() is handler
        return [before, during, global_state()]

    before, during, after = asyncio.run(main())

    assert after == before
    assert during.pop("threads") - before.pop("threads") == {"watchdog"}
    assert during == before


def test_two_runtimes_in_one_loop_do_not_know_of_each_other() -> None:
    async def main() -> list[Runtime]:
        async with Runtime(live_settings()) as first, Runtime(live_settings()) as second:
            await until(lambda: strategy_of(first).quotes > 12)
            first.request_stop()
            await first.wait()
            assert strategy_of(second).quotes > 0
        return [first, second]

    first, second = asyncio.run(main())

    assert first.engine is not second.engine
    assert strategy_of(first).has_stopped
    assert strategy_of(second).has_stopped
    ids = [{state.order_id for state in runtime.engine.registry} for runtime in (first, second)]
    assert all(ids)
    assert not ids[0] & ids[1]


def written(runtime: Runtime) -> list[object]:
    """Return the log but for its header, which names the mode."""
    return [entry for _, entry in runtime.engine.log.read() if not isinstance(entry, JournalOpened)]


def test_recorded_data_on_a_real_loop_gives_what_it_gives_in_a_simulated_one() -> None:
    async def main(chosen: Settings) -> Runtime:
        async with Runtime(chosen) as runtime:
            await runtime.wait()
        return runtime

    replay = settings(Flipper, script=QUOTES, mode=Mode.REPLAY, replay=ReplaySettings(speed=0))
    real, simulated = asyncio.run(main(replay)), play(settings(Flipper, script=QUOTES))

    assert real.driver is not None
    assert real.driver.event_count == len(QUOTES)
    assert strategy_of(real).quotes == strategy_of(simulated).quotes == len(QUOTES)
    assert cash_of(real) == cash_of(simulated)
    assert position_of(real) == position_of(simulated)
    assert written(real) == written(simulated)


def test_recorded_data_can_be_paced() -> None:
    async def main() -> float:
        pace = ReplaySettings(speed=600)
        chosen = settings(Flipper, script=QUOTES, mode=Mode.REPLAY, replay=pace)
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with Runtime(chosen) as runtime:
            await runtime.wait()
        assert strategy_of(runtime).quotes == len(QUOTES)
        return loop.time() - started

    assert 0.09 < asyncio.run(main()) < 3  # 59 s of market time


def test_others_may_subscribe_to_the_bus() -> None:
    async def main() -> list[str]:
        async with Runtime(live_settings()) as runtime:
            heard: list[str] = []
            runtime.engine.bus.on(ConnectionChanged)(lambda event: heard.append(event.venue))
            async with runtime.engine.bus.subscribe(Fill) as fills:
                async for fill in fills:
                    heard.append(fill.run)
                    if len(heard) == 2:
                        return heard
        return []

    assert asyncio.run(main()) == ["run", "run"]


def test_an_error_of_the_embedding_program_stops_it_in_order_and_comes_out() -> None:
    class OwnError(Exception):
        pass

    runtimes: list[Runtime] = []

    async def main() -> None:
        async with Runtime(live_settings()) as runtime:
            runtimes.append(runtime)
            raise OwnError

    with pytest.raises(OwnError):
        asyncio.run(main())
    assert strategy_of(runtimes[0]).has_stopped


def test_a_cancelled_program_stops_it_in_order() -> None:
    runtimes: list[Runtime] = []

    async def main() -> None:
        async with Runtime(live_settings()) as runtime:
            runtimes.append(runtime)
            await anyio.sleep_forever()

    async def cancel() -> None:
        with anyio.move_on_after(0.05):
            await main()

    asyncio.run(cancel())

    assert strategy_of(runtimes[0]).has_stopped
    assert runtimes[0].system.venues[0].adapter.close is not None


def test_r55_a_feed_that_fails_stops_the_system_and_is_raised() -> None:
    async def failing(context: Any) -> None:
        raise VenueUnavailable("the venue is gone")

    script = Script(live=failing)
    runtimes: list[Runtime] = []

    async def main() -> None:
        async with Runtime(live_settings(script)) as runtime:
            runtimes.append(runtime)
            await runtime.wait()

    with pytest.raises(VenueUnavailable, match="the venue is gone"):
        run_simulated(main)
    assert strategy_of(runtimes[0]).has_stopped
    assert script.is_closed


def test_data_that_goes_back_in_time_stops_with_what_was_wrong() -> None:
    with pytest.raises(DataError, match="time order"):
        play(settings(Flipper, script=[QUOTES[3], QUOTES[1]]))


def test_a_step_that_fails_halts_the_engine_and_closes_what_was_opened() -> None:
    runtimes: list[Runtime] = []
    script = Script(QUOTES)

    async def main() -> None:
        async with Runtime(settings(Flipper, script=script)) as runtime:
            runtimes.append(runtime)

            def broken(fill: Fill) -> None:
                raise ZeroDivisionError

            runtime.engine.fill_listeners.append(broken)
            await runtime.wait()

    with pytest.raises(InvariantBroken, match="ZeroDivisionError"):
        run_simulated(main)
    assert runtimes[0].engine.bus.halted is not None
    assert script.is_closed


def test_what_does_not_fit_together_is_refused_before_anything_starts() -> None:
    good = live_settings()
    script = good.venues["x"].settings["script"]  # type: ignore[index] # made above

    async def start(chosen: Settings) -> None:
        async with Runtime(chosen):
            raise AssertionError("it started")

    class Greedy(Flipper):
        class Settings(Strategy.Settings, frozen=True):
            size: int

    with pytest.raises(ConfigError, match=r"strategies\[0\].settings.*size"):
        asyncio.run(start(live_settings(script, Greedy)))
    assert script.asked == []


def test_it_says_what_is_missing_when_it_was_not_started() -> None:
    runtime = Runtime(live_settings())

    with pytest.raises(InvariantBroken, match="async with"):
        _ = runtime.engine
    with pytest.raises(InvariantBroken, match="async with"):
        asyncio.run(runtime.wait())
    runtime.request_stop()


def test_the_example_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: Any, tmp_path: Path
) -> None:
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)  # where its journal goes
    example = runpy.run_path(str(REPOSITORY / "examples" / "embedded.py"))

    run_simulated(example["main"], start_ns=START_NS)  # the same program, without the waiting

    *fills, stopping, end = capsys.readouterr().out.splitlines()
    assert [fill.split()[1] for fill in fills] == ["buy", "sell"]
    assert stopping == "stopping in order"
    assert end.endswith(": 0 open")


def test_the_feed_is_asked_for_what_is_watched_and_let_go_at_the_end() -> None:
    script = Script(live=endless)

    async def main() -> None:
        async with Runtime(live_settings(script)) as runtime:
            await until(lambda: strategy_of(runtime).quotes > 3)

    asyncio.run(main())

    assert script.asked == [("subscribe", BTC, "quotes", ""), ("unsubscribe", BTC, "quotes", "")]
    assert script.is_closed
