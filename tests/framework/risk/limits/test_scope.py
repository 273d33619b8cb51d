"""Limits of one account, run or instrument."""

from decimal import Decimal

from framework.risk.limits.rates import SECOND_NS, OrderRate
from framework.risk.limits.scope import EVERYTHING, Scope, Scoped
from framework.risk.limits.sizes import MaxOrderQuantity
from tests.framework.risk.samples import OTHER, buy, view

D = Decimal


def test_a_scope_fits_orders_of_its_account_run_or_instrument() -> None:
    order = buy()

    assert EVERYTHING.fits(order)
    assert EVERYTHING.name == ""
    for mine, other, name in (
        (Scope(account="main"), Scope(account="x"), "account main"),
        (Scope(run="r"), Scope(run="x"), "run r"),
        (Scope(instrument="v:X"), Scope(instrument="x"), "instrument v:X"),
    ):
        assert mine.fits(order)
        assert not other.fits(order)
        assert mine.name == name


def test_a_scoped_check_judges_its_own_orders_and_names_the_scope() -> None:
    check = Scoped(MaxOrderQuantity(D(1)), Scope(run="r"))

    assert check.check(buy("2"), view()) == (
        "order quantity 2 is above max_order_quantity 1 of run r"
    )
    assert check.check(buy("2", run="another"), view()) is None
    assert check.name == "MaxOrderQuantity"
    check.reserve(buy("2"), view())  # counts nothing, as the check does not


def test_a_scoped_rate_counts_its_own_orders_only() -> None:
    check = Scoped(OrderRate(1, SECOND_NS, "the limit 1"), Scope(instrument="v:X"))
    check.reserve(buy(instrument=OTHER), view())
    assert check.check(buy(), view()) is None

    check.reserve(buy(), view())
    assert check.check(buy(), view()) is not None
    assert check.check(buy(instrument=OTHER), view()) is None
