"""An adapter on its simulated venue, with the core's books around it; checks play on it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar, cast

import aiohttp

from framework.adapter_kit.history import BookHistory
from framework.adapter_kit.rig import Fault, VenueRig
from framework.bus.bus import Bus
from framework.clock.clock import LiveClock
from framework.engine.books import Books
from framework.engine.market_state import MarketState
from framework.errors import SimulationError, VenueError
from framework.interfaces import (
    Adapter,
    AdapterContext,
    Broker,
    MarketFeed,
    RecoversBooks,
    VenueQueries,
)
from framework.market.escalation import Reconnect, Request, RequestSnapshot, Resubscribe
from framework.model.events import ConnectionChanged, GapDetected
from framework.model.identity import instrument_id
from framework.model.instrument import Instrument
from framework.model.market_data import BookDelta, BookSnapshot, Candle, Level, Quote, Trade
from framework.net.connectors import open_connector
from framework.settings.secrets import Secret
from framework.simulation.loop import SimulatedLoop

T = TypeVar("T")
E = TypeVar("E")
Build = Callable[[Any, AdapterContext], Adapter]

POLL_S = 0.02
DEPTH = 1_000_000  # all levels of a book
END_S = 30.0  # what a cancelled `run` and `close` get for their clean-up
CHANNELS: dict[str, tuple[type, ...]] = {
    "book": (BookSnapshot, BookDelta),
    "quotes": (Quote,),
    "trades": (Trade,),
}
MARKET = (Quote, Trade, Candle, BookSnapshot, BookDelta)
CORE = (BookSnapshot, BookDelta, GapDetected, ConnectionChanged)  # what moves the core's books


class CheckFailed(Exception):
    """A check did not hold; says what was expected and what was seen."""


class CheckSkipped(Exception):
    """A check needs what this venue or its adapter does not have: a fault, a channel, a broker."""


class Stage:
    """One adapter, its venue, and everything that the adapter published.

    `wrong` holds each moment at which a book said that it is synced and was not the venue's,
    `unhandled` what reached the loop because nobody took it: exceptions of callbacks and tasks.
    """

    def __init__(self, rig: VenueRig, loop: SimulatedLoop) -> None:
        self.rig = rig
        self.events: list[Any] = []
        self.wrong: list[str] = []
        self.unhandled: list[str] = []
        self.compared_count = 0
        self.instruments: dict[str, Instrument] = {}
        self.make: Callable[[AdapterContext], Adapter] = lambda context: Adapter()
        self.adapter = Adapter()
        self.venue = rig.venue
        self.clock = LiveClock(wall_ns=lambda: loop.now_ns, monotonic_ns=lambda: loop.now_ns)
        self.loop = loop
        self.bus = Bus(self.clock)
        self.books = Books(self.bus, self.instruments, self.clock)
        self.market = MarketState(self.bus, self.books.by_instrument)
        self.bus.set_step(BookSnapshot, self.books.on_snapshot)
        self.bus.set_step(BookDelta, self.books.on_delta)
        self.bus.set_step(GapDetected, self._on_gap)
        self.bus.set_step(ConnectionChanged, self.books.on_connection)
        self.books.on_request = self._on_request
        self._histories: dict[str, BookHistory] = {}

    # -- what the adapter is given ---------------------------------------------------------------

    def publish(self, event: Any) -> None:
        """Keep the event, let the core's books have it, and hold them against the truth."""
        self.events.append(event)
        if isinstance(event, CORE):
            self.bus.publish(event)
        if isinstance(event, BookSnapshot | BookDelta):
            self._compare(event.instrument)

    def random_for(self, name: str) -> Random:
        """Return a stream of the loop's seed."""
        return self.loop.random_for(f"{self.venue}/{name}")

    async def blocking(self, function: Callable[[], T]) -> T:
        """Call it: there are no threads here."""
        return function()

    def connector(self) -> aiohttp.BaseConnector:
        """Return a connector of the simulated network."""
        return open_connector()

    def secret(self, reference: str) -> Secret:
        """Return the text: a rig's keys are made for it."""
        return Secret(reference)

    # -- what checks use -------------------------------------------------------------------------

    @property
    def feed(self) -> MarketFeed:
        """The adapter's feed. Raises CheckSkipped: it has none, as one that only trades."""
        if self.adapter.feed is None:
            raise CheckSkipped("the adapter has no live feed")
        return self.adapter.feed

    @property
    def broker(self) -> Broker:
        """The adapter's broker. Raises CheckSkipped: it has none, as one of market data only."""
        if self.adapter.broker is None:
            raise CheckSkipped("the adapter has no broker")
        return self.adapter.broker

    @property
    def queries(self) -> VenueQueries:
        """The adapter's broker as one that can be asked."""
        if not isinstance(self.broker, VenueQueries):
            raise CheckFailed("the broker cannot be asked how things stand (VenueQueries)")
        return self.broker

    def name(self, index: int = 0) -> str:
        """Return the id of one of the rig's instruments."""
        return instrument_id(self.venue, self.rig.symbols[index])

    def instrument(self, index: int = 0) -> Instrument:
        """Return the definition of one of the rig's instruments, by the feed's newest word."""
        for known in self.feed.instruments:
            if known.id == self.name(index):
                return known
        raise CheckFailed(f"the feed does not list {self.name(index)}")

    def subscribe(self, channel: str, index: int = 0, interval: str = "") -> None:
        """Ask for a channel of one of the rig's instruments.

        Raises:
            CheckSkipped: the feed says that its venue does not have this channel.
        """
        try:
            self.feed.subscribe(self.name(index), channel, interval)
        except VenueError as refused:
            raise CheckSkipped(f"the feed has no channel {channel!r}: {refused}") from refused

    def subscribe_any(self, index: int = 0) -> str:
        """Ask for the first channel that the feed has, and return it."""
        for channel in CHANNELS:
            try:
                self.subscribe(channel, index)
            except CheckSkipped:
                continue
            return channel
        raise CheckFailed(f"the feed has none of the channels {', '.join(CHANNELS)}")

    def inflict(self, fault: Fault, *, count: int = 1, duration_s: float = 0.0) -> None:
        """Break something at the venue.

        Raises:
            CheckSkipped: the rig does not have this fault.
        """
        if fault not in self.rig.faults:
            raise CheckSkipped(f"the venue has no fault {fault.value!r}")
        self.rig.inflict(fault, count=count, duration_s=duration_s)

    def of(self, *kinds: type[E]) -> list[E]:
        """Return every event of these types so far."""
        return [event for event in self.events if isinstance(event, kinds)]

    async def until(self, condition: Callable[[], object], what: str, *, within_s: float) -> float:
        """Wait until `condition()`; return how long it took, in seconds of virtual time.

        Raises:
            CheckFailed: it did not come true in time.
        """
        began_ns = self.loop.now_ns
        while not condition():
            elapsed_s = (self.loop.now_ns - began_ns) / 1e9
            if elapsed_s > within_s:
                raise CheckFailed(f"{what}: not within {within_s:g} s")
            await self.loop.sleep_until(self.loop.now_ns + int(POLL_S * 1e9))
        return (self.loop.now_ns - began_ns) / 1e9

    async def until_data(self, *, within_s: float) -> None:
        """Wait for the next event of market data."""
        count = len(self.of(*MARKET))
        await self.until(lambda: len(self.of(*MARKET)) > count, "market data", within_s=within_s)

    async def pass_time(self, seconds: float) -> None:
        """Let virtual time pass."""
        await self.loop.sleep_until(self.loop.now_ns + int(seconds * 1e9))

    def is_true(self, index: int = 0) -> bool:
        """Whether the core's book is synced and equals the venue's newest."""
        book = self.books.by_instrument.get(self.name(index))
        if book is None or not book.is_synced:
            return False
        return (tuple(book.bids(DEPTH)), tuple(book.asks(DEPTH))) == self._truth(index)

    def _truth(self, index: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        return self._histories[self.name(index)].newest

    async def until_synced(self, *, within_s: float, indices: tuple[int, ...] = (0,)) -> float:
        """Wait until the books of these symbols are synced; return the seconds it took."""

        def are_synced() -> bool:
            books = [self.books.by_instrument.get(self.name(index)) for index in indices]
            return all(book is not None and book.is_synced for book in books)

        return await self.until(are_synced, "the books are synced", within_s=within_s)

    # -- the venue's side ------------------------------------------------------------------------

    def follow_truth(self) -> None:
        """Note every true book from now on."""
        for symbol in self.rig.symbols:
            history = self._histories[instrument_id(self.venue, symbol)] = BookHistory()
            self.rig.watch_book(symbol, history.note)

    def _compare(self, instrument: str) -> None:
        book = self.books.by_instrument.get(instrument)
        history = self._histories.get(instrument)
        if book is None or history is None or not book.is_synced:
            return
        self.compared_count += 1
        if not history.has(book.bids(DEPTH), book.asks(DEPTH)):
            best = (book.best_bid, book.best_ask)
            self.wrong.append(f"{instrument} at {self.loop.now_ns}: {best} never was the book")

    def _on_gap(self, gap: GapDetected) -> None:
        """Keep what the core's books found by themselves beside what the adapter says."""
        if self.events[-1:] != [gap]:
            self.events.append(gap)
        self.books.on_gap(gap)

    def _on_request(self, instrument: str, request: Request) -> None:
        feed = self.adapter.feed
        if not isinstance(feed, RecoversBooks):
            return
        if isinstance(request, RequestSnapshot):
            feed.request_snapshot(instrument)
        elif isinstance(request, Resubscribe):
            feed.resubscribe(instrument)
        elif isinstance(request, Reconnect):
            feed.reconnect("no true book")


@asynccontextmanager
async def staged(build: Build, rig: VenueRig) -> AsyncIterator[Stage]:
    """Start the venue and its adapter; afterwards take everything down again.

    Raises:
        CheckFailed: a `run` ended by itself, an exception was taken by nobody, or something of
            the adapter is left over at the end: a connection or a task.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, SimulatedLoop):
        raise SimulationError("the adapter kit plays on a simulated loop only")
    stage = Stage(rig, loop)
    loop.set_exception_handler(lambda _, context: stage.unhandled.append(_described(context)))
    section = await rig.start()
    before = asyncio.all_tasks()
    stage.make = lambda context: build(section, context)
    running = _begin(stage)
    try:
        yield stage
    finally:
        ended = [_why(task) for task in running if task.done()]
        left = await _end(stage, running, before)
        if ended:  # the cause of whatever else went wrong
            raise CheckFailed(f"`run` ended by itself: {'; '.join(ended)}")
    ended = [_why(task) for task in running if _error_of(task) is not None]
    if ended:
        raise CheckFailed(f"`run` failed when it was cancelled: {'; '.join(ended)}")
    if left:
        raise CheckFailed(f"left over: {', '.join(left)}")
    if stage.unhandled:
        raise CheckFailed(f"nobody took: {'; '.join(stage.unhandled)}")


@asynccontextmanager
async def beside(stage: Stage) -> AsyncIterator[Stage]:
    """Start a second adapter on the same venue, with a context of its own."""
    other = Stage(stage.rig, stage.loop)
    other.make = stage.make
    running = _begin(other)
    try:
        yield other
    finally:
        await _stop(other, running)


def _begin(stage: Stage) -> list[asyncio.Task[None]]:
    """Make the adapter and set it going; return its tasks."""
    adapter = stage.adapter = stage.make(cast(AdapterContext, stage))
    stage.clock.start()
    if adapter.feed is not None:
        stage.instruments.update({known.id: known for known in adapter.feed.instruments})
        if isinstance(adapter.feed, RecoversBooks):
            stage.books.options[stage.venue] = adapter.feed.book_recovery
    stage.follow_truth()
    parts = {"feed.run": adapter.feed, "broker.run": adapter.broker}
    return [
        stage.loop.create_task(part.run(), name=name)
        for name, part in parts.items()
        if part is not None
    ]


async def _stop(stage: Stage, running: list[asyncio.Task[None]]) -> None:
    """Take the adapter down, and give what it started a second to end."""
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=END_S)
    if stage.adapter.close is not None:
        try:
            async with asyncio.timeout(END_S):
                await stage.adapter.close()
        except TimeoutError:
            raise CheckFailed(f"`close` does not end within {END_S:g} s") from None
    await stage.pass_time(1.0)
    stage.clock.stop()


async def _end(
    stage: Stage, running: list[asyncio.Task[None]], before: set[asyncio.Task[Any]]
) -> list[str]:
    """Take down the adapter, then the venue; return what the adapter left behind.

    Tasks are counted without the venue, which may have some of its own.
    """
    await _stop(stage, running)
    count = stage.rig.connection_count
    await stage.rig.aclose()
    tasks = [task.get_name() for task in asyncio.all_tasks() - before if not task.done()]
    return [f"{count} connections"] * bool(count) + sorted(f"task {name}" for name in tasks)


def _why(task: asyncio.Task[None]) -> str:
    """Return how a task ended."""
    error = _error_of(task)
    how = repr(error) if error else "cancelled" if task.cancelled() else "returned"
    return f"{task.get_name()}: {how}"


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None


def _described(context: dict[str, Any]) -> str:
    return f"{context['message']}: {context.get('exception')!r}"
