"""An order log in memory: for backtests, and wherever nothing has to survive the process."""

from collections.abc import Iterator


class MemoryLog:
    """Keeps the newest `capacity` entries; each is durable (as far as memory goes) at once."""

    def __init__(self, capacity: int | None = None) -> None:
        self.position = 0
        self._capacity = capacity
        self._entries: list[object] = []

    @property
    def durable_position(self) -> int:
        """The same as `position`."""
        return self.position

    def append(self, entry: object) -> int:
        """Write `entry` behind the others and return its position."""
        self._entries.append(entry)
        self.position += 1
        if self._capacity is not None and len(self._entries) >= 2 * self._capacity:
            del self._entries[: -self._capacity]
        return self.position

    def read(self, after: int = 0) -> Iterator[tuple[int, object]]:
        """Yield (position, entry) of what follows `after` and is still kept, oldest first."""
        first = self.position - len(self._entries) + 1
        for position in range(max(after + 1, first), self.position + 1):
            yield position, self._entries[position - first]
