"""R-10: an orderly stop takes at most 10 s, at whatever moment it is asked for.

16 moments in the suite; `HEADRACE_STOPS=200`, as `make soak` sets it, for more.
"""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, cast

import anyio
import pytest
from structlog.testing import capture_logs

from framework import Quote, Strategy
from framework.clock.clock import LiveClock
from framework.interfaces import AdapterContext
from framework.model.events import TradingStarted
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import StopPolicy
from framework.simulation.loop import run_simulated
from tests.framework.runtime.answering_venue import AnsweringVenue
from tests.scenarios.paper_process import PaperProcess, running, write_config
from tests.scripted_venue import BTC, START_NS, Script, quote, run_settings, settings

LIMIT_S = 10.0
STOPS = int(os.environ.get("HEADRACE_STOPS", "16"))
RECONCILED_S = 4.0  # four questions of a second each


class Slow(Strategy):
    """Its handlers wait for ever now and then, and its stop always does."""

    def on_start(self) -> None:
        self.watch_quotes(BTC)

    async def on_quote(self, quote: Quote) -> None:
        self.buy(BTC, Decimal(1), price=90)
        await self.sleep(0.3 if quote.bid < 104 else 1_000)

    async def on_stop(self) -> None:
        await anyio.sleep_forever()


class SlowVenue(AnsweringVenue):
    """Keeps most of what it is asked to itself, and needs a second for each question."""

    def __init__(self, context: AdapterContext) -> None:
        super().__init__(cast("LiveClock", context.clock), latency_s=1.0)
        self.publish = cast("Callable[[object], None]", context.publish)


def stopped_at(at_s: float, *, is_cancelled: bool, mode: Mode, folder: Path) -> dict[str, Any]:
    """Stop a runtime `at_s` seconds after its start began; return what came of it."""
    found: dict[str, Any] = {}

    async def feed(context: AdapterContext) -> None:
        number = 0
        while True:
            number += 1
            second = (context.clock.now_ns - START_NS) / 1e9
            context.publish(quote(second, 100.0 + number % 5, 106.0))
            await anyio.sleep(0.1)

    script = Script(live=feed, broker=SlowVenue if mode is Mode.LIVE else None)
    policy = Random(round(at_s * 1e6)).choice(list(StopPolicy))
    chosen = settings(
        run_settings(Slow, on_stop=policy),
        script=script,
        mode=mode,
        journal=f"sqlite:///{folder}/{mode.value}.db",
        handler_limit_s=1.0,
    )

    async def main() -> None:
        loop = asyncio.get_running_loop()
        runtime = Runtime(chosen)

        async def live() -> None:
            async with runtime:
                found["has_started"] = runtime.engine.bus.newest(TradingStarted) is not None
                await runtime.wait()

        task = asyncio.create_task(live())
        await anyio.sleep(at_s)
        asked_s = loop.time()
        has_entered = "has_started" in found
        if is_cancelled and not has_entered:  # as a signal does during the start
            task.cancel()
        else:
            runtime.request_stop()
        await asyncio.wait([task])
        found["took_s"] = loop.time() - asked_s
        found["error"] = None if task.cancelled() else task.exception()
        found["left"] = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]

    with capture_logs():
        run_simulated(main, seed=1, start_ns=START_NS)
    assert script.is_closed or "has_started" not in found
    return found


MOMENTS = [
    (round(Random(number).uniform(0.001, 2.5 * RECONCILED_S), 3), bool(number % 2))
    for number in range(STOPS)
]


@pytest.mark.parametrize("mode", [Mode.PAPER, Mode.LIVE])
def test_r10_a_stop_at_any_moment_takes_at_most_ten_seconds(mode: Mode, tmp_path: Path) -> None:
    slowest_s = 0.0
    phases = set()
    for at_s, is_cancelled in MOMENTS:  # on one journal: each start is a recovery
        found = stopped_at(at_s, is_cancelled=is_cancelled, mode=mode, folder=tmp_path)

        assert found["error"] is None, (at_s, is_cancelled)
        assert found["left"] == [], (at_s, is_cancelled)
        assert found["took_s"] <= LIMIT_S, (at_s, is_cancelled)
        slowest_s = max(slowest_s, found["took_s"])
        phases.add(found.get("has_started"))
    assert phases == ({True} if mode is Mode.PAPER else {None, False, True})
    assert slowest_s > 1.0  # something did wait


@pytest.mark.kill
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("locked", signal.SIGINT),
        ("locked", signal.SIGTERM),
        ("journal_read", signal.SIGTERM),
        ("started", signal.SIGINT),
        ("fill", signal.SIGTERM),
        ("operator_request", signal.SIGINT),
    ],
)
def test_r10_a_signal_stops_the_process_in_order(moment: str, number: int, tmp_path: Path) -> None:
    config = write_config(tmp_path, holds="0.5", busy_s=0.2)
    process = PaperProcess(config)
    try:
        if moment == "locked":
            process.until((tmp_path / "j.db-lock").exists)
        elif moment == "operator_request":
            process.until_event("started")
            (tmp_path / "stop").touch()
            process.until(lambda: process.events("alert"))
        else:
            process.until_event(moment)
        asked_s = time.monotonic()
        code = process.stop(number)
        took_s = time.monotonic() - asked_s
    finally:
        process.kill()

    assert code == 128 + number
    assert took_s < LIMIT_S
    assert "Traceback" not in "".join(process.lines)
    if moment not in ("locked", "journal_read"):
        assert process.events("stopped")
    (tmp_path / "stop").unlink(missing_ok=True)
    with running(config):  # what it left behind is a good start
        pass


@pytest.mark.kill
def test_r07_r10_a_stop_while_somebody_else_has_the_database_locked(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with running(config) as process:
        assert process.stop() == 130
    with closing(sqlite3.connect(tmp_path / "j.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        process = PaperProcess(config)
        try:
            process.until((tmp_path / "j.db-lock").read_text)
            process.until(lambda: (tmp_path / "j.db-lock").read_text().strip() == str(process.pid))
            asked_s = time.monotonic()
            assert process.stop() == 130
            assert time.monotonic() - asked_s < LIMIT_S
        finally:
            process.kill()
    with running(config) as process:
        assert process.stop() == 130
