"""Orders of one account at Kalshi: requests over REST, what happens to them by the stream.

Each order is written once, under our id as its client order id. What the stream tells of an order
that this process sent becomes facts, of any other order reports. Fills have no sequence numbers:
what the stream loses comes with `executions` when the core reconciles (B11).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from adapters.kalshi import order_words as words
from adapters.kalshi.account_reads import AccountReads
from adapters.kalshi.actions import Action, Deliver, Ended, Interrupted, Told
from adapters.kalshi.auth import KalshiKey
from adapters.kalshi.connection import KalshiConnection
from adapters.kalshi.messages import Fill, MarketLifecycle, UserOrder
from adapters.kalshi.rest import KalshiRest
from adapters.kalshi.rest_values import Amendment, OrderAnswer
from adapters.kalshi.sent_orders import SentOrder, SentOrders
from adapters.kalshi.settings import SILENCE_S, KalshiSettings
from adapters.kalshi.subscription import Parameters
from framework.errors import (
    Conflict,
    FrameworkError,
    MalformedMessage,
    NotSent,
    VenueError,
    VenueUnavailable,
)
from framework.interfaces import AdapterContext, BrokerCapabilities
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder, VenueCommand
from framework.model.events import ConnectionState, ErrorRaised
from framework.model.identity import symbol_of
from framework.model.instrument import Instrument
from framework.model.orders import OrderType, TriggerBy
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderReplaced,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)
from framework.model.venue_state import (
    BalanceReport,
    ExecutionReport,
    OrderReport,
    PositionReport,
)
from framework.net.link import LinkOptions

log = structlog.get_logger("kalshi")

LINK = "broker"
CHANNELS = ("user_orders", "fill", "market_lifecycle_v2")
CAPABILITIES = BrokerCapabilities(
    order_types=frozenset({OrderType.MARKET, OrderType.LIMIT}),
    time_in_forces=frozenset(words.TIMES_IN_FORCE),
    trigger_bys=frozenset[TriggerBy](),
    visibility_delay_ms=3_000,  # reads lag behind writes
    history_days=30,
)


class Verdict(NamedTuple):
    """What a failed request means."""

    is_in_doubt: bool
    reason: str
    evidence: str = "venue"


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
        instruments: Callable[[], Mapping[str, Instrument]],
    ) -> None:
        self._account = account
        self._context = context
        self._rest = rest
        self._instruments = instruments
        self._reads = AccountReads(account, context.venue, rest, context.clock)
        self._sent = SentOrders()
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
            self._sent.begin(command)
            self._start(self._submit(command))
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
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Close the connection with the venue's knowledge."""
        await self._connection.aclose()

    async def _submit(self, command: SubmitOrder) -> None:
        try:
            instrument = self._instruments()[command.intent.instrument]
            answer = await self._rest.create_order(words.new_order(command, instrument))
        except KeyError:
            self._tell_failure(command, NotSent(f"unknown: {command.intent.instrument}"))
        except FrameworkError as error:
            self._tell_failure(command, error)
        else:
            self._tell_accepted(answer.order_id, command.order_id, answer.time_ns)
            if answer.status == "canceled":  # nobody was there for one that cannot rest
                self._tell_end(command.order_id, EndKind.CANCELLED, "nothing to trade with")
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
                self._start(self._tell_settlements())
        elif isinstance(action, Ended) and action.error is not None:
            self._tell_error(f"subscription {action.subscription.channel}", str(action.error))
            self._connection.subscribe(action.subscription.channel, Parameters())
        elif isinstance(action, Interrupted):
            self._tell_error("subscription interrupted", str(action.error))
        elif isinstance(action, Told):
            self._tell_error(action.fault.value, action.text)

    def _on_order(self, order: UserOrder) -> None:
        order_id = order.client_order_id
        self._reads.remember(order.order_id, order_id)
        if order_id not in self._sent:
            report = words.order_report(order, self._account, self._context.venue, self._now_ns)
            self._context.publish(report)
            return
        self._tell_accepted(order.order_id, order_id, order.created_ns)
        if order.status == "canceled":
            self._tell_end(order_id, words.end_of(order), order.last_update_reason)

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

    async def _tell_settlements(self) -> None:
        """Publish what was paid lately; the core books each settlement once."""
        try:
            for settled in await self._reads.settlements(self._now_ns - 3_600 * words.NS_PER_S):
                self._context.publish(settled)
        except FrameworkError as error:
            self._tell_error("settlements", str(error))

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
        kind = _kind_of(command)
        self._context.publish(RequestRefused(command.order_id, kind, reason, self._now_ns))

    def _tell_failure(self, command: VenueCommand, error: FrameworkError) -> None:
        """Say what a failed request means: unknown is in doubt, never rejected."""
        verdict = verdict_on(error)
        if verdict.is_in_doubt:
            kind = _kind_of(command)
            doubt = RequestInDoubt(command.order_id, kind, verdict.reason, self._now_ns)
            self._context.publish(doubt)
        elif isinstance(command, SubmitOrder):
            end, now_ns = EndKind.REJECTED, self._now_ns
            reason, evidence = verdict.reason, verdict.evidence
            self._context.publish(OrderEnded(command.order_id, end, now_ns, reason, evidence))
        else:
            self._tell_refused(command, verdict.reason)

    def _tell_error(self, what: str, text: str) -> None:
        context = self._context
        log.warning("broker_error", venue=context.venue, what=what, reason=text)
        context.publish(ErrorRaised(f"{context.venue} broker", what, text, self._now_ns))

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def verdict_on(error: FrameworkError) -> Verdict:
    """Return what a failed request means for its order.

    A used client id (409) is no refusal of this order: it may be this very one (section 10.1). An
    answer that cannot be read says that the venue acted, not how.
    """
    if isinstance(error, NotSent):
        return Verdict(False, str(error), "core")
    if isinstance(error, Conflict) and error.code != "trading_is_paused":
        return Verdict(True, str(error))
    if isinstance(error, VenueUnavailable | MalformedMessage):
        return Verdict(True, str(error))
    return Verdict(False, str(error))


def _kind_of(command: VenueCommand) -> RequestKind:
    if isinstance(command, SubmitOrder):
        return RequestKind.SUBMIT
    return RequestKind.MODIFY if isinstance(command, ModifyOrder) else RequestKind.CANCEL
