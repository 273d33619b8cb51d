"""Market data of Binance: the shell around `StreamSession`, snapshots by REST, past candles.

Books follow the venue's rule through the core's `BookRecovery`: events are buffered, a snapshot is
asked for, events inside it are dropped, and the first one used must begin no later than the number
after it. Source: "WebSocket Streams for Binance", How to manage a local order book correctly.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

import anyio
import structlog
from anyio.abc import TaskGroup

from adapters.binance.client import DEPTH_WEIGHTS
from adapters.binance.codec import Answer, Notice, decode_frame, to_snapshot
from adapters.binance.history import past_candles
from adapters.binance.protocol import StreamSession, stream_of
from adapters.binance.rules import Rules
from adapters.binance.settings import INTERVALS, BinanceSettings
from adapters.binance.silence import Silence
from framework.errors import (
    MalformedMessage,
    SubscriptionRefused,
    UnknownInstrument,
    VenueError,
)
from framework.interfaces import AdapterContext
from framework.model.book_recovery import RecoveryOptions
from framework.model.events import ConnectionState, ErrorRaised
from framework.model.identity import symbol_of
from framework.model.instrument import Instrument
from framework.model.market_data import BookDelta, BookSnapshot, Candle, Quote
from framework.net.link import Endpoint, Link, LinkOptions
from framework.net.rest import Request, RestClient

log = structlog.get_logger("binance")

CHANNELS = ("quotes", "trades", "candles", "book")
LINK = "feed"
RECOVERY = RecoveryOptions(
    can_request_snapshot=True,
    snapshots_in_stream=False,
    buffer_capacity=5_000,
    clock_tolerance_ns=2_000_000_000,  # a snapshot has our time, an event the venue's
)
SNAPSHOT_S = 2.0  # the core takes harder steps after three seconds without a true book
LOGGED_BAD_FRAMES = 3


class BinanceFeed:
    """The streams that somebody subscribed to, over one connection."""

    book_recovery = RECOVERY

    def __init__(
        self,
        instruments: Iterable[Instrument],
        settings: BinanceSettings,
        context: AdapterContext,
        client: RestClient,
    ) -> None:
        self._settings = settings
        self._context = context
        self._client = client
        self._rules = Rules(instruments, context, client)
        self._session = StreamSession()
        self._silence = Silence(
            context, settings.stale_s, is_wanted=self._session.is_wanted, renew=self._renew
        )
        self._tasks: TaskGroup | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._asked: set[str] = set()  # instruments whose snapshot is on its way
        self._newest_ns: dict[str, int] = {}  # the venue's time of each book's newest event
        self._connection = 0  # how many there were
        self._counts: Counter[str] = Counter()
        self._link = Link(
            LINK,
            context,
            endpoint=self._endpoint,
            handler=self,
            options=LinkOptions(silence_s=None),  # the session finds silence out, by data
        )

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The configured instruments, with the venue's grid once it has told."""
        return self._rules.instruments

    # -- what the core asks ----------------------------------------------------------------------

    def subscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Ask for a channel, `candles` with their interval; counted.

        Raises:
            UnknownInstrument: the configuration does not list it.
            VenueError: the venue has no such channel, or no candles of that interval.
        """
        self._session.want(self._stream(instrument, channel, interval))
        self._pump()

    def unsubscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Take one request back; harmless where there is none."""
        stream = self._stream(instrument, channel, interval)
        self._session.unwant(stream)
        if not self._session.is_wanted(stream):
            self._silence.forget(stream)
        self._pump()

    async def history(
        self, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """Return the last `limit` closed candles with `close_ns <= end_ns`, oldest first.

        Raises:
            UnknownInstrument, VenueError: as for `subscribe`, or the venue gave no answer.
        """
        self._stream(instrument, "candles", interval)
        return await past_candles(
            self._client, self._context.clock, instrument, interval, end_ns=end_ns, limit=limit
        )

    def request_snapshot(self, instrument: str) -> None:
        """Fetch a whole book; one request at a time for an instrument.

        Not before its events come: a book without them would age and not say so.
        """
        is_streaming = self._session.is_agreed(self._stream(instrument, "book", ""))
        if self._tasks is not None and is_streaming and instrument not in self._asked:
            self._asked.add(instrument)
            self._tasks.start_soon(self._fetch_snapshot, instrument)

    def resubscribe(self, instrument: str) -> None:
        """Take the book's subscription back and ask for it anew."""
        self._renew(self._stream(instrument, "book", ""))

    def reconnect(self, reason: str) -> None:
        """Drop the connection and open a new one."""
        self._link.reconnect(reason)

    async def run(self) -> None:
        """Connect and publish until cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                tasks.start_soon(self._link.run)
        finally:
            self._tasks = None
            self._end()

    def statistics(self) -> dict[str, int]:
        """Return what was counted since the start."""
        return {**self._link.statistics(), **self._counts}

    # -- the link --------------------------------------------------------------------------------

    async def _endpoint(self) -> Endpoint:
        return Endpoint(f"{self._settings.stream_url}/stream")

    def on_open(self) -> None:
        """Ask for everything that is wanted, and for the venue's rules."""
        self._connection += 1
        self._session.opened(self._now_s)
        self._pump()
        if self._tasks is not None:
            self._tasks.start_soon(self._rules.load)

    def on_text(self, data: bytes | str) -> None:
        """Publish market data; take what concerns the session."""
        now_ns = self._context.clock.now_ns
        try:
            heard = decode_frame(data, self._context.venue, now_ns)
        except MalformedMessage as error:
            self._note_bad(error)
            return
        if isinstance(heard, Answer):
            self._on_answer(heard)
        elif isinstance(heard, Notice):
            if heard.type == "serverShutdown":
                self._link.reconnect("the venue's server shuts down")
        else:
            if isinstance(heard, BookDelta):
                self._newest_ns[heard.instrument] = heard.time_ns
                self._silence.on_data(heard.instrument, "book", now_ns)
            elif isinstance(heard, Quote):
                self._silence.on_data(heard.instrument, "quotes", now_ns)
            self._context.publish(heard)

    def on_binary(self, data: bytes) -> None:
        """Count it: this venue speaks text."""
        self._counts["unexpected"] += 1

    def on_ping(self, data: bytes) -> None:
        """Nothing: a ping is no data."""

    def on_lost(self, reason: str) -> None:
        """Forget what the venue had agreed to."""
        self._end()

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        """Nothing: the link publishes its moves."""

    # -- the session -----------------------------------------------------------------------------

    @property
    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _on_answer(self, answer: Answer) -> None:
        for refusal in self._session.answered(answer):
            error = SubscriptionRefused(refusal.stream, refusal.code, refusal.text)
            log.error("subscription_refused", venue=self._context.venue, error=str(error))
            now_ns = self._context.clock.now_ns
            self._context.publish(
                ErrorRaised(f"{self._context.venue} {LINK}", refusal.stream, str(error), now_ns)
            )
        self._pump()

    def _pump(self) -> None:
        """Send what is due and set the alarm for what comes next."""
        if not self._link.is_open:
            return
        now_s = self._now_s
        if self._session.is_mute(now_s):
            self._link.reconnect("a request got no answer")
            return
        request = self._session.next_request(now_s)
        if request:
            self._link.send(request)
        if self._session.is_settled:
            self._link.mark_streaming()
        if self._timer is not None:
            self._timer.cancel()
        due_s = self._session.next_due_s
        if due_s is not None:
            self._timer = asyncio.get_running_loop().call_at(due_s, self._pump)

    def _end(self) -> None:
        self._session.lost()
        self._silence.clear()
        self._newest_ns.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _renew(self, stream: str) -> None:
        self._session.renew(stream)
        self._pump()

    def _stream(self, instrument: str, channel: str, interval: str) -> str:
        if not self._rules.knows(instrument):
            raise UnknownInstrument(instrument)
        if channel not in CHANNELS:
            raise VenueError(f"{self._context.venue} has no channel {channel!r}")
        if channel == "candles" and interval not in INTERVALS:
            raise VenueError(f"{self._context.venue} has no candles of {interval!r}")
        return stream_of(symbol_of(instrument), channel, interval)

    # -- snapshots -------------------------------------------------------------------------------

    async def _fetch_snapshot(self, instrument: str) -> None:
        """Publish a whole book, or nothing: the core asks again."""
        connection = self._connection
        try:
            snapshot = await self._snapshot(instrument)
        except VenueError as error:
            self._counts["snapshots_failed"] += 1
            log.warning("snapshot_failed", instrument=instrument, error=str(error))
            return
        finally:
            self._asked.discard(instrument)
        if self._connection == connection and self._link.is_open:  # else the stream has a hole
            self._context.publish(snapshot)

    async def _snapshot(self, instrument: str) -> BookSnapshot:
        """Return a whole book, stamped no earlier than any event that it may contain."""
        depth = self._settings.depth
        query = (("symbol", symbol_of(instrument)), ("limit", str(depth)))
        request = Request(
            method="GET",
            path="/api/v3/depth",
            query=query,
            cost=DEPTH_WEIGHTS[depth],
            deadline_s=SNAPSHOT_S,
        )
        response = await self._client.send(request)
        now_ns = self._context.clock.now_ns
        time_ns = max(now_ns, self._newest_ns.get(instrument, 0))
        return to_snapshot(response.body, instrument, time_ns=time_ns, received_ns=now_ns)

    def _note_bad(self, error: MalformedMessage) -> None:
        self._counts["malformed"] += 1
        if self._counts["malformed"] <= LOGGED_BAD_FRAMES:
            log.warning("malformed_frame", venue=self._context.venue, error=str(error))
