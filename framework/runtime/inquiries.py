"""Asks brokers about orders in doubt and publishes what they say; decides nothing.

What to ask when is said by `Doubts`, in market time, which a venue's visibility time is a part of;
how long to wait for an answer is transport time. A question that fails in any way is no answer.
"""

from collections.abc import Mapping, Sequence

import anyio
import structlog

from framework.errors import RateLimited, VenueError
from framework.interfaces import Broker, Clock, Publish, TimerHandle, VenueQueries
from framework.model.venue_state import (
    ExecutionReport,
    OrderNotFound,
    OrderReport,
    VenueReport,
    VenueState,
)
from framework.orders.doubt import NEVER_NS, Doubts, Inquiry

log = structlog.get_logger()

DEADLINE_S = 3.0


class WrongAnswer(VenueError):
    """A venue answered something else than it was asked."""


class Alarm:
    """Wakes one waiting task, by `ring` or at a market time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = anyio.Event()
        self._timer: TimerHandle | None = None

    def ring(self) -> None:
        """End the wait that is on, or the next one at once."""
        self._event.set()

    async def wait_until(self, time_ns: int) -> None:
        """Wait until somebody rings, at most until `time_ns`; clears what rang before."""
        if time_ns <= self._clock.now_ns:
            self.ring()
        elif time_ns < NEVER_NS:
            self._timer = self._clock.call_at(time_ns, self.ring)
        try:
            await self._event.wait()
        finally:
            self._event = anyio.Event()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None


class Inquiries:
    """Carries questions about orders to brokers, one at a time to each account.

    `deadline_s` is how long one question may take, in transport time.
    """

    def __init__(
        self,
        *,
        doubts: Doubts,
        brokers: Mapping[str, Broker],
        clock: Clock,
        publish: Publish,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.asked_count = 0
        self.failed_count = 0
        self._doubts = doubts
        self._brokers = brokers
        self._clock = clock
        self._publish = publish
        self._deadline_s = deadline_s
        self._alarm = Alarm(clock)
        doubts.on_due = self._alarm.ring

    async def run(self) -> None:
        """Ask whatever is due until cancelled."""
        doubts = self._doubts
        async with anyio.create_task_group() as tasks:
            while True:
                for fact in doubts.overdue(self._clock.now_ns):
                    self._publish(fact)
                for inquiry in doubts.due(self._clock.now_ns):
                    tasks.start_soon(self._ask, inquiry)
                await self._alarm.wait_until(doubts.next_ns)

    async def _ask(self, inquiry: Inquiry) -> None:
        """Ask once; whatever comes back but an answer counts as none."""
        self.asked_count += 1
        broker = self._brokers[inquiry.account]
        answers: Sequence[VenueReport] = ()
        is_answered, pause_ns = False, 0
        try:
            with anyio.fail_after(self._deadline_s):
                answers = await self._answers(broker, inquiry)
            is_answered = True
        except RateLimited as error:
            pause_ns = round(error.retry_after_s * 1e9)
            self._note_failure(inquiry, error)
        except Exception as error:  # an adapter's bug is no evidence either
            self._note_failure(inquiry, error)
        for answer in answers:
            self._publish(answer)
        self._doubts.asked(inquiry, self._clock.now_ns, is_answered=is_answered, pause_ns=pause_ns)
        self._alarm.ring()

    async def _answers(self, broker: Broker, inquiry: Inquiry) -> Sequence[VenueReport]:
        if not isinstance(broker, VenueQueries):
            raise WrongAnswer(f"the broker of account {inquiry.account!r} answers no questions")
        if inquiry.by_list:
            return [await self._list(broker, inquiry)]
        account, order_id = inquiry.account, inquiry.order_id
        report = await broker.order(account, order_id)
        if report is not None and (report.account, report.order_id) != (account, order_id):
            raise WrongAnswer(f"asked about order {order_id}, told of {report.order_id!r}")
        found: list[VenueReport] = []
        if inquiry.in_history:
            executions = await broker.executions(account, inquiry.since_ns)
            found += [one for one in executions if _is_about(one, order_id, report)]
        if report is not None:
            found.append(report)
        if not found:
            now_ns = self._clock.now_ns
            found.append(OrderNotFound(account, order_id, now_ns, inquiry.in_history))
        return found

    async def _list(self, broker: VenueQueries, inquiry: Inquiry) -> VenueState:
        asked_ns = self._clock.now_ns
        orders = await broker.open_orders(inquiry.account)
        executions = await broker.executions(inquiry.account, inquiry.since_ns)
        return VenueState(
            inquiry.account,
            asked_ns,
            self._clock.now_ns,
            inquiry.since_ns,
            tuple(orders),
            tuple(executions),
            failures=("positions and balances: not asked for",),
        )

    def _note_failure(self, inquiry: Inquiry, error: Exception) -> None:
        self.failed_count += 1
        log.warning(
            "inquiry_failed",
            account=inquiry.account,
            order_id=inquiry.order_id,
            error=str(error) or type(error).__name__,
        )


def _is_about(execution: ExecutionReport, order_id: str, report: OrderReport | None) -> bool:
    if execution.order_id:
        return execution.order_id == order_id
    return report is not None and execution.venue_order_id == report.venue_order_id != ""
