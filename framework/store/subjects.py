"""Where the newest entries of each order are, until the database has indexed them.

An index on something as random as an order's id costs more than the entries themselves when it is
kept with every commit; so the database indexes in larger steps, and this holds what is between.
"""

CHUNK_COUNT = 4096


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
