"""A venue for live runs whose broker only notes when each command came; the benchmark answers.

Nothing here waits or goes over a wire, so that what is measured up to `send` is ours alone.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from unittest.mock import patch

import anyio
import msgspec

from framework.interfaces import Adapter, AdapterContext, BrokerCapabilities, Publish
from framework.model.commands import VenueCommand
from framework.model.instrument import Instrument
from framework.model.market_data import Candle, Quote
from framework.model.reports import EndKind, OrderAccepted, OrderEnded
from framework.model.venue_state import (
    BalanceReport,
    ExecutionReport,
    OrderReport,
    PositionReport,
)
from framework.settings.decoding import decode_section
from framework.settings.structs import Durability, Settings
from framework.strategy.strategy import Strategy

INSTRUMENT = "bench:BTC"
PRICE = "43251"
ANY_NUMBER = "1000000000000"


class Buyer(Strategy):
    """Buys on each quote, as many times as `count` says, and notes when it began to."""

    class Settings(msgspec.Struct, frozen=True):
        """Nothing to set."""

    count = 0  # before it has started

    def on_start(self) -> None:
        self.count = 1
        self.started_s: list[float] = []
        self.watch_quotes(INSTRUMENT)

    def on_quote(self, quote: Quote) -> None:
        for _ in range(self.count):
            self.started_s.append(perf_counter())
            self.buy(INSTRUMENT, 1, price=PRICE)


class NotingVenue:
    """Feed and broker in one; `open_reports` and `cash` are what it says when it is asked.

    Attributes:
        sent_s: when each command came.
        commands: those that have no answer yet.
    """

    capabilities = BrokerCapabilities()

    def __init__(
        self, open_reports: Sequence[OrderReport] = (), cash: Sequence[BalanceReport] = ()
    ) -> None:
        self.instruments: tuple[Instrument, ...] = ()
        self.sent_s: list[float] = []
        self.commands: list[VenueCommand] = []
        self._open_reports = open_reports
        self._cash = cash
        self._publish: Publish
        self._awaited_count = 0
        self._arrived: asyncio.Future[None] | None = None
        self._time_ns = 0

    def build(self, section: object, context: AdapterContext) -> Adapter:
        """Be the adapter of a configuration."""
        self._publish = context.publish
        self._time_ns = context.clock.now_ns
        return Adapter(feed=self, broker=self)

    def send(self, command: VenueCommand) -> None:
        """Note when `command` came."""
        self.sent_s.append(perf_counter())
        self.commands.append(command)
        if self._arrived is not None and len(self.sent_s) >= self._awaited_count:
            self._arrived.set_result(None)
            self._arrived = None

    def expect(self, count: int) -> "asyncio.Future[None]":
        """Return what is done once `count` more commands came."""
        self._awaited_count = len(self.sent_s) + count
        self._arrived = asyncio.get_running_loop().create_future()
        return self._arrived

    def tick(self, now_ns: int) -> None:
        """Publish a quote."""
        self._time_ns = now_ns
        self._publish(Quote(INSTRUMENT, now_ns, now_ns, 43_251.0, 43_251.5, 1.0, 1.0))

    def answer(self) -> None:
        """Accept and end every order that has no answer."""
        commands, self.commands = self.commands, []
        for number, command in enumerate(commands, len(self.sent_s) - len(commands)):
            order_id = command.order_id
            self._publish(OrderAccepted(order_id, self._time_ns, f"V{number}"))
            self._publish(OrderEnded(order_id, EndKind.CANCELLED, self._time_ns))

    # -- the rest of feed and broker -----------------------------------------------------------

    async def run(self) -> None:
        """Do nothing by itself."""
        await anyio.sleep_forever()

    def subscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Quotes come when the benchmark says so."""

    def unsubscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Quotes come when the benchmark says so."""

    async def history(
        self, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """Return nothing."""
        return []

    async def order(self, account: str, order_id: str) -> OrderReport | None:
        """Return the working order of this id."""
        return next((one for one in self._open_reports if one.order_id == order_id), None)

    async def open_orders(self, account: str) -> Sequence[OrderReport]:
        """Return the working orders."""
        return self._open_reports

    async def executions(self, account: str, since_ns: int) -> Sequence[ExecutionReport]:
        """Return none: nothing happened while nobody looked."""
        return ()

    async def positions(self, account: str) -> Sequence[PositionReport]:
        """Return none: the account is flat."""
        return ()

    async def balances(self, account: str) -> Sequence[BalanceReport]:
        """Return the account's cash."""
        return self._cash


def live_settings(url: str, *, durability: Durability = Durability.FULL) -> Settings:
    """Return a live configuration with the ordinary limits, none of them in the way."""
    strategy = {
        "id": "run",
        "class": f"{Buyer.__module__}:{Buyer.__qualname__}",
        "account": "main",
        "on_stop": "leave",
    }
    instrument = {"symbol": "BTC", "kind": "perpetual", "tick": "0.5", "lot": "0.001"}
    return decode_section(
        {
            "mode": "live",
            "journal": url,
            "durability": durability.value,
            "venues": {"bench": {"adapter": "noting", "instruments": [instrument]}},
            "accounts": {"main": {"venue": "bench", "currency": "USD"}},
            "strategies": [strategy],
            "risk": {
                "max_order_notional": ANY_NUMBER,
                "max_position_notional": ANY_NUMBER,
                "max_orders_per_second": 1_000_000,
                "runaway": {"max_orders_per_second": 1_000_000},
            },
        },
        Settings,
        key="",
    )


@contextmanager
def named(venue: NotingVenue) -> Iterator[None]:
    """Let a configuration made inside find `venue` as its adapter."""
    with patch("framework.runtime.venues.find_adapter", lambda name, *, key: venue.build):
        yield
