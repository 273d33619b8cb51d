"""Runs: who trades on which account, how really, within which limits of its own."""

from decimal import Decimal
from enum import Enum

import msgspec

from framework.model.protection import NO_PROTECTION, Protection


class Execution(Enum):
    """How really a run's orders are executed; never more so than its account's venue."""

    SIMULATED = "simulated"
    DRY_RUN = "dry_run"
    LIVE = "live"


class RunState(Enum):
    """Whether a run may trade: a paused one may still reduce, a closed one is over."""

    ACTIVE = "active"
    PAUSED = "paused"
    CLOSED = "closed"


class Run(msgspec.Struct, frozen=True, gc=False, tag="run"):
    """One run as it stands; `session` counts its process starts, 0 before the first.

    `allocation` caps the capital it may bind, in the account's currency. `is_unbacked`: the
    account holds less than its runs together, so what this one believes to hold is not all there.
    """

    id: str
    account: str
    execution: Execution
    state: RunState = RunState.ACTIVE
    session: int = 0
    opened_ns: int = 0
    reason: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    allocation: Decimal | None = None
    protection: Protection = NO_PROTECTION
    is_unbacked: bool = False
