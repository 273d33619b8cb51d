"""Runs: who trades on which account, how really, within which limits of its own."""

from decimal import Decimal
from enum import Enum

import msgspec


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


class Protection(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Rules that guard a run's positions; kept with the run; nothing acts on them yet.

    `max_position_loss` and `max_run_loss` are in the account's currency, None: no such rule.
    """

    max_position_loss: Decimal | None = None
    max_run_loss: Decimal | None = None


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
    protection: Protection = Protection()
    is_unbacked: bool = False
