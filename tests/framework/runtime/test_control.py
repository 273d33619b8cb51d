"""What an operator asks reaches the core as one call, is recorded (T-05), and is answered."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from framework.errors import InvariantBroken, OrderError
from framework.model.orders import NO_BUCKET, Bucket
from framework.model.records import OperatorAction
from framework.model.reports import EndKind, OrderAccepted, OrderEnded, OrderFilled
from framework.runtime import control as control_module
from framework.runtime.control import Assignment, Control
from framework.runtime.operator_requests import (
    Adopt,
    Answer,
    Ask,
    Assign,
    CloseRun,
    Evidence,
    Kill,
    Release,
    ResetBreaker,
    Resolve,
    ResumeRun,
    ShowOrders,
    ShowPositions,
    ShowRuns,
)
from tests.fakes import ManualClock
from tests.framework.runtime.operator_samples import RecordingOperations, Refused, request

BY = "1000 (ada)"
NOW_NS = 77


class World:
    """A control over a recording core."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.operations = RecordingOperations(failure)
        self.audit: list[OperatorAction] = []
        self.control = Control(self.operations, ManualClock(NOW_NS), self.audit.append)

    def ask(self, ask: Ask) -> Answer:
        return self.control.handle(request(ask))

    @property
    def call(self) -> tuple[Any, ...]:
        (call,) = self.operations.calls
        return call


def assign(**changes: Any) -> Assign:
    values: dict[str, Any] = {
        "instrument": "a:B",
        "quantity": Decimal(-5),
        "from_run": "external",
        "to_run": "cross",
        "price": Decimal(3),
    }
    return Assign(**values | changes)


@pytest.mark.parametrize(
    ("ask", "call"),
    [
        (Kill("fire"), ("kill", "fire", BY, False)),
        (Kill("fire", flatten=True), ("kill", "fire", BY, True)),
        (Release("fixed"), ("release", "fixed", BY)),
        (Adopt("v1", "cross"), ("adopt", "v1", "cross", BY)),
        (CloseRun("cross", assign_to_external=True), ("close_run", "cross", True, BY)),
        (ResumeRun("cross"), ("resume_run", "cross", BY)),
        (ResetBreaker("o1"), ("reset_breaker", "o1", BY)),
        (
            Resolve("o1", Evidence.ACCEPTED, venue_order_id="v1"),
            ("resolve", "o1", OrderAccepted("o1", NOW_NS, "v1"), BY),
        ),
        (
            Resolve("o1", Evidence.CANCELLED, reason="seen"),
            ("resolve", "o1", OrderEnded("o1", EndKind.CANCELLED, NOW_NS, "seen", "operator"), BY),
        ),
        (
            Resolve("o1", Evidence.REJECTED),
            (
                "resolve",
                "o1",
                OrderEnded("o1", EndKind.REJECTED, NOW_NS, f"resolved by {BY}", "operator"),
                BY,
            ),
        ),
        (
            Resolve(
                "o1",
                Evidence.FILLED,
                quantity=Decimal(2),
                price=Decimal(-1),
                execution_id="e1",
            ),
            ("resolve", "o1", OrderFilled("o1", "e1", Decimal(2), Decimal(-1), NOW_NS), BY),
        ),
    ],
)
def test_each_verb_is_one_call(ask: Ask, call: tuple[Any, ...]) -> None:
    world = World()

    answer = world.ask(ask)

    assert answer.is_done
    assert answer.text
    assert world.call == call


@pytest.mark.parametrize(
    ("changes", "bucket"),
    [({}, NO_BUCKET), ({"product": "margin", "position_id": "7"}, Bucket("margin", "7"))],
)
def test_an_assignment_carries_the_requests_id_so_that_it_is_booked_once(
    changes: dict[str, str], bucket: Bucket
) -> None:
    world = World()

    answer = world.ask(assign(**changes))

    assignment = Assignment(
        request(assign()).id, "a:B", Decimal(-5), "external", "cross", Decimal(3), bucket
    )
    assert world.call == ("assign", assignment, BY)
    assert answer.text == "-5 a:B at 3 moved from external to cross"


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (assign(quantity=Decimal(0)), "the quantity is 0"),
        (assign(quantity=Decimal("Infinity")), "the quantity is Infinity"),
        (assign(price=Decimal("NaN")), "the price is NaN"),
        (assign(quantity=Decimal("1e15")), "the quantity is 1E+15"),
        (assign(price=Decimal("1e999999")), "the price is 1E+999999"),
        (assign(price=Decimal("1e-13")), "the price is 1E-13"),
        (assign(to_run="external"), "both runs are the same"),
        (Resolve("o1", Evidence.FILLED), "a fill needs its quantity"),
        (
            Resolve("o1", Evidence.FILLED, quantity=Decimal(1), price=Decimal(1)),
            "the venue's execution id",
        ),
        (
            Resolve(
                "o1",
                Evidence.FILLED,
                quantity=Decimal(-1),
                price=Decimal(1),
                execution_id="e",
            ),
            "a fill of -1 at 1 is impossible",
        ),
        (
            Resolve(
                "o1",
                Evidence.FILLED,
                quantity=Decimal(1),
                price=Decimal("1e30"),
                execution_id="e",
            ),
            "a fill of 1 at 1E+30 is impossible",
        ),
        (Resolve("o1", Evidence.REJECTED, price=Decimal(1)), "belong to filled, not rejected"),
    ],
)
def test_what_makes_no_sense_never_reaches_the_core(ask: Ask, reason: str) -> None:
    world = World()

    answer = world.ask(ask)

    assert not answer.is_done
    assert reason in answer.text
    assert world.operations.calls == []


@pytest.mark.parametrize("failure", [OrderError("not in doubt"), Refused("not in doubt")])
def test_t05_a_refusal_is_an_answer_and_is_recorded(failure: BaseException) -> None:
    world = World(failure)

    answer = world.ask(Resolve("o1", Evidence.CANCELLED))

    assert (answer.is_done, answer.text) == (False, "not in doubt")
    assert [action.outcome for action in world.audit] == ["", "refused: not in doubt"]


def test_t05_who_asked_for_what_is_recorded_before_and_after_it_is_done() -> None:
    world = World()

    world.ask(Kill("fire"))

    before, after = world.audit
    assert (before.by, before.verb, before.time_ns, before.outcome) == (BY, "kill", NOW_NS, "")
    assert json.loads(before.request) == {"type": "kill", "reason": "fire", "flatten": False}
    assert after.outcome.startswith("done: halted")
    assert msgspec.structs.replace(after, outcome="") == before


@pytest.mark.parametrize("failure", [InvariantBroken("a bug"), RuntimeError("a bug")])
def test_a_bug_is_no_refusal(failure: BaseException) -> None:
    world = World(failure)

    with pytest.raises(type(failure), match="a bug"):
        world.ask(Kill("fire"))

    assert [action.outcome for action in world.audit] == [""]


def test_orders_show_what_is_in_doubt() -> None:
    world = World()

    answer = world.ask(ShowOrders(is_all=True))

    (row,) = answer.rows
    assert (row["order"], row["quantity"], row["price"], row["stop"]) == ("o1", "1.50", "10", "")
    assert (row["status"], row["in_doubt"]) == ("submitted", "submit")
    assert world.call == ("orders", True)
    assert world.audit == []


def test_positions_and_runs_are_plain_text() -> None:
    world = World()

    (position,) = world.ask(ShowPositions()).rows
    (run,) = world.ask(ShowRuns()).rows

    assert (position["quantity"], position["average"]) == ("-2", "10")
    assert position["bucket"] == "margin 7"
    assert (run["run"], run["session"], run["unbacked"]) == ("cross", "3", "yes")


def test_a_long_list_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "MOST_ROWS", 2)
    world = World()
    world.operations.order_rows = [*world.operations.order_rows] * 5

    answer = world.ask(ShowOrders())

    assert len(answer.rows) == 2
    assert answer.text == "3 more are not shown"
