"""The hand-driven clock keeps the promises of `Clock`."""

import pytest

from framework.interfaces import Clock
from tests.fakes import ManualClock


def test_it_stands_still_until_it_is_moved() -> None:
    clock: Clock = ManualClock(now_ns=5)

    assert clock.now_ns == 5


def test_timers_fire_in_order_each_at_its_own_time() -> None:
    clock = ManualClock()
    fired: list[tuple[str, int]] = []
    clock.call_at(30, lambda: fired.append(("late", clock.now_ns)))
    clock.call_at(10, lambda: fired.append(("first", clock.now_ns)))
    clock.call_at(10, lambda: fired.append(("second", clock.now_ns)))
    clock.call_at(20, lambda: fired.append(("taken back", clock.now_ns))).cancel()

    clock.advance_to(25)

    assert fired == [("first", 10), ("second", 10)]
    assert clock.now_ns == 25
    assert clock.pending_count == 1


def test_a_timer_made_by_a_timer_fires_on_the_way() -> None:
    clock = ManualClock()
    fired: list[int] = []

    def again() -> None:
        fired.append(clock.now_ns)
        clock.call_at(clock.now_ns + 10, again)

    clock.call_at(10, again)
    clock.advance_to(35)

    assert fired == [10, 20, 30]


def test_it_never_goes_back() -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        ManualClock(now_ns=5).advance_to(4)
