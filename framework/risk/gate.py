"""The gate every order passes in every mode: all checks, then the reservation, then the send.

ACTIVE lets everything through to the checks; REDUCING only what shrinks the run's position;
HALTED only orders marked reduce-only. Cancels never ask the gate. A paused run is REDUCING by
itself. The state outlives nothing: whoever sets it (kill switch, watchdog, log) owns its cause.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import Enum
from typing import Protocol, runtime_checkable

import msgspec

from framework.model.decimals import ONE, ZERO, add, multiply, remainder, subtract
from framework.model.instrument import Instrument, InstrumentKind
from framework.model.orders import OrderIntent, OrderType, Side
from framework.risk.limits import (
    ALWAYS_CHECKED,
    Check,
    MaxOrderNotional,
    MaxOrdersPerSecond,
    MaxPositionNotional,
    Proposal,
    View,
    is_plain_price,
    malformed,
)


class GateState(Enum):
    """What the gate lets through."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class Approved(msgspec.Struct, frozen=True, gc=False):
    """Every check passed, and what the checks count has been counted."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A check said no: `check` is its class name, `reason` names the limit and the value."""

    reason: str
    check: str


@runtime_checkable
class Reserving(Protocol):
    """A check that counts what passed."""

    def reserve(self, view: View) -> None:
        """Count one order that passed every check."""


ACTIVE = GateState.ACTIVE
REDUCING = GateState.REDUCING
HALTED = GateState.HALTED
APPROVED = Approved()
BUY = Side.BUY
MARKET = OrderType.MARKET
LIMIT = OrderType.LIMIT
INDEX = InstrumentKind.INDEX
UNBOUNDED = Decimal("Infinity")


class Fused(msgspec.Struct, frozen=True):
    """The limits of a gate that has the standard checks and no others."""

    order: Decimal | None
    position: Decimal | None
    rate: MaxOrdersPerSecond | None


class Gate:
    """Runs the checks in their order; the first refusal is the answer.

    Reserve, then send: quantities are reserved by the registry, which adds an approved order to
    its run's open quantities before the next one is looked at, counts by the checks themselves.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        self.state = ACTIVE
        self.reason = ""
        self._checks = tuple((check.check, type(check).__name__) for check in checks)
        self._reserving = tuple(check.reserve for check in checks if isinstance(check, Reserving))
        self._paused: dict[str, str] = {}
        self._fused = fuse(checks)

    def set_state(self, state: GateState, reason: str) -> None:
        """Change what passes from now on, for every run."""
        self.state = state
        self.reason = reason

    def pause(self, run: str, reason: str) -> None:
        """Refuse a run's entries until it is resumed."""
        self._paused[run] = reason

    def resume(self, run: str) -> None:
        """Let a run enter again; harmless where it was not paused."""
        self._paused.pop(run, None)

    def is_paused(self, run: str) -> bool:
        """Tell whether this run may only reduce."""
        return run in self._paused

    def check(self, proposal: Proposal, view: View) -> Approved | Refused:
        """Judge a proposal; an approval has already been counted."""
        if self.state is not ACTIVE or self._paused:
            refusal = self._closed_to(proposal, view)
            if refusal is not None:
                return refusal
        for check, name in self._checks:
            reason = check(proposal, view)
            if reason is not None:
                return Refused(reason, name)
        for reserve in self._reserving:
            reserve(view)
        return APPROVED

    def approves(
        self,
        intent: OrderIntent,
        instrument: Instrument,
        price: Decimal | None,
        *,
        position: Decimal,
        open_quantity: Decimal,
        now_ns: int,
    ) -> bool:
        """Say yes at once to a plain order that every check would pass, and count it.

        The fused twin of the standard checks for an ordinary market or limit order while the
        gate is ACTIVE; False is no answer: ask `check`, which alone refuses and knows the reason.
        `open_quantity` is what is open on the order's side. Measured: 1.1 µs for seven checks
        with their proposal and view, which take 3.4 µs one by one. Tested equal.
        """
        quantity = intent.quantity
        limits = self._fused
        if (
            limits is None
            or quantity is None
            or price is None
            or intent.reduce_only
            or self.state is not ACTIVE
            or self._paused
            or quantity.__class__ is not Decimal
            or instrument.kind is INDEX
            or malformed(intent, now_ns) is not None
        ):
            return False
        try:
            if not _is_plain(intent, instrument, quantity):
                return False
            notional = multiply(price, quantity)
            if instrument.multiplier is not ONE:
                notional = multiply(notional, instrument.multiplier)
            if limits.order is not None and notional > limits.order:
                return False
            if limits.position is not None:
                if position or open_quantity:
                    worst = add(open_quantity, quantity)
                    if intent.side is BUY:
                        worst = add(worst, position)
                    else:
                        worst = subtract(worst, position)
                    notional = instrument.notional(price, worst)
                if notional > limits.position:
                    return False
        except ArithmeticError:
            return False
        rate = limits.rate
        return rate is None or rate.take(now_ns)

    def _closed_to(self, proposal: Proposal, view: View) -> Refused | None:
        if self.state is HALTED:
            if not proposal.reduce_only:
                return Refused(f"halted: {self.reason}", "GateState")
        elif not proposal.shrinks(view.held):
            if self.state is REDUCING:
                return Refused(f"reducing only: {self.reason}", "GateState")
            if proposal.run in self._paused:
                return Refused(f"paused: {self._paused[proposal.run]}", "GateState")
        return None


def fuse(checks: Sequence[Check]) -> Fused | None:
    """Return the limits of the standard checks, or None where others are among them."""
    found = {type(check): check for check in checks}
    if len(found) != len(checks) or not all(kind in found for kind in ALWAYS_CHECKED):
        return None
    order, position = found.pop(MaxOrderNotional, None), found.pop(MaxPositionNotional, None)
    rate = found.pop(MaxOrdersPerSecond, None)
    if len(found) != len(ALWAYS_CHECKED):
        return None
    return Fused(
        order.limit if isinstance(order, MaxOrderNotional) else None,
        position.limit if isinstance(position, MaxPositionNotional) else None,
        rate if isinstance(rate, MaxOrdersPerSecond) else None,
    )


def _is_plain(intent: OrderIntent, instrument: Instrument, quantity: Decimal) -> bool:
    """Tell whether an intent is a market or limit order with its numbers on a simple grid."""
    if instrument.lot is not None and remainder(quantity, instrument.lot):
        return False
    if not ZERO < quantity < UNBOUNDED:
        return False
    if instrument.minimum_quantity is not None and quantity < instrument.minimum_quantity:
        return False
    if instrument.maximum_quantity is not None and quantity > instrument.maximum_quantity:
        return False
    kind, price = intent.type, intent.price
    if intent.stop_price is not None or not (kind is MARKET or kind is LIMIT):
        return False
    if price is None:
        return kind is MARKET
    return kind is LIMIT and is_plain_price(price, instrument)
