"""How long to wait before the next attempt: exponential, with full jitter."""

from random import Random

MOST_DOUBLINGS = 60  # beyond it every cap is reached, and a float would overflow one day


class BackOff:
    """Draws `uniform(floor, max(floor, min(base * 2**attempt, cap)))`, attempts counted from 0.

    Full jitter: clients that were cut at one instant do not come back at one instant.
    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(self, floor_s: float, base_s: float, cap_s: float, random: Random) -> None:
        self.attempt = 0
        self._floor_s = floor_s
        self._base_s = base_s
        self._cap_s = cap_s
        self._random = random

    def next_s(self) -> float:
        """Return the pause before the next attempt, in seconds."""
        longest_s = min(self._base_s * 2 ** min(self.attempt, MOST_DOUBLINGS), self._cap_s)
        self.attempt += 1
        return self._random.uniform(self._floor_s, max(self._floor_s, longest_s))

    def reset(self) -> None:
        """Begin again with short pauses: what was wrong is over."""
        self.attempt = 0
