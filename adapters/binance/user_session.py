"""The session on the user stream's socket: subscribe, then ask now and then whether it lives.

    opened                 the signed subscription leaves
    its answer             the stream is on, or was refused
    each `heartbeat_s`     `ping`, which is answered by data
    no answer in time      the link is mute
    `eventStreamTerminated`, `serverShutdown`     the stream is over though the link stays

Sans-IO. Source: "WebSocket API for Binance", "User Data Streams for Binance".
"""

from collections.abc import Callable

import msgspec

from adapters.binance.protocol import ANSWER_S, HEARTBEAT_S
from adapters.binance.reports import UserAnswer, UserEvent

SUBSCRIPTION = 1  # the number of the first request
OVER = ("eventStreamTerminated", "serverShutdown")


class UserSession:
    """What was asked on the present connection; `subscribe` makes the signed frame anew."""

    def __init__(
        self,
        subscribe: Callable[[int], bytes],
        *,
        heartbeat_s: float = HEARTBEAT_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.is_streaming = False
        self._subscribe = subscribe
        self._heartbeat_s = heartbeat_s
        self._answer_s = answer_s
        self._number = 0  # of the newest request; 0: no connection
        self._asked_s: float | None = None
        self._answered_s = 0.0

    def opened(self, now_s: float) -> bytes:
        """Return what is to be sent first on a new connection."""
        self.is_streaming = False
        self._number = SUBSCRIPTION
        self._asked_s = now_s
        return self._subscribe(SUBSCRIPTION)

    def lost(self) -> None:
        """The connection is gone."""
        self.is_streaming = False
        self._number = 0
        self._asked_s = None

    def answered(self, answer: UserAnswer, now_s: float) -> str:
        """Take an answer; return why the stream cannot go on, "" where it can."""
        if answer.id != self._number:
            return ""
        self._asked_s = None
        self._answered_s = now_s
        if answer.text:
            return f"the user stream was refused: {answer.text} ({answer.code})"
        self.is_streaming = True
        return ""

    def heard(self, event: UserEvent) -> str:
        """Take an event; return why the stream cannot go on, "" where it can."""
        return f"the venue ends the stream: {event.type}" if event.type in OVER else ""

    def due(self, now_s: float) -> bytes:
        """Return the heartbeat that is to be sent now, b"" if none is."""
        is_waiting = not self._number or self._asked_s is not None
        if is_waiting or now_s < self._answered_s + self._heartbeat_s:
            return b""
        self._number += 1
        self._asked_s = now_s
        return msgspec.json.encode({"id": self._number, "method": "ping"})

    def is_mute(self, now_s: float) -> bool:
        """Whether an answer is overdue."""
        return self._asked_s is not None and now_s >= self._asked_s + self._answer_s

    @property
    def next_due_s(self) -> float | None:
        """When to look again; None without a connection."""
        if not self._number:
            return None
        if self._asked_s is not None:
            return self._asked_s + self._answer_s
        return self._answered_s + self._heartbeat_s
