"""The recorder: what it needs, what it writes down of things no session of a test would meet."""

import threading
from typing import Any

import anyio
import pytest

from framework import Strategy
from framework.clock.clock import VirtualClock
from framework.engine.engine import Engine
from framework.engine.recorded_run import RecordingClock
from framework.engine.recorder import Recorder
from framework.errors import InvariantBroken
from framework.interfaces import AdapterContext
from framework.model.identity import OrderIds
from framework.model.inputs import InputTaken, OrdersBlocked, RunUnverifiable, SessionStarted
from framework.model.market_data import Quote
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.store.memory import MemoryLog
from tests.recorded_session import Sink, record, verify
from tests.scripted_venue import BTC, Script, quote, run_settings, settings

START = SessionStarted("j", 1, 0, ())


def engine_with(clock: Any) -> Engine:
    """Return an engine without anything around it."""
    return Engine(clock=clock, log=MemoryLog(), ids=OrderIds("j"), account_of=lambda run: "")


def test_what_is_recorded_needs_the_recorders_clock() -> None:
    recorder = Recorder(Sink(), RecordingClock(VirtualClock()))

    with pytest.raises(InvariantBroken, match="needs the recorder's clock"):
        recorder.attach(engine_with(VirtualClock()), [], START)


def test_market_time_stands_still_while_an_input_is_stepped() -> None:
    inner, sink, read = VirtualClock(5), Sink(), []
    clock = RecordingClock(inner)
    engine = engine_with(clock)

    def step(event: Quote) -> None:
        inner.now_ns += 1
        read.append(clock.now_ns)

    engine.bus.set_step(Quote, step)
    Recorder(sink, clock).attach(engine, [], START)

    engine.bus.publish(quote(0, 1.0, 2.0))

    assert (read, clock.now_ns) == ([5], 6)
    assert [taken.time_ns for taken in sink.of(InputTaken)] == [5]


def test_a_timer_set_outside_every_item_is_its_owners_and_not_recorded() -> None:
    inner, sink = VirtualClock(), Sink()
    clock = RecordingClock(inner)
    engine = engine_with(clock)
    recorder = Recorder(sink, clock)
    recorder.attach(engine, [], START)
    clock.call_at(3, lambda: engine.bus.publish(quote(0, 1.0, 2.0)))

    timer = inner.timers.pop(3)
    assert timer is not None
    timer.callback()

    kinds = [type(item).__name__ for item in sink.records]
    assert kinds == ["SessionStarted", "TypeNamed", "InputTaken"]
    assert not recorder.is_deriving


def test_sync_reaches_the_input_log() -> None:
    sink = Sink()

    Recorder(sink, RecordingClock(VirtualClock())).sync()

    assert sink.sync_count == 1


def test_a_step_that_fails_halts_a_recorded_engine_for_good() -> None:
    clock, sink = RecordingClock(VirtualClock()), Sink()
    engine = engine_with(clock)

    def fail(event: Quote) -> None:
        raise ValueError(event)

    engine.bus.set_step(Quote, fail)
    Recorder(sink, clock).attach(engine, [], START)

    with pytest.raises(InvariantBroken, match="step failed"):
        engine.bus.publish(quote(0, 1.0, 2.0))
    with pytest.raises(InvariantBroken, match="has halted"):
        engine.bus.publish(quote(1, 1.0, 2.0))

    assert len(sink.of(InputTaken)) == 1


def test_a_recorded_bus_still_refuses_other_threads() -> None:
    clock, errors = RecordingClock(VirtualClock()), []
    engine = engine_with(clock)
    Recorder(Sink(), clock).attach(engine, [], START)

    def publish() -> None:
        try:
            engine.bus.publish(quote(0, 1.0, 2.0))
        except InvariantBroken as error:
            errors.append(str(error))

    thread = threading.Thread(target=publish)
    thread.start()
    thread.join()

    assert errors == ["publish from another thread: use publish_threadsafe"]


class Buyer(Strategy):
    """Buys at each quote."""

    def on_start(self) -> None:
        self.watch_quotes(BTC)

    def on_quote(self, quote: Quote) -> None:
        self.buy(BTC, 1)


async def live(context: AdapterContext) -> None:
    """Publish a quote each second."""
    for second in range(10):
        context.publish(quote(second, 100.0, 101.0))
        await anyio.sleep(1)


def test_an_input_that_cannot_be_recorded_ends_what_can_be_verified() -> None:
    class Opaque:
        pass

    async def during(runtime: Runtime) -> None:
        await anyio.sleep(2.5)
        runtime.engine.bus.publish(Opaque())
        await anyio.sleep(2)

    chosen = settings(run_settings(Buyer), script=Script(live=live), mode=Mode.PAPER)

    _, sink = record(chosen, during=during)
    verdict = verify(chosen, sink)

    assert [found.run for found in sink.of(RunUnverifiable)] == [-1]
    assert "Opaque cannot be recorded" in verdict.lost
    assert verdict.command_count == 3
    assert verdict.difference is None


def test_orders_that_somebody_blocks_from_outside_are_blocked_in_the_replay() -> None:
    async def during(runtime: Runtime) -> None:
        context = runtime.system.runs[0].context
        await anyio.sleep(2.5)
        context.block("by hand")
        await anyio.sleep(2)
        context.unblock()
        await anyio.sleep(2)

    chosen = settings(run_settings(Buyer), script=Script(live=live), mode=Mode.PAPER)

    runtime, sink = record(chosen, during=during)
    verdict = verify(chosen, sink)

    assert [found.reason for found in sink.of(OrdersBlocked)][:2] == ["by hand", ""]
    assert verdict.difference is None, verdict.difference
    reasons = [order.reason for order in runtime.engine.registry]
    assert reasons.count("by hand") == 2


def test_a_run_that_the_watchdog_interrupted_is_not_verifiable() -> None:
    class Held(Buyer):
        def on_quote(self, quote: Quote) -> None:
            super().on_quote(quote)
            if quote.bid > 100.0:
                watchdog = threading.Thread(target=self.context.block, args=("held the loop",))  # type: ignore[attr-defined] # the engine's side
                watchdog.start()
                watchdog.join()

    chosen = settings(
        run_settings(Held), script=[quote(second, 99.0 + second, 110.0) for second in range(5)]
    )

    _, sink = record(chosen)
    verdict = verify(chosen, sink)

    assert [found.reason for found in sink.of(RunUnverifiable)] == ["held the loop"]
    assert verdict.unverifiable == {"run": "held the loop"}
    assert verdict.difference is None, verdict.difference
