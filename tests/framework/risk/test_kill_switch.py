"""The kill switch: who stopped orders and why, and what may leave all the same (R-64)."""

import sys
import threading
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.orders import OrderIntent, Side
from framework.model.records import GateSet
from framework.risk.kill_switch import Cause, GateState, KillSwitch

D = Decimal
ENTRY = SubmitOrder("o", "main", OrderIntent("r", "k", "v:X", Side.BUY, D(1)), D(1), 0)
EXIT = msgspec.structs.replace(
    ENTRY, intent=msgspec.structs.replace(ENTRY.intent, reduce_only=True)
)
CHANGE = ModifyOrder("o", "main", "v:X", 1, 0)
CANCEL = CancelOrder("o", "main", "v:X", 0)


def test_everything_leaves_until_it_is_tripped() -> None:
    switch = KillSwitch()

    assert all(switch.may_leave(command) for command in (ENTRY, EXIT, CHANGE, CANCEL))
    assert (switch.state, switch.reason, switch.causes) == (GateState.ACTIVE, "", ())


def test_a_tripped_switch_lets_cancels_and_exits_leave() -> None:
    switch = KillSwitch()
    switch.trip("operator", "by hand", 7)

    assert switch.is_tripped
    assert [switch.may_leave(command) for command in (ENTRY, EXIT, CHANGE, CANCEL)] == [
        False,
        True,
        False,
        True,
    ]
    assert switch.may_leave(CHANGE, is_exit=True)
    assert switch.causes == (Cause("operator", GateState.HALTED, "by hand", 7),)
    assert switch.reason == "by hand"


def test_holding_is_no_trip_for_the_shells() -> None:
    """What passed the gate before, or shrinks a position, still leaves."""
    switch = KillSwitch()
    switch.hold("operator", "end of day", 7)

    assert switch.state is GateState.REDUCING
    assert not switch.is_tripped
    assert switch.may_leave(ENTRY)


def test_each_cause_is_released_by_its_own() -> None:
    switch = KillSwitch()
    switch.trip("log", "disk full", 1)
    switch.trip("operator", "by hand", 2)
    switch.hold("risk", "daily loss", 3)

    switch.release("operator")
    assert (switch.state, switch.reason) == (GateState.HALTED, "disk full")
    switch.release("log")
    assert (switch.state, switch.reason) == (GateState.REDUCING, "daily loss")
    assert not switch.is_tripped
    switch.release("nobody")
    switch.release("risk")
    assert (switch.state, switch.causes) == (GateState.ACTIVE, ())


def test_a_trip_can_be_eased_to_a_hold() -> None:
    switch = KillSwitch()
    switch.trip("operator", "by hand", 1)
    switch.hold("operator", "exits only", 2)

    assert (switch.state, switch.is_tripped) == (GateState.REDUCING, False)


def test_a_bare_flag_works_and_any_release_ends_it() -> None:
    switch = KillSwitch()
    switch.is_tripped = True
    assert not switch.may_leave(ENTRY)
    assert switch.reason == "the kill switch is set"

    switch.release("operator")
    assert switch.may_leave(ENTRY)


def test_the_switch_is_as_tripped_after_a_restart_as_before() -> None:
    """R-64: the records bring back every cause, those that were taken back not."""
    records = [
        GateSet("halted", "by hand", "operator", 1),
        GateSet("reducing", "daily loss", "risk", 2),
        GateSet("halted", "hung", "watchdog", 3),
        GateSet("active", "", "watchdog", 4),
    ]
    switch = KillSwitch()
    for record in records:
        switch.set_state(
            GateState(record.state), record.reason, by=record.by, time_ns=record.time_ns
        )

    assert [cause.by for cause in switch.causes] == ["operator", "risk"]
    assert switch.is_tripped


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(GateState)), min_size=1, max_size=30
)


@given(STEPS)
def test_the_tightest_cause_rules(steps: list[tuple[str, GateState]]) -> None:
    switch, model = KillSwitch(), {}
    for by, state in steps:
        switch.set_state(state, f"{by} said so", by=by, time_ns=0)
        model[by] = state

        ranks = [list(GateState).index(given) for given in model.values()]
        assert switch.state is list(GateState)[max(ranks)]
        assert switch.is_tripped is (switch.state is GateState.HALTED)


@pytest.mark.parametrize("seed", range(3))
def test_a_trip_from_another_thread_is_never_lost(seed: int) -> None:
    """R-64: whatever the loop's thread sets and releases at the same time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(100):
            switch, go = KillSwitch(), threading.Event()

            def trip(switch: KillSwitch = switch, go: threading.Event = go) -> None:
                go.wait()
                switch.trip("watchdog", "hung", 1)

            thread = threading.Thread(target=trip)
            thread.start()
            go.set()
            for _ in range(20 + seed + number % 7):
                switch.hold("operator", "x", 0)
                switch.release("operator")
            thread.join()
            assert switch.is_tripped
            assert switch.state is GateState.HALTED
    finally:
        sys.setswitchinterval(interval)
