"""An order log in memory: for backtests, and wherever nothing has to survive the process."""

from collections.abc import Callable, Iterator

from framework.model.records import Record, order_of


class MemoryLog:
    """Keeps the newest `capacity` entries; each is durable (as far as memory goes) at once."""

    def __init__(self, capacity: int | None = None, *, journal_id: str = "memory") -> None:
        self.journal_id = journal_id
        self.epoch = 1
        self.on_durable: Callable[[], None] | None = None
        self.position = 0
        self.failure = ""
        self._capacity = capacity
        self._entries: list[Record] = []
        self._snapshot: tuple[int, bytes] | None = None
        self._of_order: dict[str, list[int]] = {}
        self._indexed_position = 0

    @property
    def durable_position(self) -> int:
        """The same as `position`."""
        return self.position

    def append(self, entry: Record) -> int:
        """Write `entry` behind the others and return its position."""
        self._entries.append(entry)
        self.position += 1
        if self._capacity is not None and len(self._entries) >= 2 * self._capacity:
            del self._entries[: -self._capacity]
            self._of_order.clear()
            self._indexed_position = 0
        return self.position

    def commit(self) -> None:
        """Do nothing: an entry is as durable as it gets when it is appended."""

    def read(self, after: int = 0, limit: int | None = None) -> Iterator[tuple[int, Record]]:
        """Yield (position, entry) of what follows `after` and is still kept, oldest first."""
        first = self.position - len(self._entries) + 1
        start, last = max(after + 1, first), self.position
        for position in range(start, (last if limit is None else min(last, after + limit)) + 1):
            yield position, self._entries[position - first]

    def of_order(self, order_id: str) -> list[tuple[int, Record]]:
        """Return every kept entry about one order, oldest first."""
        # Indexed when somebody asks: a backtest that never does pays nothing.
        for at, entry in self.read(self._indexed_position):
            self._of_order.setdefault(order_of(entry), []).append(at)
        self._indexed_position = self.position
        first = self.position - len(self._entries) + 1
        positions = self._of_order.get(order_id, ()) if order_id else ()
        return [(at, self._entries[at - first]) for at in positions]

    def save_snapshot(self, position: int, state: bytes) -> None:
        """Keep the core's state as of `position`."""
        self._snapshot = (position, state)

    def newest_snapshot(self) -> tuple[int, bytes] | None:
        """Return the newest snapshot as (position, state)."""
        return self._snapshot

    async def flush(self) -> None:
        """Return at once: everything is as durable as it gets."""

    async def aclose(self) -> None:
        """Release nothing: there is no lock."""
