"""Commands on their way: their text, their ids, why they were sent, and until when to wait."""

from typing import Any

import msgspec

from adapters.kalshi.actions import Emit, Send
from adapters.kalshi.messages import Refusal
from adapters.kalshi.subscription import Subscription

encode = msgspec.json.Encoder().encode


class Subscribing(msgspec.Struct):
    """A `subscribe`: one answer per channel; an error does not say which one it is for."""

    waiting: dict[str, Subscription]  # by channel
    refusals: list[Refusal]


class Changing(msgspec.Struct):
    """An `add_markets` or `delete_markets`; one without requests joins a sid (error 6)."""

    subscription: Subscription
    action: str
    markets: tuple[str, ...]
    requests: tuple[int, ...] = ()
    sid: int | None = None  # that it was sent for
    attempt_count: int = 0


class Unsubscribing(msgspec.Struct):
    """An `unsubscribe` of one sid; `request` None where nobody waits for it."""

    request: int | None


class AskingSnapshots(msgspec.Struct):
    """A `get_snapshot`: answered by the snapshots themselves."""

    subscriptions: list[Subscription]
    markets: set[str]


class Listing(msgspec.Struct):
    """A `list_subscriptions`; `request` None: to find sids that belong to nobody."""

    request: int | None


Purpose = Subscribing | Changing | Unsubscribing | AskingSnapshots | Listing


class Wake:
    """When the session next has something to do by itself; None: only when spoken to."""

    __slots__ = ("at_ns",)

    def __init__(self) -> None:
        self.at_ns: int | None = None

    def by(self, time_ns: int) -> None:
        """Be called at `time_ns` or earlier."""
        if self.at_ns is None or time_ns < self.at_ns:
            self.at_ns = time_ns


class Commands:
    """Numbers commands, sends them, and knows which are unanswered.

    Ids go on over connections: an answer of an old one can never be mistaken.
    """

    def __init__(self, emit: Emit, wake: Wake, *, deadline_ns: int) -> None:
        self.is_open = False  # there is a connection
        self.sent_count = 0
        self._emit = emit
        self._wake = wake
        self._deadline_ns = deadline_ns
        self._unanswered: dict[int, tuple[int, Purpose]] = {}  # by id, and so by deadline

    def send(
        self, command: str, parameters: dict[str, Any] | None, purpose: Purpose, now_ns: int
    ) -> None:
        """Send one command and expect its answer within the deadline."""
        self.sent_count += 1
        number = self.sent_count
        due_ns = now_ns + self._deadline_ns
        self._unanswered[number] = (due_ns, purpose)
        self._wake.by(due_ns)
        envelope: dict[str, Any] = {"id": number, "cmd": command}
        if parameters is not None:
            envelope["params"] = parameters
        self._emit(Send(encode(envelope)))

    def purpose(self, number: int | None) -> Purpose | None:
        """Return why the command was sent, or None: answered, too late, or never sent."""
        return None if number is None else self._unanswered.get(number, (0, None))[1]

    def settle(self, number: int | None) -> None:
        """Expect no more answers to a command."""
        if number is not None:
            self._unanswered.pop(number, None)

    def find_subscribing(self, channel: str) -> int | None:
        """Return the id of the oldest subscribe that waits for `channel`."""
        for number, (_, purpose) in self._unanswered.items():
            if isinstance(purpose, Subscribing) and channel in purpose.waiting:
                return number
        return None

    @property
    def is_subscribing(self) -> bool:
        """Whether an acknowledgement may be on its way."""
        return any(isinstance(purpose, Subscribing) for _, purpose in self._unanswered.values())

    @property
    def unanswered_count(self) -> int:
        """Commands that wait for their answer."""
        return len(self._unanswered)

    def overdue(self, now_ns: int) -> list[Purpose]:
        """Return what was not answered in time, oldest first, and expect it no more."""
        late: list[Purpose] = []
        while self._unanswered:
            number = next(iter(self._unanswered))
            due_ns, purpose = self._unanswered[number]
            if due_ns > now_ns:
                self._wake.by(due_ns)
                break
            del self._unanswered[number]
            late.append(purpose)
        return late

    def clear(self) -> list[Purpose]:
        """The connection is gone: return what will never be answered."""
        lost = [purpose for _, purpose in self._unanswered.values()]
        self._unanswered.clear()
        return lost
