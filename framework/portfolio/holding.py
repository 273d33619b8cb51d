"""One position: what a run on an account holds of an instrument, and what it cost."""

from decimal import Decimal

from framework.model.account import Position
from framework.model.decimals import ZERO
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import Bucket
from framework.portfolio.purse import Purse

SPOT = InstrumentKind.SPOT
PAID_IN_FULL = frozenset({SPOT, InstrumentKind.OPTION, InstrumentKind.BINARY})


class Holding:
    """One position as it stands; changed only by the ledger."""

    __slots__ = (
        "account",
        "account_purse",
        "bucket",
        "cost",
        "instrument",
        "is_paid_in_full",
        "purse",
        "quantity",
        "realised",
        "run",
    )

    def __init__(
        self,
        account: str,
        run: str,
        instrument: Instrument,
        bucket: Bucket,
        *,
        purse: Purse,
        account_purse: Purse,
    ) -> None:
        self.account = account
        self.run = run
        self.instrument = instrument
        self.bucket = bucket
        self.purse = purse
        self.account_purse = account_purse
        self.is_paid_in_full = is_paid_in_full(instrument)
        self.quantity = ZERO
        self.cost = ZERO
        self.realised = ZERO

    def event(self, time_ns: int) -> Position:
        """Return the position as an event."""
        instrument = self.instrument
        return Position(
            self.account,
            self.run,
            instrument.id,
            self.quantity,
            self.cost,
            self.realised,
            time_ns,
            self.bucket,
            instrument.multiplier,
        )

    def value(self, price: Decimal | None) -> Decimal:
        """Return quantity × price × multiplier; the cost where there is no price yet."""
        if price is None:
            return self.cost
        return self.instrument.notional(price, self.quantity)


def is_paid_in_full(instrument: Instrument) -> bool:
    """Tell whether a trade moves its full value in cash, not only what it realised."""
    return instrument.kind in PAID_IN_FULL


def is_base_asset(instrument: Instrument, currency: str) -> bool:
    """Tell whether a spot instrument trades this currency itself."""
    return instrument.base == currency != "" and instrument.kind is SPOT
