"""The session on the market data socket: which streams are wanted, agreed to, asked for. Sans-IO.

    wanted, not agreed to     SUBSCRIBE, many streams in one request
    agreed to, not wanted     UNSUBSCRIBE
    nothing to ask            LIST_SUBSCRIPTIONS each `heartbeat_s`: a stream that fell out is asked
                              for anew, and a link that says nothing is found out by data
    no answer in `answer_s`   the link is mute

Requests keep a distance, as a client that sends more than five messages per second is cut off. A
refused request that named several streams is sent again for each by itself, so that one bad stream
does not cost the others.
Source: "WebSocket Streams for Binance", Live Subscribing/Unsubscribing, Websocket Limits.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import count

import msgspec

from adapters.binance.codec import Answer

MOST_STREAMS = 100  # named in one request
SPACING_S = 0.3
HEARTBEAT_S = 15.0
ANSWER_S = 10.0


class Pending(msgspec.Struct, frozen=True):
    """A request without an answer yet; of a listing, the streams that were agreed to then."""

    method: str
    streams: tuple[str, ...]
    sent_s: float


class Refusal(msgspec.Struct, frozen=True):
    """The venue does not give a stream; it is not asked for again on this connection."""

    stream: str
    code: int
    text: str


class StreamSession:
    """What is wanted survives connections; what was agreed to does not."""

    def __init__(self, *, heartbeat_s: float = HEARTBEAT_S, answer_s: float = ANSWER_S) -> None:
        self._heartbeat_s = heartbeat_s
        self._answer_s = answer_s
        self._wanted: Counter[str] = Counter()
        self._agreed: dict[str, None] = {}
        self._alone: dict[str, None] = {}  # to be asked for by themselves
        self._refused: dict[str, None] = {}
        self._tired: dict[str, None] = {}  # agreed to, to be taken back and asked for anew
        self._pending: dict[int, Pending] = {}
        self._numbers = count(1)
        self._is_open = False
        self._free_s = 0.0
        self._listed_s = 0.0

    # -- what is wanted --------------------------------------------------------------------------

    def want(self, stream: str) -> None:
        """Want a stream once more."""
        self._wanted[stream] += 1
        self._refused.pop(stream, None)

    def unwant(self, stream: str) -> None:
        """Take one wish back; harmless where there is none."""
        if self._wanted[stream] <= 1:
            del self._wanted[stream]
        else:
            self._wanted[stream] -= 1

    def is_wanted(self, stream: str) -> bool:
        """Whether anybody wants a stream."""
        return stream in self._wanted

    def renew(self, stream: str) -> None:
        """Take a stream back and ask for it anew."""
        self._refused.pop(stream, None)
        if stream in self._agreed:
            self._tired[stream] = None

    def is_agreed(self, stream: str) -> bool:
        """Whether the venue sends a stream, and is to go on with it."""
        return stream in self._agreed and stream not in self._tired

    @property
    def is_settled(self) -> bool:
        """Whether the venue has agreed to, or refused, every stream that is wanted."""
        return self._is_open and not self._missing() and not self._asked("SUBSCRIBE")

    # -- what happened ---------------------------------------------------------------------------

    def opened(self, now_s: float) -> None:
        """Begin on a new connection, which has no streams."""
        self.lost()
        self._is_open = True
        self._free_s = now_s
        self._listed_s = now_s

    def lost(self) -> None:
        """Forget what was agreed to."""
        self._is_open = False
        for state in (self._agreed, self._alone, self._refused, self._tired, self._pending):
            state.clear()

    def answered(self, answer: Answer) -> list[Refusal]:
        """Take an answer; return the streams that are refused."""
        pending = self._pending.pop(answer.id, None) if answer.id is not None else None
        if pending is None:
            return []
        if pending.method == "LIST_SUBSCRIPTIONS":
            if answer.streams is not None:
                self._forget(stream for stream in pending.streams if stream not in answer.streams)
            return []
        if pending.method == "UNSUBSCRIBE":
            self._forget(pending.streams)
            return []
        if not answer.text:
            self._agreed.update(dict.fromkeys(pending.streams))
            return []
        if len(pending.streams) > 1:
            self._alone.update(dict.fromkeys(pending.streams))
            return []
        self._refused.update(dict.fromkeys(pending.streams))
        return [Refusal(pending.streams[0], answer.code, answer.text)]

    def is_mute(self, now_s: float) -> bool:
        """Whether a request has waited too long for its answer."""
        return any(now_s >= one.sent_s + self._answer_s for one in self._pending.values())

    # -- what to do ------------------------------------------------------------------------------

    def next_request(self, now_s: float) -> str:
        """Return the request that may leave now, "" if there is none."""
        if not self._is_open or now_s < self._free_s:
            return ""
        missing = self._missing()
        if missing:
            return self._request("SUBSCRIBE", self._batch(missing), now_s)
        surplus = self._surplus()
        if surplus:
            return self._request("UNSUBSCRIBE", tuple(surplus[:MOST_STREAMS]), now_s)
        if now_s >= self._listed_s + self._heartbeat_s:
            self._listed_s = now_s
            return self._request("LIST_SUBSCRIPTIONS", tuple(self._agreed), now_s)
        return ""

    @property
    def next_due_s(self) -> float | None:
        """When to look again; None without a connection."""
        if not self._is_open:
            return None
        due_s = self._listed_s + self._heartbeat_s
        if self._missing() or self._surplus():
            due_s = self._free_s
        answers = [one.sent_s + self._answer_s for one in self._pending.values()]
        return min([max(due_s, self._free_s), *answers])

    def _request(self, method: str, streams: tuple[str, ...], now_s: float) -> str:
        number = next(self._numbers)
        self._pending[number] = Pending(method, streams, now_s)
        self._free_s = now_s + SPACING_S
        request: dict[str, object] = {"method": method, "id": number}
        if method != "LIST_SUBSCRIPTIONS":
            request["params"] = streams
        return msgspec.json.encode(request).decode()

    def _batch(self, missing: list[str]) -> tuple[str, ...]:
        together = [stream for stream in missing if stream not in self._alone]
        return tuple(together[:MOST_STREAMS]) or (missing[0],)

    def _missing(self) -> list[str]:
        asked = self._asked("SUBSCRIBE") | self._asked("UNSUBSCRIBE")
        return [
            stream
            for stream in self._wanted
            if stream not in self._agreed and stream not in self._refused and stream not in asked
        ]

    def _surplus(self) -> list[str]:
        asked = self._asked("UNSUBSCRIBE")
        idle = [one for one in self._agreed if one not in self._wanted or one in self._tired]
        return [one for one in idle if one not in asked]

    def _asked(self, method: str) -> set[str]:
        return {s for one in self._pending.values() if one.method == method for s in one.streams}

    def _forget(self, streams: Iterable[str]) -> None:
        for stream in streams:
            self._agreed.pop(stream, None)
            self._tired.pop(stream, None)


def stream_of(symbol: str, channel: str, interval: str) -> str:
    """Return the stream of a channel; symbols are in lower case there."""
    suffix = {"quotes": "bookTicker", "trades": "trade", "book": "depth@100ms"}.get(channel)
    return f"{symbol.lower()}@{suffix or f'kline_{interval}'}"
