"""Runs: who trades on which account, how really, and since which process start.

A run is durable: a strategy's id in the configuration, or a front door's, on one account until it
is closed. Each process start is a numbered session of it. Every account has the run `external`,
which owns what nobody here ordered.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

import msgspec

from framework.errors import OrderError
from framework.model.identity import EXTERNAL_RUN
from framework.model.runs import Execution, Protection, Run, RunState

REALITY = {Execution.SIMULATED: 0, Execution.DRY_RUN: 1, Execution.LIVE: 2}


class Runs:
    """Every run by id, and how really each account may trade at most."""

    def __init__(self, accounts: Mapping[str, Execution]) -> None:
        self._accounts = dict(accounts)
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
        protection: Protection | None = None,
    ) -> Run:
        """Open a run, or return the one that is open under this id.

        Raises:
            OrderError: the account is unknown or less real than `execution`, the id is reserved,
                or the id belongs to a run that is closed or differs in account or execution.
        """
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
        known = self._runs.get(run)
        if known is None:
            known = self._runs[run] = Run(
                run,
                account,
                execution,
                opened_ns=opened_ns,
                metadata=metadata,
                allocation=allocation,
                protection=protection or Protection(),
            )
        elif known.state is RunState.CLOSED:
            raise OrderError(f"run {run!r} is closed")
        elif (known.account, known.execution) != (account, execution):
            raise OrderError(
                f"run {run!r} is open on account {known.account!r} as {known.execution.value}"
            )
        return known

    def start_session(self, run: str) -> Run:
        """Number the next process start of a run and return the run with it."""
        known = self.get(run)
        if known.state is RunState.CLOSED:
            raise OrderError(f"run {run!r} is closed")
        return self._put(msgspec.structs.replace(known, session=known.session + 1))

    def set_state(self, run: str, state: RunState, reason: str = "") -> Run:
        """Pause, resume or close a run; a closed one stays closed."""
        known = self.get(run)
        if known.state is RunState.CLOSED and state is not RunState.CLOSED:
            raise OrderError(f"run {run!r} is closed")
        return self._put(msgspec.structs.replace(known, state=state, reason=reason))

    def get(self, run: str) -> Run:
        """Return a run.

        Raises:
            OrderError: there is none of that id.
        """
        known = self._runs.get(run)
        if known is None:
            raise OrderError(f"unknown run {run!r}")
        return known

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
        """Take a run over from the log at start."""
        self._put(run)

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs in the order in which they were opened."""
        return iter(self._runs.values())

    def _put(self, run: Run) -> Run:
        self._runs[run.id] = run
        return run
