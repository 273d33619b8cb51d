"""An order log with a crash in it: what is durable, what is not yet, and what a crash leaves.

Entries are kept as bytes, as a file would keep them, and each start reads them afresh. Appended
entries become durable together, one virtual commit later, as with a group commit. Those of one turn
of the loop are one transaction: a crash leaves all of them or none, so that no step is torn.
"""

import asyncio
from collections.abc import Callable, Iterator

import msgspec

from framework.model.records import Record, order_of

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


class CrashableLog:
    """An `OrderLog` of one process start.

    `point` is called with the name of each moment at which a process may die: before and after
    an append, before and after a commit. After `die` nothing changes any more.

    Attributes:
        commit_s: how long an append takes to become durable from now on.
        commits: the last position of each commit.
    """

    def __init__(
        self,
        *,
        durable: list[bytes] | None = None,
        epoch: int = 1,
        commit_s: float = 0.0005,
        point: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.journal_id = "crashable"
        self.epoch = epoch
        self.on_durable: Callable[[], None] | None = None
        self.failure = ""
        self.is_dead = False
        self._entries = durable or []
        self._durable_position = len(self._entries)
        self.commit_s = commit_s
        self.commits: list[int] = []
        self._point = point
        self._timer: asyncio.TimerHandle | None = None
        self._snapshot: tuple[int, bytes] | None = None
        self._durable_snapshot: tuple[int, bytes] | None = None
        self._turns: list[int] = []  # the last position of each turn of the loop
        self._is_turn_open = False
        self._positions: dict[str, list[int]] = {}  # by order
        for position, entry in self.read():
            self._positions.setdefault(order_of(entry), []).append(position)

    @property
    def position(self) -> int:
        """The position of the newest entry."""
        return len(self._entries)

    @property
    def durable_position(self) -> int:
        """Everything up to here survives a crash."""
        return self._durable_position

    def append(self, entry: Record) -> int:
        """Write `entry` behind the others."""
        if self.is_dead:
            return self.position
        self._point("before append")
        self._entries.append(_encode(entry))
        self._positions.setdefault(order_of(entry), []).append(self.position)
        loop = asyncio.get_running_loop()
        if not self._is_turn_open:
            self._is_turn_open = True
            loop.call_soon(self._end_turn)
        if self._timer is None and not self.failure:
            self._timer = loop.call_later(self.commit_s, self._commit)
        self._point("after append")
        return self.position

    def commit(self) -> None:
        """Do nothing more: what was appended has been handed over, and takes its time."""

    def read(self, after: int = 0, limit: int | None = None) -> Iterator[tuple[int, Record]]:
        """Yield (position, entry) of what follows `after`."""
        end = len(self._entries)
        for index in range(after, end if limit is None else min(end, after + limit)):
            yield index + 1, _decode(self._entries[index])

    def of_order(self, order_id: str) -> list[tuple[int, Record]]:
        """Return every entry about one order."""
        found = self._positions.get(order_id, [])
        return [(position, _decode(self._entries[position - 1])) for position in found]

    def save_snapshot(self, position: int, state: bytes) -> None:
        """Keep a snapshot; it is durable with the next commit behind `position`."""
        if not self.is_dead:
            self._snapshot = (position, state)

    def newest_snapshot(self) -> tuple[int, bytes] | None:
        """Return the newest snapshot."""
        return self._snapshot or self._durable_snapshot

    async def flush(self) -> None:
        """Make everything durable now."""
        if not self.is_dead:
            self._commit()

    async def aclose(self) -> None:
        """Write what is left."""
        await self.flush()

    # -- the crash -------------------------------------------------------------------------------

    @property
    def volatile_count(self) -> int:
        """How many entries a crash may take."""
        return self.position - self._durable_position

    def die(self) -> None:
        """Let nothing change any more: the process that wrote this is gone."""
        self.is_dead = True
        if self._timer is not None:
            self._timer.cancel()

    def fail(self, reason: str) -> None:
        """Be a disk that takes nothing any more: what is not durable never will be (R-06)."""
        self.failure = reason
        if self._timer is not None:
            self._timer.cancel()
        if self.on_durable is not None:
            self.on_durable()

    def survivor(self, kept: int, point: Callable[[str], None]) -> "CrashableLog":
        """Return the log that the next start finds.

        Up to `kept` of the entries that were not durable are there all the same: a disk may have
        written any part of what it was given, and a reader takes the longest prefix of whole
        transactions (R-04).
        """
        most = self._durable_position + kept
        whole = [position for position in self._turns if position <= most]
        left = self._entries[: max([self._durable_position, *whole[-1:]])]
        log = CrashableLog(durable=left, epoch=self.epoch + 1, commit_s=self.commit_s, point=point)
        log._durable_snapshot = self._durable_snapshot
        return log

    def _end_turn(self) -> None:
        self._is_turn_open = False
        if not self.is_dead:
            self._turns.append(self.position)

    def _commit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.is_dead or self.failure:
            return
        self._point("before commit")
        self._durable_position = self.position
        self.commits.append(self.position)
        if self._snapshot is not None and self._snapshot[0] <= self.position:
            self._durable_snapshot = self._snapshot
        self._point("after commit")
        if self.on_durable is not None:
            self.on_durable()
