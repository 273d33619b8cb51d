"""The session's books as the core's events: numbered by us, without a hole."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapters.kalshi.actions import BookApplied, BookInvalid, LevelApplied
from adapters.kalshi.book_events import STREAM, BookNumbers
from adapters.kalshi.messages import Level
from framework.market.book import OrderBook
from framework.model.events import GapDetected, Resynced
from framework.model.market_data import BookDelta, BookSnapshot
from tests.adapters.kalshi.session_rig import Rig, delta, frame, snapshot, subscribed

NOW_NS = 5_000
SID = 3
MARKETS = ("A", "B")


class Books:
    """A session on two books, and what becomes of its actions."""

    def __init__(self, **fields: Any) -> None:
        self.rig = Rig()
        self.subscription = self.rig.subscribe("orderbook_delta", *MARKETS, **fields)
        self.numbers = BookNumbers()
        self.events: list[Any] = []
        self.rig.hear(subscribed_books())

    def hear(self, *frames: Any) -> None:
        """Let frames come in one by one, and turn what follows into events."""
        for one in frames:
            self.rig.hear(one)
            for action in self.rig.take():
                self._translate(action)

    def give_up_waiting(self) -> None:
        """Let the time pass in which missing numbers may still come."""
        self.rig.wait(0.01)
        for action in self.rig.take():
            self._translate(action)

    def lose(self, reason: str) -> None:
        """Lose the connection."""
        self.rig.session.on_lost(reason, 0)
        for action in self.rig.take():
            self._translate(action)

    def _translate(self, action: Any) -> None:
        if isinstance(action, LevelApplied | BookApplied):
            market = action.frame.message.market_ticker  # type: ignore[union-attr] # both have one
            ladders = self.subscription.books[market]
            if isinstance(action, LevelApplied):
                self.events.append(self.numbers.delta(action, ladders, f"x:{market}", NOW_NS))
            else:
                self.events += self.numbers.snapshot(action, ladders, f"x:{market}", NOW_NS)
        elif isinstance(action, BookInvalid):
            gap = self.numbers.loss(action, f"x:{action.market}", NOW_NS)
            self.events += [] if gap is None else [gap]

    def of(self, market: str) -> list[Any]:
        """Return the events of one book."""
        return [event for event in self.events if event.instrument == f"x:{market}"]


def subscribed_books() -> Any:
    """Return the acknowledgement of the one subscription."""
    return subscribed(1, "orderbook_delta", SID)


def test_a_snapshot_and_its_changes_are_numbered_from_one() -> None:
    books = Books()
    books.hear(
        snapshot(SID, 1, "A", {4_000: 500}, {5_500: 700}),
        snapshot(SID, 2, "B"),
        delta(SID, 3, "A", 4_000, -500),
        delta(SID, 4, "A", 5_400, 250, side="no"),
    )
    whole, bid, ask = books.of("A")

    assert (whole.sequence, whole.bids, whole.asks) == (1, ((0.4, 5.0),), ((0.45, 7.0),))
    assert (bid.first_sequence, bid.sequence) == (2, 2)
    assert (bid.bids, bid.asks) == (((0.4, 0.0),), ())
    assert (ask.first_sequence, ask.bids, ask.asks) == (3, (), ((0.46, 2.5),))
    assert [event.sequence for event in books.of("B")] == [1]


def test_books_on_the_yes_scale_are_not_complemented_twice() -> None:
    """Section 8, rule 5."""
    books = Books(use_yes_price=True)
    books.hear(
        snapshot(SID, 1, "A", {4_000: 500}, {4_500: 700}),
        delta(SID, 2, "A", 4_600, 100, side="no"),
    )
    whole, ask = books.of("A")

    assert whole.asks == ((0.45, 7.0),)
    assert ask.asks == ((0.46, 1.0),)


def test_times_are_the_venues_but_never_after_ours() -> None:
    books = Books()
    books.hear(snapshot(SID, 1, "A", {4_000: 500}))
    for seq, time_ns in ((2, 4_000), (3, 9_000), (4, None)):
        books.hear(frame(Level("A", "", "yes", 4_000, 1, "", time_ns), sid=SID, seq=seq))

    assert [event.time_ns for event in books.events] == [NOW_NS, 4_000, NOW_NS, NOW_NS]
    assert {event.received_ns for event in books.events} == {NOW_NS}


def test_b2_a_loss_is_told_once_for_every_book_and_ends_with_its_snapshot() -> None:
    """B2, R-41."""
    books = Books()
    books.hear(*(snapshot(SID, n, market, {4_000: 500}) for n, market in enumerate(MARKETS, 1)))
    books.hear(delta(SID, 9, "A", 4_000, 100))
    books.give_up_waiting()
    gaps = [event for event in books.events if isinstance(event, GapDetected)]
    assert [(gap.instrument, gap.stream, gap.expected) for gap in gaps] == [
        ("x:A", STREAM, 2),
        ("x:B", STREAM, 2),
    ]
    books.lose("the connection is gone")
    assert [event for event in books.events if isinstance(event, GapDetected)] == gaps


def test_a_snapshot_ends_a_loss() -> None:
    books = Books()
    books.hear(*(snapshot(SID, n, market, {4_000: 500}) for n, market in enumerate(MARKETS, 1)))
    books.hear(delta(SID, 9, "A", 4_000, 100))
    books.give_up_waiting()
    books.hear(snapshot(SID, 10, "A", {3_000: 100}))

    gap, whole, resynced = books.of("A")[1:]
    assert isinstance(gap, GapDetected)
    assert (whole.sequence, whole.bids) == (2, ((0.3, 1.0),))
    assert (resynced.stream, resynced.sequence) == (STREAM, 2)
    assert not any(isinstance(event, Resynced) for event in books.of("B"))


def test_a_book_that_never_was_cannot_be_lost() -> None:
    books = Books()
    books.lose("the connection is gone")

    assert not books.events


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["level", "level", "level", "gap", "book"]),
        st.sampled_from(MARKETS),
        st.sampled_from(["yes", "no"]),
        st.integers(1, 30),
        st.integers(-500, 500),
    ),
    max_size=40,
)


@given(STEPS)
def test_r40_r41_the_core_rebuilds_exactly_the_sessions_books(steps: list[Any]) -> None:
    """R-40, R-41: numbers without a hole, and each book that is true is the same."""
    books = Books()
    seq = 0
    for market in MARKETS:
        seq += 1
        books.hear(snapshot(SID, seq, market, {4_000: 500}, {5_000: 500}))
    for kind, market, side, cents, change in steps:
        seq += 9 if kind == "gap" else 1
        if kind == "book":
            books.hear(snapshot(SID, seq, market, {cents * 100: abs(change) + 1}))
        else:
            books.hear(delta(SID, seq, market, cents * 100, change, side=side))
        books.give_up_waiting()
    for market in MARKETS:
        check_rebuilt(books, market)


def check_rebuilt(books: Books, market: str) -> None:
    """Replay the events of one market, and compare."""
    book = OrderBook(f"x:{market}")
    for event in books.of(market):
        if isinstance(event, BookSnapshot):
            assert event.sequence == book.sequence + 1
            book.apply_snapshot(event)
        elif isinstance(event, BookDelta):
            assert event.first_sequence == book.sequence + 1
            assert book.is_synced
            book.apply_delta(event)
        elif isinstance(event, GapDetected):
            book.mark_stale()
    truth = books.subscription.books[market].yes_leg()
    assert book.is_synced == (truth is not None)
    if truth is not None:
        assert (tuple(book.bids(99)), tuple(book.asks(99))) == truth
