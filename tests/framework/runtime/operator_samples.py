"""A core that writes down what an operator asks of it, and requests to ask with."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from framework.errors import FrameworkError
from framework.model.account import Position
from framework.model.orders import Bucket, Order, OrderStatus, OrderType, RequestState, Side
from framework.model.reports import OrderFact
from framework.model.runs import Execution, Run
from framework.runtime.control import Assignment
from framework.runtime.operator_requests import Ask, Request

ORDER = Order(
    order_id="o1",
    run="cross",
    account="main",
    instrument="a:B",
    side=Side.BUY,
    type=OrderType.LIMIT,
    status=OrderStatus.SUBMITTED,
    quantity=Decimal("1.50"),
    filled=Decimal(0),
    average_price=None,
    time_ns=1,
    created_ns=1,
    key="k",
    price=Decimal(10),
    submit_state=RequestState.IN_DOUBT,
)
POSITION = Position(
    account="main",
    run="cross",
    instrument="a:B",
    quantity=Decimal(-2),
    cost=Decimal(-20),
    realised=Decimal("0.5"),
    time_ns=1,
    bucket=Bucket("margin", "7"),
)
RUN = Run(id="cross", account="main", execution=Execution.LIVE, session=3, is_unbacked=True)


class RecordingOperations:
    """Remembers every call; `failure` is raised by all that act."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failure = failure
        self.order_rows: Sequence[Order] = [ORDER]

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure

    def kill(self, *, reason: str, by: str, flatten: bool) -> None:
        self._note("kill", reason, by, flatten)

    def release(self, *, reason: str, by: str) -> None:
        self._note("release", reason, by)

    def resolve(self, order_id: str, fact: OrderFact, *, by: str) -> None:
        self._note("resolve", order_id, fact, by)

    def assign(self, assignment: Assignment, *, by: str) -> None:
        self._note("assign", assignment, by)

    def adopt(self, venue_order_id: str, run: str, *, by: str) -> str:
        self._note("adopt", venue_order_id, run, by)
        return "o9"

    def close_run(self, run: str, *, assign_to_external: bool, by: str) -> None:
        self._note("close_run", run, assign_to_external, by)

    def resume_run(self, run: str, *, by: str) -> None:
        self._note("resume_run", run, by)

    def reset_breaker(self, order_id: str, *, by: str) -> None:
        self._note("reset_breaker", order_id, by)

    def orders(self, *, is_all: bool) -> Sequence[Order]:
        self.calls.append(("orders", is_all))
        return self.order_rows

    def positions(self) -> Sequence[Position]:
        return [POSITION]

    def runs(self) -> Sequence[Run]:
        return [RUN]


class Refused(FrameworkError):
    """A refusal that is no OrderError."""


def request(ask: Ask, number: int = 1) -> Request:
    """What user ada asks for."""
    return Request(f"{number:020d}-{number:016x}", "1000 (ada)", number, ask)
