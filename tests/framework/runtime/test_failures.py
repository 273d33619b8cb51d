"""A strategy that raises, hangs or falls behind hurts nobody but itself (R-51, R-54)."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
import pytest

from framework import ErrorRaised, Strategy
from framework.model.market_data import Quote
from framework.model.orders import OrderStatus
from framework.runtime import runner
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import ErrorPolicy, QueueOverflow, QueueSettings, StopPolicy
from framework.strategy.handlers import HANDLERS
from tests.framework.strategy.test_handlers import Everything, Noted, market
from tests.scripted_venue import (
    BTC,
    Script,
    orders_of,
    play,
    position_of,
    quote,
    run_settings,
    settings,
    strategy_of,
)

QUOTES = [quote(second, 100.0, 101.0) for second in range(0, 10)]


class Healthy(Strategy):
    """Counts quotes and hears of others' errors."""

    events: ClassVar[tuple[type, ...]] = (Noted,)

    def on_start(self) -> None:
        self.quotes = 0
        self.errors: list[ErrorRaised] = []
        self.has_stopped = False
        self.watch_quotes(BTC)

    def on_quote(self, quote: Quote) -> None:
        self.quotes += 1

    def on_error(self, error: ErrorRaised) -> None:
        self.errors.append(error)

    def on_stop(self) -> None:
        self.has_stopped = True


def broken_in(handler: str, *, is_async: bool) -> type[Strategy]:
    """Return a strategy that works but for one handler."""

    def fail(self: Any, *event: Any) -> None:
        raise RuntimeError(f"broken in {handler}")

    async def fail_later(self: Any, *event: Any) -> None:
        await self.sleep(0)
        raise RuntimeError(f"broken in {handler}")

    chosen = fail_later if is_async else fail
    chosen.__name__ = handler
    return type("Broken", (Everything,), {handler: chosen})


@pytest.mark.parametrize("is_async", [False, True], ids=["def", "async def"])
@pytest.mark.parametrize("handler", [*HANDLERS, "on_start", "on_stop", "on_event"])
def test_r54_a_handler_that_raises_is_isolated_counted_and_told(
    handler: str, is_async: bool
) -> None:
    runs = run_settings(broken_in(handler, is_async=is_async), "broken"), run_settings(Healthy)
    runtime = play(settings(*runs, script=market()))

    broken, healthy = runtime.system.runs
    assert broken.subscriber.error_count > 0
    assert broken.is_stopped
    assert healthy.subscriber.error_count == 0
    assert strategy_of(runtime, 1).quotes == 2
    assert strategy_of(runtime, 1).has_stopped
    told = [error for error in strategy_of(runtime, 1).errors if error.handler == handler]
    if handler not in ("on_error", "on_stop"):  # of those nobody hears, or nobody any more
        assert told
        assert f"broken in {handler}" in told[0].error
        assert [error.count for error in told] == list(range(1, len(told) + 1))
    assert broken.is_halted is (handler == "on_start")
    assert runtime.engine.bus.halted is None


def test_two_strategies_that_raise_in_on_error_do_not_raise_for_ever() -> None:
    first, second = (broken_in("on_error", is_async=False) for _ in range(2))

    runtime = play(settings(run_settings(first, "a"), run_settings(second, "b"), script=market()))

    # Each raises twice in on_event, and hears of all four of these.
    assert [run.subscriber.error_count for run in runtime.system.runs] == [6, 6]


class Fragile(Strategy):
    """Raises on its second quote."""

    def on_start(self) -> None:
        self.quotes = 0
        self.halted: list[str] = []
        self.has_stopped = False
        self.watch_quotes(BTC)

    def on_quote(self, quote: Quote) -> None:
        self.quotes += 1
        if self.quotes == 1:
            self.buy(BTC, 1)
            self.buy(BTC, 1, price=50)
        if self.quotes == 2:
            raise ValueError("two")
        if self.quotes > 2:
            self.late = self.buy(BTC, 1)

    def on_halt(self, reason: str) -> None:
        self.halted.append(reason)
        self.late = self.buy(BTC, 1)

    def on_stop(self) -> None:
        self.has_stopped = True


def test_on_error_continue_goes_on() -> None:
    runtime = play(settings(run_settings(Fragile), script=QUOTES))

    strategy = strategy_of(runtime)
    assert (strategy.quotes, strategy.halted, strategy.has_stopped) == (10, [], True)
    assert strategy.late.status is OrderStatus.FILLED


def test_on_error_halt_denies_orders_tells_why_and_acts_by_the_stop_policy() -> None:
    runtime = play(settings(run_settings(Fragile, on_error=ErrorPolicy.HALT), script=QUOTES))

    strategy = strategy_of(runtime)
    reason = "on_quote raised ValueError('two')"
    assert (strategy.quotes, strategy.halted, strategy.has_stopped) == (2, [reason], False)
    assert strategy.late.status is OrderStatus.DENIED
    assert strategy.late.reason == f"halted: {reason}"
    assert runtime.system.runs[0].halt_reason == reason
    assert [order.status.value for order in orders_of(runtime)] == [
        "filled",
        "cancelled",  # the entry that rested
        "denied",
    ]


@pytest.mark.parametrize(
    ("policy", "statuses", "left"),
    [
        (StopPolicy.LEAVE, ["filled", "accepted", "accepted"], 1),
        (StopPolicy.CANCEL_ENTRIES, ["filled", "cancelled", "accepted"], 1),
        (StopPolicy.CANCEL_ALL, ["filled", "cancelled", "cancelled"], 1),
        (StopPolicy.FLATTEN, ["filled", "cancelled", "cancelled", "filled"], 0),
    ],
)
@pytest.mark.parametrize("is_async", [False, True], ids=["def", "async def"])
def test_the_stop_policy_decides_what_stays(
    policy: StopPolicy, statuses: list[str], left: int, is_async: bool
) -> None:
    class Trader(Strategy):
        def on_start(self) -> None:
            self.quotes = 0
            self.watch_quotes(BTC)

        def on_quote(self, quote: Quote) -> None:
            self.quotes += 1
            if self.quotes == 1:
                self.buy(BTC, 1)
            elif self.quotes == 2:
                self.buy(BTC, 1, price=50)
                self.sell(BTC, 1, price=150, reduce_only=True)

    async def on_stop(self: Any) -> None:
        await anyio.lowlevel.checkpoint()

    chosen = type("AsyncTrader", (Trader,), {"on_stop": on_stop}) if is_async else Trader
    runtime = play(settings(run_settings(chosen, on_stop=policy), script=QUOTES))

    assert [order.status.value for order in orders_of(runtime)] == statuses
    assert position_of(runtime) == left


def test_an_async_handler_that_never_returns_does_not_hold_a_backtest() -> None:
    notes: list[str] = []

    class Stuck(Strategy):
        def on_start(self) -> None:
            self.watch_quotes(BTC)

        async def on_quote(self, quote: Quote) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                notes.append("cancelled")

        def on_stop(self) -> None:
            notes.append("stopped")

    runtime = play(settings(run_settings(Stuck, "stuck"), Healthy, script=QUOTES))

    assert notes == ["cancelled", "stopped"]
    assert strategy_of(runtime, 1).quotes == 10
    assert runtime.system.runs[0].is_stopped


def test_a_strategy_that_falls_behind_where_nothing_may_be_lost_is_halted() -> None:
    class Slow(Strategy):
        def on_start(self) -> None:
            self.candles = 0
            self.orders_: list[Any] = []
            self.watch_quotes(BTC)

        async def on_quote(self, quote: Quote) -> None:
            self.candles += 1
            if self.candles == 1:
                self.buy(BTC, 1, price=50)
                await self.sleep(3)

    rules = {"quotes": QueueSettings(capacity=256, overflow=QueueOverflow.ERROR)}
    burst = [QUOTES[0], *[quote(1, 100.0, 101.0)] * 300, *QUOTES[2:]]
    runs = run_settings(Slow, "slow"), run_settings(Healthy)
    runtime = play(settings(*runs, script=burst, queues=rules))

    slow, healthy = runtime.system.runs
    assert slow.is_halted
    assert "'quotes' is full at 256 events" in slow.halt_reason
    assert strategy_of(runtime).candles == 257  # what was queued stays readable
    assert [order.status.value for order in orders_of(runtime)] == ["cancelled"]
    assert strategy_of(runtime, 1).quotes == len(burst)
    assert not healthy.is_halted


# -- on a real loop -------------------------------------------------------------------------------


def on_a_real_loop(
    strategies: list[type[Strategy]],
    until: Callable[[Runtime], bool],
    *,
    interrupts: bool = False,
    **options: Any,
) -> Runtime:
    """Run live with a quote per millisecond until a condition holds, and stop."""

    async def live(context: Any) -> None:
        while True:
            now_ns = context.clock.now_ns
            context.publish(Quote(BTC, now_ns, now_ns, 100.0, 101.0))
            await anyio.sleep(0.001)

    async def main() -> Runtime:
        runs = [run_settings(item, f"run{n}", **options) for n, item in enumerate(strategies)]
        chosen = settings(*runs, script=Script(live=live), mode=Mode.PAPER, handler_limit_s=0.5)
        async with Runtime(chosen, interrupts_handlers=interrupts) as runtime:
            with anyio.fail_after(60):
                while not until(runtime):  # noqa: ASYNC110 - of a whole system, with a deadline
                    await anyio.sleep(0.002)
        return runtime

    return asyncio.run(main())


class Blocker(Strategy):
    """Holds the loop once, for as long as `hold` likes."""

    def on_start(self) -> None:
        self.quotes = 0
        self.halted = ""
        self.was_interrupted = False
        self.watch_quotes(BTC)

    def on_quote(self, quote: Quote) -> None:
        self.quotes += 1
        if self.quotes == 3:
            self.hold()

    def on_halt(self, reason: str) -> None:
        self.halted = reason

    def hold(self) -> None:
        raise AssertionError("each test has its own")


def test_r54_a_handler_that_blocks_is_halted_and_the_others_go_on() -> None:
    class Sleepy(Blocker):
        def hold(self) -> None:
            time.sleep(1.0)

    runtime = on_a_real_loop(
        [Sleepy, Healthy],
        lambda runtime: bool(strategy_of(runtime).halted) and strategy_of(runtime, 1).quotes > 3,
    )

    sleepy, healthy = runtime.system.runs
    assert strategy_of(runtime).halted == "a handler held the loop for over 0.5 s"
    assert sleepy.is_halted
    assert sleepy.context.refusal.startswith("halted: a handler held the loop")
    assert not healthy.is_halted


def test_r54_a_handler_that_never_returns_is_interrupted_on_the_main_thread() -> None:
    class Endless(Blocker):
        def hold(self) -> None:
            while True:
                pass

    assert threading.current_thread() is threading.main_thread()
    runtime = on_a_real_loop(
        [Endless, Healthy],
        lambda runtime: bool(strategy_of(runtime).halted),
        interrupts=True,
    )

    assert "held the loop" in strategy_of(runtime).halted
    errors = strategy_of(runtime, 1).errors
    assert [(error.subscriber, error.handler) for error in errors] == [("run0", "on_quote")]
    assert "HandlerTimeout" in errors[0].error
    assert strategy_of(runtime, 1).has_stopped


def test_r10_a_live_stop_waits_only_so_long_for_a_handler_that_never_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "STRATEGIES_S", 0.05)
    notes: list[str] = []

    class Stuck(Strategy):
        def on_start(self) -> None:
            self.quotes = 0
            self.watch_quotes(BTC)

        async def on_quote(self, quote: Quote) -> None:
            self.quotes += 1
            try:
                await anyio.sleep_forever()
            finally:
                notes.append("cancelled")

        async def on_stop(self) -> None:
            notes.append("stopping")
            await anyio.lowlevel.checkpoint()
            notes.append("stopped")

    started = time.monotonic()
    runtime = on_a_real_loop([Stuck], lambda runtime: strategy_of(runtime).quotes == 1)

    assert notes == ["cancelled", "stopping", "stopped"]
    assert runtime.system.runs[0].is_stopped
    assert time.monotonic() - started < 10
    assert runner.STRATEGIES_S + runner.CANCELLED_S + runner.ANSWERS_S + runner.CLOSE_S <= 10


def test_r10_an_on_stop_that_never_returns_does_not_hold_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "STRATEGIES_S", 0.05)

    class Clinging(Strategy):
        def on_start(self) -> None:
            self.order = self.buy(BTC, 1, price=50)

        async def on_stop(self) -> None:
            await anyio.sleep_forever()

    runtime = on_a_real_loop([Clinging], lambda runtime: True)

    assert runtime.system.runs[0].is_stopped
    assert strategy_of(runtime).order.status is OrderStatus.CANCELLED
