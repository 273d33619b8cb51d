"""The venue's rate limits of 2026: a read and a write bucket of tokens per account.

Both are refilled continuously; the write bucket holds two seconds of refill, the read bucket one.
A request that finds too few tokens is refused and takes none.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

NANOSECONDS = 1_000_000_000
DEFAULT_COST = 10
CHEAP_COST = 2  # cancels, reads of one order, and each item of a batch cancel
OLD_ORDER_COST = 100  # first-generation create and decrease

Direction = Literal["read", "write"]
TierName = Literal["basic", "advanced", "premier", "paragon", "prime"]


class Tier(msgspec.Struct, frozen=True):
    """What an account may spend, in tokens per second."""

    read_per_s: float
    write_per_s: float
    read_seconds: float = 1.0  # of refill that the bucket holds
    write_seconds: float = 2.0

    def refill_per_s(self, direction: Direction) -> float:
        """Return the tokens that a bucket gains per second."""
        return self.read_per_s if direction == "read" else self.write_per_s

    def capacity(self, direction: Direction) -> float:
        """Return the most tokens that a bucket holds."""
        if direction == "read":
            return self.read_per_s * self.read_seconds
        return self.write_per_s * self.write_seconds


TIERS: dict[TierName, Tier] = {
    "basic": Tier(200, 100),
    "advanced": Tier(300, 300),
    "premier": Tier(1_000, 1_000),
    "paragon": Tier(2_000, 2_000),
    "prime": Tier(4_000, 4_000),
}


class _Bucket(msgspec.Struct):
    tokens: float
    time_ns: int


class Throttle:
    """The buckets of all accounts; while it is not enforced everything passes."""

    def __init__(
        self, tier_name: TierName, now_ns: Callable[[], int], *, is_enforced: bool
    ) -> None:
        self.tier_name = tier_name
        self.tier = TIERS[tier_name]
        self.is_enforced = is_enforced
        self.refused_count = 0
        self._now_ns = now_ns
        self._buckets: dict[tuple[str, Direction], _Bucket] = {}

    def takes(self, account: str, direction: Direction, cost: float) -> bool:
        """Take `cost` tokens; false, and none taken, where there are not enough."""
        if not self.is_enforced:
            return True
        now_ns, capacity = self._now_ns(), self.tier.capacity(direction)
        bucket = self._buckets.setdefault((account, direction), _Bucket(capacity, now_ns))
        gained = (now_ns - bucket.time_ns) * self.tier.refill_per_s(direction) / NANOSECONDS
        bucket.tokens = min(capacity, bucket.tokens + gained)
        bucket.time_ns = now_ns
        if bucket.tokens < cost:
            self.refused_count += 1
            return False
        bucket.tokens -= cost
        return True
