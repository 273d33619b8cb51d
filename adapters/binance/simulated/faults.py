"""What the simulated venue gets wrong on demand."""

from collections import deque
from enum import Enum
from random import Random
from typing import Literal

import msgspec

Rate = float


class StreamFaults(msgspec.Struct, frozen=True, kw_only=True):
    """Chances per depth event, and how requests on a socket fare.

    Attributes:
        refused: streams that are not given.
        is_mute: nothing is sent any more though connections stay open.
        ignores_requests: requests on the socket get no answer.
    """

    drop_rate: Rate = 0.0
    duplicate_rate: Rate = 0.0
    swap_rate: Rate = 0.0  # the event comes after the next one
    malformed_rate: Rate = 0.0
    refused: frozenset[str] = frozenset()
    is_mute: bool = False
    ignores_requests: bool = False


class Fate(Enum):
    """What becomes of a depth event on its way to one client."""

    ARRIVES = "arrives"
    LOST = "lost"
    REPEATED = "repeated"
    LATE = "late"  # after the next one
    GARBLED = "garbled"


class RestFault(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to the next request of a method and path, or with "" of any.

    `lose_request`: it is not carried out, and gets no answer; `lose_answer`: it is, and gets none;
    `answer`: it is not carried out and gets `status` and `body`, with `Retry-After` where given.
    """

    method: str
    path: str
    kind: Literal["lose_request", "lose_answer", "answer"]
    status: int = 503
    body: bytes = b""
    retry_after_s: int | None = None


class Faults:
    """The faults that hold now; `heal` ends them all.

    Attributes:
        failing: requests (method, path) that are answered by 503 for the time being.
    """

    def __init__(self, random: Random) -> None:
        self.stream = StreamFaults()
        self.failing: set[tuple[str, str]] = set()
        self._random = random
        self._fates: deque[Fate] = deque()
        self._rest: list[RestFault] = []

    def add(self, *faults: RestFault) -> None:
        """Let each happen once, in turn."""
        self._rest += faults

    def destine(self, fate: Fate, count: int = 1) -> None:
        """Decide what becomes of the next depth events, before any chance has its say."""
        self._fates.extend([fate] * count)

    def heal(self) -> None:
        """Let everything go right from now on."""
        self.heal_streams()
        self.failing.clear()
        self._fates.clear()
        self._rest.clear()

    def heal_streams(self) -> None:
        """Let sockets behave again."""
        self.stream = StreamFaults()

    def take(self, method: str, path: str) -> RestFault | None:
        """Return, and use up, what is to happen to a request."""
        for fault in self._rest:
            if fault.method in ("", method) and fault.path in ("", path):
                self._rest.remove(fault)
                return fault
        if (method, path) in self.failing:
            return RestFault(method=method, path=path, kind="answer")
        return None

    def fate(self) -> Fate:
        """Return what becomes of a depth event."""
        if self._fates:
            return self._fates.popleft()
        rates = (
            (Fate.LOST, self.stream.drop_rate),
            (Fate.REPEATED, self.stream.duplicate_rate),
            (Fate.LATE, self.stream.swap_rate),
            (Fate.GARBLED, self.stream.malformed_rate),
        )
        for fate, rate in rates:
            if rate > 0 and self._random.random() < rate:
                return fate
        return Fate.ARRIVES

    def damaged(self, text: str) -> str:
        """Return a frame cut off somewhere."""
        return text[: self._random.randrange(1, len(text))]
