"""The gate every order passes in every mode: all checks, then the reservation, then the send.

ACTIVE lets everything through to the checks; REDUCING only what shrinks the run's position;
HALTED only orders marked reduce-only. Cancels never ask the gate. A paused run is REDUCING by
itself. The state outlives nothing: whoever sets it (kill switch, watchdog, log) owns its cause.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol, runtime_checkable

import msgspec

from framework.risk.limits import Check, Proposal, View


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
