"""Accounts: balances, positions, and the cash that moves without a trade."""

from decimal import Decimal
from enum import Enum

import msgspec

from framework.model.decimals import ONE, ZERO, divide, multiply, subtract
from framework.model.orders import NO_BUCKET, Bucket


class Balance(msgspec.Struct, frozen=True, gc=False):
    """Cash of one currency: `total` = what is booked, `reserved` = held for open orders."""

    currency: str
    total: Decimal
    reserved: Decimal = ZERO

    @property
    def available(self) -> Decimal:
        """What a new order may use."""
        return subtract(self.total, self.reserved)


class Margin(msgspec.Struct, frozen=True, gc=False):
    """Collateral an account has bound, in `currency`."""

    currency: str
    initial: Decimal
    maintenance: Decimal


class Position(msgspec.Struct, frozen=True, gc=False, tag="position"):
    """What a run holds of an instrument: signed quantity and signed cost.

    `cost` = Σ signed quantity × price × multiplier of what is still open, so that
    average price = cost / (quantity × multiplier). `realised` is the profit booked so far,
    before fees, in the instrument's currency.
    """

    account: str
    run: str
    instrument: str
    quantity: Decimal
    cost: Decimal
    realised: Decimal
    time_ns: int
    bucket: Bucket = NO_BUCKET
    multiplier: Decimal = ONE
    is_redelivered: bool = False

    @property
    def average_price(self) -> Decimal | None:
        """Entry price per unit, or None when flat."""
        if not self.quantity:
            return None
        return divide(self.cost, multiply(self.quantity, self.multiplier))


class Account(msgspec.Struct, frozen=True, gc=False, tag="account"):
    """An account's balances and margin after a change."""

    account: str
    time_ns: int
    balances: tuple[Balance, ...]
    margins: tuple[Margin, ...] = ()


class CashReason(Enum):
    """Why cash moved without a trade."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"
    FEE = "fee"
    FUNDING = "funding"
    INTEREST = "interest"
    DIVIDEND = "dividend"
    SETTLEMENT = "settlement"
    CORRECTION = "correction"


class CashBooked(msgspec.Struct, frozen=True, gc=False, tag="cash_booked"):
    """Cash moved without a trade: positive `amount` is received."""

    account: str
    run: str
    currency: str
    amount: Decimal
    reason: CashReason
    time_ns: int
    booking_id: str = ""
    instrument: str = ""


class Settled(msgspec.Struct, frozen=True, gc=False, tag="settled"):
    """An instrument ended: open positions are closed at `price` by the venue."""

    account: str
    instrument: str
    price: Decimal
    time_ns: int
    settlement_id: str = ""
