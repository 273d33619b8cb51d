"""The venue's true books as they followed each other, to hold an adapter's book against."""

from collections import deque
from collections.abc import Sequence

from framework.model.market_data import Level

MOST = 100_000


class BookHistory:
    """Every state of one book; a reader may lag, but never go back or see what never was."""

    def __init__(self) -> None:
        self._states: deque[tuple[tuple[Level, ...], tuple[Level, ...]]] = deque(maxlen=MOST)

    def note(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Add the state after a change."""
        self._states.append((tuple(bids), tuple(asks)))

    def has(self, bids: Sequence[Level], asks: Sequence[Level]) -> bool:
        """Whether the book was like this since the state that was found last."""
        seen = (tuple(bids), tuple(asks))
        for index, state in enumerate(self._states):
            if state == seen:
                for _ in range(index):
                    self._states.popleft()
                return True
        return False

    @property
    def newest(self) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """The state as of now."""
        return self._states[-1]
