"""What waits to be written to one connection: bounded, in order, with the connection's end."""

from collections import deque
from collections.abc import Callable

from adapters.kalshi.simulated.frames import Ending, Item


class Outbox:
    """A queue between the session, which never waits, and the shell that writes.

    `on_ready` is called whenever there is something new to take, the end included; `on_cut` when
    the connection is cut, which must not wait for a peer that has stopped reading. The session
    asks `is_full` before it puts data; replies and pings still fit until `is_hopeless`.
    """

    def __init__(self, capacity: int) -> None:
        self.ending: Ending | None = None  # nothing is put any more; a cut drops what waits
        self.on_ready: Callable[[], None] = _nobody
        self.on_cut: Callable[[], None] = _nobody
        self._capacity = capacity
        self._items: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether no more data fits."""
        return len(self._items) >= self._capacity

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing fits at all."""
        return len(self._items) >= 2 * self._capacity

    def put(self, item: Item) -> None:
        """Append an item; after the end nothing is taken any more."""
        if self.ending is None:
            self._items.append(item)
            self.on_ready()

    def end(self, ending: Ending) -> None:
        """End the connection: with a close frame after what waits, or by a cut at once."""
        if self.ending is not None and (ending.code is not None or self.ending.code is None):
            return  # a cut outdoes a close, not the other way round
        self.ending = ending
        if ending.code is None:
            self._items.clear()
            self.on_cut()
        self.on_ready()

    def take(self, limit: int) -> list[Item]:
        """Return up to `limit` items, oldest first."""
        items = self._items
        return [items.popleft() for _ in range(min(limit, len(items)))]


def _nobody() -> None:
    """Nobody writes yet."""
