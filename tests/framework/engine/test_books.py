"""The core's books: stale at once on a gap, and what they need is asked for by the clock (R-41)."""

from decimal import Decimal

import msgspec

from framework.bus.bus import Bus
from framework.engine.books import SNAPSHOTS_PER_SECOND, Books
from framework.market.escalation import Reconnect, Request, RequestSnapshot
from framework.model.book_recovery import RecoveryOptions
from framework.model.events import ConnectionChanged, ConnectionState, GapDetected
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


def test_r41_a_gap_that_the_feed_found_makes_its_book_stale_until_a_snapshot() -> None:
    bus, books, _, _ = make()
    bus.set_step(GapDetected, books.on_gap)
    bus.publish(snapshot(1))
    book = books.by_instrument[NAME]

    bus.publish(GapDetected(NAME, "stream 3 of the feed", 5, 7, 0))
    is_stale = not book.is_synced
    bus.publish(delta(2))
    is_still_stale = not book.is_synced
    bus.publish(snapshot(3, SECOND_NS))
    bus.publish(delta(4, SECOND_NS, size=5.0))

    assert (is_stale, is_still_stale) == (True, True)
    assert (book.is_synced, book.best_bid) == (True, (10.0, 5.0))


def test_a_lost_market_data_link_makes_every_book_of_its_venue_stale() -> None:
    bus, books, _, _ = make()
    bus.set_step(ConnectionChanged, books.on_connection)
    bus.publish(snapshot(1))
    other = BookSnapshot("w:X", 0, 0, 1, ((10.0, 1.0),), ((11.0, 1.0),))
    bus.publish(other)

    def change(link: str, state: ConnectionState) -> None:
        bus.publish(ConnectionChanged("v", link, state, 0))

    change("orders", ConnectionState.RECONNECTING)
    change("feed", ConnectionState.STREAMING)
    is_untouched = books.by_instrument[NAME].is_synced
    change("feed", ConnectionState.RECONNECTING)

    assert is_untouched
    assert not books.by_instrument[NAME].is_synced
    assert books.by_instrument["w:X"].is_synced


def test_r43_a_lost_feed_is_asked_for_nothing_until_it_is_up_again() -> None:
    """R-41, R-43: a link that backs off, or has only just come up, is not dropped once more."""
    bus, books, clock, requests = make()
    books.options = {"v": RecoveryOptions(can_request_snapshot=True)}
    bus.set_step(ConnectionChanged, books.on_connection)
    bus.publish(snapshot(1))

    def change(state: ConnectionState) -> None:
        bus.publish(ConnectionChanged("v", "feed", state, clock.now_ns))

    change(ConnectionState.RECONNECTING)
    for second in (8, 25):
        clock.advance_to(second * SECOND_NS)
        change(ConnectionState.CONNECTING)
        change(ConnectionState.RECONNECTING)
    clock.advance_to(26 * SECOND_NS)
    while_down = list(requests)
    change(ConnectionState.CONNECTED)
    clock.advance_to(26 * SECOND_NS + SECOND_NS // 2)
    change(ConnectionState.STREAMING)
    asked = [type(request) for _, request in requests]
    clock.advance_to(36 * SECOND_NS)
    before = [type(request) for _, request in requests]
    clock.advance_to(37 * SECOND_NS)

    assert while_down == []
    assert asked == [RequestSnapshot]
    assert Reconnect not in before
    assert Reconnect in [type(request) for _, request in requests]


def test_r43_a_feed_that_comes_and_goes_for_hours_leaves_no_timers_behind() -> None:
    """R-43, R-53: each deadline that another replaced used to live on, and to make new ones."""
    bus, books, clock, _ = make()
    bus.set_step(ConnectionChanged, books.on_connection)
    bus.publish(snapshot(1))
    waiting: list[int] = []

    for second in range(3, 1_800, 6):
        clock.advance_to(second * SECOND_NS)
        bus.publish(ConnectionChanged("v", "feed", ConnectionState.RECONNECTING, 0))
        clock.advance_to((second + 3) * SECOND_NS)
        bus.publish(ConnectionChanged("v", "feed", ConnectionState.STREAMING, 0))
        waiting.append(clock.pending_count)

    assert max(waiting) <= 15  # those that were replaced, until they are due: once


def test_r41_500_gaps_at_once_make_no_storm_of_requests() -> None:
    bus, books, clock, requests = make()
    books.options = {"v": RecoveryOptions(can_request_snapshot=True)}
    names = [f"v:{number}" for number in range(500)]
    for name in names:
        bus.publish(msgspec.structs.replace(snapshot(1), instrument=name))
    for name in names:
        bus.publish(msgspec.structs.replace(delta(3), instrument=name))

    asked_at_once = len(requests)
    clock.advance_to(SECOND_NS - 1)

    assert asked_at_once == SNAPSHOTS_PER_SECOND
    assert len(requests) == SNAPSHOTS_PER_SECOND
