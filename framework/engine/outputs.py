"""Output commit: what leaves the process waits until the log is durable up to its cause."""

from collections import deque
from collections.abc import Callable, Mapping

from framework.interfaces import Broker, OrderLog
from framework.model.commands import VenueCommand


class Outputs:
    """Commands to brokers in order, each with the log position that it depends on (law 2).

    `mark_sent` hears of each command right before it is handed over.
    """

    def __init__(self, log: OrderLog, brokers: Mapping[str, Broker]) -> None:
        self.pending: deque[tuple[int, VenueCommand]] = deque()
        self.sent_count = 0
        self.mark_sent: Callable[[VenueCommand], None] = _nothing
        self._log = log
        self._brokers = brokers

    def add(self, command: VenueCommand) -> None:
        """Hold `command` until the log is durable up to here."""
        self.pending.append((self._log.position, command))

    def release(self) -> None:
        """Hand over, in order, every command whose cause is durable."""
        pending = self.pending
        while pending and pending[0][0] <= self._log.durable_position:
            command = pending.popleft()[1]
            self.sent_count += 1
            self.mark_sent(command)
            self._brokers[command.account].send(command)


def _nothing(command: VenueCommand) -> None:
    """Note nothing."""
