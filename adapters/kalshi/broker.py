"""Orders of one account at Kalshi: requests over REST, what happens to them by the stream.

Each order is written once, under our id as its client order id. What the stream tells of an order
that this process sent becomes facts, of any other order reports. Fills have no sequence numbers:
what the stream loses comes with `executions` when the core reconciles (B11).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from adapters.kalshi import order_words as words
from adapters.kalshi.account_reads import AccountReads
from adapters.kalshi.actions import Action, Deliver, Ended, Interrupted, Told
from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.complaints import Complaints
from adapters.kalshi.connection import KalshiConnection
from adapters.kalshi.messages import Fill, MarketLifecycle, UserOrder
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.rest_values import Amendment, OrderAnswer
from adapters.kalshi.sent_orders import SentOrder, SentOrders
from adapters.kalshi.settings import SILENCE_S, KalshiSettings
from adapters.kalshi.subscription import Parameters
from adapters.kalshi.verdicts import end_on_arrival, kind_of, verdict_on
from framework.errors import FrameworkError, NotSent, VenueError
from framework.interfaces import AdapterContext, BrokerCapabilities, TimerHandle
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder, VenueCommand
from framework.model.events import ConnectionState
from framework.model.identity import instrument_id, symbol_of
from framework.model.instrument import Instrument
from framework.model.orders import OrderType, TriggerBy
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderReplaced,
    RequestInDoubt,
    RequestRefused,
)
from framework.model.venue_state import (
    BalanceReport,
    ExecutionReport,
    OrderReport,
    PositionReport,
)
from framework.net.link import LinkOptions

LINK = "broker"
CHANNELS = ("user_orders", "fill", "market_lifecycle_v2")
VISIBILITY_MS = 3_000  # reads lag behind writes
NS_PER_MS = 1_000_000
RETRY_NS = 10_000_000_000  # before a subscription that the venue refused is tried again
LATELY_NS = 3_600_000_000_000
CAPABILITIES = BrokerCapabilities(
    order_types=frozenset({OrderType.MARKET, OrderType.LIMIT}),
    time_in_forces=frozenset(words.TIMES_IN_FORCE),
    trigger_bys=frozenset[TriggerBy](),
    visibility_delay_ms=VISIBILITY_MS,
    history_days=30,
)


class KalshiBroker:
    """Order entry, and the questions of `VenueQueries`, for the account of one key."""

    capabilities = CAPABILITIES

    def __init__(
        self,
        account: str,
        settings: KalshiSettings,
        context: AdapterContext,
        *,
        url: str | Callable[[], Awaitable[str]],
        key: KalshiKey | None,
        rest: KalshiRest,
        instrument: Callable[[str], Instrument | None],
    ) -> None:
        self._account = account
        self._context = context
        self._rest = rest
        self._instrument = instrument
        self._reads = AccountReads(account, context.venue, rest, context.clock)
        self._sent = SentOrders()
        self._complaints = Complaints(LINK, context)
        self._settling: TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_running = False
        self._connection = KalshiConnection(
            LINK,
            context,
            url,
            owner=self,
            key=key,
            options=LinkOptions(transport=settings.transport, silence_s=SILENCE_S),
        )

    # -- commands --------------------------------------------------------------------------------

    def send(self, command: VenueCommand) -> None:
        """Hand over one command; its answers come as facts."""
        if not self._is_running:
            self._tell_failure(command, NotSent("the broker does not run"))
        elif isinstance(command, SubmitOrder):
            if self._sent.begin(command):
                self._start(self._submit(command))
            else:  # no fact follows: it could only be taken for one about the order that left
                what = f"order {command.order_id} was given twice: it is not sent again"
                self._complaints.tell("send", what)
        elif isinstance(command, CancelOrder):
            self._start(self._cancel(command))
        else:
            self._start(self._modify(command))

    async def run(self) -> None:
        """Own the connection until cancelled."""
        self._is_running = True
        for channel in CHANNELS:
            self._connection.subscribe(channel, Parameters())
        try:
            await self._connection.run()
        finally:
            self._is_running = False
            if self._settling is not None:
                self._settling.cancel()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Close the connection with the venue's knowledge."""
        await self._connection.aclose()

    async def _submit(self, command: SubmitOrder) -> None:
        try:
            instrument = self._instrument(command.intent.instrument)
            if instrument is None:
                raise NotSent(f"{command.intent.instrument} is not listed")
            answer = await self._rest.create_order(words.new_order(command, instrument))
        except FrameworkError as error:
            self._tell_failure(command, error)
        else:
            kind, reason = end_on_arrival(command)
            is_over = answer.status == "canceled"
            if not is_over or kind is not EndKind.REJECTED:
                self._tell_accepted(answer.order_id, command.order_id, answer.time_ns)
            if is_over:
                self._tell_end(command.order_id, kind, reason)
        finally:
            self._sent.answered(command.order_id)

    async def _cancel(self, command: CancelOrder) -> None:
        try:
            venue_order_id = await self._venue_order_id(command.order_id)
            if not venue_order_id:
                self._tell_refused(command, "the venue has no such order")
                return
            answer = await self._rest.cancel_order(venue_order_id)
        except FrameworkError as error:
            self._tell_failure(command, error)
        else:
            if answer.reduced_by:
                self._tell_end(command.order_id, EndKind.CANCELLED, "cancelled as asked")
            else:
                self._tell_refused(command, "nothing was left of it")

    async def _modify(self, command: ModifyOrder) -> None:
        try:
            venue_order_id = await self._venue_order_id(command.order_id)
            sent = await self._known(command.order_id, venue_order_id)
            if sent is None:
                self._tell_refused(command, "the venue has no such order")
                return
            changed = sent.changed(command)
            answer = await self._rest.amend_order(
                venue_order_id,
                Amendment(
                    ticker=symbol_of(command.instrument),
                    is_bid=sent.is_bid,
                    count=words.count_of(changed.quantity),
                    price=words.price_of(changed.price),
                    client_order_id=command.order_id,
                    updated_client_order_id=command.order_id,
                ),
            )
        except FrameworkError as error:
            self._tell_failure(command, error)
        else:
            if command.order_id in self._sent:  # an earlier process's goes on to be reported
                self._sent.put(command.order_id, changed)
            self._tell_replaced(command, changed, answer)

    async def _venue_order_id(self, order_id: str) -> str:
        """Return the venue's id of an order of ours, "" if the venue has none."""
        await self._sent.wait(order_id)  # its answer brings the id
        known = self._sent.venue_order_id(order_id)
        if known:
            return known
        found = await self._reads.find(order_id)
        if found is None:
            return ""
        self._sent.know(order_id, found.order_id)
        return found.order_id

    async def _known(self, order_id: str, venue_order_id: str) -> SentOrder | None:
        """Return what an order asks for: by memory, or (an earlier process's) by the venue."""
        sent = self._sent.get(order_id)
        if sent is not None or not venue_order_id:
            return sent
        found = await self._reads.find(order_id, venue_order_id)
        return None if found is None else SentOrder.of_venue(found)

    # -- questions -------------------------------------------------------------------------------

    async def order(self, account: str, order_id: str) -> OrderReport | None:
        """Return the order that carries our id, or None."""
        self._require(account)
        return await self._reads.order(order_id, self._sent.venue_order_id(order_id))

    async def open_orders(self, account: str) -> Sequence[OrderReport]:
        """Return every resting order."""
        self._require(account)
        return await self._reads.open_orders()

    async def executions(self, account: str, since_ns: int) -> Sequence[ExecutionReport]:
        """Return every fill since then, oldest first; settlements are published on the way."""
        self._require(account)
        for settled in await self._reads.settlements(since_ns):
            self._context.publish(settled)
        return await self._reads.executions(since_ns)

    async def positions(self, account: str) -> Sequence[PositionReport]:
        """Return what is held."""
        self._require(account)
        return await self._reads.positions()

    async def balances(self, account: str) -> Sequence[BalanceReport]:
        """Return the account's dollars."""
        self._require(account)
        return await self._reads.balances()

    def _require(self, account: str) -> None:
        if account != self._account:
            raise VenueError(f"this key is of account {self._account!r}, not {account!r}")

    # -- what the connection tells ---------------------------------------------------------------

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        """Nothing: the link has published it, and the core reconciles."""

    def on_heartbeat(self) -> None:
        """Nothing: the link has noted it."""

    def on_action(self, action: Action) -> None:
        """Take orders, fills and settlements; say what goes wrong."""
        if isinstance(action, Deliver):
            message = action.frame.message
            if isinstance(message, UserOrder):
                self._on_order(message)
            elif isinstance(message, Fill):
                self._on_fill(message)
            elif isinstance(message, MarketLifecycle) and message.event_type == "settled":
                self._on_settled(message.market_ticker)
        elif isinstance(action, Ended) and action.error is not None:
            self._on_ended(action.subscription.channel, str(action.error))
        elif isinstance(action, Interrupted):
            self._complaints.tell("subscription interrupted", str(action.error))
        elif isinstance(action, Told):
            self._complaints.on_fault(action)

    def _on_ended(self, channel: str, reason: str) -> None:
        """Say that we do not hear of our orders, and try again; not from within the session."""
        self._complaints.tell(f"subscription {channel}", reason)

        def subscribe() -> None:
            if self._is_running:
                self._connection.subscribe(channel, Parameters())

        self._context.clock.call_at(self._now_ns + RETRY_NS, subscribe)

    def _on_order(self, order: UserOrder) -> None:
        order_id = order.client_order_id
        self._reads.remember(order.order_id, order_id)
        if order_id not in self._sent:
            report = words.order_report(order, self._account, self._context.venue, self._now_ns)
            self._context.publish(report)
            return
        kind = words.end_of(order) if order.status == "canceled" else None
        if kind is EndKind.REJECTED and self._sent.venue_order_id(order_id):
            kind = EndKind.CANCELLED  # it had been taken: what the venue refused is an amendment
        if kind is not EndKind.REJECTED:
            self._tell_accepted(order.order_id, order_id, order.created_ns)
        if order.status == "resting":  # an amendment of ours may have had no answer
            self._sent.put(order_id, SentOrder.of_venue(order))
        if kind is not None:
            self._tell_end(order_id, kind, order.last_update_reason)

    def _on_fill(self, fill: Fill) -> None:
        order_id = fill.client_order_id or self._sent.order_id(fill.order_id)
        order_id = order_id or self._reads.client_id(fill.order_id)
        if not self._sent.is_new_fill(fill.order_id, fill.trade_id):
            return
        if order_id in self._sent:
            self._context.publish(words.fill_fact(fill, order_id, self._now_ns))
        else:
            venue = self._context.venue
            report = words.execution_report(fill, self._account, venue, order_id, self._now_ns)
            self._context.publish(report)

    def _on_settled(self, market: str) -> None:
        """Ask what was paid, once reads show it; for a market that is none of ours never."""
        name = instrument_id(self._context.venue, market)
        if self._settling is None and self._instrument(name) is not None:
            due_ns = self._now_ns + VISIBILITY_MS * NS_PER_MS
            self._settling = self._context.clock.call_at(due_ns, self._ask_settlements)

    def _ask_settlements(self) -> None:
        self._settling = None
        self._start(self._tell_settlements())

    async def _tell_settlements(self) -> None:
        """Publish what was paid lately; the core books each settlement once."""
        try:
            for settled in await self._reads.settlements(self._now_ns - LATELY_NS):
                self._context.publish(settled)
        except FrameworkError as error:
            self._complaints.tell("settlements", str(error))

    # -- telling ---------------------------------------------------------------------------------

    @property
    def _now_ns(self) -> int:
        return self._context.clock.now_ns

    def _tell_accepted(self, venue_order_id: str, order_id: str, time_ns: int | None) -> None:
        self._reads.remember(venue_order_id, order_id)
        if self._sent.know(order_id, venue_order_id):
            at_ns = min(time_ns or self._now_ns, self._now_ns)
            self._context.publish(OrderAccepted(order_id, at_ns, venue_order_id))

    def _tell_end(self, order_id: str, kind: EndKind, reason: str) -> None:
        if self._sent.end(order_id):
            self._context.publish(OrderEnded(order_id, kind, self._now_ns, reason))

    def _tell_replaced(self, command: ModifyOrder, changed: SentOrder, answer: OrderAnswer) -> None:
        self._context.publish(
            OrderReplaced(
                command.order_id,
                command.revision,
                changed.quantity,
                self._now_ns,
                changed.price,
                venue_order_id=answer.order_id,
            )
        )

    def _tell_refused(self, command: VenueCommand, reason: str) -> None:
        kind = kind_of(command)
        self._context.publish(RequestRefused(command.order_id, kind, reason, self._now_ns))

    def _tell_failure(self, command: VenueCommand, error: FrameworkError) -> None:
        """Say what a failed request means: unknown is in doubt, never rejected."""
        verdict = verdict_on(error)
        if verdict.is_in_doubt:
            kind = kind_of(command)
            doubt = RequestInDoubt(command.order_id, kind, verdict.reason, self._now_ns)
            self._context.publish(doubt)
        elif isinstance(command, SubmitOrder):
            end, now_ns = EndKind.REJECTED, self._now_ns
            reason, evidence = verdict.reason, verdict.evidence
            self._context.publish(OrderEnded(command.order_id, end, now_ns, reason, evidence))
        else:
            self._tell_refused(command, verdict.reason)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
