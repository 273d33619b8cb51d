"""What watches over a run's orders and positions, inside the step: exits, groups, protection.

It reacts to changed orders and prices by the desk's own calls, so that whatever follows from a fill
is in the same commit as the fill.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from framework.clock.trading_hours import TradingHours
from framework.engine.engine import Engine
from framework.engine.wakeups import Wakeup
from framework.model.account import CashBooked, Settled
from framework.model.decimals import ZERO
from framework.model.exits import ExitRules
from framework.model.instrument import Instrument
from framework.model.orders import OrderIntent, OrderSession, OrderType
from framework.model.protection import ExitRun, ProtectionAction, ProtectionState, RunRearmed
from framework.model.reports import FillCorrection, OrderFact, OrderFilled
from framework.model.runs import Run, RunState
from framework.orders.emulation import Emulation
from framework.orders.exits import fault_in_exits
from framework.orders.held_entries import parent_key
from framework.orders.order_state import OrderState
from framework.orders.protection import EXIT_INCOMPLETE, ProtectionRules
from framework.orders.protection_rules import is_guarded
from framework.portfolio.marks import MarketMarks, usable
from framework.portfolio.runs import Runs

EXECUTIONS = (OrderFilled, FillCorrection)
LOOKS = 4  # how often a strategy is looked at in the time that it may be silent
NS_PER_S = 1_000_000_000


class Alert(Protocol):
    """Tells a person of something."""

    def __call__(self, name: str, message: str, *, key: str = "", level: str = "error") -> None: ...


class OrderCare:
    """Emulated orders and protection rules of every run.

    Attributes:
        emulation: the orders that the core keeps.
        shows_life: tells whether a run's strategy has shown a sign of life since it was asked last.
    """

    def __init__(
        self,
        engine: Engine,
        runs: Runs,
        *,
        currencies: Mapping[str, str],
        exit_rules: Callable[[str], ExitRules],
        hours_of: Callable[[str], TradingHours],
        alert: Alert,
    ) -> None:
        self._engine = engine
        self._runs = runs
        self._currencies = currencies  # by account
        self._exit_rules = exit_rules
        self._hours_of = hours_of
        self._alert = alert
        self._rules: dict[str, tuple[ProtectionRules, Wakeup]] = {}
        self._marks = MarketMarks(engine.market)
        desk = engine.desk
        self.emulation = Emulation(
            desk=desk,
            clock=engine.clock,
            market=engine.market,
            watch_market=engine.market_watch.set,
            capabilities=lambda account: engine.brokers[account].capabilities,
            rules=exit_rules,
            hours_of=hours_of,
            alert=self._tell_of_order,
        )
        self.shows_life: Callable[[str], bool] = _always
        self._held = Wakeup(engine.clock, self.emulation.due)
        desk.needs_holding = self.emulation.needs_holding
        desk.fault_in = self._fault_in
        desk.change_exits = self.emulation.modify_exits
        desk.restart_exits = self.emulation.reset_run
        self.emulation.on_watch = self._listen
        self._is_listening = False
        engine.bus.set_step(CashBooked, self._book)
        engine.bus.set_step(Settled, self._book)

    def guard(self, run: Run, state: ProtectionState | None) -> None:
        """Keep a run's protection rules, if it has any, from where they were."""
        if not is_guarded(run.protection):
            return
        engine = self._engine
        rules = ProtectionRules(
            run,
            ledger=engine.ledger,
            mark=self._marks,
            currency=self._currencies[run.account],
            hours_of=self._hours_of,
            busy=lambda: [o.instrument.id for o in engine.registry.open_orders(run.id)],
            record=engine.record,
        )
        if state is not None:
            rules.restore(state)
        self._listen()

        def on_time(now_ns: int) -> int | None:
            if run.protection.stale_after_s is not None and self.shows_life(run.id):
                rules.heartbeat(now_ns)
            self._act(rules.on_time(now_ns))
            return next_look_ns(rules, now_ns)

        self._rules[run.id] = rules, Wakeup(engine.clock, on_time)

    def resume(self) -> None:
        """Go on after the log was read and accounts reconciled, before strategies start."""
        now_ns = self._engine.clock.now_ns
        self._held.set(self.emulation.resume(now_ns))
        for run, (rules, wakeup) in self._rules.items():
            self._act(rules.start(now_ns))
            wakeup.set(next_look_ns(rules, now_ns))
            self._watch_positions(run)

    def positions_changed(self, run: str, instrument: str) -> None:
        """React to a position that changed without an order: a booking or an assignment."""
        self.emulation.on_booking(run, instrument)
        self._judge_fill(run)

    def rearm(self, run: str) -> None:
        """Let a run's rules match again: a person has resumed it."""
        if run in self._rules:
            rules, wakeup = self._rules[run]
            now_ns = self._engine.clock.now_ns
            rules.rearm(now_ns)
            wakeup.set(next_look_ns(rules, now_ns))

    def _listen(self) -> None:
        """Hear of every order from now on: each call is paid for by every order and fact."""
        if not self._is_listening:
            self._is_listening = True
            desk = self._engine.desk
            # A new list: the desk may be going through the old one.
            hooks = [self.emulation.after_change, self._after_change]
            desk.after_change = hooks + desk.after_change

    def _fault_in(self, intent: OrderIntent, account: str, instrument: Instrument) -> str | None:
        """Return why the exits of an intent make no sense, or None.

        They are judged by the price that its entry is expected to get, if it goes out now.
        """
        reference = None
        if intent.session is OrderSession.NOW and not parent_key(intent):
            reference = intent.stop_price
            if reference is None and intent.type is OrderType.MARKET:
                reference = usable(self._engine.market.reference_price(instrument.id))
        venue = self._engine.brokers[account].capabilities
        return fault_in_exits(intent, instrument, venue, self._exit_rules(intent.run), reference)

    def _after_change(self, order: OrderState, fact: OrderFact | None) -> None:
        if order.role is not None:
            self._held.set(self.emulation.entries.next_due_ns())
        if self._rules and isinstance(fact, EXECUTIONS):
            self._judge_fill(order.intent.run)

    def _judge_fill(self, run: str) -> None:
        if run not in self._rules:
            return
        rules, wakeup = self._rules[run]
        now_ns = self._engine.clock.now_ns
        self._act(rules.on_fill(now_ns))
        wakeup.set(next_look_ns(rules, now_ns))
        self._watch_positions(run)

    def _watch_positions(self, run: str) -> None:
        """Have the marks of what a guarded run holds judged, and of nothing else."""
        engine, name = self._engine, f"protection of {run}"
        for holding in engine.ledger.holdings(run=run):
            instrument = holding.instrument.id
            is_held = engine.ledger.net_quantity(run, instrument) != ZERO
            step = partial(self._on_mark, run, instrument) if is_held else None
            engine.market_watch.set(instrument, name, step)

    def _on_mark(self, run: str, instrument: str, _event: Any) -> None:
        self._act(self._rules[run][0].on_mark(instrument, self._engine.clock.now_ns))

    def _book(self, fact: CashBooked | Settled) -> None:
        """Step a booking, then let those react whose positions it changed."""
        ledger, desk = self._engine.ledger, self._engine.desk
        if isinstance(fact, Settled):
            holdings = ledger.holdings(account=fact.account, instrument=fact.instrument)
            touched = [holding.run for holding in holdings if holding.quantity]
        else:
            touched = [fact.run] if fact.instrument else []
        desk.apply(fact)
        for run in touched:
            self.positions_changed(run, fact.instrument)

    def _act(self, actions: list[ProtectionAction]) -> None:
        gate, runs = self._engine.gate, self._runs
        for action in actions:
            if isinstance(action, ExitRun):
                if runs.get(action.run).state is RunState.ACTIVE:
                    runs.pause(action.run, action.reason)
                gate.pause(action.run, action.reason)
                self._engine.desk.flatten(action.run)
                self._alert("run_exited", action.reason, key=action.run, level="critical")
            elif isinstance(action, RunRearmed):
                runs.resume(action.run)
                gate.resume(action.run)
            else:
                what = f"run {action.run!r}, {action.instrument or 'all positions'}: {action.what}"
                self._alert(f"protection_{action.what}", what, key=action.run)
                if action.what == EXIT_INCOMPLETE:
                    self._engine.desk.flatten(action.run)

    def _tell_of_order(self, name: str, level: str, message: str, order: OrderState) -> None:
        self._alert(name, message, key=order.order_id, level=level)


def next_look_ns(rules: ProtectionRules, now_ns: int) -> int | None:
    """Return when the clock is to be judged next, and the strategy looked at if it may fall silent.

    It is silent once it has shown no sign of life at every look of the time that it is given.
    """
    due_ns = rules.next_time_ns(now_ns)
    silent_s = rules.run.protection.stale_after_s
    if due_ns is None or silent_s is None or rules.state.fired:
        return due_ns
    return min(due_ns, now_ns + round(silent_s * NS_PER_S) // LOOKS)


def _always(_run: str) -> bool:
    return True
