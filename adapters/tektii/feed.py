"""Market data of a gateway: quotes and candles by its stream, past ones and searches by REST.

What the stream brings is decided by the gateway: an original one has one list for everybody
(`SUBSCRIPTIONS`), ours takes one per connection with the handshake. Neither takes wishes later, so
that one for what the handshake did not name costs this feed, and only it, a new connection.
There are no books and no tape in this protocol.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

import structlog

from adapters.tektii.codec import to_candle, to_quote
from adapters.tektii.heard import Frame, FrameKind
from adapters.tektii.history import past_candles
from adapters.tektii.protocol import Gap, Patience, market_subscriptions
from adapters.tektii.settings import TIMEFRAMES, TektiiSettings
from adapters.tektii.stream import Gateway, GatewayStream
from framework.errors import UnknownInstrument, VenueError
from framework.interfaces import AdapterContext
from framework.model.events import DataStale, GapDetected, Resynced
from framework.model.identity import symbol_of, venue_of
from framework.model.instrument import Instrument
from framework.model.market_data import Candle

log = structlog.get_logger("tektii")

LINK = "feed"
CHANNELS = ("quotes", "candles")
SOON_S = 0.2  # wishes that come together cost one new connection
LONGEST_SUBSCRIPTIONS = 3_000  # characters of a URL's query; beyond, everything is asked for
EVERYTHING = "*"

Wish = tuple[str, str, str]
"""Instrument, channel, interval ("" of quotes)."""


class TektiiFeed:
    """The quotes and candles that somebody subscribed to."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        settings: TektiiSettings,
        context: AdapterContext,
        gateway: Gateway,
    ) -> None:
        self._known = {instrument.id: instrument for instrument in instruments}
        self._settings = settings
        self._context = context
        self._gateway = gateway
        self._wishes: Counter[Wish] = Counter()
        self._covered: frozenset[Wish] | None = None  # by the handshake; None: everything
        self._closed_ns: dict[tuple[str, str], int] = {}  # the open of the newest closed candle
        self._patience = Patience(settings.silence_s)
        self._silent: dict[str, None] = {}  # instruments told as stale for silence
        self._renewal: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._counts: Counter[str] = Counter()
        self._stream = GatewayStream(
            LINK,
            settings,
            context,
            gateway,
            owner=self,
            subscriptions=self._subscriptions,
            is_broker=False,
        )

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The configured instruments, and those that were found since."""
        return tuple(self._known.values())

    def instrument(self, instrument: str) -> Instrument | None:
        """Return what is known of an instrument."""
        return self._known.get(instrument)

    # -- what the core asks ----------------------------------------------------------------------

    def subscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Ask for `quotes`, or `candles` with their interval; counted.

        Raises:
            UnknownInstrument: it is neither configured nor found.
            VenueError: the protocol has no such channel, or no candles of that interval.
        """
        wish = self._wish(instrument, channel, interval)
        self._wishes[wish] += 1
        self._cover()

    def unsubscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Take one request back; harmless where there is none."""
        wish = self._wish(instrument, channel, interval)
        self._wishes[wish] -= 1
        if self._wishes[wish] <= 0:
            del self._wishes[wish]
            self._closed_ns.pop((instrument, interval), None)
        if not self._wishes:
            self._patience.forget()
            self._sound(())

    async def history(
        self, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """Return the last `limit` closed candles with `close_ns <= end_ns`, oldest first.

        Raises:
            UnknownInstrument, VenueError: as for `subscribe`, or the gateway gave no answer.
        """
        self._wish(instrument, "candles", interval)
        return await past_candles(
            self._gateway.client,
            self._context.clock,
            self._known[instrument],
            interval,
            end_ns=end_ns,
            limit=limit,
        )

    async def find_instrument(self, instrument: str) -> Instrument | None:
        """Return an instrument of which the gateway has a quote; its grid is not told.

        Raises:
            VenueError: the gateway cannot say.
        """
        known = self._known.get(instrument)
        if known is not None:
            return known
        symbol = symbol_of(instrument)
        if venue_of(instrument) != self._context.venue or not symbol:
            return None
        if await self._gateway.client.quote(symbol) is None:
            return None
        found = Instrument(id=instrument, currency=self._settings.currency)
        return self._known.setdefault(instrument, found)

    async def run(self) -> None:
        """Connect and publish until cancelled."""
        try:
            await self._stream.run()
        finally:
            self._stop_timers()

    def statistics(self) -> dict[str, int]:
        """Return what was counted since the start."""
        return {**self._stream.statistics(), **self._counts}

    # -- the stream ------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Ask for what was wished meanwhile, and listen."""
        self._patience.opened(self._now_s)
        self._cover()
        self._listen()

    def on_lost(self, reason: str) -> None:
        """Wait for the next connection."""
        self._stop_timers()

    def on_gap(self, gap: Gap) -> None:
        """Say that something is missing: a quote more or less, or a candle that nobody repeats."""
        now_ns = self._context.clock.now_ns
        for instrument, channel, interval in self._wishes:
            stream = f"{channel} {interval}".strip()
            publish = self._context.publish
            publish(GapDetected(instrument, stream, gap.expected, gap.received, now_ns))
            publish(Resynced(instrument, stream, gap.received, now_ns))

    def on_frame(self, frame: Frame) -> None:
        """Publish a quote or a candle that somebody wants. Raises MalformedMessage."""
        now_ns = self._context.clock.now_ns
        kind = frame.kind
        if kind is FrameKind.QUOTE and frame.quote is not None:
            self._heard()
            quote = to_quote(
                frame.quote,
                self._context.venue,
                stamp=frame.timestamp,
                received_ns=now_ns,
                unstated=self._settings.unstated_size,
            )
            if (quote.instrument, "quotes", "") in self._wishes:
                self._context.publish(quote)
        elif kind is FrameKind.CANDLE and frame.bar is not None:
            self._heard()
            venue = self._context.venue
            self._on_candle(to_candle(frame.bar, venue, stamp=frame.timestamp, received_ns=now_ns))

    def _on_candle(self, candle: Candle) -> None:
        """Publish a candle, each closed one once and none after a later one."""
        if (candle.instrument, "candles", candle.interval) not in self._wishes:
            return
        name = (candle.instrument, candle.interval)
        if candle.open_ns <= self._closed_ns.get(name, -1):
            self._counts["old_candles"] += 1
            return
        if candle.is_closed:
            self._closed_ns[name] = candle.open_ns
        self._context.publish(candle)

    # -- what the handshake asks for -------------------------------------------------------------

    def _wish(self, instrument: str, channel: str, interval: str) -> Wish:
        if instrument not in self._known:
            raise UnknownInstrument(instrument)
        if channel not in CHANNELS:
            raise VenueError(f"{self._context.venue} has no channel {channel!r}")
        if channel == "quotes":
            return instrument, channel, ""
        if interval not in TIMEFRAMES:
            raise VenueError(f"{self._context.venue} has no candles of {interval!r}")
        return instrument, channel, interval

    def _subscriptions(self) -> str:
        """Return what the next connection asks for, and take note of it."""
        candles = [interval for _, channel, interval in self._wishes if channel == "candles"]
        timeframes = dict.fromkeys([*self._settings.timeframes, *candles])
        platform = self._gateway.platform
        symbols = [symbol_of(name) for name in self._known] or [EVERYTHING]
        text = market_subscriptions(platform, symbols, timeframes)
        self._covered = frozenset(
            (name, channel, interval)
            for name in self._known
            for channel, interval in [("quotes", ""), *(("candles", one) for one in timeframes)]
        )
        if len(text) > LONGEST_SUBSCRIPTIONS:
            self._covered = None
            text = market_subscriptions(platform, [EVERYTHING], TIMEFRAMES)
        return text

    def _cover(self) -> None:
        """Connect anew, soon, if somebody wants what this connection did not ask for."""
        if self._renewal is not None or not self._stream.is_open or self._covered is None:
            return
        if not self._covered.issuperset(self._wishes):
            loop = asyncio.get_running_loop()
            self._renewal = loop.call_later(SOON_S, self._renew)

    def _renew(self) -> None:
        self._renewal = None
        self._counts["renewals"] += 1
        self._stream.link.reconnect("something new is wanted")

    # -- silence ---------------------------------------------------------------------------------

    @property
    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _heard(self) -> None:
        if not self._wishes:
            return
        is_first = self._patience.due_s is None
        self._patience.on_data(self._now_s)
        if self._silent:
            self._sound(())
        if is_first:
            self._listen()

    def _listen(self) -> None:
        """Set the alarm for when silence has lasted too long."""
        due_s = self._patience.due_s
        if self._look is None and due_s is not None and self._stream.is_open:
            self._look = asyncio.get_running_loop().call_at(due_s, self._on_due)

    def _on_due(self) -> None:
        self._look = None
        if not self._patience.is_over(self._now_s):
            self._listen()
            return
        self._counts["silences"] += 1
        self._sound(dict.fromkeys(instrument for instrument, _, _ in self._wishes))
        self._stream.link.reconnect("no market data")

    def _sound(self, silent: Iterable[str]) -> None:
        """Say which instruments bring nothing (R-42), and which do again."""
        now_ns = self._context.clock.now_ns
        now_silent = dict.fromkeys(silent)
        for name in now_silent:
            if name not in self._silent:
                age_ns = round(self._settings.silence_s * 1e9)
                self._context.publish(DataStale(name, LINK, age_ns, now_ns))
        for name in self._silent:
            if name not in now_silent:
                self._context.publish(Resynced(name, LINK, 0, now_ns))
        self._silent = now_silent

    def _stop_timers(self) -> None:
        for timer in (self._look, self._renewal):
            if timer is not None:
                timer.cancel()
        self._look = self._renewal = None
