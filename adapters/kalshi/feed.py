"""Market data of Kalshi: the shell between the session and the core."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

import structlog

from adapters.kalshi import messages
from adapters.kalshi.actions import (
    Action,
    Alarm,
    BookApplied,
    BookInvalid,
    Deliver,
    Ended,
    Fault,
    Interrupted,
    LevelApplied,
    Told,
)
from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.book_events import STREAM, BookNumbers
from adapters.kalshi.connection import KalshiConnection
from adapters.kalshi.coverage import LIFECYCLE, TICKERS, TRADES, Coverage
from adapters.kalshi.market_events import quote_of, status_of, ticker_of, trade_of
from adapters.kalshi.market_reads import MarketReads
from adapters.kalshi.settings import SILENCE_S, KalshiSettings
from adapters.kalshi.subscription import BOOKS, Subscription
from adapters.kalshi.trade_candles import TradeCandles
from framework.errors import UnknownInstrument, VenueError
from framework.interfaces import AdapterContext
from framework.model.events import ConnectionState, DataStale, ErrorRaised
from framework.model.identity import instrument_id, symbol_of
from framework.model.instrument import Instrument, InstrumentChanged
from framework.model.market_data import Candle
from framework.net.link import LinkOptions

log = structlog.get_logger("kalshi")

LINK = "feed"
CHANNELS = {
    "quotes": (TICKERS,),
    "trades": (TRADES,),
    "candles": (TRADES,),
    "book": (BOOKS,),
    "market": (TICKERS, LIFECYCLE),
}
NS = 1_000_000_000
RETRY_NS = 60 * NS  # before a subscription that the venue refused for good is tried again
LOGGED_FAULTS = 3  # of a kind; later ones are counted


class KalshiFeed:
    """What somebody subscribed to, over one connection.

    The books are the session's (`RecoversBooks` is not for a venue whose numbers span markets):
    it finds and heals gaps, and what leaves here is in order, or said to be broken.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        settings: KalshiSettings,
        context: AdapterContext,
        *,
        url: str | Callable[[], Awaitable[str]],
        key: KalshiKey | None,
        reads: MarketReads,
    ) -> None:
        self._instruments = {symbol_of(known.id): known for known in instruments}
        self._settings = settings
        self._context = context
        self._reads = reads
        self._connection = KalshiConnection(
            LINK,
            context,
            url,
            owner=self,
            key=key,
            options=LinkOptions(transport=settings.transport, silence_s=SILENCE_S),
        )
        self._coverage = Coverage(self._connection, most_markets=settings.markets_per_subscription)
        self._candles = TradeCandles(context.clock, context.publish)
        self._candle_requests: Counter[tuple[str, str]] = Counter()
        self._numbers = BookNumbers()
        self._asked: set[int] = set()  # quiet subscriptions that were asked for their books
        self._faults: Counter[Fault] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The configured markets, with the venue's grid once it has told."""
        return tuple(self._instruments.values())

    # -- what the core asks ----------------------------------------------------------------------

    def subscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Ask for `quotes`, `trades`, `book`, `market` or `candles` with their interval; counted.

        Raises:
            UnknownInstrument: the configuration does not list it.
            VenueError: there is no such channel, or there are no candles of that interval.
        """
        market = self._market(instrument)
        wire_channels = self._wire_channels(channel)
        if channel == "candles":
            if not self._candle_requests[instrument, interval]:
                self._candles.begin(instrument, interval)
            self._candle_requests[instrument, interval] += 1
        for wire_channel in wire_channels:
            self._coverage.want(wire_channel, market)

    def unsubscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Take one request back; harmless where there is none."""
        market = self._market(instrument)
        wire_channels = self._wire_channels(channel)
        if channel == "candles":
            if not self._candle_requests[instrument, interval]:
                return
            self._candle_requests[instrument, interval] -= 1
            if not self._candle_requests[instrument, interval]:
                self._candles.end(instrument, interval)
        for wire_channel in wire_channels:
            self._coverage.unwant(wire_channel, market)

    async def history(
        self, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """Return the last `limit` closed candles with `close_ns <= end_ns`, oldest first.

        A minute without a trade has no candle at the venue; it is flat at the last price here.

        Raises:
            UnknownInstrument: the configuration does not list it.
            VenueError: the venue has no candles of that interval, or gave no answer.
        """
        market = self._market(instrument)
        return await self._reads.candles(market, instrument, interval, end_ns=end_ns, limit=limit)

    async def run(self) -> None:
        """Connect and publish until cancelled."""
        loop = asyncio.get_running_loop()
        self._start(self._learn_markets())
        watch = loop.create_task(self._watch_quiet())
        try:
            await self._connection.run()
        finally:
            tasks = [watch, *self._tasks]
            for task in tasks:
                task.cancel()
            self._candles.close()
            await asyncio.wait(tasks)

    async def aclose(self) -> None:
        """Close the connection with the venue's knowledge."""
        await self._connection.aclose()

    def statistics(self) -> dict[str, int]:
        """Return counters of link and session, and of what went wrong."""
        faults = {f"fault_{fault.value}": count for fault, count in self._faults.items()}
        return {**self._connection.statistics(), **faults}

    # -- what the connection tells ---------------------------------------------------------------

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        """Nothing: the link has published it."""

    def on_heartbeat(self) -> None:
        """Nothing: the link has noted it, and it says nothing about any stream."""

    def on_action(self, action: Action) -> None:
        """Publish what the core wants to know."""
        kind = type(action)
        if kind is LevelApplied:
            self._on_level(action)  # type: ignore[arg-type] # narrowed by its class
        elif kind is Deliver:
            self._on_frame(action)  # type: ignore[arg-type] # as above
        elif kind is BookApplied:
            self._on_book(action)  # type: ignore[arg-type] # as above
        else:
            self._on_trouble(action)

    def _on_level(self, applied: LevelApplied) -> None:
        level = applied.frame.message
        assert isinstance(level, messages.Level)
        now_ns = self._context.clock.now_ns
        name = instrument_id(self._context.venue, level.market_ticker)
        self._context.publish(self._numbers.delta(applied, False, name, now_ns))

    def _on_book(self, applied: BookApplied) -> None:
        book = applied.frame.message
        assert isinstance(book, messages.Book)
        ladders = applied.subscription.books[book.market_ticker]
        name = instrument_id(self._context.venue, book.market_ticker)
        now_ns = self._context.clock.now_ns
        for event in self._numbers.snapshot(applied, ladders, name, now_ns):
            self._context.publish(event)

    def _on_frame(self, deliver: Deliver) -> None:
        message, publish = deliver.frame.message, self._context.publish
        market = getattr(message, "market_ticker", "")
        if market not in self._instruments:
            return
        name, now_ns = instrument_id(self._context.venue, market), self._context.clock.now_ns
        if isinstance(message, messages.Ticker):
            publish(quote_of(message, name, now_ns))
            ticker = ticker_of(message, name, now_ns)
            if ticker is not None and self._coverage.wants(LIFECYCLE, market):
                publish(ticker)
        elif isinstance(message, messages.Trade):
            trade = trade_of(message, name, now_ns)
            publish(trade)
            self._candles.on_trade(trade)
        elif isinstance(message, messages.MarketLifecycle):
            status = status_of(message, name, now_ns)
            if status is not None:
                publish(status)
            if message.price_ranges or message.close_ns is not None:
                self._start(self._learn_markets((market,)))

    def _on_trouble(self, action: Action) -> None:
        now_ns = self._context.clock.now_ns
        venue = self._context.venue
        if isinstance(action, BookInvalid):
            name = instrument_id(venue, action.market)
            gap = self._numbers.loss(action, name, now_ns)
            if gap is not None:
                self._context.publish(gap)
        elif isinstance(action, Interrupted):
            log.warning("subscription_interrupted", venue=venue, reason=str(action.error))
        elif isinstance(action, Ended):
            self._on_ended(action)
        elif isinstance(action, Alarm):
            log.error("books_missing", venue=venue, markets=action.markets, age_ns=action.age_ns)
        elif isinstance(action, Told):
            self._on_fault(action)

    def _on_ended(self, ended: Ended) -> None:
        """Say that a subscription is over, and try it again in a while: nobody is watching."""
        subscription, error = ended.subscription, ended.error
        if error is None:
            return
        self._tell_error(f"subscription {subscription.channel}", str(error))
        uncovered = self._coverage.ended(subscription)
        again = partial(self._coverage.cover_again, subscription.channel, uncovered)
        self._context.clock.call_at(self._context.clock.now_ns + RETRY_NS, again)

    def _on_fault(self, told: Told) -> None:
        self._faults[told.fault] += 1
        if self._faults[told.fault] <= LOGGED_FAULTS:
            self._tell_error(told.fault.value, told.text)

    def _tell_error(self, what: str, text: str) -> None:
        context = self._context
        log.warning("feed_error", venue=context.venue, what=what, reason=text)
        context.publish(ErrorRaised(f"{context.venue} feed", what, text, context.clock.now_ns))

    # -- quiet subscriptions ---------------------------------------------------------------------

    async def _watch_quiet(self) -> None:
        """Ask a quiet book subscription for its books; subscribe anew if even that is quiet."""
        ended = asyncio.get_running_loop().create_future()
        while True:
            try:
                async with asyncio.timeout(self._settings.quiet_s / 4):
                    await asyncio.shield(ended)
            except TimeoutError:
                self._check_quiet()

    def _check_quiet(self) -> None:
        now_ns = self._context.clock.now_ns
        quiet_ns = int(self._settings.quiet_s * NS)
        for subscription in self._connection.session.subscriptions:
            age_ns = now_ns - subscription.statistics.last_frame_ns
            if not subscription.has_books or subscription.sid is None or age_ns < quiet_ns:
                self._asked.discard(subscription.id)
            elif subscription.id not in self._asked:
                self._asked.add(subscription.id)
                markets = tuple(subscription.markets)
                self._connection.session.request_snapshots(subscription, markets, now_ns)
            elif age_ns >= 2 * quiet_ns:
                self._asked.discard(subscription.id)
                self._tell_stale(subscription, age_ns, now_ns)

    def _tell_stale(self, subscription: Subscription, age_ns: int, now_ns: int) -> None:
        for market in subscription.markets:
            name = instrument_id(self._context.venue, market)
            self._context.publish(DataStale(name, STREAM, age_ns, now_ns))
        self._connection.resubscribe(subscription, "it said nothing, asked or not")

    # -- definitions -----------------------------------------------------------------------------

    async def _learn_markets(self, markets: tuple[str, ...] = ()) -> None:
        """Tell the core of the venue's own grids; what was configured holds until then."""
        asked = markets or tuple(self._instruments)
        try:
            found = await self._reads.instruments(asked)
        except VenueError as error:
            self._tell_error("market definitions", str(error))
            return
        now_ns = self._context.clock.now_ns
        for instrument in found:
            if self._instruments.get(symbol_of(instrument.id)) != instrument:
                self._instruments[symbol_of(instrument.id)] = instrument
                self._context.publish(InstrumentChanged(instrument.id, now_ns, now_ns, instrument))
        missing = set(asked) - {symbol_of(instrument.id) for instrument in found}
        for market in sorted(missing):
            self._tell_error("market definitions", f"the venue has no market {market!r}")

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- names -----------------------------------------------------------------------------------

    def _market(self, instrument: str) -> str:
        market = symbol_of(instrument)
        if instrument != instrument_id(self._context.venue, market):
            raise UnknownInstrument(instrument)
        if market not in self._instruments:
            raise UnknownInstrument(instrument)
        return market

    def _wire_channels(self, channel: str) -> tuple[str, ...]:
        try:
            return CHANNELS[channel]
        except KeyError:
            raise VenueError(f"Kalshi has no channel {channel!r}") from None
