"""Runs: who trades on which account, how really, and since which process start.

A run is durable: a strategy's id in the configuration, or a front door's, on one account until it
is closed. Each process start is a numbered session of it. Every account has the run `external`,
which owns what nobody here ordered. Each change makes a whole new `Run`, which goes to `record`:
the newest one in the log is how a run stands.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from framework.errors import OrderError
from framework.model.decimals import ZERO
from framework.model.identity import EXTERNAL_RUN
from framework.model.protection import NO_PROTECTION, Protection
from framework.model.records import PositionAssigned
from framework.model.runs import Execution, Run, RunState
from framework.portfolio.assignments import Holdings, remains

REALITY = {Execution.SIMULATED: 0, Execution.DRY_RUN: 1, Execution.LIVE: 2}
ACTIVE, PAUSED, CLOSED = RunState.ACTIVE, RunState.PAUSED, RunState.CLOSED


def _forget(run: Run) -> None:
    """Record nothing."""


class Runs:
    """Every run by id, and how really each account may trade at most."""

    def __init__(
        self, accounts: Mapping[str, Execution], record: Callable[[Run], None] = _forget
    ) -> None:
        self._accounts = dict(accounts)
        self._record = record
        self._runs: dict[str, Run] = {}

    def open(
        self,
        run: str,
        account: str,
        *,
        execution: Execution,
        opened_ns: int = 0,
        metadata: tuple[tuple[str, str], ...] = (),
        allocation: Decimal | None = None,
        protection: Protection = NO_PROTECTION,
    ) -> Run:
        """Open a run, or take up the one that is open under this id, as it is described now.

        A known run keeps its state, session and opening; metadata, allocation and protection are
        the given ones from now on.

        Raises:
            OrderError: the account is unknown or less real than `execution`, the id is reserved,
                the id belongs to a run that is closed or differs in account or execution, or
                allocation and protection make no sense.
        """
        self._check(run, account, execution)
        check_allocation(run, allocation, protection)
        known = self._runs.get(run)
        if known is None:
            known = Run(run, account, execution, opened_ns=opened_ns)
        elif known.state is CLOSED:
            raise OrderError(f"run {run!r} is closed")
        elif (known.account, known.execution) != (account, execution):
            raise OrderError(
                f"run {run!r} is open on account {known.account!r} as {known.execution.value}"
            )
        described = msgspec.structs.replace(
            known, metadata=metadata, allocation=allocation, protection=protection
        )
        return self._put(described)

    def start_session(self, run: str) -> Run:
        """Number the next process start of a run and return the run with it."""
        known = self._open(run)
        return self._put(msgspec.structs.replace(known, session=known.session + 1))

    def pause(self, run: str, reason: str) -> Run:
        """Let a run only reduce from now on, over restarts too; the newest reason holds."""
        return self._put(msgspec.structs.replace(self._open(run), state=PAUSED, reason=reason))

    def resume(self, run: str) -> Run:
        """Let a paused run enter again; harmless where it was not paused."""
        return self._put(msgspec.structs.replace(self._open(run), state=ACTIVE, reason=""))

    def close(self, run: str, reason: str = "") -> Run:
        """End a run for good; `closing` says before whether it may and what is left of it."""
        known = self.get(run)
        if known.state is CLOSED:
            return known
        return self._put(msgspec.structs.replace(known, state=CLOSED, reason=reason))

    def mark_unbacked(self, account: str, runs: Collection[str]) -> list[Run]:
        """Note which runs of an account are not backed by it; return those that changed."""
        return [
            self._put(msgspec.structs.replace(run, is_unbacked=run.id in runs))
            for run in list(self._runs.values())
            if run.account == account and run.is_unbacked is not (run.id in runs)
        ]

    def get(self, run: str) -> Run:
        """Return a run.

        Raises:
            OrderError: there is none of that id.
        """
        known = self._runs.get(run)
        if known is None:
            raise OrderError(f"unknown run {run!r}")
        return known

    def find(self, run: str) -> Run | None:
        """Return a run, or None where there is none of that id."""
        return self._runs.get(run)

    def account_of(self, run: str) -> str:
        """Return the account a run trades on."""
        return self.get(run).account

    def external(self, account: str) -> Run:
        """Return the account's run `external`: it owns what nobody here ordered."""
        limit = self._accounts.get(account)
        if limit is None:
            raise OrderError(f"unknown account {account!r}")
        return Run(EXTERNAL_RUN, account, limit)

    def restore(self, run: Run) -> None:
        """Take a run over from the log at start, recording nothing."""
        self._runs[run.id] = run

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs in the order in which they were opened."""
        return iter(self._runs.values())

    def _open(self, run: str) -> Run:
        known = self.get(run)
        if known.state is CLOSED:
            raise OrderError(f"run {run!r} is closed")
        return known

    def _check(self, run: str, account: str, execution: Execution) -> None:
        """Refuse ids that are reserved and executions that are too real."""
        if run == EXTERNAL_RUN or not run:
            raise OrderError(f"run id {run!r} is reserved")
        limit = self._accounts.get(account)
        if limit is None:
            raise OrderError(f"run {run!r}: unknown account {account!r}")
        if REALITY[execution] > REALITY[limit]:
            raise OrderError(
                f"run {run!r}: execution {execution.value} is more real than"
                f" account {account!r} allows ({limit.value})"
            )

    def _put(self, run: Run) -> Run:
        """Keep and record a run, unless it stands so already."""
        known = self._runs.get(run.id)
        if known == run and known is not None:
            return known
        self._runs[run.id] = run
        self._record(run)
        return run


def check_allocation(run: str, allocation: Decimal | None, protection: Protection) -> None:
    """Raise OrderError for an allocation that is not above zero, or missing for a rule."""
    if allocation is None:
        if protection.needs_allocation:
            raise OrderError(f"run {run!r}: a percent of the allocation needs an allocation")
    elif not allocation.is_finite() or allocation <= ZERO:
        raise OrderError(f"run {run!r}: an allocation must not be {allocation}")


def closing(
    ledger: Holdings,
    run: str,
    *,
    open_orders: Sequence[str],
    time_ns: int,
    to_external: bool = False,
) -> list[PositionAssigned]:
    """Return what must be assigned before a run is closed; [] where it is flat.

    Its cash, fees and realised profit stay in its books. `open_orders` are the ids of its working,
    held and in-doubt orders: the end of none of them may be lost.

    Raises:
        OrderError: the run has open orders, or holds something and `to_external` is not said.
    """
    if open_orders:
        raise OrderError(f"run {run!r} has {len(open_orders)} open orders, first {open_orders[0]}")
    left = remains(ledger, run, time_ns=time_ns)
    if left and not to_external:
        shown = ", ".join(f"{part.quantity} {part.instrument}" for part in left[:3])
        raise OrderError(f"run {run!r} is not flat: flatten it, or leave {shown} to `external`")
    return left


def sends(run: Run) -> bool:
    """Tell whether a run's orders leave for a venue, real or simulated; a dry run's never do."""
    return run.execution is not Execution.DRY_RUN
