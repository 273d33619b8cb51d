"""The core's books: stale at once on a gap, and what they need is asked for by the clock (R-41)."""

from decimal import Decimal

from framework.bus.bus import Bus
from framework.engine.books import Books
from framework.market.escalation import Request
from framework.model.events import GapDetected
from framework.model.instrument import Instrument, PriceRange
from framework.model.market_data import BookChanged, BookDelta, BookSnapshot
from tests.fakes import ManualClock

NAME = "v:X"
SECOND_NS = 1_000_000_000


def snapshot(sequence: int, time_ns: int = 0) -> BookSnapshot:
    return BookSnapshot(NAME, time_ns, time_ns, sequence, ((10.0, 1.0),), ((11.0, 1.0),))


def delta(sequence: int, time_ns: int = 0, size: float = 2.0) -> BookDelta:
    return BookDelta(NAME, time_ns, time_ns, sequence, sequence, ((10.0, size),), ())


def make() -> tuple[Bus, Books, ManualClock, list[tuple[str, Request]]]:
    clock = ManualClock()
    bus = Bus(clock)
    instrument = Instrument(NAME, ranges=(PriceRange(Decimal(0), Decimal("0.1")),))
    books = Books(bus, {NAME: instrument}, clock)
    requests: list[tuple[str, Request]] = []
    books.on_request = lambda name, request: requests.append((name, request))
    bus.set_step(BookSnapshot, books.on_snapshot)
    bus.set_step(BookDelta, books.on_delta)
    return bus, books, clock, requests


def test_messages_of_the_bus_make_the_book() -> None:
    bus, books, _, _ = make()

    bus.publish(snapshot(1))
    bus.publish(delta(2))

    book = books.by_instrument[NAME]
    assert (book.is_synced, book.sequence, book.best_bid) == (True, 2, (10.0, 2.0))


def test_r41_a_gap_makes_the_book_stale_before_anybody_hears_of_it() -> None:
    bus, books, _, _ = make()
    heard: list[tuple[str, bool]] = []
    bus.on(GapDetected, BookChanged)(
        lambda event: heard.append((type(event).__name__, books.by_instrument[NAME].is_synced))
    )
    bus.publish(snapshot(1))
    bus.deliver_all()

    bus.publish(delta(3))
    bus.deliver_all()

    assert heard == [("BookChanged", True), ("GapDetected", False), ("BookChanged", False)]
    assert books.by_instrument[NAME].best_bid == (10.0, 1.0)


def test_r41_a_stale_book_asks_by_the_clock_although_no_message_comes() -> None:
    bus, books, clock, requests = make()
    bus.publish(snapshot(1))
    bus.publish(delta(3))

    clock.advance_to(20 * SECOND_NS)

    assert requests
    assert all(name == NAME for name, _ in requests)

    bus.publish(snapshot(9, 20 * SECOND_NS))
    assert books.by_instrument[NAME].is_synced
