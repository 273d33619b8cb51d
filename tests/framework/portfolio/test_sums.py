"""The sums of runs, `external` and account after every event, against an oracle in fractions.

The oracle knows neither averages nor realised profit: what a run has is what it was given, less
what it spent. One instrument is in a currency of its own, so that all cash in USD is exact.
"""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from framework.model.account import CashBooked, CashReason, Settled
from framework.model.funds import CurrencyFunds
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import NO_BUCKET, Bucket, Fee
from framework.model.records import PositionAssigned
from framework.model.runs import Execution, Run
from framework.portfolio.funds import all_funds
from framework.portfolio.ledger import CAPITAL, Ledger

D = Decimal
ZERO = D(0)
SPOT = Instrument("v:BTCUSD", base="BTC")
OPTION = Instrument("v:CALL", kind=InstrumentKind.OPTION, multiplier=D(100))
PERPETUAL = Instrument("v:PERP", currency="EUR", kind=InstrumentKind.PERPETUAL, multiplier=D("0.5"))
TABLE = {instrument.id: instrument for instrument in (SPOT, OPTION, PERPETUAL)}
NAMES = tuple(sorted(TABLE))
RUNS = ("r", "s", "external")
BUCKETS = (NO_BUCKET, Bucket("day"))
CURRENCIES = ("USD", "EUR", "BTC", "BNB")
Key = tuple[str, str, Bucket]


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(D(low), D(high), places=places, allow_nan=False, allow_infinity=False)


PRICES = decimals("0.01", "9999.99", 2)
QUANTITIES = decimals("0.001", "20", 3)
FEES = st.lists(
    st.tuples(st.sampled_from(CURRENCIES), decimals("-0.01", "0.5", 4)), max_size=2
).map(lambda pairs: tuple(Fee(*pair) for pair in pairs))
KEYS = st.tuples(st.sampled_from(RUNS), st.sampled_from(NAMES), st.sampled_from(BUCKETS))


class Sums(RuleBasedStateMachine):
    """R-75, R-76: netting, buckets, base-asset fees, corrections, settlements, assignments.

    A fill is (key, is_buy, quantity, price, fees).
    """

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(TABLE.__getitem__)
        self.held: dict[Key, Fraction] = defaultdict(Fraction)
        self.spent: dict[tuple[str, str], Fraction] = defaultdict(Fraction)  # run, instrument
        self.fees: dict[tuple[str, str], Fraction] = defaultdict(Fraction)  # run, currency
        self.paid: dict[tuple[str, str], Fraction] = defaultdict(Fraction)  # of them, as cash
        self.capital: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        self.income: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        self.fills: list[tuple[Key, bool, Decimal, Decimal, tuple[Fee, ...]]] = []
        self.marks: dict[str, Decimal] = {}
        self.count = 0

    @initialize(prices=st.tuples(PRICES, PRICES, PRICES))
    def begin(self, prices: tuple[Decimal, Decimal, Decimal]) -> None:
        self.marks = dict(zip(NAMES, prices, strict=True))

    @rule(key=KEYS, is_buy=st.booleans(), quantity=QUANTITIES, price=PRICES, fees=FEES)
    def fill(
        self, key: Key, is_buy: bool, quantity: Decimal, price: Decimal, fees: tuple[Fee, ...]
    ) -> None:
        self.trade(key, is_buy, quantity, price, fees, takes_back=False)
        self.fills.append((key, is_buy, quantity, price, fees))

    @precondition(lambda self: self.fills)
    @rule(data=st.data(), share=st.sampled_from([D(0), D("0.5"), D(2)]), price=PRICES)
    def correct(self, data: st.DataObject, share: Decimal, price: Decimal) -> None:
        """A venue changes an execution, or (share 0) busts it."""
        index = data.draw(st.integers(0, len(self.fills) - 1))
        key, is_buy, quantity, old_price, fees = self.fills.pop(index)
        self.trade(key, is_buy, quantity, old_price, fees, takes_back=True)
        if share:
            self.fill(key, is_buy, quantity * share, price, fees)

    @rule(
        run=st.sampled_from(RUNS),
        currency=st.sampled_from(CURRENCIES),
        amount=decimals("-1000", "1000", 2),
        reason=st.sampled_from(CashReason),
        times=st.integers(1, 2),
    )
    def book_cash(
        self, run: str, currency: str, amount: Decimal, reason: CashReason, times: int
    ) -> None:
        """R-24: a booking that is told of twice counts once."""
        self.count += 1
        booking = CashBooked("main", run, currency, amount, reason, 1, f"b{self.count}")
        for _ in range(times):
            self.ledger.book_cash(booking)
        books = self.capital if reason in CAPITAL else self.income
        books[run, currency] += Fraction(amount)

    @rule(run=st.sampled_from(RUNS), amount=decimals("-5", "5", 4))
    def transfer_the_base_asset(self, run: str, amount: Decimal) -> None:
        booking = CashBooked("main", run, "BTC", amount, CashReason.TRANSFER, 1, "", SPOT.id)
        self.ledger.book_cash(booking)
        self.held[run, SPOT.id, NO_BUCKET] += Fraction(amount)

    @rule(name=st.sampled_from(NAMES), price=PRICES)
    def settle(self, name: str, price: Decimal) -> None:
        self.ledger.settle(Settled("main", name, price, 1))
        worth = Fraction(price) * Fraction(TABLE[name].multiplier)
        for (run, instrument, bucket), quantity in list(self.held.items()):
            if instrument == name:
                self.spent[run, name] -= quantity * worth
                self.held[run, name, bucket] = Fraction(0)

    @rule(
        giver=st.sampled_from(RUNS),
        taker=st.sampled_from(RUNS),
        name=st.sampled_from(NAMES),
        bucket=st.sampled_from(BUCKETS),
        share=st.sampled_from([D(1), D("0.5")]),
        price=PRICES,
    )
    def assign(
        self, giver: str, taker: str, name: str, bucket: Bucket, share: Decimal, price: Decimal
    ) -> None:
        """The account holds, has and is worth the same after it; only netting moves cash."""
        instrument = TABLE[name]
        giving = self.ledger.holding("main", giver, instrument, bucket)
        quantity = giving.quantity * share
        if giver == taker or not quantity:
            return
        taking = self.ledger.holding("main", taker, instrument, bucket).quantity
        before = nonzero(self.ledger.cash("main"))
        self.count += 1
        record = PositionAssigned(
            "main", name, giver, taker, quantity, price, 1, f"a{self.count}", bucket
        )
        self.ledger.assign(record)
        self.ledger.assign(record)
        if taking * quantity >= 0 or instrument is not PERPETUAL:
            assert nonzero(self.ledger.cash("main")) == before
        value = Fraction(quantity) * Fraction(price) * Fraction(instrument.multiplier)
        for run, sign in ((giver, -1), (taker, 1)):
            self.held[run, name, bucket] += sign * Fraction(quantity)
            self.spent[run, name] += sign * value

    def trade(
        self,
        key: Key,
        is_buy: bool,
        quantity: Decimal,
        price: Decimal,
        fees: tuple[Fee, ...],
        *,
        takes_back: bool,
    ) -> None:
        run, name, bucket = key
        instrument = TABLE[name]
        book = self.ledger.unbook if takes_back else self.ledger.book
        holding = self.ledger.holding("main", run, instrument, bucket)
        book(holding, is_buy=is_buy, quantity=quantity, price=price, fees=fees)
        sign = -1 if takes_back else 1
        signed = Fraction(quantity) * (sign if is_buy else -sign)
        self.held[key] += signed
        self.spent[run, name] += signed * Fraction(price) * Fraction(instrument.multiplier)
        for fee in fees:
            amount = sign * Fraction(fee.amount)
            self.fees[run, fee.currency] += amount
            if fee.currency == instrument.base:
                self.held[key] -= amount
            else:
                self.paid[run, fee.currency] += amount

    @invariant()
    def quantities_are_those_of_the_oracle(self) -> None:
        for key, quantity in self.held.items():
            holding = self.ledger.holding("main", key[0], TABLE[key[1]], key[2])
            assert Fraction(holding.quantity) == quantity
            assert holding.quantity or not holding.cost

    @invariant()
    def funds_are_those_of_the_oracle_and_add_up(self) -> None:
        if not self.marks:
            return
        runs = [Run(name, "main", Execution.LIVE) for name in RUNS]
        whole, parts = all_funds(
            self.ledger,
            runs,
            self.marks.get,
            account="main",
            currency="USD",
            reserved_of=lambda run: {"USD": D(1)},
            time_ns=1,
        )
        for part in parts:
            for sums in part.sums:
                self.check_run(part.run, sums)
        for sums in whole.sums:
            alike = [of(part.sums, sums.currency) for part in parts]
            for name in ("gross", "charges", "charges_in_kind", "income", "net", "capital"):
                assert getattr(sums, name) == sum((getattr(one, name) for one in alike), ZERO)
            for name in ("equity", "cash", "exposure_net", "reserved"):
                assert getattr(sums, name) == sum((getattr(one, name) for one in alike), ZERO)
            assert sums.exposure_gross <= sum((one.exposure_gross for one in alike), ZERO)
            assert sums.net == sums.gross - sums.charges + sums.income

    def check_run(self, run: str, sums: CurrencyFunds) -> None:
        """R-76: equity = Σ booked − Σ fees + Σ (worth now − spent), per run and currency."""
        currency = sums.currency
        assert Fraction(sums.charges) == self.paid[run, currency]
        assert Fraction(sums.charges + sums.charges_in_kind) == self.fees[run, currency]
        assert Fraction(sums.capital) == self.capital[run, currency]
        assert Fraction(sums.income) == self.income[run, currency]
        assert sums.equity == sums.capital + sums.net
        cash = self.capital[run, currency] + self.income[run, currency] - self.paid[run, currency]
        equity = cash
        for name in NAMES:
            if TABLE[name].currency == currency:
                worth = Fraction(self.marks[name]) * Fraction(TABLE[name].multiplier)
                held = sum((self.held[run, name, bucket] for bucket in BUCKETS), Fraction(0))
                equity += held * worth - self.spent[run, name]
                cash -= self.spent[run, name]
        assert Fraction(sums.equity) == equity
        if currency == "USD":  # where every trade is paid in full
            assert Fraction(sums.cash) == cash


def of(sums: tuple[CurrencyFunds, ...], currency: str) -> CurrencyFunds:
    for found in sums:
        if found.currency == currency:
            return found
    return CurrencyFunds(currency)


def nonzero(totals: dict[str, Decimal]) -> dict[str, Decimal]:
    return {name: amount for name, amount in totals.items() if amount}


TestSums = Sums.TestCase
TestSums.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


FILLS = st.lists(
    st.tuples(KEYS, st.booleans(), QUANTITIES, PRICES, FEES, st.sampled_from([1, 2, 4])),
    max_size=10,
)


@given(FILLS, st.randoms(use_true_random=False), st.tuples(PRICES, PRICES, PRICES))
def test_however_fills_are_split_ordered_and_given_to_runs_the_account_is_the_same(
    fills: list[tuple[Key, bool, Decimal, Decimal, tuple[Fee, ...], int]],
    chance: Random,
    prices: tuple[Decimal, Decimal, Decimal],
) -> None:
    """R-75, R-79: quantity, fees, worth at one mark, and cash where trades are paid in full."""
    parts = [
        (key, is_buy, quantity / pieces, price, () if piece else fees)
        for key, is_buy, quantity, price, fees, pieces in fills
        for piece in range(pieces)
    ]
    others = list(parts)
    chance.shuffle(others)
    one, other = Sums(), Sums()
    for key, is_buy, quantity, price, fees in parts:
        one.fill(key, is_buy, quantity, price, fees)
    for (_, name, bucket), is_buy, quantity, price, fees in others:
        other.fill(("r", name, bucket), is_buy, quantity, price, fees)

    marks = dict(zip(NAMES, prices, strict=True)).get
    found = []
    for ledger in (one.ledger, other.ledger):
        cash = nonzero(ledger.cash("main"))
        cash.pop("EUR", None)  # a future pays what it realises, and netting decides when
        held = [ledger.account_quantity("main", name, b) for name in NAMES for b in BUCKETS]
        equity = nonzero(ledger.equity("main", marks))
        found.append((held, nonzero(ledger.fees("main")), equity, cash))
    assert found[0] == found[1]
