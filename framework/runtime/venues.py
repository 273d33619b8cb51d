"""Venues and accounts of a configuration: adapters, simulated counterparts, brokers."""

import os
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import msgspec

from framework.clock.calendars import Calendars
from framework.engine.engine import Engine
from framework.errors import ConfigError
from framework.interfaces import (
    Adapter,
    Broker,
    BrokerCapabilities,
    Clock,
    MarketView,
    Publish,
)
from framework.model.account import CashBooked, CashReason
from framework.model.commands import VenueCommand
from framework.model.identity import EXTERNAL_RUN
from framework.model.instrument import Instrument
from framework.model.market_data import BookChanged, Candle, Quote, Trade
from framework.model.orders import Side
from framework.model.reports import EndKind, OrderEnded, RequestKind, RequestRefused
from framework.model.runs import Execution
from framework.runtime.adapters import find_adapter
from framework.runtime.dry_run import DryRunBroker
from framework.runtime.system import Blocking, Seams, VenueParts
from framework.settings.decoding import decode_section
from framework.settings.modes import DataSource, Mode, OrderRoute, data_and_orders
from framework.settings.secrets import Secret, resolve_secret
from framework.settings.structs import Settings, VenueSettings
from framework.simulation.costs import CostModel, CostSettings
from framework.simulation.fills import FillSettings, fill_model
from framework.simulation.latency import LatencySettings, latency_model
from framework.simulation.venue import SimulatedVenue

MATCHED = (Quote, Trade, Candle, BookChanged)
REALITY = {
    OrderRoute.SIMULATED: Execution.SIMULATED,
    OrderRoute.NONE: Execution.DRY_RUN,
    OrderRoute.LIVE: Execution.LIVE,
}
CostOf = Callable[[str, Instrument, Side, Decimal, Decimal], Decimal]


class _Context(msgspec.Struct):
    """The `AdapterContext` of one venue."""

    venue: str
    clock: Clock
    market: MarketView
    publish: Publish
    random_of: Callable[[str], Random]
    blocking_of: Blocking
    connector: Callable[[], Any]
    allows_literal_secrets: bool

    def random_for(self, name: str) -> Random:
        return self.random_of(f"{self.venue}/{name}")

    async def blocking(self, function: Callable[[], Any]) -> Any:
        return await self.blocking_of(function)

    def secret(self, reference: str) -> Secret:
        try:
            return resolve_secret(reference, os.environ, allows_literal=self.allows_literal_secrets)
        except ValueError as error:
            raise ConfigError(str(error), key="settings") from error


class NoBroker:
    """Stands where a configuration says `orders: none`: every order is refused with that reason."""

    capabilities = BrokerCapabilities()

    def __init__(self, clock: Clock, publish: Publish) -> None:
        self._clock = clock
        self._publish = publish

    async def run(self) -> None:
        """Return: there is no connection."""

    def send(self, command: VenueCommand) -> None:
        """Refuse `command`."""
        now_ns = self._clock.now_ns
        if hasattr(command, "intent"):
            end = EndKind.REJECTED
            self._publish(OrderEnded(command.order_id, end, now_ns, "orders: none", "core"))
        else:
            kind = RequestKind.MODIFY if hasattr(command, "revision") else RequestKind.CANCEL
            self._publish(RequestRefused(command.order_id, kind, "orders: none", now_ns))


def build_venue(
    name: str, venue: VenueSettings, settings: Settings, engine: Engine, seams: Seams
) -> VenueParts:
    """Return one venue's parts; its instruments are known to the engine then.

    Raises:
        ConfigError: its adapter or its settings do not fit; names the key.
    """
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
        connector=seams.connector,
        allows_literal_secrets=settings.mode is not Mode.LIVE,
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
    if orders is OrderRoute.SIMULATED:
        parts.adapter.broker = None  # no order will ever go to it
    source = parts.adapter.feed or parts.adapter.recorded
    for instrument in source.instruments if source is not None else ():
        engine.instruments[instrument.id] = instrument
    for definition in venue.instruments:
        instrument = definition.to_instrument(name)
        engine.instruments.setdefault(instrument.id, instrument)
    if orders is OrderRoute.SIMULATED:
        _simulate(parts, settings, engine, seams, key)
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


def _simulate(
    parts: VenueParts, settings: Settings, engine: Engine, seams: Seams, key: str
) -> None:
    venue, calendars = parts.settings, Calendars(settings.calendars)
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
    watcher = f"venue {parts.name}"

    def watch(instrument: str, is_on: bool) -> None:
        step = simulated.on_market if is_on and simulated is not None else None
        engine.market_watch.set(instrument, watcher, step, MATCHED)

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
        epoch=engine.log.epoch,
        day_end_ns=lambda instrument, now_ns: calendars.hours_of(instrument).day_end_ns(now_ns),
    )
    parts.simulated = simulated
    parts.costs = costs
    parts.feed_delay_ns = latency.feed_ns(seams.random_for(f"{parts.name}/feed delay"))
    parts.assumptions = (fills.describe(), costs.describe(), latency.describe())


def open_accounts(
    settings: Settings, engine: Engine, venues: dict[str, VenueParts], seams: Seams
) -> None:
    """Give every account its broker.

    Raises:
        ConfigError: an account's orders are live, and its adapter has no broker.
    """
    for name, account in settings.accounts.items():
        venue = venues[account.venue]
        venue.accounts += (name,)
        engine.brokers[name] = _broker(venue, settings, engine, seams)


def _broker(venue: VenueParts, settings: Settings, engine: Engine, seams: Seams) -> Broker:
    _, orders = data_and_orders(settings.mode, venue.settings.data, venue.settings.orders)
    if venue.simulated is not None:
        return venue.simulated
    if orders is OrderRoute.LIVE:
        if venue.adapter.broker is None:
            raise ConfigError("this adapter has no broker", key=f"venues.{venue.name}.orders")
        return venue.adapter.broker
    if settings.mode is Mode.DRY_RUN:
        return DryRunBroker(seams.clock, engine.bus.publish, venue.adapter.broker)
    return NoBroker(seams.clock, engine.bus.publish)


def execution_of(settings: Settings) -> dict[str, Execution]:
    """Return how really each account trades at most."""
    found: dict[str, Execution] = {}
    for name, account in settings.accounts.items():
        venue = settings.venues[account.venue]
        _, orders = data_and_orders(settings.mode, venue.data, venue.orders)
        found[name] = REALITY[orders]
    return found


def openings(settings: Settings, engine: Engine) -> tuple[CashBooked, ...]:
    """Return what the accounts that do not trade for real start with, once in a journal's life."""
    return tuple(
        CashBooked(
            account=name,
            run=EXTERNAL_RUN,
            currency=currency,
            amount=amount,
            reason=CashReason.DEPOSIT,
            time_ns=engine.clock.now_ns,
            booking_id=f"opening {currency}",
        )
        for name, account in settings.accounts.items()
        if execution_of(settings)[name] is not Execution.LIVE
        for currency, amount in account.balances.items()
    )


def cost_of(settings: Settings, venues: dict[str, VenueParts]) -> CostOf:
    """Return what an order may need in cash: by its simulated venue's costs, else its notional."""

    def cost(
        account: str, instrument: Instrument, side: Side, quantity: Decimal, price: Decimal
    ) -> Decimal:
        costs = venues[settings.accounts[account].venue].costs
        if costs is None:
            return instrument.notional(price, quantity)
        return costs.reserve(instrument, side, quantity, price)

    return cost
