"""The venue's books in a row: a reader may lag behind them, and never go back."""

from hypothesis import given
from hypothesis import strategies as st

from framework.adapter_kit.history import BookHistory

Book = tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]


def book(number: int) -> Book:
    return ((float(number), 1.0),), ((float(number) + 1.0, 1.0),)


def of(*numbers: int) -> BookHistory:
    history = BookHistory()
    for number in numbers:
        history.note(*book(number))
    return history


def test_a_state_is_found_as_often_as_it_is_looked_for() -> None:
    history = of(1, 2, 3)

    assert history.has(*book(2))
    assert history.has(*book(2))
    assert history.newest == book(3)


def test_what_came_before_the_state_found_last_is_gone() -> None:
    """R-40: a book that goes back to what it was is no lag."""
    history = of(1, 2, 3)

    assert history.has(*book(3))
    assert not history.has(*book(1))
    assert not history.has(*book(2))


def test_what_was_not_found_moves_nothing() -> None:
    history = of(1, 2, 3)

    assert not history.has(*book(9))
    assert history.has(*book(1))


def test_sides_count() -> None:
    bids, asks = book(1)
    assert not of(1).has(asks, bids)


def test_lists_and_tuples_are_the_same_book() -> None:
    bids, asks = book(1)
    assert of(1).has(list(bids), list(asks))


@given(
    numbers=st.lists(st.integers(0, 5), min_size=1, max_size=30),
    steps=st.lists(st.integers(0, 5), max_size=30),
)
def test_a_reader_that_lags_is_never_refused(numbers: list[int], steps: list[int]) -> None:
    """R-40: whoever reads a subsequence of the true books is right at every one of them."""
    history, position = of(*numbers), 0
    for step in steps:
        position = min(position + step, len(numbers) - 1)
        # What is found is the earliest match, which is never behind the reader's own position.
        assert history.has(*book(numbers[position]))
