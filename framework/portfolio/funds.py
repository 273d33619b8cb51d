"""Funds per run and per account: profit, charges, exposure and cash, all at one mark.

Over the runs of an account and `external`, each of these sums exactly to the account's: cash, fees,
capital, income, net profit, equity, exposure_net, and gross profit; exposure_gross is at least the
account's own where runs hold opposite sides.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from framework.model.decimals import ZERO, absolute, add, subtract
from framework.model.funds import AccountFunds, CurrencyFunds, RunFunds
from framework.model.runs import Run
from framework.portfolio.exposure import exposure
from framework.portfolio.ledger import Ledger, Mark
from framework.portfolio.marks import taken
from framework.portfolio.purse import increase

Reserved = Mapping[str, Decimal]
"""What open and in-doubt orders reserve, per currency."""


def run_funds(
    ledger: Ledger,
    run: Run,
    mark: Mark,
    *,
    currency: str,
    reserved: Reserved,
    account_reserved: Reserved,
    time_ns: int,
) -> RunFunds:
    """Return a run's funds; `currency` is its account's, `reserved` its own orders' share."""
    marks = taken(mark, ledger.holdings(account=run.account, run=run.id))
    used = capital_used(ledger, run, currency, reserved)
    left = None if run.allocation is None else subtract(run.allocation, used)
    cash = ledger.cash(run.account).get(currency, ZERO)
    usable = subtract(cash, account_reserved.get(currency, ZERO))
    if left is not None and left < usable:
        usable = left
    return RunFunds(
        run.id,
        run.account,
        currency,
        time_ns,
        currency_sums(ledger, run.account, marks.get, reserved, run=run.id),
        run.allocation,
        used,
        left,
        usable if usable > ZERO else ZERO,
        unmarked(ledger, run.account, marks, run=run.id),
    )


def account_funds(
    ledger: Ledger, account: str, mark: Mark, *, currency: str, reserved: Reserved, time_ns: int
) -> AccountFunds:
    """Return an account's funds over all its runs."""
    marks = taken(mark, ledger.holdings(account=account))
    sums = currency_sums(ledger, account, marks.get, reserved)
    return AccountFunds(account, currency, time_ns, sums, unmarked(ledger, account, marks))


def all_funds(
    ledger: Ledger,
    runs: list[Run],
    mark: Mark,
    *,
    account: str,
    currency: str,
    reserved_of: Callable[[str], Reserved],
    time_ns: int,
) -> tuple[AccountFunds, list[RunFunds]]:
    """Return an account's funds and those of `runs` on it, all at one and the same mark."""
    marks = taken(mark, ledger.holdings(account=account))
    own = {run.id: reserved_of(run.id) for run in runs}
    total: dict[str, Decimal] = {}
    for reserved in own.values():
        for name, amount in reserved.items():
            increase(total, name, amount)
    whole = account_funds(
        ledger, account, marks.get, currency=currency, reserved=total, time_ns=time_ns
    )
    parts = [
        run_funds(
            ledger,
            run,
            marks.get,
            currency=currency,
            reserved=own[run.id],
            account_reserved=total,
            time_ns=time_ns,
        )
        for run in runs
    ]
    return whole, parts


def currency_sums(
    ledger: Ledger, account: str, mark: Mark, reserved: Reserved, *, run: str | None = None
) -> tuple[CurrencyFunds, ...]:
    """Return the sums of every currency that occurs, by name."""
    realised, unrealised = (
        ledger.realised(account, run=run),
        ledger.unrealised(account, mark, run=run),
    )
    cash, fees = ledger.cash(account, run), ledger.fees(account, run)
    booked, capital = ledger.booked(account, run), ledger.capital(account, run)
    equity, stakes = ledger.equity(account, mark, run=run), exposure(ledger, account, mark, run=run)
    paid = cash_charges(ledger, account, run)
    sums = []
    for name in sorted({*realised, *cash, *fees, *booked, *equity, *reserved}):
        gross = add(realised.get(name, ZERO), unrealised.get(name, ZERO))
        income = subtract(booked.get(name, ZERO), capital.get(name, ZERO))
        charges = paid.get(name, ZERO)
        stake = stakes.get(name)
        sums.append(
            CurrencyFunds(
                name,
                realised=realised.get(name, ZERO),
                unrealised=unrealised.get(name, ZERO),
                gross=gross,
                charges=charges,
                charges_in_kind=subtract(fees.get(name, ZERO), charges),
                income=income,
                net=add(subtract(gross, charges), income),
                capital=capital.get(name, ZERO),
                equity=equity.get(name, ZERO),
                cash=cash.get(name, ZERO),
                reserved=reserved.get(name, ZERO),
                available=subtract(cash.get(name, ZERO), reserved.get(name, ZERO)),
                exposure_gross=ZERO if stake is None else stake.gross,
                exposure_net=ZERO if stake is None else stake.net,
            )
        )
    return tuple(sums)


def cash_charges(ledger: Ledger, account: str, run: str | None) -> dict[str, Decimal]:
    """Return fees that were paid in cash, per currency.

    The ledger counts those taken from a holding of the base asset under the same currency; what
    left as cash follows from R-76: cash fees = booked + realised − cash − Σ cost paid in full.
    """
    totals = ledger.booked(account, run)
    for name, amount in ledger.realised(account, run=run).items():
        increase(totals, name, amount)
    for name, amount in ledger.cash(account, run).items():
        totals[name] = subtract(totals.get(name, ZERO), amount)
    for holding in ledger.holdings(account=account, run=run):
        if holding.is_paid_in_full and holding.cost:
            name = holding.instrument.currency
            totals[name] = subtract(totals.get(name, ZERO), holding.cost)
    return totals


def net_profit(ledger: Ledger, account: str, run: str, mark: Mark, currency: str) -> Decimal:
    """Return gross − cash charges + income of a run in one currency: equity less capital."""
    equity = ledger.equity(account, mark, run=run).get(currency, ZERO)
    return subtract(equity, ledger.capital(account, run).get(currency, ZERO))


def capital_used(ledger: Ledger, run: Run, currency: str, reserved: Reserved) -> Decimal:
    """Return Σ |cost| of a run's positions + what its orders reserve, in one currency."""
    used = reserved.get(currency, ZERO)
    for holding in ledger.holdings(account=run.account, run=run.id):
        if holding.instrument.currency == currency:
            used = add(used, absolute(holding.cost))
    return used


def allocation_refusal(
    run: Run, used: Decimal, added: Decimal, *, currency: str, account_currency: str
) -> str | None:
    """Return why a run may not bind `added` more of `currency`, or None."""
    if run.allocation is None:
        return None
    if currency != account_currency:
        return f"allocation of run {run.id!r} is in {account_currency}, the order in {currency}"
    if add(used, added) <= run.allocation:
        return None
    return f"allocation {run.allocation} of run {run.id!r}: {used} is bound, the order adds {added}"


def unmarked(
    ledger: Ledger, account: str, marks: Mapping[str, Decimal | None], *, run: str | None = None
) -> tuple[str, ...]:
    """Return the instruments held that have no mark, in the order of their first fill."""
    names = [
        holding.instrument.id
        for holding in ledger.holdings(account=account, run=run)
        if holding.quantity and marks.get(holding.instrument.id) is None
    ]
    return tuple(dict.fromkeys(names))
