"""Tells by time what numbers alone cannot: a repeat from a stream that began again.

`time_ns` of a subscription's deltas and snapshots must be comparable, a delta never later than
a snapshot that contains it; `tolerance_ns` is by how much a venue breaks that.
"""

from collections import deque

from framework.model.market_data import BookDelta, BookSnapshot

REMEMBERED = 64  # messages whose exact repeat is recognised although its time is new


class Chronology:
    """The times seen in one stream."""

    def __init__(self, tolerance_ns: int) -> None:
        self.tolerance_ns = tolerance_ns
        self._stream_ns = 0  # the newest among the stream's messages
        self._newest_ns = 0  # the same, snapshots in use included
        self._anew_ns = 0  # answers of before this belong to older numbers
        self._recent: deque[BookDelta] = deque(maxlen=REMEMBERED)

    def note(self, message: BookSnapshot | BookDelta) -> None:
        """Take note of a message of the stream."""
        time_ns = message.time_ns
        self._stream_ns = max(self._stream_ns, time_ns)
        self._newest_ns = max(self._newest_ns, time_ns)
        if isinstance(message, BookDelta):
            self._recent.append(message)

    def note_in_use(self, snapshot: BookSnapshot) -> None:
        """Take note that a book is built on this snapshot."""
        self._newest_ns = max(self._newest_ns, snapshot.time_ns)

    def is_newer(self, message: BookSnapshot | BookDelta) -> bool:
        """Whether a message with a number that was passed comes after everything seen.

        Then it is no repeat, unless it repeats a delta of a venue without times exactly.
        """
        if message.time_ns <= self._newest_ns + self.tolerance_ns:
            return False
        return not isinstance(message, BookDelta) or all(
            _content(seen) != _content(message) for seen in self._recent
        )

    def is_behind(self, message: BookSnapshot | BookDelta) -> bool:
        """Whether a message that is ahead by number comes before others of the stream."""
        return message.time_ns + self.tolerance_ns < self._stream_ns

    def is_of_before(self, snapshot: BookSnapshot) -> bool:
        """Whether an answer was made before the numbers, or the connection, began anew."""
        return snapshot.time_ns + self.tolerance_ns < self._anew_ns

    def begin_anew(self) -> None:
        """The numbers began again, after everything seen so far."""
        self._anew_ns = self._newest_ns + 1
        self._recent.clear()

    def reset(self) -> None:
        """A new connection: perhaps with new numbers, perhaps not."""
        self._anew_ns, self._stream_ns, self._newest_ns = self._newest_ns, 0, 0
        self._recent.clear()


def _content(delta: BookDelta) -> tuple[object, ...]:
    return delta.sequence, delta.first_sequence, delta.instrument, delta.bids, delta.asks
