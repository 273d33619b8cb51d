"""What a run or an account may have at stake at worst."""

from decimal import Decimal

import msgspec
import pytest

from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import Side
from framework.model.runs import Execution, Run
from framework.risk.inputs import InputFault, Reference, Stake
from framework.risk.limits.exposure import (
    CashCovers,
    MaxGrossNotional,
    MaxNetNotional,
    MaxPositionNotional,
    ReduceOnly,
    WithinAllocation,
)
from framework.risk.limits.sizes import MaxOrderNotional
from tests.framework.risk.samples import (
    ACCOUNT,
    OTHER,
    PERPETUAL,
    SECOND,
    SPOT,
    FakeInputs,
    asked,
    buy,
    proposal,
    sell,
    view,
)

D = Decimal


def stake(
    position: str,
    *,
    buys: str = "0",
    sells: str = "0",
    run: str = "r",
    instrument: Instrument = OTHER,
) -> Stake:
    return Stake(run, instrument, D(position), D(buys), D(sells))


@pytest.mark.parametrize(
    ("side", "quantity", "position", "buys", "sells", "passes"),
    [
        (Side.BUY, "1", "0", "0", "0", True),
        (Side.BUY, "1.1", "0", "0", "0", False),
        (Side.BUY, "0.5", "0.5", "0", "0", True),
        (Side.BUY, "0.5", "0.4", "0.2", "0", False),  # the open order may fill
        (Side.BUY, "0.5", "0.4", "0", "9", True),  # nobody knows that the sells will
        (Side.SELL, "2", "1", "0", "0", True),
        (Side.SELL, "2.1", "1", "0", "0", False),
        (Side.SELL, "5", "5", "0", "0", True),  # far above the limit, and shrinking
        (Side.SELL, "5", "5", "0", "5", True),  # at worst as short as it is long now
        (Side.SELL, "5", "5", "0", "6", False),
        (Side.SELL, "6", "5", "0", "0", True),  # one past zero is within the limit
        (Side.SELL, "7", "5", "0", "0", False),  # two past zero is not
        (Side.BUY, "5", "-5", "0", "0", True),
        (Side.BUY, "0.1", "5", "0", "0", False),
    ],
)
def test_a_position_is_judged_by_its_worst_case(
    side: Side, quantity: str, position: str, buys: str, sells: str, *, passes: bool
) -> None:
    limit = MaxPositionNotional(D(100))  # one unit

    reason = limit.check(proposal(side, quantity), view(position, buys=buys, sells=sells))

    assert (reason is None) is passes


def test_a_change_that_asks_for_no_more_passes_the_position_limit() -> None:
    order = buy("9", order_id="known", added=D(0))

    assert MaxPositionNotional(D(100)).check(order, view(buys="9")) is None


def test_a_reduce_only_order_passes_the_position_limit_and_must_fit_the_position() -> None:
    exit_order = sell("5", reduce_only=True)
    assert MaxPositionNotional(D(100)).check(exit_order, view("5", sells="50")) is None
    assert ReduceOnly().check(exit_order, view("5")) is None
    assert ReduceOnly().check(exit_order, view("4.9")) == (
        "reduce-only sell of 5 does not fit the position 4.9"
    )
    assert ReduceOnly().check(exit_order, view("-5")) is not None
    assert ReduceOnly().check(exit_order, view("0")) is not None


@pytest.mark.parametrize("limit", [MaxOrderNotional(D(10**9)), MaxPositionNotional(D(10**9))])
def test_without_a_price_nothing_can_be_valued_and_the_order_is_refused(
    limit: MaxOrderNotional | MaxPositionNotional,
) -> None:
    """R-61."""
    reason = limit.check(buy("1"), view(price=None))

    assert reason is not None
    assert "no price of v:X is known" in reason


def gross(inputs: FakeInputs, limit: int, *, is_of_run: bool = False) -> MaxGrossNotional:
    return MaxGrossNotional(D(limit), None, asked(inputs), is_of_run=is_of_run)


def test_gross_notional_is_the_sum_of_the_worst_cases() -> None:
    inputs = FakeInputs()
    inputs.held = [
        stake("-3", buys="1", sells="2"),  # at worst 5 short: 500
        stake("1", buys="1", run="another"),  # at worst 2 long: 200
        stake("0", buys="50", instrument=SPOT),  # the order's own line, which its view has
    ]

    assert gross(inputs, 900).check(buy("1", price=D(100)), view(buys="1")) is None
    assert gross(inputs, 899).check(buy("1"), view(buys="1")) == (
        "gross notional 900 would be above max_gross_notional 899"
    )
    of_run = gross(inputs, 700, is_of_run=True)
    assert of_run.check(buy("1"), view(buys="1")) is None  # without the other run's 200


def test_gross_notional_is_valued_at_the_market_and_the_own_order_at_its_limit() -> None:
    inputs = FakeInputs()
    inputs.held = [stake("1"), stake("1", run="another", instrument=SPOT)]
    inputs.references["v:Y"] = Reference(D(-30), 0)

    reason = gross(inputs, 0).check(buy("1", price=D(120)), view(price="120"))

    assert reason == "gross notional 270 would be above max_gross_notional 0"


def test_an_order_that_raises_no_worst_case_passes_above_the_limit() -> None:
    inputs = FakeInputs()
    inputs.held = [stake("50")]

    assert gross(inputs, 100).check(sell("3"), view("5", sells="4")) is None  # 2 short, not 5 long
    assert gross(inputs, 100).check(sell("9"), view("5", sells="4")) is not None
    assert gross(inputs, 100).check(buy("3", added=D(0), order_id="o"), view(buys="3")) is None


def test_what_trades_in_another_currency_is_summed_apart() -> None:
    inputs = FakeInputs()
    inputs.held = [stake("50", instrument=msgspec.structs.replace(OTHER, currency="EUR"))]

    assert gross(inputs, 100).check(buy("1"), view()) is None


def test_sums_need_a_price_of_everything_held() -> None:
    """R-61."""
    inputs = FakeInputs()
    inputs.held = [stake("1")]
    del inputs.references["v:Y"]

    with pytest.raises(InputFault, match="reference price of v:Y is missing"):
        gross(inputs, 10**9).check(buy("1"), view())
    inputs.references["v:Y"] = Reference(D(100), 0)
    with pytest.raises(InputFault, match="reference price of v:X is missing"):
        gross(inputs, 10**9).check(buy("1"), view(price=None))
    aged = MaxGrossNotional(D(10**9), SECOND, asked(inputs), is_of_run=False)
    with pytest.raises(InputFault, match="reference price of v:Y is stale"):
        aged.check(buy("1"), view(at=2 * SECOND))


def test_net_notional_is_judged_in_the_direction_of_the_order() -> None:
    inputs = FakeInputs()
    inputs.held = [stake("8", sells="3"), stake("-2", buys="2", run="another")]
    net = MaxNetNotional(D(1000), None, asked(inputs), is_of_run=False)

    assert net.check(buy("2"), view()) is None  # 8 + 0 (the other is bought back) + 2
    assert net.check(buy("2.5"), view()) == (
        "net notional 1050.0 would be above max_net_notional 1000"
    )
    assert net.check(sell("13"), view()) is None  # 13 - (8 - 3) + 2
    assert net.check(sell("13.5"), view()) is not None


def test_an_order_towards_zero_passes_a_net_limit_that_is_broken_already() -> None:
    inputs = FakeInputs()
    inputs.held = [stake("50", run="another")]
    net = MaxNetNotional(D(1000), None, asked(inputs), is_of_run=False)

    assert net.check(sell("20"), view()) is None
    assert net.check(buy("0.5"), view()) is not None
    assert net.check(buy("1"), view("-1")) is None  # it shrinks what its run holds


def given(allocation: int | None) -> FakeInputs:
    inputs = FakeInputs()
    amount = None if allocation is None else D(allocation)
    inputs.runs["r"] = Run("r", ACCOUNT, Execution.SIMULATED, allocation=amount)
    return inputs


def test_a_run_binds_no_more_than_its_allocation() -> None:
    inputs = given(500)
    inputs.held = [stake("3"), stake("9", run="another")]
    check = WithinAllocation(None, asked(inputs)).check

    assert check(buy("2"), view()) is None
    assert check(buy("2.5"), view()) == (
        "gross notional 550.0 would be above the run's allocation 500"
    )
    assert check(sell("9"), view("9")) is None
    assert WithinAllocation(None, asked(given(None))).check(buy("10000"), view()) is None


def test_an_allocation_does_not_reach_into_another_currency() -> None:
    inputs = given(500)
    inputs.currencies[ACCOUNT] = "EUR"

    assert WithinAllocation(None, asked(inputs)).check(buy("1"), view()) == (
        "the allocation is in EUR and v:X trades in USD"
    )


def test_what_is_paid_in_full_needs_the_cash() -> None:
    inputs = FakeInputs()
    inputs.cash = D(250)
    check = CashCovers(asked(inputs)).check

    assert check(buy("2.5"), view()) is None
    assert check(buy("3"), view()) == (
        "the order needs 300 USD and account 'main' has 250 available (require_cash)"
    )
    assert check(sell("3"), view()) is None
    assert check(buy("3", instrument=PERPETUAL), view()) is None
    assert check(buy("3"), view("-3")) is None  # a short position is bought back
    option = msgspec.structs.replace(SPOT, kind=InstrumentKind.OPTION)
    assert check(buy("3", instrument=option), view()) is not None


def test_a_change_needs_only_what_it_did_not_reserve() -> None:
    inputs = FakeInputs()
    inputs.cash = D(50)
    check = CashCovers(asked(inputs)).check

    assert check(buy("3", order_id="o", reserved=D(250)), view()) is None
    assert check(buy("3", order_id="o", reserved=D(249)), view()) is not None
    inputs.cash = D(-10)  # overdrawn: what asks for less may still be changed
    assert check(buy("3", order_id="o", reserved=D(300)), view()) is None
