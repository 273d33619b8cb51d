"""Orders that look like a machine's mistake."""

from decimal import Decimal

import pytest

from framework.model.orders import OrderType, Side
from framework.risk.inputs import Resting
from framework.risk.limits.repeats import MaxSameDirectionFills, NoDuplicate, NoSelfMatch
from framework.risk.proposal import Proposal
from tests.framework.risk.samples import SECOND, FakeInputs, asked, buy, sell, view

D = Decimal
MS = 1_000_000


def test_the_same_order_again_is_refused_for_a_while() -> None:
    check = NoDuplicate(100 * MS)
    check.reserve(buy("1", price=D(100)), view(at=0))

    assert check.check(buy("1", price=D(100)), view(at=99 * MS)) == (
        "the same order was sent 99 ms ago, within duplicate_window_ms 100"
    )
    assert check.check(buy("1", price=D(100)), view(at=100 * MS)) is None


@pytest.mark.parametrize(
    "other",
    [
        buy("1.5", price=D(100)),
        buy("1", price=D("100.5")),
        buy("1"),
        sell("1", price=D(100)),
        buy("1", price=D(100), run="another"),
        buy("1", price=D(100), order_id="a change"),
        buy("1", price=D(100), is_closing=True),
    ],
)
def test_what_differs_is_no_duplicate(other: Proposal) -> None:
    check = NoDuplicate(100 * MS)
    check.reserve(buy("1", price=D(100)), view(at=0))

    assert check.check(other, view(at=1)) is None


def test_a_change_is_not_remembered_and_the_newest_of_equal_orders_counts() -> None:
    check = NoDuplicate(100 * MS)
    check.reserve(buy("1", order_id="a change"), view(at=0))
    assert check.check(buy("1"), view(at=1)) is None

    for at in (0, 60 * MS):
        check.reserve(buy("1", is_closing=True), view(at=at))
    check.reserve(buy("2"), view(at=120 * MS))  # the first has been forgotten meanwhile

    assert check.check(buy("1"), view(at=120 * MS)) is not None
    assert check.check(buy("1"), view(at=160 * MS)) is None


def test_many_orders_filled_one_way_stop_the_next() -> None:
    inputs = FakeInputs()
    check = MaxSameDirectionFills(3, 60 * SECOND, asked(inputs))
    inputs.in_a_row = 2
    assert check.check(buy(), view()) is None

    inputs.in_a_row = 3
    assert check.check(buy(), view()) == (
        "3 buy orders filled in a row within 60 s reach max_same_direction_fills 3"
    )
    assert check.check(sell("1"), view("1")) is None
    assert check.check(buy("1", added=D(0), order_id="smaller"), view()) is None


@pytest.mark.parametrize(
    ("order", "resting", "crosses"),
    [
        (buy("1", price=D(100)), Resting(Side.SELL, D(100)), True),
        (buy("1", price=D(99)), Resting(Side.SELL, D(100)), False),
        (sell("1", price=D(100)), Resting(Side.BUY, D(100)), True),
        (sell("1", price=D(101)), Resting(Side.BUY, D(100)), False),
        (buy("1"), Resting(Side.SELL, D(10**6)), True),
        (buy("1", price=D(1)), Resting(Side.SELL, None), True),
        (buy("1", price=D(200)), Resting(Side.BUY, D(100)), False),
        (sell("1", reduce_only=True), Resting(Side.BUY, D(100)), False),
        (
            buy("1", type=OrderType.STOP, stop_price=D(200)),
            Resting(Side.SELL, D(100)),
            False,
        ),
    ],
)
def test_no_order_trades_with_an_own_one(
    order: Proposal, resting: Resting, *, crosses: bool
) -> None:
    inputs = FakeInputs()
    inputs.resting = [resting]

    reason = NoSelfMatch(asked(inputs)).check(order, view("1"))

    assert (reason is not None) is crosses


def test_a_self_match_names_the_other_order() -> None:
    inputs = FakeInputs()
    inputs.resting = [Resting(Side.SELL, D(100))]
    check = NoSelfMatch(asked(inputs))
    assert check.check(buy("1"), view()) == "it would trade with an own sell order at 100"

    inputs.resting = [Resting(Side.SELL, None)]
    assert check.check(buy("1"), view()) == "it would trade with an own sell order at the market"
