"""Deltas that wait for a snapshot, and whether they can be replayed on one."""

from collections import deque
from math import inf

from framework.model.market_data import BookDelta, BookSnapshot


class ReplayBuffer:
    """The newest `capacity` messages of one stream, for all its instruments.

    Messages may be kept in any order and repeatedly; `replay` goes by their numbers.
    """

    def __init__(self, capacity: int) -> None:
        self._messages: deque[BookDelta] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._messages)

    def keep(self, delta: BookDelta) -> bool:
        """Keep one message; return whether the oldest had to go for it."""
        is_full = len(self._messages) == self._messages.maxlen
        self._messages.append(delta)
        return is_full

    def has(self, sequence: int) -> bool:
        """Whether the message that ends at this number is kept."""
        return any(kept.sequence == sequence for kept in self._messages)

    def clear(self) -> None:
        """Forget everything."""
        self._messages.clear()

    def replay(
        self, snapshot: BookSnapshot, *, until: int | None, tolerance_ns: int | None
    ) -> list[BookDelta] | None:
        """Return the deltas of the snapshot's instrument that take it to the present.

        None where that cannot be: a number is missing between the snapshot and `until`, the
        stream's position; or a message inside the snapshot is more than `tolerance_ns` newer
        than it, so that the two count differently (None: times say nothing).
        """
        position = snapshot.sequence
        newest_ns = inf if tolerance_ns is None else snapshot.time_ns + tolerance_ns
        deltas = []
        for kept in sorted(self._messages, key=_sequence):
            if kept.sequence <= snapshot.sequence:
                if kept.time_ns > newest_ns:
                    return None
            elif kept.first_sequence > position + 1:
                return None
            elif kept.sequence > position:
                position = kept.sequence
                if kept.instrument == snapshot.instrument:
                    deltas.append(kept)
        return deltas if until is None or position >= until else None


def _sequence(delta: BookDelta) -> int:
    return delta.sequence
