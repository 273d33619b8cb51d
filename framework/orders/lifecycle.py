"""An order's status as a function of the set of facts about it, whatever order they came in.

Every aggregate is commutative (a sum over executions by id, a maximum by rank, a flag that
only rises), so that any arrival order of the same reports gives the same end state (R-25).
Contradictions are booked like everything else and described in `anomalies`.

Status, the first line that holds:

    filled >= quantity, nothing more asked for      FILLED
    an end that holds                               CANCELLED, EXPIRED, REJECTED
    filled > 0                                      PARTIALLY_FILLED
    kept by the core and not released               HELD
    triggered                                       TRIGGERED
    accepted, replaced by the venue, or a fill
    (since busted)                                  ACCEPTED
    otherwise                                       INITIALISED, DENIED, HELD, SUBMITTED: its origin

More is asked for while a replacement by a larger quantity has no answer: the venue may have taken
it, and then the order goes on. An end holds unless it is a rejection that we only inferred
(evidence other than "venue") of an order that the venue accepted, triggered, replaced or filled.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from framework.model.decimals import ZERO, multiply, subtract
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
    RequestRefused,
)
from framework.orders import answers, executions
from framework.orders.answers import BY_VENUE
from framework.orders.executions import Execution

# Enum members as module constants: a look-up on the class costs more than the comparison.
DENIED = OrderStatus.DENIED
HELD = OrderStatus.HELD
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


class OrderFacts(msgspec.Struct, eq=False, gc=False):
    """Everything known about one order's life; changed only by `apply` and our own requests.

    `quantity`, `price` and `stop_price` are the current ones (the highest replacement holds);
    `notional` = Σ quantity × price over the executions, without the multiplier, and
    `average_price` = notional / filled, None while nothing is filled. `status` and
    `is_closed` are kept up to date by every change, like `submit_state`, `cancel_state` and
    `modify_state`: evidence (the venue had the order, or said no) ends doubt about a submit, an
    answer or the order's end that about the newest cancel and modify; doubt outranks waiting.
    `is_at_venue`: the venue triggered or replaced it, so it had it. `is_plain`: nothing came yet
    but, perhaps, the acceptance.
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
    is_at_venue: bool = False
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
    modify_quantity: Decimal | None = None
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

    def hold(self) -> None:
        """Record that the core keeps the order: nothing has been asked of a venue yet."""
        self.origin = self.status = HELD
        self.is_plain = False
        self.submit_request = self.submit_state = NONE

    def release(self) -> None:
        """Record that an order the core kept was decided to be sent."""
        self.origin = SUBMITTED
        self.submit_request = WAITING
        self.has_requests = True
        self.refresh()

    def request_cancel(self) -> None:
        """Record that a cancel was decided; an earlier one's answer no longer counts."""
        self.cancel_request = WAITING
        self.is_cancel_doubted = self.is_cancel_refused = False
        self.refresh_requests()

    def request_modify(self, revision: int, quantity: Decimal | None) -> None:
        """Record that replacement number `revision`, of this quantity if any, was decided."""
        self.modify_request = WAITING
        self.modify_revision = revision
        self.modify_quantity = quantity
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
            if isinstance(fact, OrderAccepted):
                if self.status is SUBMITTED:
                    self.status = ACCEPTED
                    self.is_accepted = self.has_evidence = True
                    self.submit_state = NONE
                    if fact.time_ns > self.updated_ns:
                        self.updated_ns = fact.time_ns
                    if fact.venue_order_id:
                        self.venue_order_ids = (fact.venue_order_id,)
                        self.venue_ids_ns[fact.venue_order_id] = fact.time_ns
                    return True
            elif isinstance(fact, OrderFilled) and fact.quantity == self.quantity:
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
                return True
        return self.apply_by_table(fact)

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
    if has_fills and filled >= facts.quantity and not _may_grow(facts):
        return FILLED
    end = facts.end
    if end is not None and (
        end.kind is not END_REJECTED
        or end.evidence == BY_VENUE
        or not (facts.executions or facts.is_accepted or facts.is_at_venue)
    ):
        kind = end.kind
        if kind is END_CANCELLED:
            return CANCELLED
        return EXPIRED if kind is END_EXPIRED else REJECTED
    if has_fills:
        return PARTIALLY_FILLED
    if facts.origin is HELD:
        return HELD
    if facts.is_triggered:
        return TRIGGERED
    if facts.is_accepted or facts.is_at_venue or facts.executions:
        return ACCEPTED
    return facts.origin


def _may_grow(facts: OrderFacts) -> bool:
    """Tell whether the venue may have taken a larger quantity than is filled."""
    wanted = facts.modify_quantity
    if wanted is None or wanted <= facts.filled or facts.is_modify_refused:
        return False
    replaced = facts.replaced
    is_answered = replaced is not None and replaced.revision >= facts.modify_revision
    return not is_answered and facts.end is None


def _is_end(status: OrderStatus) -> bool:
    return (
        status is FILLED
        or status is CANCELLED
        or status is DENIED
        or status is REJECTED
        or status is EXPIRED
    )


_APPLY: dict[type, Callable[..., bool]] = {
    OrderAccepted: answers.accept,
    OrderFilled: executions.fill,
    OrderTriggered: answers.trigger,
    OrderReplaced: answers.replace,
    OrderEnded: answers.end,
    RequestRefused: answers.refuse,
    RequestInDoubt: answers.doubt,
    FillCorrection: executions.correct,
}
