"""Which bookings were taken already, so that each counts once (R-24)."""

from collections import deque
from collections.abc import Iterable

REMEMBERED_BOOKINGS = 100_000

BookingKey = tuple[str, str]
"""(account, booking id)"""


class SeenBookings:
    """The ids of the newest bookings, settlements and assignments of all accounts."""

    def __init__(self) -> None:
        self._seen: set[BookingKey] = set()
        self._order: deque[BookingKey] = deque()

    def __contains__(self, key: BookingKey) -> bool:
        return key in self._seen

    def add(self, account: str, booking_id: str) -> bool:
        """Take a booking id; True: it comes for the first time, as one without an id always does.

        The oldest are forgotten.
        """
        key = (account, booking_id)
        if not booking_id or key in self._seen:
            return not booking_id
        if len(self._order) == REMEMBERED_BOOKINGS:
            self._seen.remove(self._order.popleft())
        self._seen.add(key)
        self._order.append(key)
        return True

    def state(self) -> tuple[BookingKey, ...]:
        """Return the ids, the oldest first."""
        return tuple(self._order)

    def load_state(self, state: Iterable[BookingKey]) -> None:
        """Take over what `state` returned."""
        self._order.extend(state)
        self._seen.update(self._order)
