"""The seams for a client that is used by itself, without a runtime around it."""

import asyncio
import os
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread

from framework.clock.clock import LiveClock
from framework.errors import ConfigError
from framework.interfaces import BookView, Publish
from framework.model.market_data import Candle, MarkPrice, Quote, Trade
from framework.net.connectors import open_connector
from framework.settings.secrets import Secret, resolve_secret
from framework.simulation.loop import SimulatedLoop, seeded_random

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")


class StandaloneContext:
    """An `AdapterContext` on the running loop: real, or all simulated on a `SimulatedLoop`.

    What adapters publish goes to `publish`, by default nowhere. Chance on a real loop depends on
    the time of the start: it is used for nothing but pauses.
    """

    def __init__(self, venue: str, publish: Publish | None = None) -> None:
        self.venue = venue
        self.market = NoMarket()
        self.publish: Publish = publish or _ignore
        loop = asyncio.get_running_loop()
        self._simulated = loop if isinstance(loop, SimulatedLoop) else None
        if isinstance(loop, SimulatedLoop):
            self.clock = LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
        else:
            self.clock = LiveClock()
        self._seed = self.clock.now_ns
        self.clock.start()

    def close(self) -> None:
        """Disarm the clock: no timer fires any more."""
        self.clock.stop()

    def random_for(self, name: str) -> Random:
        """Return a random stream of that name."""
        full_name = f"{self.venue}/{name}"
        if self._simulated is not None:
            return self._simulated.random_for(full_name)
        return seeded_random(self._seed, full_name)

    async def blocking(self, function: Callable[[], T]) -> T:
        """Run blocking work in a worker thread; inline on a simulated loop."""
        if self._simulated is not None:
            return function()
        return await anyio.to_thread.run_sync(function)

    def connector(self) -> "aiohttp.BaseConnector":
        """Return a connector of the real or the simulated network."""
        return open_connector()

    def secret(self, reference: str) -> Secret:
        """Return the secret behind `env:NAME` or `file:PATH`.

        Raises:
            ConfigError: it is not set, cannot be read, or is open to others.
        """
        try:
            return resolve_secret(reference, os.environ)
        except ValueError as error:
            raise ConfigError(str(error)) from error


class NoMarket:
    """A market view of which nothing is known."""

    def quote(self, instrument: str) -> Quote | None:
        """Return None."""
        return None

    def trade(self, instrument: str) -> Trade | None:
        """Return None."""
        return None

    def candle(self, instrument: str) -> Candle | None:
        """Return None."""
        return None

    def book(self, instrument: str) -> BookView | None:
        """Return None."""
        return None

    def mark_price(self, instrument: str) -> MarkPrice | None:
        """Return None."""
        return None

    def reference_price(self, instrument: str) -> float | None:
        """Return None."""
        return None


def _ignore(event: object) -> None:
    """Stand for a bus that nobody listens to."""
