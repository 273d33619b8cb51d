"""Whether the market is open, its feed can be trusted, and the account's state is known."""

import msgspec
import pytest

from framework.model.instrument import Instrument
from framework.model.orders import OrderIntent, OrderSession, Side
from framework.risk.conditions import Conditions
from framework.risk.inputs import InputFault
from framework.risk.limits.market_state import FeedTrusted, MarketOpen, Reconciled
from tests.framework.risk.samples import ACCOUNT, SPOT, FakeInputs, asked, buy, sell, view

LISTED = msgspec.structs.replace(SPOT, calendar="XNYS")


def market(conditions: Conditions | None = None, **answer: bool | None) -> MarketOpen:
    inputs = FakeInputs()
    inputs.open = answer.get("is_open", True)
    return MarketOpen(asked(inputs), conditions or Conditions())


def test_orders_go_to_open_markets_only() -> None:
    assert market().check(buy(instrument=LISTED), view()) is None
    closed = market(is_open=False)
    assert closed.check(buy(instrument=LISTED), view()) == "the market of v:X is closed"
    assert closed.check(sell(instrument=LISTED, reduce_only=True), view("1")) is None
    for_later = OrderIntent("r", "k", "v:X", Side.BUY, session=OrderSession.NEXT_OPEN)
    assert closed.check(buy(instrument=LISTED, intent=for_later), view()) is None


def test_unknown_trading_hours_refuse() -> None:
    """R-61."""
    with pytest.raises(InputFault, match="trading hours of v:X is missing"):
        market(is_open=None).check(buy(instrument=LISTED), view())


def test_what_never_closes_is_not_asked_for_but_may_be_halted() -> None:
    conditions = Conditions()
    check = market(conditions, is_open=None).check
    assert check(buy(), view()) is None

    conditions.halt_market("v:X", "halted (volatility)")
    assert check(buy(), view()) == "the market of v:X is halted (volatility)"
    conditions.open_market("v:X")
    assert check(buy(), view()) is None


@pytest.mark.parametrize(("at", "passes"), [(9, True), (10, False), (11, False)])
def test_what_has_expired_is_not_traded(at: int, *, passes: bool) -> None:
    expiring: Instrument = msgspec.structs.replace(SPOT, expiry_ns=10)

    reason = market().check(buy(instrument=expiring), view(at=at))

    assert (reason is None) is passes


def test_a_feed_with_a_gap_refuses_what_may_grow() -> None:
    conditions = Conditions()
    check = FeedTrusted(conditions).check
    assert check(buy(), view()) is None

    conditions.distrust("v:X", "a gap", "book")
    assert check(buy(), view()) == "market data of v:X is stale: a gap"
    assert check(sell("1"), view("1")) is None
    assert check(buy(instrument=LISTED), view()) is not None


def test_nothing_leaves_an_account_that_was_never_reconciled() -> None:
    """R-35: exits neither, as what they would shrink is not known."""
    conditions = Conditions()
    conditions.block_account(ACCOUNT, "just started")
    check = Reconciled(conditions).check

    for order in (buy(), sell("1", reduce_only=True), sell("1", is_closing=True)):
        assert check(order, view("1")) == "account 'main' is not reconciled: just started"


def test_while_an_account_is_asked_again_only_what_shrinks_leaves() -> None:
    conditions = Conditions()
    conditions.doubt_account(ACCOUNT, "reconnected")
    check = Reconciled(conditions).check

    assert check(buy(), view("1")) is not None
    assert check(sell("1"), view("1")) is None
    conditions.confirm_account(ACCOUNT)
    assert check(buy(), view("1")) is None
