"""The two-ladder book: whole numbers in, one level at a time."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi.ladders import INCONSISTENT, BookState, Ladders
from adapters.kalshi.messages import Book, Outcome


def ladders(
    yes: dict[int, int] | None = None, no: dict[int, int] | None = None, *, yes_price: bool = False
) -> Ladders:
    """Return a live book."""
    book = Ladders("A", is_yes_priced=yes_price, now_ns=0)
    assert book.replace(snapshot(yes, no), 0)
    return book


def snapshot(yes: dict[int, int] | None = None, no: dict[int, int] | None = None) -> Book:
    return Book("A", "", tuple((yes or {}).items()), tuple((no or {}).items()))


def test_nothing_can_be_read_before_the_first_snapshot() -> None:
    """B3: no book is never an empty book."""
    book = Ladders("A", is_yes_priced=False, now_ns=5)

    assert book.state is BookState.STALE
    assert book.age_ns(25) == 20
    assert book.yes_leg() is None
    assert book.bids("yes") is None
    assert book.best("yes") is None


def test_a_snapshot_replaces_the_book_and_an_omitted_side_is_empty() -> None:
    """K36, K35: levels without size are none."""
    book = ladders({3_500: 4_000}, {6_100: 12_000})

    assert book.replace(snapshot({3_600: 100, 3_700: 0}), 9)

    assert book.bids("yes") == [(3_600, 100)]
    assert book.bids("no") == []
    assert book.best("no") is None


def test_a_change_yields_the_new_size_of_its_level() -> None:
    book = ladders({3_600: 5_500})

    assert book.change("yes", 3_600, -1_500) == 4_000
    assert book.change("no", 6_100, 200) == 200
    assert book.bids("yes") == [(3_600, 4_000)]
    assert book.best("no") == (6_100, 200)


def test_a_level_at_or_below_zero_is_gone() -> None:
    """K35, section 8, 2."""
    book = ladders({3_600: 500, 3_700: 500})

    assert book.change("yes", 3_600, -500) == 0
    assert book.change("yes", 3_700, -900) == 0
    assert book.change("yes", 3_800, 0) == 0
    assert book.bids("yes") == []


def test_what_takes_from_nothing_is_inconsistent() -> None:
    """Section 8, 2: never a negative size."""
    book = ladders({3_600: 500})

    assert book.change("yes", 3_500, -1) == INCONSISTENT
    assert book.change("no", 10_000, 5) == INCONSISTENT
    assert book.change("no", 0, 5) == INCONSISTENT
    assert book.bids("yes") == [(3_600, 500)]


def test_a_snapshot_with_an_impossible_price_changes_nothing() -> None:
    book = ladders({3_600: 500})

    assert not book.replace(snapshot({10_000: 1}), 9)
    assert not book.replace(snapshot(None, {-5: 1}), 9)
    assert book.bids("yes") == [(3_600, 500)]


def test_the_yes_leg_shows_no_bids_as_asks() -> None:
    """Section 8, 5: bids = yes ladder, asks = 1 - no price, best first."""
    book = ladders({3_500: 4_000, 3_600: 5_500}, {6_100: 12_000, 6_050: 25})

    assert book.yes_leg() == (
        ((0.36, 55.0), (0.35, 40.0)),
        ((0.39, 120.0), (0.395, 0.25)),
    )
    assert book.best("yes") == (3_600, 5_500)
    assert book.best("no") == (6_100, 12_000)
    assert book.on_yes_leg("yes", 3_600, 5_500) == (True, (0.36, 55.0))
    assert book.on_yes_leg("no", 6_100, 0) == (False, (0.39, 0.0))


def test_a_book_priced_on_the_yes_leg_is_not_complemented_twice() -> None:
    """Section 8, 5: `use_yes_price`."""
    book = ladders({3_600: 5_500}, {3_900: 12_000, 3_950: 25}, yes_price=True)

    leg = book.yes_leg()

    assert leg is not None
    assert leg[1] == ((0.39, 120.0), (0.395, 0.25))
    assert book.best("no") == (6_100, 12_000)
    assert book.on_yes_leg("no", 3_900, 100) == (False, (0.39, 1.0))


def test_an_invalid_book_keeps_its_reason_and_age_until_a_snapshot() -> None:
    """B1: state, reason and age."""
    book = ladders({3_600: 500})

    book.invalidate(BookState.RESYNCING, "a gap", 10)
    book.invalidate(BookState.RESYNCING, "another gap", 20)

    assert (book.state, book.reason, book.age_ns(30)) == (BookState.RESYNCING, "a gap", 20)
    assert book.yes_leg() is None

    assert book.replace(snapshot(), 40)

    assert (book.state, book.reason, book.age_ns(40)) == (BookState.LIVE, "", 0)
    assert book.yes_leg() == ((), ())


@given(
    st.lists(
        st.tuples(st.sampled_from(("yes", "no")), st.integers(1, 9_999), st.integers(-2_000, 2_000))
    )
)
def test_a_book_is_the_sum_of_its_changes(changes: list[tuple[Outcome, int, int]]) -> None:
    book = ladders()
    truth: dict[tuple[Outcome, int], int] = {}

    for side, price, change in changes:
        count = book.change(side, price, change)
        if count != INCONSISTENT:
            truth[side, price] = max(0, truth.get((side, price), 0) + change)
            assert count == truth[side, price]

    sides: tuple[Outcome, Outcome] = ("yes", "no")
    for side in sides:
        expected = {price: n for (s, price), n in truth.items() if s == side and n}
        assert dict(book.bids(side) or ()) == expected
