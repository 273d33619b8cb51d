"""One configured system: its parts by name, and the seams they were given."""

from collections.abc import Awaitable, Callable, Iterator
from heapq import merge
from operator import attrgetter
from random import Random
from typing import Any

import msgspec

from framework.alerts.deduplication import Alerts
from framework.bus.subscriber import Subscriber
from framework.engine.engine import Engine
from framework.engine.order_care import Alert, OrderCare
from framework.engine.run_context import RunContext
from framework.engine.safeguards import Safeguards
from framework.engine.snapshots import CoreParts
from framework.engine.venue_truth import VenueTruth
from framework.interfaces import Adapter, Clock
from framework.model.account import CashBooked
from framework.model.events import Event
from framework.model.identity import OrderIds
from framework.portfolio.runs import Runs
from framework.settings.structs import StrategySettings, VenueSettings
from framework.simulation.costs import CostModel
from framework.simulation.venue import SimulatedVenue
from framework.strategy.strategy import Strategy

Blocking = Callable[[Callable[[], Any]], Awaitable[Any]]


class Seams(msgspec.Struct):
    """Where time, chance, blocking work and connections come from (law 1)."""

    clock: Clock
    random_for: Callable[[str], Random]
    blocking: Blocking
    connector: Callable[[], Any]  # makes an `aiohttp.BaseConnector`
    wall_ns: Callable[[], int] | None = None  # where market time is not the time of day


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
    costs: CostModel | None = None
    assumptions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()


class System(msgspec.Struct, eq=False):
    """Everything that runs together.

    `book` keeps the durable runs, `parts` what a restart reads back; `truth` is None where no
    account trades for real; `openings` is what simulated accounts start with.
    """

    engine: Engine
    venues: list[VenueParts]
    runs: list[Run]
    book: Runs
    parts: CoreParts
    ids: OrderIds
    care: OrderCare
    safeguards: Safeguards
    alerts: Alerts
    alert: Alert
    truth: VenueTruth | None = None
    openings: tuple[CashBooked, ...] = ()

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


def _delayed(events: Iterator[Event], delay_ns: int) -> Iterator[Any]:
    """Let events arrive `delay_ns` after they happened."""
    if not delay_ns:
        return events
    replace = msgspec.structs.replace
    return (replace(event, received_ns=event.time_ns + delay_ns) for event in events)
