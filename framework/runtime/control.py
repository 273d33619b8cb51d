"""What an operator asks, turned into calls on the core: one method per verb, no I/O.

Each acting request is recorded twice (T-05): when it is taken, and with what became of it. A
request that is taken again after a crash does no harm: an assignment carries the request's id, a
fact that is known already changes nothing, a run is closed once.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from framework.errors import FrameworkError, InvariantBroken, OrderError
from framework.interfaces import Clock
from framework.model.account import Position
from framework.model.decimals import ZERO
from framework.model.orders import Bucket, Order
from framework.model.records import OperatorAction
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, OrderFact, OrderFilled
from framework.model.runs import Run
from framework.runtime.operator_requests import (
    Adopt,
    Answer,
    Assign,
    CloseRun,
    Evidence,
    Kill,
    Reading,
    Release,
    Request,
    ResetBreaker,
    Resolve,
    ResumeRun,
    ShowOrders,
    ShowPositions,
    verb_of,
)

BY_OPERATOR = "operator"
MOST_ROWS = 10_000
LARGEST = Decimal(10) ** 15
MOST_DECIMALS = 12


class Assignment(msgspec.Struct, frozen=True):
    """A signed quantity that moves from one run to another; booked once per `assignment_id`."""

    assignment_id: str
    instrument: str
    quantity: Decimal
    from_run: str
    to_run: str
    price: Decimal
    bucket: Bucket


class Operations(Protocol):
    """What the core does for an operator, at once or not at all.

    Every method raises OrderError with a reason when it refuses. `by` names the person.
    """

    def kill(self, *, reason: str, by: str, flatten: bool) -> None:
        """Halt the gate, cancel working entries (with `flatten`: all, and close positions)."""

    def release(self, *, reason: str, by: str) -> None:
        """Take the operator's halt back; refused while the kill file exists."""

    def resolve(self, order_id: str, fact: OrderFact, *, by: str) -> None:
        """Apply a person's evidence about an order whose request is in doubt."""

    def assign(self, assignment: Assignment, *, by: str) -> None:
        """Book a `PositionAssigned`; known `assignment_id`s change nothing."""

    def adopt(self, venue_order_id: str, run: str, *, by: str) -> str:
        """Move an external order to a run; return its order id."""

    def close_run(self, run: str, *, assign_to_external: bool, by: str) -> None:
        """Close a run that has no open order and, unless that is assigned, no position."""

    def resume_run(self, run: str, *, by: str) -> None:
        """Let a paused run enter again."""

    def reset_breaker(self, order_id: str, *, by: str) -> None:
        """Let the exits of an entry be tried again."""

    def orders(self, *, is_all: bool) -> Sequence[Order]:
        """Return the open orders, or all in memory."""

    def positions(self) -> Sequence[Position]:
        """Return the positions that are not flat."""

    def runs(self) -> Sequence[Run]: ...


class Control:
    """Answers requests; call `handle` on the loop's thread, from inside no step."""

    def __init__(
        self, operations: Operations, clock: Clock, audit: Callable[[OperatorAction], None]
    ) -> None:
        self._operations = operations
        self._clock = clock
        self._audit = audit

    def handle(self, request: Request) -> Answer:
        """Do what is asked; a refusal is an answer. Raises only for a bug of ours."""
        ask = request.ask
        if isinstance(ask, Reading):
            return self._listed(request, ask)
        self._record(request, "")
        try:
            text = self._done(request)
        except InvariantBroken:
            raise
        except FrameworkError as error:
            reason = error.reason if isinstance(error, OrderError) else str(error)
            self._record(request, f"refused: {reason}")
            return Answer(request.id, is_done=False, text=reason)
        self._record(request, f"done: {text}")
        return Answer(request.id, is_done=True, text=text)

    def _record(self, request: Request, outcome: str) -> None:
        self._audit(
            OperatorAction(
                request_id=request.id,
                by=request.by,
                verb=verb_of(request.ask),
                request=msgspec.json.encode(request.ask).decode(),
                time_ns=self._clock.now_ns,
                outcome=outcome,
            )
        )

    def _done(self, request: Request) -> str:
        match request.ask:
            case Kill() as kill:
                return self._kill(kill, request.by)
            case Release(reason=reason):
                self._operations.release(reason=reason, by=request.by)
                return "released: orders may leave again"
            case Resolve() as resolve:
                return self._resolve(resolve, request.by)
            case Assign() as assign:
                return self._assign(assign, request)
            case Adopt(venue_order_id=venue_order_id, run=run):
                order_id = self._operations.adopt(venue_order_id, run, by=request.by)
                return f"order {order_id} belongs to run {run}"
            case CloseRun() as close:
                self._operations.close_run(
                    close.run, assign_to_external=close.assign_to_external, by=request.by
                )
                return f"run {close.run} is closed"
            case ResumeRun(run=run):
                self._operations.resume_run(run, by=request.by)
                return f"run {run} may enter again"
            case ResetBreaker(order_id=order_id):
                self._operations.reset_breaker(order_id, by=request.by)
                return f"the exits of {order_id} are tried again"
        raise InvariantBroken(f"no method for {verb_of(request.ask)}")

    def _kill(self, kill: Kill, by: str) -> str:
        self._operations.kill(reason=kill.reason, by=by, flatten=kill.flatten)
        done = "everything is cancelled and closed" if kill.flatten else "entries are cancelled"
        return f"halted: no new order leaves; {done} as the venues answer"

    def _resolve(self, resolve: Resolve, by: str) -> str:
        fact = fact_of(resolve, by, self._clock.now_ns)
        self._operations.resolve(resolve.order_id, fact, by=by)
        return f"order {resolve.order_id}: {resolve.evidence.value}, by the operator's evidence"

    def _assign(self, assign: Assign, request: Request) -> str:
        if not is_sensible(assign.quantity) or not assign.quantity:
            raise OrderError(f"the quantity is {assign.quantity}")
        if not is_sensible(assign.price):
            raise OrderError(f"the price is {assign.price}")
        if assign.from_run == assign.to_run:
            raise OrderError("both runs are the same")
        assignment = Assignment(
            assignment_id=request.id,
            instrument=assign.instrument,
            quantity=assign.quantity,
            from_run=assign.from_run,
            to_run=assign.to_run,
            price=assign.price,
            bucket=Bucket(assign.product, assign.position_id),
        )
        self._operations.assign(assignment, by=request.by)
        moved = f"{assign.quantity:f} {assign.instrument} at {assign.price:f}"
        return f"{moved} moved from {assign.from_run} to {assign.to_run}"

    def _listed(self, request: Request, ask: Reading) -> Answer:
        if isinstance(ask, ShowOrders):
            rows = [order_row(order) for order in self._operations.orders(is_all=ask.is_all)]
        elif isinstance(ask, ShowPositions):
            rows = [position_row(position) for position in self._operations.positions()]
        else:
            rows = [run_row(run) for run in self._operations.runs()]
        shown = tuple(rows[:MOST_ROWS])
        rest = len(rows) - len(shown)
        text = f"{rest} more are not shown" if rest else ""
        return Answer(request.id, is_done=True, text=text, rows=shown)


def fact_of(resolve: Resolve, by: str, time_ns: int) -> OrderFact:
    """Return the order fact that a person's evidence amounts to.

    Raises:
        OrderError: a fill lacks its quantity, price or execution id.
    """
    order_id, evidence = resolve.order_id, resolve.evidence
    if evidence is Evidence.FILLED:
        return _fill_of(resolve, time_ns)
    if (resolve.quantity, resolve.price, resolve.execution_id) != (None, None, ""):
        raise OrderError(f"quantity, price and execution id belong to filled, not {evidence.value}")
    if evidence is Evidence.ACCEPTED:
        return OrderAccepted(order_id, time_ns, resolve.venue_order_id)
    kind = EndKind.CANCELLED if evidence is Evidence.CANCELLED else EndKind.REJECTED
    reason = resolve.reason or f"resolved by {by}"
    return OrderEnded(order_id, kind, time_ns, reason, BY_OPERATOR)


def _fill_of(resolve: Resolve, time_ns: int) -> OrderFilled:
    quantity, price = resolve.quantity, resolve.price
    if quantity is None or price is None or not resolve.execution_id:
        raise OrderError("a fill needs its quantity, its price and the venue's execution id")
    if not (is_sensible(quantity) and quantity > ZERO and is_sensible(price)):
        raise OrderError(f"a fill of {quantity} at {price} is impossible")
    return OrderFilled(resolve.order_id, resolve.execution_id, quantity, price, time_ns)


def is_sensible(number: Decimal) -> bool:
    """Whether sums with it stay exact: a slip of the finger must not end the books."""
    if not number.is_finite() or abs(number) >= LARGEST:
        return False
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -MOST_DECIMALS


def order_row(order: Order) -> dict[str, str]:
    """Return one order as a line of a table."""
    doubts = [
        name
        for name, state in (
            ("submit", order.submit_state),
            ("cancel", order.cancel_state),
            ("modify", order.modify_state),
        )
        if state.value == "in_doubt"
    ]
    return {
        "order": order.order_id,
        "run": order.run,
        "instrument": order.instrument,
        "side": order.side.value,
        "type": order.type.value,
        "quantity": f"{order.quantity:f}",
        "filled": f"{order.filled:f}",
        "price": "" if order.price is None else f"{order.price:f}",
        "stop": "" if order.stop_price is None else f"{order.stop_price:f}",
        "status": order.status.value,
        "in_doubt": ", ".join(doubts),
        "venue_order": ", ".join(order.venue_order_ids),
        "reason": order.reason,
    }


def position_row(position: Position) -> dict[str, str]:
    """Return one position as a line of a table."""
    average = position.average_price
    bucket = position.bucket
    return {
        "account": position.account,
        "run": position.run,
        "instrument": position.instrument,
        "quantity": f"{position.quantity:f}",
        "average": "" if average is None else f"{average:f}",
        "realised": f"{position.realised:f}",
        "bucket": " ".join(part for part in (bucket.product, bucket.position_id) if part),
    }


def run_row(run: Run) -> dict[str, str]:
    """Return one run as a line of a table."""
    return {
        "run": run.id,
        "account": run.account,
        "execution": run.execution.value,
        "state": run.state.value,
        "session": str(run.session),
        "unbacked": "yes" if run.is_unbacked else "",
        "reason": run.reason,
    }
