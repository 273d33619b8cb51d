"""Fills and their corrections: what holds for each execution id, and what they add up to.

Two statements about one execution are ranked, so that any order of arrival gives the same sums.
Every function here adds a fact to an order's `OrderFacts` and tells whether it was news.
"""

from decimal import Decimal
from typing import TYPE_CHECKING

from framework.model.decimals import add, divide, multiply, subtract
from framework.model.orders import OrderStatus, RequestState
from framework.model.reports import FillCorrection, OrderFilled

if TYPE_CHECKING:  # which in turn applies these functions
    from framework.orders.lifecycle import OrderFacts

Execution = OrderFilled | FillCorrection
"""What holds for one execution id: the fill as reported, or the correction that overrode it."""

FILLED = OrderStatus.FILLED
NONE = RequestState.NONE


def fill(facts: "OrderFacts", fact: OrderFilled) -> bool:
    """Add an execution; past the order's end or quantity it is booked all the same."""
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


def _average(facts: "OrderFacts") -> None:
    if not facts.filled:
        facts.average_price = None
    elif len(facts.executions) == 1:
        facts.average_price = next(iter(facts.executions.values())).price
    else:
        facts.average_price = divide(facts.notional, facts.filled)


def correct(facts: "OrderFacts", fact: FillCorrection) -> bool:
    """Add what a venue says instead about an execution, known yet or not."""
    known = facts.executions.get(fact.execution_id)
    if known is not None:
        return _repeat(facts, known, fact)
    _replace_execution(facts, None, fact)
    return True


def _repeat(facts: "OrderFacts", known: Execution, fact: Execution) -> bool:
    """Let the higher-ranked of two statements about one execution hold."""
    if known == fact:
        return False
    if known.__class__ is fact.__class__ is OrderFilled:
        facts.note(f"fill {fact.execution_id} was repeated with other content")
    if _execution_rank(fact) <= _execution_rank(known):
        return False
    _replace_execution(facts, known, fact)
    return True


def _replace_execution(facts: "OrderFacts", known: Execution | None, fact: Execution) -> None:
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
