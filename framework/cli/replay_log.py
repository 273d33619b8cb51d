"""The order log of a session that is played again: what it writes is held against what was written.

What the core decides is in both, byte for byte. What is written beside it is left out: alerts,
what strategies asked to keep, and who asked for what through a door; nothing in the core follows
from these. A process that was killed wrote less than it had decided, never more.
"""

from collections import deque
from collections.abc import Callable, Iterable

from framework.model.inputs import SessionStarted
from framework.model.records import AlertRaised, OperatorAction, Record, StrategyState
from framework.store.entries import Row, kind_of, record_of, row_of
from framework.store.memory import MemoryLog

BESIDE_THE_CORE = frozenset(
    str(kind.__struct_config__.tag) for kind in (AlertRaised, StrategyState, OperatorAction)
)
PLACE = "the order log"
SHOWN = 2_000  # characters of one entry

Differ = Callable[[int, str, str], None]
"""Is told of the entry that differs: its position in the order log, what was written, what is."""


class RecordedLog(MemoryLog):
    """The order log as a session found it; lets nothing out: when a command left, records say.

    Attributes:
        differ: is told of the first entry that is not the one that was written.
        compared_count: how many entries were held against the written ones.
    """

    def __init__(self, start: SessionStarted, rows: Iterable[Row]) -> None:
        """`rows` are the whole order log, oldest first.

        Raises:
            JournalDamaged: it is not whole.
        """
        super().__init__(journal_id=start.journal_id)
        self.epoch = start.epoch
        self.differ: Differ = _unheard
        self.compared_count = 0
        self._written: deque[Row] = deque()
        self._is_compared = True  # until one differs, or the written ones end
        for row in rows:
            if row[0] <= start.order_position:
                super().append(record_of(row, PLACE))
            elif row[1] != start.epoch:
                return
            elif row[3] not in BESIDE_THE_CORE:
                self._written.append(row)

    @property
    def durable_position(self) -> int:
        """Nothing."""
        return 0

    def append(self, entry: Record) -> int:
        """Keep `entry`, after it was held against what was written at this point."""
        if self._is_compared and kind_of(entry) not in BESIDE_THE_CORE:
            self._compare(entry)
        return super().append(entry)

    @property
    def unfounded(self) -> int:
        """Where the first written entry is that follows from no input; 0: there is none."""
        return self._written[0][0] if self._is_compared and self._written else 0

    def _compare(self, entry: Record) -> None:
        if not self._written:  # the process ended before it could write this down
            self._is_compared = False
            return
        row = self._written.popleft()
        if row_of(entry, 0, 0, 0, 0)[6] == row[6]:
            self.compared_count += 1
            return
        self._is_compared = False
        self.differ(row[0], entry_text(record_of(row, PLACE)), entry_text(entry))


def entry_text(entry: Record) -> str:
    """Return an entry in words."""
    return repr(entry)[:SHOWN]


def _unheard(_position: int, _written: str, _replayed: str) -> None:
    """Nobody asks."""
