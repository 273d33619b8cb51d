"""Funds: what a run or an account earned, owes, has at stake and may still use, at one mark."""

from decimal import Decimal

import msgspec

from framework.model.decimals import ZERO


class CurrencyFunds(msgspec.Struct, frozen=True, gc=False):
    """The sums of one currency.

    `gross` = realised + unrealised; `net` = gross − charges + income. `charges` are fees paid in
    cash (rebates negative); `charges_in_kind` were taken from holdings of this asset and are in
    the unrealised profit already. `income` is cash from funding, interest, dividends and the like,
    negative where paid; `capital` what was brought in. `exposure_gross` = Σ |value|.

        equity = capital + net        (realised and unrealised alone do not add up over runs)
    """

    currency: str
    realised: Decimal = ZERO
    unrealised: Decimal = ZERO
    gross: Decimal = ZERO
    charges: Decimal = ZERO
    charges_in_kind: Decimal = ZERO
    income: Decimal = ZERO
    net: Decimal = ZERO
    capital: Decimal = ZERO
    equity: Decimal = ZERO
    cash: Decimal = ZERO
    reserved: Decimal = ZERO
    available: Decimal = ZERO
    exposure_gross: Decimal = ZERO
    exposure_net: Decimal = ZERO


class RunFunds(msgspec.Struct, frozen=True, gc=False):
    """One run's funds; `unmarked` are instruments without a price, valued at their cost.

    `allocation_used`: Σ |cost| of its positions + reserved, in the account's `currency`. `usable`
    is what a new order may bind: the account's available cash, and no more than is left of the
    allocation.
    """

    run: str
    account: str
    currency: str
    time_ns: int
    sums: tuple[CurrencyFunds, ...]
    allocation: Decimal | None
    allocation_used: Decimal
    allocation_left: Decimal | None
    usable: Decimal
    unmarked: tuple[str, ...] = ()


class AccountFunds(msgspec.Struct, frozen=True, gc=False):
    """An account's funds over all its runs, `external` included."""

    account: str
    currency: str
    time_ns: int
    sums: tuple[CurrencyFunds, ...]
    unmarked: tuple[str, ...] = ()
