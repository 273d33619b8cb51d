"""Output commit: what leaves the process waits until the log is durable up to its cause."""

from collections import deque
from collections.abc import Callable, Mapping

import structlog

from framework.errors import InvariantBroken
from framework.interfaces import Broker, OrderLog
from framework.model.commands import SubmitOrder, VenueCommand
from framework.orders.submission import SEND_BY_NS

TOO_LATE = "too late"
log = structlog.get_logger("outputs")


class Outputs:
    """Commands to brokers in order, each with the log position that it depends on (law 2).

    Attributes:
        mark_sent: hears of each command right before it is handed over.
        refusal: why a command must not leave after all (too late, kill switch), or None; None
            where nothing can come between a decision and its sending.
        refuse: ends a command that must not leave.
        doubt: hears of a command whose broker raised: whether it left is unknown.
        commit: makes the log durable right now; None where that happens in the background.
        overrides: brokers of runs that are less real than their account.
        held: answers and frames to others outside, by the log position that each depends on.
    """

    def __init__(self, log: OrderLog, brokers: Mapping[str, Broker]) -> None:
        self.pending: deque[tuple[int, VenueCommand]] = deque()
        self.held: deque[tuple[int, Callable[[], None]]] = deque()
        self.sent_count = 0
        self.mark_sent: Callable[[VenueCommand], None] = _nothing
        self.refusal: Callable[[VenueCommand], str | None] | None = None
        self.refuse: Callable[[VenueCommand, str], None] = _drop
        self.doubt: Callable[[VenueCommand, str], None] = _drop
        self.commit: Callable[[], object] | None = None
        self.overrides: dict[str, Broker] = {}
        self._log = log
        self._brokers = brokers

    def add(self, command: VenueCommand) -> None:
        """Hold `command` until the log is durable up to here."""
        self.pending.append((self._log.position, command))

    def hold(self, tell: Callable[[], None]) -> None:
        """Call `tell` once the log is durable up to here, behind what is held already."""
        log = self._log
        if not self.held and log.position <= log.durable_position:
            tell()
        else:
            self.held.append((log.position, tell))

    def release(self) -> None:
        """Hand over, in order, every command whose cause is durable, then what is to be told.

        Once the log has failed nothing becomes durable any more: then only what reduces risk
        leaves, everything else is refused (R-06), and what was held is told: it happened.
        """
        self._release_commands()
        held, log = self.held, self._log
        while held and (held[0][0] <= log.durable_position or log.failure):
            held.popleft()[1]()

    def _release_commands(self) -> None:
        pending, log = self.pending, self._log
        if self.commit is not None and pending and pending[-1][0] > log.durable_position:
            self.commit()
        while pending:
            if pending[0][0] > log.durable_position:
                if not log.failure:
                    return
                self._pass_without_log(pending.popleft()[1], log.failure)
            else:
                self._pass(pending.popleft()[1])

    def _pass(self, command: VenueCommand) -> None:
        refusal = None if self.refusal is None else self.refusal(command)
        if refusal is not None:
            self.refuse(command, refusal)
            return
        self.sent_count += 1
        self.mark_sent(command)
        try:
            broker = self._broker_of(command) if self.overrides else self._brokers[command.account]
            broker.send(command)
        except InvariantBroken:  # a simulated venue answers within the call: the engine has halted
            raise
        except Exception as error:
            log.error("broker_failed", order=command.order_id, error=repr(error))
            self.doubt(command, f"the broker raised {error!r}")

    def _broker_of(self, command: VenueCommand) -> Broker:
        if isinstance(command, SubmitOrder):
            broker = self.overrides.get(command.intent.run)
            if broker is not None:
                return broker
        return self._brokers[command.account]

    def _pass_without_log(self, command: VenueCommand, failure: str) -> None:
        if reduces_risk(command):
            log.critical("sent_without_journal", command=repr(command), failure=failure)
            self._pass(command)
        else:
            self.refuse(command, f"the journal cannot be written: {failure}")


def lateness(command: VenueCommand, now_ns: int) -> str | None:
    """Return why an order is too late to be sent, or None (R-30); requests never are."""
    if not isinstance(command, SubmitOrder):
        return None
    intent = command.intent
    due_ns = intent.send_by_ns or (intent.cause_ns or command.time_ns) + SEND_BY_NS
    if now_ns <= due_ns:
        return None
    return f"{TOO_LATE}: it was to be sent {(now_ns - due_ns) / 1e9:.1f} s ago"


def reduces_risk(command: VenueCommand) -> bool:
    """Tell whether a command may leave in an emergency: a cancel, or an exit."""
    if isinstance(command, SubmitOrder):
        return command.intent.reduce_only
    return not hasattr(command, "revision")


def _nothing(command: VenueCommand) -> None:
    """Note nothing."""


def _drop(command: VenueCommand, reason: str) -> None:
    raise InvariantBroken(f"nobody takes back {command!r}: {reason}")
