"""One suite over both order books: the plain reference and the fast one."""

from collections.abc import Callable
from decimal import Decimal
from math import inf, nan
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import StreamError
from framework.interfaces import BookView
from framework.market.book import OrderBook
from framework.market.fast_book import FastOrderBook
from framework.model.market_data import BookDelta, BookSnapshot, Level
from framework.model.orders import Side

NAME = "v:A"
Book: TypeAlias = OrderBook | FastOrderBook
MakeBook: TypeAlias = Callable[..., Book]
Levels: TypeAlias = tuple[Level, ...]


@pytest.fixture(params=[OrderBook, FastOrderBook], ids=["plain", "fast"])
def make_book(request: pytest.FixtureRequest) -> MakeBook:
    make: MakeBook = request.param
    return make


def snapshot(bids: Levels, asks: Levels, *, sequence: int = 1, of: str = NAME) -> BookSnapshot:
    return BookSnapshot(of, 10 * sequence, 0, sequence, bids, asks)


def delta(bids: Levels, asks: Levels, *, sequence: int = 2, of: str = NAME) -> BookDelta:
    return BookDelta(of, 10 * sequence, 0, sequence, sequence, bids, asks)


BIDS: Levels = ((100.0, 1.0), (99.0, 2.0), (98.0, 3.0))
ASKS: Levels = ((101.0, 4.0), (102.0, 5.0), (103.0, 6.0))


def filled(make_book: MakeBook) -> Book:
    book = make_book(NAME)
    book.apply_snapshot(snapshot(BIDS, ASKS))
    return book


def reads(book: Book) -> tuple[object, ...]:
    """Return everything a book says."""
    return (
        book.best_bid,
        book.best_ask,
        book.mid,
        book.bids(99),
        book.asks(99),
        book.bids(2),
        book.asks(0),
        book.imbalance(3),
        *(book.volume_to_price(side, price) for side in Side for price in (0.05, 0.1, 100.5)),
        *(book.price_for_volume(side, volume) for side in Side for volume in (0.5, 3.0, 1e9)),
        (book.is_synced, book.sequence, book.time_ns),
    )


def test_a_new_book_is_empty_and_not_synced(make_book: MakeBook) -> None:
    view: BookView = make_book(NAME)

    assert (view.best_bid, view.best_ask, view.is_synced) == (None, None, False)
    assert view.bids(5) == view.asks(5) == []


def test_a_snapshot_replaces_everything_and_syncs(make_book: MakeBook) -> None:
    book = filled(make_book)

    book.apply_snapshot(snapshot(((50.0, 1.0),), (), sequence=7))

    assert (book.best_bid, book.best_ask, book.mid) == ((50.0, 1.0), None, None)
    assert (book.is_synced, book.sequence, book.time_ns) == (True, 7, 70)


def test_a_delta_sets_adds_and_removes_levels(make_book: MakeBook) -> None:
    book = filled(make_book)

    book.apply_delta(delta(((100.0, 0.0), (99.0, 9.0), (99.5, 1.0)), ((104.0, 1.0), (50.0, 0.0))))

    assert book.bids(9) == [(99.5, 1.0), (99.0, 9.0), (98.0, 3.0)]
    assert book.asks(9) == [*ASKS, (104.0, 1.0)]
    assert (book.sequence, book.time_ns) == (2, 20)


def test_reads_are_plain_lists_that_later_changes_do_not_touch(make_book: MakeBook) -> None:
    book = filled(make_book)
    kept = book.bids(9)

    book.update(True, 100.0, 7.0)

    assert kept == list(BIDS)


def test_volume_to_price_counts_what_an_order_could_take(make_book: MakeBook) -> None:
    book = filled(make_book)

    assert book.volume_to_price(Side.BUY, 102.0) == 9.0
    assert book.volume_to_price(Side.BUY, 100.9) == 0.0
    assert book.volume_to_price(Side.SELL, 98.5) == 3.0


def test_price_for_volume_is_the_limit_that_takes_it(make_book: MakeBook) -> None:
    book = filled(make_book)

    assert book.price_for_volume(Side.BUY, 4.0) == 101.0
    assert book.price_for_volume(Side.BUY, 4.5) == 102.0
    assert book.price_for_volume(Side.SELL, 6.0) == 98.0
    assert book.price_for_volume(Side.SELL, 6.5) is None


def test_imbalance_lies_between_minus_one_and_one(make_book: MakeBook) -> None:
    assert filled(make_book).imbalance(1) == (1.0 - 4.0) / 5.0
    assert make_book(NAME).imbalance(5) is None


def test_own_orders_are_left_out_of_reads_until_taken_back(make_book: MakeBook) -> None:
    book = filled(make_book)

    book.overlay(Side.BUY, 100.0, 1.0)
    book.overlay(Side.BUY, 99.0, 0.5)

    assert book.best_bid == (99.0, 1.5)
    assert book.bids(9) == [(99.0, 1.5), (98.0, 3.0)]
    assert book.volume_to_price(Side.SELL, 98.0) == 4.5
    book.update(True, 100.0, 1.5)
    assert book.best_bid == (100.0, 0.5)
    book.overlay(Side.BUY, 100.0, 0.0)
    book.overlay(Side.BUY, 99.0, 0.0)
    assert book.bids(9) == [(100.0, 1.5), (99.0, 2.0), (98.0, 3.0)]


def test_what_subtraction_leaves_of_our_own_level_is_no_level(make_book: MakeBook) -> None:
    book = make_book(NAME)
    book.apply_snapshot(snapshot(((1.0, 0.1 + 0.2),), ()))

    book.overlay(Side.BUY, 1.0, 0.3)

    assert book.best_bid is None


def test_a_derived_price_falls_on_its_tick(make_book: MakeBook) -> None:
    book = make_book(NAME, tick=Decimal("0.01"))
    book.apply_snapshot(snapshot(((0.3, 1.0), (0.29, 1.0)), ((1 - 0.6, 2.0),)))

    book.update(True, 1 - 0.7, 5.0)  # 0.30000000000000004
    book.apply_delta(delta(((1 - 0.71, 0.0),), ()))
    book.overlay(Side.SELL, 0.4, 0.5)

    assert book.bids(9) == [(0.3, 5.0)]
    assert book.best_ask == (0.4, 1.5)


def test_a_price_off_the_tick_is_kept_as_the_venue_said_it(make_book: MakeBook) -> None:
    book = make_book(NAME, tick=Decimal("0.05"))

    book.apply_snapshot(snapshot(((100.05, 1.0), (100.02, 2.0)), ()))

    assert book.bids(9) == [(100.05, 1.0), (100.02, 2.0)]


BAD_LEVELS = [(nan, 1.0), (100.0, nan), (100.0, -1.0), (0.0, 1.0), (-1.0, 1.0), (100.0, inf)]


@pytest.mark.parametrize("bad", [*BAD_LEVELS, (inf, 1.0), (nan, 0.0), (5.0, -0.5)])
def test_a_bad_level_is_refused_and_changes_nothing(make_book: MakeBook, bad: Level) -> None:
    book = filled(make_book)
    before = reads(book)
    good = (100.0, 8.0)

    attempts: list[Callable[[], None]] = [
        lambda: book.apply_snapshot(snapshot((good, bad), ())),
        lambda: book.apply_delta(delta((good,), (bad,))),
        lambda: book.apply_delta(delta((good, bad), ())),
        lambda: book.update(True, *bad),
        lambda: book.update(False, *bad),
        lambda: book.overlay(Side.BUY, *bad),
    ]
    for attempt in attempts:
        with pytest.raises(StreamError, match="bad level"):
            attempt()

    assert reads(book) == before


def test_a_crossed_snapshot_is_refused_and_changes_nothing(make_book: MakeBook) -> None:
    book = filled(make_book)
    before = reads(book)

    with pytest.raises(StreamError, match="crossed"):
        book.apply_snapshot(snapshot(((100.0, 1.0),), ((100.0, 1.0),)))

    assert reads(book) == before


def test_another_instruments_message_is_refused(make_book: MakeBook) -> None:
    book = filled(make_book)

    with pytest.raises(StreamError, match="v:B"):
        book.apply_delta(delta(((1.0, 1.0),), (), of="v:B"))
    with pytest.raises(StreamError, match="v:B"):
        book.apply_snapshot(snapshot(((1.0, 1.0),), (), of="v:B"))


def test_a_stale_book_stays_readable_until_the_next_snapshot(make_book: MakeBook) -> None:
    book = filled(make_book)

    book.mark_stale()

    assert not book.is_synced
    assert book.best_bid == (100.0, 1.0)
    book.apply_snapshot(snapshot(BIDS, ASKS))
    assert book.is_synced


prices = st.integers(1, 12).map(lambda ticks: ticks * 0.01)
sizes = st.integers(0, 5).map(lambda lots: lots * 0.1)
level_lists = st.lists(st.tuples(prices, sizes), max_size=8).map(tuple)
side_names = st.sampled_from(Side)
steps = st.one_of(
    st.tuples(st.just("snapshot"), level_lists, level_lists),
    st.tuples(st.just("delta"), level_lists, level_lists),
    st.tuples(st.just("update"), st.booleans(), st.tuples(prices, sizes)),
    st.tuples(st.just("overlay"), side_names, st.tuples(prices, sizes)),
    st.tuples(st.just("stale"), st.none(), st.none()),
)


def perform(book: Book, step: tuple[str, object, object]) -> str:
    """Do one step; return the error's text, if any."""
    try:
        match step:
            case ("snapshot", tuple(bids), tuple(asks)):
                book.apply_snapshot(snapshot(bids, asks))
            case ("delta", tuple(bids), tuple(asks)):
                book.apply_delta(delta(bids, asks))
            case ("update", bool(is_bid), (float(price), float(size))):
                book.update(is_bid, price, size)
            case ("overlay", Side() as side, (float(price), float(size))):
                book.overlay(side, price, size)
            case _:
                book.mark_stale()
    except StreamError as error:
        return str(error)
    return ""


@given(st.lists(steps, max_size=40), st.sampled_from([None, Decimal("0.01"), Decimal("0.02")]))
def test_both_books_say_the_same_after_every_step(
    script: list[tuple[str, object, object]], tick: Decimal | None
) -> None:
    plain, fast = OrderBook(NAME, tick=tick), FastOrderBook(NAME, tick=tick)

    for step in script:
        assert perform(plain, step) == perform(fast, step)
        assert reads(plain) == reads(fast)


@given(level_lists, level_lists, st.lists(st.tuples(st.booleans(), prices, sizes), max_size=30))
def test_levels_are_sorted_unique_positive_and_best_comes_first(
    bids: Levels, asks: Levels, changes: list[tuple[bool, float, float]]
) -> None:
    book = FastOrderBook(NAME)
    book.apply_delta(delta(bids, asks))

    for change in changes:
        book.update(*change)

    bid_prices = [price for price, _ in book.bids(99)]
    ask_prices = [price for price, _ in book.asks(99)]
    assert bid_prices == sorted(set(bid_prices), reverse=True)
    assert ask_prices == sorted(set(ask_prices))
    assert all(size > 0 for _, size in book.bids(99) + book.asks(99))
    assert book.best_bid == next(iter(book.bids(1)), None)
    assert book.best_ask == next(iter(book.asks(1)), None)
