"""Verdicts over numbers and ranges, and release in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.market.sequence import SequenceTracker, Verdict


def tracker_at(position: int, *, reorder_window: int = 0) -> SequenceTracker[str]:
    tracker = SequenceTracker[str](reorder_window=reorder_window)
    tracker.start_at(position)
    return tracker


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [
        (11, 11, Verdict.NEXT),
        (11, 15, Verdict.NEXT),
        (8, 11, Verdict.NEXT),  # began before the snapshot
        (10, 10, Verdict.DUPLICATE),
        (5, 9, Verdict.DUPLICATE),
        (12, 12, Verdict.GAP),
        (12, 20, Verdict.GAP),
    ],
)
def test_a_range_is_judged_by_the_position(first: int, last: int, verdict: Verdict) -> None:
    assert tracker_at(10).judge(first, last) is verdict


def test_the_first_message_of_a_stream_is_taken_whatever_its_number() -> None:
    tracker = SequenceTracker[str]()

    assert tracker.receive(41, 41, "a") == (Verdict.NEXT, ["a"])
    assert tracker.position == 41


def test_a_duplicate_is_counted_and_ignored() -> None:
    tracker = tracker_at(10)

    assert tracker.receive(10, 10, "again") == (Verdict.DUPLICATE, [])
    assert (tracker.position, tracker.duplicate_count) == (10, 1)


def test_a_gap_does_not_move_the_position() -> None:
    tracker = tracker_at(10)

    assert tracker.receive(12, 12, "early") == (Verdict.GAP, ["early"])
    assert (tracker.position, tracker.gap_count) == (10, 1)


def test_a_window_holds_early_messages_and_releases_them_in_order() -> None:
    tracker = tracker_at(10, reorder_window=2)

    assert tracker.receive(13, 13, "c") == (Verdict.HELD, [])
    assert tracker.receive(12, 12, "b") == (Verdict.HELD, [])
    assert tracker.receive(13, 13, "c") == (Verdict.DUPLICATE, [])
    assert tracker.receive(11, 11, "a") == (Verdict.NEXT, ["a", "b", "c"])
    assert (tracker.position, tracker.held_count) == (13, 0)


def test_a_full_window_is_a_gap_that_releases_all_in_order() -> None:
    tracker = tracker_at(10, reorder_window=1)
    tracker.receive(14, 14, "late")

    assert tracker.receive(12, 12, "early") == (Verdict.GAP, ["early", "late"])
    assert tracker.held_count == 0


def test_a_snapshot_passes_over_held_messages_that_it_contains() -> None:
    tracker = tracker_at(10, reorder_window=3)
    tracker.receive(12, 12, "inside")
    tracker.receive(14, 15, "over the edge")

    assert tracker.start_at(14) == ["over the edge"]
    assert tracker.position == 15


def test_a_reset_forgets_the_position_and_keeps_the_counts() -> None:
    tracker = tracker_at(10)
    tracker.receive(10, 10, "again")

    tracker.reset()

    assert tracker.receive(1, 1, "first") == (Verdict.NEXT, ["first"])
    assert tracker.duplicate_count == 1


@given(st.permutations(range(1, 9)), st.integers(0, 8))
def test_what_is_released_is_always_consecutive(arrivals: list[int], window: int) -> None:
    tracker = SequenceTracker[int](reorder_window=window)
    tracker.start_at(0)
    released: list[int] = []

    for number in arrivals:
        verdict, ready = tracker.receive(number, number, number)
        if verdict is Verdict.GAP:
            break
        released += ready

    assert released == list(range(1, len(released) + 1))
    assert window < 7 or released == list(range(1, 9))
