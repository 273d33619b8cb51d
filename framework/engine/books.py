"""The order books of the core: every book message of the bus goes through recovery into its book.

A book is true while it says `is_synced`; on a gap it is stale at once and `GapDetected` follows.
A feed that numbers a stream itself says `GapDetected` on its own: its book is stale until the next
snapshot. So are all books of a venue whose market data link is lost.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import structlog

from framework.bus.bus import Bus
from framework.interfaces import Clock
from framework.market.escalation import Request
from framework.market.fast_book import FastOrderBook
from framework.market.recovery import BookRecovery, Output
from framework.model.book_recovery import RecoveryOptions
from framework.model.events import ConnectionChanged, ConnectionState, GapDetected, Resynced
from framework.model.identity import venue_of
from framework.model.instrument import Instrument
from framework.model.market_data import BookChanged, BookDelta, BookSnapshot

log = structlog.get_logger("books")

AWAIT_SNAPSHOTS = RecoveryOptions(can_request_snapshot=False)
SNAPSHOTS_PER_SECOND = 20  # requests to one venue: 500 gaps at once make no storm
SECOND_NS = 1_000_000_000
FEED = "feed"  # the link of market data
UP = (ConnectionState.CONNECTED, ConnectionState.STREAMING)


class Permits:
    """At most so many in any second; sans-IO."""

    def __init__(self, per_second: int) -> None:
        self._times: deque[int] = deque(maxlen=per_second)

    def __call__(self, now_ns: int) -> bool:
        """Take one, unless there is none left."""
        times = self._times
        if len(times) == times.maxlen and times[0] > now_ns - SECOND_NS:
            return False
        times.append(now_ns)
        return True


class Books:
    """One book and one recovery per instrument, made when its first message comes."""

    def __init__(
        self,
        bus: Bus,
        instruments: Mapping[str, Instrument],
        clock: Clock,
    ) -> None:
        self.on_request: Callable[[str, Request], None] = log_request
        self.options: dict[str, RecoveryOptions] = {}  # by venue; else snapshots are awaited
        self._bus = bus
        self._clock = clock
        self._instruments = instruments
        self.by_instrument: dict[str, FastOrderBook] = {}
        self._recoveries: dict[str, BookRecovery] = {}
        self._due_ns: dict[str, int] = {}  # of the timers set, by instrument
        self._permits: dict[str, Permits] = {}  # by venue

    def on_snapshot(self, snapshot: BookSnapshot) -> None:
        """Step one snapshot."""
        recovery = self._recovery(snapshot.instrument)
        self._act(recovery.on_snapshot(snapshot), snapshot.instrument, snapshot.time_ns)
        self._arm(snapshot.instrument, recovery)

    def on_delta(self, delta: BookDelta) -> None:
        """Step one delta."""
        recovery = self._recovery(delta.instrument)
        self._act(recovery.on_delta(delta), delta.instrument, delta.time_ns)
        if not recovery.is_synced:
            self._arm(delta.instrument, recovery)

    def on_gap(self, gap: GapDetected) -> None:
        """Step a gap that a feed found: its own deltas cannot be trusted until a snapshot."""
        recovery = self._recoveries.get(gap.instrument)
        if recovery is not None and recovery.stream != gap.stream:  # else it was said here
            self._lose(gap.instrument, recovery)

    def on_connection(self, change: ConnectionChanged) -> None:
        """Step a lost link: what was missed meanwhile is missing in every book of the venue.

        Nothing is asked for until it is up again; from then on the steps of recovery count anew.
        """
        if change.link != FEED or change.state is ConnectionState.CONNECTING:
            return
        now_ns = self._clock.now_ns
        for instrument, recovery in self._recoveries.items():
            if venue_of(instrument) != change.venue:
                continue
            if change.state in UP:
                is_streaming = change.state is ConnectionState.STREAMING
                outputs = recovery.regain_link(now_ns, is_streaming=is_streaming)
            else:
                outputs = recovery.lose_link(now_ns)
            self._act(outputs, instrument, now_ns)
            self._arm(instrument, recovery)

    def _lose(self, instrument: str, recovery: BookRecovery) -> None:
        now_ns = self._clock.now_ns
        self._act(recovery.reset(now_ns), instrument, now_ns)
        self._arm(instrument, recovery)

    def _arm(self, instrument: str, recovery: BookRecovery) -> None:
        """Have the recovery's next deadline noticed even when no message comes."""
        due_ns = recovery.next_due_ns
        if due_ns is not None and self._due_ns.get(instrument) != due_ns:
            self._due_ns[instrument] = due_ns
            self._clock.call_at(due_ns, partial(self._on_time, instrument, due_ns))

    def _on_time(self, instrument: str, due_ns: int) -> None:
        if self._due_ns.get(instrument) != due_ns:
            return  # another deadline took its place: two that both go on would never end
        del self._due_ns[instrument]
        recovery, now_ns = self._recoveries[instrument], self._clock.now_ns
        self._act(recovery.on_time(now_ns), instrument, now_ns)
        self._arm(instrument, recovery)

    def _recovery(self, instrument: str) -> BookRecovery:
        recovery = self._recoveries.get(instrument)
        if recovery is None:
            venue = venue_of(instrument)
            recovery = BookRecovery(
                f"{instrument} book",
                [instrument],
                self.options.get(venue, AWAIT_SNAPSHOTS),
                permit=self._permits.setdefault(venue, Permits(SNAPSHOTS_PER_SECOND)),
            )
            definition = self._instruments.get(instrument)
            ranges = definition.ranges if definition is not None else ()
            tick = ranges[0].tick if len(ranges) == 1 else None
            book = FastOrderBook(instrument, tick=tick)
            self._recoveries[instrument] = recovery
            self.by_instrument[instrument] = book
        return recovery

    def _act(self, outputs: Iterable[Output], instrument: str, time_ns: int) -> None:
        book = self.by_instrument[instrument]
        has_changed = False
        for output in outputs:
            if isinstance(output, BookDelta):
                book.apply_delta(output)
                has_changed = True
            elif isinstance(output, BookSnapshot):
                book.apply_snapshot(output)
                has_changed = True
            elif isinstance(output, GapDetected):
                book.mark_stale()
                has_changed = True
                self._bus.publish(output)
            elif isinstance(output, Resynced):
                self._bus.publish(output)
            else:
                self.on_request(instrument, output)
        if has_changed and self._is_wanted(instrument):
            now_ns = self._clock.now_ns
            self._bus.publish(
                BookChanged(instrument, time_ns, now_ns, book.sequence, book.is_synced)
            )

    def _is_wanted(self, instrument: str) -> bool:
        return self._bus.wants(BookChanged, instrument) or self._bus.has_step(
            BookChanged, instrument
        )


def log_request(instrument: str, request: Request) -> None:
    """Tell what a book needs where nobody can provide it."""
    log.warning("book_needs", instrument=instrument, request=repr(request))
