"""How much each client has asked for: the venue's own limits, and its ban.

Source: "Public REST API for Binance", IP Limits, Unfilled Order Count, HTTP Return Codes.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from adapters.binance.simulated.domain import Refused

MINUTE_MS = 60_000
BAN_MS = 2 * MINUTE_MS
MOST_ORDERS = 100
ORDERS_MS = 10_000
TOLERATED = 20  # requests after a 429, before the ban


class TooMuch(Refused):
    """A limit is passed; the answer says for how long to stay away, but not for orders."""

    def __init__(self, status: int, retry_after_s: int | None) -> None:
        is_weight = retry_after_s is not None
        text = "Too much request weight used." if is_weight else "Too many new orders."
        super().__init__(-1003 if is_weight else -1015, text, status=status)
        self.retry_after_s = retry_after_s


class Usage(msgspec.Struct):
    """What a client used in its current minute."""

    minute: int = 0
    used: int = 0
    refused: int = 0
    banned_until_ms: int = 0


class Weights:
    """Counts weight per client and calendar minute; `limit` may be lowered at any time."""

    def __init__(self, limit: int, now_ms: Callable[[], int]) -> None:
        self.limit = limit
        self.banned_count = 0
        self.refused_count = 0
        self._now_ms = now_ms
        self._clients: dict[str, Usage] = {}
        self._ordered_ms: dict[str, deque[int]] = {}

    def take(self, client: str, weight: int) -> int:
        """Count a request and return what was used so far. Raises TooMuch."""
        now_ms = self._now_ms()
        usage = self._clients.setdefault(client, Usage())
        if now_ms < usage.banned_until_ms:
            raise TooMuch(418, _seconds(usage.banned_until_ms - now_ms))
        if usage.minute != now_ms // MINUTE_MS:
            usage.minute, usage.used, usage.refused = now_ms // MINUTE_MS, 0, 0
        usage.used += weight
        if usage.used <= self.limit:
            return usage.used
        usage.refused += 1
        self.refused_count += 1
        if usage.refused > TOLERATED:
            self.banned_count += 1
            usage.banned_until_ms = now_ms + BAN_MS
            raise TooMuch(418, _seconds(BAN_MS))
        raise TooMuch(429, _seconds(MINUTE_MS - now_ms % MINUTE_MS))

    def take_order(self, account: str) -> None:
        """Count a new order of an account. Raises TooMuch: they come too fast."""
        now_ms = self._now_ms()
        ordered = self._ordered_ms.setdefault(account, deque())
        while ordered and now_ms - ordered[0] >= ORDERS_MS:
            ordered.popleft()
        if len(ordered) >= MOST_ORDERS:
            self.refused_count += 1
            raise TooMuch(429, None)
        ordered.append(now_ms)


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1_000)
