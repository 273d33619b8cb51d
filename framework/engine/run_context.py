"""One run's window on the engine: what `Strategy` calls, in terms of the core."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

import structlog
from msgspec.structs import asdict, replace

from framework.bus.subscriber import Interest, Subscriber
from framework.engine.engine import Engine
from framework.engine.warm_up import WarmUp
from framework.errors import OffGrid, OrderError, StrategyError
from framework.interfaces import BookView, MarketFeed, TimerHandle
from framework.model.account import Account
from framework.model.events import Timer
from framework.model.identity import venue_of
from framework.model.instrument import Instrument, InstrumentChanged, Number
from framework.model.market_data import (
    BookChanged,
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
from framework.model.orders import BasketIntent, Order, OrderIntent, OrderType, Side, TimeInForce
from framework.orders.keys import fault_in_key
from framework.portfolio.exposure import PositionView
from framework.strategy.wishes import PLAIN, Leg, Wishes, terms_of

T = TypeVar("T")

log = structlog.get_logger("runs")

CHANNEL_TYPES: dict[str, tuple[type, ...]] = {
    "quotes": (Quote,),
    "trades": (Trade,),
    "candles": (Candle,),
    "book": (BookChanged,),
    "deltas": (BookSnapshot, BookDelta),
    "market": (Ticker, MarkPrice, Funding, MarketStatus, InstrumentChanged),
}
FEED_CHANNEL = {"deltas": "book"}  # what a feed is asked for, where it differs


class RunContext:
    """Implements `StrategyContext` for one session of one run."""

    def __init__(
        self,
        engine: Engine,
        run: str,
        session: int,
        *,
        account: str,
        feeds: dict[str, MarketFeed],
        random: Random,
        blocking: Callable[[Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        self.run = run
        self.session = session
        self.random = random
        self.subscriber: Subscriber | None = None  # set by the runtime
        self.warm_up = WarmUp(self.history, engine.bus.publish)
        self.desk = engine.desk  # what commands go to; a recorder puts itself in between
        self._engine = engine
        self._account = account
        self._feeds = feeds
        self._blocking = blocking
        self._sequence = -1  # of the event the last command followed from
        self._command_count = 0
        self._item = (-1, -1)  # what `_item_ns` was read for
        self._item_ns = 0
        self._views = engine.views.setdefault(run, {})
        self._timers: dict[str, TimerHandle] = {}
        self._watched: list[tuple[str, str, str]] = []
        self.blocked_reason = ""

    # -- time --------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """Market time, fixed while one item is handled: an event, or what follows an await."""
        subscriber, bus = self.subscriber, self._engine.bus
        item = (0 if subscriber is None else subscriber.sequence, bus.ticket)
        if item != self._item:
            self._item = item
            self._item_ns = self._engine.clock.now_ns
        return self._item_ns

    @property
    def cause_ns(self) -> int:
        """When what is being handled was known: the event's receipt, or when an await ended."""
        now_ns = self.now_ns
        subscriber = self.subscriber
        if subscriber is None or subscriber.is_resumed or self._engine.bus.is_pumped:
            return now_ns  # a driver of recorded data hands over each event in its time
        received_ns: int = getattr(subscriber.event, "received_ns", now_ns)
        return min(received_ns or now_ns, now_ns)

    @property
    def is_warming_up(self) -> bool:
        """Whether the event being handled comes from history."""
        return self.subscriber is not None and self.warm_up.is_history(self.subscriber.event)

    def _handled(self) -> int:
        return 0 if self.subscriber is None else self.subscriber.sequence

    def set_timer(self, name: str, *, first_ns: int, every_ns: int | None) -> None:
        """Publish `Timer` at `first_ns` and then each `every_ns`; a set one is replaced."""
        if every_ns is not None and every_ns <= 0:
            raise StrategyError(f"timer {name!r}: {every_ns} ns is no period")
        self.cancel_timer(name)

        def fire() -> None:
            now_ns = self._engine.clock.now_ns
            missed = 0
            if every_ns is None:
                self._timers.pop(name, None)
            else:
                missed = max(0, (now_ns - due_ns[0]) // every_ns)
                next_ns = due_ns[0] + (missed + 1) * every_ns
                self._timers[name] = self._engine.clock.call_at(next_ns, fire)
            fired_ns, due_ns[0] = due_ns[0], due_ns[0] + (missed + 1) * (every_ns or 0)
            self._engine.bus.publish(Timer(name, self.run, now_ns, fired_ns, missed))

        due_ns = [first_ns]
        self._timers[name] = self._engine.clock.call_at(first_ns, fire)

    def cancel_timer(self, name: str) -> None:
        """Stop a timer; harmless if there is none of that name."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of market time."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due_ns = self._engine.clock.now_ns + round(seconds * 1e9)
        timer = self._engine.clock.call_at(
            due_ns, lambda: None if woken.done() else woken.set_result(None)
        )
        try:
            await woken
        finally:
            timer.cancel()

    # -- orders ------------------------------------------------------------------------------

    def block(self, reason: str) -> None:
        """Deny every order of this run with `reason` until `unblock`."""
        self.blocked_reason = reason

    def unblock(self) -> None:
        """Let orders pass to the gate again."""
        self.blocked_reason = ""

    @property
    def refusal(self) -> str:
        """Why orders are denied before the gate is asked; empty where they are not."""
        return self.blocked_reason or ("warming_up" if self.is_warming_up else "")

    def submit(
        self,
        instrument: str,
        side: Side,
        quantity: Number | None,
        *,
        type: OrderType,
        price: Number | None = None,
        stop_price: Number | None = None,
        time_in_force: TimeInForce,
        expire_ns: int | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
        key: str | None = None,
        tags: Sequence[str] = (),
        wishes: Wishes | None = None,
    ) -> str:
        """Run gate and registry at once; a refusal is a DENIED order with its reason."""
        sequence = self._handled()
        refusal = self.refusal
        if key and (fault := fault_in_key(key)):
            key, refusal = None, fault  # under a key of its own: the one given may be another's
        exact_quantity, exact_price, exact_stop = None, None, None
        terms = PLAIN
        try:
            definition = self._engine.instrument(instrument)
            if quantity is not None:
                exact_quantity = _exact(quantity, definition.quantity)
            if wishes:
                terms = terms_of(definition, self.now_ns, **wishes)
            if price is not None:
                exact_price = _exact(price, definition.price)
            if stop_price is not None:
                exact_stop = _exact(stop_price, definition.price)
        except OrderError as error:
            refusal = error.reason
        intent = OrderIntent(
            run=self.run,
            key=key or self._next_key(sequence),
            instrument=instrument,
            side=side,
            quantity=exact_quantity,
            type=type,
            price=exact_price,
            stop_price=exact_stop,
            time_in_force=time_in_force,
            expire_ns=expire_ns,
            post_only=post_only,
            reduce_only=reduce_only,
            tags=tuple(tags),
            cause_sequence=sequence,
            cause_ns=self.cause_ns,
        )
        if terms is not PLAIN:
            intent = replace(intent, **asdict(terms))
        desk = self.desk
        state = desk.deny(intent, refusal) if refusal else desk.submit(intent)
        return state.order_id

    def submit_basket(
        self, legs: Sequence[Leg], *, key: str | None = None, all_or_none: bool = True
    ) -> list[str]:
        """Submit several legs under one key; a refusal is a DENIED order with its reason.

        Raises:
            OrderError: a leg's number is off its instrument's grid, or there is no leg.
        """
        desk, refusal = self.desk, self.refusal
        if key and (fault := fault_in_key(key)):
            key, refusal = None, fault
        basket = BasketIntent(
            self.run,
            key or self._next_key(self._handled()),
            tuple(map(self._leg, legs)),
            all_or_none,
        )
        return [order.order_id for order in desk.submit_basket(basket, refusal)]

    def _leg(self, leg: Leg) -> OrderIntent:
        definition = self._engine.instrument(leg.instrument)
        if leg.stop_price is None:
            order_type = OrderType.MARKET if leg.price is None else OrderType.LIMIT
        else:
            order_type = OrderType.STOP if leg.price is None else OrderType.STOP_LIMIT
        return OrderIntent(
            run=self.run,
            key="",
            instrument=leg.instrument,
            side=leg.side,
            quantity=definition.quantity(leg.quantity),
            type=order_type,
            price=None if leg.price is None else definition.price(leg.price),
            stop_price=None if leg.stop_price is None else definition.price(leg.stop_price),
            time_in_force=leg.time_in_force,
            post_only=leg.post_only,
            reduce_only=leg.reduce_only,
            tags=leg.tags,
            cause_sequence=self._handled(),
            cause_ns=self.cause_ns,
        )

    def _next_key(self, sequence: int) -> str:
        """Return a key that is equal on replay and never used again."""
        if sequence != self._sequence:
            self._sequence, self._command_count = sequence, 0
        self._command_count += 1
        return f"{self.session}.{sequence}.{self._command_count}"

    def cancel(self, order_id: str) -> str | None:
        """Ask for one of this run's orders to be taken back; return why it cannot be, or None."""
        self._own(order_id)
        return self.desk.cancel(order_id)

    def modify(
        self,
        order_id: str,
        *,
        quantity: Number | None = None,
        price: Number | None = None,
        stop_price: Number | None = None,
    ) -> str | None:
        """Ask for one of this run's orders to be changed; return why it cannot be, or None.

        Raises:
            OrderError: this run has no such order.
        """
        definition = self._own(order_id)
        refusal = self.refusal
        if refusal:
            return refusal
        try:
            return self.desk.modify(
                order_id,
                quantity=None if quantity is None else definition.quantity(quantity),
                price=None if price is None else definition.price(price),
                stop_price=None if stop_price is None else definition.price(stop_price),
            )
        except OffGrid as error:
            return error.reason

    def _own(self, order_id: str) -> Instrument:
        state = self._engine.registry.get(order_id)
        if state is None or state.intent.run != self.run:
            raise OrderError(f"run {self.run!r} has no order {order_id!r}")
        return state.instrument

    def cancel_all(self, instrument: str | None = None) -> None:
        """Cancel this run's working orders."""
        self.desk.cancel_all(self.run, instrument)

    def close(self, instrument: str) -> str | None:
        """Cancel entries and send one reducing order; the same one while it works.

        None, too, on old candles: what is held now is not to be closed for what was then.
        """
        if self.is_warming_up:
            log.warning("close_while_warming_up", run=self.run, instrument=instrument)
            return None
        state = self.desk.close(self.run, instrument)
        return None if state is None else state.order_id

    def flatten(self) -> None:
        """Cancel everything and close every position of this run, but not on old candles."""
        if self.is_warming_up:
            log.warning("flatten_while_warming_up", run=self.run)
            return
        self.desk.flatten(self.run)

    def order(self, order_id: str) -> Order | None:
        """Return one of this run's orders, or None once it has left memory."""
        state = self._engine.registry.get(order_id)
        return None if state is None or state.intent.run != self.run else state.event()

    def orders(self, instrument: str | None = None) -> list[Order]:
        """Return this run's working orders, oldest first."""
        return [state.event() for state in self._engine.registry.open_orders(self.run, instrument)]

    async def order_when(
        self, order_id: str, condition: Callable[[Order], bool], timeout_s: float | None
    ) -> Order:
        """Wait until an order of this run fits `condition`. Raises KeyError, TimeoutError."""
        state = self._engine.registry.get(order_id)
        if state is None or state.intent.run != self.run:
            raise KeyError(order_id)
        return await self._engine.order_when(order_id, condition, timeout_s)

    # -- state -------------------------------------------------------------------------------

    def position(self, instrument: str) -> PositionView:
        """Return this run's view of an instrument; cached until it changes."""
        try:
            return self._views[instrument]
        except KeyError:
            view = self._views[instrument] = self._engine.desk.position_view(self.run, instrument)
            return view

    def account(self) -> Account:
        """Return the balances of this run's account."""
        engine = self._engine
        return engine.ledger.account_event(
            self._account, engine.clock.now_ns, engine.registry.reserved_cash(self._account)
        )

    def instrument(self, name: str) -> Instrument:
        """Return an instrument's definition. Raises UnknownInstrument."""
        return self._engine.instrument(name)

    def quote(self, instrument: str) -> Quote | None:
        """Return the newest quote."""
        return self._engine.market.quote(instrument)

    def trade(self, instrument: str) -> Trade | None:
        """Return the newest trade."""
        return self._engine.market.trade(instrument)

    def candle(self, instrument: str) -> Candle | None:
        """Return the newest candle."""
        return self._engine.market.candle(instrument)

    def book(self, instrument: str) -> BookView | None:
        """Return the order book."""
        return self._engine.market.book(instrument)

    # -- market data -------------------------------------------------------------------------

    def watch(self, channel: str, instrument: str, *, interval: str = "", warmup: int = 0) -> None:
        """Subscribe this run, and its venue's feed, to a channel of an instrument."""
        self._engine.instrument(instrument)
        if self.subscriber is None:
            raise OrderError("watch market data in on_start or later, not in __init__")
        only = {"instrument": frozenset({instrument})}
        if interval:
            only["interval"] = frozenset({interval})
        if (channel, instrument, interval) in self._watched:
            return
        self._watched.append((channel, instrument, interval))
        for event_type in CHANNEL_TYPES[channel]:
            self._engine.bus.watch(self.subscriber, Interest(event_type, only))
        feed = self._feeds.get(venue_of(instrument))
        if feed is not None:
            feed.subscribe(instrument, FEED_CHANNEL.get(channel, channel), interval)
            if warmup:
                self.warm_up.ask(self.subscriber, instrument, interval, warmup)

    async def history(self, instrument: str, interval: str, limit: int) -> list[Candle]:
        """Return up to `limit` closed candles before now; none where there is no feed."""
        feed = self._feeds.get(venue_of(instrument))
        if feed is None:
            return []
        return await feed.history(
            instrument, interval, end_ns=self._engine.clock.now_ns, limit=limit
        )

    def replace_feeds(self, feed: MarketFeed) -> None:
        """Have `feed` stand in for the feed of every venue that has one."""
        self._feeds = dict.fromkeys(self._feeds, feed)

    # -- the world outside -------------------------------------------------------------------

    async def external(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await an answer from outside."""
        return await coroutine

    async def blocking(self, function: Callable[[], T]) -> T:
        """Run blocking work in a worker thread; inline in a simulated world."""
        answer: T = await self._blocking(function)
        return answer

    def publish(self, event: Any) -> None:
        """Publish an event of the user's own."""
        self._engine.bus.publish(event)

    def end_timers(self) -> None:
        """Cancel the timers of this session."""
        for name in list(self._timers):
            self.cancel_timer(name)

    def unwatch(self) -> None:
        """Give up the feed subscriptions of this session: its orders need no prices any more."""
        for channel, instrument, interval in self._watched:
            feed = self._feeds.get(venue_of(instrument))
            if feed is not None:
                feed.unsubscribe(instrument, FEED_CHANNEL.get(channel, channel), interval)
        self._watched.clear()


def _exact(value: Number, convert: Callable[[Number], Decimal]) -> Decimal:
    # The gate checks the grid of a Decimal anyway; only other types need converting here.
    return value if value.__class__ is Decimal else convert(value)
