"""Judges the numbers of one stream: what follows, what repeats, what is missing.

No I/O and no clock. A message covers the numbers `first` to `last` (equal where a venue counts
messages). With `p` the position, the last number taken:

    last <= p               DUPLICATE   counted and ignored
    first <= p + 1 <= last  NEXT        may begin before p: the range overlaps a snapshot
    first > p + 1           HELD while the reorder window has room, else GAP

Only numbers are judged: a stream that starts again from a low number looks like a repeat here.
`framework/market/recovery.py` tells the two apart by time.
"""

from enum import Enum
from typing import Generic, TypeVar

M = TypeVar("M")


class Verdict(Enum):
    """What a message's numbers say."""

    NEXT = "next"
    DUPLICATE = "duplicate"
    HELD = "held"  # early by a little: waits for what is missing
    GAP = "gap"


class SequenceTracker(Generic[M]):
    """The position in one numbered stream, and a small window that puts early messages in order.

    `reorder_window` is how many early messages may wait; 0 means that each one is a gap at once.
    The first message of a stream without a position is taken whatever its number.
    """

    def __init__(self, *, reorder_window: int = 0) -> None:
        self.position: int | None = None
        self.duplicate_count = 0
        self.gap_count = 0
        self._window = reorder_window
        self._held: list[tuple[int, int, M]] = []  # by rising last number

    @property
    def held_count(self) -> int:
        """Messages that wait for an earlier one."""
        return len(self._held)

    def judge(self, first: int, last: int) -> Verdict:
        """Return what the range says at this position; changes nothing and never says HELD."""
        position = self.position
        if position is None or first <= position + 1 <= last:
            return Verdict.NEXT
        return Verdict.DUPLICATE if last <= position else Verdict.GAP

    def receive(self, first: int, last: int, message: M) -> tuple[Verdict, list[M]]:
        """Take one message; return the verdict and what it releases, in the order of numbers.

        NEXT releases the message and held ones that follow it. GAP releases the message and all
        held ones without moving the position: the caller decides where to go on (`start_at`).
        DUPLICATE and HELD release nothing.
        """
        position = self.position
        if position is None or first <= position + 1 <= last:
            self.position = last
            return Verdict.NEXT, [message, *self._follow()] if self._held else [message]
        if last <= position or any(held[1] == last for held in self._held):
            self.duplicate_count += 1
            return Verdict.DUPLICATE, []
        self._held.append((first, last, message))
        self._held.sort(key=_last_number)
        if len(self._held) <= self._window:
            return Verdict.HELD, []
        return Verdict.GAP, self.give_up()

    def start_at(self, position: int) -> list[M]:
        """Go on from `position`, a snapshot's number; return held messages that now follow."""
        self.position = position
        return self._follow()

    def give_up(self) -> list[M]:
        """Stop waiting: return the held messages by rising number and count the gap."""
        held, self._held = self._held, []
        if held:
            self.gap_count += 1
        return [message for _, _, message in held]

    def reset(self) -> None:
        """Forget position and held messages: the stream starts anew. Counts go on."""
        self.position = None
        self._held.clear()

    def _follow(self) -> list[M]:
        """Release held messages while they follow without a hole."""
        released = []
        while self._held and self.position is not None:
            first, last, message = self._held[0]
            if first > self.position + 1:
                break
            del self._held[0]
            if last > self.position:  # else a snapshot went past it
                self.position = last
                released.append(message)
        return released


def _last_number(held: tuple[int, int, M]) -> int:
    return held[1]
