"""The kill switch: whether orders may leave, who stopped them and why.

    released   ACTIVE     everything may leave
    held       REDUCING   what shrinks a position may leave
    tripped    HALTED     cancels and reduce-only exits may leave

Whoever trips or holds it is a cause of its own, and the tightest cause rules: what the operator
releases, a broken log still holds. Shells that write to a venue ask `may_leave` right before each
write, so that what was queued before the trip stays here (R-64).

`trip` may be called from any thread and needs neither loop, log nor network; the rest belongs to
the loop's thread. The causes outlive a restart as `GateSet` records, given back by `set_state`.
"""

from enum import Enum

import msgspec

from framework.model.commands import CancelOrder, SubmitOrder, VenueCommand


class GateState(Enum):
    """What the gate lets through."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


ACTIVE = GateState.ACTIVE
REDUCING = GateState.REDUCING
HALTED = GateState.HALTED


class Cause(msgspec.Struct, frozen=True, gc=False):
    """One reason for holding orders back; `by` names who gave it, and who may take it back."""

    by: str
    state: GateState
    reason: str
    time_ns: int


class KillSwitch:
    """One flag for the whole process.

    Attributes:
        is_tripped: nothing but cancels and exits may leave. Plain, so that another thread can read
            and set it; what sets it without `trip` leaves no cause, and any `release` ends it.
        state: the tightest of the causes; to be read only.
    """

    def __init__(self) -> None:
        self.is_tripped = False
        self.state = ACTIVE
        self._causes: dict[str, Cause] = {}

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Everything that holds orders back, oldest first."""
        return tuple(self._causes.values())

    @property
    def reason(self) -> str:
        """Why the state is what it is: the first of its tightest causes; "" while ACTIVE."""
        for cause in self.causes:
            if cause.state is self.state:
                return cause.reason
        return "the kill switch is set" if self.is_tripped else ""

    def trip(self, by: str, reason: str, time_ns: int) -> None:
        """Stop everything but cancels and exits, at once; from any thread."""
        # The cause before the flag: `_settle` reads them the other way round, so that a trip that
        # comes between is never lost.
        self._causes[by] = Cause(by, HALTED, reason, time_ns)
        self.is_tripped = True
        self.state = HALTED

    def hold(self, by: str, reason: str, time_ns: int) -> None:
        """Let only out what shrinks a position; eases a trip by the same one."""
        self._causes[by] = Cause(by, REDUCING, reason, time_ns)
        self._settle()

    def release(self, by: str) -> None:
        """Take one's own cause back; others go on holding."""
        self._causes.pop(by, None)
        self._settle()

    def set_state(self, state: GateState, reason: str, *, by: str, time_ns: int) -> None:
        """Trip, hold or release by the name of the state that is wanted."""
        if state is HALTED:
            self.trip(by, reason, time_ns)
        elif state is REDUCING:
            self.hold(by, reason, time_ns)
        else:
            self.release(by)

    def may_leave(self, command: VenueCommand, *, is_exit: bool = False) -> bool:
        """Tell whether this command may still be written to its venue.

        `is_exit` tells of a modification that its order is reduce-only: the command does not say.
        """
        if not self.is_tripped or isinstance(command, CancelOrder):
            return True
        return command.intent.reduce_only if isinstance(command, SubmitOrder) else is_exit

    def _settle(self) -> None:
        """Derive flag and state from the causes, whatever another thread trips meanwhile."""
        self.state = _tightest(self.causes)
        self.is_tripped = self.state is HALTED
        if not self.is_tripped and _tightest(self.causes) is HALTED:  # tripped just now
            self.is_tripped = True
            self.state = HALTED


def _tightest(causes: tuple[Cause, ...]) -> GateState:
    states = [cause.state for cause in causes]
    if HALTED in states:
        return HALTED
    return REDUCING if REDUCING in states else ACTIVE
