"""An order's status as a function of the set of facts about it, whatever order they came in.

Every aggregate here is commutative (a sum over executions by id, a maximum by rank, a flag that
only rises), so that any arrival order of the same reports gives the same end state (R-25).
Contradictions are booked like everything else and described in `anomalies`.

Status, the first line that holds:

    filled >= quantity                              FILLED
    an end that holds                               CANCELLED, EXPIRED, REJECTED
    filled > 0                                      PARTIALLY_FILLED
    triggered                                       TRIGGERED
    accepted, replaced, or a fill (since busted)    ACCEPTED
    otherwise                                       INITIALISED, DENIED, HELD, SUBMITTED: its origin

An end holds unless it is a rejection that we only inferred (evidence other than "venue") of an
order that the venue accepted, triggered, replaced or filled.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from framework.model.decimals import ZERO, add, divide, multiply, subtract
from framework.model.orders import OrderStatus, RequestState
from framework.model.reports import (
    EndKind,
    FillCorrection,
    OrderAccepted,
    OrderEnded,
    OrderFact,
    OrderFilled,
    OrderReplaced,
    OrderTriggered,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)

Execution = OrderFilled | FillCorrection
"""What holds for one execution id: the fill as reported, or the correction that overrode it."""

# Enum members as module constants: a look-up on the class costs more than the comparison.
DENIED = OrderStatus.DENIED
SUBMITTED = OrderStatus.SUBMITTED
ACCEPTED = OrderStatus.ACCEPTED
TRIGGERED = OrderStatus.TRIGGERED
PARTIALLY_FILLED = OrderStatus.PARTIALLY_FILLED
FILLED = OrderStatus.FILLED
CANCELLED = OrderStatus.CANCELLED
EXPIRED = OrderStatus.EXPIRED
REJECTED = OrderStatus.REJECTED
NONE = RequestState.NONE
WAITING = RequestState.WAITING
IN_DOUBT = RequestState.IN_DOUBT
END_CANCELLED = EndKind.CANCELLED
END_EXPIRED = EndKind.EXPIRED
END_REJECTED = EndKind.REJECTED
SUBMIT = RequestKind.SUBMIT
CANCEL = RequestKind.CANCEL
BY_VENUE = "venue"
NO_PRICE = Decimal("-Infinity")  # ranks below every price


class OrderFacts(msgspec.Struct, eq=False, gc=False):
    """Everything known about one order's life; changed only by `apply` and our own requests.

    `quantity`, `price` and `stop_price` are the current ones (the highest replacement holds);
    `notional` = Σ quantity × price over the executions, without the multiplier, and
    `average_price` = notional / filled, None while nothing is filled. `status` and
    `is_closed` are kept up to date by every change, like `submit_state`, `cancel_state` and
    `modify_state`: evidence (the venue had the order, or said no) ends doubt about a submit, an
    answer or the order's end that about the newest cancel and modify; doubt outranks waiting.
    `is_plain`: nothing came yet but, perhaps, the acceptance.
    """

    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    updated_ns: int
    origin: OrderStatus = SUBMITTED
    status: OrderStatus = SUBMITTED
    is_closed: bool = False
    is_accepted: bool = False
    is_triggered: bool = False
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    average_price: Decimal | None = None
    executions: dict[str, Execution] = {}
    end: OrderEnded | None = None
    refusal: str = ""
    replaced: OrderReplaced | None = None
    priced_by: OrderReplaced | None = None
    stop_priced_by: OrderReplaced | None = None
    venue_order_ids: tuple[str, ...] = ()
    venue_ids_ns: dict[str, int] = {}
    has_evidence: bool = False
    has_requests: bool = False
    is_plain: bool = True
    submit_state: RequestState = WAITING
    cancel_state: RequestState = NONE
    modify_state: RequestState = NONE
    submit_request: RequestState = WAITING
    is_submit_doubted: bool = False
    cancel_request: RequestState = NONE
    is_cancel_doubted: bool = False
    is_cancel_refused: bool = False
    modify_request: RequestState = NONE
    modify_revision: int = 0
    is_modify_doubted: bool = False
    is_modify_refused: bool = False
    anomalies: list[str] | None = None

    @property
    def remaining(self) -> Decimal:
        """What may still fill: zero once closed, never negative."""
        if self.is_closed or self.filled >= self.quantity:
            return ZERO
        return subtract(self.quantity, self.filled)

    @property
    def reason(self) -> str:
        """Why it was denied, or why it ended."""
        return self.refusal if self.end is None else self.end.reason

    def deny(self, reason: str) -> None:
        """Record that our own gate refused the order: it never leaves the process."""
        self.origin = DENIED
        self.is_plain = False
        self.submit_request = self.submit_state = NONE
        self.refusal = reason
        self.refresh()

    def request_cancel(self) -> None:
        """Record that a cancel was decided; an earlier one's answer no longer counts."""
        self.cancel_request = WAITING
        self.is_cancel_doubted = self.is_cancel_refused = False
        self.refresh_requests()

    def request_modify(self, revision: int) -> None:
        """Record that replacement number `revision` was decided."""
        self.modify_request = WAITING
        self.modify_revision = revision
        self.is_modify_doubted = self.is_modify_refused = False
        self.refresh_requests()

    def refresh_requests(self) -> None:
        """Derive the request states again; from now on with every change."""
        self.has_requests = True
        self.is_plain = False
        if self.has_evidence or self.origin is DENIED:
            self.submit_state = NONE
        else:
            self.submit_state = IN_DOUBT if self.is_submit_doubted else self.submit_request
        if self.is_closed or self.is_cancel_refused:
            self.cancel_state = NONE
        else:
            self.cancel_state = IN_DOUBT if self.is_cancel_doubted else self.cancel_request
        replaced = self.replaced
        is_answered = replaced is not None and replaced.revision >= self.modify_revision
        if self.is_closed or self.is_modify_refused or is_answered:
            self.modify_state = NONE
        else:
            self.modify_state = IN_DOUBT if self.is_modify_doubted else self.modify_request

    def refresh(self) -> None:
        """Derive the status again."""
        self.status = status_of(self)
        self.is_closed = _is_end(self.status)
        if self.has_requests:
            self.refresh_requests()

    def note(self, anomaly: str) -> None:
        """Keep the text of a contradiction until somebody takes it."""
        if self.anomalies is None:
            self.anomalies = []
        self.anomalies.append(anomaly)

    def take_anomalies(self) -> list[str]:
        """Return the contradictions noted since the last call."""
        anomalies, self.anomalies = self.anomalies or [], None
        return anomalies

    def apply(self, fact: OrderFact) -> bool:
        """Add one fact and tell whether it was news; never refuses.

        A fact that was known already changes nothing. The two facts of an ordinary order's life,
        its acceptance and one fill of all of it, take a short cut (0.20 and 0.43 µs instead of
        0.49 and 0.79), tested equal to the table.
        """
        if self.is_plain:
            if self.status is SUBMITTED and isinstance(fact, OrderAccepted):
                self._accept_at_once(fact)
                return True
            if isinstance(fact, OrderFilled) and fact.quantity == self.quantity:
                self._fill_at_once(fact)
                return True
        return self.apply_by_table(fact)

    def _accept_at_once(self, fact: OrderAccepted) -> None:
        self.status = ACCEPTED
        self.is_accepted = self.has_evidence = True
        self.submit_state = NONE
        if fact.time_ns > self.updated_ns:
            self.updated_ns = fact.time_ns
        if fact.venue_order_id:
            self.venue_order_ids = (fact.venue_order_id,)
            self.venue_ids_ns[fact.venue_order_id] = fact.time_ns

    def _fill_at_once(self, fact: OrderFilled) -> None:
        self.executions[fact.execution_id] = fact
        self.filled, self.average_price = fact.quantity, fact.price
        self.notional = multiply(fact.quantity, fact.price)
        self.status = FILLED
        self.is_closed = True
        self.is_plain = False
        if not self.has_evidence:
            self.has_evidence = True
            self.submit_state = NONE
        if fact.time_ns > self.updated_ns:
            self.updated_ns = fact.time_ns

    def apply_by_table(self, fact: OrderFact) -> bool:
        """Add one fact, whatever came before: the plain version of `apply`."""
        self.is_plain = False
        if fact.time_ns > self.updated_ns:  # also of old news: the latest time must not depend
            self.updated_ns = fact.time_ns  # on which of two facts came first
        if not _APPLY[fact.__class__](self, fact):
            return False
        self.refresh()
        return True


def status_of(facts: OrderFacts) -> OrderStatus:
    """Return the status that the facts add up to: the table in this module's docstring."""
    filled = facts.filled
    has_fills = filled is not ZERO and filled > ZERO
    if has_fills and filled >= facts.quantity:
        return FILLED
    end = facts.end
    if end is not None and (
        end.kind is not END_REJECTED
        or end.evidence == BY_VENUE
        or not (facts.executions or facts.is_triggered or facts.is_accepted or facts.replaced)
    ):
        kind = end.kind
        if kind is END_CANCELLED:
            return CANCELLED
        return EXPIRED if kind is END_EXPIRED else REJECTED
    if has_fills:
        return PARTIALLY_FILLED
    if facts.is_triggered:
        return TRIGGERED
    if facts.is_accepted or facts.replaced is not None or facts.executions:
        return ACCEPTED
    return facts.origin


def _is_end(status: OrderStatus) -> bool:
    return (
        status is FILLED
        or status is CANCELLED
        or status is DENIED
        or status is REJECTED
        or status is EXPIRED
    )


def _accept(facts: OrderFacts, fact: OrderAccepted) -> bool:
    is_news = not facts.is_accepted
    if is_news and facts.is_closed and facts.status is not FILLED:
        facts.note(f"accepted after it was {facts.status.value}")
    facts.is_accepted = facts.has_evidence = True
    facts.submit_state = NONE
    if fact.venue_order_id and _name(facts, fact.venue_order_id, fact.time_ns):
        return True
    return is_news


def _fill(facts: OrderFacts, fact: OrderFilled) -> bool:
    known = facts.executions.get(fact.execution_id)
    if known is not None:
        return _repeat(facts, known, fact)
    if facts.is_closed:
        facts.note(f"fill {fact.execution_id} of {fact.quantity} after it was {facts.status.value}")
    facts.has_evidence = True
    facts.submit_state = NONE
    facts.executions[fact.execution_id] = fact
    notional = multiply(fact.quantity, fact.price)
    facts.notional = add(facts.notional, notional)
    facts.filled = add(facts.filled, fact.quantity)
    _average(facts)
    if facts.filled > facts.quantity:
        facts.note(f"filled {facts.filled} of {facts.quantity}: more than was ordered")
    return True


def _average(facts: OrderFacts) -> None:
    if not facts.filled:
        facts.average_price = None
    elif len(facts.executions) == 1:
        facts.average_price = next(iter(facts.executions.values())).price
    else:
        facts.average_price = divide(facts.notional, facts.filled)


def _correct(facts: OrderFacts, fact: FillCorrection) -> bool:
    known = facts.executions.get(fact.execution_id)
    if known is not None:
        return _repeat(facts, known, fact)
    _replace_execution(facts, None, fact)
    return True


def _repeat(facts: OrderFacts, known: Execution, fact: Execution) -> bool:
    """Let the higher-ranked of two statements about one execution hold."""
    if known == fact:
        return False
    if known.__class__ is fact.__class__ is OrderFilled:
        facts.note(f"fill {fact.execution_id} was repeated with other content")
    if _execution_rank(fact) <= _execution_rank(known):
        return False
    _replace_execution(facts, known, fact)
    return True


def _replace_execution(facts: OrderFacts, known: Execution | None, fact: Execution) -> None:
    was_filled = facts.status is FILLED
    facts.has_evidence = True
    facts.submit_state = NONE
    facts.executions[fact.execution_id] = fact
    if known is not None:
        facts.notional = subtract(facts.notional, multiply(known.quantity, known.price))
        facts.filled = subtract(facts.filled, known.quantity)
    facts.notional = add(facts.notional, multiply(fact.quantity, fact.price))
    facts.filled = add(facts.filled, fact.quantity)
    _average(facts)
    if facts.filled > facts.quantity:
        facts.note(f"filled {facts.filled} of {facts.quantity}: more than was ordered")
    elif was_filled and facts.filled < facts.quantity:
        facts.note(f"correction of {fact.execution_id} reopens a filled order")


def _execution_rank(fact: Execution) -> tuple[bool, Decimal | int, Decimal | int, Decimal, str]:
    """Order statements about one execution: a correction outranks a report, then the latest.

    Among plain reports the larger quantity holds, so that only a correction lowers what is
    filled (R-36).
    """
    if isinstance(fact, FillCorrection):
        rest = f"{fact.fees}{fact.reason}"
        return (True, fact.time_ns, fact.quantity, fact.price, rest)
    rest = f"{fact.fees}{fact.liquidity}"
    return (False, fact.quantity, fact.time_ns, fact.price, rest)


def _trigger(facts: OrderFacts, _fact: OrderTriggered) -> bool:
    is_news = not facts.is_triggered
    facts.is_triggered = facts.has_evidence = True
    facts.submit_state = NONE
    return is_news


def _replace(facts: OrderFacts, fact: OrderReplaced) -> bool:
    if facts.is_closed and facts.status is not FILLED:
        facts.note(f"replaced after it was {facts.status.value}")
    is_news = False
    facts.has_evidence = True
    facts.submit_state = NONE
    if _is_newer(fact, facts.replaced):
        facts.replaced, facts.quantity, is_news = fact, fact.quantity, True
    if fact.price is not None and _is_newer(fact, facts.priced_by):
        facts.priced_by, facts.price, is_news = fact, fact.price, True
    if fact.stop_price is not None and _is_newer(fact, facts.stop_priced_by):
        facts.stop_priced_by, facts.stop_price, is_news = fact, fact.stop_price, True
    if fact.venue_order_id:
        is_news = _name(facts, fact.venue_order_id, fact.time_ns) or is_news
    if is_news and facts.filled > facts.quantity:
        facts.note(f"filled {facts.filled} of {facts.quantity}: more than was ordered")
    return is_news


def _is_newer(fact: OrderReplaced, known: OrderReplaced | None) -> bool:
    return known is None or _revision_rank(fact) > _revision_rank(known)


def _revision_rank(fact: OrderReplaced) -> tuple[int, int, Decimal, Decimal, Decimal, str]:
    """Order replacements; every field counts, so that no two different ones are equal."""
    price, stop = fact.price, fact.stop_price
    return (
        fact.revision,
        fact.time_ns,
        fact.quantity,
        NO_PRICE if price is None else price,
        NO_PRICE if stop is None else stop,
        fact.venue_order_id,
    )


def _end(facts: OrderFacts, fact: OrderEnded) -> bool:
    known = facts.end
    if known == fact:
        return False
    if known is not None and known.kind is not fact.kind:
        facts.note(f"ended as {known.kind.value} and as {fact.kind.value}")
    elif fact.kind is END_REJECTED and (facts.is_accepted or facts.filled > ZERO):
        facts.note("rejected although it had been accepted or filled")
    if known is not None and _end_rank(fact) <= _end_rank(known):
        return False
    facts.end = fact
    facts.has_evidence = True
    facts.submit_state = NONE
    return True


def _end_rank(fact: OrderEnded) -> tuple[bool, int, int, str, str]:
    """Order ends: the venue's word first, then the kind that concedes most, then the earliest."""
    weight = 2 if fact.kind is END_CANCELLED else 1 if fact.kind is END_EXPIRED else 0
    return (fact.evidence == BY_VENUE, weight, -fact.time_ns, fact.reason, fact.evidence)


def _refuse(facts: OrderFacts, fact: RequestRefused) -> bool:
    facts.has_requests = True
    if fact.request is SUBMIT:  # a refused submit is a rejection, whatever the venue calls it
        return _end(facts, OrderEnded(fact.order_id, END_REJECTED, fact.time_ns, fact.reason))
    if fact.request is CANCEL:
        is_news, facts.is_cancel_refused = not facts.is_cancel_refused, True
    else:
        is_news, facts.is_modify_refused = not facts.is_modify_refused, True
    return is_news


def _doubt(facts: OrderFacts, fact: RequestInDoubt) -> bool:
    facts.has_requests = True
    if fact.request is SUBMIT:
        is_news, facts.is_submit_doubted = not facts.is_submit_doubted, True
    elif fact.request is CANCEL:
        is_news, facts.is_cancel_doubted = not facts.is_cancel_doubted, True
    else:
        is_news, facts.is_modify_doubted = not facts.is_modify_doubted, True
    return is_news


def _name(facts: OrderFacts, venue_order_id: str, time_ns: int) -> bool:
    """Keep the venue's ids of this order, the earliest first; tell whether they changed."""
    times, before = facts.venue_ids_ns, facts.venue_order_ids
    known_ns = times.get(venue_order_id)
    if known_ns is not None and known_ns <= time_ns:
        return False
    times[venue_order_id] = time_ns
    if len(times) == 1:
        facts.venue_order_ids = (venue_order_id,)
        return known_ns is None
    facts.venue_order_ids = tuple(sorted(times, key=lambda name: (times[name], name)))
    return facts.venue_order_ids != before


_APPLY: dict[type, Callable[..., bool]] = {
    OrderAccepted: _accept,
    OrderFilled: _fill,
    OrderTriggered: _trigger,
    OrderReplaced: _replace,
    OrderEnded: _end,
    RequestRefused: _refuse,
    RequestInDoubt: _doubt,
    FillCorrection: _correct,
}
