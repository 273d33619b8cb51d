"""Keeps frames of a sid whose acknowledgement has not been read yet (K49)."""

from collections import deque

from adapters.kalshi.codec import Frame


class WaitingFrames:
    """At most `per_sid` frames for each of at most `sids` sids; the oldest of a sid go first."""

    def __init__(self, *, per_sid: int, sids: int) -> None:
        self._per_sid = per_sid
        self._most_sids = sids
        self._frames: dict[int, deque[Frame]] = {}
        self._evicting: set[int] = set()
        self.evicted_count = 0
        self.refused_count = 0  # of sids beyond the limit

    def keep(self, sid: int, frame: Frame) -> bool:
        """Keep a frame; True if it is the first of its sid that pushed another one out."""
        frames = self._frames.get(sid)
        if frames is None:
            if len(self._frames) >= self._most_sids:
                self.refused_count += 1
                return False
            frames = self._frames[sid] = deque(maxlen=self._per_sid)
        is_full = len(frames) == self._per_sid
        frames.append(frame)
        if not is_full:
            return False
        self.evicted_count += 1
        is_news = sid not in self._evicting
        self._evicting.add(sid)
        return is_news

    def take(self, sid: int) -> deque[Frame]:
        """Return and forget what waits for `sid`, oldest first."""
        self._evicting.discard(sid)
        return self._frames.pop(sid, deque())

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._frames

    def clear(self) -> int:
        """Forget everything; return how many frames that were."""
        count = sum(len(frames) for frames in self._frames.values())
        self._frames.clear()
        self._evicting.clear()
        return count
