"""Settings to a system that can run: the one place where the parts are put together."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from heapq import merge
from operator import attrgetter
from random import Random
from typing import Any

import msgspec

from framework.bus.overflow import DEFAULT_RULES, ChannelRule, Overflow
from framework.bus.subscriber import Interest, Subscriber
from framework.engine.books import log_request
from framework.engine.engine import Engine
from framework.engine.run_context import RunContext
from framework.errors import ConfigError
from framework.interfaces import (
    Adapter,
    Broker,
    Clock,
    MarketFeed,
    MarketView,
    OrderLog,
    ProvidesSnapshots,
    Publish,
)
from framework.market.escalation import Request, RequestSnapshot, Resubscribe
from framework.model.account import Account, CashBooked, CashReason, Position, Settled
from framework.model.commands import VenueCommand
from framework.model.events import (
    ConnectionChanged,
    DataStale,
    ErrorRaised,
    Event,
    GapDetected,
    Resynced,
    RunStarted,
    RunStopping,
    Timer,
)
from framework.model.identity import EXTERNAL_RUN, venue_of
from framework.model.market_data import BookChanged, Candle, Quote, Trade
from framework.model.orders import Fill, FillCorrected, Order
from framework.model.reports import EndKind, OrderEnded, RequestKind, RequestRefused
from framework.risk.limits import RiskSettings, standard_checks
from framework.runtime.adapters import find_adapter
from framework.settings.checks import check_settings, resolved
from framework.settings.decoding import decode_section
from framework.settings.modes import DataSource, OrderRoute, data_and_orders
from framework.settings.structs import Settings, StrategySettings, VenueSettings
from framework.simulation.costs import CostModel, CostSettings
from framework.simulation.fills import FillSettings, fill_model
from framework.simulation.latency import LatencySettings, latency_model
from framework.simulation.venue import SimulatedVenue
from framework.strategy.handlers import handlers_of
from framework.strategy.loader import load_class
from framework.strategy.strategy import Strategy

PRIVATE = (Order, Fill, FillCorrected, Position, CashBooked, RunStarted, RunStopping)
MATCHED = (Quote, Trade, Candle, BookChanged)
SYSTEM = (ConnectionChanged, GapDetected, Resynced, DataStale, ErrorRaised)
Blocking = Callable[[Callable[[], Any]], Awaitable[Any]]


class Seams(msgspec.Struct):
    """Where time, chance and blocking work come from (law 1)."""

    clock: Clock
    random_for: Callable[[str], Random]
    blocking: Blocking


class Run(msgspec.Struct, eq=False):
    """One strategy of the configuration, in this session."""

    settings: StrategySettings
    strategy: Strategy
    context: RunContext
    subscriber: Subscriber
    is_halted: bool = False
    is_stopped: bool = False
    flattenings: int = 0  # closings tried again at the stop
    halt_reason: str = ""


class VenueParts(msgspec.Struct, eq=False):
    """What one venue of the configuration became."""

    name: str
    settings: VenueSettings
    adapter: Adapter
    feed_delay_ns: int = 0
    simulated: SimulatedVenue | None = None
    assumptions: tuple[str, ...] = ()


class System(msgspec.Struct, eq=False):
    """Everything that runs together."""

    engine: Engine
    venues: list[VenueParts]
    runs: list[Run]

    def recorded(self) -> Iterator[Event] | None:
        """Return the recorded events of all venues in time order, or None if there are none."""
        scans = [
            _delayed(venue.adapter.recorded.scan(), venue.feed_delay_ns)
            for venue in self.venues
            if venue.adapter.recorded is not None
        ]
        if len(scans) <= 1:
            return scans[0] if scans else None
        return merge(*scans, key=attrgetter("received_ns"))


class _Context(msgspec.Struct):
    """The `AdapterContext` of one venue."""

    venue: str
    clock: Clock
    market: MarketView
    publish: Publish
    random_of: Callable[[str], Random]
    blocking_of: Blocking

    def random_for(self, name: str) -> Random:
        return self.random_of(f"{self.venue}/{name}")

    async def blocking(self, function: Callable[[], Any]) -> Any:
        return await self.blocking_of(function)


class NoBroker:
    """Stands where a configuration says `orders: none`: every order is refused with that reason."""

    def __init__(self, clock: Clock, publish: Publish) -> None:
        self._clock = clock
        self._publish = publish

    def send(self, command: VenueCommand) -> None:
        """Refuse `command`."""
        now_ns = self._clock.now_ns
        if hasattr(command, "intent"):
            end = EndKind.REJECTED
            self._publish(OrderEnded(command.order_id, end, now_ns, "orders: none", "core"))
        else:
            kind = RequestKind.MODIFY if hasattr(command, "revision") else RequestKind.CANCEL
            self._publish(RequestRefused(command.order_id, kind, "orders: none", now_ns))


def build(settings: Settings, seams: Seams, log: OrderLog, *, journal_id: str) -> System:
    """Put a system together without starting anything.

    Raises:
        ConfigError: a venue, account or strategy does not fit; names the key.
    """
    settings = resolved(settings)  # settings made in code have not been through `load`
    check_settings(settings)
    accounts = {strategy.id: strategy.account for strategy in settings.strategies}
    risk = RiskSettings(**msgspec.structs.asdict(settings.risk))
    engine = Engine(
        clock=seams.clock,
        log=log,
        journal_id=journal_id,
        checks=standard_checks(risk),
        account_of=lambda run: accounts.get(run, ""),
        rules=_rules(settings),
    )
    venues = [
        _venue(name, venue, settings, engine, seams) for name, venue in settings.venues.items()
    ]
    _open_accounts(settings, engine, {venue.name: venue for venue in venues}, seams)
    feeds = {venue.name: venue.adapter.feed for venue in venues if venue.adapter.feed is not None}
    engine.books.on_request = partial(_ask_for_book, feeds)
    runs = [
        _run(index, strategy, engine, feeds, seams)
        for index, strategy in enumerate(settings.strategies)
    ]
    return System(engine=engine, venues=venues, runs=runs)


def _ask_for_book(feeds: Mapping[str, MarketFeed], instrument: str, request: Request) -> None:
    """Pass what a stale book needs to the feed of its venue, where that can provide it."""
    feed = feeds.get(venue_of(instrument))
    if isinstance(feed, ProvidesSnapshots) and isinstance(request, RequestSnapshot | Resubscribe):
        feed.request_snapshot(instrument)
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


def _venue(
    name: str, venue: VenueSettings, settings: Settings, engine: Engine, seams: Seams
) -> VenueParts:
    key = f"venues.{name}"
    make = find_adapter(venue.adapter, key=f"{key}.adapter")
    data, orders = data_and_orders(settings.mode, venue.data, venue.orders)
    context = _Context(
        venue=name,
        clock=seams.clock,
        market=engine.market,
        publish=engine.bus.publish,
        random_of=seams.random_for,
        blocking_of=seams.blocking,
    )
    section = {
        "source": venue.source,
        "settings": venue.settings,
        "instruments": msgspec.to_builtins(venue.instruments),
        "data": data.value,
    }
    try:
        adapter = make(section, context)
    except ConfigError as error:
        if error.file is not None or error.key.startswith(key):
            raise
        raise ConfigError(error.reason, key=f"{key}.{error.key}" if error.key else key) from error
    parts = VenueParts(name=name, settings=venue, adapter=_only(adapter, data, key))
    source = parts.adapter.feed or parts.adapter.recorded
    for instrument in source.instruments if source is not None else ():
        engine.instruments[instrument.id] = instrument
    for definition in venue.instruments:
        instrument = definition.to_instrument(name)
        engine.instruments.setdefault(instrument.id, instrument)
    if orders is OrderRoute.SIMULATED:
        _simulate(parts, engine, seams, key)
    return parts


def _only(adapter: Adapter, data: DataSource, key: str) -> Adapter:
    """Keep the side of the adapter that `data` asks for: a live feed or a recorded one."""
    if data is DataSource.LIVE:
        if adapter.feed is None:
            raise ConfigError("this adapter has no live data", key=f"{key}.data")
        return Adapter(feed=adapter.feed, broker=adapter.broker, close=adapter.close)
    if adapter.recorded is None:
        raise ConfigError(f"this adapter has no data: {data.value}", key=f"{key}.data")
    return Adapter(recorded=adapter.recorded, close=adapter.close)


def _simulate(parts: VenueParts, engine: Engine, seams: Seams, key: str) -> None:
    venue = parts.settings
    costs = CostModel(decode_section(venue.costs, CostSettings, key=f"{key}.costs"))
    named = {"model": venue.fills} if isinstance(venue.fills, str) else dict(venue.fills or {})
    if venue.path is not None:
        named["candle_path"] = venue.path
    fills = fill_model(decode_section(named, FillSettings, key=f"{key}.fills"))
    latency_settings = venue.latency or None
    latency = latency_model(
        LatencySettings()
        if latency_settings is None
        else LatencySettings(**msgspec.structs.asdict(latency_settings))
    )
    simulated: SimulatedVenue | None = None
    feed = parts.adapter.feed
    priced: set[str] = set()  # instruments whose live prices the venue has asked for

    def watch(instrument: str, is_on: bool) -> None:
        if feed is not None and instrument not in priced:
            priced.add(instrument)
            for channel in ("quotes", "trades"):
                feed.subscribe(instrument, channel)
        step = simulated.on_market if is_on and simulated is not None else None
        engine.market_watch.set(instrument, f"venue {parts.name}", step, MATCHED)

    simulated = SimulatedVenue(
        venue=parts.name,
        clock=seams.clock,
        market=engine.market,
        publish=engine.bus.publish,
        instruments=engine.instrument,
        costs=costs,
        fills=fills,
        latency=latency,
        watch=watch,
        random=seams.random_for(f"{parts.name}/simulated venue"),
    )
    parts.simulated = simulated
    parts.feed_delay_ns = latency.feed_ns(seams.random_for(f"{parts.name}/feed delay"))
    parts.assumptions = (fills.describe(), costs.describe(), latency.describe())


def _open_accounts(
    settings: Settings, engine: Engine, venues: dict[str, VenueParts], seams: Seams
) -> None:
    for name, account in settings.accounts.items():
        venue = venues[account.venue]
        broker: Broker | NoBroker
        _, orders = data_and_orders(settings.mode, venue.settings.data, venue.settings.orders)
        if venue.simulated is not None:
            broker = venue.simulated
        elif orders is OrderRoute.LIVE and venue.adapter.broker is not None:
            broker = venue.adapter.broker
        elif orders is OrderRoute.LIVE:
            raise ConfigError("this adapter has no broker", key=f"venues.{account.venue}.orders")
        else:
            broker = NoBroker(seams.clock, engine.bus.publish)
        engine.brokers[name] = broker  # type: ignore[assignment] # only `send` is used here
        for currency, amount in account.balances.items():
            engine.ledger.book_cash(
                CashBooked(
                    account=name,
                    run=EXTERNAL_RUN,
                    currency=currency,
                    amount=amount,
                    reason=CashReason.DEPOSIT,
                    time_ns=seams.clock.now_ns,
                    booking_id=f"opening {currency}",
                )
            )


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
    strategy = strategy_class(own, context)
    handlers = handlers_of(strategy)
    subscriber = engine.bus.add(settings.id, handlers)
    context.subscriber = subscriber
    by_run = {"run": frozenset({settings.id})}
    for event_type in handlers:
        if event_type in PRIVATE:
            engine.bus.watch(subscriber, Interest(event_type, by_run))
        elif event_type is Timer:
            engine.bus.watch(subscriber, Interest(Timer, {"owner": frozenset({settings.id})}))
        elif event_type in (Account, Settled):
            engine.bus.watch(
                subscriber, Interest(event_type, {"account": frozenset({settings.account})})
            )
        elif event_type in SYSTEM or event_type in strategy.events:
            engine.bus.watch(subscriber, Interest(event_type))
    return Run(settings=settings, strategy=strategy, context=context, subscriber=subscriber)


def _delayed(events: Iterator[Event], delay_ns: int) -> Iterator[Any]:
    """Let events arrive `delay_ns` after they happened."""
    if not delay_ns:
        return events
    replace = msgspec.structs.replace
    return (replace(event, received_ns=event.time_ns + delay_ns) for event in events)
