"""The judge of the crash tests finds each kind of broken promise."""

from decimal import Decimal
from typing import Any

import pytest

from framework.model.commands import SubmitOrder
from framework.model.orders import Exits, OrderIntent, Percent, Side
from tests.broker.protocol import Submit
from tests.broker.truth import Books, TrueOrder
from tests.crash.check import (
    State,
    agreement,
    exits_too_large,
    journalled,
    links,
    money,
    safety,
)
from tests.framework.orders.emulation_world import EmulationWorld

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


def sent(books: Books, name: str, quantity: int) -> TrueOrder:
    return books.submit("main", Submit(0, name, "BTC", "buy", "market", Decimal(quantity)), 1)


def test_r32_exits_that_may_trade_more_than_their_entry_has_are_found() -> None:
    books = Books(cash={"main": ONE})
    books.set_price("BTC", Decimal(99), Decimal(100))
    entry, stop, target = (
        sent(books, name, size) for name, size in (("in", 3), ("s", 2), ("t", 1))
    )
    assert exits_too_large(None, [stop]) != []
    books.fill(entry, Decimal(3), 2)
    assert exits_too_large(entry, [stop, target]) == []

    more = sent(books, "s.2", 1)
    assert len(exits_too_large(entry, [stop, target, more])) == 1
    books.end(more, 3)
    assert exits_too_large(entry, [stop, target, more]) == []


def test_r31_what_stops_do_not_cover_is_found() -> None:
    world = EmulationWorld()
    entry = world.entered("3", Exits(stop_loss=Percent(Decimal(2))))
    assert links(world, "main") == []  # type: ignore[arg-type]  # registry and ledger are there

    world.sell("1", price=Decimal(99))
    world.fill(world.at(entry, "stop"), "1", "98")
    assert links(world, "main") == []  # type: ignore[arg-type]
    world.ledger.book(
        world.ledger.holding("main", "r", entry.instrument),
        is_buy=True,
        quantity=ONE,
        price=ONE,
        fees=(),
    )
    assert len(links(world, "main")) == 1  # type: ignore[arg-type]
