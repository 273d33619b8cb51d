"""Doubt: which requests nobody knows the fate of, what to ask about them next, what answers mean.

No I/O and no clock: fed by order changes, answers and the time, it says what to ask when. A request
that was sent and has no answer for `answer_limit_s` is in doubt. Then, per order:

    asked first            at once
    asked again            after 0.5, 1, 2, 4, ... seconds, at most 10, and when the visibility
                           time after the first answer is over, then in history too
    a report               the facts that follow from it; what these leave open is asked again
    "no such order"        evidence after 3 answers over the visibility time (at least a second),
                           the last with a look at history and executions (R-22): then it ends as
                           REJECTED, evidence "not found"
    still as it was        3 answers over that time: the cancel or modify was not taken
    no answer              no evidence; the account's next question waits 0.5 to 1.5 s

An order that the venue had accepted does not end by "no such order": a person is told; but where
orders can only be listed, one that is listed no more and has all its executions is CANCELLED.
Questions to one account leave one at a time and at most `questions_per_s`. No second order is ever
made here.
"""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

import msgspec

from framework.interfaces import Broker, VenueQueries
from framework.model.commands import CancelOrder, SubmitOrder, VenueCommand
from framework.model.orders import RequestState
from framework.model.reports import (
    EndKind,
    OrderEnded,
    OrderFact,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)
from framework.model.venue_state import OrderNotFound
from framework.orders.order_state import OrderState

IN_DOUBT = RequestState.IN_DOUBT
SENT = RequestState.SENT
SECOND_NS = 1_000_000_000
FIRST_WAIT_NS = SECOND_NS // 2
LONGEST_WAIT_NS = 10 * SECOND_NS
SHORTEST_SPREAD_NS = SECOND_NS
LONGEST_PAUSE_NS = 3 * SECOND_NS // 2
HISTORY_SLACK_NS = 60 * SECOND_NS
NEEDED_ANSWERS = 3
NOT_FOUND = "not found"
NOT_TAKEN = "not taken: the venue goes on with the order as it was"
NEVER_NS = 2**63 - 1
AT_ONCE = 0  # a time that has come whatever the time is


class Access(msgspec.Struct, frozen=True):
    """What can be asked of an account's broker."""

    can_ask: bool
    has_client_ids: bool
    visibility_ns: int


class Inquiry(msgspec.Struct, frozen=True):
    """A question about one order; `in_history`: look through executions since `since_ns` as well.

    `by_list`: the broker knows no client ids, so everything is asked for and compared.
    """

    account: str
    order_id: str
    in_history: bool
    since_ns: int
    by_list: bool = False


class TellAlert(Protocol):
    """Tells a person: name and message of an alert, told apart from others by its key."""

    def __call__(self, name: str, message: str, *, key: str = "", level: str = "error") -> None: ...


class Doubt(msgspec.Struct):
    """What is known about one order in doubt; `is_wanted`: a look at it was asked for."""

    order: OrderState
    next_ns: int
    is_wanted: bool = False
    wait_ns: int = FIRST_WAIT_NS
    missing_count: int = 0
    first_missing_ns: int = 0
    same_count: int = 0
    first_same_ns: int = 0
    is_told: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing about the order is unknown any more."""
        facts = self.order.facts
        is_open = IN_DOUBT in (facts.submit_state, facts.cancel_state, facts.modify_state)
        return not is_open and (facts.is_closed or not self.is_wanted)


class Line(msgspec.Struct):
    """The questions to one account."""

    queue: list[tuple[int, int, str]] = []
    is_asking: bool = False
    free_ns: int = 0
    failed_count: int = 0


def access_of(broker: Broker) -> Access:
    """Return what can be asked of a broker."""
    capabilities = broker.capabilities
    return Access(
        isinstance(broker, VenueQueries),
        capabilities.has_client_ids,
        capabilities.visibility_delay_ms * 1_000_000,
    )


class Doubts:
    """Every request whose fate is unknown, by order.

    Attributes:
        on_due: called when something is to be asked earlier than was known before.
    """

    def __init__(
        self,
        *,
        access: Callable[[str], Access],
        find: Callable[[str], OrderState | None],
        alert: TellAlert,
        answer_limit_s: float = 5.0,
        questions_per_s: float = 10.0,
    ) -> None:
        self.on_due: Callable[[], None] | None = None
        self._access = access
        self._find = find
        self._alert = alert
        self._limit_ns = round(answer_limit_s * SECOND_NS)
        self._spacing_ns = round(SECOND_NS / questions_per_s)
        self._doubts: dict[str, Doubt] = {}
        self._lines: dict[str, Line] = {}
        self._unanswered: deque[tuple[int, VenueCommand]] = deque()
        self._number = 0

    def __len__(self) -> int:
        """Return how many orders are in doubt or to be looked at."""
        return len(self._doubts)

    def __contains__(self, order_id: str) -> bool:
        """Tell whether an order is in doubt or to be looked at."""
        return order_id in self._doubts

    @property
    def next_ns(self) -> int:
        """When `overdue` or `due` may have something, `NEVER_NS` if nothing is known."""
        first = self._unanswered[0][0] if self._unanswered else NEVER_NS
        for line in self._lines.values():
            if line.queue and not line.is_asking:
                first = min(first, max(line.queue[0][0], line.free_ns))
        return first

    # -- what happened -----------------------------------------------------------------------

    def note_sent(self, command: VenueCommand, now_ns: int) -> None:
        """Start to wait for the answer to a command that has just been handed over."""
        self._unanswered.append((now_ns + self._limit_ns, command))
        if len(self._unanswered) == 1 and self.on_due is not None:
            self.on_due()

    def after_change(self, order: OrderState, fact: OrderFact | None) -> None:
        """Hear of a change: new doubt opens a question, an answer may end one."""
        if isinstance(fact, RequestInDoubt):
            self._open(order)
        elif isinstance(fact, RequestRefused) and fact.reason != NOT_TAKEN:
            self.look_into(order)  # a cancel or modify is refused where an order is gone, too
        doubt = self._doubts.get(order.order_id)
        if doubt is not None and doubt.is_over:
            del self._doubts[order.order_id]

    def look_into(self, order: OrderState) -> None:
        """Ask about an order that is not in doubt, but not where it should be either (R-28)."""
        if not order.facts.is_closed:
            self._open(order).is_wanted = True

    def wake(self, account: str) -> None:
        """Ask at once whatever is open: the venue can be reached again."""
        line = self._line(account)
        line.failed_count = line.free_ns = 0
        for doubt in self._doubts.values():
            if doubt.order.account == account and doubt.next_ns != AT_ONCE:
                self._schedule(doubt, AT_ONCE)

    def found(self, order: OrderState, now_ns: int) -> list[OrderFact]:
        """Take it that the venue has told how an order stands, after the facts of that.

        Returns what follows for a request that the report still leaves in doubt.
        """
        doubt = self._doubts.get(order.order_id)
        if doubt is None:
            return []
        doubt.is_wanted = False
        doubt.missing_count = 0
        if doubt.is_over:
            del self._doubts[order.order_id]
            return []
        if not doubt.same_count:
            doubt.first_same_ns = now_ns
        doubt.same_count += 1
        certain_ns = doubt.first_same_ns + self._spread_ns(order)
        if doubt.same_count < NEEDED_ANSWERS or now_ns < certain_ns:
            self._ask_again(doubt, now_ns, certain_ns)
            return []
        self._ask_again(doubt, now_ns, now_ns)
        return _not_taken(order, now_ns)

    def not_found(self, answer: OrderNotFound, now_ns: int) -> list[OrderFact]:
        """Take the venue's word that it has no such order; return its end once that is evidence."""
        doubt = self._doubts.get(answer.order_id)
        if doubt is None:
            return []
        order = doubt.order
        if not doubt.missing_count:
            doubt.first_missing_ns = now_ns
        doubt.missing_count += 1
        doubt.same_count = 0
        certain_ns = doubt.first_missing_ns + self._spread_ns(order)
        is_certain = (
            doubt.missing_count >= NEEDED_ANSWERS and now_ns >= certain_ns and answer.in_history
        )
        self._ask_again(doubt, now_ns, certain_ns)
        if not is_certain:
            return []
        reason = f"the venue has no such order ({doubt.missing_count} answers)"
        if order.facts.submit_state is IN_DOUBT:
            return [OrderEnded(order.order_id, EndKind.REJECTED, now_ns, reason, NOT_FOUND)]
        if not self._access(order.account).has_client_ids:  # it is not asked for, but listed
            return [OrderEnded(order.order_id, EndKind.CANCELLED, now_ns, reason, NOT_FOUND)]
        self._tell_once(doubt, "order_lost", "the venue had this order and now says it never did")
        return []

    def in_conflict(self, order: OrderState, what: str) -> None:
        """Leave an order in doubt to a person: the answers fit it in more than one way (R-21)."""
        doubt = self._doubts.get(order.order_id)
        if doubt is not None:
            doubt.missing_count = 0
            self._tell_once(doubt, "order_ambiguous", what)

    def orders_of(self, account: str) -> list[OrderState]:
        """Return the orders of an account that are in doubt or to be looked at, oldest first."""
        return [doubt.order for doubt in self._doubts.values() if doubt.order.account == account]

    # -- what to do --------------------------------------------------------------------------

    def overdue(self, now_ns: int) -> list[OrderFact]:
        """Return the doubt of every request that has waited for its answer for too long."""
        found: list[OrderFact] = []
        while self._unanswered and self._unanswered[0][0] <= now_ns:
            _, command = self._unanswered.popleft()
            order = self._find(command.order_id)
            kind = None if order is None else _unanswered_kind(order, command)
            if kind is not None:
                reason = f"no answer for {self._limit_ns / SECOND_NS:g} s"
                found.append(RequestInDoubt(command.order_id, kind, reason, now_ns))
        return found

    def due(self, now_ns: int) -> list[Inquiry]:
        """Return what is to be asked now, at most one question to each account.

        Each is to be followed by `asked` before that account gets another.
        """
        found = []
        for account, line in self._lines.items():
            if line.is_asking or line.free_ns > now_ns:
                continue
            doubt = self._next(line, now_ns)
            if doubt is not None:
                line.is_asking = True
                line.free_ns = now_ns + self._spacing_ns
                found.append(self._inquiry(account, doubt, now_ns))
        return found

    def asked(self, inquiry: Inquiry, now_ns: int, *, is_answered: bool, pause_ns: int = 0) -> None:
        """Note that a question is over; without an answer it is asked again, after `pause_ns`."""
        line = self._line(inquiry.account)
        line.is_asking = False
        doubt = self._doubts.get(inquiry.order_id)
        if is_answered:
            line.failed_count = 0
            if doubt is not None and doubt.next_ns <= now_ns:  # the answer said nothing of it
                self._ask_again(doubt, now_ns, now_ns)
            return
        line.failed_count += 1
        wait_ns = min(LONGEST_PAUSE_NS, line.failed_count * FIRST_WAIT_NS)
        line.free_ns = now_ns + max(wait_ns, pause_ns)
        if doubt is not None:
            self._schedule(doubt, now_ns)

    def _open(self, order: OrderState) -> Doubt:
        doubt = self._doubts.get(order.order_id)
        if doubt is not None:
            return doubt
        doubt = self._doubts[order.order_id] = Doubt(order, AT_ONCE)
        if self._access(order.account).can_ask:
            self._schedule(doubt, AT_ONCE)
        else:
            self._tell_once(doubt, "doubt_unanswerable", "its venue cannot be asked about orders")
        return doubt

    def _next(self, line: Line, now_ns: int) -> Doubt | None:
        """Take the most urgent open question of an account that is due."""
        while line.queue and line.queue[0][0] <= now_ns:
            due_ns, _, order_id = heappop(line.queue)
            doubt = self._doubts.get(order_id)
            if doubt is not None and doubt.next_ns == due_ns:
                return doubt
        return None

    def _inquiry(self, account: str, doubt: Doubt, now_ns: int) -> Inquiry:
        order = doubt.order
        certain_ns = doubt.first_missing_ns + self._spread_ns(order)
        in_history = doubt.missing_count >= NEEDED_ANSWERS - 1 and now_ns >= certain_ns
        since_ns = order.created_ns - HISTORY_SLACK_NS
        by_list = not self._access(account).has_client_ids
        return Inquiry(account, order.order_id, in_history, since_ns, by_list)

    def _ask_again(self, doubt: Doubt, now_ns: int, certain_ns: int) -> None:
        due_ns = now_ns + doubt.wait_ns
        doubt.wait_ns = min(2 * doubt.wait_ns, LONGEST_WAIT_NS)
        if now_ns < certain_ns < due_ns:
            due_ns = certain_ns
        self._schedule(doubt, due_ns)

    def _schedule(self, doubt: Doubt, due_ns: int) -> None:
        doubt.next_ns = due_ns
        self._number += 1
        entry = (due_ns, self._number, doubt.order.order_id)
        heappush(self._line(doubt.order.account).queue, entry)
        if self.on_due is not None:
            self.on_due()

    def _line(self, account: str) -> Line:
        line = self._lines.get(account)
        if line is None:
            line = self._lines[account] = Line()
        return line

    def _spread_ns(self, order: OrderState) -> int:
        return max(self._access(order.account).visibility_ns, SHORTEST_SPREAD_NS)

    def _tell_once(self, doubt: Doubt, name: str, what: str) -> None:
        if not doubt.is_told:
            doubt.is_told = True
            order = doubt.order
            about = f"order {order.order_id} of run {order.run!r} on account {order.account!r}"
            self._alert(name, f"{about}: {what}", key=order.order_id)


def _unanswered_kind(order: OrderState, command: VenueCommand) -> RequestKind | None:
    """Return which request of an order still waits for the answer to `command`, if it does."""
    facts = order.facts
    if isinstance(command, SubmitOrder):
        return RequestKind.SUBMIT if facts.submit_state is SENT else None
    if isinstance(command, CancelOrder):
        return RequestKind.CANCEL if facts.cancel_state is SENT else None
    is_waiting = facts.modify_state is SENT and order.pending == command
    return RequestKind.MODIFY if is_waiting else None


def _not_taken(order: OrderState, now_ns: int) -> list[OrderFact]:
    facts = order.facts
    found: list[OrderFact] = []
    if facts.cancel_state is IN_DOUBT:
        found.append(RequestRefused(order.order_id, RequestKind.CANCEL, NOT_TAKEN, now_ns))
    if facts.modify_state is IN_DOUBT:
        found.append(RequestRefused(order.order_id, RequestKind.MODIFY, NOT_TAKEN, now_ns))
    return found
