"""How much may be lost in a day."""

from decimal import Decimal

from framework.risk.limits.loss import MaxDailyLoss
from tests.framework.risk.samples import FakeInputs, asked, buy, sell, view

D = Decimal


def test_a_day_that_lost_too_much_ends_in_exits() -> None:
    inputs = FakeInputs()
    check = MaxDailyLoss(D(100), asked(inputs), is_of_run=False).check

    inputs.profits = {"USD": D(-100), "EUR": D(5)}
    assert check(buy(), view()) is None

    inputs.profits = {"EUR": D("-100.01"), "USD": D(5000)}
    assert check(buy(), view()) == "today's loss of 100.01 EUR is above max_daily_loss 100"
    assert check(sell("1"), view("1")) is None
    assert check(sell("1"), view("1", sells="1")) is not None  # the open sell may fill first
    assert check(sell("1", reduce_only=True), view("1", sells="1")) is None
