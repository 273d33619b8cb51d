from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tektii.server_position_story import MarginWatch, PositionStories, as_of
from adapters.tektii.wire import PositionSide
from framework.model.account import Margin, Position
from framework.model.desk import DeskPosition, Money

D = Decimal


def changed(quantity: int, *, realised: int = 0, is_redelivered: bool = False) -> Position:
    return Position(
        "main", "run", "mock:A", D(quantity), D(quantity) * 5, D(realised), 7,
        is_redelivered=is_redelivered,
    )  # fmt: skip


def desk_position(quantity: int, *, price: int | None = 6, realised: int = 0) -> DeskPosition:
    return DeskPosition(
        "main", "run", "mock:A", D(quantity), D(5) if quantity else D(0),
        None if price is None else D(price), D(quantity), D(realised), 3, 8,
    )  # fmt: skip


def told(*quantities: int) -> list[str]:
    stories = PositionStories()
    return [
        f"{event.value.removeprefix('POSITION_')} {side.value} {position.quantity}"
        for quantity in quantities
        for event, position, side in stories.hear(changed(quantity), desk_position(quantity))
    ]


def test_opened_changed_closed() -> None:
    assert told(5, 9, 4, 0, 0, -3, 0) == [
        "OPENED LONG 5",
        "MODIFIED LONG 9",
        "MODIFIED LONG 4",
        "CLOSED LONG 0",
        "OPENED SHORT -3",
        "CLOSED SHORT 0",
    ]


def test_one_that_changes_sides_is_closed_and_opened() -> None:
    assert told(10, -10) == ["OPENED LONG 10", "CLOSED LONG 0", "OPENED SHORT -10"]


def test_a_closed_one_shows_what_it_was_and_what_it_brought() -> None:
    stories = PositionStories()
    stories.hear(changed(5), desk_position(5))

    ((_, closed, side),) = stories.hear(changed(0, realised=12), desk_position(0, realised=12))

    assert (closed.average_price, closed.realised, side) == (D(5), D(12), PositionSide.LONG)
    assert (closed.unrealised, closed.opened_ns) == (D(0), 3)


def test_what_was_there_before_is_not_opened_again() -> None:
    stories = PositionStories()
    stories.know(desk_position(5))

    ((event, _, _),) = stories.hear(changed(6), desk_position(6))

    assert event.value == "POSITION_MODIFIED"


def test_what_is_redelivered_is_known() -> None:
    stories = PositionStories()

    assert stories.hear(changed(5, is_redelivered=True), desk_position(5)) == []
    ((event, _, _),) = stories.hear(changed(0), desk_position(0))
    assert event.value == "POSITION_CLOSED"


def test_an_event_is_told_as_it_was_though_more_has_happened() -> None:
    position = as_of(changed(5, realised=1), desk_position(9, realised=4))

    assert (position.quantity, position.realised, position.unrealised) == (D(5), D(1), D(5))
    assert position.updated_ns == 7
    assert as_of(changed(5), desk_position(9, price=None)).unrealised == D(0)


def test_a_position_the_desk_does_not_know_is_told_all_the_same() -> None:
    position = as_of(changed(5), None)

    assert (position.quantity, position.average_price, position.price) == (D(5), D(5), None)
    assert as_of(changed(0), None).average_price == D(0)


@given(st.lists(st.integers(-2, 2), max_size=20))
def test_openings_and_closings_alternate(quantities: list[int]) -> None:
    is_open = False
    for event, _, quantity in (line.split() for line in told(*quantities)):
        if event == "OPENED":
            assert not is_open
            is_open = True
        else:
            assert is_open
            is_open = event == "MODIFIED"
            assert (quantity == "0") is (event == "CLOSED")
    assert is_open is bool(quantities and quantities[-1])


def money(bound: str, equity: str = "100", *, has_margin: bool = True) -> Money:
    margins = (Margin("USD", D(bound), D(bound)),) if has_margin else ()
    return Money("main", "USD", D(equity), D(equity), D(0), D(0), D(bound), D(0), D(0), 0, margins)


@pytest.mark.parametrize(
    ("bounds", "events"),
    [
        (["10", "79"], ["BALANCE_UPDATED", "BALANCE_UPDATED"]),
        (["80", "90", "85"], ["MARGIN_WARNING", "BALANCE_UPDATED", "BALANCE_UPDATED"]),
        (["80", "10", "85"], ["MARGIN_WARNING", "BALANCE_UPDATED", "MARGIN_WARNING"]),
        (["85", "100", "120"], ["MARGIN_WARNING", "MARGIN_CALL", "BALANCE_UPDATED"]),
        (["100", "85", "10"], ["MARGIN_CALL", "BALANCE_UPDATED", "BALANCE_UPDATED"]),
        (["0"], ["BALANCE_UPDATED"]),
    ],
)
def test_margin_is_warned_of_when_it_rises(bounds: list[str], events: list[str]) -> None:
    watch = MarginWatch()

    assert [watch.hear(money(bound)).value for bound in bounds] == events


def test_what_is_paid_in_full_is_no_margin() -> None:
    assert MarginWatch().hear(money("100", has_margin=False)).value == "BALANCE_UPDATED"


def test_equity_of_nothing_is_a_call() -> None:
    assert MarginWatch().hear(money("10", "-5")).value == "MARGIN_CALL"
