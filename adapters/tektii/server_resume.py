"""Numbered streams: whoever comes back gets what it missed, once and in order.

Connections that see the same (the same rights, the same subscriptions) share a stream. A stream
numbers its frames without a hole (`seq`, +1 per frame) and has a name of its own (`epoch`), which
no other stream, of this process or a later one, has. Its newest frames are kept, for some time
also while nobody listens. A frame without a `seq` concerns one connection alone.

A handshake `?epoch=E&after=N` is answered with everything after N, if all of it is still there.

Source: section 11.7 of the gateway's description; the query parameters are an extension of it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from hashlib import blake2b

import msgspec

from adapters.tektii.server_subscriptions import Subscriptions
from framework.model.desk import Place, Principal, Verb, View
from framework.server.links import Link

KEPT_FRAMES = 10_000  # of each stream
KEPT_BYTES = 8_388_608
ALL_KEPT_BYTES = 134_217_728  # of all streams together
IDLE_S = 600.0  # how long a stream nobody listens to goes on
MOST_IDLE = 32
FIRST_EPOCH_BYTES = 8


class Scope(msgspec.Struct, frozen=True):
    """What the rights of a principal let a connection see; equal for those that see the same."""

    places: tuple[Place, ...]
    view: View
    instruments: tuple[str, ...]
    sees_orders: bool
    sees_markets: bool

    @classmethod
    def of(cls, principal: Principal) -> "Scope":
        """Return a principal's scope."""
        return cls(
            principal.places,
            principal.view,
            tuple(sorted(set(principal.instruments))),
            Verb.READ in principal.verbs,
            Verb.MARKET in principal.verbs,
        )

    def sees_market(self, instrument: str) -> bool:
        """Tell whether market data of an instrument may be seen."""
        return self.sees_markets and self._has(instrument) and self.sees_venue(_venue(instrument))

    def sees_order(self, account: str, run: str, instrument: str) -> bool:
        """Tell whether orders and positions of a run on an account may be seen."""
        if not self.sees_orders or not self._has(instrument):
            return False
        is_whole = self.view is View.ACCOUNT
        return any(
            place.account == account and (is_whole or place.run == run) for place in self.places
        )

    def sees_account(self, account: str) -> bool:
        """Tell whether the money of an account may be seen."""
        return self.sees_orders and any(place.account == account for place in self.places)

    def sees_venue(self, venue: str) -> bool:
        """Tell whether news of a venue's links is of any concern."""
        return any(place.venue == venue for place in self.places)

    def _has(self, instrument: str) -> bool:
        names = self.instruments
        return "*" in names or instrument in names or f"{_venue(instrument)}:*" in names


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A frame that was sent; `event_id` "" where it is not to be acknowledged."""

    frame: bytes
    event_id: str


class FrameStream:
    """What one scope sees through one list of subscriptions.

    Attributes:
        epoch: its name.
        seq: the number of its newest frame.
        links: who listens, by connection.
        arriving: how many more are about to.
        idle_since_s: since when nobody does.
    """

    def __init__(
        self,
        scope: Scope,
        subscriptions: Subscriptions,
        epoch: str,
        *,
        kept_frames: int = KEPT_FRAMES,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self.scope = scope
        self.subscriptions = subscriptions
        self.epoch = epoch
        self.seq = 0
        self.links: dict[str, Link] = {}
        self.arriving = 0
        self.was_joined = False
        self.idle_since_s = 0.0
        self._kept: deque[Kept] = deque()
        self._kept_bytes = 0
        self._most_frames = kept_frames
        self.most_bytes = kept_bytes
        self._end = f',"epoch":"{epoch}"}}'.encode()

    def number(self, body: bytes, event_id: str = "") -> bytes:
        """Return the next frame, made of an encoded object, and keep it."""
        self.seq += 1
        named = f',"event_id":"{event_id}"' if event_id else ""
        frame = b'%b%b,"seq":%d%b' % (body[:-1], named.encode(), self.seq, self._end)
        kept = self._kept
        kept.append(Kept(frame, event_id))
        self._kept_bytes += len(frame)
        while len(kept) > self._most_frames or self._kept_bytes > self.most_bytes:
            self._kept_bytes -= len(kept.popleft().frame)
        return frame

    def snapshot_frame(self, body: bytes, seq: int) -> bytes:
        """Return a frame of a snapshot: how things stood as of frame `seq`."""
        return b'%b,"is_snapshot":true,"seq":%d%b' % (body[:-1], seq, self._end)

    def after(self, seq: int) -> list[Kept] | None:
        """Return what came after a number; None: not all of it is there, or it never was."""
        missed = self.seq - seq
        if missed < 0 or seq < 0 or missed > len(self._kept):
            return None
        return [self._kept[index] for index in range(len(self._kept) - missed, len(self._kept))]

    def of_events(self, event_ids: Iterable[str]) -> list[Kept]:
        """Return the kept frames of these events, oldest first."""
        wanted = set(event_ids)
        return [one for one in self._kept if one.event_id in wanted] if wanted else []


class Streams:
    """Every stream: those with listeners, and for `idle_s` those whose listeners have gone.

    `now_s` is transport time.

    Attributes:
        on_change: called when one was added or dropped.
    """

    def __init__(
        self,
        session: str,
        now_s: Callable[[], float],
        *,
        idle_s: float = IDLE_S,
        kept_frames: int = KEPT_FRAMES,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._session = session
        self._now_s = now_s
        self._idle_s = idle_s
        self.on_change: Callable[[], None] = _nothing
        self._kept_frames = kept_frames
        self._kept_bytes = kept_bytes
        self._streams: dict[tuple[Scope, str], FrameStream] = {}
        self._made_count = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._streams)

    @property
    def all(self) -> list[FrameStream]:
        """Every stream, in the order in which they were made."""
        return list(self._streams.values())

    def get(self, scope: Scope, subscriptions: Subscriptions) -> FrameStream:
        """Return the stream of a scope through these subscriptions, a new one if there is none."""
        self.forget_idle()
        name = scope, subscriptions.text
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = FrameStream(
                scope,
                subscriptions,
                self._new_epoch(),
                kept_frames=self._kept_frames,
                kept_bytes=self._kept_bytes,
            )
            stream.idle_since_s = self._now_s()
            self._changed()
        return stream

    def join(self, stream: FrameStream, connection: str, link: Link) -> None:
        """Let a connection hear a stream from its next frame on."""
        stream.links[connection] = link
        stream.was_joined = True

    def leave(self, stream: FrameStream, connection: str) -> None:
        """Let a connection hear nothing more of a stream."""
        if stream.links.pop(connection, None) is not None and not stream.links:
            stream.idle_since_s = self._now_s()

    def forget_idle(self) -> None:
        """Drop streams that nobody has listened to for too long, and the oldest beyond a bound."""
        idle = sorted(
            (one for one in self._streams.values() if not one.links and not one.arriving),
            key=lambda stream: stream.idle_since_s,
        )
        spare = len(idle) - MOST_IDLE
        gone = [
            stream
            for index, stream in enumerate(idle)
            if index < spare or self._now_s() - stream.idle_since_s > self._idle_s
        ]
        for stream in gone:
            del self._streams[stream.scope, stream.subscriptions.text]
        if gone:
            self._changed()

    def forget_unused(self, stream: FrameStream) -> None:
        """Drop a stream that was made for a connection that never came."""
        if not (stream.was_joined or stream.arriving):
            del self._streams[stream.scope, stream.subscriptions.text]
            self._changed()

    def _changed(self) -> None:
        share = ALL_KEPT_BYTES // max(1, len(self._streams))
        for stream in self._streams.values():
            stream.most_bytes = min(self._kept_bytes, share)
        self.on_change()

    def _new_epoch(self) -> str:
        self._made_count += 1
        name = f"{self._session}\0{self._made_count}".encode()
        return blake2b(name, digest_size=FIRST_EPOCH_BYTES).hexdigest()


def _nothing() -> None:
    pass


def _venue(instrument: str) -> str:
    return instrument.partition(":")[0]
