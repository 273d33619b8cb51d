"""Positions that a person moves between the runs of one account, and what of them is not backed.

An assignment changes nothing for the account: its quantity, cost, cash and fees stay. The price
settles between the two runs: the one that gives realises the gain up to it, the one that takes
pays it, keeps the cost that the position had, and starts with the gain as a realised loss, so that
from then on its profit counts from the price. Where the taking run holds the other side, its
position is closed at the price instead, as by a trade, and what that realises is realised.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Protocol

import msgspec

from framework.errors import InvariantBroken
from framework.model.decimals import (
    CONTEXT,
    ZERO,
    absolute,
    add,
    divide,
    multiply,
    negate,
    subtract,
)
from framework.model.identity import EXTERNAL_RUN
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import Bucket
from framework.model.records import PositionAssigned
from framework.portfolio.holding import Holding
from framework.portfolio.purse import increase

PRICE_STEP = Decimal("1e-12")  # a price of more digits would make every later sum inexact


class Book(Protocol):
    """Books a trade, as `Ledger.book` does."""

    def __call__(
        self, holding: Holding, *, is_buy: bool, quantity: Decimal, price: Decimal
    ) -> Decimal: ...


class Holdings(Protocol):
    """What is asked of a ledger here."""

    def holdings(
        self, *, account: str | None = None, run: str | None = None, instrument: str | None = None
    ) -> Iterable[Holding]: ...


class Shortfall(msgspec.Struct, frozen=True, gc=False):
    """An account holds less than its runs together: `missing` is signed as what they hold."""

    account: str
    instrument: str
    missing: Decimal
    runs: tuple[str, ...]


def move(
    book: Book, source: Holding, target: Holding, *, quantity: Decimal, price: Decimal
) -> None:
    """Move a signed quantity at a price from one holding to another of the same instrument.

    Raises:
        InvariantBroken: `source` does not hold it; ask `assignment_refusal` before.
    """
    if not covers(source.quantity, quantity):
        raise InvariantBroken(
            f"{source.run!r} holds {source.quantity} {source.instrument.id}, not {quantity}"
        )
    opposes = multiply(target.quantity, quantity) < ZERO
    is_long, size = quantity > ZERO, absolute(quantity)
    gain = book(source, is_buy=not is_long, quantity=size, price=price)
    book(target, is_buy=is_long, quantity=size, price=price)
    if gain and not opposes:
        target.cost = subtract(target.cost, gain)
        target.realised = subtract(target.realised, gain)
        if not target.is_paid_in_full:  # the venue has paid no variation: nothing was traded
            currency = target.instrument.currency
            for purse in (target.purse, target.account_purse):
                increase(purse.cash, currency, negate(gain))


def assignment_refusal(source: Holding | None, assigned: PositionAssigned) -> str | None:
    """Return why a position cannot be assigned so, or None; `source` is what would give it."""
    quantity, price = assigned.quantity, assigned.price
    if assigned.from_run == assigned.to_run:
        return f"run {assigned.from_run!r} is both sides"
    if not quantity.is_finite() or not price.is_finite():
        return "quantity and price must be numbers"
    held = ZERO if source is None else source.quantity
    if not covers(held, quantity):
        return f"run {assigned.from_run!r} holds {held} {assigned.instrument}, not {quantity}"
    if price <= ZERO and (source is None or source.instrument.kind is not InstrumentKind.FUTURE):
        return f"price {price} is not positive"
    return None


def covers(held: Decimal, quantity: Decimal) -> bool:
    """Tell whether a position holds a signed quantity that is not zero."""
    if quantity > ZERO:
        return quantity <= held
    return quantity < ZERO and held <= quantity


def assignment_price(holding: Holding) -> Decimal:
    """Return the average price of a position, to 12 decimal places: at it nobody gains."""
    held = multiply(holding.quantity, holding.instrument.multiplier)
    price = divide(holding.cost, held)
    try:
        return price.quantize(PRICE_STEP, ROUND_HALF_EVEN, CONTEXT)
    except ArithmeticError:  # more than 16 digits before the point
        return price


def remains(ledger: Holdings, run: str, *, time_ns: int) -> list[PositionAssigned]:
    """Return the assignments that leave a run flat: all it holds goes to `external` at its cost.

    Their ids are a function of run, time and position: replayed, nothing moves twice.
    """
    return [
        PositionAssigned(
            holding.account,
            holding.instrument.id,
            run,
            EXTERNAL_RUN,
            holding.quantity,
            assignment_price(holding),
            time_ns,
            f"close.{run}.{time_ns}.{holding.instrument.id}.{_named(holding.bucket)}",
            holding.bucket,
        )
        for holding in ledger.holdings(run=run)
        if holding.quantity
    ]


def unbacked(
    ledger: Holdings,
    account: str,
    instrument: Instrument,
    venue_quantity: Decimal,
    *,
    bucket: Bucket | None = None,
) -> Shortfall | None:
    """Return what an account lacks of what its runs hold together, and the runs concerned.

    None where the venue's (signed) quantity is at least theirs, on their side. More than theirs is
    nobody's here (`external`); the runs concerned are those that hold the side that is short.
    `bucket` None: over all buckets, as most venues report.
    """
    held: dict[str, Decimal] = {}
    for holding in ledger.holdings(account=account, instrument=instrument.id):
        if holding.run != EXTERNAL_RUN and bucket in (None, holding.bucket):
            held[holding.run] = add(held.get(holding.run, ZERO), holding.quantity)
    together = ZERO
    for quantity in held.values():
        together = add(together, quantity)
    is_long = together > ZERO
    missing = subtract(together, venue_quantity)
    if not together or not missing or (missing > ZERO) is not is_long:
        return None
    runs = tuple(run for run, quantity in held.items() if quantity and (quantity > ZERO) is is_long)
    return Shortfall(account, instrument.id, missing, runs)


def _named(bucket: Bucket) -> str:
    return f"{bucket.product}/{bucket.position_id}"
