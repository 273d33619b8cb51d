"""The seams an adapter is given, turned by hand."""

from collections.abc import Callable
from random import Random
from typing import TypeVar

import aiohttp

from framework.interfaces import MarketView
from framework.model.events import Event
from framework.model.reports import OrderFact
from framework.model.venue_state import VenueReport
from framework.net.connectors import open_connector
from framework.settings.secrets import Secret
from tests.fakes import ManualClock

T = TypeVar("T")


class EmptyMarket:
    """A market in which nothing happened yet."""

    def quote(self, instrument: str) -> None: ...
    def trade(self, instrument: str) -> None: ...
    def candle(self, instrument: str) -> None: ...
    def book(self, instrument: str) -> None: ...
    def mark_price(self, instrument: str) -> None: ...
    def reference_price(self, instrument: str) -> None: ...


class HandContext:
    """An `AdapterContext` whose clock stands still; `published` keeps what was said."""

    def __init__(self, venue: str = "venue", *, seed: int = 7, now_ns: int = 0) -> None:
        self.venue = venue
        self.clock = ManualClock(now_ns)
        self.market: MarketView = EmptyMarket()
        self.published: list[Event | OrderFact | VenueReport] = []
        self._seed = seed

    def publish(self, event: Event | OrderFact | VenueReport) -> None:
        self.published.append(event)

    def random_for(self, name: str) -> Random:
        return Random(f"{self._seed} {name}")

    async def blocking(self, function: Callable[[], T]) -> T:
        return function()

    def connector(self) -> aiohttp.BaseConnector:
        return open_connector()

    def secret(self, reference: str) -> Secret:
        return Secret(reference)
