"""Runs: one account each, never more real than it, sessions counted, each change recorded whole."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from framework.errors import OrderError
from framework.model.instrument import Instrument
from framework.model.protection import BasketRule, Protection, Share
from framework.model.records import PositionAssigned
from framework.model.runs import Execution, Run, RunState
from framework.portfolio.ledger import Ledger
from framework.portfolio.runs import Runs, closing, sends

D = Decimal
SPOT = Instrument("v:BTCUSD", base="BTC")


class Recorded:
    """Runs with what they recorded."""

    def __init__(self) -> None:
        self.log: list[Run] = []
        self.runs = Runs({"paper": Execution.SIMULATED, "real": Execution.LIVE}, self.log.append)

    def restarted(self) -> "Recorded":
        """Return new runs that read the log."""
        fresh = Recorded()
        for run in self.log:
            fresh.runs.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(run), type=Run))
        fresh.log.extend(self.log)
        return fresh


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def runs(recorded: Recorded) -> Runs:
    return recorded.runs


def test_opening_a_run_again_returns_it_and_records_nothing(recorded: Recorded) -> None:
    runs = recorded.runs
    run = runs.open("cross", "paper", execution=Execution.SIMULATED, allocation=D(1000))

    again = runs.open("cross", "paper", execution=Execution.SIMULATED, allocation=D(1000))

    assert again is run
    assert recorded.log == list(runs) == [run]
    assert runs.account_of("cross") == "paper"


def test_a_known_run_is_described_anew_and_keeps_what_it_was(recorded: Recorded) -> None:
    runs = recorded.runs
    runs.open("cross", "paper", execution=Execution.SIMULATED, opened_ns=5, allocation=D(1000))
    runs.pause("cross", "by hand")

    run = runs.open(
        "cross",
        "paper",
        execution=Execution.SIMULATED,
        opened_ns=9,
        metadata=(("desk", "a"),),
        protection=Protection(max_run_loss=D(5)),
    )

    assert (run.opened_ns, run.state, run.reason) == (5, RunState.PAUSED, "by hand")
    assert (run.allocation, run.metadata) == (None, (("desk", "a"),))
    assert recorded.log[-1] == run


def test_a_run_is_never_more_real_than_its_account(runs: Runs) -> None:
    with pytest.raises(OrderError, match="live is more real than account 'paper' allows"):
        runs.open("cross", "paper", execution=Execution.LIVE)
    assert runs.open("cross", "real", execution=Execution.DRY_RUN).execution is Execution.DRY_RUN


def test_a_run_stays_on_its_account(runs: Runs) -> None:
    runs.open("cross", "paper", execution=Execution.SIMULATED)

    with pytest.raises(OrderError, match="is open on account 'paper' as simulated"):
        runs.open("cross", "real", execution=Execution.SIMULATED)


def test_sessions_are_numbered_over_restarts(recorded: Recorded) -> None:
    for session in (1, 2, 3):
        recorded.runs.open("cross", "paper", execution=Execution.SIMULATED)
        assert recorded.runs.start_session("cross").session == session
        recorded = recorded.restarted()


def test_a_pause_holds_over_a_restart_until_it_is_resumed(recorded: Recorded) -> None:
    recorded.runs.open("cross", "paper", execution=Execution.SIMULATED)
    recorded.runs.pause("cross", "stop hit")

    after = recorded.restarted().runs

    assert after.get("cross").state is RunState.PAUSED
    assert after.get("cross").reason == "stop hit"
    assert after.resume("cross").state is RunState.ACTIVE
    assert after.get("cross").reason == ""


def test_a_closed_run_stays_closed(recorded: Recorded) -> None:
    runs = recorded.runs
    runs.open("cross", "paper", execution=Execution.SIMULATED)
    assert runs.close("cross", "done").state is RunState.CLOSED
    assert runs.close("cross", "again").reason == "done"

    changes: list[Callable[[], Run]] = [
        lambda: runs.resume("cross"),
        lambda: runs.pause("cross", ""),
        lambda: runs.start_session("cross"),
        lambda: runs.open("cross", "paper", execution=Execution.SIMULATED),
    ]
    for change in changes:
        with pytest.raises(OrderError, match="run 'cross' is closed"):
            change()
    assert recorded.restarted().runs.get("cross").state is RunState.CLOSED


def test_the_run_external_belongs_to_every_account_and_cannot_be_opened(runs: Runs) -> None:
    """R-26."""
    assert runs.external("real") == Run("external", "real", Execution.LIVE)
    for name in ("external", ""):
        with pytest.raises(OrderError, match="is reserved"):
            runs.open(name, "real", execution=Execution.LIVE)


def test_unknown_names_are_errors(runs: Runs) -> None:
    with pytest.raises(OrderError, match="unknown run 'nobody'"):
        runs.get("nobody")
    with pytest.raises(OrderError, match="unknown account 'none'"):
        runs.open("cross", "none", execution=Execution.LIVE)
    with pytest.raises(OrderError, match="unknown account 'none'"):
        runs.external("none")


@pytest.mark.parametrize("allocation", [D(0), D(-1), D("NaN"), D("Infinity")])
def test_an_allocation_is_a_positive_number(runs: Runs, allocation: Decimal) -> None:
    with pytest.raises(OrderError, match="an allocation must not be"):
        runs.open("cross", "paper", execution=Execution.SIMULATED, allocation=allocation)
    assert list(runs) == []


def test_a_percent_of_the_allocation_needs_one(runs: Runs) -> None:
    protection = Protection(basket=BasketRule(stop=Share(percent=D(2))))

    with pytest.raises(OrderError, match="needs an allocation"):
        runs.open("cross", "paper", execution=Execution.SIMULATED, protection=protection)


def test_unbacked_runs_are_marked_and_cleared_once(recorded: Recorded) -> None:
    runs = recorded.runs
    for name, account in (("a", "real"), ("b", "real"), ("c", "paper")):
        runs.open(name, account, execution=Execution.SIMULATED)

    assert [run.id for run in runs.mark_unbacked("real", ["a"])] == ["a"]
    assert runs.mark_unbacked("real", ["a"]) == []
    assert [run.id for run in runs.mark_unbacked("real", ["b"])] == ["a", "b"]
    assert [run.is_unbacked for run in runs] == [False, True, False]
    assert recorded.log[-1].id == "b"


def test_a_flat_run_leaves_nothing_behind() -> None:
    ledger = Ledger(lambda name: SPOT)

    assert closing(ledger, "r", open_orders=[], time_ns=1) == []


def test_a_run_with_open_orders_is_not_closed() -> None:
    ledger = Ledger(lambda name: SPOT)

    with pytest.raises(OrderError, match="has 2 open orders, first abc"):
        closing(ledger, "r", open_orders=["abc", "d"], time_ns=1, to_external=True)


def test_a_run_that_holds_something_is_closed_only_by_leaving_it_to_external() -> None:
    ledger = Ledger(lambda name: SPOT)
    ledger.book(ledger.holding("main", "r", SPOT), is_buy=True, quantity=D(3), price=D(100))
    with pytest.raises(OrderError, match="is not flat: flatten it, or leave 3 v:BTCUSD"):
        closing(ledger, "r", open_orders=[], time_ns=7)

    left = closing(ledger, "r", open_orders=[], time_ns=7, to_external=True)

    assert left == [
        PositionAssigned(
            "main", "v:BTCUSD", "r", "external", D(3), D(100), 7, "close.r.7.v:BTCUSD./"
        )
    ]
    ledger.assign(left[0])
    assert closing(ledger, "r", open_orders=[], time_ns=8) == []
    assert ledger.realised("main", run="r") == {"USD": D(0)}


def test_only_a_dry_run_sends_nothing() -> None:
    assert [kind for kind in Execution if not sends(Run("r", "a", kind))] == [Execution.DRY_RUN]
