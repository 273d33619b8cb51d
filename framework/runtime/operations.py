"""What an operator's verbs do in the core; called inside the step of the request."""

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from framework.engine.order_care import Alert
from framework.errors import OrderError, UnknownInstrument
from framework.model.account import Position
from framework.model.decimals import ZERO
from framework.model.identity import EXTERNAL_RUN
from framework.model.orders import Order, RequestState
from framework.model.records import PositionAssigned
from framework.model.reports import OrderFact, OrderFilled
from framework.model.runs import Run, RunState
from framework.orders.order_state import OrderState
from framework.portfolio.assignments import assignment_refusal
from framework.portfolio.runs import closing
from framework.risk.kill_switch import GateState
from framework.runtime.control import Assignment
from framework.runtime.system import System

BY_KILL_FILE = "kill_file"
BY_OPERATOR = "operator"
IN_DOUBT = RequestState.IN_DOUBT


class SystemOperations:
    """Implements `Operations` on a running system."""

    def __init__(
        self,
        system: System,
        *,
        kill_file: Path | None,
        exists: Callable[[Path], bool],
        alert: Alert,
    ) -> None:
        self._system = system
        self._kill_file = kill_file
        self._alert = alert
        self._exists = exists

    def kill(self, *, reason: str, by: str, flatten: bool) -> None:
        """Halt the gate, cancel working entries (with `flatten`: all, and close positions)."""
        system, desk = self._system, self._system.engine.desk
        cause = BY_KILL_FILE if by == BY_KILL_FILE else BY_OPERATOR
        is_news = flatten or not self._has_told(cause, reason)
        system.safeguards.set_gate(GateState.HALTED, f"{reason} (by {by})", cause)
        for run in self._trading_runs():
            if flatten:
                desk.flatten(run)
            else:
                desk.cancel_entries(run)
        if is_news:
            self._tell("kill_switch", f"halted by {by}: {reason}", level="critical")

    def release(self, *, reason: str, by: str) -> None:
        """Take the operator's halt back; refused while the kill file exists."""
        if self._kill_file is not None and self._exists(self._kill_file):
            raise OrderError(f"the kill file {self._kill_file} is still there")
        for cause in (BY_KILL_FILE, BY_OPERATOR):
            self._system.safeguards.set_gate(GateState.ACTIVE, f"{reason} (by {by})", cause)
        still = self._system.safeguards.kill_switch.reason
        self._tell("kill_switch_released", f"released by {by}: {reason}", level="warning")
        if still:
            raise OrderError(f"released, but something else still holds orders back: {still}")

    def resolve(self, order_id: str, fact: OrderFact, *, by: str) -> None:
        """Apply a person's evidence about an order whose request is in doubt."""
        order = self._order(order_id)
        facts = order.facts
        if IN_DOUBT not in (facts.submit_state, facts.cancel_state, facts.modify_state):
            raise OrderError(f"order {order_id} is {facts.status.value}: nothing is in doubt")
        if isinstance(fact, OrderFilled) and fact.quantity > facts.remaining:
            raise OrderError(f"order {order_id} lacks {facts.remaining:f}, not {fact.quantity:f}")
        self._system.engine.desk.apply(fact)

    def assign(self, assignment: Assignment, *, by: str) -> None:
        """Book a `PositionAssigned`; known `assignment_id`s change nothing."""
        system, engine = self._system, self._system.engine
        run = assignment.to_run if assignment.from_run == EXTERNAL_RUN else assignment.from_run
        account = system.book.get(run).account
        if engine.ledger.is_booked(account, assignment.assignment_id):
            return
        for name in (assignment.from_run, assignment.to_run):
            if name != EXTERNAL_RUN and system.book.get(name).account != account:
                raise OrderError(f"run {name!r} is not on account {account!r}")
        if assignment.to_run != EXTERNAL_RUN:
            self._open_run(assignment.to_run)
        try:
            instrument = engine.instrument(assignment.instrument)
        except UnknownInstrument as error:
            raise OrderError(str(error)) from error
        assigned = PositionAssigned(
            account=account,
            instrument=instrument.id,
            from_run=assignment.from_run,
            to_run=assignment.to_run,
            quantity=assignment.quantity,
            price=instrument.price(assignment.price),
            time_ns=engine.clock.now_ns,
            assignment_id=assignment.assignment_id,
            bucket=assignment.bucket,
        )
        source = engine.ledger.holding(account, assigned.from_run, instrument, assigned.bucket)
        refusal = assignment_refusal(source, assigned)
        if refusal is not None:
            raise OrderError(refusal)
        self._move(assigned)

    def adopt(self, venue_order_id: str, run: str, *, by: str) -> str:
        """Move an external order to a run; return its order id."""
        engine = self._system.engine
        account = self._open_run(run).account
        order = engine.registry.by_venue_id(account, venue_order_id)
        if order is None:
            raise OrderError(f"account {account!r} knows no order {venue_order_id!r}")
        if order.run != EXTERNAL_RUN:
            raise OrderError(f"order {order.order_id} belongs to run {order.run!r}")
        if order.is_closed:
            raise OrderError(f"order {order.order_id} is {order.status.value}: assign its position")
        engine.desk.give(order, run)
        return order.order_id

    def close_run(self, run: str, *, assign_to_external: bool, by: str) -> None:
        """Close a run that has no open order and, unless that is assigned, no position."""
        system, engine = self._system, self._system.engine
        left = closing(
            engine.ledger,
            system.book.get(run).id,
            open_orders=[order.order_id for order in engine.registry.open_orders(run)],
            time_ns=engine.clock.now_ns,
            to_external=assign_to_external,
        )
        for assigned in left:
            self._move(assigned)
        system.book.close(run, f"closed by {by}")
        engine.gate.pause(run, "the run is closed")

    def resume_run(self, run: str, *, by: str) -> None:
        """Let a paused run enter again."""
        system, known = self._system, self._open_run(run)
        if known.state is not RunState.PAUSED and not system.engine.gate.is_paused(run):
            halted = self._halt_reasons().get(run)
            why = "is not paused" if halted is None else f"is halted until a restart: {halted}"
            raise OrderError(f"run {run!r} {why}")
        system.safeguards.resume(run)
        system.care.rearm(run)

    def reset_breaker(self, order_id: str, *, by: str) -> None:
        """Let the exits of an entry be tried again."""
        refusal = self._system.care.emulation.reset(order_id)
        if refusal is not None:
            raise OrderError(refusal)

    def orders(self, *, is_all: bool) -> Sequence[Order]:
        """Return the open orders, or all in memory."""
        return [
            order.event()
            for order in self._system.engine.registry
            if is_all or not order.facts.is_closed
        ]

    def positions(self) -> Sequence[Position]:
        """Return the positions that are not flat."""
        now_ns = self._system.engine.clock.now_ns
        return [
            holding.event(now_ns)
            for holding in self._system.engine.ledger.holdings()
            if holding.quantity != ZERO
        ]

    def runs(self) -> Sequence[Run]:
        """Return every run; of one whose strategy was halted, why."""
        halted = self._halt_reasons()
        return [
            replace(run, reason=f"strategy halted: {halted[run.id]}") if run.id in halted else run
            for run in self._system.book
        ]

    def _halt_reasons(self) -> dict[str, str]:
        return {run.settings.id: run.halt_reason for run in self._system.runs if run.is_halted}

    def _has_told(self, cause: str, reason: str) -> bool:
        """Whether the same halt has been told: by itself, or by the kill file that goes with it."""
        causes = {known.by: known.reason for known in self._system.safeguards.kill_switch.causes}
        if cause == BY_KILL_FILE:  # the switch knows of it already: the watch has tripped it
            return False
        return cause in causes or causes.get(BY_KILL_FILE) == f"{reason} (by {BY_KILL_FILE})"

    def _tell(self, name: str, message: str, *, level: str) -> None:
        """Alert, however shortly after the last one of this name: each is a person's deed."""
        self._alert(name, message, key=str(self._system.engine.clock.now_ns), level=level)

    def _open_run(self, run: str) -> Run:
        known = self._system.book.get(run)
        if known.state is RunState.CLOSED:
            raise OrderError(f"run {run!r} is closed")
        return known

    def _trading_runs(self) -> list[str]:
        return [run.id for run in self._system.book]

    def _order(self, order_id: str) -> OrderState:
        order = self._system.engine.registry.find(order_id)
        if order is None:
            raise OrderError(f"unknown order {order_id!r}")
        return order

    def _move(self, assigned: PositionAssigned) -> None:
        engine = self._system.engine
        engine.record(assigned)
        engine.ledger.assign(assigned)
        for run in (assigned.from_run, assigned.to_run):
            engine.position_changed(run, assigned.instrument)
            self._system.care.positions_changed(run, assigned.instrument)
