"""A new simulated venue gets back what the journal says that it held, and nothing else."""

from copy import copy
from decimal import Decimal
from typing import Any

import pytest

from framework.model.orders import OrderStatus, OrderType, Side, TimeInForce
from framework.model.reports import OrderAccepted, OrderFilled, OrderTriggered
from framework.runtime import paper
from framework.runtime.runner import Runtime
from framework.settings.modes import Mode
from tests.scenarios.stage import perform, staged
from tests.scripted_venue import BTC, START_NS

D = Decimal


def put_back(
    prepare: Any, *facts: Any, **wishes: Any
) -> tuple[list[tuple[OrderStatus, str]], list[Any]]:
    """Have an order with these facts put back; return what became of it, and the venue's orders."""
    found: list[Any] = []

    async def during(runtime: Runtime) -> None:
        engine, venue = runtime.engine, runtime.system.venues[0].simulated
        assert venue is not None
        engine.outputs.release = lambda: None  # type: ignore[method-assign] # nothing arrives
        context = runtime.system.runs[0].context
        terms = {"time_in_force": TimeInForce.GTC, "price": 90, **wishes}
        kind = terms.pop("type")
        order_id = context.submit(BTC, Side.BUY, 5, type=kind, **terms)
        for fact in facts:
            engine.bus.publish(fact(order_id, engine.clock.now_ns))
        prepare(engine, order_id)
        paper.resume(engine, venue, frozenset({"main"}))
        state = engine.registry.get(order_id)
        assert state is not None
        found.append((state.status, state.reason))
        found.append([copy(order) for order in venue.executions.working.values()])

    perform(staged({}, [], Mode.PAPER), start_ns=START_NS, during=during)
    return found[:1], found[1]


def nothing(engine: Any, order_id: str) -> None:
    """Prepare nothing."""


def accepted(order_id: str, now_ns: int) -> OrderAccepted:
    return OrderAccepted(order_id, now_ns, "V1")


def filled(order_id: str, now_ns: int) -> OrderFilled:
    return OrderFilled(order_id, "E1", D(2), D(90), now_ns)


def triggered(order_id: str, now_ns: int) -> OrderTriggered:
    return OrderTriggered(order_id, now_ns)


def cancel(engine: Any, order_id: str) -> None:
    assert engine.desk.cancel(order_id) is None


def modify(engine: Any, order_id: str) -> None:
    assert engine.desk.modify(order_id, price=D(80)) is None


def test_what_it_never_answered_it_never_saw() -> None:
    result, working = put_back(nothing, type=OrderType.LIMIT)

    assert result == [
        (OrderStatus.REJECTED, "the simulated venue was restarted before it answered")
    ]
    assert working == []


def test_an_order_it_had_is_there_again_for_what_is_left() -> None:
    result, (order,) = put_back(nothing, accepted, filled, type=OrderType.LIMIT)

    assert result == [(OrderStatus.PARTIALLY_FILLED, "")]
    assert (order.quantity, order.filled, order.remaining) == (5, 2, 3)
    assert order.has_traded


def test_a_cancel_without_an_answer_has_ended_the_order() -> None:
    result, working = put_back(cancel, accepted, type=OrderType.LIMIT)

    assert result[0][0] is OrderStatus.CANCELLED
    assert working == []


def test_a_modify_without_an_answer_is_refused_and_the_order_goes_on() -> None:
    result, (order,) = put_back(modify, accepted, type=OrderType.LIMIT)

    assert result[0][0] is OrderStatus.ACCEPTED
    assert order.limit == 90


@pytest.mark.parametrize(("price", "kind"), [(None, "market"), (90, "limit")])
def test_a_triggered_stop_waits_for_no_trigger_again(price: int | None, kind: str) -> None:
    asked = OrderType.STOP if price is None else OrderType.STOP_LIMIT
    result, (order,) = put_back(
        nothing, accepted, triggered, type=asked, price=price, stop_price=95
    )

    assert result[0][0] is OrderStatus.TRIGGERED
    assert order.kind.value == kind
    assert order.stop is None
