"""The ledger as plain values, for snapshots: equal ledgers have equal states, byte for byte."""

from decimal import Decimal

import msgspec

from framework.model.account import Settled
from framework.model.orders import Bucket
from framework.portfolio.purse import Purse


class HoldingState(msgspec.Struct, frozen=True):
    """One position as it stands."""

    account: str
    run: str
    instrument: str
    bucket: Bucket
    quantity: Decimal
    cost: Decimal
    realised: Decimal


class RunPurse(msgspec.Struct, frozen=True):
    """The purse of a run on an account."""

    account: str
    run: str
    purse: Purse


class LedgerState(msgspec.Struct, frozen=True):
    """All positions and purses in the order in which they were made, and the bookings seen."""

    holdings: tuple[HoldingState, ...] = ()
    purses: tuple[RunPurse, ...] = ()
    accounts: dict[str, Purse] = {}
    seen_bookings: tuple[tuple[str, str], ...] = ()
    settlements: tuple[Settled, ...] = ()
