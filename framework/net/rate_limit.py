"""Our own limiter in front of the venue's: token buckets per group of endpoints (sans-IO).

A bucket holds `capacity` tokens and gains `refill_per_s`; a request takes its cost. The last
`reserve` share is for cancels alone, and cancels go before everybody else: whoever must get out of
the market never waits for those who want in (R-68). In no span of t seconds leaves more than
`capacity + refill_per_s * t`. Choose both below what the venue allows: one that counts N per
window of W seconds needs `capacity + refill_per_s * W <= N`, and one with a bucket of its own needs
it larger than ours by `refill_per_s` times the jitter on the way.

Times are seconds of one clock that never goes back, by custom the loop's.
"""

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from framework.errors import ConfigError

TOLERANCE = 1e-9  # tokens: what adding up floats may leave short


class BucketOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The size of one bucket; `reserve` is the share of it that only cancels may take."""

    capacity: float
    refill_per_s: float
    reserve: float = 0.2

    def __post_init__(self) -> None:
        """Refuse impossible settings.

        Raises:
            ValueError: an amount is not positive, or the reserve is not a share.
        """
        if not (self.capacity > 0 and self.refill_per_s > 0):
            raise ValueError("capacity and refill_per_s must be positive")
        if not 0 <= self.reserve < 1:
            raise ValueError("reserve must be at least 0 and below 1")


UNLIMITED = BucketOptions(1e18, 1e18, reserve=0.0)  # never empty, and yet it can be paused


class TokenBucket:
    """Counts what may leave; full at first."""

    def __init__(self, options: BucketOptions, now_s: float = 0.0) -> None:
        self.options = options
        self._tokens = options.capacity
        self._counted_s = now_s
        self._paused_until_s = now_s

    def try_take(self, cost: float, is_cancel: bool, now_s: float) -> float:
        """Take `cost` tokens and return 0.0, or take none and return the seconds until it could.

        Raises:
            ConfigError: not even a full bucket has that many.
        """
        self._refill(now_s)
        options = self.options
        needed = cost if is_cancel else cost + options.reserve * options.capacity
        if needed > options.capacity:
            raise ConfigError(f"a request of cost {cost:g} never fits a bucket of {options}")
        if now_s < self._paused_until_s:
            return self._paused_until_s - now_s
        missing = needed - self._tokens
        if missing > TOLERANCE:
            return missing / options.refill_per_s
        self._tokens -= cost
        return 0.0

    def pause(self, seconds: float, now_s: float) -> None:
        """Let nothing leave for `seconds`.

        The venue counts more than we did, so what the bucket holds is forgotten.
        """
        self._refill(now_s)
        self._paused_until_s = max(self._paused_until_s, now_s + seconds)
        self._tokens = 0.0

    def resize(self, options: BucketOptions, now_s: float) -> None:
        """Go on with other limits; what has left stays counted."""
        self._refill(now_s)
        taken = self.options.capacity - self._tokens
        self.options = options
        self._tokens = max(0.0, options.capacity - taken)

    def _refill(self, now_s: float) -> None:
        elapsed_s = now_s - self._counted_s
        if elapsed_s > 0:
            self._counted_s = now_s
            gained = self._tokens + elapsed_s * self.options.refill_per_s
            self._tokens = min(self.options.capacity, gained)


class Ticket:
    """A place in a line; `on_granted` is called once its tokens were taken."""

    __slots__ = ("cost", "is_cancel", "on_granted")

    def __init__(self, cost: float, is_cancel: bool, on_granted: Callable[[], None]) -> None:
        self.cost = cost
        self.is_cancel = is_cancel
        self.on_granted = on_granted


class Line:
    """Those who wait for one bucket: cancels first, and each kind in order of arrival."""

    def __init__(self, bucket: TokenBucket) -> None:
        self.bucket = bucket
        self._cancels: deque[Ticket] = deque()
        self._others: deque[Ticket] = deque()

    def try_take(self, cost: float, is_cancel: bool, now_s: float) -> float:
        """As the bucket's; whoever comes later waits at least as long as the first in line."""
        if self._cancels or (self._others and not is_cancel):
            wait_s = self.advance(now_s)
            if wait_s is not None:
                return wait_s
        return self.bucket.try_take(cost, is_cancel, now_s)

    def join(self, ticket: Ticket) -> None:
        """Wait behind the others of its kind."""
        self._waiting(ticket).append(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Give the place up; harmless once granted."""
        if ticket in self._waiting(ticket):
            self._waiting(ticket).remove(ticket)

    def advance(self, now_s: float) -> float | None:
        """Grant what can be; return the seconds until the next could be, None if nobody waits."""
        while waiting := self._cancels or self._others:
            first = waiting[0]
            wait_s = self.bucket.try_take(first.cost, first.is_cancel, now_s)
            if wait_s > 0:
                return wait_s
            waiting.popleft()
            first.on_granted()
        return None

    def _waiting(self, ticket: Ticket) -> deque[Ticket]:
        return self._cancels if ticket.is_cancel else self._others


class RateLimits:
    """The buckets of one venue by group; "" is the group of requests that name none.

    A group that is not listed is refused, so that no spelling mistake goes unlimited; "" may be
    left out, and without any buckets nothing is limited. Each group can be paused.
    """

    def __init__(self, buckets: Mapping[str, BucketOptions], now_s: float = 0.0) -> None:
        self._lines = {name: Line(TokenBucket(options, now_s)) for name, options in buckets.items()}
        self._knows_all = bool(buckets)

    def try_take(self, group: str, cost: float, is_cancel: bool, now_s: float) -> float:
        """Take the tokens and return 0.0, or return the seconds to wait at least.

        Raises:
            ConfigError: there is no such group, or its bucket is too small for the cost.
        """
        return self.line(group).try_take(cost, is_cancel, now_s)

    def pause(self, group: str, seconds: float, now_s: float) -> None:
        """Let nothing of the group leave for `seconds`: what `Retry-After` asks for."""
        self.line(group).bucket.pause(seconds, now_s)

    def resize(self, group: str, options: BucketOptions, now_s: float) -> None:
        """Take the limits that the venue told of an account; the group may be new."""
        line = self._lines.get(group)
        if line is None:
            self._lines[group] = Line(TokenBucket(options, now_s))
        else:
            line.bucket.resize(options, now_s)
        self._knows_all = True

    def line(self, group: str) -> Line:
        """Return those who wait for the group's bucket. Raises ConfigError: no such group."""
        line = self._lines.get(group)
        if line is None:
            if group and self._knows_all:
                known = ", ".join(sorted(self._lines))
                raise ConfigError(f"no rate limit is called {group!r}; there are: {known}")
            line = self._lines[group] = Line(TokenBucket(UNLIMITED))
        return line
