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
from framework.errors import SimulationError
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
from framework.model.market_data import BookDelta, BookSnapshot
from framework.net.connectors import open_connector
from framework.settings.secrets import Secret
from framework.simulation.loop import SimulatedLoop

T = TypeVar("T")
E = TypeVar("E")
Build = Callable[[Any, AdapterContext], Adapter]

POLL_S = 0.01
CORE = (BookSnapshot, BookDelta, GapDetected, ConnectionChanged)  # what moves the core's books


class CheckFailed(Exception):
    """A check did not hold; says what was expected and what was seen."""


class CheckSkipped(Exception):
    """A check needs a fault that this venue cannot inflict."""


class Stage:
    """One adapter, its venue, and everything that the adapter published.

    `wrong` holds each moment at which a book said that it is synced and was not the venue's.
    """

    def __init__(self, rig: VenueRig, loop: SimulatedLoop) -> None:
        self.rig = rig
        self.events: list[Any] = []
        self.wrong: list[str] = []
        self.compared_count = 0
        self.instruments: dict[str, Instrument] = {}
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
        """The adapter's feed."""
        if self.adapter.feed is None:
            raise CheckFailed("the adapter has no live feed")
        return self.adapter.feed

    @property
    def broker(self) -> Broker:
        """The adapter's broker."""
        if self.adapter.broker is None:
            raise CheckFailed("the adapter has no broker")
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
        """Return the definition of one of the rig's instruments, by the feed's own word."""
        try:
            return self.instruments[self.name(index)]
        except KeyError:
            raise CheckFailed(f"the feed does not list {self.name(index)}") from None

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

    async def pass_time(self, seconds: float) -> None:
        """Let virtual time pass."""
        await self.loop.sleep_until(self.loop.now_ns + int(seconds * 1e9))

    def is_true(self, index: int = 0) -> bool:
        """Whether the core's book is synced and equals the venue's newest."""
        book = self.books.by_instrument.get(self.name(index))
        if book is None or not book.is_synced:
            return False
        history = self._histories[self.name(index)]
        depth = 1_000_000
        return (tuple(book.bids(depth)), tuple(book.asks(depth))) == history.newest

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
        depth = 1_000_000
        if not history.has(book.bids(depth), book.asks(depth)):
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
        CheckFailed: a task of the adapter is left over at the end, or one of them failed.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, SimulatedLoop):
        raise SimulationError("the adapter kit plays on a simulated loop only")
    section = await rig.start()
    before = asyncio.all_tasks()
    stage = Stage(rig, loop)
    stage.clock.start()
    adapter = stage.adapter = build(section, cast(AdapterContext, stage))
    if adapter.feed is not None:
        stage.instruments.update({known.id: known for known in adapter.feed.instruments})
        if isinstance(adapter.feed, RecoversBooks):
            stage.books.options[stage.venue] = adapter.feed.book_recovery
    stage.follow_truth()
    owners = [owner for owner in (adapter.feed, adapter.broker) if owner is not None]
    running = [loop.create_task(owner.run()) for owner in owners]
    try:
        yield stage
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        if adapter.close is not None:
            await adapter.close()
        await stage.pass_time(1.0)
        left = [task for task in asyncio.all_tasks() - before if not task.done()]
        stage.clock.stop()
        await rig.aclose()
    failures = [task.exception() for task in running if not task.cancelled()]
    if any(failures):
        raise CheckFailed(f"`run` ended by itself: {failures}")
    if left:
        raise CheckFailed(f"tasks are left over: {sorted(task.get_name() for task in left)}")
