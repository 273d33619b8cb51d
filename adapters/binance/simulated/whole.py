"""The simulated venue as a whole: exchange, background, faults, and the doors in front of them.

It speaks by the public documentation, matches orders of accounts and of the background on central
books, and gets things wrong on demand. On a simulated loop all of it is a function of the seed.
"""

import asyncio
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING

import msgspec

from adapters.binance.simulated.activity import Activity
from adapters.binance.simulated.amounts import SCALE, to_units
from adapters.binance.simulated.domain import Listing, VenueEvent
from adapters.binance.simulated.exchange import Exchange
from adapters.binance.simulated.faults import Faults
from adapters.binance.simulated.http import RestServer
from adapters.binance.simulated.keys import Gatekeeper, Verify
from adapters.binance.simulated.klines import Klines
from adapters.binance.simulated.market import Levels, Market
from adapters.binance.simulated.serving import serve_venue
from adapters.binance.simulated.streams import PULSE_MS, MarketStreams
from adapters.binance.simulated.user_streams import UserStreams
from adapters.binance.simulated.weights import Weights
from framework.model.market_data import Level

if TYPE_CHECKING:
    from framework.net.listening import Listener

BTCUSDT = Listing(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=to_units("0.01"),
    step=to_units("0.00001"),
    least_quantity=to_units("0.00001"),
    most_quantity=to_units("9000"),
    least_value=to_units("5"),
    start_price=to_units("60000"),
)
ETHUSDT = Listing(
    symbol="ETHUSDT",
    base="ETH",
    quote="USDT",
    tick=to_units("0.01"),
    step=to_units("0.0001"),
    least_quantity=to_units("0.0001"),
    most_quantity=to_units("9000"),
    least_value=to_units("5"),
    start_price=to_units("3000"),
)


class VenueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue lists, who may trade, and how busy it is.

    `balances` are what accounts start with, as texts; `keys` are (account, how it signs) by API
    key; `activity_ms` is the time between two acts of the background, 0 for a quiet market.
    """

    listings: tuple[Listing, ...] = (BTCUSDT, ETHUSDT)
    balances: Mapping[str, Mapping[str, str]] = {}
    keys: Mapping[str, tuple[str, Verify]] = {}
    activity_ms: int = 50
    past_minutes: int = 1_440
    fee_bps: int = 10
    weight_limit: int = 6_000
    longest_s: float = 86_400.0  # of a connection


class BinanceVenue:
    """The venue as a whole.

    Attributes:
        exchange: its orders and balances, for tests to look at and to trade by hand.
        on_book: called with a symbol and its update id whenever the public gets to see its book.
    """

    def __init__(
        self,
        options: VenueOptions,
        *,
        random: Random,
        now_ns: Callable[[], int],
    ) -> None:
        self._now_ns = now_ns
        self._options = options
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._listener: Listener | None = None
        markets = [self._market(listing, random) for listing in options.listings]
        openings = {
            name: {asset: to_units(text) for asset, text in balances.items()}
            for name, balances in options.balances.items()
        }
        self.exchange = Exchange(
            markets,
            openings,
            now_ms=self.now_ms,
            on_event=self._on_event,
            fee_bps=options.fee_bps,
        )
        self.faults = Faults(random)
        self.weights = Weights(options.weight_limit, self.now_ms)
        self.on_book: Callable[[str, int], None] = _nothing
        self._activity = Activity(self.exchange, random)
        gatekeeper = Gatekeeper(options.keys, now_ms=self.now_ms)
        self.rest = RestServer(
            self.exchange, gatekeeper, self.faults, now_ms=self.now_ms, weights=self.weights
        )
        self.streams = MarketStreams(
            self.exchange,
            self.faults,
            now_ms=self.now_ms,
            longest_s=options.longest_s,
            later=_later,
        )
        self.user_streams = UserStreams(
            gatekeeper,
            self.faults,
            now_ms=self.now_ms,
            longest_s=options.longest_s,
            later=_later,
        )
        self.rest.on_depth = self.streams.on_depth = self._on_depth

    def now_ms(self) -> int:
        """The venue's clock, milliseconds UTC."""
        return self._now_ns() // 1_000_000

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and let the background trade; return the port.

        Raises:
            OSError: the address is taken, or not ours.
        """
        for _ in range(100):
            self._activity.step()
        self._listener = await serve_venue(
            self.rest, self.streams, self.user_streams, host=host, port=port
        )
        self._repeat("pulse", PULSE_MS / 1_000, self.streams.pulse)
        self.resume()
        return self._listener.port

    async def aclose(self) -> None:
        """Stop everything; harmless when repeated."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        listener, self._listener = self._listener, None
        if listener is not None:
            self.streams.cut_all()
            self.user_streams.cut_all()
            await listener.aclose()

    def pause(self) -> None:
        """Let the background rest; what it did so far stays."""
        timer = self._timers.pop("activity", None)
        if timer is not None:
            timer.cancel()

    def resume(self) -> None:
        """Let the background trade; it does not where `activity_ms` is 0."""
        if self._options.activity_ms:
            self._repeat("activity", self._options.activity_ms / 1_000, self._activity.step)

    def heal(self) -> None:
        """Let everything go right from now on."""
        self.faults.heal()

    def book(self, symbol: str) -> tuple[list[Level], list[Level]]:
        """Return the true bids and asks of a symbol as they are now, best first."""
        bids, asks = self.exchange.market(symbol).levels(5_000)
        return _floats(bids), _floats(asks)

    def _market(self, listing: Listing, random: Random) -> Market:
        klines = Klines(
            random,
            price=listing.start_price,
            tick=listing.tick,
            now_ms=self.now_ms(),
            past_minutes=self._options.past_minutes,
        )
        return Market(listing, klines, first_update_id=random.randrange(10**9, 10**10))

    def _on_event(self, event: VenueEvent) -> None:
        self.streams.on_event(event)
        self.user_streams.on_event(event)

    def _on_depth(self, symbol: str, update_id: int) -> None:
        self.on_book(symbol, update_id)

    def _repeat(self, name: str, period_s: float, act: Callable[[], None]) -> None:
        def again() -> None:
            self._timers[name] = asyncio.get_running_loop().call_later(period_s, again)
            act()

        self._timers[name] = asyncio.get_running_loop().call_later(period_s, again)


def _later(seconds: float, act: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, act)


def _floats(levels: Levels) -> list[Level]:
    return [(price / SCALE, quantity / SCALE) for price, quantity in levels]


def _nothing(symbol: str, update_id: int) -> None:
    """Tell nobody."""
