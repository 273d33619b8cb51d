"""Orders of one account at a gateway: requests by REST, what happens to them by its stream.

Each order is written once, under our id as its `client_order_id`. What the stream tells of an order
that this process sent becomes facts, of any other order reports. Several platforms send no trade
frames, so that an order's fills are asked for as soon as its state counts more of them than were
told; trades are told once by their id, whichever way they came. An end waits for the fills before
it. What was missed in an outage, in a gap, or for no reason is found by asking: after each
connection, after a gap, and every `poll_s`.
"""

from collections.abc import Coroutine, Sequence
from typing import Any

import anyio
import msgspec
import structlog
from anyio.abc import TaskGroup

from adapters.tektii import heard
from adapters.tektii.account_reads import AccountReads
from adapters.tektii.codec import past_ns
from adapters.tektii.heard import Frame, FrameKind, OrderKind, Status, word
from adapters.tektii.order_codec import ENDS, KINDS, OVER, change_body, filled_of, order_body
from adapters.tektii.order_news import OrderNews, rest
from adapters.tektii.protocol import Gap, account_subscriptions
from adapters.tektii.sent_orders import Orders, SentOrder
from adapters.tektii.settings import TektiiSettings
from adapters.tektii.stream import Gateway, GatewayStream
from adapters.tektii.verdicts import is_refusal, refused, unsent, verdict_on
from framework.errors import FrameworkError, MalformedMessage, NotSent, VenueError
from framework.interfaces import AdapterContext, BrokerCapabilities
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder, VenueCommand
from framework.model.decimals import add
from framework.model.events import ErrorRaised
from framework.model.orders import OrderType, TimeInForce, TriggerBy
from framework.model.reports import (
    OrderEnded,
    OrderFact,
    OrderReplaced,
)
from framework.model.venue_state import (
    BalanceReport,
    ExecutionReport,
    OrderReport,
    PositionReport,
)

log = structlog.get_logger("tektii")

LINK = "broker"
FORCES = frozenset({TimeInForce.GTC, TimeInForce.DAY, TimeInForce.IOC, TimeInForce.FOK})
NO_SUCH_ORDER = "the gateway has no such order"


class TektiiBroker:
    """Order entry, and the questions of `VenueQueries`, for the account of one gateway."""

    def __init__(
        self,
        settings: TektiiSettings,
        context: AdapterContext,
        gateway: Gateway,
        reads: AccountReads,
        orders: Orders,
    ) -> None:
        self._settings = settings
        self._context = context
        self._gateway = gateway
        self._client = gateway.client
        self._reads = reads
        self._orders = orders
        self._news = OrderNews(
            settings.account, context, gateway.client, reads, orders, self._start
        )
        self._tasks: TaskGroup | None = None
        self._stream = GatewayStream(
            LINK,
            settings,
            context,
            gateway,
            owner=self,
            subscriptions=lambda: account_subscriptions(gateway.platform),
            is_broker=True,
        )

    @property
    def capabilities(self) -> BrokerCapabilities:
        """What the settings allow and the gateway lists; before it was asked, what they allow.

        Exits and groups are the core's: which of its platforms a gateway keeps them for, and how
        well, it does not tell. Orders that it makes itself are reported as those of others.
        """
        settings = self._settings
        return BrokerCapabilities(
            order_types=self._order_types(),
            time_in_forces=FORCES,
            trigger_bys=frozenset({TriggerBy(settings.stop_trigger)}),
            has_reduce_only=self._has("reduce_only"),
            has_post_only=self._has("post_only"),
            visibility_delay_ms=settings.visibility_ms,
            history_days=settings.history_days,
        )

    def _order_types(self) -> frozenset[OrderType]:
        allowed = frozenset(self._settings.order_types)
        listed = self._gateway.capabilities.supported_order_types
        if listed is None:
            return allowed
        return allowed & {KINDS[kind] for one in listed if (kind := word(OrderKind, one)) in KINDS}

    def _has(self, feature: str) -> bool:
        """Whether a feature is listed; a gateway that lists none at all has not been asked yet."""
        listed = self._gateway.capabilities.features
        return listed is None or feature in listed

    # -- commands --------------------------------------------------------------------------------

    def send(self, command: VenueCommand) -> None:
        """Hand over one command; its answers come as facts."""
        if self._tasks is None or not self._gateway.is_admitted:
            why = "the broker does not run" if self._tasks is None else "the gateway is not known"
            self._tell(unsent(command, why, self._now_ns))
        elif isinstance(command, SubmitOrder):
            sent = self._orders.begin(command.order_id)
            if sent is None:
                self._tell_given_twice(command.order_id)
            else:
                self._start(self._submit(command, sent))
        elif isinstance(command, CancelOrder):
            self._start(self._cancel(command))
        else:
            self._start(self._modify(command))

    async def run(self) -> None:
        """Own the connection until cancelled.

        Raises:
            AccessRefused: the key is refused.
            ConfigError: the platform may not be traded through.
        """
        self._gateway.upstream.has_broker = True
        failure: FrameworkError | None = None
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                if self._settings.poll_s:
                    tasks.start_soon(self._poll)
                try:
                    await self._stream.run()
                except FrameworkError as error:  # a group would wrap it
                    failure = error
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            self._news.forget_questions()
        if failure is not None:
            raise failure

    def statistics(self) -> dict[str, int]:
        """Return what was counted since the start."""
        return {**self._stream.statistics(), **self._news.counts}

    async def breakers(self) -> heard.Breakers:
        """Return how the gateway's circuit breakers stand (14). Raises VenueError."""
        return await self._client.breakers()

    async def reset_breakers(self) -> heard.Breakers:
        """Close them. Raises Conflict: that was done less than a minute ago; VenueError."""
        return await self._client.reset_breakers()

    async def _submit(self, command: SubmitOrder, sent: SentOrder) -> None:
        try:
            handle = await self._client.submit(self._body_of(command))
            if not handle.id:
                raise MalformedMessage("an answer that names no order")
            self._orders.learn(handle.id, command.order_id)
            status = word(Status, handle.status)
            if status is not Status.REJECTED:
                self._news.accept(sent, handle.id, self._now_ns)
            if status in OVER or status is Status.PARTIALLY_FILLED:
                self._start(self._news.look(handle.id))
        except FrameworkError as error:
            self._tell(verdict_on(command, error, self._now_ns))
        finally:
            sent.answered.set()

    def _tell_given_twice(self, order_id: str) -> None:
        """Say that an order was not sent again; by no fact: it would be about the one that left."""
        what = f"order {order_id} was given twice: it is not sent again"
        log.error("order_given_twice", venue=self._context.venue, order=order_id)
        self._context.publish(
            ErrorRaised(f"{self._context.venue} {LINK}", "send", what, self._now_ns)
        )

    def _body_of(self, command: SubmitOrder) -> bytes:
        """Return the body of an order. Raises NotSent: there are no words for it."""
        if command.intent.type not in self.capabilities.order_types:
            raise NotSent(f"the gateway has no {command.intent.type.value} orders")
        try:
            return order_body(command)
        except MalformedMessage as error:
            raise NotSent(str(error)) from error

    async def _cancel(self, command: CancelOrder) -> None:
        try:
            venue_order_id = await self._venue_order_id(command.order_id)
            if not venue_order_id:
                self._tell(refused(command, NO_SUCH_ORDER, self._now_ns))
                return
            await self._cancel_at_gateway(command, venue_order_id)
        except FrameworkError as error:
            self._tell(verdict_on(command, error, self._now_ns))

    async def _cancel_at_gateway(self, command: CancelOrder, venue_order_id: str) -> None:
        """Take an order back; what is over already is told as it is."""
        try:
            result = await self._client.cancel(venue_order_id)
        except FrameworkError as error:
            if not is_refusal(error):
                raise
            order = await self._client.order(venue_order_id)
            if order is None or word(Status, order.status) is not Status.CANCELLED:
                raise
        else:
            order = result.order
            if result.success is False:
                reason = f"not cancelled: {order.status if order is not None else 'no reason'}"
                self._tell(refused(command, reason, self._now_ns))
                return
        if order is None or not order.id:
            order = await self._client.order(venue_order_id)
        if order is not None:
            self._news.on_order(order)
            self._tell_end_of(command.order_id, order)

    def _tell_end_of(self, order_id: str, order: heard.Order) -> None:
        """Tell the end of an earlier process's order that was asked for, as its answer."""
        kind = ENDS.get(word(Status, order.status))
        if self._orders.sent(order_id) is None and kind is not None:
            at_ns = past_ns(order.updated_at, self._now_ns)
            self._tell(OrderEnded(order_id, kind, at_ns, "cancelled as asked"))

    async def _modify(self, command: ModifyOrder) -> None:
        order_id = command.order_id
        try:
            venue_order_id = await self._venue_order_id(order_id)
            if not venue_order_id:
                self._tell(refused(command, NO_SUCH_ORDER, self._now_ns))
                return
        except FrameworkError as error:
            self._tell(verdict_on(command, error, self._now_ns))
            return
        sent = self._orders.sent(order_id)
        if sent is not None:
            sent.changing += 1
        try:
            result = await self._client.change(venue_order_id, change_body(command))
            self._on_changed(command, venue_order_id, result)
        except FrameworkError as error:
            self._tell(verdict_on(command, error, self._now_ns))
            if sent is not None and not is_refusal(error) and not isinstance(error, NotSent):
                self._start(self._look_for_replacement(order_id, venue_order_id))
        finally:
            if sent is not None:
                sent.changing -= 1
            self._news.release(order_id)

    def _on_changed(
        self, command: ModifyOrder, venue_order_id: str, result: heard.ModifyResult
    ) -> None:
        """Tell the change as the gateway states it.

        A replacement (`previous_order_id`) that begins at nothing filled counts what the order it
        stands for had filled on top: its quantity is what it may still trade. Raises
        MalformedMessage.
        """
        order = result.order
        if order is None or not order.id or order.quantity is None:
            raise MalformedMessage("an answer that shows no order")
        quantity = order.quantity
        if order.id != venue_order_id:
            before = self._orders.filled(result.previous_order_id or venue_order_id)
            self._orders.replace(venue_order_id, order.id)
            quantity = quantity if filled_of(order) else add(quantity, before)
        self._tell(
            OrderReplaced(
                command.order_id,
                command.revision,
                quantity,
                past_ns(order.updated_at, self._now_ns),
                order.limit_price if order.limit_price is not None else command.price,
                order.stop_price if order.stop_price is not None else command.stop_price,
                order.id,
            )
        )
        self._news.note(order)

    async def _look_for_replacement(self, order_id: str, venue_order_id: str) -> None:
        """Learn under which id an order goes on after a change that had no answer."""
        try:
            found = await self._reads.find(order_id)
        except VenueError:
            return  # the core asks on
        if found is not None and found.id and found.id != venue_order_id:
            if word(Status, found.status) not in OVER:
                self._orders.replace(venue_order_id, found.id)
            self._news.on_order(found)

    async def _venue_order_id(self, order_id: str) -> str:
        """Return the gateway's id of an order, "" if it has none. Raises VenueError."""
        sent = self._orders.sent(order_id)
        if sent is not None:
            await sent.answered.wait()  # its answer brings the id
            if sent.venue_order_id:
                return sent.venue_order_id
        found = await self._reads.order(order_id)
        return "" if found is None else found.id or ""

    # -- questions -------------------------------------------------------------------------------

    async def order(self, account: str, order_id: str) -> OrderReport | None:
        """Return the order that carries our id, open or past, or None."""
        self._require(account)
        found = await self._reads.order(order_id)
        if found is None:
            return None
        named = msgspec.structs.replace(found, client_order_id=order_id)
        return self._reads.report(named)

    async def open_orders(self, account: str) -> Sequence[OrderReport]:
        """Return every order that works, whoever sent it."""
        self._require(account)
        return [self._reads.report(order) for order in await self._reads.open_orders()]

    async def executions(self, account: str, since_ns: int) -> Sequence[ExecutionReport]:
        """Return every trade since then, oldest first."""
        self._require(account)
        return await self._reads.executions(since_ns)

    async def positions(self, account: str) -> Sequence[PositionReport]:
        """Return what is held, of each instrument over all position ids."""
        self._require(account)
        return await self._reads.positions()

    async def balances(self, account: str) -> Sequence[BalanceReport]:
        """Return the cash of the account."""
        self._require(account)
        return await self._reads.balances()

    def _require(self, account: str) -> None:
        if account != self._settings.account:
            raise VenueError(
                f"this gateway trades account {self._settings.account!r}, not {account!r}"
            )
        if not self._gateway.is_admitted:
            raise VenueError("the gateway has not been asked yet what it trades")

    # -- the stream ------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Ask for what happened meanwhile; what the stream tells from now on is newer."""
        self._start(self._news.catch_up())

    def on_lost(self, reason: str) -> None:
        """Nothing: orders go on by REST, and the core doubts the account until it is back."""

    def on_gap(self, gap: Gap) -> None:
        """Ask for what is missing."""
        log.warning("stream_gap", venue=self._context.venue, expected=gap.expected)
        self._start(self._news.catch_up())

    def on_frame(self, frame: Frame) -> None:
        """Take orders and trades. Raises MalformedMessage."""
        kind = frame.kind
        if kind is FrameKind.ORDER and frame.order is not None:
            self._news.on_order(frame.order)
        elif kind is FrameKind.TRADE and frame.trade is not None:
            self._news.has_trade_frames = True
            self._news.on_trade(frame.trade)
        elif kind is FrameKind.CONNECTION and frame.event == "BROKER_RECONNECTED":
            self._start(self._news.catch_up())

    async def _poll(self) -> None:
        while True:
            await rest(self._settings.poll_s)
            if self._stream.is_open:
                await self._news.catch_up()

    # -- telling -----------------------------------------------------------------------------------

    @property
    def _now_ns(self) -> int:
        return self._context.clock.now_ns

    def _tell(self, fact: OrderFact) -> None:
        self._context.publish(fact)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self._tasks is None:
            work.close()
        else:
            self._tasks.start_soon(_guarded, work, self._context.venue)


async def _guarded(work: Coroutine[Any, Any, None], venue: str) -> None:
    """Let work end without taking the broker down: what a gateway says must not be able to."""
    try:
        await work
    except FrameworkError as error:
        log.warning("work_failed", venue=venue, error=str(error))
