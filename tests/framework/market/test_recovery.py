"""R-40, R-41, F-07: a book is the truth at every event while it says so, and says when not."""

import os
from math import nan
from random import Random

import msgspec
import pytest

from framework.market.escalation import Alert, Reconnect, RequestSnapshot, Resubscribe
from framework.market.fast_book import FastOrderBook
from framework.market.recovery import BookRecovery, BookState, Output, RecoveryOptions
from framework.model.book_recovery import Deadlines
from framework.model.events import GapDetected, Resynced
from framework.model.market_data import BookDelta, BookSnapshot, Level
from tests.framework.market.true_venue import Arrival, Faults, TrueVenue

A, B = "v:A", "v:B"
SECOND = 1_000_000_000
REQUESTED = RecoveryOptions(can_request_snapshot=True)
AWAITED = RecoveryOptions(can_request_snapshot=False)
IN_STREAM = RecoveryOptions(can_request_snapshot=True, snapshots_in_stream=True)
DELTA_COUNT = int(os.environ.get("HEADRACE_R40_DELTAS", "60000"))


def snapshot(
    sequence: int, *, at: int | None = None, of: str = A, bids: tuple[Level, ...] = ((99.0, 1.0),)
) -> BookSnapshot:
    time_ns = sequence if at is None else at
    return BookSnapshot(of, time_ns, time_ns, sequence, bids, ((101.0, 1.0),))


def delta(
    last: int, *, first: int | None = None, at: int | None = None, of: str = A, size: float = 2.0
) -> BookDelta:
    time_ns = last if at is None else at
    first = last if first is None else first
    return BookDelta(of, time_ns, time_ns, first, last, ((99.0, size),), ())


def synced(options: RecoveryOptions = REQUESTED, *, at: int = 10) -> BookRecovery:
    recovery = BookRecovery("books", [A], options)
    recovery.on_snapshot(snapshot(at))
    assert recovery.state(A) is BookState.SYNCED
    return recovery


def kinds(outputs: list[Output]) -> list[str]:
    return [type(output).__name__ for output in outputs]


class Client:
    """Books fed by a recovery; carries out its requests on the venue."""

    def __init__(self, venue: TrueVenue, names: tuple[str, ...], options: RecoveryOptions) -> None:
        self.venue = venue
        self.recovery = BookRecovery("books", names, options)
        self.books = {name: FastOrderBook(name) for name in names}
        self.epochs: dict[str, int] = {}  # of the snapshot that each book is built on
        self.received: dict[tuple[str, int, int], int] = {}  # epochs of snapshots
        self.delivered: tuple[int, int] | None = None  # epoch, newest number of the stream
        self.has_window = options.reorder_window > 0
        self.checked_count = 0
        self.longest_stale_ns = 0
        self.stale_since_ns: int | None = None
        self.in_stream = options.snapshots_in_stream

    def step(self) -> None:
        is_new, arrivals = self.venue.step()
        if is_new:
            self.delivered = None
            self.act(self.recovery.reset(self.venue.now_ns))
        for arrival in arrivals:
            self.receive(arrival)
        self.act(self.recovery.on_time(self.venue.now_ns))
        self.check()

    def receive(self, arrival: Arrival) -> None:
        message = arrival.message
        if self.in_stream or isinstance(message, BookDelta):
            newest = (arrival.epoch, message.sequence)
            self.delivered = max(self.delivered or newest, newest)
        if isinstance(message, BookSnapshot):
            self.received[message.instrument, message.sequence, message.time_ns] = arrival.epoch
            self.act(self.recovery.on_snapshot(message))
        else:
            self.act(self.recovery.on_delta(message))
        self.check()

    def act(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case BookSnapshot():
                    self.books[output.instrument].apply_snapshot(output)
                    key = (output.instrument, output.sequence, output.time_ns)
                    self.epochs[output.instrument] = self.received[key]
                case BookDelta():
                    assert self.books[output.instrument].sequence < output.sequence
                    self.books[output.instrument].apply_delta(output)
                case GapDetected():
                    self.books[output.instrument].mark_stale()
                case RequestSnapshot():
                    self.venue.request_snapshot(output.instrument)
                case _:
                    pass

    def check(self) -> None:
        for name, book in self.books.items():
            is_synced = self.recovery.state(name) is BookState.SYNCED
            assert book.is_synced == is_synced
            if is_synced:
                self.check_book(name, book)
        now_ns = self.venue.now_ns
        if self.recovery.is_synced:
            self.stale_since_ns = None
        elif self.stale_since_ns is None:
            self.stale_since_ns = now_ns
        else:
            self.longest_stale_ns = max(self.longest_stale_ns, now_ns - self.stale_since_ns)

    def check_book(self, name: str, book: FastOrderBook) -> None:
        epoch, number = self.epochs[name], book.sequence
        if self.has_window:
            number = max(number, self.recovery.position or 0)
        elif self.delivered is not None:
            assert self.delivered[0] == epoch, "a book of before the numbers began again"
            number = max(number, self.delivered[1])
        assert (book.bids(99), book.asks(99)) == self.venue.truth(name, epoch, number)
        self.checked_count += 1


class Case(msgspec.Struct, frozen=True):
    names: tuple[str, ...] = (A,)
    options: RecoveryOptions = REQUESTED
    widths: tuple[int, int] = (1, 1)
    faults: Faults = Faults()

    def client(self, seed: int) -> Client:
        venue = TrueVenue(
            seed,
            self.names,
            snapshots_in_stream=self.options.snapshots_in_stream,
            faults=self.faults,
            widths=self.widths,
        )
        return Client(venue, self.names, self.options)


THREE = (A, B, "v:C")
WINDOW = RecoveryOptions(can_request_snapshot=True, reorder_window=4)
STREAM_WINDOW = RecoveryOptions(
    can_request_snapshot=True, snapshots_in_stream=True, reorder_window=4
)
CASES = {
    "one instrument, answers": Case(),
    "ranges of numbers": Case(widths=(1, 40)),
    "a stream behind the answers": Case(faults=Faults(lag=5)),
    "one instrument, snapshots in the stream": Case(options=IN_STREAM),
    "three instruments, answers": Case(THREE, faults=Faults(lag=2)),
    "three instruments, snapshots in the stream": Case(THREE, IN_STREAM),
    # A stream that begins again twice within one request: only cancelling the request helps.
    "numbers that often begin again": Case(faults=Faults(restart=0.005, answers_outlive=False)),
    "three instruments, numbers that often begin again": Case(
        THREE, IN_STREAM, faults=Faults(restart=0.005)
    ),
    "a reorder window": Case(options=WINDOW),
    "three instruments, a reorder window": Case(THREE, STREAM_WINDOW),
    "a small buffer": Case(options=RecoveryOptions(can_request_snapshot=True, buffer_capacity=4)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_r40_the_book_is_the_truth_at_every_event_while_synced(case: str, seed: int) -> None:
    client = CASES[case].client(seed)
    steps = DELTA_COUNT // (2 * len(CASES))

    for _ in range(steps):
        client.step()

    statistics = client.recovery.statistics
    assert client.checked_count > steps / 4
    assert statistics.gaps > steps / 1_000
    assert statistics.duplicates > 0
    assert statistics.bad_messages > 0


def test_a_first_snapshot_syncs_and_later_deltas_pass() -> None:
    recovery = synced()

    passed = delta(11)

    assert recovery.on_delta(passed) == [passed]
    assert recovery.position == 11


def test_r41_a_gap_makes_every_instrument_of_the_subscription_stale_at_once() -> None:
    recovery = BookRecovery("books", [A, B], IN_STREAM)
    recovery.on_snapshot(snapshot(1, of=A))
    recovery.on_snapshot(snapshot(2, of=B))

    outputs = recovery.on_delta(delta(5, of=B))

    assert outputs == [
        GapDetected(A, "books", 3, 5, 5),
        GapDetected(B, "books", 3, 5, 5),
        RequestSnapshot(A, "books", 1),
        RequestSnapshot(B, "books", 1),
    ]
    assert {recovery.state(A), recovery.state(B)} == {BookState.STALE}


def test_r41_a_gap_resets_one_subscription_and_no_other() -> None:
    torn, whole = synced(), synced()

    torn.on_delta(delta(13))

    assert not torn.is_synced
    assert whole.is_synced


def test_r41_waiting_deltas_follow_the_snapshot_that_closes_the_gap() -> None:
    recovery = synced()
    recovery.on_delta(delta(13))
    recovery.on_delta(delta(14))

    outputs = recovery.on_snapshot(snapshot(13, at=15))

    assert outputs == [snapshot(13, at=15), delta(14), Resynced(A, "books", 14, 15)]
    assert recovery.is_synced


def test_r41_a_repeat_is_never_applied() -> None:
    recovery = synced()
    recovery.on_delta(delta(11))

    assert recovery.on_delta(delta(11)) == []
    assert recovery.on_delta(delta(9)) == []
    assert recovery.statistics.duplicates == 2
    assert recovery.is_synced


def test_a_repeat_from_a_venue_without_times_is_known_by_its_content() -> None:
    recovery = synced()
    recovery.on_delta(delta(11))

    assert recovery.on_delta(delta(11, at=900)) == []
    assert recovery.is_synced


def test_a_range_that_begins_inside_the_snapshot_is_applied_whole() -> None:
    recovery = synced()

    overlapping = delta(14, first=8)

    assert recovery.on_delta(overlapping) == [overlapping]
    assert kinds(recovery.on_delta(delta(16, first=15))) == ["BookDelta"]


def test_an_early_snapshot_is_refused_and_asked_for_again() -> None:
    recovery = synced()
    recovery.on_delta(delta(13))

    assert recovery.on_snapshot(snapshot(11, at=20)) == []
    assert recovery.on_time(20 + SECOND) == [RequestSnapshot(A, "books", 2)]
    assert recovery.state(A) is BookState.STALE
    assert recovery.statistics.early_snapshots == 1


def test_a_late_snapshot_does_not_turn_a_synced_book_back() -> None:
    recovery = synced(at=50)

    assert recovery.on_snapshot(snapshot(45)) == []
    assert recovery.on_delta(delta(51)) == [delta(51)]


def test_a_snapshot_ahead_of_the_stream_silences_the_deltas_it_contains() -> None:
    recovery = synced()
    recovery.on_delta(delta(13))
    recovery.on_snapshot(snapshot(20))

    assert recovery.on_delta(delta(14)) == []
    assert recovery.on_delta(delta(20)) == []
    assert recovery.on_delta(delta(21)) == [delta(21)]


def test_numbers_that_begin_again_are_a_gap_not_repeats() -> None:
    recovery = synced(at=1_000)

    outputs = recovery.on_delta(delta(1, at=2_000))

    assert kinds(outputs) == ["GapDetected", "RequestSnapshot"]
    assert recovery.on_snapshot(snapshot(1_000)) == []  # an answer from before
    assert kinds(recovery.on_snapshot(snapshot(1, at=2_000))) == ["BookSnapshot", "Resynced"]
    assert recovery.on_delta(delta(2, at=2_001)) == [delta(2, at=2_001)]


def test_a_snapshot_that_begins_the_numbers_again_replaces_the_book() -> None:
    recovery = BookRecovery("books", [A], IN_STREAM)
    recovery.on_snapshot(snapshot(1_000))

    outputs = recovery.on_snapshot(snapshot(1, at=2_000))

    assert kinds(outputs) == ["GapDetected", "BookSnapshot", "Resynced"]


def test_a_pushed_snapshot_after_missing_messages_heals_the_only_instrument() -> None:
    recovery = BookRecovery("books", [A], IN_STREAM)
    recovery.on_snapshot(snapshot(10))

    assert recovery.on_snapshot(snapshot(15)) == [snapshot(15)]
    assert recovery.on_delta(delta(16)) == [delta(16)]


def test_a_number_without_book_content_leaves_no_gap() -> None:
    recovery = BookRecovery("books", [A], IN_STREAM)
    recovery.on_snapshot(snapshot(1))

    assert recovery.on_number(2, time_ns=2, received_ns=2) == []
    assert recovery.on_delta(delta(3)) == [delta(3)]


def test_a_level_that_is_no_number_is_a_gap_and_not_applied() -> None:
    recovery = synced()

    outputs = recovery.on_delta(delta(11, size=nan))

    assert kinds(outputs) == ["GapDetected", "RequestSnapshot"]
    assert recovery.on_snapshot(snapshot(10, at=12)) == []  # would lack the bad one
    assert kinds(recovery.on_snapshot(snapshot(11, at=12))) == ["BookSnapshot", "Resynced"]


def test_a_crossed_answer_is_refused_and_asked_for_again() -> None:
    recovery = BookRecovery("books", [A], REQUESTED)
    recovery.on_time(0)

    assert recovery.on_snapshot(snapshot(5, at=SECOND // 2, bids=((102.0, 1.0),))) == [
        RequestSnapshot(A, "books", 2)
    ]
    assert recovery.state(A) is BookState.EMPTY


def test_the_buffer_is_bounded_and_its_overflow_asks_again() -> None:
    options = RecoveryOptions(can_request_snapshot=True, buffer_capacity=3)
    recovery = synced(options)
    outputs = recovery.on_delta(delta(13, at=0))
    for number in range(14, 40):
        outputs += recovery.on_delta(delta(number, at=number * SECOND // 100))

    assert kinds(outputs).count("RequestSnapshot") == 2
    assert recovery.statistics.overflows == 24
    assert kinds(recovery.on_snapshot(snapshot(35, at=SECOND))) == ["RequestSnapshot"]  # no 36
    assert kinds(recovery.on_snapshot(snapshot(36, at=SECOND)))[0] == "BookSnapshot"
    assert recovery.is_synced


def test_a_late_message_in_the_window_is_released_in_order() -> None:
    recovery = synced(WINDOW)

    assert recovery.on_delta(delta(12)) == []
    assert recovery.on_delta(delta(13)) == []
    assert recovery.on_delta(delta(11)) == [delta(11), delta(12), delta(13)]
    assert recovery.statistics.gaps == 0


def test_what_waits_in_the_window_too_long_is_a_gap() -> None:
    recovery = synced(WINDOW)
    recovery.on_delta(delta(12))

    assert recovery.next_due_ns == 12 + 200_000_000
    assert kinds(recovery.on_time(12 + 200_000_000)) == ["GapDetected", "RequestSnapshot"]


def test_a_reset_makes_books_stale_until_a_snapshot_of_the_new_connection() -> None:
    recovery = synced()

    assert recovery.reset(100) == [GapDetected(A, "books", 11, 0, 100)]
    assert recovery.reset(101) == []
    assert kinds(recovery.on_snapshot(snapshot(3, at=102))) == ["BookSnapshot", "Resynced"]


def test_deadlines_lead_from_resubscribe_to_reconnect_to_alert() -> None:
    recovery = BookRecovery("books", [A], AWAITED)
    recovery.on_snapshot(snapshot(10, at=0))
    recovery.on_delta(delta(12, at=0))
    happened: dict[str, list[int]] = {}
    while recovery.next_due_ns is not None and recovery.next_due_ns <= 30 * SECOND:
        now_ns = recovery.next_due_ns
        for output in recovery.on_time(now_ns):
            happened.setdefault(type(output).__name__, []).append(now_ns // SECOND)

    assert happened == {"Resubscribe": [1], "Reconnect": [10, 30], "Alert": [30]}


def test_r43_reconnects_that_do_not_help_come_ever_more_seldom_and_anew_after_a_snapshot() -> None:
    """R-43: a book that never comes must not keep the others' connection from working."""
    recovery = BookRecovery("books", [A], AWAITED)
    recovery.on_time(0)
    reconnects: list[int] = []

    def wait_until(end_s: int) -> None:
        for second in range(recovery_s[0], end_s):
            for output in recovery.on_time(second * SECOND):
                if isinstance(output, Reconnect):
                    reconnects.append(second)
                    recovery.reset(second * SECOND)
        recovery_s[0] = end_s

    recovery_s = [1]
    wait_until(1_300)
    assert reconnects == [10, 30, 70, 150, 310, 630, 950, 1_270]

    recovery.on_snapshot(snapshot(10, at=1_300 * SECOND))
    recovery.on_delta(delta(12, at=1_300 * SECOND))
    wait_until(1_320)
    assert reconnects[8:] == [1_310]


def test_r43_while_the_link_is_down_nothing_is_asked_for_and_the_steps_begin_anew_after() -> None:
    """R-41, R-43: the link comes back by itself; what waited for it counts from then on."""
    recovery = synced(AWAITED)
    happened: list[tuple[int, str]] = []

    def tell(second: int, outputs: list[Output]) -> None:
        happened.extend((second, kind) for kind in kinds(outputs))

    tell(0, recovery.lose_link(0))
    for second in range(1, 95):
        tell(second, recovery.lose_link(second * SECOND) if second == 50 else [])
        tell(second, recovery.on_time(second * SECOND))
    alone = [(0, "GapDetected"), (30, "Alert"), (60, "Alert"), (90, "Alert")]
    assert happened == alone
    assert recovery.next_due_ns == 120 * SECOND

    tell(95, recovery.regain_link(95 * SECOND, is_streaming=False))
    tell(97, recovery.regain_link(97 * SECOND, is_streaming=True))
    for second in range(98, 110):
        tell(second, recovery.on_time(second * SECOND))
    assert happened == [*alone, (98, "Resubscribe"), (107, "Reconnect")]


@pytest.mark.parametrize("seed", range(20))
def test_r43_a_link_that_backs_off_or_has_just_come_up_is_never_dropped(seed: int) -> None:
    """R-41, R-43: by seed, a reconnect is asked for only after ten seconds of a link that is up."""
    random = Random(seed)
    recovery = synced(AWAITED)
    up_since_s: int | None = 0
    change_s, reconnects = 0, 0
    for second in range(3_600):
        outputs = recovery.on_time(second * SECOND)
        if any(isinstance(output, Reconnect) for output in outputs):
            assert up_since_s is not None
            assert second - up_since_s >= 10
            reconnects += 1
            change_s = second
        if second == change_s:
            if up_since_s is None:
                recovery.regain_link(second * SECOND, is_streaming=random.random() < 0.5)
                up_since_s = second
            else:
                recovery.lose_link(second * SECOND)
                up_since_s = None
            change_s = second + random.randint(1, 40)
        elif random.random() < 0.02:  # the feed says that something is missing, up or down
            recovery.reset(second * SECOND)
        elif up_since_s is not None and random.random() < 0.03:
            recovery.on_snapshot(snapshot(second, at=second * SECOND))

    assert reconnects > 10


@pytest.mark.parametrize("is_streaming", [False, True])
def test_r41_a_snapshot_is_asked_for_once_the_link_streams(is_streaming: bool) -> None:
    """R-41: at once when it streams; a link that never does is asked all the same, later."""
    recovery = synced()
    recovery.lose_link(SECOND)

    outputs = recovery.regain_link(50 * SECOND, is_streaming=is_streaming)
    later = recovery.on_time(51 * SECOND)

    assert "RequestSnapshot" in kinds(outputs if is_streaming else later)
    assert ("RequestSnapshot" in kinds(outputs)) is is_streaming


def test_the_alert_counts_on_over_reconnections() -> None:
    recovery = BookRecovery("books", [A], AWAITED)
    outputs: list[Output] = []
    for second in range(0, 40, 5):
        outputs += recovery.on_time(second * SECOND)
        recovery.reset(second * SECOND)

    assert [output for output in outputs if isinstance(output, Alert)] == [
        Alert("books", (A,), 30 * SECOND)
    ]
    assert not any(isinstance(output, Reconnect) for output in outputs)


def test_an_unanswered_request_is_repeated_each_second_then_the_subscription_renewed() -> None:
    recovery = synced()
    outputs = recovery.on_delta(delta(12, at=0))
    for second in range(1, 4):
        outputs += recovery.on_time(second * SECOND)

    assert [o.attempt for o in outputs if isinstance(o, RequestSnapshot)] == [1, 2, 3, 4]
    assert isinstance(outputs[-1], Resubscribe)


def test_r41_500_gaps_at_once_make_no_storm_and_all_are_asked_for() -> None:
    asked_ns: list[int] = []

    def permit(now_ns: int) -> bool:  # at most 100 in 200 ms
        return sum(now_ns - earlier < SECOND // 5 for earlier in asked_ns) < 100

    recoveries = [BookRecovery(f"s{i}", [A], REQUESTED, permit=permit) for i in range(500)]
    for recovery in recoveries:
        recovery.on_snapshot(snapshot(10, at=0))
    for now_ns in range(0, 2 * SECOND, SECOND // 10):
        for recovery in recoveries:
            outputs = recovery.on_delta(delta(12, at=0)) if not now_ns else []
            for output in outputs + recovery.on_time(now_ns):
                if isinstance(output, RequestSnapshot):
                    asked_ns.append(now_ns)
                    recovery.on_snapshot(snapshot(12, at=now_ns))

    assert all(recovery.is_synced for recovery in recoveries)
    assert len(asked_ns) == 500
    assert max(asked_ns.count(now_ns) for now_ns in asked_ns) == 100


def test_an_instrument_may_join_and_leave_a_running_stream() -> None:
    recovery = BookRecovery("books", [A], IN_STREAM)
    recovery.on_snapshot(snapshot(1))
    recovery.add(B, 2)

    assert recovery.on_delta(delta(2)) == [delta(2)]
    assert recovery.on_snapshot(snapshot(3, of=B)) == [snapshot(3, of=B)]
    assert recovery.is_synced

    recovery.add("v:C", 4)
    recovery.remove("v:C")

    assert recovery.is_synced
    assert recovery.next_due_ns is None
    recovery.remove(B)
    assert recovery.on_delta(delta(4, of=B)) == []
    assert recovery.on_delta(delta(5)) == [delta(5)]


def test_in_a_stream_the_first_snapshot_is_awaited_before_it_is_asked_for() -> None:
    recovery = BookRecovery("books", [A], IN_STREAM)

    assert recovery.on_time(0) == []
    assert recovery.on_time(SECOND) == [RequestSnapshot(A, "books", 1)]


def test_clocks_that_differ_cost_snapshots_unless_a_tolerance_is_set() -> None:
    tolerant = synced(RecoveryOptions(can_request_snapshot=True, clock_tolerance_ns=50))
    strict = synced()
    for recovery in (tolerant, strict):
        recovery.on_delta(delta(12, at=1_000))

    assert kinds(tolerant.on_snapshot(snapshot(12, at=960))) == ["BookSnapshot", "Resynced"]
    assert strict.on_snapshot(snapshot(12, at=960)) == []


def test_the_deadlines_can_be_set() -> None:
    deadlines = Deadlines(request_ns=5, spacing_ns=0, resubscribe_ns=7)
    recovery = synced(RecoveryOptions(can_request_snapshot=True, deadlines=deadlines))
    recovery.on_delta(delta(12, at=100))

    assert kinds(recovery.on_time(107)) == ["RequestSnapshot", "Resubscribe"]


def test_an_answer_older_than_a_message_inside_it_counts_differently_and_is_refused() -> None:
    recovery = synced()
    recovery.on_delta(delta(13, at=1_000))
    recovery.on_delta(delta(14, at=1_001))

    assert recovery.on_snapshot(snapshot(13, at=900)) == []
    assert kinds(recovery.on_snapshot(snapshot(13, at=1_000)))[0] == "BookSnapshot"


def test_an_answer_ahead_by_number_but_behind_by_time_is_refused() -> None:
    recovery = synced()
    recovery.on_delta(delta(11, at=1_000, size=nan))  # refused: not in the buffer

    assert recovery.on_snapshot(snapshot(15, at=900)) == []
    assert recovery.state(A) is BookState.STALE


def test_a_pushed_snapshot_ahead_by_number_but_behind_by_time_is_not_installed() -> None:
    recovery = BookRecovery("books", [A], IN_STREAM)
    recovery.on_snapshot(snapshot(1))
    recovery.on_delta(delta(2, at=100))

    assert kinds(recovery.on_snapshot(snapshot(50, at=5))) == ["GapDetected", "RequestSnapshot"]


def test_a_stream_that_starts_after_an_answer_leaves_a_hole() -> None:
    recovery = BookRecovery("books", [A, B], REQUESTED)
    recovery.on_snapshot(snapshot(10))

    outputs = recovery.on_delta(delta(13, of=B))

    assert outputs[0] == GapDetected(A, "books", 11, 13, 13)
    assert recovery.state(A) is BookState.STALE
