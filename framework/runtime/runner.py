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
from types import TracebackType
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import msgspec
import structlog

from framework.clock.clock import LiveClock, LoopClock, VirtualClock
from framework.engine.driver import Driver
from framework.engine.engine import Engine
from framework.errors import FrameworkError, InvariantBroken
from framework.interfaces import MarketFeed, OrderLog, TradingDesk
from framework.model.events import RunStarted, TradingStarted
from framework.model.records import AlertRaised
from framework.runtime.desk import Desk
from framework.runtime.journal import open_journal
from framework.runtime.keeping import Keeping
from framework.runtime.recorded_data import RecordedData
from framework.runtime.seams import make_seams
from framework.runtime.services import Services
from framework.runtime.supervisor import Supervisor
from framework.runtime.system import Seams, System
from framework.runtime.wiring import build
from framework.settings.modes import Mode
from framework.settings.structs import Settings
from framework.simulation.loop import SimulatedLoop
from framework.store.memory import MemoryLog

if TYPE_CHECKING:
    from framework.runtime.doors import FrontDoors

log = structlog.get_logger("runtime")

START_S = 5.0  # how long the tasks of strategies have to come up
STRATEGIES_S = 3.0  # how long strategies have at a stop; all waits together: below 10 s
RECORDED_S = 0.5  # the same where market time has stopped: only answers from outside may come
CANCELLED_S = 1.0  # and then their cancelled handlers
ANSWERS_S = 2.0  # and then venues to answer what the stop policies asked for
CLOSE_S = 1.0  # and then each adapter
FAREWELL_ROUNDS = 1_000  # the same on a simulated loop, whose time stands still meanwhile
READY_POLL_S = 0.01
MEMORY_LOG_ENTRIES = 1_000_000  # of a live or paper session without a journal


class Runtime:
    """One configured system; `statistics()` shows its queues, `engine` its state.

    `order_log` stands in for the journal of the settings; the runtime closes it. `journal_id` names
    the journal where there is none on disk.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        interrupts_handlers: bool = False,
        journal_id: str | None = None,
        order_log: OrderLog | None = None,
        config: str = "",
    ) -> None:
        self.settings = settings
        self._recorded: RecordedData | None = None
        self.failure: BaseException | None = None
        self.is_recorded = settings.mode in (Mode.BACKTEST, Mode.REPLAY)
        self._interrupts_handlers = interrupts_handlers
        self._config = config  # the text of the configuration, kept with recorded inputs
        # A backtest must be equal from run to run; a live journal's id must not be guessable.
        self._journal_id = journal_id or (f"seed {settings.seed}" if self.is_recorded else None)
        self._order_log = order_log
        self._system: System | None = None
        self._stop_requested: asyncio.Event | None = None
        self._has_started = False
        self._desk: Desk | None = None
        self._doors: FrontDoors | None = None
        self._stack = AsyncExitStack()
        self._supervisor: Supervisor | None = None
        self._keeping: Keeping | None = None
        self._services: Services | None = None
        self._feed_scopes: list[anyio.CancelScope] = []

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

    @property
    def restored_position(self) -> int:
        """The journal's last entry at the start; 0: it was new, or there is none."""
        return 0 if self._keeping is None else self._keeping.restored_position

    @property
    def driver(self) -> Driver | None:
        """What moves recorded data; None in a live system."""
        return None if self._recorded is None else self._recorded.driver

    @property
    def desk(self) -> TradingDesk:
        """What to trade through from outside a strategy, as the program around may."""
        if self._desk is None:
            self._desk = Desk(
                self.system,
                currencies={name: one.currency for name, one in self.settings.accounts.items()},
                is_paced=self._is_paced,
            )
        return self._desk

    @property
    def addresses(self) -> list[str]:
        """Where front doors listen: `http://127.0.0.1:8080`, `unix:/path`."""
        return [] if self._doors is None else self._doors.addresses

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
        seams = make_seams(self.settings)
        try:
            self._keeping = keeping = await self._open(seams)
            engine_seams = msgspec.structs.replace(seams, clock=keeping.clock)
            self._services = services = Services(
                self.settings, seams, is_alone=self._is_simulated, is_recorded=self.is_recorded
            )
            self._system = system = build(
                self.settings,
                engine_seams,
                keeping.log,
                journal_id=keeping.log.journal_id,
                tell=self._tell,
            )
            self._supervisor = Supervisor(system.engine, system.runs)
            services.attach(system, keeping.log)
            await self._start(seams, system, self._supervisor)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._close()
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

    async def _open(self, seams: Seams) -> Keeping:
        """Open the journal, or what stands in for it."""
        url = None if self.is_recorded else self.settings.journal
        log = self._order_log
        if log is None and url is not None:
            log = await open_journal(
                self.settings,
                url,
                seams,
                make_id=self._id_maker(seams),
                is_simulated=self._is_simulated,
            )
        if log is None:
            capacity = None if self.is_recorded else MEMORY_LOG_ENTRIES
            log = MemoryLog(capacity, journal_id=self._journal_id or self._id_maker(seams)())
        return Keeping(self.settings, seams, log, is_simulated=self._is_simulated, url=url)

    def _id_maker(self, seams: Seams) -> Callable[[], str]:
        """Return what names a new journal: not to be guessed; in a simulated world the seed's."""
        if self._is_simulated:
            return lambda: seams.random_for("journal id").randbytes(16).hex()
        return lambda: secrets.token_hex(16)

    @property
    def _is_simulated(self) -> bool:
        return isinstance(asyncio.get_running_loop(), SimulatedLoop)

    @property
    def _is_paced(self) -> bool:
        """Market time waits for clients outside: a backtest behind front doors."""
        return self.settings.mode is Mode.BACKTEST and bool(self.settings.server)

    def _tell(self, alert: AlertRaised) -> None:
        if self._services is not None:
            self._services.tell(alert)
        if self._desk is not None:
            self._desk.tell_alert(alert)

    async def _start(self, seams: Seams, system: System, supervisor: Supervisor) -> None:
        """Read the log, ask the venues, and only then let strategies and market data begin."""
        engine, keeping, services = system.engine, self._keeping, self._services
        if keeping is None or services is None:
            raise InvariantBroken("the runtime has been started in pieces")
        tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(tasks.cancel_scope.cancel)
        self._start_clock(seams, system)
        services.block_accounts()
        keeping.begin(system, config=self._config, is_pumped=self.is_recorded)
        if self.settings.server:
            from framework.runtime.doors import FrontDoors  # aiohttp is for those who serve

            self._doors = FrontDoors(self.settings, system, self.desk, seams)
        tasks.start_soon(partial(self._guard, engine.bus.run), name="bus")
        await self._until(lambda: all(not run.subscriber.is_busy for run in system.runs), START_S)
        keeping.go_on()
        await self._start_links(tasks, supervisor, keeping, services)
        if self._stop_requested is not None and self._stop_requested.is_set():
            return  # while venues were asked
        self._start_trading(tasks, system, keeping)
        if self._doors is not None:
            await self._doors.open()
            tasks.start_soon(self._doors.run)
        if self._recorded is not None:
            work = self._recorded.run(self._doors, self._fail)
            if work is not None:
                tasks.start_soon(partial(self._guard, work))

    def _start_clock(self, seams: Seams, system: System) -> None:
        clock = seams.clock
        if isinstance(clock, LiveClock):
            clock.start()
            self._stack.callback(clock.stop)
        elif isinstance(clock, (VirtualClock, LoopClock)):
            self._recorded = RecordedData(self.settings, system, clock, ended=self.request_stop)

    async def _start_links(
        self,
        tasks: anyio.abc.TaskGroup,
        supervisor: Supervisor,
        keeping: Keeping,
        services: Services,
    ) -> None:
        """Connect to venues, watch over handlers, and ask how accounts stand."""
        if not self.is_recorded:
            self.system.safeguards.guard_outputs()
            tasks.start_soon(partial(self._guard, keeping.run))
        for venue in self.system.venues:
            if venue.adapter.broker is not None:
                tasks.start_soon(partial(self._guard, venue.adapter.broker.run))
        if self._recorded is None and not self._is_simulated:
            watchdog = supervisor.watch_handlers(
                self.settings.handler_limit_s, interrupts=self._interrupts_handlers
            )
            self._stack.callback(watchdog.stop)
        if not self.is_recorded:
            await services.start(tasks, self._guard)
            await self._until_ready(services)

    async def _until_ready(self, services: Services) -> None:
        """Wait until every account is reconciled, or a stop is requested (R-35)."""
        stop = self._stop_requested
        while not services.are_ready() and stop is not None and not stop.is_set():  # noqa: ASYNC110
            await anyio.sleep(
                READY_POLL_S
            )  # several accounts, one stop: any of them may come first

    def _start_trading(self, tasks: anyio.abc.TaskGroup, system: System, keeping: Keeping) -> None:
        engine = system.engine
        self._has_started = True
        engine.bus.publish(TradingStarted(engine.clock.now_ns))
        keeping.tell_unprotected()
        for run in system.runs:
            run.context.warm_up.start = self._starter(tasks, run.context.warm_up.fetch)
            engine.bus.publish(
                RunStarted(run.settings.id, run.context.session, engine.clock.now_ns)
            )
            keeping.redeliver(run)
        engine.bus.deliver_all()
        engine.outputs.release()
        for venue in system.venues:
            if venue.adapter.feed is not None:
                tasks.start_soon(partial(self._guard, partial(self._feed, venue.adapter.feed)))

    def _starter(
        self, tasks: anyio.abc.TaskGroup, work: Callable[[], Awaitable[object]]
    ) -> Callable[[], None]:
        def start() -> None:
            tasks.start_soon(partial(self._guard, work))

        return start

    async def _feed(self, feed: MarketFeed) -> None:
        with anyio.CancelScope() as scope:
            self._feed_scopes.append(scope)
            await feed.run()

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

    # -- stop ------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        """Stop front doors, recorded data, strategies, what they asked for, then the links."""
        if self._doors is not None:
            await self._doors.close()
        if self._has_started and self.engine.bus.halted is None and self._supervisor is not None:
            await self._stop_strategies(self._supervisor)
        for scope in self._feed_scopes:
            scope.cancel()
        for run in self.system.runs:
            run.context.unwatch()
        await self._close()

    async def _close(self) -> None:
        """Write down what is left, then let go of links, alerts and journal, each for a while."""
        if self._system is not None:
            if self._keeping is not None and self._has_started:
                self._keeping.finish()
            await self._close_adapters(self._system)
            if self._services is not None:
                await self._services.stop()
        if self._keeping is not None:
            await self._keeping.aclose()

    async def _stop_strategies(self, supervisor: Supervisor) -> None:
        """Let every strategy end within `STRATEGIES_S`, and its orders within `ANSWERS_S`.

        Live data goes on meanwhile: closing orders need prices.
        """
        if self._recorded is not None:
            self._recorded.stop()
        supervisor.ask_to_stop()
        limit_s = RECORDED_S if self.is_recorded else STRATEGIES_S
        await self._until(supervisor.has_stopped, limit_s)
        supervisor.cancel_handlers()
        await self._until(supervisor.has_stopped, CANCELLED_S)
        supervisor.finish_all()
        await self._until(lambda: not supervisor.is_closing(), ANSWERS_S)

    async def _until(self, condition: Callable[[], bool], limit_s: float) -> None:
        """Deliver and send until `condition` holds, for at most `limit_s` of real time.

        Recorded data on a simulated loop: virtual time must not move before or after the data,
        so that only so many turns of the loop are left.
        """
        bus, outputs = self.engine.bus, self.engine.outputs

        def is_done() -> bool:
            if bus.is_pumped:
                bus.deliver_all()
                outputs.release()
            return condition()

        if isinstance(asyncio.get_running_loop(), SimulatedLoop):
            for _ in range(FAREWELL_ROUNDS):
                if is_done():
                    return
                await anyio.lowlevel.checkpoint()
            if self.is_recorded:
                return
        with anyio.move_on_after(limit_s):
            while not is_done():  # noqa: ASYNC110 - of many subscribers, with a deadline
                await anyio.sleep(0.001)

    async def _close_adapters(self, system: System) -> None:
        for venue in system.venues:
            if venue.adapter.close is None:
                continue
            with anyio.move_on_after(CLOSE_S):
                try:
                    await venue.adapter.close()
                except Exception as error:  # the other links still want to be closed
                    log.error("close_failed", venue=venue.name, error=repr(error))
