"""The base class of all strategies: handlers in, orders out."""

from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, ClassVar, TypeVar, Unpack

import msgspec

from framework.interfaces import BookView
from framework.model.account import Account, CashBooked, Position, Settled
from framework.model.events import (
    ConnectionChanged,
    DataStale,
    ErrorRaised,
    GapDetected,
    Resynced,
    Timer,
)
from framework.model.instrument import Instrument, Number
from framework.model.market_data import (
    BookDelta,
    BookSnapshot,
    Candle,
    Funding,
    MarketStatus,
    MarkPrice,
    Quote,
    Ticker,
    Trade,
)
from framework.model.orders import (
    Fill,
    FillCorrected,
    Order,
    OrderType,
    Side,
    TimeInForce,
)
from framework.strategy.context import PositionLike, StrategyContext
from framework.strategy.handle import OrderHandle
from framework.strategy.wishes import Leg, Wishes

T = TypeVar("T")
BUY, SELL = Side.BUY, Side.SELL
GTC = TimeInForce.GTC
MARKET, LIMIT, STOP, STOP_LIMIT, TRAILING_STOP = (
    OrderType.MARKET,
    OrderType.LIMIT,
    OrderType.STOP,
    OrderType.STOP_LIMIT,
    OrderType.TRAILING_STOP,
)


class Strategy:
    """Subclass it, override the handlers you need, and trade with `buy`, `sell` and `close`.

    Handlers may be `def` or `async def`; those of one strategy never overlap. Orders are checked
    at once and sent after the handler has returned or awaited: position and cash never change
    within a `def` handler.
    """

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """What the configuration file may set; a subclass declares its own."""

    events: ClassVar[tuple[type, ...]] = ()
    """Event types of the user's own that `on_event` receives."""

    settings: Any

    def __init__(self, settings: Any, context: StrategyContext) -> None:
        self.settings = settings
        self.context = context
        # One call less where strategies ask at every event.
        self.position = context.position  # type: ignore[method-assign] # same signature
        self._log: Any = None

    # -- what outlives the process -------------------------------------------------------------

    def save_state(self) -> Any:
        """Return what to keep over a restart (plain values, structs, numbers, texts), or None.

        Called between handlers: each 60 s, after fills, at an orderly stop. It must not change
        anything.
        """

    def load_state(self, state: Any) -> None:
        """Take back what `save_state` returned, as plain values; called before `on_start`."""

    # -- handlers ----------------------------------------------------------------------------

    def on_start(self) -> Any:
        """Called first: create indicators and watch market data here."""

    def on_stop(self) -> Any:
        """Called last, before the stop policy acts."""

    def on_halt(self, reason: str) -> Any:
        """Called instead of `on_stop` when the strategy is halted."""

    def on_quote(self, quote: Quote) -> Any:
        """A watched instrument's best bid or ask changed."""

    def on_trade(self, trade: Trade) -> Any:
        """A watched instrument traded."""

    def on_candle(self, candle: Candle) -> Any:
        """A watched candle closed (`is_closed`) or changed."""

    def on_book(self, book: BookView) -> Any:
        """A watched book changed; `book` is its newest state."""

    def on_delta(self, delta: BookSnapshot | BookDelta) -> Any:
        """A watched venue message of level changes (`watch_deltas`)."""

    def on_market(self, event: Ticker | MarkPrice | Funding | MarketStatus) -> Any:
        """Something else about a watched instrument changed."""

    def on_order(self, order: Order) -> Any:
        """One of this run's orders changed."""

    def on_fill(self, fill: Fill | FillCorrected) -> Any:
        """One of this run's orders was filled."""

    def on_position(self, position: Position) -> Any:
        """One of this run's positions changed."""

    def on_account(self, account: Account | CashBooked | Settled) -> Any:
        """Cash or margin of the account changed."""

    def on_connection(self, change: ConnectionChanged) -> Any:
        """The link to a venue changed state."""

    def on_gap(self, gap: GapDetected | Resynced) -> Any:
        """Market data is missing, or whole again."""

    def on_stale(self, stale: DataStale) -> Any:
        """A stream has been silent for too long."""

    def on_timer(self, timer: Timer) -> Any:
        """A timer set by `every` or `at` fired."""

    def on_error(self, error: ErrorRaised) -> Any:
        """A handler, of this strategy or another subscriber, raised."""

    def on_event(self, event: Any) -> Any:
        """An event of a type listed in `events`."""

    # -- market data -------------------------------------------------------------------------

    def watch_quotes(self, instrument: str) -> None:
        """Receive quotes in `on_quote`."""
        self.context.watch("quotes", instrument, interval="", warmup=0)

    def watch_trades(self, instrument: str) -> None:
        """Receive trades in `on_trade`."""
        self.context.watch("trades", instrument, interval="", warmup=0)

    def watch_candles(self, instrument: str, interval: str, warmup: int = 0) -> None:
        """Receive candles in `on_candle`, after `warmup` earlier ones (`is_warming_up`)."""
        self.context.watch("candles", instrument, interval=interval, warmup=warmup)

    def watch_book(self, instrument: str) -> None:
        """Receive the newest book in `on_book`."""
        self.context.watch("book", instrument, interval="", warmup=0)

    def watch_deltas(self, instrument: str) -> None:
        """Receive every book message in `on_delta`."""
        self.context.watch("deltas", instrument, interval="", warmup=0)

    def watch_market(self, instrument: str) -> None:
        """Receive tickers, mark prices, funding and market status in `on_market`."""
        self.context.watch("market", instrument, interval="", warmup=0)

    async def history(self, instrument: str, interval: str, limit: int) -> list[Candle]:
        """Return up to `limit` closed candles before now, oldest first."""
        return await self.context.history(instrument, interval, limit)

    def quote(self, instrument: str) -> Quote | None:
        """Return the newest quote."""
        return self.context.quote(instrument)

    def trade(self, instrument: str) -> Trade | None:
        """Return the newest trade."""
        return self.context.trade(instrument)

    def candle(self, instrument: str) -> Candle | None:
        """Return the newest closed candle, of any interval."""
        return self.context.candle(instrument)

    def book(self, instrument: str) -> BookView | None:
        """Return the order book."""
        return self.context.book(instrument)

    def instrument(self, name: str) -> Instrument:
        """Return the instrument's definition. Raises UnknownInstrument."""
        return self.context.instrument(name)

    # -- orders ------------------------------------------------------------------------------

    def buy(
        self,
        instrument: str,
        quantity: Number | None = None,
        *,
        price: Number | None = None,
        stop_price: Number | None = None,
        time_in_force: TimeInForce = GTC,
        expire_ns: int | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
        key: str | None = None,
        tags: Sequence[str] = (),
        **wishes: Unpack[Wishes],
    ) -> OrderHandle:
        """Buy at the market, at `price` or better, or once `stop_price` is touched.

        `wishes`: exits, trails, groups and more, see `Wishes`.
        """
        return self._order(
            instrument,
            BUY,
            quantity,
            price,
            stop_price,
            time_in_force,
            expire_ns,
            post_only,
            reduce_only,
            key,
            tags,
            wishes,
        )

    def sell(
        self,
        instrument: str,
        quantity: Number | None = None,
        *,
        price: Number | None = None,
        stop_price: Number | None = None,
        time_in_force: TimeInForce = GTC,
        expire_ns: int | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
        key: str | None = None,
        tags: Sequence[str] = (),
        **wishes: Unpack[Wishes],
    ) -> OrderHandle:
        """Sell at the market, at `price` or better, or once `stop_price` is touched.

        `wishes`: exits, trails, groups and more, see `Wishes`.
        """
        return self._order(
            instrument,
            SELL,
            quantity,
            price,
            stop_price,
            time_in_force,
            expire_ns,
            post_only,
            reduce_only,
            key,
            tags,
            wishes,
        )

    def _order(
        self,
        instrument: str,
        side: Side,
        quantity: Number | None,
        price: Number | None,
        stop_price: Number | None,
        time_in_force: TimeInForce,
        expire_ns: int | None,
        post_only: bool,
        reduce_only: bool,
        key: str | None,
        tags: Sequence[str],
        wishes: Wishes,
    ) -> OrderHandle:
        if "trail" in wishes:
            order_type = TRAILING_STOP
        elif stop_price is None:
            order_type = MARKET if price is None else LIMIT
        else:
            order_type = STOP if price is None else STOP_LIMIT
        context = self.context
        order_id = context.submit(
            instrument,
            side,
            quantity,
            type=order_type,
            price=price,
            stop_price=stop_price,
            time_in_force=time_in_force,
            expire_ns=expire_ns,
            post_only=post_only,
            reduce_only=reduce_only,
            key=key,
            tags=tags,
            wishes=wishes,
        )
        return OrderHandle(order_id, context)

    def basket(
        self, legs: Sequence[Leg], *, key: str | None = None, all_or_none: bool = True
    ) -> list[OrderHandle]:
        """Ask for several orders under one key, reserved together; a handle per leg.

        With `all_or_none` one refused leg denies all of them.
        """
        order_ids = self.context.submit_basket(legs, key=key, all_or_none=all_or_none)
        return [OrderHandle(order_id, self.context) for order_id in order_ids]

    def close(self, instrument: str) -> OrderHandle | None:
        """Cancel working entries and send one reducing order; None if there is nothing to close."""
        order_id = self.context.close(instrument)
        return None if order_id is None else OrderHandle(order_id, self.context)

    def cancel(self, order: OrderHandle | str) -> str | None:
        """Ask for an order to be taken back; the answer comes as `on_order`.

        Returns why that makes no sense (it is closed already), or None.
        """
        return self.context.cancel(order if isinstance(order, str) else order.order_id)

    def modify(
        self,
        order: OrderHandle | str,
        *,
        quantity: Number | None = None,
        price: Number | None = None,
        stop_price: Number | None = None,
    ) -> str | None:
        """Ask for a working order to be changed; an argument of None leaves a value as it is.

        Returns why it was refused (by the gate, or off the grid), or None: it is on its way.
        """
        return self.context.modify(
            order if isinstance(order, str) else order.order_id,
            quantity=quantity,
            price=price,
            stop_price=stop_price,
        )

    def cancel_all(self, instrument: str | None = None) -> None:
        """Cancel this run's working orders, all or those of one instrument."""
        self.context.cancel_all(instrument)

    def flatten(self) -> None:
        """Cancel everything and close all positions of this run."""
        self.context.flatten()

    def handle(self, order_id: str) -> OrderHandle:
        """Return a handle on an order of this run."""
        return OrderHandle(order_id, self.context)

    def orders(self, instrument: str | None = None) -> list[Order]:
        """Return this run's working orders, oldest first."""
        return self.context.orders(instrument)

    def position(self, instrument: str) -> PositionLike:
        """Return this run's view of one instrument."""
        return self.context.position(instrument)

    def account(self) -> Account:
        """Return the balances of this run's account."""
        return self.context.account()

    @property
    def log(self) -> Any:
        """A structlog logger bound to this run."""
        if self._log is None:
            import structlog  # a tenth of a second to import, which not every program needs

            self._log = structlog.get_logger("strategy").bind(run=self.context.run)
        return self._log

    # -- time and the world outside ------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """Market time of the item being handled, nanoseconds UTC."""
        return self.context.now_ns

    @property
    def is_warming_up(self) -> bool:
        """Candles come from history; orders are denied."""
        return self.context.is_warming_up

    @property
    def random(self) -> Random:
        """A random source of this run's own, from the configured seed."""
        return self.context.random

    def every(self, seconds: float, name: str = "every") -> None:
        """Call `on_timer` each `seconds` of market time, first one period from now."""
        period_ns = round(seconds * 1e9)
        self.context.set_timer(name, first_ns=self.now_ns + period_ns, every_ns=period_ns)

    def at(self, time_ns: int, name: str = "at") -> None:
        """Call `on_timer` once at `time_ns`."""
        self.context.set_timer(name, first_ns=time_ns, every_ns=None)

    def cancel_timer(self, name: str) -> None:
        """Stop a timer."""
        self.context.cancel_timer(name)

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of market time."""
        await self.context.sleep(seconds)

    async def external(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await an answer from outside the framework in a way that a replay can repeat."""
        return await self.context.external(coroutine)

    async def blocking(self, function: Callable[[], T]) -> T:
        """Run blocking work without holding the loop."""
        return await self.context.blocking(function)

    def publish(self, event: Any) -> None:
        """Publish an event of the user's own."""
        self.context.publish(event)
