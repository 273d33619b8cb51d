"""Positions and cash: exact signed quantity and signed cost, and who they belong to.

Position key: (account, run, instrument, bucket); cash key: (account, run, currency). Cash,
quantities and fees of an account are the sums over its runs, the run `external` included.

    opening     quantity += q, cost += q × price × multiplier
    closing     released = cost × closed / quantity leaves the cost; realised = proceeds − released
    a flip      a close of all there is, then an open of the rest

A closing of everything releases the whole cost and a partial one rounds `released` to 12 decimal
places (half even), so that nothing is ever lost: Σ proceeds = Σ realised − Σ cost, exactly, as long
as no sum needs more than 28 digits. Cash: a spot, option or binary trade moves its full value, a
future or perpetual only what it realised (variation). A spot fee in the base asset is taken from
the holding and leaves its cost alone (R-75).

    equity = Σ cash + Σ value = Σ booked − Σ cash fees + Σ realised + Σ unrealised   (R-76)
"""

from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from framework.model.account import Account, Balance, CashBooked, CashReason, Settled
from framework.model.decimals import (
    CONTEXT,
    ONE,
    ZERO,
    absolute,
    add,
    divide,
    multiply,
    negate,
    subtract,
)
from framework.model.instrument import Instrument
from framework.model.orders import NO_BUCKET, Bucket, Fee
from framework.model.records import PositionAssigned
from framework.portfolio.assignments import move
from framework.portfolio.bookings import SeenBookings
from framework.portfolio.holding import Holding, is_base_asset
from framework.portfolio.ledger_state import HoldingState, LedgerState, RunPurse
from framework.portfolio.purse import Purses, increase
from framework.portfolio.settlements import Settlements

Mark = Callable[[str], Decimal | None]
"""The price to value an instrument at, or None where there is none yet."""

COST_STEP = Decimal("1e-12")
CAPITAL = frozenset(  # what is no profit and no loss; a correction sets right what we had missed
    {CashReason.DEPOSIT, CashReason.WITHDRAWAL, CashReason.TRANSFER, CashReason.CORRECTION}
)


class Ledger:
    """What every run on every account holds; a fill is booked once and never refused."""

    def __init__(self, instrument: Callable[[str], Instrument]) -> None:
        self._instrument = instrument
        self._holdings: dict[tuple[str, str, str, Bucket], Holding] = {}
        self._by_run: dict[tuple[str, str], list[Holding]] = {}
        self._by_account: dict[tuple[str, str, Bucket], list[Holding]] = {}
        self._purses = Purses()
        self._seen_bookings = SeenBookings()
        self.settlements = Settlements()

    def holding(
        self, account: str, run: str, instrument: Instrument, bucket: Bucket = NO_BUCKET
    ) -> Holding:
        """Return the position of that key, made flat where there is none yet."""
        key = (account, run, instrument.id, bucket)
        holding = self._holdings.get(key)
        if holding is None:
            holding = self._holdings[key] = Holding(
                account,
                run,
                instrument,
                bucket,
                purse=self._purses.of_run(account, run),
                account_purse=self._purses.of_account(account),
            )
            self._by_run.setdefault((run, instrument.id), []).append(holding)
            self._by_account.setdefault((account, instrument.id, bucket), []).append(holding)
        return holding

    def holdings(
        self, *, account: str | None = None, run: str | None = None, instrument: str | None = None
    ) -> Iterator[Holding]:
        """Yield the positions that fit, flat ones too, in the order of their first fill."""
        for holding in self._holdings.values():
            if (
                (account is None or holding.account == account)
                and (run is None or holding.run == run)
                and (instrument is None or holding.instrument.id == instrument)
            ):
                yield holding

    def of_run(self, run: str, instrument: str) -> list[Holding]:
        """Return a run's positions in an instrument, one per account and bucket; not to be kept."""
        return self._by_run.get((run, instrument), [])

    def net_quantity(self, run: str, instrument: str) -> Decimal:
        """Return what a run holds of an instrument over all buckets, signed."""
        holdings = self._by_run.get((run, instrument))
        return ZERO if holdings is None else _net(holdings)

    def account_quantity(self, account: str, instrument: str, bucket: Bucket) -> Decimal:
        """Return what an account holds over all of its runs, signed."""
        holdings = self._by_account.get((account, instrument, bucket))
        return ZERO if holdings is None else _net(holdings)

    def book(
        self,
        holding: Holding,
        *,
        is_buy: bool,
        quantity: Decimal,
        price: Decimal,
        fees: tuple[Fee, ...] = (),
    ) -> Decimal:
        """Book one fill and return the profit it realised, before fees."""
        instrument = holding.instrument
        value = multiply(price, quantity)
        if instrument.multiplier is not ONE:
            value = multiply(value, instrument.multiplier)
        if is_buy:
            signed = quantity
        else:
            signed = negate(quantity)
            value = negate(value)
        held = holding.quantity
        realised = ZERO
        if not held:
            holding.quantity, holding.cost = signed, value
        elif (held > ZERO) is is_buy:
            holding.quantity = add(held, signed)
            holding.cost = add(holding.cost, value)
        else:
            realised = _close(holding, signed, value, price)
        moved = negate(value) if holding.is_paid_in_full else realised
        currency, purse = instrument.currency, holding.purse
        for fee in fees:
            if fee.currency == currency:
                paid = purse.fees
                paid[currency] = add(paid.get(currency, ZERO), fee.amount)
                moved = subtract(moved, fee.amount)
            else:
                _charge(holding, fee)
        if moved:
            cash = purse.cash
            cash[currency] = add(cash.get(currency, ZERO), moved)
            cash = holding.account_purse.cash
            cash[currency] = add(cash.get(currency, ZERO), moved)
        return realised

    def unbook(
        self,
        holding: Holding,
        *,
        is_buy: bool,
        quantity: Decimal,
        price: Decimal,
        fees: tuple[Fee, ...] = (),
    ) -> Decimal:
        """Take a fill back that its venue corrected; return the profit this realised.

        It is booked as the opposite fill at the same price, with its fees returned. Quantity,
        cash, fees and realised + unrealised are then exact; how the last two split may differ
        from a history without the fill.
        """
        returned = tuple(Fee(fee.currency, negate(fee.amount)) for fee in fees)
        return self.book(holding, is_buy=not is_buy, quantity=quantity, price=price, fees=returned)

    def book_cash(self, booking: CashBooked) -> list[Holding] | None:
        """Book cash that moved without a trade; None where this booking id is known already.

        Where it moves the base asset of a spot instrument, the holding changes instead of cash
        (at no cost) and is returned.
        """
        if not self._seen_bookings.add(booking.account, booking.booking_id):
            return None
        if booking.instrument:
            instrument = self._instrument(booking.instrument)
            if is_base_asset(instrument, booking.currency):
                holding = self.holding(booking.account, booking.run, instrument)
                _adjust(holding, booking.amount)
                return [holding]
        purses = self._purses
        run_purse = purses.of_run(booking.account, booking.run)
        for purse in (run_purse, purses.of_account(booking.account)):
            increase(purse.cash, booking.currency, booking.amount)
            increase(purse.booked, booking.currency, booking.amount)
            if booking.reason in CAPITAL:
                increase(purse.capital, booking.currency, booking.amount)
        return []

    def settle(self, settled: Settled) -> list[Holding]:
        """Close every position of an ended instrument at its final price, once per settlement.

        Returns the positions that changed.
        """
        if not self._seen_bookings.add(settled.account, settled.settlement_id):
            return []
        self.settlements.note(settled)
        holdings = self.holdings(account=settled.account, instrument=settled.instrument)
        return [holding for holding in holdings if self._close_at(holding, settled.price)]

    def settle_late(self, holding: Holding, time_ns: int) -> None:
        """Close what a fill of `time_ns` left open if its instrument was settled since."""
        price = self.settlements.price_after(holding.account, holding.instrument.id, time_ns)
        if price is not None:
            self._close_at(holding, price)

    def _close_at(self, holding: Holding, price: Decimal) -> bool:
        held = holding.quantity
        if held:
            self.book(holding, is_buy=held < ZERO, quantity=absolute(held), price=price)
        return bool(held)

    def assign(self, assigned: PositionAssigned) -> list[Holding]:
        """Move a quantity from one run to another, once per assignment id (`assignments.move`).

        Returns the positions that changed.
        """
        account, bucket = assigned.account, assigned.bucket
        if not self._seen_bookings.add(account, assigned.assignment_id):
            return []
        instrument = self._instrument(assigned.instrument)
        source = self.holding(account, assigned.from_run, instrument, bucket)
        target = self.holding(account, assigned.to_run, instrument, bucket)
        move(self.book, source, target, quantity=assigned.quantity, price=assigned.price)
        return [source, target]

    def cash(self, account: str, run: str | None = None) -> dict[str, Decimal]:
        """Return cash per currency, of a run or of the whole account."""
        return dict(self._purses.read(account, run).cash)

    def fees(self, account: str, run: str | None = None) -> dict[str, Decimal]:
        """Return fees paid per currency, base-asset fees included, rebates negative."""
        return self._purses.fees(account, run)

    def booked(self, account: str, run: str | None = None) -> dict[str, Decimal]:
        """Return cash booked without a trade, per currency."""
        return dict(self._purses.read(account, run).booked)

    def capital(self, account: str, run: str | None = None) -> dict[str, Decimal]:
        """Return the part of `booked` that is neither profit nor loss: deposits and the like."""
        return dict(self._purses.read(account, run).capital)

    def account_event(
        self, account: str, time_ns: int, reserved: dict[str, Decimal] | None = None
    ) -> Account:
        """Return an account's balances; `reserved` is what open orders hold, per currency."""
        purse = self._purses.accounts.get(account)
        if purse is None:
            purse = self._purses.of_account(account)
        cash = purse.cash
        if len(cash) == 1 and not reserved:
            for currency, total in cash.items():
                return Account(account, time_ns, (Balance(currency, total),))
        if reserved:
            names = list(cash) + [name for name in reserved if name not in cash]
            balances = tuple([Balance(n, cash.get(n, ZERO), reserved.get(n, ZERO)) for n in names])
        else:
            balances = tuple([Balance(currency, total) for currency, total in cash.items()])
        return Account(account, time_ns, balances)

    def equity(self, account: str, mark: Mark, *, run: str | None = None) -> dict[str, Decimal]:
        """Return Σ cash + value of the positions, per currency.

        A spot, option or binary position is worth quantity × mark × multiplier, a future or
        perpetual its unrealised profit; a position without a mark counts at its cost.
        """
        totals = self.cash(account, run)
        for holding in self._open(account, run):
            value = holding.value(mark(holding.instrument.id))
            if not holding.is_paid_in_full:
                value = subtract(value, holding.cost)
            increase(totals, holding.instrument.currency, value)
        return totals

    def unrealised(self, account: str, mark: Mark, *, run: str | None = None) -> dict[str, Decimal]:
        """Return Σ (value − cost) of the open positions, per currency; without a mark: zero."""
        totals: dict[str, Decimal] = {}
        for holding in self._open(account, run):
            gain = subtract(holding.value(mark(holding.instrument.id)), holding.cost)
            increase(totals, holding.instrument.currency, gain)
        return totals

    def realised(self, account: str, *, run: str | None = None) -> dict[str, Decimal]:
        """Return Σ realised profit before fees, per currency."""
        totals: dict[str, Decimal] = {}
        for holding in self.holdings(account=account, run=run):
            increase(totals, holding.instrument.currency, holding.realised)
        return totals

    def state(self) -> LedgerState:
        """Return everything in the ledger as plain values; its purses are the ledger's own."""
        return LedgerState(
            tuple(
                HoldingState(
                    holding.account,
                    holding.run,
                    holding.instrument.id,
                    holding.bucket,
                    holding.quantity,
                    holding.cost,
                    holding.realised,
                )
                for holding in self._holdings.values()
            ),
            tuple(RunPurse(*key, purse) for key, purse in self._purses.runs.items()),
            self._purses.accounts,
            self._seen_bookings.state(),
            self.settlements.state(),
        )

    def load_state(self, state: LedgerState) -> None:
        """Take a state over into an empty ledger. Raises UnknownInstrument."""
        for item in state.purses:
            self._purses.runs[item.account, item.run] = item.purse
        self._purses.accounts.update(state.accounts)
        for held in state.holdings:
            instrument = self._instrument(held.instrument)
            holding = self.holding(held.account, held.run, instrument, held.bucket)
            holding.quantity, holding.cost = held.quantity, held.cost
            holding.realised = held.realised
        self._seen_bookings.load_state(state.seen_bookings)
        self.settlements.load_state(state.settlements)

    def _open(self, account: str, run: str | None) -> Iterator[Holding]:
        for holding in self.holdings(account=account, run=run):
            if holding.quantity or holding.cost:
                yield holding

    def is_booked(self, account: str, booking_id: str) -> bool:
        """Tell whether a booking, settlement or assignment of this id is known already."""
        return (account, booking_id) in self._seen_bookings


def _net(holdings: list[Holding]) -> Decimal:
    """Return what they hold together, signed; there is at least one."""
    net = holdings[0].quantity
    for holding in holdings[1:]:
        net = add(net, holding.quantity)
    return net


def _close(holding: Holding, signed: Decimal, value: Decimal, price: Decimal) -> Decimal:
    """Reduce a position by a fill of the other sign; what goes past zero opens the other side."""
    held, cost = holding.quantity, holding.cost
    left = add(held, signed)
    if not left:
        realised = negate(add(value, cost))
        holding.quantity = holding.cost = ZERO
    elif (left > ZERO) is (held > ZERO):
        released = _share(cost, signed, held)
        realised = negate(add(value, released))
        holding.quantity, holding.cost = left, subtract(cost, released)
    else:
        opened = holding.instrument.notional(price, left)  # dividing `value` would round
        realised = subtract(subtract(opened, value), cost)
        holding.quantity, holding.cost = left, opened
    holding.realised = add(holding.realised, realised)
    return realised


def _share(cost: Decimal, signed: Decimal, held: Decimal) -> Decimal:
    """Return cost × |signed| / |held|, rounded to `COST_STEP` where the digits allow."""
    share = divide(multiply(cost, negate(signed)), held)
    try:
        return share.quantize(COST_STEP, ROUND_HALF_EVEN, CONTEXT)
    except InvalidOperation:  # more than 16 digits before the point: keep the 28 there are
        return share


def _pay(holding: Holding, currency: str, amount: Decimal) -> None:
    cash = holding.purse.cash
    cash[currency] = add(cash.get(currency, ZERO), amount)
    cash = holding.account_purse.cash
    cash[currency] = add(cash.get(currency, ZERO), amount)


def _charge(holding: Holding, fee: Fee) -> None:
    """Book a fee in another currency than the instrument's: the base asset, or any other."""
    currency, amount = fee.currency, fee.amount
    fees = holding.purse.fees
    fees[currency] = add(fees.get(currency, ZERO), amount)
    if is_base_asset(holding.instrument, currency):
        _adjust(holding, negate(amount))
    else:
        _pay(holding, currency, negate(amount))


def _adjust(holding: Holding, amount: Decimal) -> None:
    """Change what is held without a price; a position that this ends or turns realises its cost."""
    held = holding.quantity
    left = holding.quantity = add(held, amount)
    if holding.cost and (not left or (left > ZERO) is not (held > ZERO)):
        holding.realised = subtract(holding.realised, holding.cost)
        holding.cost = ZERO
