"""A live market of any symbol: whoever names one finds it, at a price that moves with the clock.

Prices are a function of the seed, the symbol (upper or lower case) and the time since the first use
of the market; who reads them, how often and from when on changes nothing. The path of a price is
that of `fractal.py`.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator

import anyio
import anyio.lowlevel

from adapters.mock.settings import MockInstrument, MockSettings, Wanted
from adapters.mock.symbol import (
    VOLATILITY,
    Forming,
    Steps,
    SymbolMarket,
    grid_of,
    opening,
    start_price_of,
)
from framework.errors import UnknownInstrument, VenueError
from framework.interfaces import AdapterContext, TimerHandle
from framework.model.events import ConnectionChanged, ConnectionState, Event
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.market_data import Candle

CHANNELS = ("quotes", "trades", "candles")
MOST_SYMBOLS = 10_000
LONGEST_SYMBOL = 256
MOST_CANDLES = 100_000  # of one answer
TURN_EVENTS = 256  # published per loop turn
TURN_CANDLES = 64  # worked out per loop turn
MOST_STEPS = 20  # made up for after a pause; what lies before them is not told
MOST_WAITING = 50_000  # events; a step that finds more waiting tells of closed candles alone
LINK = "feed"


class Watched:
    """What is told of one symbol; requests are counted by channel, candles by interval."""

    __slots__ = ("candles", "counts", "market")

    def __init__(self, market: SymbolMarket) -> None:
        self.market = market
        self.counts: Counter[tuple[str, str]] = Counter()
        self.candles: dict[str, Forming] = {}


class AnySymbolFeed:
    """Keeps 10,000 symbols that were found; what is not subscribed costs nothing.

    A symbol is what it is by its name alone: of those that nobody watches, the one that was not
    used for longest makes room for another, and is the same again when it is asked for.

    Each step tells of a quote, a trade and every candle that is watched: first those that closed,
    then the rest by symbol in the order of subscription. What stands is told at once to whoever
    subscribes first.
    """

    def __init__(self, settings: MockSettings, wanted: Wanted, context: AdapterContext) -> None:
        self._context = context
        self._processes = wanted.processes
        self._step_ns = settings.interval_ms * 1_000_000
        self._steps: Steps | None = None
        self._listed = {one.id: one for one in wanted.definitions}
        self._found: OrderedDict[str, Instrument] = OrderedDict()  # the longest unused first
        self._markets: dict[str, SymbolMarket] = {}
        self._watched: dict[str, Watched] = {}
        self._outbox: deque[Event] = deque()
        self._due = anyio.Event()
        self._timer: TimerHandle | None = None
        self._is_running = False
        self._step_done = 0
        self._published_count = 0
        self._skipped_count = 0

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """What is listed, or was found and is kept."""
        return (*self._listed.values(), *self._found.values())

    async def find_instrument(self, instrument: str) -> Instrument | None:
        """Return the definition of a symbol, made on the first demand.

        A margined instrument in USD without tick, lot or hours.

        Raises:
            VenueError: as many symbols as the venue can have are watched.
        """
        return self._defined(instrument)

    def subscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Ask for `quotes`, `trades` or `candles`; the latter come each step while they form.

        Raises:
            UnknownInstrument: there is no such symbol.
            VenueError: there is no such channel, no candles of that interval, or no room.
        """
        key = self._request(channel, interval)
        watched = self._watched.get(instrument)
        if watched is None:
            watched = self._watched[instrument] = Watched(self._market(instrument))
        watched.counts[key] += 1
        if watched.counts[key] == 1:
            self._show(watched, *key)

    def unsubscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Take one request back; harmless where there is none."""
        watched = self._watched.get(instrument)
        key = self._request(channel, interval)
        if watched is None or key not in watched.counts:
            return
        watched.counts[key] -= 1
        if watched.counts[key] <= 0:
            del watched.counts[key]
            watched.candles.pop(interval, None)
        if not watched.counts:
            del self._watched[instrument]

    async def history(
        self, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """Return the last `limit` candles with `close_ns <= end_ns`, oldest first.

        Closed ones, and the one that forms where `end_ns` is not before its close: it ends with the
        price of now. The path goes back 34 years in steps of half a second.
        """
        self._request("candles", interval)
        market, now_ns = self._market(instrument), self._context.clock.now_ns
        length_ns, shift_ns = grid_of(interval)
        opens_ns = opening(now_ns, length_ns, shift_ns)
        count = max(0, min(limit, MOST_CANDLES))
        tail: list[Candle] = []
        if count and end_ns >= opens_ns + length_ns:
            tail, count = [self._forming(market, interval, now_ns)], count - 1
        last_ns = opening(min(end_ns, opens_ns), length_ns, shift_ns)
        found: list[Candle] = []
        for number in range(count):
            if number % TURN_CANDLES == TURN_CANDLES - 1:
                await anyio.lowlevel.checkpoint()
            open_ns = last_ns - (count - number) * length_ns
            candle = market.candle(interval, open_ns, open_ns + length_ns)
            if candle is not None:
                found.append(candle)
        return found + tail

    async def run(self) -> None:
        """Publish what is subscribed until cancelled."""
        steps = self._begin()
        self._announce(ConnectionState.STREAMING)
        self._step_done = steps.at(self._context.clock.now_ns)
        self._is_running = True
        for watched in self._watched.values():
            for key in watched.counts:
                self._show(watched, *key)
        self._arm(steps)
        try:
            while True:
                await self._due.wait()
                self._due = anyio.Event()
                await self._publish_all()
        finally:
            self._is_running = False
            if self._timer is not None:
                self._timer.cancel()
            self._outbox.clear()
            self._announce(ConnectionState.CLOSED)

    def statistics(self) -> dict[str, int]:
        """Return what is known and watched, what was published, skipped, and what waits."""
        return {
            "symbols": len(self._listed) + len(self._found),
            "subscriptions": sum(len(watched.counts) for watched in self._watched.values()),
            "published": self._published_count,
            "skipped": self._skipped_count,
            "waiting": len(self._outbox),
        }

    def _defined(self, instrument: str) -> Instrument | None:
        known = self._listed.get(instrument)
        if known is not None:
            return known
        known = self._found.get(instrument)
        if known is not None:
            self._found.move_to_end(instrument)
            return known
        venue, _, symbol = instrument.partition(":")
        if venue != self._context.venue or not symbol or not symbol.isprintable():
            return None
        if len(symbol) > LONGEST_SYMBOL:
            return None
        if len(self._found) >= MOST_SYMBOLS:
            self._make_room()
        found = Instrument(instrument, kind=InstrumentKind.PERPETUAL)
        self._found[instrument] = found
        return found

    def _make_room(self) -> None:
        """Forget the symbol that was unused for longest, which changes nothing about it.

        Raises:
            VenueError: all of them are watched.
        """
        for _ in range(len(self._found)):
            oldest = next(iter(self._found))
            if oldest not in self._watched:
                del self._found[oldest]
                self._markets.pop(oldest, None)
                return
            self._found.move_to_end(oldest)
        raise VenueError(f"{MOST_SYMBOLS:,} symbols of the mock venue are watched, and no more can")

    def _request(self, channel: str, interval: str) -> tuple[str, str]:
        if channel not in CHANNELS:
            raise VenueError(f"the mock venue has no channel {channel!r}")
        if channel != "candles":
            return channel, ""
        try:
            length_ns, _ = grid_of(interval)
        except ValueError:
            length_ns = 0
        if length_ns < self._step_ns:
            raise VenueError(f"the mock venue has no candles of {interval!r}")
        return channel, interval

    def _begin(self) -> Steps:
        """Fix the origin at the first use."""
        if self._steps is None:
            self._steps = Steps(self._context.clock.now_ns, self._step_ns)
        return self._steps

    def _market(self, instrument: str) -> SymbolMarket:
        definition = self._defined(instrument)  # after a restart only the journal knew it
        market = self._markets.get(instrument)
        if market is not None:
            return market
        if definition is None:
            raise UnknownInstrument(instrument)
        symbol = instrument.partition(":")[2]
        process = self._processes.get(symbol)
        if process is None:
            start_price = start_price_of(symbol)
            process = MockInstrument(symbol=symbol, start_price=start_price, volatility=VOLATILITY)
        market = self._markets[instrument] = SymbolMarket(
            definition,
            self._begin(),
            random=self._context.random_for(f"mock {symbol.upper()}"),
            start_price=process.start_price,
            volatility=process.volatility,
        )
        return market

    def _show(self, watched: Watched, channel: str, interval: str) -> None:
        """Tell the first listener what stands, and follow a candle from now on."""
        if not self._is_running:
            return
        steps, now_ns, market = self._begin(), self._context.clock.now_ns, watched.market
        step = self._step_done
        if channel == "quotes":
            self._outbox.append(market.quote(step, now_ns))
        elif channel == "candles":
            forming = watched.candles[interval] = market.forming(interval, steps.time_ns(step))
            self._outbox.append(_shown(market, forming, steps.time_ns(step), now_ns))
        self._due.set()

    def _forming(self, market: SymbolMarket, interval: str, now_ns: int) -> Candle:
        return _shown(market, market.forming(interval, now_ns), now_ns, now_ns)

    def _arm(self, steps: Steps) -> None:
        next_ns = steps.time_ns(self._step_done + 1)
        self._timer = self._context.clock.call_at(next_ns, self._on_timer)

    def _on_timer(self) -> None:
        steps, now_ns = self._begin(), self._context.clock.now_ns
        newest = steps.at(now_ns)
        if newest - self._step_done > MOST_STEPS:
            self._skip_to(newest - 1, steps, now_ns)
        for step in range(self._step_done + 1, newest + 1):
            self._step(step, steps.time_ns(step), now_ns)
        self._step_done = newest
        if self._outbox:
            self._due.set()
        self._arm(steps)

    def _step(self, step: int, time_ns: int, now_ns: int) -> None:
        """Tell of one step of every symbol that is watched; candles close before anything else."""
        closed: list[Event] = []
        events: list[Event] = []
        for watched in self._watched.values():
            market = watched.market
            move = market.path.stretch(step - 1, step)
            for forming in watched.candles.values():
                over = forming.move(move, time_ns)
                if over is not None:
                    open_ns, close_ns, part = over
                    closed.append(
                        market.candle_of(
                            part,
                            forming.interval,
                            open_ns,
                            close_ns,
                            time_ns=close_ns,
                            received_ns=now_ns,
                        )
                    )
                events.append(_shown(market, forming, time_ns, now_ns))
            if ("quotes", "") in watched.counts:
                events.append(market.quote_at(move.close, time_ns, now_ns))
            if ("trades", "") in watched.counts:
                events.append(market.trade_at(move, time_ns, now_ns))
        self._outbox.extend(closed)
        if len(self._outbox) > MOST_WAITING:
            self._skipped_count += len(events)
        else:
            self._outbox.extend(events)

    def _skip_to(self, step: int, steps: Steps, now_ns: int) -> None:
        """Leave out steps after a long pause; the newest of the candles that closed are told."""
        time_ns = steps.time_ns(step)
        self._skipped_count += step - self._step_done
        for watched in self._watched.values():
            for interval, forming in watched.candles.items():
                self._outbox.extend(_closed_since(watched.market, forming, time_ns, now_ns))
                watched.candles[interval] = watched.market.forming(interval, time_ns)
        self._step_done = step

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


def _shown(market: SymbolMarket, forming: Forming, time_ns: int, received_ns: int) -> Candle:
    return market.candle_of(
        forming.part,
        forming.interval,
        forming.open_ns,
        forming.close_ns,
        time_ns=time_ns,
        received_ns=received_ns,
    )


def _closed_since(
    market: SymbolMarket, forming: Forming, time_ns: int, received_ns: int
) -> Iterator[Candle]:
    """Yield candles that closed after the one that was forming began, `MOST_STEPS` at most."""
    length_ns, shift_ns = grid_of(forming.interval)
    last_ns = opening(time_ns, length_ns, shift_ns)
    first_ns = max(forming.open_ns, last_ns - MOST_STEPS * length_ns)
    for open_ns in range(first_ns, last_ns, length_ns):
        candle = market.candle(forming.interval, open_ns, open_ns + length_ns)
        if candle is not None:
            yield candle
