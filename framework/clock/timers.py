"""Ordered pending timers: one structure for live and virtual market time."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

NEVER_NS = 2**63 - 1


class PendingTimer:
    """One call that is due at `due_ns`; timers of one instant fire in the order they were set."""

    __slots__ = ("callback", "due_ns", "is_cancelled", "order", "owner")

    def __init__(
        self, due_ns: int, order: int, callback: Callable[[], None], owner: "Timers"
    ) -> None:
        self.due_ns = due_ns
        self.order = order
        self.callback = callback
        self.owner = owner
        self.is_cancelled = False

    def __lt__(self, other: "PendingTimer") -> bool:
        return (self.due_ns, self.order) < (other.due_ns, other.order)

    def cancel(self) -> None:
        """Take the timer back; harmless once it fired."""
        if not self.is_cancelled:
            self.is_cancelled = True
            self.owner.forget()


class Timers:
    """A heap of pending timers; `next_ns` is when the earliest is due, `NEVER_NS` if none is."""

    def __init__(self) -> None:
        self.next_ns = NEVER_NS
        self._heap: list[PendingTimer] = []
        self._count = 0
        self._cancelled_count = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled_count

    def add(self, due_ns: int, callback: Callable[[], None]) -> PendingTimer:
        """Have `callback` called at `due_ns`."""
        self._count += 1
        timer = PendingTimer(due_ns, self._count, callback, self)
        heappush(self._heap, timer)
        self.next_ns = self._heap[0].due_ns
        return timer

    def pop(self, now_ns: int) -> PendingTimer | None:
        """Take out the earliest timer that is due at `now_ns`, or None."""
        while self._heap and (self._heap[0].is_cancelled or self._heap[0].due_ns <= now_ns):
            timer = heappop(self._heap)
            if timer.is_cancelled:
                self._cancelled_count -= 1
                continue
            timer.is_cancelled = True  # fired: cancelling it now must not count
            self._note_next()
            return timer
        self._note_next()
        return None

    def forget(self) -> None:
        """Note one cancelled timer; rebuild once they are most of the heap (R-53)."""
        self._cancelled_count += 1
        if self._cancelled_count > 64 and self._cancelled_count * 2 > len(self._heap):
            self._heap = [timer for timer in self._heap if not timer.is_cancelled]
            self._cancelled_count = 0
            heapify(self._heap)
        self._note_next()

    def _note_next(self) -> None:
        """Note when the earliest timer is due; one that was cancelled is never the earliest."""
        while self._heap and self._heap[0].is_cancelled:
            heappop(self._heap)
            self._cancelled_count -= 1
        self.next_ns = self._heap[0].due_ns if self._heap else NEVER_NS
