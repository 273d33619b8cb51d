"""Breakers: what happens too often within a time opens them, and a person closes them again."""

from collections import deque


class Breaker:
    """Trips when `limit` events come within `window_ns`, and stays tripped until it is reset.

    Attributes:
        is_tripped: to be read only.
    """

    def __init__(self, limit: int, window_ns: int) -> None:
        self.limit = limit
        self.window_ns = window_ns
        self.is_tripped = False
        self._times_ns: deque[int] = deque(maxlen=limit)

    def count(self, now_ns: int) -> bool:
        """Count one event; tell whether it is the one that trips the breaker."""
        times_ns = self._times_ns
        times_ns.append(now_ns)
        if self.is_tripped or len(times_ns) < self.limit:
            return False
        self.is_tripped = now_ns - times_ns[0] < self.window_ns
        return self.is_tripped

    def reset(self) -> None:
        """Close it again and forget what was counted."""
        self.is_tripped = False
        self._times_ns.clear()
