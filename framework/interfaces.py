"""What others implement or call: adapters, feeds, brokers, the market as the core sees it.

Every long-lived object has `run()`, which goes on until cancelled; its caller owns the task.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import msgspec

from framework.model.book_recovery import RecoveryOptions
from framework.model.commands import VenueCommand
from framework.model.events import Event
from framework.model.instrument import Instrument
from framework.model.market_data import Candle, MarkPrice, Quote, Trade
from framework.model.orders import OrderType, TimeInForce, TriggerBy
from framework.model.records import Record
from framework.model.reports import OrderFact
from framework.model.venue_state import (
    BalanceReport,
    ExecutionReport,
    OrderReport,
    PositionReport,
    VenueReport,
)
from framework.settings.secrets import Secret

if TYPE_CHECKING:
    import aiohttp  # only adapters that connect need it

T = TypeVar("T")

Publish = Callable[[Event | OrderFact | VenueReport], None]
"""Hands one event, order fact or venue report to the bus: on the loop's thread, never waiting."""


class TimerHandle(Protocol):
    """A pending timer."""

    def cancel(self) -> None:
        """Take the timer back; harmless once it fired."""


class Clock(Protocol):
    """Market time, which timers and candles follow: live, or virtual in a backtest."""

    @property
    def now_ns(self) -> int:
        """Nanoseconds UTC; never goes back."""

    def call_at(self, time_ns: int, callback: Callable[[], None]) -> TimerHandle:
        """Call `callback` once `now_ns` is at least `time_ns`, after the market data of then."""


class BookView(Protocol):
    """Reads of an order book; prices and sizes are plain floats the caller may keep."""

    instrument: str

    @property
    def is_synced(self) -> bool: ...
    @property
    def best_bid(self) -> tuple[float, float] | None: ...
    @property
    def best_ask(self) -> tuple[float, float] | None: ...
    def bids(self, depth: int) -> list[tuple[float, float]]: ...
    def asks(self, depth: int) -> list[tuple[float, float]]: ...


class MarketView(Protocol):
    """The newest market state per instrument; None where nothing came yet."""

    def quote(self, instrument: str) -> Quote | None: ...
    def trade(self, instrument: str) -> Trade | None: ...
    def candle(self, instrument: str) -> Candle | None: ...
    def book(self, instrument: str) -> BookView | None: ...
    def mark_price(self, instrument: str) -> MarkPrice | None: ...
    def reference_price(self, instrument: str) -> float | None:
        """The newest of mid quote, book mid, last trade, candle close, by event time."""


class AdapterContext(Protocol):
    """What an adapter is given: the seams of law 1 and its place in the configuration."""

    @property
    def venue(self) -> str: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def market(self) -> MarketView: ...
    @property
    def publish(self) -> Publish: ...
    def random_for(self, name: str) -> Random:
        """An independent random stream: a function of the configured seed and `name` alone."""

    async def blocking(self, function: Callable[[], T]) -> T:
        """Run blocking work in a worker thread; inline in a simulated world."""

    def connector(self) -> "aiohttp.BaseConnector":
        """Return a new connector of the real or the simulated network; its session owns it."""

    def secret(self, reference: str) -> Secret:
        """Return the secret behind `env:NAME` or `file:PATH`.

        Raises:
            ConfigError: it is not set, cannot be read, or is open to others.
        """


class MarketFeed(Protocol):
    """Market data of one venue."""

    @property
    def instruments(self) -> Sequence[Instrument]: ...
    def subscribe(self, instrument: str, channel: str, interval: str = "") -> None:
        """Ask for `quotes`, `trades`, `candles` (with its interval) or `book`; counted."""

    def unsubscribe(self, instrument: str, channel: str, interval: str = "") -> None: ...
    async def history(
        self, instrument: str, interval: str, *, end_ns: int, limit: int
    ) -> list[Candle]:
        """The last `limit` closed candles with `close_ns <= end_ns`, oldest first."""

    async def run(self) -> None:
        """Connect and publish until cancelled."""


@runtime_checkable
class RecoversBooks(Protocol):
    """A feed whose books the core keeps true: it says how its stream behaves and helps out.

    The core asks when a gap left a book stale; the feed answers with a `BookSnapshot`, in its
    own time. A feed that lacks this publishes books that heal by themselves; one that numbers
    them itself publishes `GapDetected` when they cannot be trusted, and a snapshot later.
    """

    @property
    def book_recovery(self) -> RecoveryOptions: ...
    def request_snapshot(self, instrument: str) -> None: ...
    def resubscribe(self, instrument: str) -> None:
        """Take the book's subscription back and ask for it anew."""

    def reconnect(self, reason: str) -> None:
        """Drop the connection and open a new one."""


class RecordedFeed(Protocol):
    """Market data with an end: the drivers pull it in time order instead of running it."""

    @property
    def instruments(self) -> Sequence[Instrument]: ...
    def scan(self) -> Iterator[Event]:
        """Yield every event in time order, streaming: memory does not grow with the input."""


class BrokerCapabilities(msgspec.Struct, frozen=True):
    """What a broker can do by itself; what it lacks the core emulates or refuses.

    `visibility_delay_ms` is by how much the venue's answers may lag behind what it did: for so long
    after its acceptance an order may be missing from them. `history_days` is how far back past
    orders and executions can be asked for.
    """

    order_types: frozenset[OrderType] = frozenset(OrderType)
    time_in_forces: frozenset[TimeInForce] = frozenset(TimeInForce)
    trigger_bys: frozenset[TriggerBy] = frozenset(TriggerBy)
    has_client_ids: bool = True
    has_modify: bool = True
    has_reduce_only: bool = True
    has_post_only: bool = True
    has_display_quantity: bool = False
    has_next_open: bool = False
    has_brackets: bool = False
    has_oco: bool = False
    visibility_delay_ms: int = 0
    history_days: int = 1


class Broker(Protocol):
    """Order entry at one venue.

    A broker that gathers commands into one request answers for each of them by itself. Where the
    request fails as a whole (timeout, link, 5xx, an answer that cannot be read or has fewer items),
    every item without an answer of its own is a `RequestInDoubt`: a venue may have taken any part
    of it (R-33). The same goes for a single command; one of which certainly not a byte has left is
    an `OrderEnded` (REJECTED) or `RequestRefused` with evidence "core".
    """

    @property
    def capabilities(self) -> BrokerCapabilities: ...
    def send(self, command: VenueCommand) -> None:
        """Hand over one command, already durable; never waits. Answers come as order facts."""

    async def run(self) -> None:
        """Own the connection until cancelled."""


@runtime_checkable
class VenueQueries(Protocol):
    """A broker that can be asked how things stand; answers about one account at a time.

    A question that gets no answer (link down, timeout, 5xx, unreadable) raises VenueError; what
    is returned is the venue's word, and an empty answer means that there is nothing.
    """

    async def order(self, account: str, order_id: str) -> OrderReport | None:
        """Return the order that carries our id, open or past, or None: no such order."""

    async def open_orders(self, account: str) -> Sequence[OrderReport]:
        """Return every working order of the account, whoever sent it."""

    async def executions(self, account: str, since_ns: int) -> Sequence[ExecutionReport]:
        """Return every execution of the account made or changed since then, oldest first.

        A venue that takes one back goes on telling of it, with a quantity of zero.
        """

    async def positions(self, account: str) -> Sequence[PositionReport]: ...
    async def balances(self, account: str) -> Sequence[BalanceReport]: ...


class Adapter(msgspec.Struct):
    """The parts of one venue; a data-only venue has no broker."""

    feed: MarketFeed | None = None
    recorded: RecordedFeed | None = None
    broker: Broker | None = None
    close: Callable[[], Awaitable[None]] | None = None


class OrderLog(Protocol):
    """What must be durable, in order; outputs wait until the log is durable up to their cause.

    Attributes:
        journal_id: random, made when the journal was; part of every order id.
        epoch: the number of this process start; an older epoch's append is refused.
        on_durable: called on the loop's thread each time `durable_position` moved or `failure`
            was set.
    """

    journal_id: str
    epoch: int
    on_durable: Callable[[], None] | None

    @property
    def position(self) -> int:
        """The position of the newest entry; 0 when empty."""

    @property
    def durable_position(self) -> int:
        """Everything up to here survives a crash."""

    @property
    def failure(self) -> str:
        """Why nothing can be written any more, "" while it can; final for this object (R-06)."""

    def append(self, entry: Record) -> int:
        """Write `entry` behind the others and return its position; never waits for the disk.

        After a failure entries are kept in memory, as far as there is room, and never durable.
        """

    def commit(self) -> None:
        """Hand over what was appended; in a log without a thread it is durable afterwards."""

    def read(self, after: int = 0) -> Iterator[tuple[int, Record]]:
        """Yield (position, entry) of what follows `after`, oldest first."""

    def of_order(self, order_id: str) -> list[tuple[int, Record]]:
        """Return every entry about one order, oldest first; [] if there is none."""

    def save_snapshot(self, position: int, state: bytes) -> None:
        """Keep the core's state as of `position`; in the background, losing one loses nothing."""

    def newest_snapshot(self) -> tuple[int, bytes] | None:
        """Return the newest whole snapshot as (position, state)."""

    async def flush(self) -> None:
        """Wait until everything appended is durable. Raises JournalError if it cannot be."""

    async def aclose(self) -> None:
        """Write what is left and release the lock; harmless when repeated."""
