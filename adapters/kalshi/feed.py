"""Market data of Kalshi: the shell between the session and the core."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from adapters.kalshi import messages
from adapters.kalshi.actions import (
    Acknowledged,
    Action,
    Alarm,
    BookApplied,
    BookInvalid,
    Deliver,
    Done,
    Ended,
    GapFound,
    Interrupted,
    LevelApplied,
    Refused,
    Told,
)
from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.book_events import STREAM, BookNumbers
from adapters.kalshi.complaints import Complaints
from adapters.kalshi.connection import KalshiConnection
from adapters.kalshi.coverage import LIFECYCLE, TICKERS, TRADES, Coverage
from adapters.kalshi.definitions import Definitions
from adapters.kalshi.market_events import quote_of, status_of, ticker_of, trade_of
from adapters.kalshi.market_reads import MarketReads
from adapters.kalshi.quiet_watch import QuietWatch
from adapters.kalshi.settings import SILENCE_S, KalshiSettings
from adapters.kalshi.subscription import BOOKS, Subscription
from adapters.kalshi.trade_candles import TradeCandles
from framework.errors import SubscriptionRefused, UnknownInstrument, VenueError
from framework.interfaces import AdapterContext
from framework.model.events import ConnectionState, DataStale
from framework.model.identity import instrument_id, symbol_of
from framework.model.instrument import Instrument
from framework.model.market_data import Candle
from framework.net.link import LinkOptions

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
TOO_MANY_MARKETS = 26  # for one subscription

Request = tuple[str, str, str]
"""Channel, market, and the interval of candles."""


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
        self._context = context
        self._reads = reads
        self._complaints = Complaints(LINK, context)
        self._connection = KalshiConnection(
            LINK,
            context,
            url,
            owner=self,
            key=key,
            options=LinkOptions(transport=settings.transport, silence_s=SILENCE_S),
        )
        self._coverage = Coverage(self._connection, most_markets=settings.markets_per_subscription)
        self._definitions = Definitions(
            instruments,
            context,
            reads,
            complaints=self._complaints,
            tells_phase=partial(self._coverage.wants, LIFECYCLE),
        )
        self._requests: Counter[Request] = Counter()
        self._candles = TradeCandles(context.clock, context.publish)
        self._numbers = BookNumbers()
        self._quiet = QuietWatch(
            self._connection, context.clock, quiet_s=settings.quiet_s, on_quiet=self._tell_stale
        )
        self._is_running = False

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The configured markets, with the venue's grid once it has told."""
        return self._definitions.instruments

    def instrument(self, name: str) -> Instrument | None:
        """Return one of them by its id, or None."""
        return self._definitions.find(name)

    # -- what the core asks ----------------------------------------------------------------------

    def subscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Ask for `quotes`, `trades`, `book`, `market` or `candles` with their interval; counted.

        Raises:
            UnknownInstrument: the configuration does not list it.
            VenueError: there is no such channel, or there are no candles of that interval.
        """
        request = self._request(instrument, channel, interval)
        if not self._requests[request] and channel == "candles":
            self._candles.begin(instrument, interval)
        self._requests[request] += 1
        for wire_channel in CHANNELS[channel]:
            self._coverage.want(wire_channel, request[1])
        if channel == "market" and self._requests[request] == 1 and self._is_running:
            self._definitions.learn((request[1],))

    def unsubscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Take one request back; harmless where there is none."""
        request = self._request(instrument, channel, interval)
        if not self._requests[request]:
            return
        self._requests[request] -= 1
        if not self._requests[request] and channel == "candles":
            self._candles.end(instrument, interval)
        if not self._requests[request] and channel == "market":
            self._definitions.forget_phase(request[1])
        for wire_channel in CHANNELS[channel]:
            self._coverage.unwant(wire_channel, request[1])

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
        self._is_running = True
        self._definitions.learn()
        self._quiet.start()
        try:
            await self._connection.run()
        finally:
            self._is_running = False
            self._quiet.stop()
            self._candles.close()
            await self._definitions.aclose()

    async def aclose(self) -> None:
        """Close the connection with the venue's knowledge."""
        await self._connection.aclose()

    def statistics(self) -> dict[str, int]:
        """Return counters of link and session, and of what went wrong."""
        return {**self._connection.statistics(), **self._complaints.statistics()}

    # -- what the connection tells ---------------------------------------------------------------

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        """Nothing but that trades are missing meanwhile: the link has published it."""
        if new is ConnectionState.RECONNECTING:
            self._candles.lose()

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
            self._on_rarity(action)

    def _on_level(self, applied: LevelApplied) -> None:
        level = applied.frame.message
        assert isinstance(level, messages.Level)
        ladders = applied.subscription.books[level.market_ticker]
        now_ns, name = self._context.clock.now_ns, self._name(level.market_ticker)
        self._context.publish(self._numbers.delta(applied, ladders, name, now_ns))

    def _on_book(self, applied: BookApplied) -> None:
        book = applied.frame.message
        assert isinstance(book, messages.Book)
        ladders = applied.subscription.books[book.market_ticker]
        now_ns, name = self._context.clock.now_ns, self._name(book.market_ticker)
        for event in self._numbers.snapshot(applied, ladders, name, now_ns):
            self._context.publish(event)

    def _on_frame(self, deliver: Deliver) -> None:
        message = deliver.frame.message
        market = getattr(message, "market_ticker", "")
        if market not in self._definitions:
            return
        if isinstance(message, messages.Ticker):
            self._on_ticker(message, self._name(market))
        elif isinstance(message, messages.Trade):
            self._on_trade(message, self._name(market))
        elif isinstance(message, messages.MarketLifecycle):
            status = status_of(message, self._name(market), self._context.clock.now_ns)
            if status is not None:
                self._definitions.note_phase(status)
            if message.price_ranges or message.close_ns is not None:
                self._definitions.learn((market,))

    def _on_ticker(self, message: messages.Ticker, name: str) -> None:
        now_ns, market = self._context.clock.now_ns, message.market_ticker
        quote, ticker = quote_of(message, name, now_ns), ticker_of(message, name, now_ns)
        if quote is not None and self._requests["quotes", market, ""]:
            self._context.publish(quote)
        if ticker is not None and self._requests["market", market, ""]:
            self._context.publish(ticker)

    def _on_trade(self, message: messages.Trade, name: str) -> None:
        trade = trade_of(message, name, self._context.clock.now_ns)
        if self._requests["trades", message.market_ticker, ""]:
            self._context.publish(trade)
        self._candles.on_trade(trade)

    def _on_rarity(self, action: Action) -> None:
        match action:
            case BookInvalid(market=market):
                now_ns = self._context.clock.now_ns
                gap = self._numbers.loss(action, self._name(market), now_ns)
                if gap is not None:
                    self._context.publish(gap)
            case GapFound(subscription=subscription) if subscription.channel == TRADES:
                self._complaints.tell(TRADES, "trades are missing")
                self._candles.resume()
            case Alarm(markets=markets, age_ns=age_ns):
                text = f"no true book of {', '.join(markets)} for {age_ns / NS:.0f} s"
                self._complaints.tell("books missing", text)
            case Told():
                self._complaints.on_fault(action)
            case _:
                self._on_subscription(action)

    def _on_subscription(self, action: Action) -> None:
        match action:
            case Acknowledged(subscription=subscription):
                self._on_acknowledged(subscription)
            case Interrupted(subscription=subscription, error=error):
                self._complaints.tell("subscription interrupted", str(error))
                self._on_silenced(subscription)
            case Done(request=request):
                self._coverage.done(request)
            case Refused(request=request, error=error):
                self._on_refused(request, error)
            case Ended(subscription=subscription, error=error) if error is not None:
                self._on_ended(subscription, error)

    def _on_acknowledged(self, subscription: Subscription) -> None:
        """What it brings is whole from now on; what it brought before may have been missed."""
        if subscription.channel == TRADES:
            self._candles.resume()
        elif subscription.channel == LIFECYCLE:
            self._definitions.learn(self._coverage.markets_of(LIFECYCLE))

    def _on_silenced(self, subscription: Subscription) -> None:
        if subscription.channel == TRADES:
            self._candles.lose()

    def _on_ended(self, subscription: Subscription, error: SubscriptionRefused) -> None:
        """Say that a subscription is over, and try it again in a while: nobody is watching."""
        self._on_silenced(subscription)
        channel, is_full = subscription.channel, error.code == TOO_MANY_MARKETS
        self._complaints.tell(f"subscription {channel}", str(error))
        uncovered = self._coverage.ended(subscription, is_full=is_full)
        self._cover_again(channel, uncovered, 0 if is_full and len(uncovered) > 1 else RETRY_NS)

    def _on_refused(self, request: int, error: SubscriptionRefused) -> None:
        """A market was not added to a subscription: try again, or elsewhere if that is full."""
        is_full = error.code == TOO_MANY_MARKETS
        refused = self._coverage.refused(request, is_full=is_full)
        if refused is not None:
            channel, market = refused
            self._complaints.tell(f"subscription {channel}", f"{market}: {error}")
            self._cover_again(channel, [market], 0 if is_full else RETRY_NS)

    def _cover_again(self, channel: str, markets: list[str], pause_ns: int) -> None:
        """Do it later: the session is not to be called back."""

        def cover() -> None:
            if self._is_running:
                self._coverage.cover_again(channel, markets)

        self._context.clock.call_at(self._context.clock.now_ns + pause_ns, cover)

    def _tell_stale(self, subscription: Subscription, age_ns: int) -> None:
        now_ns = self._context.clock.now_ns
        for market in subscription.markets:
            self._context.publish(DataStale(self._name(market), STREAM, age_ns, now_ns))

    # -- names -----------------------------------------------------------------------------------

    def _request(self, instrument: str, channel: str, interval: str) -> Request:
        market = self._market(instrument)
        if channel not in CHANNELS:
            raise VenueError(f"Kalshi has no channel {channel!r}")
        return channel, market, interval if channel == "candles" else ""

    def _market(self, instrument: str) -> str:
        if self._definitions.find(instrument) is None:
            raise UnknownInstrument(instrument)
        return symbol_of(instrument)

    def _name(self, market: str) -> str:
        return instrument_id(self._context.venue, market)
