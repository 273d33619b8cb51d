"""What the trading desk knows of markets: instruments, prices, candles, and how venues stand."""

from collections import OrderedDict, deque
from typing import Any

import anyio

from framework.bus.subscriber import Interest
from framework.errors import Forbidden, UnknownInstrument
from framework.interfaces import FindsInstruments, MarketFeed, MarketView, Subscription
from framework.model.desk import Principal, VenueHealth, Verb
from framework.model.events import (
    ConnectionChanged,
    ConnectionState,
    DataStale,
    GapDetected,
    Resynced,
)
from framework.model.identity import venue_of
from framework.model.instrument import Instrument, InstrumentChanged
from framework.model.market_data import Candle, Quote
from framework.runtime.new_instruments import NewInstruments
from framework.runtime.system import System

UP = (ConnectionState.CONNECTED, ConnectionState.STREAMING)
WATCHED = 1_000  # instruments whose quotes go on coming because somebody asked for one
KEPT_CANDLES = 10_000  # per instrument and interval, of recorded data
KEPT_SERIES = 1_000
FIRST_QUOTE_S = 1.0


class Watch:
    """A feed's subscription, given back once."""

    def __init__(
        self, feed: MarketFeed | None, instrument: str, channel: str, interval: str
    ) -> None:
        self._feed = feed
        self._what = instrument, channel, interval
        if feed is not None:
            feed.subscribe(*self._what)

    def close(self) -> None:
        """Give it back; harmless when repeated."""
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.unsubscribe(*self._what)


class FirstQuote:
    """A quote that `count` callers wait for."""

    __slots__ = ("count", "has_come")

    def __init__(self) -> None:
        self.count = 0
        self.has_come = anyio.Event()


class DeskMarkets:
    """The market half of the desk."""

    def __init__(self, system: System, *, is_recorded: bool) -> None:
        self._system = system
        self._engine = system.engine
        self._is_recorded = is_recorded
        self._feeds: dict[str, MarketFeed] = {
            venue.name: venue.adapter.feed
            for venue in system.venues
            if venue.adapter.feed is not None
        }
        self._new_instruments = NewInstruments()
        self._watched: OrderedDict[str, Watch] = OrderedDict()
        self._first_quotes: dict[str, FirstQuote] = {}  # that somebody waits for
        self._hears_quotes = False
        self._candles: dict[tuple[str, str], deque[Candle]] = {}
        self._links: dict[str, dict[str, ConnectionState]] = {}
        self._heard_ns: dict[str, int] = {}
        self._stale: dict[str, int] = {}
        handlers: dict[type, Any] = {
            ConnectionChanged: self._on_connection,
            DataStale: self._on_stale,
            GapDetected: self._on_stale,
            Resynced: self._on_fresh,
        }
        if is_recorded:
            handlers[Candle] = self._on_candle
        subscriber = self._engine.bus.add("desk", handlers, is_numbered=False)
        for kind in handlers:
            self._engine.bus.watch(subscriber, Interest(kind))

    @property
    def market(self) -> MarketView:
        """The newest market state per instrument."""
        return self._engine.market

    @property
    def is_real(self) -> bool:
        """Whether some account of this system trades for real."""
        return self._system.truth is not None

    async def instrument(self, principal: Principal, name: str) -> Instrument:
        """Return a definition; asks the venue where it is not known yet.

        Raises:
            RateLimited: the principal had too many looked up that nobody knew.
        """
        self._allow(principal, name)
        known = self._engine.instruments.get(name)
        if known is not None:
            return known
        feed = self._feeds.get(venue_of(name))
        if not isinstance(feed, FindsInstruments):
            raise UnknownInstrument(name)
        found = await feed.find_instrument(name)
        if found is None:
            raise UnknownInstrument(name)
        if name not in self._engine.instruments:  # two may have asked at once
            now_ns = self._engine.clock.now_ns
            self._new_instruments.take(principal, name, now_ns / 1e9)
            self._engine.bus.publish(InstrumentChanged(name, now_ns, now_ns, found))
        return self._engine.instruments[name]

    def instruments(self, venue: str | None = None) -> list[Instrument]:
        """Return what is known so far."""
        known = self._engine.instruments.values()
        return [one for one in known if venue is None or venue_of(one.id) == venue]

    async def quote(self, principal: Principal, instrument: str) -> Quote | None:
        """Return the newest quote; the first one asked for is waited for, a second at most.

        Where a venue has no quotes, one made of the newest price.
        """
        await self.instrument(principal, instrument)
        feed = self._feeds.get(venue_of(instrument))
        if feed is not None:
            self._keep_watching(feed, instrument)
            if self.market.quote(instrument) is None:
                await self._first_quote(instrument)
        quote = self.market.quote(instrument)
        if quote is not None:
            return quote
        price = self.market.reference_price(instrument)
        if price is None:
            return None
        now_ns = self._engine.clock.now_ns
        return Quote(instrument, now_ns, now_ns, price, price)

    async def candles(
        self, principal: Principal, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """Return up to `limit` closed candles with `close_ns <= end_ns`, oldest first.

        Of recorded data those that have passed by, the newest 10,000.
        """
        await self.instrument(principal, instrument)
        feed = self._feeds.get(venue_of(instrument))
        if feed is not None:
            return await feed.history(instrument, interval, end_ns=end_ns, limit=limit)
        kept = self._candles.get((instrument, interval), ())
        return [candle for candle in kept if candle.close_ns <= end_ns][-limit:]

    def watch(self, instrument: str, channel: str, interval: str = "") -> Subscription:
        """Have a venue send `quotes`, `trades` or `candles` of an instrument; counted."""
        return Watch(self._feeds.get(venue_of(instrument)), instrument, channel, interval)

    def health(self) -> list[VenueHealth]:
        """Return how every venue stands."""
        return [
            VenueHealth(
                venue.name,
                venue.simulated is not None,
                self._is_connected(venue.name),
                tuple((link, state.value) for link, state in self._links_of(venue.name).items()),
                tuple(sorted(name for name in self._stale_now() if venue_of(name) == venue.name)),
                self._heard_ns.get(venue.name, 0),
            )
            for venue in self._system.venues
        ]

    def _links_of(self, venue: str) -> dict[str, ConnectionState]:
        return self._links.get(venue, {})

    def _is_connected(self, venue: str) -> bool:
        if venue not in self._feeds:
            return True  # recorded data has no link
        links = self._links_of(venue)
        return bool(links) and all(state in UP for state in links.values())

    def _stale_now(self) -> list[str]:
        """Return what has had no newer price since it went stale."""
        found = []
        for name, since_ns in list(self._stale.items()):
            quote, trade = self.market.quote(name), self.market.trade(name)
            newest = max((one.received_ns for one in (quote, trade) if one is not None), default=0)
            if newest > since_ns:
                del self._stale[name]
            else:
                found.append(name)
        return found

    async def _first_quote(self, instrument: str) -> None:
        """Return once a quote has come, or its time is up.

        Whoever waits shares one subscription, which stays: making one has the bus look at every
        route, and callers could have it do nothing else.
        """
        if not self._hears_quotes:
            self._hears_quotes = True
            subscriber = self._engine.bus.add(
                "desk quotes", {Quote: self._on_quote}, is_numbered=False
            )
            self._engine.bus.watch(subscriber, Interest(Quote))
        waiting = self._first_quotes.setdefault(instrument, FirstQuote())
        waiting.count += 1
        try:
            with anyio.move_on_after(FIRST_QUOTE_S):
                await waiting.has_come.wait()
        finally:
            waiting.count -= 1
            if not waiting.count and self._first_quotes.get(instrument) is waiting:
                del self._first_quotes[instrument]

    def _on_quote(self, quote: Quote) -> None:
        waiting = self._first_quotes.pop(quote.instrument, None) if self._first_quotes else None
        if waiting is not None:
            waiting.has_come.set()

    def _keep_watching(self, feed: MarketFeed, instrument: str) -> None:
        if instrument in self._watched:
            self._watched.move_to_end(instrument)
            return
        self._watched[instrument] = Watch(feed, instrument, "quotes", "")
        while len(self._watched) > WATCHED:
            self._watched.popitem(last=False)[1].close()

    def _allow(self, principal: Principal, name: str) -> None:
        may = principal.allows(Verb.MARKET, name) or principal.allows(Verb.TRADE, name)
        if not may and not principal.allows(Verb.REDUCE, name):
            raise Forbidden(f"the token of {principal.name} does not allow {name}")

    def _on_connection(self, event: ConnectionChanged) -> None:
        self._links.setdefault(event.venue, {})[event.link] = event.state
        if event.state in UP:
            self._heard_ns[event.venue] = event.time_ns

    def _on_stale(self, event: DataStale | GapDetected) -> None:
        self._stale[event.instrument] = event.time_ns

    def _on_fresh(self, event: Resynced) -> None:
        self._stale.pop(event.instrument, None)

    def _on_candle(self, candle: Candle) -> None:
        if not candle.is_closed:
            return
        series = self._candles.get((candle.instrument, candle.interval))
        if series is None:
            if len(self._candles) >= KEPT_SERIES:
                del self._candles[next(iter(self._candles))]
            series = self._candles[candle.instrument, candle.interval] = deque(maxlen=KEPT_CANDLES)
        series.append(candle)
