"""What a process keeps: order log, input log, snapshots and strategies' states, start to end."""

import asyncio
import os

import anyio
import structlog

from framework.engine.recorded_run import RecordingClock
from framework.engine.recorder import Recorder
from framework.engine.session_start import session_start
from framework.errors import JournalError
from framework.interfaces import Clock, OrderLog
from framework.orders.eviction import ClosedOrders
from framework.risk.kill_switch import GateState
from framework.runtime.journal import Snapshots, inputs_directory, opened
from framework.runtime.session import Session
from framework.runtime.strategy_states import StateKeeper
from framework.runtime.system import Run, Seams, System
from framework.settings.structs import Settings
from framework.store.input_log import InputLog
from framework.store.memory import MemoryLog
from framework.store.order_log import StoredLog

log = structlog.get_logger("journal")

TICK_S = 0.1  # inputs reach the disk this often, besides with each order commit they precede
FLUSH_S = 1.0
BY_JOURNAL = "journal"


class Keeping:
    """One process start on one order log.

    Attributes:
        log: the order log.
        clock: what the engine has to be built with.
    """

    def __init__(
        self,
        settings: Settings,
        seams: Seams,
        order_log: OrderLog,
        *,
        is_simulated: bool,
        url: str | None,
    ) -> None:
        self.log = order_log
        self.clock: Clock = seams.clock
        self._settings = settings
        self._seams = seams
        self._is_simulated = is_simulated
        self._is_durable = not isinstance(order_log, MemoryLog)
        self._inputs: InputLog | None = None
        self._recorder: Recorder | None = None
        inputs = open_inputs(settings, order_log, url)
        if inputs is not None:
            clock = RecordingClock(seams.clock)
            self.clock = clock
            self._inputs = inputs
            self._recorder = Recorder(inputs, clock)
        self._has_redelivered = False
        self._writing = asyncio.Lock()  # held while a tick writes, in other threads too
        self._is_closing = False
        self._system: System
        self._session: Session
        self._states: StateKeeper
        self._snapshots: Snapshots
        self._closed: ClosedOrders

    def begin(self, system: System, *, config: str, is_pumped: bool) -> None:
        """Read the log into the system; nothing has happened in this process yet.

        Raises:
            JournalError: the log does not fit, or cannot be read.
            ConfigError: a strategy's run is closed, or was another one.
        """
        engine = system.engine
        self._system = system
        start_ns, position = self.clock.now_ns, self.log.position
        self._session = Session(system, self._settings, self.log)
        self._states = StateKeeper(engine, system.runs, is_kept=self._is_durable)
        clock = self.clock
        if self._recorder is not None:
            self._recorder.keep_outside(system.alerts, "raise_")
        if isinstance(clock, RecordingClock):
            clock.item_ns = start_ns  # one instant, as in a replay
        self._session.begin(opened(self._settings, self.log, start_ns), reads=self._is_durable)
        self._states.start(self._session.states)
        if isinstance(clock, RecordingClock):
            clock.item_ns = None
        if self._recorder is not None:
            start = session_start(
                system.runs,
                self._settings,
                journal_id=self.log.journal_id,
                epoch=self.log.epoch,
                time_ns=start_ns,
                seed=self._settings.seed,
                environment=os.environ,
                config=config,
                order_position=position,
                is_pumped=is_pumped,
            )
            venues = [venue.simulated for venue in system.venues if venue.simulated is not None]
            self._recorder.attach(engine, system.runs, start, venues=venues)
        if self._inputs is not None and isinstance(self.log, StoredLog):
            self.log.before_write = self._inputs.flush  # inputs precede the orders they led to
        if self._is_durable:
            self._closed = ClosedOrders(engine.registry, lambda: self.log.position)
            self._closed.is_needed = system.care.emulation.keeps
            engine.desk.after_change.append(self._closed.after_change)
            self.log.on_durable = self._on_durable
        if self._is_simulated or is_pumped:
            engine.outputs.commit = self.log.commit

    @property
    def restored_position(self) -> int:
        """The last entry that was read at the start; 0: there was none."""
        restored = self._session.restored
        return 0 if restored is None else restored.position

    def go_on(self) -> None:
        """Give simulated venues back what they held, now that what they answer is heard."""
        self._snapshots = Snapshots(self._system, self.log)
        self._session.resume_paper()

    async def run(self) -> None:
        """Write inputs, states and snapshots, a few times a second, until closed or cancelled."""
        while True:
            await anyio.sleep(TICK_S)
            async with self._writing:
                if self._is_closing:
                    return
                await self._write()

    async def _write(self) -> None:
        if self._is_durable:
            if self._has_redelivered:  # until then no cursor may move on
                self._states.check()
            self._snapshots.check()
        inputs = self._inputs
        if inputs is not None and not inputs.failure:
            try:
                await self._seams.blocking(inputs.sync)
            except JournalError as error:
                self._fail(str(error))

    def redeliver(self, run: Run) -> None:
        """Tell a strategy again what it may have missed."""
        self._has_redelivered = True
        if self._is_durable:
            count = self._states.redeliver(run)
            if count:
                log.info("redelivered", run=run.settings.id, events=count)

    def tell_unprotected(self) -> None:
        """List what nothing protects while this process is down."""
        for position in self._system.care.emulation.unprotected():
            log.warning(
                "unprotected_while_down",
                run=position.run,
                instrument=position.instrument,
                quantity=str(position.quantity),
                orders=", ".join(position.keys),
            )

    def finish(self) -> None:
        """Save what an orderly stop can save."""
        self.tell_unprotected()
        if self._is_durable:
            self._states.save_all()
            self._snapshots.save()

    async def aclose(self) -> None:
        """Write what is left and let go of the files; a journal that cannot be written is told."""
        self._is_closing = True  # no tick begins any more
        with anyio.move_on_after(FLUSH_S):
            try:
                await self.log.flush()
            except JournalError as error:
                log.critical("journal_not_flushed", reason=str(error))
        await self.log.aclose()
        if self._inputs is not None:
            try:
                async with self._writing:  # the last one must not find them closed
                    await self._seams.blocking(self._inputs.close)
            except JournalError as error:
                log.error("inputs_not_closed", reason=str(error))

    def _on_durable(self) -> None:
        if self.log.failure:
            self._fail(self.log.failure)
        self._system.engine.outputs.release()
        self._closed.evict(self.log.durable_position)

    def _fail(self, reason: str) -> None:
        """Stop what would not be written down (law 2); cancels and exits may still leave."""
        switch = self._system.safeguards.kill_switch
        if any(cause.by == BY_JOURNAL for cause in switch.causes):
            return
        switch.set_state(GateState.HALTED, reason, by=BY_JOURNAL, time_ns=self._seams.clock.now_ns)
        self._system.alert("journal_failed", reason, level="critical")


def open_inputs(settings: Settings, order_log: OrderLog, url: str | None) -> InputLog | None:
    """Open the input log beside the journal at `url`; None where inputs are not recorded.

    Raises:
        JournalError: it cannot be written, or belongs to another journal.
    """
    directory = inputs_directory(url) if url and settings.record_inputs else None
    if directory is None:
        return None
    return InputLog.open(directory, order_log.journal_id, order_log.epoch)
