"""Keeps the books of one numbered stream true: EMPTY -> SYNCED -> STALE -> SYNCED.

No I/O and no clock: messages and the time go in, what to do comes out, in order.

    EMPTY   no snapshot yet                    deltas wait in the buffer
    SYNCED  book = snapshot + every delta      deltas are passed on
    STALE   a number is missing                deltas wait; a snapshot is asked for or awaited

One stream is one subscription, of one instrument or of several that share its numbers; a gap in
it makes all of them STALE at once, other subscriptions do not notice.

Numbers alone cannot tell a repeat from a stream that began again at a low number, nor a new
snapshot from one of before that; times can (`chronology.py` says what they must fulfil). What
contradicts itself is never applied: it only costs a snapshot.
"""

from collections.abc import Callable, Iterable
from enum import Enum

from framework.errors import StreamError
from framework.market.book import check_levels, check_snapshot
from framework.market.chronology import Chronology
from framework.market.escalation import Escalation, Request, always
from framework.market.recovery_statistics import RecoveryStatistics
from framework.market.replay_buffer import ReplayBuffer
from framework.market.sequence import SequenceTracker, Verdict
from framework.model.book_recovery import RecoveryOptions
from framework.model.events import GapDetected, Resynced
from framework.model.market_data import BookDelta, BookSnapshot

__all__ = ["BookRecovery", "BookState", "Output", "RecoveryOptions", "RecoveryStatistics"]

Message = BookSnapshot | BookDelta
Output = BookSnapshot | BookDelta | GapDetected | Resynced | Request

NOBODY = ""  # the instrument of numbers that carry no book content


class BookState(Enum):
    """Where the book of one instrument stands."""

    EMPTY = "empty"
    SYNCED = "synced"
    STALE = "stale"


class _Book:
    """What is known of one instrument: its state and what its snapshot contains."""

    __slots__ = ("contains", "state", "time_ns")

    def __init__(self) -> None:
        self.state = BookState.EMPTY
        self.contains = 0  # numbers up to this one
        self.time_ns = 0


class BookRecovery:
    """The state machine of one subscription.

    Every method returns outputs to act on in order: snapshots and deltas to apply and publish,
    `GapDetected` and `Resynced` to publish, requests to carry out. `permit(now_ns)` spaces
    snapshot requests over several subscriptions.
    """

    def __init__(
        self,
        stream: str,
        instruments: Iterable[str],
        options: RecoveryOptions,
        *,
        permit: Callable[[int], bool] = always,
    ) -> None:
        self.stream = stream
        self.statistics = RecoveryStatistics()
        self._options = options
        self._books = {instrument: _Book() for instrument in instruments}
        self._unsynced = len(self._books)
        self._tracker = SequenceTracker[Message](reorder_window=options.reorder_window)
        self._buffer = ReplayBuffer(options.buffer_capacity)
        self._times = Chronology(options.clock_tolerance_ns)
        self._held_since_ns = 0
        self._is_opened = False  # whether the escalation knows of the first wait
        self._escalation = Escalation(
            stream,
            can_request_snapshot=options.can_request_snapshot,
            deadlines=options.deadlines,
            permit=permit,
        )

    @property
    def is_synced(self) -> bool:
        """Every book of the subscription is true."""
        return not self._unsynced

    @property
    def position(self) -> int | None:
        """The last number taken from the stream."""
        return self._tracker.position

    @property
    def next_due_ns(self) -> int | None:
        """When `on_time` has something to do; None when nothing is open."""
        due_ns = self._escalation.next_due_ns
        if self._tracker.held_count:
            give_up_ns = self._held_since_ns + self._options.reorder_ns
            due_ns = give_up_ns if due_ns is None else min(due_ns, give_up_ns)
        return due_ns

    def state(self, instrument: str) -> BookState:
        """Return where the book of a subscribed instrument stands."""
        return self._books[instrument].state

    def add(self, instrument: str, now_ns: int) -> None:
        """Take an instrument into the subscription; it is EMPTY until its snapshot."""
        if instrument not in self._books:
            self._books[instrument] = _Book()
            self._unsynced += 1
            self._escalation.open(instrument, now_ns, ask_at_ns=self._first_ask_ns(now_ns))

    def remove(self, instrument: str) -> None:
        """Let an instrument go; its messages count as numbers only."""
        book = self._books.pop(instrument, None)
        if book is not None and book.state is not BookState.SYNCED:
            self._unsynced -= 1
        self._escalation.forget(instrument)
        self._settle([])

    def on_delta(self, delta: BookDelta) -> list[Output]:
        """Take one delta of the stream."""
        try:
            check_levels(delta.bids)
            check_levels(delta.asks)
            if delta.first_sequence > delta.sequence:
                raise StreamError(f"range {delta.first_sequence}..{delta.sequence} runs back")
        except StreamError:  # unusable, whatever is wrong with it: counted, and a gap
            return self._refuse(delta.first_sequence, delta)
        outputs = self._arrive(delta.first_sequence, delta)
        return outputs if not self._unsynced else outputs + self._due(delta.received_ns)

    def on_snapshot(self, snapshot: BookSnapshot) -> list[Output]:
        """Take one snapshot, from the stream or as an answer."""
        now_ns = snapshot.received_ns
        try:
            check_snapshot(snapshot)
        except StreamError:
            if self._options.snapshots_in_stream:
                return self._refuse(snapshot.sequence, snapshot)
            self.statistics.bad_messages += 1
            self._escalation.ask_again(snapshot.instrument, now_ns)
            return self._due(now_ns)
        if self._options.snapshots_in_stream:
            outputs = self._arrive(snapshot.sequence, snapshot)
        else:
            outputs = self._install(snapshot)
        return outputs if not self._unsynced else outputs + self._due(now_ns)

    def on_number(self, sequence: int, *, time_ns: int, received_ns: int) -> list[Output]:
        """Take a message that has a number of the stream but no book content."""
        return self.on_delta(_number(sequence, time_ns, received_ns))

    def on_time(self, now_ns: int) -> list[Output]:
        """Let deadlines pass: call at `next_due_ns`, or now and then."""
        outputs: list[Output] = []
        if self._tracker.held_count and now_ns >= self._held_since_ns + self._options.reorder_ns:
            outputs += self._gap(self._tracker.give_up(), now_ns)
        return outputs + self._due(now_ns)

    def reset(self, now_ns: int) -> list[Output]:
        """Make all books STALE: call it when connection or subscription is lost, and replaced.

        No number of before counts; calling it again does no harm. Cancel what was requested
        before: an answer to it is told by its time alone.
        """
        outputs = self._lose_all(expected=self._expected(), received=0, now_ns=now_ns)
        self._buffer.clear()
        self._tracker.reset()
        self._times.reset()
        self._escalation.restart_link(now_ns, ask_at_ns=self._first_ask_ns(now_ns))
        return outputs

    def lose_link(self, now_ns: int) -> list[Output]:
        """Make all books STALE, and ask for nothing until `regain_link`: nobody could hear it."""
        self._escalation.lose_link()
        return self.reset(now_ns)

    def regain_link(self, now_ns: int, *, is_streaming: bool) -> list[Output]:
        """Begin the steps to a new snapshot anew: the link is up.

        Call it when it is connected and again when it streams: a snapshot is asked for at once only
        then, since before that a venue may not send what follows it.
        """
        wait_ns = 0 if is_streaming else self._options.deadlines.request_ns
        ask_at_ns = max(self._first_ask_ns(now_ns), now_ns + wait_ns)
        self._escalation.regain_link(now_ns, ask_at_ns=ask_at_ns)
        return self._due(now_ns)

    def _arrive(self, first: int, message: Message) -> list[Output]:
        """Judge one message of the stream and do what follows."""
        tracker = self._tracker
        if tracker.position is None:
            if self._belies_a_book(message):
                self._begin_anew()
                return self._gap([message], message.received_ns)
            if self._leaves_hole(first):
                return self._gap([message], message.received_ns)
        verdict, released = tracker.receive(first, message.sequence, message)
        if verdict is Verdict.NEXT:
            outputs: list[Output] = []
            for ready in released:
                self._take(ready, outputs)
            return outputs
        if verdict is Verdict.DUPLICATE:
            return self._old(message)
        if verdict is Verdict.GAP:
            return self._gap(released, message.received_ns)
        if tracker.held_count == 1:
            self._held_since_ns = message.received_ns
        return []

    def _leaves_hole(self, first: int) -> bool:
        """Whether a stream's first message begins after what some snapshot contains."""
        has_book = self._unsynced < len(self._books)
        return has_book and first > self._contained() + 1

    def _contained(self) -> int:
        """The number up to which every snapshot in use reaches; 0 without one."""
        books = self._books.values()
        return min((b.contains for b in books if b.state is BookState.SYNCED), default=0)

    def _take(self, message: Message, outputs: list[Output]) -> None:
        """Pass on, or keep for replay, a message that follows without a hole."""
        self._times.note(message)
        if self._unsynced:
            self._keep(message)
        if isinstance(message, BookSnapshot):
            outputs += self._install(message)
            return
        book = self._books.get(message.instrument)
        if book is not None and book.state is BookState.SYNCED and message.sequence > book.contains:
            outputs.append(message)

    def _belies_a_book(self, message: Message) -> bool:
        """Whether a snapshot in use claims to contain a message that came after it."""
        return any(
            book.state is BookState.SYNCED
            and book.contains >= message.sequence
            and book.time_ns + self._options.clock_tolerance_ns < message.time_ns
            for book in self._books.values()
        )

    def _old(self, message: Message) -> list[Output]:
        """A number that was passed: a repeat, a late one, or the stream began again."""
        position = self._tracker.position
        is_held = position is not None and message.sequence > position
        if not is_held and self._times.is_newer(message):
            self._begin_anew()
            return self._gap([message], message.received_ns)
        if is_held or not self._unsynced or self._buffer.has(message.sequence):
            self.statistics.duplicates += 1
            return []
        self._keep(message)  # late: it may fill the hole that a snapshot would leave
        book = self._books.get(message.instrument)
        if isinstance(message, BookDelta) or book is None or book.state is BookState.SYNCED:
            return []
        return self._install(message)

    def _gap(self, messages: list[Message], now_ns: int) -> list[Output]:
        """Numbers are missing before `messages`: none is applied, every book is STALE."""
        self.statistics.gaps += 1
        first, *rest = messages
        position = self._tracker.position
        is_forward = position is not None and first.sequence > position
        outputs: list[Output] = []
        is_behind = self._times.is_behind(first)
        is_whole = isinstance(first, BookSnapshot) and len(self._books) == 1 and not is_behind
        if not (is_forward and is_whole):
            # else a whole new book of the only instrument there is heals what it shows
            outputs += self._lose_all(
                expected=self._expected(), received=_first(first), now_ns=now_ns
            )
        self._tracker.start_at(first.sequence)
        self._times.note(first)
        self._keep(first)
        if isinstance(first, BookSnapshot) and not is_behind:
            outputs += self._install(first)  # else it is of before a new beginning
        for message in rest:
            outputs += self._arrive(_first(message), message)
        return outputs

    def _refuse(self, first: int, message: Message) -> list[Output]:
        """A message with bad levels: its number is used up, its content is missing."""
        self.statistics.bad_messages += 1
        position = self._tracker.position
        if position is not None and message.sequence <= position:
            if not self._times.is_newer(message):
                return []
            self._begin_anew()
        now_ns = message.received_ns
        outputs = self._lose_all(expected=self._expected(), received=first, now_ns=now_ns)
        self._tracker.start_at(message.sequence)
        self._times.note(message)
        return outputs + self._due(now_ns)

    def _begin_anew(self) -> None:
        """The stream's numbers began again: nothing of before counts."""
        self.statistics.restarts += 1
        self._buffer.clear()
        self._tracker.give_up()
        self._times.begin_anew()

    def _lose_all(self, *, expected: int, received: int, now_ns: int) -> list[Output]:
        """Make every synced book STALE and ask for snapshots."""
        outputs: list[Output] = []
        for instrument, book in self._books.items():
            if book.state is BookState.SYNCED:
                book.state = BookState.STALE
                self._unsynced += 1
                outputs.append(GapDetected(instrument, self.stream, expected, received, now_ns))
            if book.state is BookState.STALE:
                self._escalation.open(instrument, now_ns, ask_at_ns=now_ns)
        return outputs

    def _install(self, snapshot: BookSnapshot) -> list[Output]:
        """Put a snapshot in place with what follows it, or say that it is of no use."""
        book = self._books.get(snapshot.instrument)
        if book is None:
            return []
        position = self._tracker.position
        if book.state is BookState.SYNCED:
            if snapshot.sequence < max(book.contains, position or 0) or self._contradicts(snapshot):
                self.statistics.late_snapshots += 1
                return []
            return self._sync(book, snapshot, [])
        in_stream = self._options.snapshots_in_stream
        tolerance_ns = None if in_stream else self._options.clock_tolerance_ns
        replay = self._buffer.replay(snapshot, until=position, tolerance_ns=tolerance_ns)
        if replay is None or self._contradicts(snapshot):
            self.statistics.early_snapshots += 1
            self._escalation.ask_again(snapshot.instrument, snapshot.received_ns)
            return []
        return self._sync(book, snapshot, replay)

    def _contradicts(self, snapshot: BookSnapshot) -> bool:
        """Whether an answer's time says that its number is one of before a new beginning."""
        if self._options.snapshots_in_stream:
            return False
        position = self._tracker.position
        has_everything = position is not None and snapshot.sequence >= position
        times = self._times
        return times.is_of_before(snapshot) or (has_everything and times.is_behind(snapshot))

    def _sync(self, book: _Book, snapshot: BookSnapshot, replay: list[BookDelta]) -> list[Output]:
        """The book is true from here on."""
        outputs: list[Output] = [snapshot, *replay]
        was, book.state = book.state, BookState.SYNCED
        book.contains, book.time_ns = snapshot.sequence, snapshot.time_ns
        self._times.note_in_use(snapshot)
        if was is not BookState.SYNCED:
            self._unsynced -= 1
            self._escalation.close(snapshot.instrument)
        if was is BookState.STALE:
            sequence = max(snapshot.sequence, self._tracker.position or 0)
            outputs.append(
                Resynced(snapshot.instrument, self.stream, sequence, snapshot.received_ns)
            )
        self._settle(outputs)
        return outputs

    def _settle(self, outputs: list[Output]) -> None:
        """Once all books are true: nothing waits any more, and all may be ahead of the stream."""
        if self._unsynced:
            return
        self._buffer.clear()
        contained = self._contained()
        if contained > (self._tracker.position or 0):
            for message in self._tracker.start_at(contained):
                self._take(message, outputs)

    def _keep(self, message: Message) -> None:
        """Buffer a message for replay; a snapshot stands for its number alone."""
        if isinstance(message, BookSnapshot):
            message = _number(message.sequence, message.time_ns, message.received_ns)
        if not self._buffer.keep(message):
            return
        if self.statistics.overflows % self._options.buffer_capacity == 0:  # once per bufferful
            for instrument in self._books:
                self._escalation.ask_again(instrument, message.received_ns)
        self.statistics.overflows += 1

    def _expected(self) -> int:
        """The number that should come next, for the record."""
        if self._tracker.position is not None:
            return self._tracker.position + 1
        return self._contained() + 1

    def _first_ask_ns(self, now_ns: int) -> int:
        """When to ask for a first snapshot: in a stream one is due without asking."""
        options = self._options
        return now_ns + options.deadlines.request_ns if options.snapshots_in_stream else now_ns

    def _due(self, now_ns: int) -> list[Output]:
        if not self._is_opened:
            self._is_opened = True
            for instrument, book in self._books.items():
                if book.state is BookState.EMPTY:
                    self._escalation.open(instrument, now_ns, ask_at_ns=self._first_ask_ns(now_ns))
        return list(self._escalation.due(now_ns))


def _first(message: Message) -> int:
    return message.first_sequence if isinstance(message, BookDelta) else message.sequence


def _number(sequence: int, time_ns: int, received_ns: int) -> BookDelta:
    """Return a delta that changes nothing but takes its number."""
    return BookDelta(NOBODY, time_ns, received_ns, sequence, sequence, (), ())
