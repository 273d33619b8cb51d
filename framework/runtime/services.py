"""What runs beside the core: questions to venues, alerts, the operator's mailbox, the kill file.

Whatever they bring reaches the core as an event on the bus, so that a replay has it too.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import msgspec
import structlog

from framework.alerts.delivery import AlertDelivery
from framework.alerts.targets import Surroundings, targets_of
from framework.interfaces import OrderLog
from framework.model.events import (
    AccountReconciled,
    ConnectionChanged,
    ConnectionState,
    OperatorAsked,
    TradingStarted,
)
from framework.model.records import AlertRaised
from framework.model.runs import Execution
from framework.runtime.control import Control
from framework.runtime.inquiries import Inquiries
from framework.runtime.kill_file import KillFileWatch, kill_reason
from framework.runtime.mailbox import Mailbox
from framework.runtime.operations import BY_KILL_FILE, SystemOperations
from framework.runtime.operator_place import place_of
from framework.runtime.operator_requests import Answer, Ask, Kill, Release, Request
from framework.runtime.reconciling import Reconciling
from framework.runtime.system import Seams, System
from framework.runtime.venues import execution_of
from framework.settings.modes import Mode
from framework.settings.structs import Settings

log = structlog.get_logger("services")

UP = (ConnectionState.CONNECTED, ConnectionState.STREAMING)
DRAIN_S = 1.0
FEED = "feed"  # the link of market data: orders do not go over it
Guard = Callable[[Callable[[], Awaitable[object]]], Coroutine[Any, Any, None]]


class Asked(msgspec.Struct, frozen=True):
    """An operator's request as the core takes it, with what the core cannot see itself."""

    request: Request
    is_kill_file_there: bool


class Services:
    """The tasks beside the core of one process."""

    def __init__(
        self, settings: Settings, seams: Seams, *, is_alone: bool, is_recorded: bool
    ) -> None:
        """`is_alone`: a simulated world, from which nothing real may leave."""
        self._settings = settings
        self._seams = seams
        self._is_alone = is_alone or is_recorded
        self._is_recorded = is_recorded
        around = Surroundings(
            source=settings.name,
            blocking=seams.blocking,
            environment=os.environ,
            allows_literal_secrets=settings.mode is not Mode.LIVE,
        )
        targets = [] if self._is_alone else targets_of(settings.alerts, around)
        self.delivery = AlertDelivery(targets, seams.random_for("alerts"))
        self.reconciling: Reconciling | None = None
        self._system: System
        self._log: OrderLog
        self._control: Control
        self._answers: dict[str, Answer] = {}
        self._kill_file = place_of(settings).kill_file
        self._is_kill_file_there = False  # as of the request that is stepped
        self._mailbox: Mailbox | None = None
        self._kill_watch: KillFileWatch | None = None
        self._is_trading = False
        self._asked_count = 0
        self._links: dict[tuple[str, str], bool] = {}

    def tell(self, alert: AlertRaised) -> None:
        """Deliver an alert, then write it down: it must be heard with the journal down too."""
        self.delivery.put(alert)
        self._system.engine.record(alert)

    def attach(self, system: System, order_log: OrderLog) -> None:
        """Put the steps of what services bring in place."""
        self._system, self._log = system, order_log
        engine = system.engine
        operations = SystemOperations(
            system,
            kill_file=self._kill_file,
            exists=lambda _: self._is_kill_file_there,
            alert=system.alert,
        )
        self._control = Control(operations, engine.clock, audit=engine.record)
        engine.bus.set_step(OperatorAsked, self._on_operator)
        engine.bus.set_step(AccountReconciled, self._on_reconciled)
        engine.bus.set_step(ConnectionChanged, self._on_connection)
        engine.bus.set_step(TradingStarted, self._on_trading_started)

    async def start(self, tasks: anyio.abc.TaskGroup, guard: Guard) -> None:
        """Start the tasks, and take the requests that were left while no process ran.

        Raises:
            JournalLocked: another process has the mailbox.
        """
        system, seams = self._system, self._seams
        engine = system.engine
        tasks.start_soon(guard, self.delivery.run)
        if system.truth is not None:
            inquiries = Inquiries(
                doubts=system.truth.doubts,
                brokers=engine.brokers,
                clock=seams.clock,
                publish=engine.bus.publish,
            )
            self.reconciling = Reconciling(
                reconciliation=system.truth.reconciliation,
                brokers=engine.brokers,
                clock=seams.clock,
                publish=engine.bus.publish,
                random=seams.random_for("reconciling"),
                alert=system.alert,
            )
            self.reconciling.on_ready = self._tell_reconciled
            tasks.start_soon(guard, inquiries.run)
            tasks.start_soon(guard, self.reconciling.run)
        if not self._is_alone:
            await self._start_operator(tasks, guard)

    def are_ready(self) -> bool:
        """Whether every account is reconciled (R-35)."""
        if self.reconciling is None:
            return True
        return all(map(self.reconciling.is_ready, self._system.engine.brokers))

    async def stop(self) -> None:
        """End what is no task, and give alerts a moment to leave."""
        if self._kill_watch is not None:
            self._kill_watch.stop()
        if self._mailbox is not None:
            self._mailbox.close()
        self._system.alerts.close()
        if not self._is_alone:
            await self.delivery.drain(DRAIN_S)

    # -- steps ---------------------------------------------------------------------------------

    def block_accounts(self) -> None:
        """Let nothing out to accounts that trade for real until they are reconciled."""
        for account, reality in execution_of(self._settings).items():
            if reality is Execution.LIVE:
                self._system.safeguards.conditions.block_account(account, "not reconciled yet")

    def _on_reconciled(self, event: AccountReconciled) -> None:
        self._system.safeguards.conditions.confirm_account(event.account)
        if self._is_trading:
            self._system.care.emulation.try_again(event.account)

    def _on_connection(self, event: ConnectionChanged) -> None:
        """After a link came back, nothing is known of its accounts until they are asked."""
        self._system.engine.books.on_connection(event)
        if event.link == FEED or self._system.truth is None:
            return
        if event.state is ConnectionState.STREAMING and self.reconciling is not None:
            for account in self._accounts_of(event.venue):
                self.reconciling.hears(account)
        was_up = self._links.get((event.venue, event.link), False)
        is_up = self._links[event.venue, event.link] = event.state in UP
        if is_up is was_up:
            return
        conditions = self._system.safeguards.conditions
        for account in self._accounts_of(event.venue):
            what = "reconciling after a reconnect" if is_up else f"link {event.state.value}"
            conditions.doubt_account(account, what)
            if is_up:
                self._ask_again(account)

    def _accounts_of(self, name: str) -> Iterator[str]:
        for venue in self._system.venues:
            if venue.name == name and venue.simulated is None:
                yield from venue.accounts

    def _ask_again(self, account: str) -> None:
        if self.reconciling is not None:
            self.reconciling.request(account)
        if self._system.truth is not None:
            self._system.truth.doubts.wake(account)

    def _on_trading_started(self, _event: TradingStarted) -> None:
        self._is_trading = True
        self._system.care.resume()
        self._system.safeguards.start_day()
        if not self._is_recorded:
            self._system.safeguards.watch_runaways()

    def _on_operator(self, event: OperatorAsked) -> None:
        asked = msgspec.json.decode(event.request, type=Asked)
        self._is_kill_file_there = asked.is_kill_file_there
        self._answers[asked.request.id] = self._control.handle(asked.request)

    # -- from outside --------------------------------------------------------------------------

    def _tell_reconciled(self, account: str) -> None:
        engine = self._system.engine
        engine.bus.publish(AccountReconciled(account, engine.clock.now_ns))

    def ask(self, request: Request) -> Answer:
        """Have the core do what an operator asks, as an input like any other."""
        engine = self._system.engine
        path = None if self._is_alone else self._kill_file
        text = msgspec.json.encode(Asked(request, _is_there(path))).decode()
        engine.bus.publish(OperatorAsked(text, engine.clock.now_ns))
        engine.outputs.release()
        if isinstance(request.ask, Release) and self._kill_watch is not None:
            self._kill_watch.forget()
        return self._answers.pop(request.id)

    def ask_by(self, ask: Ask, by: str) -> Answer:
        """Have the core do something for somebody named, as an operator's request."""
        now_ns = self._seams.clock.now_ns
        self._asked_count += 1
        request_id = f"{now_ns:020d}-{self._asked_count:016x}"
        return self.ask(Request(id=request_id, by=by, time_ns=now_ns, ask=ask))

    async def _start_operator(self, tasks: anyio.abc.TaskGroup, guard: Guard) -> None:
        place = place_of(self._settings)
        if place.kill_file is not None:
            loop = asyncio.get_running_loop()
            self._kill_watch = KillFileWatch(place.kill_file, partial(self._trip, loop))
            self._kill_watch.start()
        if place.mailbox is not None:
            self._mailbox = mailbox = Mailbox(
                place.mailbox, self.ask, blocking=self._seams.blocking, durable=self._log.flush
            )
            await mailbox.open()
            while await mailbox.take():
                pass
            tasks.start_soon(guard, mailbox.run)

    def _trip(self, loop: asyncio.AbstractEventLoop, reason: str) -> None:
        """Halt at once, on the watching thread; cancel and write down once the loop gets to it."""
        now_ns = self._seams.clock.now_ns
        self._system.safeguards.kill_switch.trip(BY_KILL_FILE, reason, now_ns)
        loop.call_soon_threadsafe(self._kill, reason)

    def _kill(self, reason: str) -> None:
        if self._system.engine.bus.halted is None:
            self.ask_by(Kill(reason), BY_KILL_FILE)


def _is_there(kill_file: Path | None) -> bool:
    return kill_file is not None and kill_reason(kill_file) is not None
