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

from framework.model.decimals import ONE, ZERO, add, multiply, subtract
from framework.model.instrument import Instrument
from framework.model.orders import OrderIntent, Side
from framework.risk.limits import (
    ALWAYS_CHECKED,
    Check,
    MaxOrderNotional,
    MaxOrdersPerSecond,
    MaxPositionNotional,
    Proposal,
    View,
    is_plain,
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
        for check, name in self._checks:
            reason = check(proposal, view)
            if reason is not None:
                return Refused(reason, name)
        if self.state is not ACTIVE or self._paused:  # after the checks that the numbers are sane
            refusal = self._closed_to(proposal, view)
            if refusal is not None:
                return refusal
        for reserve in self._reserving:
            reserve(view)
        return APPROVED

    def approve_plain(
        self,
        intent: OrderIntent,
        instrument: Instrument,
        price: Decimal | None,
        *,
        position: Decimal,
        open_quantity: Decimal,
        now_ns: int,
    ) -> Decimal | None:
        """Count an ordinary order that every check would surely pass, and return its notional.

        The fused twin of the standard checks for market and limit orders while the gate is
        ACTIVE. None is no answer: ask `check`, which alone refuses and knows the reason.
        `open_quantity` is what is open on the order's side. Measured: 0.65 µs instead of 1.6 µs
        for seven checks with their proposal and view. Tested equal.
        """
        limits, quantity = self._fused, intent.quantity
        if (
            limits is None
            or quantity is None
            or price is None
            or self.state is not ACTIVE
            or self._paused
            or not is_plain(intent, instrument, quantity, now_ns)
        ):
            return None
        notional = multiply(price, quantity)
        if instrument.multiplier is not ONE:
            notional = multiply(notional, instrument.multiplier)
        if limits.order is not None and notional > limits.order:
            return None
        if limits.position is not None:
            worst = quantity if open_quantity is ZERO else add(open_quantity, quantity)
            if position:
                worst = (add if intent.side is BUY else subtract)(worst, position)
            # A worst case no larger than the order itself is worth no more than its notional.
            value = notional if worst <= quantity else instrument.notional(price, worst)
            if value > limits.position:
                return None
        if limits.rate is not None and not limits.rate.take(now_ns):
            return None
        return notional

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
