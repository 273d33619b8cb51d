"""Asks brokers for everything, at start, after each reconnect and every 30 s (R-34).

The period is market time, like everything that a venue's state is compared in; deadlines and the
waits between attempts are transport time. What is said goes to the bus as one `VenueState`; what it
led to comes back from `Reconciliation`.

    an account is ready       once a complete state has been applied and nothing in it waits for
                              another look; after three complete looks all the same, with an alert
    looks follow each other   after a second, or the visibility time where that is longer
    it is not ready           before that, and again from each `request` on (R-35)
    what happened just before the link was up is in no push, and in no answer before the
                              visibility time is over: only a look that was begun after that counts
    an incomplete state       is published for what it holds, and asked for again after 1, 2, 4, ...
                              at most 30 s (with jitter), until it is complete
    failures in a row         raise an alert at the third, and at each tenth
    a fill not told of        is looked for after the visibility time, at least a second, and not
                              only when the period is over
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import TypeVar

import anyio
import msgspec
import structlog

from framework.interfaces import Broker, Clock, Publish, VenueQueries
from framework.model.venue_state import (
    BalanceReport,
    ExecutionReport,
    OrderReport,
    PositionReport,
    VenueState,
)
from framework.orders.doubt import TellAlert
from framework.orders.reconcile import Findings, Reconciliation
from framework.runtime.inquiries import Alarm

log = structlog.get_logger()
P = TypeVar("P", OrderReport, ExecutionReport, PositionReport, BalanceReport)

PERIOD_S = 30.0
DEADLINE_S = 30.0
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
SOON_NS = 1_000_000_000
MOST_LOOKS = 3
TELL_AT = 3
TELL_EVERY = 10


class Watch:
    """One account's round: when to ask next, and how often it was asked in vain."""

    def __init__(self, alarm: Alarm) -> None:
        self.alarm = alarm
        self.is_ready = False
        self.is_requested = True
        self.failed_count = 0
        self.look_count = 0
        self.heard_since_ns = 0  # what happened before is in answers only, and these may lag behind
        self.next_ns = 0  # when the rest after a look is over; 0: there is none on
        self.findings: Findings | None = None
        self.answered = anyio.Event()


class Reconciling:
    """Keeps every account that can be asked reconciled.

    Attributes:
        on_ready: called with an account each time it has become ready.
    """

    def __init__(
        self,
        *,
        reconciliation: Reconciliation,
        brokers: Mapping[str, Broker],
        clock: Clock,
        publish: Publish,
        random: Random,
        alert: TellAlert,
        period_s: float = PERIOD_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.on_ready: Callable[[str], None] | None = None
        self._reconciliation = reconciliation
        self._clock = clock
        self._publish = publish
        self._random = random
        self._alert = alert
        self._period_ns = round(period_s * 1e9)
        self._deadline_s = deadline_s
        self._brokers = {
            account: broker
            for account, broker in brokers.items()
            if isinstance(broker, VenueQueries)
        }
        self._lag_ns = {
            account: broker.capabilities.visibility_delay_ms * 1_000_000
            for account, broker in brokers.items()
        }
        self._soon_ns = {account: max(SOON_NS, lag) for account, lag in self._lag_ns.items()}
        self._watches = {account: Watch(Alarm(clock)) for account in self._brokers}
        reconciliation.on_findings = self._on_findings
        reconciliation.on_unexplained = self._look_soon

    def is_ready(self, account: str) -> bool:
        """Tell whether an account's state is known; one that cannot be asked always is."""
        watch = self._watches.get(account)
        return watch is None or watch.is_ready

    def request(self, account: str) -> None:
        """Ask again at once, and let the account be ready only after that: the link was gone."""
        watch = self._watches.get(account)
        if watch is not None:
            watch.is_ready = False
            watch.is_requested = True
            watch.look_count = 0
            watch.heard_since_ns = self._clock.now_ns
            watch.alarm.ring()

    def hears(self, account: str) -> None:
        """Note that only from now on the venue pushes what happens to the account.

        One that is ready by then stays so, and is looked at once answers cannot lag behind this.
        """
        watch = self._watches.get(account)
        if watch is not None:
            watch.heard_since_ns = self._clock.now_ns
            self._look_soon(account)

    async def run(self) -> None:
        """Ask every account again and again until cancelled."""
        async with anyio.create_task_group() as tasks:
            for account in self._brokers:
                tasks.start_soon(self._serve, account)

    async def _serve(self, account: str) -> None:
        watch, lag_ns = self._watches[account], self._lag_ns[account]
        watch.heard_since_ns = self._clock.now_ns
        while True:
            watch.is_requested = False
            findings = await self._look(account, watch)
            if watch.is_requested:
                continue  # the link was gone meanwhile: what was said may be older than that
            if not findings.is_complete:
                await self._wait_to_retry(account, watch, findings)
                continue
            watch.failed_count = 0
            watch.look_count += 1
            if findings.is_settled or watch.look_count >= MOST_LOOKS:
                watch.look_count = 0
                certain_ns = watch.heard_since_ns + lag_ns
                is_certain = findings.asked_ns >= certain_ns
                if is_certain or watch.is_ready:
                    self._settle(account, watch, findings)
                now_ns = self._clock.now_ns
                await self._rest(watch, now_ns + self._period_ns if is_certain else certain_ns)
            else:
                await _wait(watch.alarm, self._soon_ns[account] / 1e9)

    async def _rest(self, watch: Watch, end_ns: int) -> None:
        """Wait until `end_ns`, or less: until `next_ns`, or a request."""
        watch.next_ns = end_ns
        while self._clock.now_ns < watch.next_ns and not watch.is_requested:
            await watch.alarm.wait_until(watch.next_ns)
        watch.next_ns = 0

    def _look_soon(self, account: str) -> None:
        """Look for the executions behind what an order's report counts: a push may be lost."""
        watch = self._watches.get(account)
        if watch is not None and watch.next_ns:
            watch.next_ns = min(watch.next_ns, self._clock.now_ns + self._soon_ns[account])
            watch.alarm.ring()

    async def _look(self, account: str, watch: Watch) -> Findings:
        """Ask for everything, publish it, and wait for what the core made of it."""
        state = await self._gather(account, self._brokers[account])
        watch.answered = anyio.Event()
        watch.findings = None
        self._publish(state)
        while True:
            findings = watch.findings
            if findings is not None and findings.asked_ns == state.asked_ns:
                return findings
            await watch.answered.wait()
            watch.answered = anyio.Event()

    async def _gather(self, account: str, broker: VenueQueries) -> VenueState:
        """Ask for orders, then executions, so that these are no older, then for what is held."""
        asked_ns = self._clock.now_ns
        since_ns = self._reconciliation.since_ns(account, asked_ns)
        failures: list[str] = []
        orders = await self._answer("orders", lambda: broker.open_orders(account), failures)
        executions = await self._answer(
            "executions", lambda: broker.executions(account, since_ns), failures
        )
        positions = await self._answer("positions", lambda: broker.positions(account), failures)
        balances = await self._answer("balances", lambda: broker.balances(account), failures)
        state = VenueState(
            account,
            asked_ns,
            self._clock.now_ns,
            since_ns,
            orders,
            executions,
            positions,
            balances,
        )
        strays = sum(
            part.account != account
            for answer in (orders, executions, positions, balances)
            for part in answer or ()
        )
        if strays:
            failures.append(f"{strays} answers are about another account")
        return msgspec.structs.replace(state, failures=tuple(failures))

    async def _answer(
        self, what: str, ask: Callable[[], Awaitable[Sequence[P]]], failures: list[str]
    ) -> tuple[P, ...] | None:
        try:
            with anyio.fail_after(self._deadline_s):
                return tuple(await ask())
        except Exception as error:  # whatever went wrong, it is not an empty answer
            failures.append(f"{what}: {type(error).__name__}: {error}".rstrip(": "))
            return None

    def _on_findings(self, findings: Findings) -> None:
        watch = self._watches.get(findings.account)
        if watch is not None:
            watch.findings = findings
            watch.answered.set()

    def _settle(self, account: str, watch: Watch, findings: Findings) -> None:
        if watch.is_ready:
            return
        if not findings.is_settled and findings.differences:  # else it only trades all the time
            what = f"account {account!r} differs from its venue in a new way at each look"
            self._alert("reconcile_unsettled", what, key=account)
        watch.is_ready = True
        log.info("account_ready", account=account)
        if self.on_ready is not None:
            self.on_ready(account)

    async def _wait_to_retry(self, account: str, watch: Watch, findings: Findings) -> None:
        watch.failed_count += 1
        count, failures = watch.failed_count, "; ".join(findings.failures)
        log.warning("reconcile_failed", account=account, count=count, failures=failures)
        if count == TELL_AT or count % TELL_EVERY == 0:
            what = f"account {account!r} could not be reconciled {count} times: {failures}"
            self._alert("reconcile_failing", what, key=account)
        longest_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(count - 1, 10))
        await _wait(watch.alarm, self._random.uniform(longest_s / 2, longest_s))


async def _wait(alarm: Alarm, seconds: float) -> None:
    """Wait in transport time; a ring ends it."""
    with anyio.move_on_after(seconds):
        await alarm.wait_until(2**63 - 1)
