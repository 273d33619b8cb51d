"""The ledger against an oracle that counts in fractions."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.model.account import CashBooked, CashReason, Settled
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import Bucket, Fee
from framework.portfolio import settlements
from framework.portfolio.holding import Holding
from framework.portfolio.ledger import Ledger

D = Decimal
SPOT = Instrument("v:BTCUSD", base="BTC")
PERPETUAL = Instrument("v:PERP", kind=InstrumentKind.PERPETUAL, multiplier=D("0.5"))
OPTION = Instrument("v:CALL", kind=InstrumentKind.OPTION, multiplier=D(100))
INSTRUMENTS = {instrument.id: instrument for instrument in (SPOT, PERPETUAL, OPTION)}


def new_ledger() -> Ledger:
    return Ledger(INSTRUMENTS.__getitem__)


def book(
    ledger: Ledger,
    instrument: Instrument,
    signed: str,
    price: str,
    *,
    run: str = "r",
    fees: tuple[Fee, ...] = (),
) -> Decimal:
    quantity = D(signed)
    return ledger.book(
        ledger.holding("main", run, instrument),
        is_buy=quantity > 0,
        quantity=abs(quantity),
        price=D(price),
        fees=fees,
    )


def holding(ledger: Ledger, instrument: Instrument, run: str = "r") -> Holding:
    return ledger.holding("main", run, instrument)


def deposit(amount: str, currency: str = "USD", **fields: str) -> CashBooked:
    return CashBooked("main", "r", currency, D(amount), CashReason.DEPOSIT, 1, **fields)


def test_a_round_trip_realises_its_profit() -> None:
    ledger = new_ledger()
    book(ledger, SPOT, "2", "100")
    book(ledger, SPOT, "1", "130")
    assert holding(ledger, SPOT).event(1).average_price == D(110)

    assert book(ledger, SPOT, "-3", "120") == D(30)
    assert (holding(ledger, SPOT).quantity, holding(ledger, SPOT).cost) == (D(0), D(0))
    assert ledger.cash("main") == {"USD": D(30)}


def test_a_flip_is_a_close_plus_an_open() -> None:
    """R-75."""
    once, twice = new_ledger(), new_ledger()
    for ledger in (once, twice):
        book(ledger, PERPETUAL, "2", "100")
    book(once, PERPETUAL, "-5", "90")
    book(twice, PERPETUAL, "-2", "90")
    book(twice, PERPETUAL, "-3", "90")

    for ledger in (once, twice):
        held = holding(ledger, PERPETUAL)
        assert (held.quantity, held.cost, held.realised) == (D(-3), D(-135), D(-10))
        assert ledger.cash("main") == {"USD": D(-10)}  # only what was realised


def test_a_third_loses_nothing() -> None:
    ledger = new_ledger()
    book(ledger, SPOT, "3", "33.33")
    book(ledger, SPOT, "1", "0.01")

    for _ in range(4):
        book(ledger, SPOT, "-1", "20")

    assert holding(ledger, SPOT).cost == 0
    assert holding(ledger, SPOT).realised == D(80) - D("100.00")


def test_a_premium_moves_in_full_and_a_future_only_its_variation() -> None:
    ledger = new_ledger()
    book(ledger, OPTION, "1", "2.5")
    book(ledger, PERPETUAL, "4", "50")
    assert ledger.cash("main") == {"USD": D(-250)}

    marks = {"v:CALL": D(3), "v:PERP": D(60)}.get
    assert ledger.equity("main", marks) == {"USD": D(-250) + D(300) + D(20)}
    assert ledger.unrealised("main", marks) == {"USD": D(50) + D(20)}


def test_a_position_without_a_mark_counts_at_its_cost() -> None:
    ledger = new_ledger()
    ledger.book_cash(deposit("1000"))
    book(ledger, SPOT, "2", "100")
    book(ledger, PERPETUAL, "2", "100")

    assert ledger.equity("main", lambda instrument: None) == {"USD": D(1000)}


def test_a_fee_in_the_base_asset_is_taken_from_the_holding() -> None:
    """R-75."""
    ledger = new_ledger()

    book(ledger, SPOT, "1", "100", fees=(Fee("BTC", D("0.001")), Fee("BNB", D("0.1"))))

    assert holding(ledger, SPOT).quantity == D("0.999")
    assert holding(ledger, SPOT).cost == D(100)
    assert ledger.cash("main") == {"USD": D(-100), "BNB": D("-0.1")}
    assert ledger.fees("main") == {"BTC": D("0.001"), "BNB": D("0.1")}


def test_a_fee_that_eats_the_whole_holding_realises_its_cost() -> None:
    ledger = new_ledger()

    book(ledger, SPOT, "1", "100", fees=(Fee("BTC", D(1)),))

    held = holding(ledger, SPOT)
    assert (held.quantity, held.cost, held.realised) == (D(0), D(0), D(-100))


def test_a_transfer_of_the_base_asset_changes_the_holding() -> None:
    """R-75: ± transfers."""
    ledger = new_ledger()

    changed = ledger.book_cash(deposit("0.5", "BTC", instrument="v:BTCUSD"))

    assert changed == [holding(ledger, SPOT)]
    assert holding(ledger, SPOT).quantity == D("0.5")
    assert ledger.cash("main") == {}


def test_a_booking_with_an_id_counts_once() -> None:
    """R-24."""
    ledger = new_ledger()

    assert ledger.book_cash(deposit("5", booking_id="x")) == []
    assert ledger.book_cash(deposit("5", booking_id="x")) is None
    assert ledger.book_cash(deposit("5")) == []
    assert ledger.book_cash(deposit("5")) == []

    assert ledger.cash("main") == ledger.booked("main") == {"USD": D(15)}


def test_a_settlement_closes_all_runs_at_one_price_once() -> None:
    ledger = new_ledger()
    book(ledger, OPTION, "2", "1")
    book(ledger, OPTION, "-1", "1", run="other")
    settled = Settled("main", "v:CALL", D(0), 9, "s")

    assert len(ledger.settle(settled)) == 2
    assert ledger.settle(settled) == []

    assert ledger.realised("main", run="r") == {"USD": D(-200)}
    assert ledger.realised("main", run="other") == {"USD": D(100)}


def test_a_fill_that_is_heard_of_after_the_settlement_is_closed_at_its_price() -> None:
    """Snapshots remember settlements too; what is traded afterwards is not late."""
    first = new_ledger()
    first.settle(Settled("main", "v:CALL", D(2), 9, "s"))
    ledger = new_ledger()
    ledger.load_state(first.state())
    assert not ledger.settlements.are_none

    late = ledger.holding("main", "r", OPTION)
    ledger.book(late, is_buy=False, quantity=D(3), price=D(1))
    ledger.settle_late(late, 9)
    assert late.quantity == -3
    ledger.settle_late(late, 8)
    ledger.settle_late(late, 8)

    assert late.quantity == 0
    assert ledger.realised("main", run="r") == ledger.cash("main") == {"USD": D(-300)}
    other = ledger.holding("main", "r", SPOT)
    ledger.book(other, is_buy=True, quantity=D(1), price=D(100))
    ledger.settle_late(other, 8)
    assert other.quantity == 1


def test_only_the_newest_settlements_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlements, "REMEMBERED", 2)
    known = settlements.Settlements()
    for number, name in enumerate(("v:A", "v:B", "v:A", "v:C")):
        known.note(Settled("main", name, D(1), number, f"s{number}"))

    assert [one.instrument for one in known.state()] == ["v:A", "v:C"]
    assert known.price_after("main", "v:B", 0) is None


def test_buckets_of_one_instrument_are_kept_apart() -> None:
    ledger = new_ledger()
    day = ledger.holding("main", "r", SPOT, Bucket("day"))
    ledger.book(day, is_buy=True, quantity=D(2), price=D(100))
    book(ledger, SPOT, "-1", "100")

    assert ledger.net_quantity("r", "v:BTCUSD") == D(1)
    assert ledger.account_quantity("main", "v:BTCUSD", Bucket("day")) == D(2)


@pytest.mark.parametrize("instrument", [SPOT, PERPETUAL])
def test_a_fill_taken_back_leaves_cash_and_equity_as_if_it_had_never_been(
    instrument: Instrument,
) -> None:
    with_bust, without = new_ledger(), new_ledger()
    fee = (Fee("USD", D(1)),)
    for ledger in (with_bust, without):
        book(ledger, instrument, "3", "100", fees=fee)
    book(with_bust, instrument, "2", "120", fees=fee)
    for ledger in (with_bust, without):
        book(ledger, instrument, "-2", "130", fees=fee)

    with_bust.unbook(
        holding(with_bust, instrument), is_buy=True, quantity=D(2), price=D(120), fees=fee
    )

    marks = {instrument.id: D(140)}.get
    assert holding(with_bust, instrument).quantity == holding(without, instrument).quantity
    assert with_bust.equity("main", marks) == without.equity("main", marks)
    assert with_bust.fees("main") == without.fees("main")


# --- the oracle -----------------------------------------------------------------------------


@dataclass
class Oracle:
    """Totals by definition, in fractions: it knows neither averages nor realised profit."""

    holdings: dict[tuple[str, str], Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    spent: dict[tuple[str, str], Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    booked: Fraction = Fraction(0)
    fees: dict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))

    def equity(self, marks: dict[str, Decimal]) -> Fraction:
        """Return Σ booked − Σ fees in USD + Σ (value now − what was spent on it)."""
        total = self.booked - self.fees["USD"]
        for key, spent in self.spent.items():
            instrument = INSTRUMENTS[key[1]]
            worth = Fraction(marks[key[1]]) * Fraction(instrument.multiplier)
            total += self.holdings[key] * worth - spent
        return total


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(D(low), D(high), places=places, allow_nan=False, allow_infinity=False)


RUNS = ("r", "s", "external")
PRICES = decimals("0.01", "99999.99", 2)
STEPS = st.one_of(
    st.tuples(
        st.just("fill"),
        st.sampled_from(RUNS),
        st.sampled_from(sorted(INSTRUMENTS)),
        st.booleans(),
        decimals("0.001", "50", 3),
        PRICES,
        st.lists(
            st.tuples(st.sampled_from(["USD", "BTC", "BNB"]), decimals("-0.01", "0.5", 4)),
            max_size=2,
        ),
    ),
    st.tuples(st.just("cash"), st.sampled_from(RUNS), decimals("-1000", "1000", 2)),
    st.tuples(st.just("asset"), st.sampled_from(RUNS), decimals("-1", "1", 4)),
    st.tuples(st.just("settle"), st.sampled_from(sorted(INSTRUMENTS)), PRICES),
)


def apply_fill(ledger: Ledger, oracle: Oracle, step: tuple) -> None:  # type: ignore[type-arg]
    _, run, name, is_buy, quantity, price, fees = step
    instrument = INSTRUMENTS[name]
    ledger.book(
        ledger.holding("main", run, instrument),
        is_buy=is_buy,
        quantity=quantity,
        price=price,
        fees=tuple(Fee(currency, amount) for currency, amount in fees),
    )
    signed = Fraction(quantity) * (1 if is_buy else -1)
    oracle.holdings[run, name] += signed
    oracle.spent[run, name] += signed * Fraction(price) * Fraction(instrument.multiplier)
    for currency, amount in fees:
        oracle.fees[currency] += Fraction(amount)
        if currency == instrument.base:
            oracle.holdings[run, name] -= Fraction(amount)


def apply_step(ledger: Ledger, oracle: Oracle, step: tuple) -> None:  # type: ignore[type-arg]
    if step[0] == "fill":
        apply_fill(ledger, oracle, step)
    elif step[0] == "cash":
        ledger.book_cash(CashBooked("main", step[1], "USD", step[2], CashReason.FUNDING, 1))
        oracle.booked += Fraction(step[2])
    elif step[0] == "asset":
        ledger.book_cash(
            CashBooked("main", step[1], "BTC", step[2], CashReason.TRANSFER, 1, "", "v:BTCUSD")
        )
        oracle.holdings[step[1], "v:BTCUSD"] += Fraction(step[2])
        oracle.spent[step[1], "v:BTCUSD"] += 0
    else:
        ledger.settle(Settled("main", step[1], step[2], 1))
        worth = Fraction(step[2]) * Fraction(INSTRUMENTS[step[1]].multiplier)
        for run in RUNS:
            oracle.spent[run, step[1]] -= oracle.holdings[run, step[1]] * worth
            oracle.holdings[run, step[1]] = Fraction(0)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=50), st.tuples(PRICES, PRICES, PRICES))
def test_holdings_cash_and_equity_equal_the_oracle_after_every_step(
    steps: list[tuple],  # type: ignore[type-arg]
    prices: tuple[Decimal, Decimal, Decimal],
) -> None:
    """R-75, R-76: exact, per run and in sum, with fees, transfers, funding and settlement."""
    ledger, oracle = new_ledger(), Oracle()
    marks = dict(zip(sorted(INSTRUMENTS), prices, strict=True))
    for step in steps:
        apply_step(ledger, oracle, step)

        for held in ledger.holdings():
            assert Fraction(held.quantity) == oracle.holdings[held.run, held.instrument.id]
            if not held.quantity:
                assert not held.cost
        assert Fraction(ledger.equity("main", marks.get).get("USD", D(0))) == oracle.equity(marks)
        by_parts = (
            ledger.booked("main").get("USD", D(0))
            - ledger.fees("main").get("USD", D(0))
            + ledger.realised("main").get("USD", D(0))
            + ledger.unrealised("main", marks.get).get("USD", D(0))
        )
        assert Fraction(by_parts) == oracle.equity(marks)


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=50), st.tuples(PRICES, PRICES, PRICES))
def test_runs_and_external_sum_exactly_to_the_account(
    steps: list[tuple],  # type: ignore[type-arg]
    prices: tuple[Decimal, Decimal, Decimal],
) -> None:
    ledger, oracle = new_ledger(), Oracle()
    marks = dict(zip(sorted(INSTRUMENTS), prices, strict=True))
    for step in steps:
        apply_step(ledger, oracle, step)

    for whole, parts in (
        (ledger.cash("main"), [ledger.cash("main", run) for run in RUNS]),
        (ledger.fees("main"), [ledger.fees("main", run) for run in RUNS]),
        (
            ledger.equity("main", marks.get),
            [ledger.equity("main", marks.get, run=run) for run in RUNS],
        ),
    ):
        for currency, total in whole.items():
            assert total == sum((part.get(currency, D(0)) for part in parts), D(0))
    assert {currency: Fraction(fee) for currency, fee in ledger.fees("main").items() if fee} == {
        currency: fee for currency, fee in oracle.fees.items() if fee
    }


FILLS = st.lists(
    st.tuples(st.booleans(), decimals("0.001", "50", 3), PRICES), min_size=1, max_size=12
)


@settings(max_examples=150, deadline=None)
@given(FILLS, st.sampled_from(sorted(INSTRUMENTS)), st.randoms(use_true_random=False))
def test_the_same_fills_grouped_or_ordered_otherwise_hold_the_same(
    fills: list[tuple[bool, Decimal, Decimal]], name: str, chance: object
) -> None:
    """R-75, R-79: holding and equity do not depend on order, nor on how fills were split."""
    instrument = INSTRUMENTS[name]
    shuffled = [
        (is_buy, part, price)
        for is_buy, quantity, price in fills
        for part in (quantity / 2, quantity / 2)
    ]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    ledgers = []
    for sequence in (fills, shuffled):
        ledger = new_ledger()
        for is_buy, quantity, price in sequence:
            ledger.book(holding(ledger, instrument), is_buy=is_buy, quantity=quantity, price=price)
        ledgers.append(ledger)

    one, other = ledgers
    assert holding(one, instrument).quantity == holding(other, instrument).quantity
    marks = {name: D(777)}.get
    assert one.equity("main", marks) == other.equity("main", marks)
