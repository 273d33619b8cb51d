"""Cash and fees per currency: a purse for every run on an account, and one for the account."""

from decimal import Decimal

import msgspec

from framework.model.decimals import ZERO, add


class Purse(msgspec.Struct, eq=False, gc=False):
    """Cash and fees paid per currency, of one run on one account or of a whole account.

    `booked` is all cash booked without a trade, `capital` the part of it that was brought in or
    taken out instead of earned or paid.
    """

    cash: dict[str, Decimal] = {}
    fees: dict[str, Decimal] = {}
    booked: dict[str, Decimal] = {}
    capital: dict[str, Decimal] = {}


class Purses:
    """The purses of every account and of every run on it.

    Attributes:
        accounts: the purse of each account, the sum of its runs; to be read only.
        runs: the purse of each (account, run); to be read only.
    """

    def __init__(self) -> None:
        self.accounts: dict[str, Purse] = {}
        self.runs: dict[tuple[str, str], Purse] = {}

    def of_run(self, account: str, run: str) -> Purse:
        """Return the purse of a run on an account, made empty where there is none yet."""
        purse = self.runs.get((account, run))
        if purse is None:
            purse = self.runs[account, run] = Purse()
        return purse

    def of_account(self, account: str) -> Purse:
        """Return the purse of an account, made empty where there is none yet."""
        purse = self.accounts.get(account)
        if purse is None:
            purse = self.accounts[account] = Purse()
        return purse

    def read(self, account: str, run: str | None) -> Purse:
        """Return the purse of a run, or without one of the account; an empty one is not kept."""
        if run is None:
            return self.accounts.get(account) or Purse()
        return self.runs.get((account, run)) or Purse()

    def fees(self, account: str, run: str | None) -> dict[str, Decimal]:
        """Return fees paid per currency, of a run or of all runs of the account."""
        totals: dict[str, Decimal] = {}
        for (owner, name), purse in self.runs.items():
            if owner == account and run in (None, name):
                for currency, amount in purse.fees.items():
                    increase(totals, currency, amount)
        return totals


def increase(totals: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    """Add an amount to the total of its currency."""
    totals[currency] = add(totals.get(currency, ZERO), amount)
