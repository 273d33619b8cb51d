"""The trading desk of a running system: what front doors and other outsiders trade through.

A call is checked against its principal, handed to the same order desk that strategies use, and
answered once the venue has spoken and the log is durable. Nothing here keeps state of orders: it
asks the core, whose state changes in steps alone, so that a replay has every command too.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import Any

import anyio
import msgspec
import structlog

from framework.errors import Forbidden, JournalError, OrderError, UnknownOrder
from framework.interfaces import Clock, Handlers, Subscription
from framework.model.decimals import ZERO, absolute
from framework.model.desk import DeskOrder, DeskPosition, Place, Preview, Principal, Verb
from framework.model.identity import venue_of
from framework.model.orders import (
    Exits,
    Offset,
    OrderIntent,
    OrderStatus,
    OrderType,
    Percent,
    RequestState,
    Side,
)
from framework.model.records import AlertRaised
from framework.model.reports import OrderFact, RequestRefused
from framework.orders.keys import fault_in_key
from framework.orders.order_state import OrderState
from framework.runtime.desk_listening import Listener
from framework.runtime.desk_markets import DeskMarkets
from framework.runtime.desk_preview import Foresight
from framework.runtime.desk_reads import DeskReads
from framework.runtime.system import System

log = structlog.get_logger("desk")

NONE = RequestState.NONE
IN_DOUBT = RequestState.IN_DOUBT
KEPT_KEYS = 10_000
UNSENT = (OrderStatus.INITIALISED, OrderStatus.SUBMITTED)  # a set would hash what is looked up
Answered = Callable[[OrderState], bool]


class News(msgspec.Struct, eq=False):
    """What somebody waits for of one order."""

    is_answered: Answered
    refusal: str = ""  # of a request about it
    future: asyncio.Future[None] | None = None


class Desk(DeskReads, DeskMarkets):
    """Implements `TradingDesk` on a system; `is_paced` where market time waits for outsiders."""

    def __init__(
        self,
        system: System,
        *,
        currencies: Mapping[str, str],
        is_paced: bool,
    ) -> None:
        """`currencies` are the accounts'."""
        DeskReads.__init__(self, system, currencies)
        DeskMarkets.__init__(self, system, is_recorded=is_paced)
        self.is_paced = is_paced
        self._foresight = Foresight(self._engine, self._reserve)
        self._issued: dict[str, None] = {}  # keys of our own making, not used yet
        self._news: dict[str, list[News]] = {}
        self._key_count = 0
        self._listeners: list[Listener] = []
        self._engine.desk.after_change.append(self._after_change)

    @property
    def clock(self) -> Clock:
        """Market time."""
        return self._engine.clock

    # -- commands ----------------------------------------------------------------------------

    def new_key(self, principal: Principal) -> str:
        """Return a key that no order of any run has had or will have; equal on a replay.

        It has the form of a strategy's own, but for a zero before its second number, which is this
        process's: the order may go to another run than the principal's first, and that run may have
        orders of a strategy.
        """
        self._key_count += 1
        session = self._system.book.get(principal.places[0].run).session
        key = f"{session}.0{self._engine.log.epoch}.{self._key_count}"
        self._issued[key] = None
        while len(self._issued) > KEPT_KEYS:
            del self._issued[next(iter(self._issued))]
        return key

    async def submit(
        self, principal: Principal, intent: OrderIntent, *, answer_s: float = 5.0
    ) -> DeskOrder:
        """Ask for an order, see `TradingDesk.submit`."""
        self._check(principal, Verb.TRADE, intent.instrument)
        if self._issued.pop(intent.key, 0) is not None:
            self._require(fault_in_key(intent.key))
        if intent.instrument not in self._engine.instruments:
            await self.instrument(principal, intent.instrument)
        intent = msgspec.structs.replace(
            intent, run=self._place(principal, intent.instrument).run, cause_ns=self.clock.now_ns
        )
        return await self._submitted(intent, answer_s, is_closing=False)

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
        """Change a working order, see `TradingDesk.modify`."""
        state = self._seen(principal, Verb.TRADE, order_id)
        desk = self._engine.desk
        if exits is not None:
            await self._exits_changed(state, exits, answer_s)
        if quantity is not None or price is not None or stop_price is not None or trail is not None:
            changes: dict[str, Any] = {
                "quantity": quantity,
                "price": price,
                "stop_price": stop_price,
            }
            if trail is not None:
                changes["trail"] = trail
            with self._awaiting(order_id, _is_modify_answered) as news:
                self._require(desk.modify(order_id, **changes))
                await self._answer(state, news, answer_s)
            self._require(news.refusal or None)
        await self._durable()
        return self._shown(state)

    async def cancel(
        self, principal: Principal, order_id: str, *, answer_s: float = 5.0
    ) -> DeskOrder:
        """Take an order back, see `TradingDesk.cancel`."""
        state = self._seen(principal, Verb.REDUCE, order_id)
        if not state.is_closed:
            with self._awaiting(order_id, _is_cancel_answered) as news:
                self._require(self._engine.desk.cancel(order_id))
                await self._answer(state, news, answer_s)
            if not state.is_closed:
                self._require(news.refusal or None)
        await self._durable()
        return self._shown(state)

    async def cancel_all(
        self, principal: Principal, instrument: str | None = None, *, answer_s: float = 5.0
    ) -> list[DeskOrder]:
        """Take back every open order of the principal's view, see `TradingDesk.cancel_all`."""
        self._check(principal, Verb.REDUCE, instrument)
        states = [
            state
            for run in self._runs_of(principal)
            for state in self._engine.registry.open_orders(run, instrument)
            if self._sees(principal, Verb.REDUCE, state)
        ]
        for state in states:
            if not state.is_closed:  # one may have taken another with it
                self._engine.desk.cancel(state.order_id)
        await self._all_answered(states, _is_cancel_answered, answer_s)
        await self._durable()
        return [self._shown(state) for state in states]

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
        """Send one reduce-only order against a position, see `TradingDesk.close`."""
        self._check(principal, Verb.REDUCE, position.instrument)
        if (position.account, position.run) not in self._visible(principal):
            raise Forbidden(f"{principal.name} does not see run {position.run!r}")
        ledger = self._engine.ledger
        instrument = self._engine.instrument(position.instrument)
        held = ledger.holding(position.account, position.run, instrument, position.bucket).quantity
        known = None if key is None else self._engine.registry.by_key(position.run, key)
        if known is not None:  # the same again, whatever has become of it
            return await self._as_it_stands(known, answer_s)
        if not held:
            raise OrderError(f"nothing of {position.instrument} is held")
        whole = absolute(held)
        intent = OrderIntent(
            position.run,
            key or self.new_key(principal),
            position.instrument,
            Side.SELL if held > ZERO else Side.BUY,
            whole if quantity is None or quantity > whole else quantity,
            type=OrderType.MARKET if price is None else OrderType.LIMIT,
            price=price,
            reduce_only=True,
            bucket=position.bucket,
            cause_ns=self.clock.now_ns,
        )
        return await self._submitted(intent, answer_s, is_closing=True)

    async def reset_breakers(self, principal: Principal) -> None:
        """Let exits that were held back be tried again."""
        self._check(principal, Verb.ADMIN)
        for run in self._runs_of(principal):
            self._engine.desk.reset_exits(run)
        self._settle()
        await self._durable()

    async def preview(self, principal: Principal, intent: OrderIntent) -> Preview:
        """Return what would become of an intent now; nothing is reserved or counted."""
        self._check(principal, Verb.TRADE, intent.instrument)
        place = self._place(principal, intent.instrument)
        return self._foresight.preview(msgspec.structs.replace(intent, run=place.run), place)

    # -- events ------------------------------------------------------------------------------

    def listen(self, name: str, handlers: Handlers) -> Subscription:
        """Have `handlers` called with events once these are durable, in their order."""
        listener = Listener(self._engine, name, handlers)
        self._listeners = [one for one in self._listeners if not one.is_closed] + [listener]
        return listener

    def tell_alert(self, alert: AlertRaised) -> None:
        """Pass an alert on to those who listen."""
        for listener in self._listeners:
            listener.hear_alert(alert)

    # -- waiting -----------------------------------------------------------------------------

    async def _submitted(
        self, intent: OrderIntent, answer_s: float, *, is_closing: bool
    ) -> DeskOrder:
        state = self._engine.desk.submit(intent, is_closing=is_closing)
        return await self._as_it_stands(state, answer_s)

    async def _as_it_stands(self, state: OrderState, answer_s: float) -> DeskOrder:
        self._settle()
        if not _is_submit_answered(state):
            with self._awaiting(state.order_id, _is_submit_answered) as news:
                await self._answer(state, news, answer_s)
        await self._durable()
        return self._shown(state)

    @contextmanager
    def _awaiting(self, order_id: str, is_answered: Answered) -> Iterator[News]:
        news = News(is_answered)
        waiting = self._news.setdefault(order_id, [])
        waiting.append(news)
        try:
            yield news
        finally:
            waiting.remove(news)
            if not waiting:
                self._news.pop(order_id, None)

    async def _answer(self, state: OrderState, news: News, answer_s: float) -> None:
        """Wait until the venue has answered; where market time stands still it cannot."""
        self._settle()
        if news.is_answered(state) or news.refusal or self.is_paced:
            return
        news.future = asyncio.get_running_loop().create_future()
        with anyio.move_on_after(answer_s):
            await news.future

    async def _all_answered(
        self, states: Sequence[OrderState], is_answered: Answered, answer_s: float
    ) -> None:
        """Wait for the answers to requests about several orders, as long as for one."""
        self._settle()
        with anyio.move_on_after(answer_s):
            for state in states:
                with self._awaiting(state.order_id, is_answered) as news:
                    await self._answer(state, news, answer_s)

    async def _exits_changed(self, entry: OrderState, exits: Exits, answer_s: float) -> None:
        """Change an entry's exits and wait for the venue's word on those that rest.

        Raises:
            OrderError: it was refused, here or there; what was before holds again.
        """
        legs = self._legs(entry)
        with ExitStack() as stack:
            news = [
                stack.enter_context(self._awaiting(leg.order_id, _is_modify_answered))
                for leg in legs
            ]
            self._require(self._engine.desk.modify_exits(entry.order_id, exits))
            with anyio.move_on_after(answer_s):
                for leg, one in zip(legs, news, strict=True):
                    await self._answer(leg, one, answer_s)
        for one in news:
            self._require(one.refusal or None)

    def _legs(self, entry: OrderState) -> list[OrderState]:
        """Return the open exits of an entry."""
        registry = self._engine.registry
        return [
            order
            for order in registry.open_orders(entry.run, entry.intent.instrument)
            if order.parent == entry.order_id
        ]

    def _after_change(self, order: OrderState, fact: OrderFact | None) -> None:
        waiting = self._news.get(order.order_id)
        if waiting is None:
            return
        for news in waiting:
            if isinstance(fact, RequestRefused):
                news.refusal = fact.reason or "the venue refused"
            is_answered = news.refusal or news.is_answered(order)
            if is_answered and news.future is not None and not news.future.done():
                news.future.set_result(None)

    async def written(self) -> None:
        """Wait until all that was read so far survives a crash, see `TradingDesk.written`."""
        journal, outputs = self._engine.log, self._engine.outputs
        if outputs.held or journal.position > journal.durable_position:
            written = asyncio.get_running_loop().create_future()
            outputs.hold(lambda: None if written.done() else written.set_result(None))
            outputs.release()
            await written

    async def _durable(self) -> None:
        """Wait until all that was written down so far survives a crash.

        Raises:
            JournalError: it cannot be written.
        """
        await self.written()
        if self._engine.log.failure:
            raise JournalError(self._engine.log.failure)

    def _settle(self) -> None:
        """Let out what may leave; where a driver delivers, deliver what follows as well."""
        bus, outputs = self._engine.bus, self._engine.outputs
        outputs.release()
        if not bus.is_pumped:
            return
        while True:
            bus.deliver_all()
            before = len(outputs.pending)
            outputs.release()
            if not outputs.pending or len(outputs.pending) == before:
                return

    # -- access ------------------------------------------------------------------------------

    def _seen(self, principal: Principal, verb: Verb, order_id: str) -> OrderState:
        """Return an order that a principal may do this to.

        Raises:
            UnknownOrder: there is none, or it is somebody else's (T-06).
            Forbidden: it may see it, and no more.
        """
        if verb not in principal.verbs:
            raise Forbidden(f"the token of {principal.name} does not allow {verb.value}")
        state = self._engine.registry.find(order_id)
        if state is None or not self._sees(principal, verb, state):
            raise UnknownOrder(order_id)
        return state

    def _place(self, principal: Principal, instrument: str) -> Place:
        venue = venue_of(instrument)
        for place in principal.places:
            if place.venue == venue:
                return place
        raise Forbidden(f"{principal.name} has no account at venue {venue!r}")

    def _require(self, refusal: str | None) -> None:
        if refusal is not None:
            raise OrderError(refusal)


def _is_submit_answered(state: OrderState) -> bool:
    facts = state.facts
    return facts.status not in UNSENT or facts.submit_state is IN_DOUBT


def _is_cancel_answered(state: OrderState) -> bool:
    facts = state.facts
    return facts.is_closed or facts.cancel_state in (NONE, IN_DOUBT)


def _is_modify_answered(state: OrderState) -> bool:
    facts = state.facts
    return facts.is_closed or facts.modify_state in (NONE, IN_DOUBT)
