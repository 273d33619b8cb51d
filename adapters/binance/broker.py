"""Orders of one account at Binance: requests over REST, what happens to them by the user stream.

Each order is written once, under our own id as its client id. What the stream tells of an order
that this process sent becomes facts, of any other order reports. A fill that the stream lost comes
with the answer to its order, or with `executions` after the connection is back; all three name it
by the same id.

The venue cannot change an order: its cancel-and-replace makes a new one under a new id, which a
fill in between would let trade more than was asked for. A change is refused; the core cancels and
sends anew.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

import anyio
import structlog
from anyio.abc import TaskGroup

from adapters.binance.account_client import AccountClient
from adapters.binance.positions import Holdings
from adapters.binance.reports import (
    UserAnswer,
    UserEvent,
    balances_of,
    decode_user_frame,
    facts_of_answer,
    facts_of_event,
    numbered,
    order_id_of,
    report_of_row,
    report_of_trade,
    reports_of_event,
)
from adapters.binance.requests import ORDER_TYPES, TIMES_IN_FORCE, flaw_of
from adapters.binance.sent_orders import SentOrders
from adapters.binance.settings import BinanceSettings
from adapters.binance.user_session import UserSession
from adapters.binance.wire_account import OrderEvent
from framework.errors import (
    MalformedMessage,
    NotSent,
    RateLimited,
    RequestRefusedByVenue,
    VenueError,
)
from framework.interfaces import AdapterContext, BrokerCapabilities
from framework.model.commands import CancelOrder, SubmitOrder, VenueCommand
from framework.model.events import ConnectionState, ErrorRaised
from framework.model.identity import symbol_of
from framework.model.orders import TriggerBy
from framework.model.reports import (
    EndKind,
    OrderEnded,
    OrderFact,
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
from framework.net.link import Endpoint, Link, LinkOptions

log = structlog.get_logger("binance")

LINK = "broker"
CAPABILITIES = BrokerCapabilities(
    order_types=ORDER_TYPES,
    time_in_forces=frozenset(TIMES_IN_FORCE),
    trigger_bys=frozenset({TriggerBy.LAST}),
    has_modify=False,
    has_reduce_only=False,
    visibility_delay_ms=1_000,
    history_days=90,  # an order that ended unfilled is archived after that
)
UNKNOWN_OUTCOME = ("-1006", "-1007")  # the venue does not know itself whether it acted
DUPLICATE = "Duplicate order sent."  # an order of ours with this id is there
CANNOT_CHANGE = "Binance cannot change an order: cancel it and send a new one"


class BinanceBroker:
    """Order entry, and the questions of `VenueQueries`, for the account of one key."""

    capabilities = CAPABILITIES

    def __init__(
        self,
        holdings: Holdings,
        settings: BinanceSettings,
        context: AdapterContext,
        account: AccountClient,
    ) -> None:
        self._holdings = holdings
        self._settings = settings
        self._context = context
        self._account = account
        self._sent = SentOrders()
        self._session = UserSession(
            lambda number: account.credentials.subscription(number, account.now_ms)
        )
        self._tasks: TaskGroup | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._counts: Counter[str] = Counter()
        self._link = Link(
            LINK,
            context,
            endpoint=self._endpoint,
            handler=self,
            options=LinkOptions(silence_s=None),  # the session finds silence out, by data
        )

    # -- commands --------------------------------------------------------------------------------

    def send(self, command: VenueCommand) -> None:
        """Hand over one command; its answers come as facts."""
        if self._tasks is None:
            self._tell([_unsent(command, "the broker does not run", self._now_ns)])
        elif isinstance(command, SubmitOrder):
            flaw = flaw_of(command)
            if flaw:
                self._tell([_unsent(command, flaw, self._now_ns)])
                return
            if self._sent.begin(command.order_id, symbol_of(command.intent.instrument)):
                self._tasks.start_soon(self._submit, command)
            else:
                self._tell_given_twice(command.order_id)
        elif isinstance(command, CancelOrder):
            self._tasks.start_soon(self._cancel, command)
        else:
            self._tell([_unsent(command, CANNOT_CHANGE, self._now_ns)])

    async def run(self) -> None:
        """Own the connection until cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                tasks.start_soon(self._link.run)
        finally:
            self._tasks = None
            self._end()

    def statistics(self) -> dict[str, int]:
        """Return what was counted since the start."""
        return {**self._link.statistics(), **self._counts}

    async def _submit(self, command: SubmitOrder) -> None:
        try:
            answer = await self._account.place(command)
            if answer.client_order_id != command.order_id:
                raise MalformedMessage(f"an answer about {answer.client_order_id!r}")
            self._tell(facts_of_answer(answer))
        except VenueError as error:
            self._tell([_outcome(command, error, self._now_ns)])
        finally:
            self._sent.end(command.order_id)

    async def _cancel(self, command: CancelOrder) -> None:
        await self._sent.answered(command.order_id)
        try:
            await self._account.cancel(command)
        except VenueError as error:
            self._tell([_outcome(command, error, self._now_ns)])
            return
        self._tell([OrderEnded(command.order_id, EndKind.CANCELLED, self._now_ns)])

    def _tell_given_twice(self, order_id: str) -> None:
        """Say that an order was not sent again; by no fact: it would be about the one that left."""
        what = f"order {order_id} was given twice: it is not sent again"
        log.error("order_given_twice", venue=self._context.venue, order=order_id)
        self._counts["given_twice"] += 1
        source = f"{self._context.venue} {LINK}"
        self._context.publish(ErrorRaised(source, "send", what, self._now_ns))

    def _tell(self, facts: Sequence[OrderFact]) -> None:
        for fact in self._sent.news(facts):
            self._context.publish(fact)

    # -- questions -------------------------------------------------------------------------------

    async def order(self, account: str, order_id: str) -> OrderReport | None:
        """Return the order that carries our id, or None: no symbol of ours has it."""
        self._check(account)
        for symbol in self._sent.symbols(order_id, self._holdings.symbols):
            row = await self._account.order(symbol, order_id)
            if row is not None:
                return report_of_row(row, account, self._context.venue)
        return None

    async def open_orders(self, account: str) -> Sequence[OrderReport]:
        """Return every working order of the account, in any symbol."""
        self._check(account)
        rows = await self._account.open_orders()
        return [report_of_row(row, account, self._context.venue) for row in rows]

    async def executions(self, account: str, since_ns: int) -> Sequence[ExecutionReport]:
        """Return every trade in the configured symbols since then, oldest first."""
        self._check(account)
        found: list[ExecutionReport] = []
        for symbol in self._holdings.symbols:
            for row in await self._account.trades(symbol, since_ns // 1_000_000):
                order_id = self._sent.order_id(numbered(row.symbol, row.order_id))
                found.append(report_of_trade(row, account, self._context.venue, order_id))
        return sorted(found, key=lambda execution: execution.time_ns)

    async def positions(self, account: str) -> Sequence[PositionReport]:
        """Return what is held of base assets that belong to one instrument alone."""
        return self._holdings.positions(await self._balances(account))

    async def balances(self, account: str) -> Sequence[BalanceReport]:
        """Return the balances of all other assets."""
        return self._holdings.balances(await self._balances(account))

    async def _balances(self, account: str) -> list[BalanceReport]:
        self._check(account)
        return balances_of(await self._account.balances(), account, self._now_ns)

    def _check(self, account: str) -> None:
        if account != self._settings.account:
            raise VenueError(f"this key is of account {self._settings.account!r}, not {account!r}")

    # -- the link --------------------------------------------------------------------------------

    async def _endpoint(self) -> Endpoint:
        try:
            await self._account.synchronise()
        except VenueError as error:  # the clocks were near enough before, or the venue will say so
            log.warning("time_not_known", venue=self._context.venue, error=str(error))
        return Endpoint(self._settings.api_url)

    def on_open(self) -> None:
        """Ask for the user stream."""
        self._link.send(self._session.opened(self._now_s))
        self._pump()

    def on_text(self, data: bytes | str) -> None:
        """Publish what happened to orders; take what concerns the session."""
        try:
            heard = decode_user_frame(data)
            if isinstance(heard, UserEvent) and heard.order is not None:
                self._on_order(heard.order)
        except MalformedMessage as error:
            self._counts["malformed"] += 1
            log.error("malformed_frame", venue=self._context.venue, error=str(error))
            return
        if isinstance(heard, UserAnswer):
            reason = self._session.answered(heard, self._now_s)
        else:
            reason = self._session.heard(heard)
        if reason:
            self._link.reconnect(reason)
        elif self._session.is_streaming:
            self._link.mark_streaming()
        if isinstance(heard, UserAnswer):
            self._pump()

    def on_binary(self, data: bytes) -> None:
        """Count it: this venue speaks text."""
        self._counts["unexpected"] += 1

    def on_ping(self, data: bytes) -> None:
        """Nothing: a ping is no data."""

    def on_lost(self, reason: str) -> None:
        """Forget the session; orders go on over REST."""
        self._end()

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        """Nothing: the link publishes its moves."""

    @property
    def _now_ns(self) -> int:
        return self._context.clock.now_ns

    @property
    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _on_order(self, event: OrderEvent) -> None:
        if order_id_of(event) in self._sent:
            self._tell(facts_of_event(event))
            return
        for report in reports_of_event(event, self._settings.account, self._context.venue):
            self._context.publish(report)

    def _pump(self) -> None:
        """Send the heartbeat when it is due, and set the alarm for what comes next."""
        if not self._link.is_open:
            return
        now_s = self._now_s
        if self._session.is_mute(now_s):
            self._link.reconnect("a request got no answer")
            return
        request = self._session.due(now_s)
        if request:
            self._link.send(request)
        if self._timer is not None:
            self._timer.cancel()
        due_s = self._session.next_due_s
        if due_s is not None:
            self._timer = asyncio.get_running_loop().call_at(due_s, self._pump)

    def _end(self) -> None:
        self._session.lost()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _kind(command: VenueCommand) -> RequestKind:
    if isinstance(command, SubmitOrder):
        return RequestKind.SUBMIT
    return RequestKind.CANCEL if isinstance(command, CancelOrder) else RequestKind.MODIFY


def _unsent(command: VenueCommand, reason: str, now_ns: int) -> OrderFact:
    """Return what holds of a command of which certainly nothing has left."""
    if isinstance(command, SubmitOrder):
        return OrderEnded(command.order_id, EndKind.REJECTED, now_ns, reason, "core")
    return RequestRefused(command.order_id, _kind(command), reason, now_ns)


def _outcome(command: SubmitOrder | CancelOrder, error: VenueError, now_ns: int) -> OrderFact:
    """Return what an error says of a command: refused, never sent, or not known."""
    if isinstance(error, NotSent):
        return _unsent(command, str(error), now_ns)
    is_refused = isinstance(error, RateLimited) or (
        isinstance(error, RequestRefusedByVenue)
        and error.code not in UNKNOWN_OUTCOME
        and error.text != DUPLICATE
    )
    reason = str(error)
    if not is_refused:
        return RequestInDoubt(command.order_id, _kind(command), reason, now_ns)
    if isinstance(command, SubmitOrder):
        return OrderEnded(command.order_id, EndKind.REJECTED, now_ns, reason)
    return RequestRefused(command.order_id, RequestKind.CANCEL, reason, now_ns)
