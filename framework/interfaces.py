"""What others implement or call: adapters, feeds, brokers, the market as the core sees it.

Every long-lived object has `run()`, which goes on until cancelled; its caller owns the task.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import msgspec

from framework.model.account import Position
from framework.model.book_recovery import RecoveryOptions
from framework.model.commands import VenueCommand
from framework.model.desk import (
    Breaker,
    DeskOrder,
    DeskPosition,
    FillQuery,
    Money,
    OrderQuery,
    Preview,
    Principal,
    VenueHealth,
)
from framework.model.events import Event
from framework.model.funds import AccountFunds, RunFunds
from framework.model.instrument import Instrument
from framework.model.market_data import Candle, MarkPrice, Quote, Trade
from framework.model.orders import (
    Exits,
    Fill,
    Offset,
    Order,
    OrderIntent,
    OrderType,
    Percent,
    TimeInForce,
    TriggerBy,
)
from framework.model.records import Record
from framework.model.reports import OrderFact
from framework.model.runs import Run
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


@runtime_checkable
class FindsInstruments(Protocol):
    """A feed whose venue has more instruments than it lists; it is asked for one by name."""

    async def find_instrument(self, instrument: str) -> Instrument | None:
        """Return the definition of `"<venue>:<symbol>"`, or None: there is no such instrument.

        Raises:
            VenueError: the venue cannot say.
        """


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


class Subscription(Protocol):
    """Events on their way to a listener of the desk."""

    def close(self) -> None:
        """Hear nothing more; harmless when repeated."""


Handlers = Mapping[type, Callable[[Any], None]]
"""What hears of events, by their type: plain functions that return at once."""


class TradingDesk(Protocol):
    """The one way in for whoever trades from outside a strategy: values in, values out (law 7).

    Every call names a principal and sees and touches only what that may. What a command
    returns, and what a listener hears, is durable already (law 2); a read shows this moment, and
    whoever passes it on awaits `written` in between. A command's answer shows what the venue said,
    or, where it says nothing within `answer_s`, the order as it stands then. Commands of one
    principal take effect in the order in which they were made; nothing here changes a position
    before the call has returned to the loop.

    Raises, from every method: Forbidden where the principal's token does not cover it; JournalError
    where nothing can be made durable any more.
    """

    @property
    def clock(self) -> Clock: ...
    @property
    def is_paced(self) -> bool:
        """Market time stands still until every listener has acknowledged (a backtest)."""

    @property
    def is_real(self) -> bool:
        """Some account of this system trades for real."""

    # -- commands ----------------------------------------------------------------------------

    def new_key(self, principal: Principal) -> str:
        """Return a key that no order of its run has had or will have; equal on a replay."""

    async def submit(
        self, principal: Principal, intent: OrderIntent, *, answer_s: float = 5.0
    ) -> DeskOrder:
        """Ask for an order; `intent.run` is filled in by the principal's place at its venue.

        A refusal is a DENIED or REJECTED order with its reason; the same key with the same content
        returns the order it was given the first time.

        Raises:
            KeyConflict: the key was used for an order of other content.
            UnknownInstrument: no venue has it.
            OrderError: the key has a form that is kept for the framework.
        """

    async def modify(
        self,
        principal: Principal,
        order_id: str,
        *,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        stop_price: Decimal | None = None,
        trail: Offset | Percent | None = None,
        exits: Exits | None = None,
        answer_s: float = 5.0,
    ) -> DeskOrder:
        """Change a working order; `quantity` is the new total, None leaves things as they are.

        `exits` replace those that still wait for a fill and move those that rest.

        Raises:
            UnknownOrder: the principal sees no such order.
            OrderError: it was refused, here or by the venue; `reason` says why.
        """

    async def cancel(
        self, principal: Principal, order_id: str, *, answer_s: float = 5.0
    ) -> DeskOrder:
        """Take an order back; one that has ended is returned as it is.

        Raises:
            UnknownOrder: the principal sees no such order.
            OrderError: the venue refused.
        """

    async def cancel_all(
        self, principal: Principal, instrument: str | None = None, *, answer_s: float = 5.0
    ) -> list[DeskOrder]:
        """Take back every open order of the principal's view; return them as they stand then."""

    async def close(
        self,
        principal: Principal,
        position: DeskPosition,
        *,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        key: str | None = None,
        answer_s: float = 5.0,
    ) -> DeskOrder:
        """Send one reduce-only order against a position: at market, or at the limit `price`.

        `quantity` None, or more than is held, closes all of it. The same key returns the same
        order. Entries and exits of the instrument stay; exits shrink with the position.

        Raises:
            OrderError: nothing is held.
        """

    async def reset_breakers(self, principal: Principal) -> None:
        """Let exits that were held back be tried again."""

    # -- reads -------------------------------------------------------------------------------

    async def written(self) -> None:
        """Return once all that could be read so far survives a crash; at once, as a rule.

        Where nothing can be written any more it returns too: somebody has to see what there is to
        take back.
        """

    async def order(self, principal: Principal, order_id: str) -> DeskOrder | None: ...
    async def orders(self, principal: Principal, query: OrderQuery) -> list[DeskOrder]:
        """Return what fits: every open order, and the newest 10,000 that are closed, over restarts.

        A long list is read in several turns of the loop, each row as it stands in its own.

        Raises:
            OrderError: the principal sees no such order as `query.after` names.
        """

    async def fills(self, principal: Principal, query: FillQuery) -> list[Fill]:
        """Return what fits of the executions of those orders, or of one, however old.

        Raises:
            OrderError: the principal sees no such order as `query.after` names.
        """

    def described(self, order: Order) -> DeskOrder:
        """Return an order of an event, with what was asked for."""

    def position_now(self, position: Position) -> DeskPosition | None:
        """Return the position of an event as it stands by now, a flat one too; None: unknown."""

    def money_now(self, account: str) -> Money: ...
    async def positions(
        self, principal: Principal, instrument: str | None = None
    ) -> list[DeskPosition]:
        """Return what is held, in order of the instruments' names; never a flat one."""

    async def money(self, principal: Principal, account: str | None = None) -> Money:
        """Return what a place has: the first one's where no account is named."""

    async def funds(self, principal: Principal) -> tuple[AccountFunds, list[RunFunds]]:
        """Return the first place's account, and the runs on it that the principal sees."""

    async def runs(self, principal: Principal) -> list[Run]: ...
    async def preview(self, principal: Principal, intent: OrderIntent) -> Preview: ...
    async def breakers(self, principal: Principal) -> list[Breaker]: ...

    # -- markets -----------------------------------------------------------------------------

    async def instrument(self, principal: Principal, name: str) -> Instrument:
        """Return a definition; asks the venue where it is not known yet.

        Raises:
            UnknownInstrument: there is no such instrument.
            VenueError: the venue cannot say.
        """

    def instruments(self, venue: str | None = None) -> list[Instrument]:
        """Return what is known so far."""

    async def quote(self, principal: Principal, instrument: str) -> Quote | None:
        """Return the newest quote; the first one asked for is waited for, a second at most."""

    async def candles(
        self,
        principal: Principal,
        instrument: str,
        interval: str,
        *,
        end_ns: int,
        limit: int,
    ) -> list[Candle]:
        """Return up to `limit` closed candles with `close_ns <= end_ns`, oldest first."""

    @property
    def market(self) -> MarketView: ...
    def watch(self, instrument: str, channel: str, interval: str = "") -> Subscription:
        """Have a venue send `quotes`, `trades` or `candles` of an instrument; counted."""

    def health(self) -> list[VenueHealth]: ...

    # -- events ------------------------------------------------------------------------------

    def listen(self, name: str, handlers: Handlers) -> Subscription:
        """Have `handlers` called with events of every run and instrument, in their order.

        Private events are told once they are durable, and everything in the order in which it
        happened. Whoever passes them on minds who may see what. A listener that falls so far behind
        that events are lost goes on with later ones; its handler of `Overflowed` is told.
        """


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

    def read(self, after: int = 0, limit: int | None = None) -> Iterator[tuple[int, Record]]:
        """Yield (position, entry) of what follows `after`, oldest first, at most `limit`."""

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
