"""Missing, stale, impossible or failing inputs raise by their name (R-61)."""

from decimal import Decimal

import pytest

from framework.model.orders import Side
from framework.risk.inputs import InputFault, Reference, Stake
from tests.framework.risk.samples import ACCOUNT, SECOND, SPOT, FakeInputs, asked

D = Decimal
IMPOSSIBLE = [D("NaN"), D("Infinity"), D("-Infinity"), 1.5]


@pytest.mark.parametrize("number", IMPOSSIBLE)
def test_an_impossible_number_is_no_answer(number: Decimal) -> None:
    """R-61, R-78: a comparison with NaN would pass."""
    source = FakeInputs()
    source.references["v:X"] = Reference(number, 0)
    source.cash = number
    source.profits = {"USD": number}
    source.held = [Stake("r", SPOT, number, D(0), D(0))]
    inputs = asked(source)

    with pytest.raises(InputFault, match="reference price of v:X is impossible"):
        inputs.reference("v:X", 0, None)
    with pytest.raises(InputFault, match="cash of account 'main' in USD is impossible"):
        inputs.available_cash(ACCOUNT, "USD")
    with pytest.raises(InputFault, match="today's profit of run 'r' is impossible"):
        inputs.profits_today(ACCOUNT, "r", 0)
    with pytest.raises(InputFault, match="position of run 'r' in v:X is impossible"):
        inputs.stakes(ACCOUNT, None)


def test_the_fault_of_a_source_keeps_its_words() -> None:
    source = FakeInputs()

    def fail(account: str, currency: str) -> Decimal | None:
        raise InputFault("the ledger", "is being rebuilt")

    source.available_cash = fail  # type: ignore[method-assign] # a fault
    with pytest.raises(InputFault, match=r"^the ledger is being rebuilt$"):
        asked(source).available_cash(ACCOUNT, "USD")


def test_a_reference_from_the_future_is_fresh_and_an_age_may_be_unlimited() -> None:
    source = FakeInputs()
    source.references["v:X"] = Reference(D(5), 10 * SECOND)
    inputs = asked(source)

    assert inputs.reference("v:X", 0, SECOND) == 5
    assert inputs.reference("v:X", 10**18, None) == 5


def test_zero_and_false_are_answers() -> None:
    source = FakeInputs()
    source.open, source.open_orders, source.cash = False, 0, D(0)
    inputs = asked(source)

    assert inputs.market_is_open(SPOT, 0) is False
    assert inputs.open_order_count(None, None, None) == 0
    assert inputs.available_cash(ACCOUNT, "USD") == 0
    assert inputs.orders_filled_in_a_row("r", "v:X", Side.BUY, 0) == 0
