"""Positions moved between runs, and runs that hold more than their account."""

from decimal import Decimal

import pytest

from framework.errors import InvariantBroken
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import Bucket
from framework.model.records import PositionAssigned
from framework.portfolio.assignments import (
    Shortfall,
    assignment_price,
    assignment_refusal,
    unbacked,
)
from framework.portfolio.holding import Holding
from framework.portfolio.ledger import Ledger

D = Decimal
SPOT = Instrument("v:BTCUSD", base="BTC")
PERPETUAL = Instrument("v:PERP", kind=InstrumentKind.PERPETUAL, multiplier=D("0.5"))
FUTURE = Instrument("v:OIL", kind=InstrumentKind.FUTURE)
TABLE = {instrument.id: instrument for instrument in (SPOT, PERPETUAL, FUTURE)}


class Books:
    """A ledger with short ways to trade and to assign."""

    def __init__(self) -> None:
        self.ledger = Ledger(TABLE.__getitem__)

    def of(self, instrument: Instrument, run: str) -> Holding:
        return self.ledger.holding("main", run, instrument)

    def trade(self, instrument: Instrument, run: str, signed: str, price: str) -> None:
        quantity = D(signed)
        self.ledger.book(
            self.of(instrument, run), is_buy=quantity > 0, quantity=abs(quantity), price=D(price)
        )

    def assign(
        self, instrument: Instrument, source: str, target: str, signed: str, price: str
    ) -> list[Holding]:
        return self.ledger.assign(assigned(instrument, source, target, signed, price))

    def account(self) -> tuple[object, ...]:
        marks = {name: D(123) for name in TABLE}.get
        quantities = [
            self.ledger.account_quantity("main", name, Bucket()) for name in sorted(TABLE)
        ]
        cash = {name: amount for name, amount in self.ledger.cash("main").items() if amount}
        return quantities, cash, self.ledger.equity("main", marks)


def assigned(
    instrument: Instrument, source: str, target: str, signed: str, price: str
) -> PositionAssigned:
    return PositionAssigned("main", instrument.id, source, target, D(signed), D(price), 1, "")


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.mark.parametrize("instrument", [SPOT, PERPETUAL])
@pytest.mark.parametrize("sign", ["", "-"])
def test_an_assignment_leaves_the_account_as_it_was(
    books: Books, instrument: Instrument, sign: str
) -> None:
    books.trade(instrument, "external", f"{sign}3", "100")
    before, realised = books.account(), books.ledger.realised("main")

    changed = books.assign(instrument, "external", "r", f"{sign}1", "120")

    assert changed == [books.of(instrument, "external"), books.of(instrument, "r")]
    assert books.account() == before
    assert books.ledger.realised("main") == realised
    assert books.of(instrument, "r").quantity == D(f"{sign}1")


@pytest.mark.parametrize("instrument", [SPOT, PERPETUAL])
def test_the_profit_of_each_run_is_counted_from_the_price(
    books: Books, instrument: Instrument
) -> None:
    books.trade(instrument, "external", "2", "100")

    books.assign(instrument, "external", "r", "2", "120")
    books.trade(instrument, "r", "-2", "130")

    worth = 2 * instrument.multiplier
    for run, gain in (("external", 20 * worth), ("r", 10 * worth)):
        assert books.ledger.realised("main", run=run) == {"USD": gain}
        assert books.ledger.cash("main", run) == {"USD": gain}


def test_at_the_average_price_nobody_gains(books: Books) -> None:
    books.trade(PERPETUAL, "external", "2", "100")
    books.trade(PERPETUAL, "external", "1", "101")
    price = assignment_price(books.of(PERPETUAL, "external"))
    assert price == D("100.333333333333")

    books.assign(PERPETUAL, "external", "r", "3", str(price))

    assert books.of(PERPETUAL, "r").cost == D("150.5")
    assert abs(books.ledger.realised("main", run="r")["USD"]) < D("1e-11")


def test_what_the_taking_run_holds_on_the_other_side_is_closed_at_the_price(books: Books) -> None:
    """R-26: a position that was closed by hand at the venue is brought together again."""
    books.trade(PERPETUAL, "r", "1", "100")
    books.trade(PERPETUAL, "external", "-1", "90")

    books.assign(PERPETUAL, "external", "r", "-1", "90")

    for run in ("r", "external"):
        held = books.of(PERPETUAL, run)
        assert (held.quantity, held.cost) == (D(0), D(0))
    assert books.ledger.realised("main", run="r") == {"USD": D(-5)}
    assert books.ledger.cash("main") == {"USD": D(-5)}


def test_an_assignment_id_counts_once(books: Books) -> None:
    books.trade(SPOT, "external", "2", "100")
    record = PositionAssigned("main", SPOT.id, "external", "r", D(1), D(100), 1, "once")

    assert len(books.ledger.assign(record)) == 2
    assert books.ledger.assign(record) == []

    assert books.of(SPOT, "r").quantity == 1


def test_a_price_with_too_many_digits_is_kept_as_it_is(books: Books) -> None:
    books.trade(SPOT, "external", "3", "10000000000000000000000000")

    assert assignment_price(books.of(SPOT, "external")) == D("1E+25")


@pytest.mark.parametrize(
    ("signed", "price", "target", "reason"),
    [
        ("1", "100", "external", "run 'external' is both sides"),
        ("0", "100", "r", "run 'external' holds 2 v:BTCUSD, not 0"),
        ("2.1", "100", "r", "run 'external' holds 2 v:BTCUSD, not 2.1"),
        ("-1", "100", "r", "run 'external' holds 2 v:BTCUSD, not -1"),
        ("NaN", "100", "r", "quantity and price must be numbers"),
        ("1", "Infinity", "r", "quantity and price must be numbers"),
        ("1", "0", "r", "price 0 is not positive"),
    ],
)
def test_what_cannot_be_assigned_is_refused_with_the_reason(
    books: Books, signed: str, price: str, target: str, reason: str
) -> None:
    books.trade(SPOT, "external", "2", "100")
    record = assigned(SPOT, "external", target, signed, price)

    assert assignment_refusal(books.of(SPOT, "external"), record) == reason


def test_a_fitting_assignment_is_not_refused(books: Books) -> None:
    books.trade(SPOT, "external", "2", "100")
    books.trade(FUTURE, "external", "-2", "-37")

    spot, future = books.of(SPOT, "external"), books.of(FUTURE, "external")
    assert assignment_refusal(spot, assigned(SPOT, "external", "r", "2", "90")) is None
    assert assignment_refusal(future, assigned(FUTURE, "external", "r", "-1", "-40")) is None
    assert "holds 0" in str(assignment_refusal(None, assigned(SPOT, "external", "r", "2", "90")))


def test_the_ledger_moves_nothing_that_is_not_there(books: Books) -> None:
    with pytest.raises(InvariantBroken, match="'external' holds 0 v:BTCUSD, not 1"):
        books.assign(SPOT, "external", "r", "1", "100")
    assert books.ledger.cash("main") == {}


@pytest.mark.parametrize(
    ("long", "short", "venue", "missing", "concerned"),
    [
        ("5", "0", "5", None, ()),
        ("5", "0", "7", None, ()),  # what is more is nobody's here
        ("5", "0", "3", "2", ("a",)),
        ("5", "0", "-1", "6", ("a",)),
        ("0", "-5", "-2", "-3", ("b",)),
        ("0", "-5", "-8", None, ()),
        ("5", "-2", "1", "2", ("a",)),
        ("2", "-5", "0", "-3", ("b",)),
        ("5", "-5", "0", None, ()),
        ("5", "-5", "2", None, ()),
    ],
)
def test_a_shortfall_concerns_the_runs_that_hold_the_missing_side(
    books: Books, long: str, short: str, venue: str, missing: str | None, concerned: tuple[str]
) -> None:
    for run, signed in (("a", long), ("b", short), ("external", "50")):
        if D(signed):
            books.trade(PERPETUAL, run, signed, "100")

    found = unbacked(books.ledger, "main", PERPETUAL, D(venue))

    expected = None
    if missing is not None:
        expected = Shortfall("main", PERPETUAL.id, D(missing), concerned)
    assert found == expected


def test_a_shortfall_may_be_that_of_one_bucket(books: Books) -> None:
    for name in ("day", "carry"):
        held = books.ledger.holding("main", "a", SPOT, Bucket(name))
        books.ledger.book(held, is_buy=True, quantity=D(2), price=D(100))

    assert unbacked(books.ledger, "main", SPOT, D(2), bucket=Bucket("day")) is None
    shortfall = unbacked(books.ledger, "main", SPOT, D(1), bucket=Bucket("day"))
    assert shortfall is not None
    assert shortfall.missing == 1
