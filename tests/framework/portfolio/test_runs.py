"""Runs: one account each, never more real than it, sessions counted."""

from decimal import Decimal

import pytest

from framework.errors import OrderError
from framework.model.runs import Execution, Run, RunState
from framework.portfolio.runs import Runs


@pytest.fixture
def runs() -> Runs:
    return Runs({"paper": Execution.SIMULATED, "real": Execution.LIVE})


def test_opening_a_run_again_returns_it(runs: Runs) -> None:
    run = runs.open("cross", "paper", execution=Execution.SIMULATED, allocation=Decimal(1000))

    assert runs.open("cross", "paper", execution=Execution.SIMULATED) is run
    assert runs.account_of("cross") == "paper"
    assert list(runs) == [run]


def test_a_run_is_never_more_real_than_its_account(runs: Runs) -> None:
    with pytest.raises(OrderError, match="live is more real than account 'paper' allows"):
        runs.open("cross", "paper", execution=Execution.LIVE)
    assert runs.open("cross", "real", execution=Execution.DRY_RUN).execution is Execution.DRY_RUN


def test_a_run_stays_on_its_account(runs: Runs) -> None:
    runs.open("cross", "paper", execution=Execution.SIMULATED)

    with pytest.raises(OrderError, match="is open on account 'paper' as simulated"):
        runs.open("cross", "real", execution=Execution.SIMULATED)


def test_each_process_start_is_the_next_session(runs: Runs) -> None:
    runs.open("cross", "paper", execution=Execution.SIMULATED)

    assert runs.start_session("cross").session == 1
    assert runs.start_session("cross").session == 2


def test_a_closed_run_stays_closed(runs: Runs) -> None:
    runs.open("cross", "paper", execution=Execution.SIMULATED)
    runs.set_state("cross", RunState.PAUSED, "by hand")
    assert runs.set_state("cross", RunState.CLOSED).state is RunState.CLOSED

    with pytest.raises(OrderError, match="run 'cross' is closed"):
        runs.set_state("cross", RunState.ACTIVE)
    with pytest.raises(OrderError, match="run 'cross' is closed"):
        runs.start_session("cross")
    with pytest.raises(OrderError, match="run 'cross' is closed"):
        runs.open("cross", "paper", execution=Execution.SIMULATED)


def test_the_run_external_belongs_to_every_account_and_cannot_be_opened(runs: Runs) -> None:
    """R-26."""
    assert runs.external("real") == Run("external", "real", Execution.LIVE)
    with pytest.raises(OrderError, match="'external' is reserved"):
        runs.open("external", "real", execution=Execution.LIVE)


def test_unknown_names_are_errors(runs: Runs) -> None:
    with pytest.raises(OrderError, match="unknown run 'nobody'"):
        runs.get("nobody")
    with pytest.raises(OrderError, match="unknown account 'none'"):
        runs.open("cross", "none", execution=Execution.LIVE)
    with pytest.raises(OrderError, match="unknown account 'none'"):
        runs.external("none")


def test_a_restored_run_goes_on_where_it_stopped(runs: Runs) -> None:
    runs.restore(Run("cross", "paper", Execution.SIMULATED, session=4))

    assert runs.start_session("cross").session == 5
