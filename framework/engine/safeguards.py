"""The gate of a whole system: its checks, what they ask, and what stops everything."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from framework.clock.trading_hours import TradingHours
from framework.engine.engine import Engine
from framework.engine.order_care import Alert
from framework.engine.outputs import lateness
from framework.engine.risk_inputs import AccountTerms, EngineRiskInputs
from framework.engine.wakeups import Wakeup
from framework.interfaces import BrokerCapabilities
from framework.model.commands import ModifyOrder, VenueCommand
from framework.model.events import DataStale, GapDetected, Resynced
from framework.model.instrument import Instrument
from framework.model.market_data import MarketStatus
from framework.model.orders import Side
from framework.model.records import DayBegan, GateSet
from framework.model.runs import RunState
from framework.portfolio.runs import Runs
from framework.risk.conditions import Conditions
from framework.risk.day import DayState
from framework.risk.kill_switch import GateState
from framework.risk.limits.configured import standard_checks
from framework.risk.limits.permission import Emulated
from framework.risk.runaway import Runaways
from framework.settings.risk_limits import RiskSettings

TELLING = (DataStale, Resynced, MarketStatus)
CostOf = Callable[[str, Instrument, Side, Decimal, Decimal], Decimal]


class Safeguards:
    """Puts the checks of `settings` before the engine's desk, and the kill switch before brokers.

    Attributes:
        conditions: what is known to be wrong at the moment.
        kill_switch: what lets orders leave; anybody may trip it.
    """

    def __init__(
        self,
        engine: Engine,
        runs: Runs,
        settings: RiskSettings,
        *,
        accounts: Mapping[str, AccountTerms],
        hours_of: Callable[[str], TradingHours],
        cost_of: CostOf | None,
        alert: Alert,
    ) -> None:
        self.conditions = Conditions()
        self.kill_switch = engine.gate.kill_switch
        self._engine = engine
        self._runs = runs
        self._alert = alert
        self.inputs = EngineRiskInputs(
            clock=engine.clock,
            ledger=engine.ledger,
            registry=engine.registry,
            market=engine.market,
            accounts=accounts,
            run_of=runs.find,
            capabilities_of=self._capabilities,
            is_open=lambda instrument, now_ns: hours_of(instrument.id).is_open(now_ns),
            cost_of=cost_of,
            timezone=settings.timezone,
        )
        emulated = Emulated(has_next_open=True)
        engine.gate.use(standard_checks(settings, self.inputs, self.conditions, emulated=emulated))
        for event_type in TELLING:
            engine.bus.set_step(event_type, self.conditions.hear)
        engine.bus.set_step(GapDetected, self._hear_gap)
        self._settings = settings
        self._day = Wakeup(engine.clock, self._start_day)

    def watch_runaways(self) -> None:
        """Count what each run sends and is refused, and pause those that run away (R-62)."""
        self.inputs.runaways = runaways = Runaways(
            self._settings.runaway, pause=self.pause, on_trip=self._tell_runaway
        )

        def denied(run: str, now_ns: int) -> None:
            if self.kill_switch.state is GateState.ACTIVE:  # else it is no fault of the run's
                runaways.denied(run, now_ns)

        self._engine.gate.on_denied = denied
        self._hear()

    def _hear_gap(self, gap: GapDetected) -> None:
        self._engine.books.on_gap(gap)
        self.conditions.hear(gap)

    def start(self) -> None:
        """Begin to count: after the log was read."""
        engine = self._engine
        if limits_fills(self._settings):
            self._hear()
        for run in self._runs:
            if run.state is RunState.PAUSED:
                engine.gate.pause(run.id, run.reason)

    def _hear(self) -> None:
        """Count what orders and facts tell, where a check or a breaker asks for it."""
        hooks = self._engine.desk.after_change
        if self.inputs.after_change not in hooks:
            hooks.append(self.inputs.after_change)

    def start_day(self) -> None:
        """Count the day's profits from now on, or go on with a day that is not over."""
        if limits_daily_loss(self._settings):
            now_ns = self._engine.clock.now_ns
            ends_ns = self.inputs.day_ends_ns
            self._day.set(ends_ns if ends_ns > now_ns else self._start_day(now_ns))

    def guard_outputs(self) -> None:
        """Look at each command once more right before it leaves: time has passed since."""
        self._engine.outputs.refusal = self._refusal

    def set_gate(self, state: GateState, reason: str, by: str) -> None:
        """Trip, hold or release the kill switch and write it down: it outlives a restart."""
        now_ns = self._engine.clock.now_ns
        self.kill_switch.set_state(state, reason, by=by, time_ns=now_ns)
        self._engine.record(GateSet(state.value, reason, by, now_ns))

    def restore_gate(self, record: GateSet) -> None:
        """Hold back what was held back when the process ended."""
        self.kill_switch.set_state(
            GateState(record.state), record.reason, by=record.by, time_ns=record.time_ns
        )

    def pause(self, run: str, reason: str) -> None:
        """Let a run only shrink what it holds until a person resumes it."""
        self._engine.gate.pause(run, reason)
        if self._runs.find(run) is not None:
            self._runs.pause(run, reason)

    def resume(self, run: str) -> None:
        """Let a paused run enter again."""
        self._engine.gate.resume(run)
        self._runs.resume(run)
        if self.inputs.runaways is not None:
            self.inputs.runaways.reset(run)

    def _capabilities(self, account: str) -> BrokerCapabilities | None:
        broker = self._engine.brokers.get(account)
        return None if broker is None else broker.capabilities

    def _refusal(self, command: VenueCommand) -> str | None:
        is_exit = False
        if isinstance(command, ModifyOrder):
            order = self._engine.registry.get(command.order_id)
            is_exit = order is not None and order.reduce_only
        if not self.kill_switch.may_leave(command, is_exit=is_exit):
            return f"halted: {self.kill_switch.reason}"
        return lateness(command, self._engine.clock.now_ns)

    def restore_day(self, record: DayBegan) -> None:
        """Go on with the day of before the restart, unless it is over."""
        state = DayState(record.ends_ns, record.profits)
        self.inputs.restore_day(state, self._engine.clock.now_ns)

    def _start_day(self, now_ns: int) -> int:
        self.inputs.start_day(now_ns)
        day = self.inputs.day_state()
        self._engine.record(DayBegan(day.ends_ns, day.profits, now_ns))
        return day.ends_ns

    def _tell_runaway(self, run: str, reason: str) -> None:
        self._alert("runaway", f"run {run!r} is paused: {reason}", key=run, level="critical")


def limits_fills(settings: RiskSettings) -> bool:
    """Tell whether fills one way in a row are limited anywhere in the section."""
    named = (settings.accounts, settings.runs, settings.instruments)
    owners = (settings, *(owner for part in named for owner in part.values()))
    return any(owner.max_same_direction_fills is not None for owner in owners)


def limits_daily_loss(settings: RiskSettings) -> bool:
    """Tell whether a daily loss is limited anywhere in the section."""
    owners = (settings, *settings.accounts.values(), *settings.runs.values())
    return any(owner.max_daily_loss is not None for owner in owners)
