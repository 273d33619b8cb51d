"""The synthetic market live: prices move with the clock, and faults happen on demand."""

from collections import Counter, deque
from collections.abc import Sequence
from typing import TypeVar

import anyio
import anyio.lowlevel
import msgspec

from adapters.mock.line import Line, Moment
from adapters.mock.settings import Market, MockSettings, interval_ns
from adapters.mock.synthetic import Seeds
from framework.errors import UnknownInstrument, VenueError
from framework.interfaces import AdapterContext, TimerHandle
from framework.model.events import ConnectionChanged, ConnectionState, Event
from framework.model.market_data import Candle, Quote, Trade

CHANNELS = ("quotes", "trades", "candles", "book")
TURN_EVENTS = 256  # published per loop turn
TIMER_STEPS = 1_000  # made per timer: after a long pause the loop gets its turns
LINK = "feed"

E = TypeVar("E", Quote, Trade, Candle)


class MockFeed:
    """A market whose every step is a function of the seed and the time since its origin.

    The origin is the open of the candle in which the feed is first used; before it lies a
    made-up past. Steps that nobody subscribed to happen all the same.
    """

    def __init__(
        self, markets: Sequence[Market], settings: MockSettings, context: AdapterContext
    ) -> None:
        self.instruments = tuple(market.definition for market in markets)
        self._markets = {market.definition.id: market for market in markets}
        self._settings = settings
        self._context = context
        self._interval_ns = interval_ns(settings.candle_interval) or 0
        self._step_ns = settings.interval_ms * 1_000_000
        self._lines: dict[str, Line] = {}
        self._subscriptions: Counter[tuple[str, str, str]] = Counter()
        self._outbox: deque[Event] = deque()
        self._due = anyio.Event()
        self._timer: TimerHandle | None = None
        self._next_ns = 0
        self._step_count = 0
        self._silent_until_ns = 0
        self._published_count = 0
        self._lost_count = 0

    def subscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Ask for a channel; `candles` with their interval. Counted.

        Raises:
            UnknownInstrument: the venue has no such instrument.
            VenueError: it has no such channel, or no candles of that interval.
        """
        self._subscriptions[self._subscription(instrument, channel, interval)] += 1
        if channel == "book" and instrument in self._lines:
            self._lines[instrument].book.request_snapshot()

    def unsubscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Take one request back; harmless where there is none."""
        subscription = self._subscription(instrument, channel, interval)
        self._subscriptions[subscription] -= 1
        if self._subscriptions[subscription] <= 0:
            del self._subscriptions[subscription]

    async def history(
        self, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """Return the last `limit` closed candles, oldest first; 100,000 short ones at most."""
        self._subscription(instrument, "candles", interval)
        self._begin()
        line = self._lines[instrument]
        length_ns = interval_ns(interval) or self._interval_ns
        while line.makes_past(length_ns, end_ns=end_ns, limit=limit):
            await anyio.lowlevel.checkpoint()  # in parts on the loop: a thread would race with it
        return line.candles(interval, length_ns, end_ns=end_ns, limit=limit)

    async def run(self) -> None:
        """Publish what is subscribed until cancelled."""
        self._begin()
        self._skip_to_now()
        self._announce(ConnectionState.STREAMING)
        self._arm()
        try:
            while True:
                await self._due.wait()
                self._due = anyio.Event()
                await self._publish_all()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._outbox.clear()
            self._announce(ConnectionState.CLOSED)

    def request_snapshot(self, instrument: str) -> None:
        """Send a whole book of `instrument` with the next step."""
        self._line(instrument).book.request_snapshot()

    def lose_delta(self, instrument: str) -> None:
        """Let the next book delta of `instrument` get lost."""
        self._line(instrument).book.lose_next()

    def stall(self, duration_ms: int) -> None:
        """Let the link fall silent for `duration_ms` of market time, without a word."""
        self._silent_until_ns = self._context.clock.now_ns + duration_ms * 1_000_000

    def burst(self, instrument: str, size: int) -> None:
        """Let `instrument` trade `size` times at once, now."""
        now_ns = self._context.clock.now_ns
        trade = Trade(instrument, now_ns, now_ns, self._line(instrument).last_price, 1.0)
        self._outbox.extend([trade] * size)
        self._due.set()

    def statistics(self) -> dict[str, int]:
        """Return what was published, lost on purpose, and waits for the next loop turn."""
        return {
            "subscriptions": len(self._subscriptions),
            "steps": self._step_count,
            "published": self._published_count,
            "lost": self._lost_count,
            "waiting": len(self._outbox),
        }

    def _subscription(self, instrument: str, channel: str, interval: str) -> tuple[str, str, str]:
        if instrument not in self._markets:
            raise UnknownInstrument(instrument)
        if channel not in CHANNELS:
            raise VenueError(f"the mock venue has no channel {channel!r}")
        if channel != "candles":
            return instrument, channel, ""
        length_ns = interval_ns(interval)
        if length_ns is None or length_ns % self._interval_ns:
            shortest = self._settings.candle_interval
            raise VenueError(
                f"the mock venue has candles of multiples of {shortest}, not {interval!r}"
            )
        return instrument, channel, interval

    def _line(self, instrument: str) -> Line:
        if instrument not in self._markets:
            raise UnknownInstrument(instrument)
        self._begin()
        return self._lines[instrument]

    def _begin(self) -> None:
        """Fix the origin at the first use."""
        if self._lines:
            return
        origin_ns = self._context.clock.now_ns // self._interval_ns * self._interval_ns
        self._next_ns = origin_ns
        for name, market in self._markets.items():
            random = self._context.random_for(f"mock past {market.process.symbol}")
            self._lines[name] = Line(
                market,
                seeds_of(market, self._context),
                self._settings,
                origin_ns=origin_ns,
                interval_ns=self._interval_ns,
                past_seed=random.getrandbits(64),
            )

    def _skip_to_now(self) -> None:
        """Let the steps that lie in the past happen unseen."""
        now_ns = self._context.clock.now_ns
        while self._next_ns < now_ns:
            self._step(now_ns, is_silent=True)

    def _arm(self) -> None:
        self._timer = self._context.clock.call_at(self._next_ns, self._on_timer)

    def _on_timer(self) -> None:
        now_ns = self._context.clock.now_ns
        for _ in range(TIMER_STEPS):
            if self._next_ns > now_ns:
                break
            self._step(now_ns, is_silent=self._next_ns < self._silent_until_ns)
        if self._outbox:
            self._due.set()
        self._arm()

    def _step(self, now_ns: int, *, is_silent: bool) -> None:
        """Let one step of every instrument happen; candles close before anything else."""
        time_ns = self._next_ns
        self._next_ns += self._step_ns
        self._step_count += 1
        self._plan_faults()
        events: list[Event] = []
        for name, line in self._lines.items():
            if line.close_candle(time_ns):
                events += self._closed_candles(name, line, time_ns, now_ns)
        for name, line in self._lines.items():
            moment = line.step()
            events += self._step_events(name, line, moment, now_ns, is_silent=is_silent)
        if not is_silent:
            self._outbox.extend(events)
        else:
            self._lost_count += len(events)

    def _plan_faults(self) -> None:
        faults, count = self._settings.faults, self._step_count
        if faults.stall_every and count % faults.stall_every == 0:
            self._silent_until_ns = self._next_ns + faults.stall_ms * 1_000_000

    def _closed_candles(self, name: str, line: Line, time_ns: int, now_ns: int) -> list[Candle]:
        """Return the candles that close at `time_ns`, one per interval subscribed to."""
        candles = []
        for instrument, channel, interval in self._subscriptions:
            length_ns = interval_ns(interval)
            if instrument != name or channel != "candles" or not length_ns or time_ns % length_ns:
                continue
            newest = line.candles(interval, length_ns, end_ns=time_ns, limit=1)
            candles += [_received(candle, now_ns) for candle in newest]
        return candles

    def _step_events(
        self, name: str, line: Line, moment: Moment, now_ns: int, *, is_silent: bool
    ) -> list[Event]:
        events: list[Event] = []
        if (name, "quotes", "") in self._subscriptions:
            events.append(_received(moment.quote, now_ns))
        if (name, "trades", "") in self._subscriptions:
            trade = _received(moment.trade, now_ns)
            faults = self._settings.faults
            is_burst = faults.burst_every and self._step_count % faults.burst_every == 0
            events += [trade] * (faults.burst_size if is_burst else 1)
        if (name, "book", "") in self._subscriptions:
            message = line.move_book(moment, received_ns=now_ns)
            if is_silent:
                line.heal()
            if message is not None:
                events.append(message)
            else:
                self._lost_count += 1
        return events

    async def _publish_all(self) -> None:
        """Publish what waits, giving the loop a turn after every `TURN_EVENTS`."""
        while self._outbox:
            for _ in range(min(TURN_EVENTS, len(self._outbox))):
                self._published_count += 1
                self._context.publish(self._outbox.popleft())
            await anyio.lowlevel.checkpoint()

    def _announce(self, state: ConnectionState) -> None:
        context = self._context
        context.publish(ConnectionChanged(context.venue, LINK, state, context.clock.now_ns))


def seeds_of(market: Market, context: AdapterContext) -> Seeds:
    """Return an instrument's seeds: a function of the configured seed and its symbol alone."""
    random = context.random_for(f"mock {market.process.symbol}")
    return Seeds(price=random.getrandbits(64), book=random.getrandbits(64))


def _received(event: E, now_ns: int) -> E:
    """Return `event` with the time at which it came: that of a late timer is later than due."""
    if event.received_ns == now_ns:
        return event
    return msgspec.structs.replace(event, received_ns=now_ns)
