"""One numbered stream of the venue: a sid, its counter, and who listens to it.

number           while in order              verdict
last + 1         nothing waits               `advance` takes it: the hot path
beyond           room in the window          HELD, a few milliseconds, then GAP
last or below    seen, the same bytes        REPEAT
                 seen, other bytes           RESTART: the counter began anew (B27)
                 never seen, not long ago    LATE: lost in a gap that was dealt with
                 longer ago than remembered  SUSPECT; RESTART if the next one follows it
"""

from enum import Enum

from adapters.kalshi.codec import Frame
from adapters.kalshi.subscription import Subscription
from framework.market.sequence import SequenceTracker

REMEMBERED = 32  # numbers; a power of two
MASK = REMEMBERED - 1


class Old(Enum):
    """What a number is that is not beyond the last one."""

    REPEAT = "repeat"
    LATE = "late"
    SUSPECT = "suspect"  # very late, or the first of a new beginning
    RESTART = "restart"


class SidStream:
    """The counter is shared by all markets of the sid, and so is each gap in it."""

    __slots__ = (
        "_recent",
        "channel",
        "held_since_ns",
        "is_holding",
        "is_over",
        "members",
        "sid",
        "suspect",
        "tracker",
    )

    def __init__(self, sid: int, channel: str, *, reorder_window: int) -> None:
        self.sid = sid
        self.channel = channel
        self.members: tuple[Subscription, ...] = ()  # more than one where the venue merges them
        self.tracker = SequenceTracker[Frame](reorder_window=reorder_window)
        self.is_holding = False
        self.held_since_ns = 0
        self.is_over = False  # its frames are of no use any more
        self.suspect: int | None = None  # the last SUSPECT number
        self._recent: list[Frame | None] = [None] * REMEMBERED

    def advance(self, number: int, frame: Frame) -> bool:
        """Take a frame that is just the next one; False: it needs a closer look."""
        tracker = self.tracker
        if self.is_holding or tracker.position is None or number != tracker.position + 1:
            return False
        tracker.position = number
        self._recent[number & MASK] = frame
        return True

    def is_old(self, number: int) -> bool:
        """Say whether the number is not beyond the last one."""
        position = self.tracker.position
        return position is not None and number <= position

    def judge_old(self, number: int, frame: Frame) -> Old:
        """Say what an old number means."""
        position = self.tracker.position or 0
        if position - number >= REMEMBERED:
            follows = self.suspect is not None and number == self.suspect + 1
            self.suspect = number
            return Old.RESTART if follows else Old.SUSPECT
        seen = self._recent[number & MASK]
        if seen is None or seen.seq != number:
            return Old.LATE
        return Old.REPEAT if seen.raw == frame.raw else Old.RESTART

    def remember(self, frame: Frame) -> None:
        """Keep a frame that was taken otherwise than by `advance`."""
        if frame.seq is not None:
            self._recent[frame.seq & MASK] = frame

    def go_on_at(self, number: int) -> None:
        """Take `number` as the last one; what waited has been given up."""
        self.tracker.start_at(number)
        self.is_holding = False

    def begin_anew(self) -> None:
        """Forget the counter: the next number is taken whatever it is."""
        self.tracker.reset()
        self.is_holding = False
        self.suspect = None
        self._recent = [None] * REMEMBERED

    def join(self, subscription: Subscription) -> None:
        """Let a subscription listen."""
        if subscription not in self.members:
            self.members = (*self.members, subscription)

    def leave(self, subscription: Subscription) -> None:
        """Let a subscription listen no more."""
        self.members = tuple(member for member in self.members if member is not subscription)
