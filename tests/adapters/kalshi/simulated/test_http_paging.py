"""S11: pages, their limits, and cursors that stay right while a list grows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi.simulated.domain import Refusal
from adapters.kalshi.simulated.paging import newest_first, read_cursor, take_page, write_cursor


def pages(items: list[str], limit: int) -> list[list[str]]:
    """Return all pages of a list with the newest first."""
    found, cursor = [], ""
    while True:
        query = {"limit": str(limit), "cursor": cursor}
        page = take_page(newest_first(items, len(items)), query)
        found.append(page.items)
        cursor = page.cursor
        if not cursor:
            return found


@given(st.integers(0, 30), st.integers(1, 12))
def test_s11_pages_put_together_are_the_list(count: int, limit: int) -> None:
    items = [str(number) for number in range(count)]

    found = pages(items, limit)

    assert [item for page in found for item in page] == items
    assert all(len(page) == limit for page in found[:-1])
    assert count == 0 or found[-1] != []  # the last page is never an empty one


@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 9))
def test_s11_what_is_added_in_front_moves_nothing(count: int, limit: int, added: int) -> None:
    items = [str(number) for number in range(count)]
    first = take_page(newest_first(items, count), {"limit": str(limit)})
    grown = [f"new {number}" for number in range(added)] + items

    rest = take_page(newest_first(grown, len(grown)), {"cursor": first.cursor})

    assert first.items + (rest.items if first.cursor else []) == items


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1.5", "٣", "9" * 20])
def test_s11_a_limit_out_of_range_is_refused(limit: str) -> None:
    with pytest.raises(Refusal) as caught:
        take_page([], {"limit": limit})

    assert (caught.value.status, caught.value.code) == (400, "invalid_parameters")


def test_s11_the_default_limit_is_a_hundred_or_the_largest() -> None:
    numbered = [(number, number) for number in range(500)]

    assert len(take_page(numbered, {}).items) == 100
    assert len(take_page(numbered, {}, largest=20).items) == 20
    assert len(take_page(numbered, {"limit": "400"}).items) == 400


@given(st.integers(-(10**12), 10**12))
def test_a_cursor_says_where_it_was(number: int) -> None:
    assert read_cursor(write_cursor(number)) == number


@given(st.text())
def test_a_cursor_that_is_none_of_ours_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_cursor(text)

    assert caught.value.status == 400
