"""Runs a configured system: ordered start, ordered stop, and what happens in between.

    async with Runtime(settings) as runtime:
        await runtime.wait()

It works inside any asyncio program, on the loop that is running; it sets nothing global (signal
handlers, logging, the loop itself belong to the command line). On a `SimulatedLoop` a backtest's
data moves virtual time; on a real loop the same data is fed between the loop's other work.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from inspect import iscoroutine
from types import TracebackType
from typing import Any

import anyio
import anyio.abc
import structlog

from framework.bus.subscriber import Handler
from framework.clock.clock import LiveClock, LoopClock, VirtualClock
from framework.clock.watchdog import Watchdog
from framework.engine.driver import Driver
from framework.engine.engine import Engine
from framework.errors import ChannelOverflow, FrameworkError, HandlerTimeout, InvariantBroken
from framework.model.events import RunStarted, RunStopping
from framework.runtime.wiring import Run, Seams, System, build
from framework.settings.modes import Mode
from framework.settings.structs import ErrorPolicy, Settings, StopPolicy
from framework.simulation.loop import SimulatedLoop, seeded_random
from framework.store.memory import MemoryLog

log = structlog.get_logger("runtime")

FAREWELL_S = 5.0  # how long strategies and venues have to finish at a stop
FAREWELL_ROUNDS = 1_000  # the same on a simulated loop, whose time stands still meanwhile
TURN = 256  # recorded events per turn of a real loop
MEMORY_LOG_ENTRIES = 1_000_000  # of a live or paper session without a journal


class Runtime:
    """One configured system; `statistics()` shows its queues, `engine` its state."""

    def __init__(
        self,
        settings: Settings,
        *,
        interrupts_handlers: bool = False,
        journal_id: str | None = None,
    ) -> None:
        self.settings = settings
        self.driver: Driver | None = None
        self.failure: BaseException | None = None
        self.is_recorded = settings.mode in (Mode.BACKTEST, Mode.REPLAY)
        self._interrupts_handlers = interrupts_handlers
        # A backtest must be equal from run to run; a live journal's id must not be guessable.
        self._journal_id = journal_id or (
            f"seed {settings.seed}" if self.is_recorded else secrets.token_hex(16)
        )
        self._system: System | None = None
        self._stop_requested: asyncio.Event | None = None
        self._stack = AsyncExitStack()
        self._watchdog: Watchdog | None = None

    # -- for those who embed it ----------------------------------------------------------------

    @property
    def system(self) -> System:
        """What was put together. Raises InvariantBroken before the start."""
        if self._system is None:
            raise InvariantBroken("the runtime has not been started: use `async with`")
        return self._system

    @property
    def engine(self) -> Engine:
        """The core: bus, order desk, ledger."""
        return self.system.engine

    def statistics(self) -> dict[str, Any]:
        """Return counters per subscriber."""
        return self.engine.bus.statistics()

    async def wait(self) -> None:
        """Wait until the recorded data has ended, or a stop was requested.

        Raises:
            FrameworkError: a part of the system failed.
        """
        if self._stop_requested is None:
            raise InvariantBroken("the runtime has not been started: use `async with`")
        await self._stop_requested.wait()
        if self.failure is not None:
            raise self.failure

    def request_stop(self) -> None:
        """Ask for an orderly stop; `wait` returns."""
        if self._stop_requested is not None:
            self._stop_requested.set()

    async def __aenter__(self) -> "Runtime":
        self._stop_requested = asyncio.Event()
        seams = self._seams()
        order_log = MemoryLog(None if self.is_recorded else MEMORY_LOG_ENTRIES)
        self._system = build(self.settings, seams, order_log, journal_id=self._journal_id)
        for run in self._system.runs:
            self._supervise(run)
        try:
            await self._start(seams)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._stop()
        await self._stack.aclose()

    # -- start -----------------------------------------------------------------------------------

    def _seams(self) -> Seams:
        loop = asyncio.get_running_loop()
        seed = self.settings.seed
        if isinstance(loop, SimulatedLoop):
            clock: Any = (
                LoopClock(loop)
                if self.is_recorded
                else LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
            )
            return Seams(clock=clock, random_for=loop.random_for, blocking=_inline)
        clock = VirtualClock() if self.is_recorded else LiveClock()
        return Seams(
            clock=clock, random_for=lambda name: seeded_random(seed, name), blocking=_in_thread
        )

    async def _start(self, seams: Seams) -> None:
        system, engine = self.system, self.engine
        tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(tasks.cancel_scope.cancel)
        clock = seams.clock
        if isinstance(clock, LiveClock):
            clock.start()
            self._stack.callback(clock.stop)
        elif isinstance(clock, (VirtualClock, LoopClock)):
            self._prepare_driver(clock)
        tasks.start_soon(partial(self._guard, engine.bus.run), name="bus")
        await _until(lambda: all(not run.subscriber.is_busy for run in system.runs))
        for venue in system.venues:
            if venue.adapter.broker is not None:
                tasks.start_soon(partial(self._guard, venue.adapter.broker.run))
        for run in system.runs:
            engine.bus.publish(
                RunStarted(run.settings.id, run.context.session, engine.clock.now_ns)
            )
        engine.bus.deliver_all()
        engine.outputs.release()
        for venue in system.venues:
            if venue.adapter.feed is not None:
                tasks.start_soon(partial(self._guard, venue.adapter.feed.run))
        for run in system.runs:
            tasks.start_soon(partial(self._guard, run.context.warm_up))
        if self.driver is not None:
            self._run_driver(tasks)
        elif not isinstance(asyncio.get_running_loop(), SimulatedLoop):
            self._start_watchdog()

    def _prepare_driver(self, clock: VirtualClock | LoopClock) -> None:
        loop = asyncio.get_running_loop()
        events = self.system.recorded()
        self.driver = Driver(
            iter(()) if events is None else events,
            bus=self.engine.bus,
            outputs=self.engine.outputs,
            clock=clock,
            loop=loop if isinstance(loop, SimulatedLoop) else None,
            ended=self.request_stop,
        )
        first_ns = self.driver.peek_ns()
        if first_ns is not None:
            clock.advance_to(max(clock.now_ns, first_ns))
        self.engine.bus.pump()

    def _run_driver(self, tasks: anyio.abc.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        if self.driver is None:
            return
        if isinstance(loop, SimulatedLoop):
            loop.attach_source(_Guarded(self.driver, self._fail))
        else:
            speed = self.settings.replay.speed if self.settings.mode is Mode.REPLAY else 0.0
            tasks.start_soon(partial(self._guard, partial(_pace, self.driver, speed)))

    async def _guard(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run one part; its failure stops the system in order and is raised by `wait` (R-55)."""
        try:
            await work()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
        if not isinstance(error, FrameworkError):
            log.critical("part_failed", error=repr(error), exc_info=error)
        self.request_stop()

    # -- strategies that fail --------------------------------------------------------------------

    def _supervise(self, run: Run) -> None:
        subscriber = run.subscriber
        subscriber.on_error = lambda handler, error: self._strategy_failed(run, handler, error)
        subscriber.on_overflow = lambda failure: self._strategy_overflowed(run, failure)
        subscriber.wrap(RunStopping, lambda handler: self._finishing(run, handler))

    def _strategy_failed(self, run: Run, handler: str, error: BaseException) -> None:
        self.engine.bus.report(run.settings.id, handler, error)
        if run.settings.on_error is ErrorPolicy.HALT or isinstance(error, HandlerTimeout):
            self.halt(run, f"{handler} raised {error!r}")

    def _strategy_overflowed(self, run: Run, failure: ChannelOverflow) -> None:
        self.engine.bus.report(run.settings.id, "overflow", failure)
        run.is_halted = True
        run.context.block(f"halted: {failure}")
        self._finish(run)  # it can hear nothing any more

    def halt(self, run: Run, reason: str) -> None:
        """Deny the run's orders from now on, tell its strategy, and act by its stop policy."""
        if run.is_halted:
            return
        run.is_halted = True
        log.error("run_halted", run=run.settings.id, reason=reason)
        run.context.block(f"halted: {reason}")
        now_ns = self.engine.clock.now_ns
        self.engine.bus.publish(RunStopping(run.settings.id, now_ns, reason, is_halt=True))

    def _finishing(self, run: Run, handler: Handler) -> Handler:
        """Act by the stop policy once `on_stop` or `on_halt` has ended, whatever came of it."""

        async def wait_for(coroutine: Awaitable[Any]) -> None:
            try:
                await coroutine
            finally:
                self._finish(run)

        def on_stopping(event: RunStopping) -> Any:
            if run.is_stopped:
                return None
            try:
                result = handler(event)
            except BaseException:
                self._finish(run)
                raise
            if iscoroutine(result):
                return wait_for(result)
            self._finish(run)
            return None

        on_stopping.__name__ = "on_stop"
        return on_stopping

    def _finish(self, run: Run) -> None:
        if run.is_stopped:
            return
        run.is_stopped = True
        desk, run_id = self.engine.desk, run.settings.id
        policy = run.settings.on_stop
        if policy is StopPolicy.CANCEL_ENTRIES:
            desk.cancel_entries(run_id)
        elif policy is StopPolicy.CANCEL_ALL:
            desk.cancel_all(run_id)
        elif policy is StopPolicy.FLATTEN:
            desk.flatten(run_id)
        run.context.block(run.context.blocked_reason or "stopped")
        run.context.end_timers()

    def _start_watchdog(self) -> None:
        bus = self.engine.bus

        def look() -> tuple[int, str]:
            running = bus.running
            return bus.ticket, "" if running is None else running.name

        def trip(name: str, stack: str) -> None:
            for run in self.system.runs:
                if run.settings.id == name:
                    run.context.block("a handler held the loop")
            log.critical("handler_blocks_loop", subscriber=name, stack=stack)

        limit_s = self.settings.handler_limit_s
        self._watchdog = Watchdog(limit_s, look, trip, interrupts=self._interrupts_handlers)
        self._watchdog.start()
        self._stack.callback(self._watchdog.stop)

    # -- stop ------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        """Stop data, then strategies, then what they asked for, then the links."""
        system, engine = self.system, self.engine
        self._stop_data()
        if engine.bus.halted is not None:
            return
        await _settled(system)
        for run in system.runs:
            if not run.is_stopped:
                now_ns = engine.clock.now_ns
                engine.bus.publish(RunStopping(run.settings.id, now_ns, "stop"))
        await _settled(system)
        for run in system.runs:
            if not run.is_stopped:
                log.error("strategy_did_not_stop", run=run.settings.id)
                self._finish(run)
        await _settled(system)
        if not self.is_recorded:
            await _until(lambda: not any(map(self._is_closing, system.runs)))
        for run in system.runs:
            run.context.unwatch()
        for venue in system.venues:
            if venue.adapter.close is not None:
                await venue.adapter.close()

    def _is_closing(self, run: Run) -> bool:
        """Whether orders that the stop policy wants gone are still open."""
        policy = run.settings.on_stop
        return policy is not StopPolicy.LEAVE and any(
            policy is not StopPolicy.CANCEL_ENTRIES or not order.reduce_only
            for order in self.engine.registry.open_orders(run.settings.id)
        )

    def _stop_data(self) -> None:
        if self.driver is None:
            return
        self.driver.is_stopped = True
        loop = asyncio.get_running_loop()
        if isinstance(loop, SimulatedLoop):
            loop.detach_source()
        for run in self.system.runs:
            if run.subscriber.is_busy:  # virtual time has stopped: it would wait for ever
                run.subscriber.task.give_up()


class _Guarded:
    """A source whose failure stops the system instead of the loop."""

    def __init__(self, driver: Driver, fail: Callable[[BaseException], None]) -> None:
        self._driver = driver
        self._fail = fail

    def advance(self, until_ns: int | None) -> bool:
        try:
            return self._driver.advance(until_ns)
        except Exception as error:  # bad data, a broken invariant: an orderly stop reports it
            self._fail(error)
            return False


async def _pace(driver: Driver, speed: float) -> None:
    """Feed recorded data on a real loop, `speed` times as fast as it happened; 0: at once."""
    loop = asyncio.get_running_loop()
    started_s, first_ns = loop.time(), driver.peek_ns()
    while first_ns is not None:
        if speed > 0:
            next_ns = driver.peek_ns()
            if next_ns is None:
                driver.feed(1)
                return
            due_s = started_s + (next_ns - first_ns) / 1e9 / speed
            if due_s > loop.time():
                await anyio.sleep(due_s - loop.time())
        if not driver.feed(1 if speed > 0 else TURN):
            return
        await anyio.lowlevel.checkpoint()
    driver.feed(1)  # no data at all: ends at once


async def _settled(system: System) -> None:
    """Deliver until strategies are idle, for at most `FAREWELL_S`."""
    bus = system.engine.bus

    def is_idle() -> bool:
        if bus.is_pumped:
            bus.deliver_all()
        system.engine.outputs.release()
        return not any(
            run.subscriber.is_waiting or (run.subscriber.is_busy and not run.subscriber.is_ended)
            for run in system.runs
        )

    await _until(is_idle)


async def _until(condition: Callable[[], bool]) -> None:
    if isinstance(asyncio.get_running_loop(), SimulatedLoop):
        for _ in range(FAREWELL_ROUNDS):  # virtual time must not move before or after the data
            if condition():
                return
            await anyio.lowlevel.checkpoint()
    with anyio.move_on_after(FAREWELL_S):
        while not condition():  # noqa: ASYNC110 - of many subscribers, with a deadline
            await anyio.sleep(0.001)


async def _inline(function: Callable[[], Any]) -> Any:
    return function()


async def _in_thread(function: Callable[[], Any]) -> Any:
    return await anyio.to_thread.run_sync(function)
