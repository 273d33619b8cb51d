"""The judge of the crash tests finds each kind of broken promise."""

from decimal import Decimal
from typing import Any

import pytest

from framework.model.commands import SubmitOrder
from framework.model.orders import OrderIntent, Side
from tests.crash.check import State, agreement, journalled, money, safety

ONE = Decimal(1)


def truth(**changes: Any) -> dict[str, Any]:
    """Return a broker that has one filled order, `a`, and one that works, `b`."""
    order = {"client_id": "a", "status": "filled", "filled": "1"}
    note = {"client_id": "a", "verb": "submit"}
    return {
        "orders": [order, {"client_id": "b", "status": "working", "filled": "0"}],
        "executions": [{"execution_id": "E1", "quantity": "1"}],
        "positions": {"main": [{"symbol": "BTC", "quantity": "1"}]},
        "balances": {"main": [{"currency": "USD", "total": "900"}]},
        "received": [note, {"client_id": "b", "verb": "submit"}],
        "sent_twice": [],
        **changes,
    }


def state(**changes: Any) -> State:
    """Return a trader that knows all of it."""
    known: dict[str, Any] = {
        "orders": {"a": ("filled", ONE), "b": ("accepted", Decimal(0))},
        "fills": {"E1": ONE},
        "positions": {"BTC": ONE},
        "cash": Decimal(900),
        "in_doubt": [],
        "twice": [],
        "corrections": [],
    }
    return State(**{**known, **changes})


KNOWN = {"a", "b"}
SEEN = [{"order": "a", "status": "filled"}, {"fill": "E1", "order": "a"}]


def test_all_is_well() -> None:
    assert safety(truth(), KNOWN, SEEN) == []
    assert agreement(truth(), state()) == []


def test_a_journal_knows_what_was_to_be_sent() -> None:
    intent = OrderIntent("run", "k", "x:BTC", Side.BUY, ONE)

    assert journalled([SubmitOrder("a", "main", intent, ONE, 1)]) == {"a"}


@pytest.mark.parametrize(
    ("there", "known", "seen", "found"),
    [
        ({"sent_twice": ["a"]}, KNOWN, SEEN, "a was sent twice"),
        ({}, {"a"}, SEEN, "b is at the broker and not in the journal"),
        ({}, KNOWN, [{"order": "c"}], "c was acknowledged and is not in the journal"),
        ({}, {*KNOWN, "c"}, [{"order": "c"}], "c was acknowledged and not sent"),
        ({"executions": []}, KNOWN, SEEN, "fill E1 was acknowledged and never happened"),
    ],
)
def test_r01_what_must_never_be_is_found(
    there: Any, known: set[str], seen: list[Any], found: str
) -> None:
    assert found in safety(truth(**there), known, seen)


@pytest.mark.parametrize(
    ("here", "found"),
    [
        ({"twice": ["E1"]}, "execution E1 was booked twice"),
        ({"fills": {}}, "execution E1: the broker has 1, we have None"),
        ({"fills": {"E1": ONE, "E2": ONE}}, "execution E2: the broker has None, we have 1"),
        ({"positions": {}}, "position BTC: the broker has 1, we have None"),
        ({"cash": Decimal(901)}, "cash: the broker has 900, we have 901"),
        ({"corrections": ["BTC: 1"]}, "corrected without an execution: BTC: 1"),
        ({"orders": {"a": ("filled", Decimal(2))}}, "a: filled 1 there, 2 here"),
        ({"orders": {"a": ("accepted", ONE)}}, "a: filled there, accepted here"),
        ({"orders": {"b": ("cancelled", Decimal(0))}}, "b: working there, cancelled here"),
    ],
)
def test_r01_each_difference_is_found(here: dict[str, Any], found: str) -> None:
    assert found in agreement(truth(), state(**here))


def test_r20_an_order_that_stays_in_doubt_is_found() -> None:
    orders = {**state().orders, "c": ("submitted", Decimal(0)), "d": ("rejected", Decimal(0))}
    here = state(orders=orders, in_doubt=["c"])

    assert money(truth(), here) == []
    assert agreement(truth(), here) == [
        "c is submitted here and unknown there",
        "c is still in doubt",
    ]


def test_a_busted_execution_is_none() -> None:
    there = truth(executions=[{"execution_id": "E1", "quantity": "0"}])

    assert not any(
        "execution" in line for line in agreement(there, state(fills={"E1": Decimal(0)}))
    )
