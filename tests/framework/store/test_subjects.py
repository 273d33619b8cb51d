"""What a log knows of orders without asking its database: "never written" must never be wrong."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.store.subjects import PART_ENTRIES, WrittenSubjects

LAST = 2**32 - 1
subjects = st.integers(0, LAST)


class Stored:
    """Subjects that a database holds, and what was asked of it."""

    def __init__(self, held: Iterable[int] = ()) -> None:
        self.held = set(held)
        self.asked: list[tuple[int, int]] = []

    def __call__(self, first: int, last: int) -> list[int]:
        self.asked.append((first, last))
        return [subject for subject in self.held if first <= subject <= last]


def test_what_is_neither_stored_nor_added_was_never_written() -> None:
    written = WrittenSubjects(Stored(), 0)

    written.add(0)

    assert written.may_hold(0)
    assert not written.may_hold(LAST)
    assert not written.may_hold(1 << 20)


def test_a_part_is_read_once_and_only_when_it_is_asked_about() -> None:
    stored = Stored({5, LAST - 5})
    written = WrittenSubjects(stored, 2 * PART_ENTRIES)  # four parts
    assert stored.asked == []

    assert [written.may_hold(subject) for subject in (5, 2**20, 5)] == [True, False, True]
    assert stored.asked == [(0, 2**30 - 1)]

    assert written.may_hold(LAST - 5)
    assert stored.asked[1:] == [(LAST - 2**30 + 1, LAST)]


def test_a_part_that_could_not_be_read_is_read_again() -> None:
    def fail(first: int, last: int) -> list[int]:
        raise OSError

    written = WrittenSubjects(fail, 0)

    for _ in range(2):
        with pytest.raises(OSError):
            written.may_hold(1)


def test_the_largest_journal_has_parts_of_the_smallest_size() -> None:
    stored = Stored()

    WrittenSubjects(stored, 10**12).may_hold(LAST)

    assert stored.asked == [(LAST - 2**16 + 1, LAST)]


@given(st.sets(subjects), st.lists(subjects), st.sampled_from([0, 1, 1024, 70_000, 10**9]))
def test_r29_what_was_written_is_never_taken_for_new(
    held: set[int], added: list[int], entry_count: int
) -> None:
    written = WrittenSubjects(Stored(held), entry_count)
    for subject in added:
        written.add(subject)

    assert all(written.may_hold(subject) for subject in {*held, *added})
