"""What is known of orders' entries in memory: where the newest are, and whether there are any.

An index on something as random as an order's id costs more than the entries themselves when it is
kept with every commit; so the database indexes in larger steps, and this holds what is between.
Most orders that are asked about are new: that there is nothing of them is known without a query.
"""

from collections.abc import Callable, Iterable

CHUNK_COUNT = 4096
SUBJECT_BITS = 32
BIT_SHIFT = 7  # so many low bits are left out: 2 ** 25 bits are kept, 4 MiB
BYTE_SHIFT = BIT_SHIFT + 3
PART_ENTRIES = 1024  # about so many entries of the database are read at a time
MOST_PART_BITS = 16


class RecentSubjects:
    """Positions by subject, in chunks that are dropped whole once they are indexed."""

    def __init__(self) -> None:
        self._chunks: list[tuple[int, dict[int, list[int]]]] = []
        self._newest: dict[int, list[int]] = {}
        self._last_position = 0  # that fits into the newest chunk

    def add(self, subject: int, position: int) -> None:
        """Note an entry; positions grow."""
        if position > self._last_position:
            self._newest, self._last_position = {}, position + CHUNK_COUNT
            self._chunks.append((self._last_position, self._newest))
        known = self._newest.get(subject)
        if known is None:
            self._newest[subject] = [position]
        else:
            known.append(position)

    def positions_of(self, subject: int) -> list[int]:
        """Return what is noted of a subject, oldest first."""
        return [at for _, chunk in self._chunks for at in chunk.get(subject, ())]

    def drop_until(self, position: int) -> None:
        """Forget the chunks that can hold nothing behind `position`."""
        while self._chunks and self._chunks[0][0] <= position:
            del self._chunks[0]


class WrittenSubjects:
    """Tells of a subject that it was never written, or that it may have been.

    A bit stands for 128 subjects side by side: with a million orders 3 % of what is new looks
    known. What the database has indexed is read when it is first asked about, a part at a time,
    so that a start reads nothing.
    """

    def __init__(self, stored: Callable[[int, int], Iterable[int]], entry_count: int) -> None:
        """`stored(first, last)` returns the subjects in that range, both ends included.

        Of `entry_count` entries; what it does not return yet has to be added.
        """
        part_bits = min((entry_count // PART_ENTRIES).bit_length(), MOST_PART_BITS)
        self._stored = stored
        self._part_shift = SUBJECT_BITS - part_bits
        self._is_read = bytearray(1 << part_bits)
        self._bits = bytearray(1 << SUBJECT_BITS - BYTE_SHIFT)

    def add(self, subject: int) -> None:
        """Note that there is an entry about `subject`."""
        self._bits[subject >> BYTE_SHIFT] |= 1 << (subject >> BIT_SHIFT & 7)

    def may_hold(self, subject: int) -> bool:
        """Return False if there is certainly no entry about `subject`."""
        part = subject >> self._part_shift
        if not self._is_read[part]:
            first = part << self._part_shift
            for found in self._stored(first, first + (1 << self._part_shift) - 1):
                self.add(found)
            self._is_read[part] = 1
        return bool(self._bits[subject >> BYTE_SHIFT] >> (subject >> BIT_SHIFT & 7) & 1)
