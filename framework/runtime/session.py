"""A process start on a journal: what was, is again before anything new happens (one recovery path).

Order: read the log, refuse a journal of another mode, write down who writes from now on, take over
what holds over restarts (gate, day, runs), number the session of each run, doubt every request that
has no answer, open accounts that are new. Nothing here depends on anything but log and settings, so
that a replay begins in the same state.
"""

import msgspec
import structlog

from framework.engine.restore import Restored, restore, unanswered
from framework.errors import ConfigError, JournalError, OrderError
from framework.interfaces import OrderLog
from framework.model.orders import RequestState
from framework.model.protection import ProtectionState
from framework.model.records import DayBegan, GateSet, JournalOpened, StrategyState
from framework.model.runs import Execution
from framework.runtime import paper
from framework.runtime.journal import why_refused, with_places_of
from framework.runtime.life import SignsOfLife
from framework.runtime.system import System
from framework.runtime.venues import execution_of
from framework.settings.structs import Settings

log = structlog.get_logger("session")

IN_DOUBT = RequestState.IN_DOUBT


class Session:
    """One start; `states` is what strategies had saved, by run."""

    def __init__(self, system: System, settings: Settings, order_log: OrderLog) -> None:
        self.system = system
        self.states: dict[str, StrategyState] = {}
        self.restored: Restored | None = None
        self._settings = settings
        self._log = order_log
        self._rules: dict[str, ProtectionState] = {}

    def begin(self, opened: JournalOpened, *, reads: bool) -> None:
        """Do all of it; `reads`: the log may hold something of an earlier start.

        Raises:
            JournalError: the log does not fit this configuration, or cannot be read.
            ConfigError: a strategy's run is closed, or was another one.
        """
        system, engine = self.system, self.system.engine
        if reads:
            self.restored = restore(
                self._log, system.parts, ids=system.ids, instruments=engine.instruments
            )
            log.info("journal_read", position=self.restored.position)
        opened = self._checked(opened)
        if reads:  # else nobody reads back what holds, and no snapshot is made of it
            engine.record_listeners.append(system.parts.note)
            engine.desk.after_change.append(system.parts.openings.after_change)
            system.parts.openings.is_told = True
        engine.record(opened)
        system.care.shows_life = SignsOfLife(system.runs).are_shown
        self._take_over()
        self._open_runs()
        if system.truth is not None:
            system.truth.attach()
        system.care.emulation.rebuild()
        system.safeguards.start()
        self._doubt()
        self._open_accounts()

    def _checked(self, opened: JournalOpened) -> JournalOpened:
        """Return what is written of this start; refuse one that does not fit the journal (R-67)."""
        before = self.system.parts.newest.get((JournalOpened.__name__, ""))
        if not isinstance(before, JournalOpened):
            return opened
        reason = why_refused(before, opened) or self._left_behind()
        if reason:
            raise JournalError(reason)
        if before.build != opened.build:
            log.info("build_changed", before=before.build, now=opened.build)
        return with_places_of(before, opened)

    def _left_behind(self) -> str:
        """Name an account that the journal holds something of and nobody configures any more."""
        system, accounts = self.system, self._settings.accounts
        held = [holding.account for holding in system.engine.ledger.holdings() if holding.quantity]
        working = [order.account for order in system.engine.registry if not order.is_closed]
        for account in (*working, *held):
            if account not in accounts:
                return (
                    f"account {account!r} has open orders or positions in this journal and is not"
                    " in the configuration: put it back, or start a new journal"
                )
        return ""

    def _take_over(self) -> None:
        safeguards = self.system.safeguards
        for record in self.system.parts.newest.values():
            if isinstance(record, GateSet):
                safeguards.restore_gate(record)
            elif isinstance(record, DayBegan):
                safeguards.restore_day(record)
            elif isinstance(record, StrategyState):
                self.states[record.run] = record
            elif isinstance(record, ProtectionState):
                self._rules[record.run] = record

    def _open_runs(self) -> None:
        system, engine = self.system, self.system.engine
        reality = execution_of(self._settings)
        for index, run in enumerate(system.runs):
            settings = run.settings
            try:
                opened = system.book.open(
                    settings.id,
                    settings.account,
                    execution=settings.execution or reality[settings.account],
                    opened_ns=engine.clock.now_ns,
                    metadata=tuple(settings.metadata.items()),
                    allocation=settings.allocation,
                    protection=settings.protection,
                )
                opened = system.book.start_session(opened.id)
            except OrderError as error:
                raise ConfigError(error.reason, key=f"strategies[{index}].id") from error
            run.context.session = opened.session
            engine.registry.fresh_keys[opened.id] = f"{opened.session}."
            system.care.guard(opened, self._rules.get(opened.id))

    def _doubt(self) -> None:
        """Nobody knows whether what has no answer left; and what was in doubt still is."""
        system, engine = self.system, self.system.engine
        truth = system.truth
        if truth is None:
            return
        reality = execution_of(self._settings)
        for fact in unanswered(engine.registry, engine.clock.now_ns):
            order = engine.registry.get(fact.order_id)
            if order is not None and reality.get(order.account) is Execution.LIVE:
                engine.bus.publish(fact)
        for order in list(engine.registry):
            facts = order.facts
            if IN_DOUBT in (facts.submit_state, facts.cancel_state, facts.modify_state):
                truth.doubts.look_into(order)

    def resume_paper(self) -> None:
        """Give simulated venues back what they held; their answers are inputs like any other."""
        for venue in self.system.venues:
            if venue.simulated is not None and self.restored is not None:
                paper.resume(self.system.engine, venue.simulated, frozenset(venue.accounts))

    def _open_accounts(self) -> None:
        """Book what accounts start with, once in the life of a journal."""
        engine = self.system.engine
        now_ns = engine.clock.now_ns  # of this start, not of when its parts were made
        for opening in self.system.openings:
            booking = msgspec.structs.replace(opening, time_ns=now_ns)
            if engine.ledger.book_cash(booking) is not None:
                engine.record(booking)
