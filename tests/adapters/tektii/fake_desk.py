"""A trading desk in memory, for tests of front doors: what it answers is set by hand.

`FakeDesk` keeps orders, fills and positions as plain values. An order that is submitted rests as
ACCEPTED until the test fills or ends it, unless `next_status` says what becomes of the next one;
`fail("quote", error)` has every call of that name raise. Whatever changes is told to listeners at
once, in the order of one fill: order, fill, position, account.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from framework.errors import Forbidden, KeyConflict, OrderError, UnknownInstrument, UnknownOrder
from framework.interfaces import BookView, Handlers
from framework.model.account import Account, Balance, Position
from framework.model.decimals import ONE, ZERO, add, divide, multiply, subtract
from framework.model.desk import (
    ALL_VERBS,
    Breaker,
    DeskOrder,
    DeskPosition,
    FillQuery,
    Money,
    OrderQuery,
    Place,
    Preview,
    Principal,
    VenueHealth,
    Verb,
    View,
)
from framework.model.events import Event
from framework.model.funds import AccountFunds, RunFunds
from framework.model.instrument import Instrument
from framework.model.market_data import Candle, MarkPrice, Quote, Trade
from framework.model.orders import (
    NO_BUCKET,
    AtPrice,
    Exits,
    Fill,
    Liquidity,
    Offset,
    Order,
    OrderIntent,
    OrderStatus,
    OrderType,
    Percent,
    Side,
)
from framework.model.runs import Run
from tests.fakes import ManualClock

START_NS = 1_772_462_400_000_000_000  # 2026-03-02T14:40:00Z
OWNER = Principal("owner", (Place("mock", "main", "tektii"),), View.ACCOUNT, ALL_VERBS)
APPLE = Instrument("mock:AAPL", base="AAPL")
BITCOIN = Instrument("mock:BTC/USD", base="BTC")


class FakeMarket:
    """The newest market values, as a test put them there."""

    def __init__(self) -> None:
        self.quotes: dict[str, Quote] = {}
        self.trades: dict[str, Trade] = {}
        self.newest_candles: dict[str, Candle] = {}
        self.marks: dict[str, MarkPrice] = {}

    def quote(self, instrument: str) -> Quote | None:
        return self.quotes.get(instrument)

    def trade(self, instrument: str) -> Trade | None:
        return self.trades.get(instrument)

    def candle(self, instrument: str) -> Candle | None:
        return self.newest_candles.get(instrument)

    def book(self, instrument: str) -> BookView | None:
        return None

    def mark_price(self, instrument: str) -> MarkPrice | None:
        return self.marks.get(instrument)

    def reference_price(self, instrument: str) -> float | None:
        quote = self.quotes.get(instrument)
        if quote is not None:
            return (quote.bid + quote.ask) / 2
        trade = self.trades.get(instrument)
        return None if trade is None else trade.price


class FakeSubscription:
    """What `watch` and `listen` return; `is_closed` tells a test that somebody let go of it."""

    def __init__(self, name: tuple[str, ...], handlers: Handlers) -> None:
        self.name = name
        self.handlers = handlers
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class FakeDesk:
    """A `TradingDesk`; everything public beyond that is there to be set or looked at by tests."""

    def __init__(
        self, instruments: Iterable[Instrument] = (APPLE, BITCOIN), now_ns: int = START_NS
    ) -> None:
        self.clock = ManualClock(now_ns)
        self.market = FakeMarket()
        self.is_paced = False
        self.is_real = False
        self.known: dict[str, Instrument] = {one.id: one for one in instruments}
        self.series: dict[tuple[str, str], list[Candle]] = {}  # by instrument and interval
        self.moneys: dict[str, Money] = {}
        self.venues: list[VenueHealth] = [
            VenueHealth("mock", True, True, (("feed", "streaming"),), (), now_ns)
        ]
        self.breaker_list: list[Breaker] = [Breaker("exit_order")]
        self.run_list: list[Run] = []
        self.next_preview = Preview("")
        self.next_status: list[tuple[OrderStatus, str]] = []  # (status, reason) of coming orders
        self.book: dict[str, DeskOrder] = {}  # by order id, oldest first
        self.fill_list: list[Fill] = []  # oldest first
        self.held: dict[tuple[str, str, str], DeskPosition] = {}  # by account, run, instrument
        self.newest: dict[tuple[str, str, str], DeskPosition] = {}  # flat ones too
        self.calls: list[tuple[str, Principal, Any]] = []  # (method, who, what), oldest first
        self.watched: list[FakeSubscription] = []
        self.listeners: list[FakeSubscription] = []
        self.reset_count = 0
        self._failures: dict[str, BaseException] = {}
        self._key_count = 0

    # -- what tests do -----------------------------------------------------------------------

    def fail(self, method: str, error: BaseException | None) -> None:
        """Have a method raise from now on; None: work again."""
        if error is None:
            self._failures.pop(method, None)
        else:
            self._failures[method] = error

    def emit(self, *events: Event) -> None:
        """Tell listeners, and keep what is market data as the newest."""
        for event in events:
            if isinstance(event, Quote):
                self.market.quotes[event.instrument] = event
            elif isinstance(event, Trade):
                self.market.trades[event.instrument] = event
            elif isinstance(event, Candle):
                self.market.newest_candles[event.instrument] = event
            for listener in list(self.listeners):
                handler = listener.handlers.get(type(event))
                if handler is not None and not listener.is_closed:
                    handler(event)

    def set_quote(
        self, instrument: str, bid: float, ask: float, size: float = 100.0, time_ns: int = 0
    ) -> Quote:
        """Make it the newest quote, and tell of it."""
        now_ns = time_ns or self.clock.now_ns
        quote = Quote(instrument, now_ns, now_ns, bid, ask, size, size)
        self.emit(quote)
        return quote

    def add_candles(self, candles: Iterable[Candle]) -> None:
        """Put closed candles, oldest first, into what `candles` answers from."""
        for candle in candles:
            self.series.setdefault((candle.instrument, candle.interval), []).append(candle)

    def set_order(self, order_id: str, **changes: Any) -> DeskOrder:
        """Change an order's state as a fact would, and tell of it."""
        entry = self.book[order_id]
        order = msgspec.structs.replace(entry.order, time_ns=self.clock.now_ns, **changes)
        return self._keep(msgspec.structs.replace(entry, order=order))

    def fill(
        self, order_id: str, price: Decimal, quantity: Decimal | None = None, fee: Decimal = ZERO
    ) -> Fill:
        """Execute an order, in full where no quantity is named; tell order, fill, position."""
        order = self.book[order_id].order
        amount = order.remaining if quantity is None else quantity
        filled = add(order.filled, amount)
        cost = add(multiply(order.average_price or ZERO, order.filled), multiply(price, amount))
        done = filled >= order.quantity
        status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
        self.set_order(order_id, filled=filled, average_price=divide(cost, filled), status=status)
        now_ns = self.clock.now_ns
        fill = Fill(
            f"x{len(self.fill_list) + 1}",
            order_id,
            order.run,
            order.account,
            order.instrument,
            order.side,
            amount,
            price,
            now_ns,
            now_ns,
            liquidity=Liquidity.TAKER,
        )
        self.fill_list.append(fill)
        self.emit(fill, self._book_fill(fill))
        money = self._money(order.account)
        balance = Balance(money.currency, money.balance, money.reserved)
        self.emit(Account(order.account, now_ns, (balance,)))
        return fill

    def called(self, method: str) -> list[Any]:
        """Return what a method was called with, oldest first."""
        return [what for name, _, what in self.calls if name == method]

    # -- commands ----------------------------------------------------------------------------

    def new_key(self, principal: Principal) -> str:
        self._key_count += 1
        return f"d.{self._key_count}"

    async def submit(
        self, principal: Principal, intent: OrderIntent, *, answer_s: float = 5.0
    ) -> DeskOrder:
        self._enter("submit", principal, Verb.TRADE, intent, instrument=intent.instrument)
        return self._submit(principal, intent)

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
        changes = {"quantity": quantity, "price": price, "stop_price": stop_price}
        asked = {**changes, "trail": trail, "exits": exits}
        self._enter("modify", principal, Verb.TRADE, (order_id, asked))
        entry = self._visible(principal, order_id)
        if entry.order.is_closed:
            raise OrderError("the order has ended")
        self.set_order(order_id, **{name: one for name, one in changes.items() if one is not None})
        if exits is not None:
            stop_loss, take_profit = exit_prices(exits)
            entry = self.book[order_id]
            changed = msgspec.structs.replace(
                entry,
                stop_loss=stop_loss or entry.stop_loss,
                take_profit=take_profit or entry.take_profit,
            )
            self.book[order_id] = changed
        return self.book[order_id]

    async def cancel(
        self, principal: Principal, order_id: str, *, answer_s: float = 5.0
    ) -> DeskOrder:
        self._enter("cancel", principal, Verb.REDUCE, order_id)
        entry = self._visible(principal, order_id)
        if entry.order.is_closed:
            return entry
        return self.set_order(order_id, status=OrderStatus.CANCELLED)

    async def cancel_all(
        self, principal: Principal, instrument: str | None = None, *, answer_s: float = 5.0
    ) -> list[DeskOrder]:
        self._enter("cancel_all", principal, Verb.REDUCE, instrument)
        open_ids = [
            order_id
            for order_id, entry in self.book.items()
            if not entry.order.is_closed
            and self._sees(principal, entry.order.account, entry.order.run)
            and instrument in (None, entry.order.instrument)
        ]
        return [self.set_order(one, status=OrderStatus.CANCELLED) for one in open_ids]

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
        self._enter("close", principal, Verb.REDUCE, (position, quantity, price, key))
        held = self.held.get((position.account, position.run, position.instrument))
        if held is None:
            raise OrderError("nothing is held")
        amount = abs(held.quantity)
        intent = OrderIntent(
            held.run,
            key or self.new_key(principal),
            held.instrument,
            Side.SELL if held.quantity > ZERO else Side.BUY,
            amount if quantity is None else min(quantity, amount),
            OrderType.MARKET if price is None else OrderType.LIMIT,
            price,
            reduce_only=True,
            bucket=held.bucket,
        )
        return self._submit(principal, intent)

    async def reset_breakers(self, principal: Principal) -> None:
        self._enter("reset_breakers", principal, Verb.ADMIN, None)
        self.reset_count += 1
        self.breaker_list = [Breaker(one.name) for one in self.breaker_list]

    # -- reads -------------------------------------------------------------------------------

    async def order(self, principal: Principal, order_id: str) -> DeskOrder | None:
        self._enter("order", principal, Verb.READ, order_id)
        entry = self.book.get(order_id)
        if entry is None or not self._sees(principal, entry.order.account, entry.order.run):
            return None
        return entry

    async def orders(self, principal: Principal, query: OrderQuery) -> list[DeskOrder]:
        self._enter("orders", principal, Verb.READ, query)
        found = [
            entry
            for entry in reversed(self.book.values())
            if self._sees(principal, entry.order.account, entry.order.run)
            and answers_query(entry, query)
        ]
        if query.by_update:
            found.sort(key=lambda entry: entry.order.time_ns, reverse=True)
        return found[: query.limit]

    async def fills(self, principal: Principal, query: FillQuery) -> list[Fill]:
        self._enter("fills", principal, Verb.READ, query)
        found = [
            fill
            for fill in reversed(self.fill_list)
            if self._sees(principal, fill.account, fill.run)
            and query.instrument in (None, fill.instrument)
            and query.order_id in (None, fill.order_id)
            and (query.since_ns is None or fill.time_ns >= query.since_ns)
            and (query.until_ns is None or fill.time_ns < query.until_ns)
        ]
        return found[: query.limit]

    def described(self, order: Order) -> DeskOrder:
        entry = self.book[order.order_id]
        return msgspec.structs.replace(entry, order=order)

    def position_now(self, position: Position) -> DeskPosition | None:
        return self.newest.get((position.account, position.run, position.instrument))

    async def written(self) -> None:
        """Have everything on disk."""

    def money_now(self, account: str) -> Money:
        return self._money(account)

    async def positions(
        self, principal: Principal, instrument: str | None = None
    ) -> list[DeskPosition]:
        self._enter("positions", principal, Verb.READ, instrument)
        found = [
            position
            for position in self.held.values()
            if self._sees(principal, position.account, position.run)
            and instrument in (None, position.instrument)
        ]
        return sorted(found, key=lambda position: position.instrument)

    async def money(self, principal: Principal, account: str | None = None) -> Money:
        self._enter("money", principal, Verb.READ, account)
        if account is not None and account not in {place.account for place in principal.places}:
            raise Forbidden(f"there is no account {account!r} for {principal.name}")
        return self._money(account or principal.places[0].account)

    async def funds(self, principal: Principal) -> tuple[AccountFunds, list[RunFunds]]:
        self._enter("funds", principal, Verb.READ, None)
        money = self._money(principal.places[0].account)
        return AccountFunds(money.account, money.currency, money.time_ns, ()), []

    async def runs(self, principal: Principal) -> list[Run]:
        self._enter("runs", principal, Verb.READ, None)
        return self.run_list

    async def preview(self, principal: Principal, intent: OrderIntent) -> Preview:
        self._enter("preview", principal, Verb.READ, intent)
        return self.next_preview

    async def breakers(self, principal: Principal) -> list[Breaker]:
        self._enter("breakers", principal, Verb.READ, None)
        return self.breaker_list

    # -- markets -----------------------------------------------------------------------------

    async def instrument(self, principal: Principal, name: str) -> Instrument:
        self._enter("instrument", principal, Verb.MARKET, name, instrument=name)
        return self._known(name)

    def instruments(self, venue: str | None = None) -> list[Instrument]:
        return [one for one in self.known.values() if venue in (None, one.id.partition(":")[0])]

    async def quote(self, principal: Principal, instrument: str) -> Quote | None:
        self._enter("quote", principal, Verb.MARKET, instrument, instrument=instrument)
        self._known(instrument)
        return self.market.quote(instrument)

    async def candles(
        self,
        principal: Principal,
        instrument: str,
        interval: str,
        *,
        end_ns: int,
        limit: int,
    ) -> list[Candle]:
        asked = (instrument, interval, end_ns, limit)
        self._enter("candles", principal, Verb.MARKET, asked, instrument=instrument)
        self._known(instrument)
        closed = [
            one for one in self.series.get((instrument, interval), ()) if one.close_ns <= end_ns
        ]
        return closed[-limit:]

    def watch(self, instrument: str, channel: str, interval: str = "") -> FakeSubscription:
        self._known(instrument)
        subscription = FakeSubscription((instrument, channel, interval), {})
        self.watched.append(subscription)
        return subscription

    def health(self) -> list[VenueHealth]:
        return self.venues

    # -- events ------------------------------------------------------------------------------

    def listen(self, name: str, handlers: Handlers) -> FakeSubscription:
        subscription = FakeSubscription((name,), handlers)
        self.listeners.append(subscription)
        return subscription

    # -- inside ------------------------------------------------------------------------------

    def _enter(
        self,
        method: str,
        principal: Principal,
        verb: Verb,
        what: Any,
        *,
        instrument: str | None = None,
    ) -> None:
        self.calls.append((method, principal, what))
        if method in self._failures:
            raise self._failures[method]
        if not principal.allows(verb, instrument):
            raise Forbidden(f"{principal.name} may not {verb.value}")

    def _known(self, name: str) -> Instrument:
        if name not in self.known:
            raise UnknownInstrument(name)
        return self.known[name]

    def _sees(self, principal: Principal, account: str, run: str) -> bool:
        if principal.view is View.ACCOUNT:
            return account in {place.account for place in principal.places}
        return run in {place.run for place in principal.places}

    def _visible(self, principal: Principal, order_id: str) -> DeskOrder:
        entry = self.book.get(order_id)
        if entry is None or not self._sees(principal, entry.order.account, entry.order.run):
            raise UnknownOrder(order_id)
        return entry

    def _place_at(self, principal: Principal, instrument: str) -> Place:
        venue = instrument.partition(":")[0]
        for place in principal.places:
            if place.venue == venue:
                return place
        raise Forbidden(f"{principal.name} trades nothing at {venue}")

    def _submit(self, principal: Principal, intent: OrderIntent) -> DeskOrder:
        self._known(intent.instrument)
        place = self._place_at(principal, intent.instrument)
        intent = msgspec.structs.replace(intent, run=place.run)
        for entry in self.book.values():
            if entry.order.run == intent.run and entry.intent.key == intent.key:
                if entry.intent != intent:
                    raise KeyConflict(intent.run, intent.key, entry.order.order_id)
                return entry
        status, reason = self.next_status.pop(0) if self.next_status else (OrderStatus.ACCEPTED, "")
        now_ns = self.clock.now_ns
        order = Order(
            f"order-{len(self.book) + 1}",
            intent.run,
            place.account,
            intent.instrument,
            intent.side,
            intent.type,
            status,
            intent.quantity or ONE,
            ZERO,
            None,
            now_ns,
            now_ns,
            intent.key,
            intent.price,
            intent.stop_price,
            intent.time_in_force,
            intent.post_only,
            intent.reduce_only,
            intent.bucket,
            reason=reason,
            tags=intent.tags,
        )
        stop_loss, take_profit = exit_prices(intent.exits)
        return self._keep(DeskOrder(order, intent, None, stop_loss, take_profit))

    def _keep(self, entry: DeskOrder) -> DeskOrder:
        self.book[entry.order.order_id] = entry
        self.emit(entry.order)
        return entry

    def _book_fill(self, fill: Fill) -> Position:
        place = (fill.account, fill.run, fill.instrument)
        held = self.held.pop(place, None)
        old, average = (held.quantity, held.average_price) if held else (ZERO, ZERO)
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        new = add(old, signed)
        if old * signed >= ZERO:
            average = divide(add(multiply(average, old), multiply(fill.price, signed)), new)
        elif old * new < ZERO:  # it changed sides
            average = fill.price
        opened_ns = held.opened_ns if held and old * new > ZERO else fill.time_ns
        self.newest[place] = DeskPosition(
            *place, new, average, fill.price, ZERO, ZERO, opened_ns, fill.time_ns, NO_BUCKET
        )
        if new:
            self.held[place] = self.newest[place]
        return Position(*place, new, multiply(new, average), ZERO, fill.time_ns)

    def _money(self, account: str) -> Money:
        start = Decimal("100000")
        return self.moneys.get(account) or Money(
            account, "USD", start, start, ZERO, ZERO, ZERO, ZERO, start, self.clock.now_ns
        )


def exit_prices(exits: Exits | None) -> tuple[Decimal | None, Decimal | None]:
    """Return the absolute prices of a stop loss and a take profit, None for what is no price."""
    if exits is None:
        return None, None
    stop, target = exits.stop_loss, exits.take_profit
    return (
        stop.price if isinstance(stop, AtPrice) else None,
        target.price if isinstance(target, AtPrice) else None,
    )


def answers_query(entry: DeskOrder, query: OrderQuery) -> bool:
    """Tell whether an order meets every condition that is set."""
    order = entry.order
    return (
        query.instrument in (None, order.instrument)
        and (query.statuses is None or order.status in query.statuses)
        and query.side in (None, order.side)
        and query.key in (None, order.key)
        and query.oco_group in (None, entry.intent.oco_group)
        and (query.since_ns is None or order.created_ns >= query.since_ns)
        and (query.until_ns is None or order.created_ns < query.until_ns)
    )


def money_of(account: str, **parts: str) -> Money:
    """Return funds of an account in USD from texts; what is not named is zero."""
    balance, unrealised, realised, bound, reserved = (
        Decimal(parts.get(name, "0"))
        for name in ("balance", "unrealised", "realised", "bound", "reserved")
    )
    equity = add(balance, unrealised)
    available = max(ZERO, subtract(subtract(equity, bound), reserved))
    return Money(
        account,
        "USD",
        balance,
        equity,
        unrealised,
        realised,
        bound,
        reserved,
        available,
        START_NS,
    )
