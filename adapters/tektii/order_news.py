"""What is news of orders and trades, however it came: facts of ours, reports of others.

The newest state of an order wins. Fills are told by trades alone, each once by its id; where a
state counts more than were told, the order's trades are asked for, after a moment where the gateway
sends trade frames by itself. An end waits for the fills before it, and while a change has no answer
for what that says: a replaced order ends, and ours goes on.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from adapters.tektii import heard
from adapters.tektii.account_reads import AccountReads
from adapters.tektii.client import GatewayClient
from adapters.tektii.codec import past_ns
from adapters.tektii.heard import Status, word
from adapters.tektii.order_codec import ENDS, execution_report, fill_fact, filled_of
from adapters.tektii.protocol import NewestOrders
from adapters.tektii.sent_orders import Orders, SentOrder
from framework.errors import MalformedMessage, VenueError
from framework.interfaces import AdapterContext
from framework.model.reports import OrderAccepted, OrderEnded, OrderFact
from framework.model.venue_state import ExecutionReport

log = structlog.get_logger("tektii")

GRACE_S = 0.05  # for a trade frame, where the gateway sends any
FETCH_PAUSES_S = (0.2, 0.5, 1.0, 2.0)  # until a trade that an order counts can be read
OVERLAP_NS = 60_000_000_000  # trades asked for once more: clocks differ, answers lag

Start = Callable[[Coroutine[Any, Any, None]], None]
"""Lets work run until it ends, at most as long as the broker does."""


class OrderNews:
    """Tells what became of orders; `start` runs the questions that this takes."""

    def __init__(
        self,
        account: str,
        context: AdapterContext,
        client: GatewayClient,
        reads: AccountReads,
        orders: Orders,
        start: Start,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.has_trade_frames = False
        self._account = account
        self._context = context
        self._client = client
        self._reads = reads
        self._orders = orders
        self._start = start
        self._newest = NewestOrders()
        self._held_back: dict[str, list[heard.Order]] = {}  # ends that a change may explain
        self._fetching: dict[str, None] = {}  # orders whose trades are being asked for
        self._known_ns = 0  # trades before were asked for
        self._missing: Counter[str] = Counter()  # working orders that a list left out

    def forget_questions(self) -> None:
        """Every question that was on its way has been given up."""
        self._fetching.clear()

    def note(self, order: heard.Order) -> None:
        """Take a state that is told elsewhere, and see to its fills. Raises MalformedMessage."""
        self._newest.is_news(order)
        self._check_fills(order)

    def on_order(self, order: heard.Order) -> None:
        """Tell what is news in an order's state, however it came. Raises MalformedMessage."""
        venue_order_id = order.id
        if not venue_order_id:
            raise MalformedMessage("an order without an id")
        self._orders.learn(venue_order_id, order.client_order_id or "")
        before = self._newest.get(venue_order_id)
        if not self._newest.is_news(order):
            return
        self._missing.pop(venue_order_id, None)
        sent = self._sent_of(venue_order_id)
        if sent is None:
            self._context.publish(self._reads.report(order))
        elif self._orders.is_replaced(venue_order_id):
            pass  # its end is not that of ours, but what it filled is
        elif sent.changing and word(Status, order.status) is Status.CANCELLED:
            self._held_back.setdefault(sent.order_id, []).append(order)
        else:
            self._tell_state(sent, order)
            if before is not None and not sent.changing and _terms(before) != _terms(order):
                self._context.publish(self._reads.report(order))  # somebody else changed it
        self._check_fills(order)

    def _tell_state(self, sent: SentOrder, order: heard.Order) -> None:
        """Tell what became of an order of ours, its end only after its fills."""
        status, at_ns = word(Status, order.status), past_ns(order.updated_at, self._now_ns)
        venue_order_id = order.id or ""
        if status is not Status.REJECTED:
            self.accept(sent, venue_order_id, past_ns(order.created_at, self._now_ns))
        kind = ENDS.get(status)
        if kind is not None and sent.end is None:
            sent.end = OrderEnded(sent.order_id, kind, at_ns, order.reject_reason or "")
            self._tell_end(sent, venue_order_id)
        elif status is Status.FILLED:
            sent.is_over = True

    def _tell_end(self, sent: SentOrder, venue_order_id: str) -> None:
        """Tell an end that nothing is owed before."""
        order = self._newest.get(venue_order_id)
        is_owed = order is not None and filled_of(order) > self._orders.filled(venue_order_id)
        if sent.end is not None and not sent.is_over and not is_owed:
            sent.is_over = True
            self._tell(sent.end)

    def release(self, order_id: str) -> None:
        """Judge the ends that were held back while a change had no answer."""
        sent = self._orders.sent(order_id)
        if sent is None or sent.changing:
            return
        for order in self._held_back.pop(order_id, ()):
            if not self._orders.is_replaced(order.id or ""):
                self._tell_state(sent, order)

    def on_trade(self, trade: heard.Trade) -> None:
        """Tell a trade once; whose it is may have to be asked first. Raises MalformedMessage."""
        venue_order_id = trade.order_id or ""
        if self._orders.is_told(trade.id or ""):
            return
        if venue_order_id and self._orders.name(venue_order_id) is None:
            self._start(self._name_and_tell(trade))
        else:
            self._tell_trade(trade)

    async def _name_and_tell(self, trade: heard.Trade) -> None:
        try:
            order = await self._client.order(trade.order_id or "")
            if order is not None:
                self.on_order(order)
            else:
                self._orders.learn(trade.order_id or "", "")
            self._tell_trade(trade)
        except VenueError as error:  # the next look at trades brings it
            log.warning("trade_unnamed", venue=self._context.venue, error=str(error))

    def _tell_trade(self, trade: heard.Trade) -> None:
        now_ns, venue_order_id = self._now_ns, trade.order_id or ""
        sent = self._sent_of(venue_order_id)
        told: OrderFact | ExecutionReport
        if sent is not None:
            told = fill_fact(trade, sent.order_id, now_ns=now_ns)
        else:
            told = execution_report(
                trade,
                self._account,
                self._context.venue,
                order_id=self._orders.name(venue_order_id) or "",
                now_ns=now_ns,
            )
        if not self._orders.is_new_trade(told.execution_id):
            return
        self._orders.add_fill(venue_order_id, told.quantity)
        if sent is not None:
            self.accept(sent, venue_order_id, told.time_ns)
        self._context.publish(told)
        if sent is not None:
            self._tell_end(sent, venue_order_id)

    def _sent_of(self, venue_order_id: str) -> SentOrder | None:
        name = self._orders.name(venue_order_id)
        return self._orders.sent(name) if name else None

    def accept(self, sent: SentOrder, venue_order_id: str, time_ns: int) -> None:
        """Tell once that the gateway has an order of ours."""
        if not sent.is_accepted:
            sent.is_accepted = True
            self._tell(OrderAccepted(sent.order_id, time_ns, venue_order_id))

    # -- fills that are owed -----------------------------------------------------------------------

    def _check_fills(self, order: heard.Order) -> None:
        """Ask for an order's trades, if its state counts more than were told."""
        venue_order_id = order.id or ""
        is_owed = filled_of(order) > self._orders.filled(venue_order_id)
        if is_owed and venue_order_id not in self._fetching:
            self._fetching[venue_order_id] = None
            self._start(self._fetch(venue_order_id))

    async def _fetch(self, venue_order_id: str) -> None:
        """Tell an order's trades; what cannot be read yet is asked for again a few times."""
        try:
            if self.has_trade_frames:
                await rest(GRACE_S)
            for pause_s in (*FETCH_PAUSES_S, 0.0):
                if not self._owes(venue_order_id):
                    return
                if await self._fetch_once(venue_order_id):
                    return
                await rest(pause_s)
        finally:
            self._fetching.pop(venue_order_id, None)
        order = self._newest.get(venue_order_id)
        if order is not None and self._owes(venue_order_id):  # the core goes on looking
            self.counts["fills_not_found"] += 1
            self._context.publish(self._reads.report(order))  # its end is told by this as well
            sent = self._sent_of(venue_order_id)
            if sent is not None and sent.end is not None:
                sent.is_over = True

    async def _fetch_once(self, venue_order_id: str) -> bool:
        """Ask once; return whether nothing is owed any more."""
        self.counts["fetches"] += 1
        try:
            for trade in await self._reads.trades_of(venue_order_id):
                self._tell_trade(trade)
        except VenueError as error:
            log.warning("trades_not_read", venue=self._context.venue, error=str(error))
        return not self._owes(venue_order_id)

    def _owes(self, venue_order_id: str) -> bool:
        order = self._newest.get(venue_order_id)
        return order is not None and filled_of(order) > self._orders.filled(venue_order_id)

    async def look(self, venue_order_id: str) -> None:
        """Ask how an order stands."""
        try:
            order = await self._client.order(venue_order_id)
            if order is not None:
                self.on_order(order)
        except VenueError as error:  # the stream, or the next poll, tells
            log.warning("order_not_read", venue=self._context.venue, error=str(error))

    # -- catching up -------------------------------------------------------------------------------

    async def catch_up(self) -> None:
        """Ask for working orders and for trades since the last time, and tell what is news."""
        self.counts["catch_ups"] += 1
        asked_ns = self._now_ns
        since_ns = (self._known_ns or asked_ns) - OVERLAP_NS
        try:
            listed = await self._reads.open_orders()
            for trade in await self._reads.trades(since_ns):
                self.on_trade(trade)
            self._known_ns = asked_ns
            for order in listed:
                self.on_order(order)
            await self._look_for_missing([order.id or "" for order in listed])
        except VenueError as error:
            log.warning("catch_up_failed", venue=self._context.venue, error=str(error))

    async def _look_for_missing(self, listed: list[str]) -> None:
        """Ask about working orders of ours that two lists in a row leave out."""
        names = dict.fromkeys(listed)
        for sent in self._orders.working:
            name = sent.venue_order_id
            if not name or name in names:
                self._missing.pop(name, None)
                continue
            self._missing[name] += 1
            if self._missing[name] >= 2:
                await self.look(name)

    @property
    def _now_ns(self) -> int:
        return self._context.clock.now_ns

    def _tell(self, fact: OrderFact) -> None:
        self._context.publish(fact)


async def rest(seconds: float) -> None:
    """Wait in transport time."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(seconds, over.set_result, None)
    try:
        await over
    finally:
        timer.cancel()


def _terms(order: heard.Order) -> tuple[object, ...]:
    """Return what an order asks for, as far as it may change."""
    return order.quantity, order.limit_price, order.stop_price
