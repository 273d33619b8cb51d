"""Runs a backtest from settings to result, on virtual time."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import msgspec

from framework.backtest.data import data_played, with_range
from framework.backtest.given_up import GivenUp
from framework.backtest.prices import PriceSeries
from framework.backtest.result import (
    BacktestArtifacts,
    BacktestResult,
    CurrencyResult,
    RunResult,
)
from framework.backtest.trades import TradeBuilder
from framework.clock.clock import LiveClock
from framework.engine.engine import Engine
from framework.errors import ConfigError, StrategyError
from framework.market.candles import parse_interval
from framework.model.decimals import ZERO, add
from framework.model.instrument import to_decimal
from framework.model.orders import Fill, OrderStatus
from framework.model.records import DataPlayed
from framework.portfolio.equity import EquityCurve
from framework.portfolio.performance import measure
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from framework.settings.structs import Settings, StrategySettings
from framework.simulation.loop import run_simulated

KEPT_FILLS = 100_000


class Progress(msgspec.Struct, frozen=True):
    """How far a backtest is; `fraction` is None where the data's end is not known."""

    events: int
    time_ns: int
    fraction: float | None = None


OnProgress = Callable[[Progress], None]
OnListening = Callable[[list[str]], None]


def run_backtest(
    settings: Settings,
    *,
    on_progress: OnProgress | None = None,
    on_listening: OnListening | None = None,
) -> tuple[BacktestResult, BacktestArtifacts]:
    """Play the recorded data of `settings` through its strategies.

    With front doors in the settings it runs on a real loop, and market time waits for those who
    listen outside; `on_listening` hears where they may connect.

    Raises:
        ConfigError: the settings do not fit together.
        DataError: the recorded data cannot be read; names file, line and reason.
        GivenUp: nobody outside answers any more.
    """
    if settings.mode is not Mode.BACKTEST:
        raise ConfigError(f"the mode is {settings.mode.value}, not backtest", key="mode")
    stopwatch = LiveClock()
    started_ns = stopwatch.now_ns
    work = partial(play_recorded, settings, on_progress=on_progress, on_listening=on_listening)

    def timed(result: BacktestResult) -> BacktestResult:
        duration_s = (stopwatch.now_ns - started_ns) / 1e9
        return msgspec.structs.replace(result, duration_s=duration_s)

    try:
        if settings.server:
            with asyncio.Runner() as runner:
                result, artifacts = runner.run(work())
        else:
            result, artifacts = run_simulated(work, seed=settings.seed)
    except GivenUp as error:
        error.result = timed(error.result)
        raise
    return timed(result), artifacts


async def play_recorded(
    settings: Settings,
    *,
    on_progress: OnProgress | None = None,
    on_listening: OnListening | None = None,
) -> tuple[BacktestResult, BacktestArtifacts]:
    """Do the same on the running loop; the result's duration is zero."""
    failure: StrategyError | None = None
    async with Runtime(settings) as runtime:
        recorder = _Recorder(runtime, settings, on_progress)
        recorder.note_data()
        if on_listening is not None and runtime.addresses:
            on_listening(runtime.addresses)
        try:
            await runtime.wait()
        except StrategyError as error:  # the run so far may have taken hours
            failure = error
        recorder.sample()
        recorder.note_range()
    result, artifacts = recorder.result(), recorder.artifacts()
    if failure is not None:
        warnings = (f"given up before the data's end: {failure}", *result.warnings)
        result = msgspec.structs.replace(result, warnings=warnings)
        raise GivenUp(str(failure), result, artifacts) from failure
    return result, artifacts


class _Recorder:
    """Watches a backtest: equity and prices once per interval, and every fill."""

    def __init__(
        self, runtime: Runtime, settings: Settings, on_progress: OnProgress | None
    ) -> None:
        self._runtime = runtime
        self._engine: Engine = runtime.engine
        self._settings = settings
        self._on_progress = on_progress
        self._interval_ns = parse_interval(settings.backtest.equity_interval).length_ns
        self._currency = next((a.currency for a in settings.accounts.values()), "")
        self._curve = EquityCurve()
        self._trades = TradeBuilder()
        self._data: tuple[DataPlayed, ...] = ()
        self._fills: list[Fill] = []
        self._fill_count = 0
        self._prices = {name: PriceSeries() for name in self._engine.instruments}
        self._engine.fill_listeners.append(self._on_fill)
        self._initial_equity = self._equity()
        if runtime.driver is not None and runtime.driver.peek_ns() is not None:
            self._sample_each()

    def _sample_each(self) -> None:
        self.sample()
        clock = self._engine.clock
        clock.call_at(clock.now_ns + self._interval_ns, self._sample_each)

    def note_data(self) -> None:
        """Write down which data is about to be played."""
        system, now_ns = self._runtime.system, self._engine.clock.now_ns
        driver = self._runtime.driver
        first_ns = None if driver is None else driver.peek_ns()
        played = data_played(self._settings, system, time_ns=now_ns)
        self._data = with_range(played, first_ns, None, 0)
        self._write_data()

    def note_range(self) -> None:
        """Write down how far it was played."""
        driver = self._runtime.driver
        if driver is not None and driver.event_count:
            self._data = with_range(self._data, driver.first_ns, driver.last_ns, driver.event_count)
            self._write_data()

    def _write_data(self) -> None:
        for played in self._data:
            self._engine.record(played)

    def sample(self) -> None:
        """Record equity and prices as of now."""
        engine, now_ns = self._engine, self._engine.clock.now_ns
        exposure = ZERO
        for account in self._settings.accounts:
            for holding in engine.ledger.holdings(account=account):
                if holding.quantity:
                    exposure = add(exposure, abs(holding.value(self._mark(holding.instrument.id))))
        self._curve.sample(now_ns, float(self._equity()), float(exposure))
        for name, series in self._prices.items():
            price = engine.market.reference_price(name)
            if price is not None:
                series.add(now_ns, price)
        driver = self._runtime.driver
        if self._on_progress is not None and driver is not None:
            self._on_progress(Progress(driver.event_count, now_ns))

    def _equity(self) -> Decimal:
        equity = ZERO
        for account in self._settings.accounts:
            totals = self._engine.ledger.equity(account, self._mark)
            equity = add(equity, totals.get(self._currency, ZERO))
        return equity

    def _mark(self, instrument: str) -> Decimal | None:
        price = self._engine.market.reference_price(instrument)
        return None if price is None else to_decimal(price)

    def _on_fill(self, fill: Fill) -> None:
        instrument = self._engine.instrument(fill.instrument)
        self._trades.on_fill(
            fill, instrument.multiplier, currency=instrument.currency, base=instrument.base
        )
        self._fill_count += 1
        if len(self._fills) < KEPT_FILLS:
            self._fills.append(fill)

    def artifacts(self) -> BacktestArtifacts:
        """Return what a report draws."""
        return BacktestArtifacts(
            equity=self._curve, trades=self._trades.trades, fills=self._fills, prices=self._prices
        )

    def result(self) -> BacktestResult:
        """Return what the run came to."""
        engine, settings, driver = self._engine, self._settings, self._runtime.driver
        statuses = [order.status for order in engine.registry]
        has_data = driver is not None and driver.event_count > 0
        return BacktestResult(
            name=settings.name,
            mode=settings.mode.value,
            seed=settings.seed,
            currency=self._currency,
            initial_equity=self._initial_equity,
            final_equity=self._equity(),
            performance=measure(self._curve, self._trades.summary()),
            first_ns=driver.first_ns if driver is not None else None,
            last_ns=driver.last_ns if driver is not None and has_data else None,
            events=driver.event_count if driver is not None else 0,
            orders=len(statuses),
            fills=self._fill_count,
            denied=statuses.count(OrderStatus.DENIED),
            rejected=statuses.count(OrderStatus.REJECTED),
            runs=tuple(self._run_result(run.settings) for run in self._runtime.system.runs),
            statistics=tuple(engine.bus.statistics().values()),
            assumptions={
                venue.name: "; ".join(venue.assumptions) for venue in self._runtime.system.venues
            },
            data=self._data,
            warnings=tuple(self._warnings(statuses)),
        )

    def _run_result(self, settings: StrategySettings) -> RunResult:
        run = settings.id
        ledger, account = self._engine.ledger, settings.account
        realised = ledger.realised(account, run=run)
        unrealised = ledger.unrealised(account, self._mark, run=run)
        fees = ledger.fees(account, run)
        currencies = dict.fromkeys([*realised, *unrealised, *fees])
        return RunResult(
            run=run,
            strategy=settings.class_,
            currencies=tuple(
                CurrencyResult(
                    currency=currency,
                    realised=realised.get(currency, ZERO),
                    unrealised=unrealised.get(currency, ZERO),
                    fees=fees.get(currency, ZERO),
                )
                for currency in currencies
            ),
        )

    def _warnings(self, statuses: list[OrderStatus]) -> list[str]:
        warnings = []
        system = self._runtime.system
        if not self._runtime.driver or not self._runtime.driver.event_count:
            warnings.append("the data held no events")
        if not statuses:
            warnings.append("no strategy sent an order")
        if statuses.count(OrderStatus.DENIED):
            reasons = {o.reason for o in self._engine.registry if o.status is OrderStatus.DENIED}
            warnings += [f"denied: {reason}" for reason in sorted(reasons)[:3]]
        warnings += [
            f"run {run.settings.id} was halted: {run.halt_reason}"
            for run in system.runs
            if run.is_halted
        ]
        warnings += [
            f"run {run.settings.id}: its handlers raised {run.subscriber.error_count} times"
            for run in system.runs
            if run.subscriber.error_count
        ]
        for venue in system.venues:
            skipped = getattr(venue.adapter.recorded, "skipped", None)
            if skipped:
                warnings.append(f"venue {venue.name}: rows left out: {dict(skipped)}")
        if self._fill_count > KEPT_FILLS:
            warnings.append(f"the report shows the first {KEPT_FILLS} of {self._fill_count} fills")
        return warnings
