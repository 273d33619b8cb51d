"""From settings to a system: the one place where parts are made and put together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from framework.alerts.deduplication import Alerts
from framework.bus.overflow import DEFAULT_RULES, ChannelRule, Overflow
from framework.bus.subscriber import Interest, Subscriber
from framework.clock.calendars import Calendars
from framework.clock.trading_hours import TradingHours
from framework.engine.books import log_request
from framework.engine.engine import Engine
from framework.engine.order_care import Alert, OrderCare
from framework.engine.risk_inputs import AccountTerms
from framework.engine.run_context import RunContext
from framework.engine.safeguards import Safeguards
from framework.engine.snapshots import CoreParts
from framework.engine.venue_truth import VenueTruth
from framework.errors import ConfigError
from framework.interfaces import MarketFeed, OrderLog, RecoversBooks
from framework.market.escalation import Reconnect, Request, RequestSnapshot, Resubscribe
from framework.model.account import Account, CashBooked, Position, Settled
from framework.model.events import (
    ConnectionChanged,
    DataStale,
    ErrorRaised,
    GapDetected,
    Resynced,
    RunStarted,
    RunStopping,
    Timer,
)
from framework.model.exits import ExitRules
from framework.model.identity import OrderIds, venue_of
from framework.model.orders import Fill, FillCorrected, Order
from framework.model.records import AlertRaised
from framework.model.runs import Execution
from framework.orders.external import RecentIds
from framework.orders.openings import Openings
from framework.portfolio.marks import MarketMarks
from framework.portfolio.runs import Runs
from framework.runtime.dry_run import DryRunBroker
from framework.runtime.system import Run, Seams, System
from framework.runtime.venues import build_venue, cost_of, execution_of, open_accounts, openings
from framework.settings.checks import check_settings, resolved
from framework.settings.decoding import decode_section
from framework.settings.modes import data_and_orders
from framework.settings.structs import LogLevel, Settings, StrategySettings
from framework.strategy.handlers import handlers_of
from framework.strategy.loader import load_class

__all__ = ["Run", "Seams", "System", "build", "describe"]

PRIVATE = (Order, Fill, FillCorrected, Position, CashBooked)
SYSTEM = (ConnectionChanged, GapDetected, Resynced, DataStale, ErrorRaised)


def build(
    settings: Settings,
    seams: Seams,
    log: OrderLog,
    *,
    journal_id: str,
    tell: Callable[[AlertRaised], None] = lambda alert: None,
) -> System:
    """Put a system together without starting anything; `tell` hears of each alert.

    Raises:
        ConfigError: a venue, account or strategy does not fit; names the key.
    """
    settings = resolved(settings)  # settings made in code have not been through `load`
    check_settings(settings)
    accounts = {strategy.id: strategy.account for strategy in settings.strategies}
    ids = OrderIds(journal_id)
    engine = Engine(
        clock=seams.clock,
        log=log,
        ids=ids,
        account_of=lambda run: accounts.get(run, ""),
        rules=_rules(settings),
    )
    venues = {
        name: build_venue(name, venue, settings, engine, seams)
        for name, venue in settings.venues.items()
    }
    open_accounts(settings, engine, venues, seams)
    alerts = Alerts(seams.clock, tell)
    alert = partial(_raise_alert, alerts)
    book = Runs(execution_of(settings), record=engine.record)
    hours_of = _hours_of(settings, engine)
    care = OrderCare(
        engine,
        book,
        currencies={name: account.currency for name, account in settings.accounts.items()},
        exit_rules=_exit_rules(settings),
        hours_of=hours_of,
        alert=alert,
    )
    safeguards = Safeguards(
        engine,
        book,
        settings.risk,
        accounts={
            name: AccountTerms(execution, settings.accounts[name].currency)
            for name, execution in execution_of(settings).items()
        },
        hours_of=hours_of,
        cost_of=cost_of(settings, venues),
        alert=alert,
    )
    truth = _truth(settings, engine, book, care, ids, alert)
    feeds = {name: parts.adapter.feed for name, parts in venues.items() if parts.adapter.feed}
    engine.books.on_request = partial(_ask_for_book, feeds)
    engine.books.options = {
        name: feed.book_recovery for name, feed in feeds.items() if isinstance(feed, RecoversBooks)
    }
    engine.market_watch.on_first = partial(_ask_for_prices, feeds)
    runs = [
        _run(index, strategy, engine, feeds, seams)
        for index, strategy in enumerate(settings.strategies)
    ]
    return System(
        engine=engine,
        venues=list(venues.values()),
        runs=runs,
        book=book,
        parts=CoreParts(
            engine.registry,
            engine.ledger,
            book,
            RecentIds() if truth is None else truth.intake.recent,
            {} if truth is None else truth.reconciliation.reconciled_ns,
            {},
            Openings(engine.ledger),
        ),
        ids=ids,
        care=care,
        safeguards=safeguards,
        alerts=alerts,
        alert=alert,
        truth=truth,
        openings=openings(settings, engine),
    )


def _truth(
    settings: Settings,
    engine: Engine,
    book: Runs,
    care: OrderCare,
    ids: OrderIds,
    alert: Alert,
) -> VenueTruth | None:
    """Return what listens to venues, where an account trades for real."""
    if Execution.LIVE not in execution_of(settings).values():
        return None
    marks = MarketMarks(engine.market)
    return VenueTruth(engine, book, care, ids=ids, price_of=marks, alert=alert)


def _hours_of(settings: Settings, engine: Engine) -> Callable[[str], TradingHours]:
    """Return the trading hours of an instrument by name; every calendar is looked up now.

    Raises:
        ConfigError: an instrument's calendar is unknown.
    """
    calendars = Calendars(settings.calendars)
    for instrument in engine.instruments.values():
        calendars.hours_of(instrument)
    return lambda name: calendars.hours_of(engine.instrument(name))


def _exit_rules(settings: Settings) -> Callable[[str], ExitRules]:
    own = {strategy.id: strategy.exits or settings.exits for strategy in settings.strategies}
    return lambda run: own.get(run, settings.exits)


def _raise_alert(
    alerts: Alerts, name: str, message: str, *, key: str = "", level: str = "error"
) -> None:
    alerts.raise_(name, LogLevel(level), message, key=f"{name} {key}" if key else "")


def _ask_for_prices(feeds: Mapping[str, MarketFeed], instrument: str) -> None:
    """Have a live feed bring what somebody in the core judges."""
    feed = feeds.get(venue_of(instrument))
    if feed is not None:
        for channel in ("quotes", "trades"):
            feed.subscribe(instrument, channel)


def _ask_for_book(feeds: Mapping[str, MarketFeed], instrument: str, request: Request) -> None:
    """Pass what a stale book needs to the feed of its venue, where that can provide it."""
    feed = feeds.get(venue_of(instrument))
    if not isinstance(feed, RecoversBooks):
        log_request(instrument, request)
    elif isinstance(request, RequestSnapshot):
        feed.request_snapshot(instrument)
    elif isinstance(request, Resubscribe):
        feed.resubscribe(instrument)
    elif isinstance(request, Reconnect):
        feed.reconnect(f"no true book of {instrument} for {request.age_ns / 1e9:.0f} s")
    else:
        log_request(instrument, request)


def describe(settings: Settings, system: System) -> list[str]:
    """Return what would run, a line each."""
    lines = [f"mode {settings.mode.value}, seed {settings.seed}"]
    for venue in system.venues:
        data, orders = data_and_orders(settings.mode, venue.settings.data, venue.settings.orders)
        lines.append(
            f"venue {venue.name}: adapter {venue.settings.adapter}, "
            f"data {data.value}, orders {orders.value}"
        )
        lines += [f"  {assumption}" for assumption in venue.assumptions]
    lines += [f"instrument {name}" for name in system.engine.instruments]
    lines += [
        f"run {run.settings.id}: {run.settings.class_} on account {run.settings.account}"
        for run in system.runs
    ]
    lines += [
        f"door {door.door} at {listener.listen}{door.prefix}: accounts {', '.join(door.accounts)}, "
        f"tokens {len(door.tokens)}"
        for listener in settings.server
        for door in listener.doors
    ]
    return lines


def _rules(settings: Settings) -> dict[str, ChannelRule]:
    rules: dict[str, ChannelRule] = {}
    for name, queue in settings.queues.items():
        default = DEFAULT_RULES.get(name)
        if default is None:
            known = ", ".join(DEFAULT_RULES)
            raise ConfigError(
                f"there is no channel {name!r} (known: {known})", key=f"queues.{name}"
            )
        overflow = default.overflow if queue.overflow is None else Overflow(queue.overflow.value)
        rules[name] = ChannelRule(queue.capacity or default.capacity, overflow)
    return rules


def _run(
    index: int,
    settings: StrategySettings,
    engine: Engine,
    feeds: dict[str, MarketFeed],
    seams: Seams,
) -> Run:
    key = f"strategies[{index}]"
    strategy_class = load_class(settings.class_, key=f"{key}.class")
    own = decode_section(settings.settings, strategy_class.Settings, key=f"{key}.settings")
    context = RunContext(
        engine,
        settings.id,
        1,
        account=settings.account,
        feeds=feeds,
        random=seams.random_for(f"run {settings.id}"),
        blocking=seams.blocking,
    )
    if settings.execution is Execution.DRY_RUN:
        broker = engine.brokers[settings.account]
        dry = DryRunBroker(seams.clock, engine.bus.publish, broker)
        engine.outputs.overrides[settings.id] = dry
    strategy = strategy_class(own, context)
    handlers = handlers_of(strategy)
    subscriber = engine.bus.add(settings.id, handlers)
    context.subscriber = subscriber
    for event_type in (RunStarted, RunStopping):
        engine.bus.watch(subscriber, Interest(event_type, {"run": frozenset({settings.id})}))
    engine.starting[settings.id] = partial(
        _watch_own, engine, subscriber, settings, handlers, strategy.events
    )
    return Run(settings=settings, strategy=strategy, context=context, subscriber=subscriber)


def _watch_own(
    engine: Engine,
    subscriber: Subscriber,
    settings: StrategySettings,
    handled: Iterable[type],
    own: Sequence[type],
) -> None:
    """Route what concerns a run to its strategy; market data it watches by instrument itself."""
    run, account = frozenset({settings.id}), frozenset({settings.account})
    for event_type in handled:
        if event_type in PRIVATE:
            interest = Interest(event_type, {"run": run})
        elif event_type is Timer:
            interest = Interest(Timer, {"owner": run})
        elif event_type in (Account, Settled):
            interest = Interest(event_type, {"account": account})
        elif event_type in SYSTEM or event_type in own:
            interest = Interest(event_type)
        else:
            continue
        engine.bus.watch(subscriber, interest)
