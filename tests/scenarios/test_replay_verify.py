"""What was recorded plays again with every command equal, byte for byte (R-74, R-90)."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio.lowlevel
import msgspec
import pytest

from framework import Candle, Fill, OrderStatus, Strategy
from framework.cli.replay import read_order_log
from framework.interfaces import AdapterContext
from framework.model.events import Timer
from framework.model.inputs import (
    CommandIssued,
    EventDelivered,
    HandlerResumed,
    VenueCommandMade,
)
from framework.model.market_data import Quote
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import QueueOverflow, QueueSettings, Settings
from tests.real_data import REPOSITORY
from tests.recorded_session import Sink, play_again, reasons, record, verify
from tests.scenarios.test_thin_path import COSTS, Momentum, candles
from tests.scripted_venue import (
    BTC,
    SECOND_NS,
    START_NS,
    Script,
    candle,
    entries,
    orders_of,
    play,
    quote,
    run_settings,
    settings,
    strategy_of,
)


def quotes(count: int, step_s: float = 1.0) -> list[Quote]:
    """Return quotes whose price goes up and down."""
    return [quote(n * step_s, 100.0 + n % 7, 101.0 + n % 7) for n in range(count)]


class Trading(Strategy):
    """Watches quotes and keeps notes."""

    def on_start(self) -> None:
        self.notes: list[Any] = []
        self.watch_quotes(BTC)


def require_equal(chosen: Settings, sink: Sink, *, commands: int) -> None:
    """Verify a recording: no difference, and at least so many commands were compared."""
    verdict = verify(chosen, sink)
    assert verdict.difference is None, verdict.difference
    assert (verdict.unverifiable, verdict.lost) == ({}, "")
    assert verdict.command_count == len(sink.of(CommandIssued)) >= commands


# -- plain strategies ----------------------------------------------------------------------------


def test_r74_a_plain_strategy_gives_the_same_commands_again() -> None:
    chosen = settings(run_settings(Momentum), script=candles(), venue=COSTS)

    _, sink = record(chosen)

    require_equal(chosen, sink, commands=7)
    assert len(sink.of(VenueCommandMade)) >= 7


def test_recording_changes_nothing_of_a_backtest() -> None:
    chosen = settings(run_settings(Momentum), script=candles(), venue=COSTS)

    recorded, _ = record(chosen)
    plain = play(chosen)

    assert entries(recorded, object) == entries(plain, object)
    assert orders_of(recorded) == orders_of(plain)
    assert strategy_of(recorded).heard == strategy_of(plain).heard


def test_several_strategies_on_one_account_are_told_apart() -> None:
    class Buyer(Trading):
        def on_quote(self, quote: Quote) -> None:
            if self.random.random() < 0.3:
                self.buy(BTC, Decimal("0.01"))

    class Seller(Trading):
        def on_quote(self, quote: Quote) -> None:
            if self.account().balances and self.random.random() < 0.3:
                self.sell(BTC, Decimal("0.02"), price=Decimal("102.0"))

        def on_fill(self, fill: Fill) -> None:  # type: ignore[override] # no venue here corrects
            self.cancel_all()

    class Leaver(Trading):
        async def on_quote(self, quote: Quote) -> None:
            await self.sleep(2.5)
            self.buy(BTC, 1)
            self.close(BTC)
            self.flatten()

    chosen = settings(
        run_settings(Buyer, "buyer"),
        run_settings(Seller, "seller"),
        run_settings(Leaver, "leaver"),
        script=quotes(60),
        seed=11,
    )

    _, sink = record(chosen)

    require_equal(chosen, sink, commands=30)
    assert {command.run for command in sink.of(CommandIssued)} == {0, 1, 2}


def test_denied_and_refused_commands_are_compared_too() -> None:
    class Clumsy(Trading):
        def on_quote(self, quote: Quote) -> None:
            order = self.buy(BTC, "0.001")  # off the grid
            self.notes.append(order.reason)
            self.notes.append(self.cancel(order))
            resting = self.buy(BTC, 1, price="50.0", key=f"key {self.now_ns}")
            self.notes.append(self.modify(resting, price="50.1"))
            self.notes.append(self.modify(resting, price="51.0"))

    chosen = settings(run_settings(Clumsy), script=quotes(3))

    runtime, sink = record(chosen)

    require_equal(chosen, sink, commands=9)
    assert strategy_of(runtime).notes[0]


# -- time and waiting ----------------------------------------------------------------------------


def test_timers_fire_in_the_replay_where_they_fired() -> None:
    class Ticking(Trading):
        def on_start(self) -> None:
            super().on_start()
            self.every(3, "tick")
            self.at(START_NS + 7 * SECOND_NS, "once")
            self.at(START_NS + 8 * SECOND_NS, "never")

        def on_timer(self, timer: Timer) -> None:
            if timer.name == "once":
                self.cancel_timer("never")
            self.buy(BTC, 1, price=Decimal(50) + timer.missed, tags=(timer.name, str(self.now_ns)))

    chosen = settings(run_settings(Ticking), script=quotes(20))

    _, sink = record(chosen)

    require_equal(chosen, sink, commands=7)


class Waiter(Trading):
    """Waits for everything there is to wait for."""

    async def on_quote(self, quote: Quote) -> None:
        order = self.buy(BTC, 1)
        await order.filled()
        self.notes.append(("filled", self.now_ns))
        resting = self.buy(BTC, 1, price="50.0", tags=(str(self.now_ns),))
        await resting.accepted()
        try:
            await resting.filled(timeout_s=1.5)
        except TimeoutError:
            self.cancel(resting)
        await resting.done()
        await self.sleep(0.25)
        self.sell(BTC, 1, tags=(str(self.now_ns),))


def test_handlers_that_wait_go_on_where_they_did() -> None:
    chosen = settings(run_settings(Waiter), script=quotes(12))

    _, sink = record(chosen)

    require_equal(chosen, sink, commands=12)
    calls = [resumed.call for resumed in sink.of(HandlerResumed)]
    assert {"order_when", "sleep"} == set(calls)
    assert any(resumed.is_error for resumed in sink.of(HandlerResumed))


def test_a_lagging_strategy_reads_what_it_read_then() -> None:
    """Its queue conflates, drops and merges timers while it waits."""

    class Lagging(Trading):
        def on_start(self) -> None:
            super().on_start()
            self.every(0.5, "tick")
            self.watch_candles(BTC, "1m")

        async def on_quote(self, quote: Quote) -> None:
            newest = self.quote(BTC)
            assert newest is not None
            lag = newest.time_ns - quote.time_ns
            self.buy(BTC, Decimal("0.01"), tags=(str(lag), str(self.now_ns)))
            await self.sleep(1.75)
            newest = self.quote(BTC)
            self.buy(BTC, Decimal("0.02"), tags=(str(newest), str(self.now_ns)))

        def on_timer(self, timer: Timer) -> None:
            self.buy(BTC, Decimal("0.03"), tags=(str(timer.missed),))

    chosen = settings(
        run_settings(Lagging),
        script=quotes(1_500, 0.01),
        queues={"quotes": QueueSettings(capacity=256, overflow=QueueOverflow.DROP_OLDEST)},
    )

    runtime, sink = record(chosen)

    dropped = runtime.statistics()["run"].channels
    assert sum(channel.dropped for channel in dropped) > 500
    require_equal(chosen, sink, commands=15)


def test_r51_an_overflow_ends_a_run_in_the_replay_as_it_did() -> None:
    class Stuck(Trading):
        async def on_quote(self, quote: Quote) -> None:
            self.buy(BTC, Decimal("0.01"))
            await self.sleep(4)
            self.buy(BTC, Decimal("0.01"))

    class Quick(Trading):
        def on_quote(self, quote: Quote) -> None:
            self.buy(BTC, Decimal("0.01"), tags=(str(self.position(BTC).quantity),))

    chosen = settings(
        run_settings(Stuck, "stuck"),
        run_settings(Quick, "quick"),
        script=quotes(600, 0.01),
        queues={"quotes": QueueSettings(capacity=256, overflow=QueueOverflow.ERROR)},
    )

    runtime, sink = record(chosen)

    assert runtime.system.runs[0].is_halted
    require_equal(chosen, sink, commands=600)


def test_handlers_that_raise_are_reported_in_the_replay_too() -> None:
    class Failing(Trading):
        async def on_quote(self, quote: Quote) -> None:
            self.buy(BTC, 1)
            if quote.bid > 103:
                await self.sleep(0.1)
            raise ValueError(quote.bid)

        def on_error(self, error: Any) -> None:
            self.sell(BTC, 1, tags=(error.error, str(error.count)))

    chosen = settings(run_settings(Failing), script=quotes(10))

    _, sink = record(chosen)

    require_equal(chosen, sink, commands=20)


def test_a_handler_that_waits_at_the_end_is_cancelled_there_in_the_replay() -> None:
    class Oversleeper(Trading):
        async def on_quote(self, quote: Quote) -> None:
            try:
                await self.sleep(1_000)
            finally:
                self.buy(BTC, 1)

        def on_stop(self) -> None:
            self.sell(BTC, 2)

    chosen = settings(run_settings(Oversleeper), script=quotes(3))

    _, sink = record(chosen)

    require_equal(chosen, sink, commands=2)


def test_warm_up_comes_from_the_record() -> None:
    class Warm(Strategy):
        def on_start(self) -> None:
            self.seen: list[float] = []
            self.watch_candles(BTC, "1m", warmup=5)

        async def on_candle(self, candle: Candle) -> None:
            self.seen.append(candle.close)
            past = await self.history(BTC, "1m", 3)
            if not self.is_warming_up:
                self.buy(BTC, 1, tags=(str(sum(self.seen)), str(len(past))))
            else:
                self.buy(BTC, 1)  # denied

    async def live(context: AdapterContext) -> None:
        for number in range(3):
            context.publish(candle(number, 100.0 + number))
            await anyio.sleep(60)

    async def during(runtime: Runtime) -> None:
        await anyio.sleep(200)

    past = [candle(number - 5, 90.0 + number) for number in range(5)]
    script = Script(live=live, history=past)
    chosen = settings(run_settings(Warm), script=script, mode=Mode.PAPER)

    runtime, sink = record(chosen, during=during)

    assert len(strategy_of(runtime).seen) == 8
    script.past.clear()  # the replay asks nobody
    require_equal(chosen, sink, commands=8)


# -- the world outside ---------------------------------------------------------------------------


class Oracle(Trading):
    """Asks somebody outside."""

    answers: tuple[Any, ...] = ()

    async def on_quote(self, quote: Quote) -> None:
        try:
            answer = await self.external(self.ask(len(self.notes)))
        except Exception as error:
            answer = error
        self.notes.append(answer)
        self.buy(BTC, 1, tags=(repr(answer), str(self.now_ns)))
        await self.external(self.at_once())
        self.buy(BTC, 1, tags=(repr(await self.blocking(self.work)),))

    async def ask(self, number: int) -> Any:
        await asyncio.sleep(0.3)
        await asyncio.sleep(0)
        answer = self.answers[number % len(self.answers)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def at_once(self) -> int:
        return 7

    def work(self) -> str:
        return "done"


def oracle(*answers: Any) -> type[Oracle]:
    """Return a strategy that hears these answers in turn."""
    return type("Oracle", (Oracle,), {"answers": answers})


def test_answers_from_outside_are_given_again_without_asking() -> None:
    kinds = (
        1.5,
        ["a", (Decimal("1.50"), None)],
        {"x": b"1"},
        OrderStatus.FILLED,
        KeyError("k"),
        candle(0, 1.0),
    )
    chosen = settings(run_settings(oracle(*kinds)), script=quotes(8))

    _, sink = record(chosen)
    Oracle.ask, kept = _refuse, Oracle.ask  # type: ignore[method-assign, assignment]
    try:
        require_equal(chosen, sink, commands=14)
    finally:
        Oracle.ask = kept  # type: ignore[method-assign]


async def _refuse(*_: Any) -> Any:
    raise AssertionError("the replay asked")


def test_an_answer_that_cannot_be_recorded_makes_a_run_not_verifiable() -> None:
    chosen = settings(run_settings(oracle(1, object())), script=quotes(8))

    _, sink = record(chosen)
    verdict = verify(chosen, sink)

    assert verdict.difference is None
    assert "cannot be recorded" in verdict.unverifiable["run"]


class Foreign(Trading):
    """Waits for something that is not the framework's."""

    async def on_quote(self, quote: Quote) -> None:
        self.buy(BTC, 1)
        await asyncio.sleep(0.5)
        self.buy(BTC, 2)


class Parent(Trading):
    """Starts a task that trades."""

    async def on_quote(self, quote: Quote) -> None:
        self.child = asyncio.get_running_loop().create_task(self.deal())
        await self.sleep(0.1)

    async def deal(self) -> None:
        await asyncio.sleep(0.05)
        self.buy(BTC, 1)


class Impatient(Trading):
    """Puts a time limit of its own around a wait."""

    async def on_quote(self, quote: Quote) -> None:
        try:
            async with asyncio.timeout(0.2):
                await self.sleep(5)
        except TimeoutError:
            self.buy(BTC, 1)


class Gatherer(Trading):
    """Waits for two things at once, in tasks of their own."""

    async def on_quote(self, quote: Quote) -> None:
        await asyncio.gather(self.sleep(0.1), self.sleep(0.2))
        self.buy(BTC, 1)


class Meddler(Trading):
    """Trades inside what it awaits through `external`."""

    async def on_quote(self, quote: Quote) -> None:
        await self.external(self.deal())

    async def deal(self) -> None:
        await asyncio.sleep(0.1)
        self.buy(BTC, 1)


@pytest.mark.parametrize(
    ("strategy", "reason"),
    [
        (Foreign, "a foreign await in on_quote"),
        (Parent, "submit in a task that the strategy started"),
        (Impatient, "sleep was cancelled by a timeout or scope of the strategy's own"),
        (Gatherer, "sleep awaited in a task that the strategy started"),
        (Meddler, "submit inside what was awaited through external"),
    ],
)
def test_what_no_record_holds_makes_a_run_not_verifiable(
    strategy: type[Strategy], reason: str
) -> None:
    """The others are verified all the same: its recorded commands take the place of its own."""

    class Watcher(Trading):
        def on_quote(self, quote: Quote) -> None:
            cash = self.account().balances
            self.buy(BTC, Decimal("0.01"), tags=(str(cash),))

        async def on_fill(self, fill: Fill) -> None:  # type: ignore[override] # none is corrected
            await self.sleep(0.3)
            self.sell(BTC, Decimal("0.01"))

    chosen = settings(
        run_settings(strategy, "first"), run_settings(Watcher, "second"), script=quotes(12)
    )

    _, sink = record(chosen)
    verdict = verify(chosen, sink)

    assert reasons(sink) == [reason]
    assert verdict.difference is None, verdict.difference
    assert verdict.unverifiable == {"first": reason}
    assert verdict.command_count >= 20


def test_own_events_of_a_run_that_is_not_verifiable_reach_the_others() -> None:
    class Note(msgspec.Struct, frozen=True):
        text: str
        time_ns: int

    class Sender(Trading):
        async def on_quote(self, quote: Quote) -> None:
            await asyncio.sleep(0.1)
            self.publish(Note("hello", self.now_ns))

    class Hearer(Trading):
        events = (Note,)

        def on_event(self, event: Any) -> None:
            self.buy(BTC, 1, tags=(event.text,))

    chosen = settings(run_settings(Sender, "one"), run_settings(Hearer, "two"), script=quotes(5))

    _, sink = record(chosen)
    verdict = verify(chosen, sink)

    assert verdict.difference is None, verdict.difference
    assert list(verdict.unverifiable) == ["one"]
    assert verdict.command_count >= 4


# -- differences ---------------------------------------------------------------------------------


def test_a_command_that_was_tampered_with_is_shown_with_the_event_before_it() -> None:
    class Buyer(Trading):
        def on_quote(self, quote: Quote) -> None:
            self.buy(BTC, 1, price=Decimal(int(quote.bid)))

    chosen = settings(run_settings(Buyer), script=quotes(6))
    _, sink = record(chosen)
    place = next(
        index
        for index, item in enumerate(sink.records)
        if isinstance(item, CommandIssued) and b"x:BTC" in bytes(item.arguments) and index > 25
    )
    sink.payloads[place] = sink.payloads[place].replace(b"\xa3103", b"\xa3109")

    difference = verify(chosen, sink).difference

    assert difference is not None
    assert (difference.position, difference.run) == (place + 1, "run")
    assert "'price': '109'" in difference.recorded
    assert "'price': '103'" in difference.replayed
    assert "Quote(" in difference.before
    assert "bid=103.0" in difference.before


def changed(change: Callable[[type[Strategy]], None]) -> Any:
    """Record one strategy, change its code, and return the difference that is found."""

    class Chameleon(Trading):
        async def on_quote(self, quote: Quote) -> None:
            self.buy(BTC, 1)
            await self.sleep(0.1)

    chosen = settings(run_settings(Chameleon), script=quotes(4))
    _, sink = record(chosen)
    change(Chameleon)
    return verify(chosen, sink).difference


def test_code_that_changed_is_found_by_its_first_command() -> None:
    def say_more(strategy: type[Strategy]) -> None:
        async def on_quote(self: Any, quote: Quote) -> None:
            self.buy(BTC, 2)
            await self.sleep(0.1)

        strategy.on_quote = on_quote  # type: ignore[method-assign]

    def say_nothing(strategy: type[Strategy]) -> None:
        async def on_quote(self: Any, quote: Quote) -> None:
            await self.sleep(0.1)

        strategy.on_quote = on_quote  # type: ignore[method-assign]

    def wait_no_more(strategy: type[Strategy]) -> None:
        async def on_quote(self: Any, quote: Quote) -> None:
            self.buy(BTC, 1)

        strategy.on_quote = on_quote  # type: ignore[method-assign]

    def wait_for_ever(strategy: type[Strategy]) -> None:
        async def on_quote(self: Any, quote: Quote) -> None:
            self.buy(BTC, 1)
            await self.sleep(0.1)
            await asyncio.sleep(10)

        strategy.on_quote = on_quote  # type: ignore[method-assign]

    assert "'quantity': '2'" in changed(say_more).replayed
    assert changed(say_nothing).replayed == "no command"
    assert changed(wait_no_more).replayed == "that timer is not set"
    assert changed(wait_for_ever).replayed == "the handler has not come to its end"


def test_an_event_that_is_missing_from_the_record_is_found() -> None:
    chosen = settings(run_settings(Momentum), script=candles(), venue=COSTS)
    _, sink = record(chosen)
    place = next(i for i, item in enumerate(sink.records) if isinstance(item, EventDelivered))
    del sink.payloads[place]

    assert verify(chosen, sink).difference is not None


# -- sessions ------------------------------------------------------------------------------------


class Steady(Trading):
    """Rests orders below the price, and notes what it holds and has working in each new one."""

    async def on_quote(self, quote: Quote) -> None:
        if quote.bid == 103.0:
            self.close(BTC)
        held, working = self.position(BTC).quantity, len(self.orders())
        self.buy(
            BTC, Decimal("0.5"), price=Decimal(int(quote.bid) - 1), tags=(f"{held}/{working}",)
        )
        await self.sleep(0.4)
        self.buy(BTC, Decimal("0.25"))


def copied(journal: Path, name: str) -> str:
    """Copy a journal that is in use, as a crash would leave it; return the copy's URL."""
    target = journal.with_name(name)
    for suffix in ("", "-wal", "-shm", "-mark"):
        file = journal.with_name(journal.name + suffix)
        if file.exists():
            shutil.copy(file, target.with_name(name + suffix))
    return f"sqlite:///{target}"


def feed(first: int, count: int) -> Script:
    """Return a live feed of quotes, one each second."""

    async def live(context: AdapterContext) -> None:
        for item in quotes(100)[first : first + count]:
            context.publish(item)
            await anyio.sleep(1)

    return Script(live=live)


def with_crash(sink: Sink, folder: Path) -> tuple[Settings, str]:
    """Record a session that a crash ends in the middle of its records, and one after it."""
    journal, left = folder / "first.db", ""
    chosen = settings(
        run_settings(Steady),
        script=feed(0, 20),
        mode=Mode.PAPER,
        journal=f"sqlite:///{journal}",
    )
    cut = 0

    async def until_the_crash(_: Runtime) -> None:
        nonlocal cut, left
        await anyio.sleep(9.3)
        cut, left = len(sink.payloads), copied(journal, "second.db")

    async def orderly(_: Runtime) -> None:
        await anyio.sleep(10)

    record(chosen, sink=sink, during=until_the_crash)
    del sink.payloads[cut:]
    later = settings(Steady, script=feed(10, 9), mode=Mode.PAPER).venues
    second = msgspec.structs.replace(chosen, venues=later, journal=left)
    record(second, sink=sink, during=orderly, start_ns=START_NS + 30 * SECOND_NS)
    return chosen, left


def test_a_crash_and_a_restart_in_between_are_played_session_by_session(tmp_path: Path) -> None:
    """The first session ends in the middle of its records; the second starts from the log."""
    sink = Sink()
    chosen, journal = with_crash(sink, tmp_path)

    verdicts = play_again(chosen, sink.entries(), read_rows=partial(read_order_log, journal))

    assert [verdict.epoch for verdict in verdicts] == [1, 2]
    assert [verdict.difference for verdict in verdicts] == [None, None]
    assert sum(verdict.command_count for verdict in verdicts) == len(sink.of(CommandIssued))
    assert all(verdict.command_count > 15 for verdict in verdicts)


def test_without_what_the_log_held_the_second_session_differs(tmp_path: Path) -> None:
    """The comparison sees the restored state: orders that still worked at the crash."""
    sink = Sink()
    chosen, _ = with_crash(sink, tmp_path)

    first, second = play_again(chosen, sink.entries())

    assert first.difference is None
    assert second.difference is not None


# -- hash seeds ----------------------------------------------------------------------------------

PROGRAM = """
import os
import sys
from tests import recorded_session
from tests.scenarios.test_replay_verify import Waiter, quotes
from tests.scripted_venue import run_settings, settings
from framework.model.market_data import Quote
from tests.scripted_venue import BTC

class Unordered(Waiter):
    async def on_quote(self, quote: Quote) -> None:
        for name in {"alpha", "beta", "gamma", "delta"}:
            self.buy(BTC, 1, tags=(name,))
        await self.sleep(0.5)

recorded_session.SEEDED = os.environ
chosen = settings(run_settings(Waiter, "a"), run_settings(Unordered, "b"), script=quotes(9))
sink = recorded_session.record(chosen)[1]
verdict = recorded_session.verify(chosen, sink)
assert verdict.difference is None, verdict.difference
print(verdict.command_count)
"""


@pytest.mark.kill
@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_r74_r90_a_recording_verifies_under_its_hash_seed_in_a_fresh_process(
    hash_seed: str,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    assert int(done.stdout.split()[-1]) > 30
