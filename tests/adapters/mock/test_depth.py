from random import Random

from hypothesis import given
from hypothesis import strategies as st

from adapters.mock.depth import SyntheticBook
from adapters.mock.settings import decode_markets
from framework.model.market_data import BookDelta, BookSnapshot, Level

Touches = list[tuple[int, int, int, int]]
touches = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    min_size=1,
    max_size=30,
)


def book_of(*, depth: int = 5, snapshot_every: int = 1_000) -> SyntheticBook:
    market = decode_markets({"instruments": [{"symbol": "X", "tick": 1, "lot": 1}]}, "venue")[2][0]
    return SyntheticBook(market, depth=depth, snapshot_every=snapshot_every, random=Random(1))


def move(book: SyntheticBook, at: int = 10) -> BookSnapshot | BookDelta | None:
    return book.update((at, 1), (at + 1, 1), time_ns=0, received_ns=0)


def apply(side: dict[float, float], levels: tuple[Level, ...]) -> None:
    for price, size in levels:
        if size:
            side[price] = size
        else:
            del side[price]


@given(touches, st.integers(1, 10))
def test_the_deltas_keep_a_book_equal_to_the_quotes(moves: Touches, snapshot_every: int) -> None:
    book = book_of(snapshot_every=snapshot_every)
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}

    for i, (bid, spread, bid_lots, ask_lots) in enumerate(moves, 1):
        ask = bid + spread
        event = book.update((bid, bid_lots), (ask, ask_lots), time_ns=i, received_ns=i)
        assert event is not None
        assert event.sequence == i
        assert isinstance(event, BookSnapshot) == ((i - 1) % snapshot_every == 0)
        if isinstance(event, BookSnapshot):
            bids, asks = dict(event.bids), dict(event.asks)
            assert list(event.bids) == sorted(event.bids, reverse=True)
            assert list(event.asks) == sorted(event.asks)
        else:
            apply(bids, event.bids)
            apply(asks, event.asks)
        assert (max(bids), bids[max(bids)]) == (bid, bid_lots)
        assert (min(asks), asks[min(asks)]) == (ask, ask_lots)
        assert len(bids) == min(5, bid)
        assert len(asks) == 5


def test_a_lost_delta_leaves_a_hole_in_the_numbers() -> None:
    book = book_of()
    first = move(book)
    book.lose_next()
    lost, after = move(book, 11), move(book, 12)

    assert isinstance(first, BookSnapshot)
    assert lost is None
    assert isinstance(after, BookDelta)
    assert (first.sequence, after.first_sequence) == (1, 3)


def test_a_snapshot_comes_when_it_is_asked_for() -> None:
    book = book_of()
    move(book)
    assert isinstance(move(book, 11), BookDelta)

    book.request_snapshot()

    assert isinstance(move(book, 12), BookSnapshot)
