"""What an account's venue says it holds against the sum of our runs, in one deterministic order.

A spot instrument with a base asset is compared as that asset's balance, unless the venue reports
it as a position: spot venues know balances, not positions.
"""

from collections.abc import Callable
from decimal import Decimal
from hashlib import blake2b

import msgspec

from framework.model.decimals import ZERO, add, subtract
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import NO_BUCKET, Bucket
from framework.model.venue_state import BalanceReport, PositionReport
from framework.portfolio.assignments import unbacked
from framework.portfolio.ledger import Ledger
from framework.portfolio.purse import increase

PositionKey = tuple[str, Bucket]


class Difference(msgspec.Struct, frozen=True):
    """The venue holds `theirs` of an instrument (or, without one, of a currency), we `ours`."""

    account: str
    ours: Decimal
    theirs: Decimal
    instrument: str = ""
    bucket: Bucket = NO_BUCKET
    currency: str = ""

    @property
    def amount(self) -> Decimal:
        """What is missing on our side."""
        return subtract(self.theirs, self.ours)

    def correction_id(self, time_ns: int) -> str:
        """Return the id of what corrects this difference, as seen at a time."""
        place = (self.account, self.instrument, self.bucket.product, self.bucket.position_id)
        values = (self.currency, str(self.ours), str(self.theirs), str(time_ns))
        digest = blake2b("\0".join((*place, *values)).encode(), digest_size=10)
        return f"correction:{digest.hexdigest()}"


def position_differences(
    ledger: Ledger, account: str, reports: tuple[PositionReport, ...]
) -> list[Difference]:
    """Return where the venue's positions differ from ours; what it leaves out, it holds none of."""
    theirs: dict[PositionKey, Decimal] = {}
    for report in reports:
        key = (report.instrument, report.bucket)
        theirs[key] = add(theirs.get(key, ZERO), report.quantity)
    ours: dict[PositionKey, Decimal] = {}
    for holding in ledger.holdings(account=account):
        key = (holding.instrument.id, holding.bucket)
        if key in theirs or not has_base(holding.instrument):
            ours[key] = add(ours.get(key, ZERO), holding.quantity)
    return [
        Difference(account, ours.get(key, ZERO), theirs.get(key, ZERO), *key)
        for key in {**ours, **theirs}
        if ours.get(key, ZERO) != theirs.get(key, ZERO)
    ]


def cash_differences(
    ledger: Ledger,
    account: str,
    balances: tuple[BalanceReport, ...],
    positions: tuple[PositionReport, ...],
) -> list[Difference]:
    """Return where the venue's balances differ from ours, base assets of spot included."""
    theirs: dict[str, Decimal] = {}
    for report in balances:
        increase(theirs, report.currency, report.total)
    ours = dict(ledger.cash(account))
    reported = {report.instrument for report in positions}
    for holding in ledger.holdings(account=account):
        if has_base(holding.instrument) and holding.instrument.id not in reported:
            increase(ours, holding.instrument.base, holding.quantity)
    return [
        Difference(account, ours.get(name, ZERO), theirs.get(name, ZERO), currency=name)
        for name in {**ours, **theirs}
        if ours.get(name, ZERO) != theirs.get(name, ZERO)
    ]


def spot_holding_of(
    ledger: Ledger, account: str, currency: str, positions: tuple[PositionReport, ...]
) -> str:
    """Return the one spot instrument in which an account holds this asset, "" if not just one."""
    reported = {report.instrument for report in positions}
    names = {
        holding.instrument.id: None
        for holding in ledger.holdings(account=account)
        if holding.instrument.base == currency != ""
        and has_base(holding.instrument)
        and holding.instrument.id not in reported
    }
    return next(iter(names)) if len(names) == 1 else ""


def unbacked_runs(ledger: Ledger, account: str) -> tuple[str, ...]:
    """Return the runs whose holdings the account does not have in full.

    To be asked once the account as a whole is equal to its venue (`assignments.unbacked`).
    """
    kinds: dict[PositionKey, Instrument] = {}
    for holding in ledger.holdings(account=account):
        kinds[holding.instrument.id, holding.bucket] = holding.instrument
    found: dict[str, None] = {}
    for (name, bucket), instrument in kinds.items():
        held = ledger.account_quantity(account, name, bucket)
        shortfall = unbacked(ledger, account, instrument, held, bucket=bucket)
        if shortfall is not None:
            found.update(dict.fromkeys(shortfall.runs))
    return tuple(found)


def average_price(
    ledger: Ledger,
    difference: Difference,
    reports: tuple[PositionReport, ...],
    market: Callable[[str], Decimal | None],
) -> Decimal | None:
    """Return a price to book a position at: the venue's average, the market's, or our own cost."""
    for report in reports:
        is_it = (report.instrument, report.bucket) == (difference.instrument, difference.bucket)
        if is_it and report.average_price is not None:
            return report.average_price
    price = market(difference.instrument)
    if price is not None:
        return price
    for holding in ledger.holdings(account=difference.account, instrument=difference.instrument):
        own = holding.event(0).average_price
        if own is not None:
            return own
    return None


def has_base(instrument: Instrument) -> bool:
    """Tell whether what is held of an instrument is a balance of its base asset."""
    return instrument.kind is InstrumentKind.SPOT and instrument.base != ""
