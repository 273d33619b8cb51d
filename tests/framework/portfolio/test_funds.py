"""Funds of runs and accounts: what each figure means; their sums are proved in `test_sums.py`."""

from decimal import Decimal

import pytest

from framework.model.account import CashBooked, CashReason
from framework.model.funds import CurrencyFunds
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import Fee
from framework.model.runs import Execution, Run
from framework.portfolio.funds import (
    account_funds,
    all_funds,
    allocation_refusal,
    net_profit,
    run_funds,
)
from framework.portfolio.ledger import Ledger

D = Decimal
SPOT = Instrument("v:BTCUSD", base="BTC")
PERPETUAL = Instrument("v:PERP", kind=InstrumentKind.PERPETUAL)
TABLE = {instrument.id: instrument for instrument in (SPOT, PERPETUAL)}
RUN = Run("r", "main", Execution.LIVE, allocation=D(1000))


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(TABLE.__getitem__)
    ledger.book_cash(CashBooked("main", "external", "USD", D(5000), CashReason.DEPOSIT, 1))
    return ledger


def buy(ledger: Ledger, instrument: Instrument, quantity: str, price: str, *fees: Fee) -> None:
    ledger.book(
        ledger.holding("main", "r", instrument),
        is_buy=True,
        quantity=D(quantity),
        price=D(price),
        fees=fees,
    )


def test_a_run_earns_pays_and_has_at_stake(ledger: Ledger) -> None:
    buy(ledger, SPOT, "2", "100", Fee("USD", D(1)), Fee("BTC", D("0.1")))
    ledger.book_cash(CashBooked("main", "r", "USD", D(-3), CashReason.FUNDING, 1))

    funds = run_funds(
        ledger,
        RUN,
        {SPOT.id: D(110)}.get,
        currency="USD",
        reserved={"USD": D(50)},
        account_reserved={"USD": D(80)},
        time_ns=9,
    )

    bitcoin, dollars = funds.sums
    assert dollars == CurrencyFunds(
        "USD",
        realised=D(0),
        unrealised=D(9),  # 1.9 × 110 − 200
        gross=D(9),
        charges=D(1),
        income=D(-3),
        net=D(5),
        equity=D(5),
        cash=D(-204),
        reserved=D(50),
        available=D(-254),
        exposure_gross=D(209),
        exposure_net=D(209),
    )
    assert (bitcoin.currency, bitcoin.charges, bitcoin.charges_in_kind) == ("BTC", D(0), D("0.1"))
    assert (funds.allocation_used, funds.allocation_left) == (D(250), D(750))
    assert funds.usable == D(750)
    assert funds.unmarked == ()
    assert net_profit(ledger, "main", "r", {SPOT.id: D(110)}.get, "USD") == D(5)


def test_what_is_usable_ends_with_the_cash_of_the_account(ledger: Ledger) -> None:
    rich = Run("r", "main", Execution.LIVE)

    def usable(run: Run, reserved: str) -> Decimal:
        return run_funds(
            ledger,
            run,
            lambda name: None,
            currency="USD",
            reserved={},
            account_reserved={"USD": D(reserved)},
            time_ns=1,
        ).usable

    assert usable(rich, "1000") == D(4000)
    assert usable(rich, "6000") == D(0)
    assert usable(RUN, "1000") == D(1000)
    assert usable(RUN, "4500") == D(500)


def test_a_position_without_a_mark_is_named_and_valued_at_its_cost(ledger: Ledger) -> None:
    buy(ledger, SPOT, "2", "100")
    buy(ledger, PERPETUAL, "1", "100")

    funds = account_funds(
        ledger, "main", {PERPETUAL.id: D(120)}.get, currency="USD", reserved={}, time_ns=1
    )

    assert funds.unmarked == (SPOT.id,)
    assert funds.sums[0].unrealised == D(20)
    assert funds.sums[0].equity == D(5020)


def test_all_funds_ask_each_price_once(ledger: Ledger) -> None:
    """Realised and unrealised only add up at one mark."""
    buy(ledger, SPOT, "2", "100")
    prices = iter([D(110), D(90)])
    runs = [RUN, Run("external", "main", Execution.LIVE)]

    whole, parts = all_funds(
        ledger,
        runs,
        lambda name: next(prices),
        account="main",
        currency="USD",
        reserved_of=lambda run: {"USD": D(7)} if run == "r" else {},
        time_ns=1,
    )

    assert whole.sums[0].unrealised == parts[0].sums[0].unrealised == D(20)
    assert whole.sums[0].reserved == D(7)
    assert [part.run for part in parts] == ["r", "external"]
    assert parts[1].allocation_left is None


def test_an_order_beyond_the_allocation_is_refused_with_the_figures() -> None:
    def refusal(run: Run, added: str, currency: str = "USD") -> str | None:
        return allocation_refusal(run, D(900), D(added), currency=currency, account_currency="USD")

    assert refusal(RUN, "100") is None
    assert refusal(RUN, "100.01") == (
        "allocation 1000 of run 'r': 900 is bound, the order adds 100.01"
    )
    assert refusal(RUN, "1", "EUR") == "allocation of run 'r' is in USD, the order in EUR"
    assert refusal(Run("r", "main", Execution.LIVE), "1E+20", "EUR") is None
