"""R-40, R-41, F-07: a book is the truth at every event while it says so, and says when not."""

import os
from math import nan

import msgspec
import pytest

from framework.market.escalation import Alert, Deadlines, Reconnect, RequestSnapshot, Resubscribe
from framework.market.fast_book import FastOrderBook
from framework.market.recovery import BookRecovery, BookState, Output
from framework.market.recovery_options import RecoveryOptions
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
        self.epochs: dict[str, int] = {}
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
            self.act(self.recovery.reset(self.venue.now_ns), epoch=0)
        for arrival in arrivals:
            self.receive(arrival)
        self.act(self.recovery.on_time(self.venue.now_ns), epoch=0)
        self.check()

    def receive(self, arrival: Arrival) -> None:
        message = arrival.message
        if self.in_stream or isinstance(message, BookDelta):
            newest = (arrival.epoch, message.sequence)
            self.delivered = max(self.delivered or newest, newest)
        if isinstance(message, BookSnapshot):
            self.act(self.recovery.on_snapshot(message), epoch=arrival.epoch)
        else:
            self.act(self.recovery.on_delta(message), epoch=arrival.epoch)
        self.check()

    def act(self, outputs: list[Output], *, epoch: int) -> None:
        for output in outputs:
            match output:
                case BookSnapshot():
                    self.books[output.instrument].apply_snapshot(output)
                    self.epochs[output.instrument] = epoch
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
    "numbers that often begin again": Case(faults=Faults(restart=0.005)),
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
