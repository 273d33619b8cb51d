"""Pending timers: order, cancelling, and a heap that does not grow (R-53, R-57)."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from framework.clock.timers import NEVER_NS, PendingTimer, Timers


def fired_until(timers: Timers, now_ns: int) -> None:
    while (timer := timers.pop(now_ns)) is not None:
        timer.callback()


def test_timers_fire_by_time_and_at_one_instant_in_the_order_they_were_set() -> None:
    timers = Timers()
    fired: list[str] = []
    for name, due_ns in (("c", 2), ("a", 1), ("d", 2), ("b", 1), ("e", 3)):
        timers.add(due_ns, lambda name=name: fired.append(name))  # type: ignore[misc]

    fired_until(timers, 2)

    assert fired == ["a", "b", "c", "d"]
    assert timers.next_ns == 3
    assert len(timers) == 1


def test_without_timers_the_next_is_never() -> None:
    timers = Timers()

    timer = timers.add(1, lambda: None)
    timer.cancel()

    assert timers.next_ns == NEVER_NS
    assert timers.pop(NEVER_NS) is None


def test_cancelling_twice_or_after_it_fired_is_harmless() -> None:
    timers = Timers()
    timer, other = timers.add(1, lambda: None), timers.add(2, lambda: None)

    timers.pop(1)
    timer.cancel()
    timer.cancel()

    assert len(timers) == 1
    other.cancel()
    other.cancel()
    assert len(timers) == 0


def test_a_cancelled_timer_is_never_the_next_one() -> None:
    timers = Timers()
    timers.add(1, lambda: None)
    second = timers.add(2, lambda: None)
    second.cancel()  # behind the first, where nobody sees it

    fired = timers.pop(1)

    assert fired is not None
    assert timers.next_ns == NEVER_NS
    assert len(timers) == 0


def test_r53_cancelled_timers_do_not_pile_up_behind_an_early_one() -> None:
    timers = Timers()
    timers.add(1, lambda: None)

    for number in range(10_000):
        timers.add(100 + number, lambda: None).cancel()

    assert len(timers._heap) < 200


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 50)),
        st.tuples(st.just("cancel"), st.integers(0, 200)),
        st.tuples(st.just("fire"), st.integers(0, 50)),
    )
)


@given(STEPS)
def test_timers_behave_like_a_sorted_list(steps: list[tuple[str, int]]) -> None:
    timers = Timers()
    fired: list[int] = []
    expected: list[int] = []
    handles: list[PendingTimer] = []
    pending: dict[int, int] = {}  # number -> due

    def note(number: int) -> Callable[[], None]:
        return lambda: fired.append(number)

    for step, value in steps:
        if step == "add":
            pending[len(handles)] = value
            handles.append(timers.add(value, note(len(handles))))
        elif step == "cancel" and handles:
            number = value % len(handles)
            handles[number].cancel()
            pending.pop(number, None)
        elif step == "fire":
            fired_until(timers, value)
            due = sorted((due, number) for number, due in pending.items() if due <= value)
            for _, number in due:
                expected.append(number)
                del pending[number]
        assert fired == expected
        assert len(timers) == len(pending)
        assert timers.next_ns == min(pending.values(), default=NEVER_NS)
