"""When a connection counts as dead, and when to ping it (sans-IO)."""

from enum import Enum
from typing import NamedTuple

LOOKS_PER_LIMIT = 4  # silence is found between 1 and 1.25 times its limit


class Beat(Enum):
    """What is to be done about a connection that is not dead."""

    NOTHING = "nothing"
    PING = "ping"


class Heard(NamedTuple):
    """How many frames have come so far."""

    data: int  # text and binary
    pings: int
    pongs: int


class Heartbeat:
    """Judges one connection by counters, so that no frame has to read a clock.

    Silence is counted from the look that first saw the newest frame, a missing pong from the
    oldest ping without one. A limit of None is no limit. Times are seconds of transport time.

    Attributes:
        tick_s: how often to call `look`; None: there is nothing to look for.
    """

    def __init__(
        self,
        now_s: float,
        heard: Heard,
        *,
        ping_s: float | None,
        pong_s: float,
        silence_s: float | None,
        data_silence_s: float | None,
    ) -> None:
        limits = (ping_s, ping_s and pong_s, silence_s, data_silence_s)
        shortest_s = min((limit for limit in limits if limit is not None), default=None)
        self.tick_s = None if shortest_s is None else shortest_s / LOOKS_PER_LIMIT
        self._ping_s = ping_s
        self._pong_s = pong_s
        self._silence_s = silence_s
        self._data_silence_s = data_silence_s
        self._heard = heard
        self._heard_s = self._data_s = self._pinged_s = now_s
        self._asked_s: float | None = None  # when the oldest ping without a pong was sent

    def look(self, now_s: float, heard: Heard) -> Beat | str:
        """Return what to do now, or why the connection is dead."""
        if heard != self._heard:
            self._heard_s = now_s
        if heard.data != self._heard.data:
            self._data_s = now_s
        if heard.pongs != self._heard.pongs:
            self._asked_s = None
        self._heard = heard
        return self._dead(now_s) or self._ping(now_s)

    def _dead(self, now_s: float) -> str:
        if _is_over(now_s, self._data_s, self._data_silence_s):
            return f"no data for {self._data_silence_s} s"
        if _is_over(now_s, self._heard_s, self._silence_s):
            return f"nothing came for {self._silence_s} s"
        if self._asked_s is not None and _is_over(now_s, self._asked_s, self._pong_s):
            return f"no pong for {self._pong_s} s"
        return ""

    def _ping(self, now_s: float) -> Beat:
        if not _is_over(now_s, self._pinged_s, self._ping_s):
            return Beat.NOTHING
        self._pinged_s = now_s
        if self._asked_s is None:
            self._asked_s = now_s
        return Beat.PING


def _is_over(now_s: float, since_s: float, limit_s: float | None) -> bool:
    return limit_s is not None and now_s - since_s >= limit_s
