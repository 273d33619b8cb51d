"""Open streams of a door: who is connected, what is sent, who is cut, and why.

They are opened by `serve` in `web_sockets.py` and in `sse.py`. A door gives frames and is told of
text; it never waits for a peer. A peer that reads too slowly is cut and counted (R-83): it will
connect again and read anew, while one that kept a stream with a hole in it would trade on a wrong
view.

A frame is encoded once and its header is made once, however many links it goes to.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import msgspec
import structlog

from framework.model.desk import Principal
from framework.server.door import RefusalKind, Refused
from framework.server.framing import Framing, event_framing, web_socket_framing
from framework.server.outbox import Outbox
from framework.server.outgoing import Outgoing
from framework.settings.server import LimitSettings

NORMAL, GOING_AWAY, LOST, FAILED, SLOW = 1000, 1001, 1006, 1011, 1013
SLOW_CONSUMER = "slow consumer"

FAREWELL_S = 5.0  # to take what waits and answer the close frame
CUT_S = 2.0  # the same for a peer that was cut
RETRY_S = 5.0

log = structlog.get_logger(__name__)


class Link:
    """One open stream. What is sent once it is no longer open goes nowhere.

    `opened_s` and all other times are the loop's. `data` belongs to the door. `close_code` and
    `close_reason` are set when it ends: by whoever ended it, 1006 if the connection was lost.
    """

    def __init__(
        self,
        number: int,
        principal: Principal,
        outgoing: Outgoing,
        framing: Framing,
        *,
        wake: Callable[[], None],
        on_slow: Callable[[], None],
    ) -> None:
        self.id = number
        self.principal = principal
        self.outgoing = outgoing
        self.opened_s = asyncio.get_running_loop().time()
        self.heard_s: float | None = None  # None: its peer has nothing to say
        self.is_open = True
        self.close_code: int | None = None
        self.close_reason = ""
        self.data: Any = None
        self.farewell_s = FAREWELL_S
        self._framing = framing
        self._encoded = framing.encoded
        self._wake = wake
        self._on_slow = on_slow

    def send(self, frame: bytes, *, key: str | None = None) -> None:
        """Send a payload behind all others, or in place of an unsent one with the same key.

        Never waits. A link that cannot keep up is cut (1013), see `Outbox`.
        """
        if self.is_open and not self.outgoing.put(self._encoded(frame), key):
            self.cut_slow()

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """End it behind what waits to be sent; nothing if it is over."""
        if self._ends(code, reason):
            self.outgoing.finish(self._framing.close(code, reason))

    def cut(self, code: int, reason: str) -> None:
        """End it now and drop what waits; nothing if it is over."""
        if self._ends(code, reason):
            log.warning("link_cut", principal=self.principal.name, code=code, reason=reason)
            self.farewell_s = CUT_S
            self.outgoing.cut(self._framing.close(code, reason))

    def cut_slow(self) -> None:
        """Cut it because its peer does not keep up."""
        if self.is_open:
            self._on_slow()
            self.cut(SLOW, SLOW_CONSUMER)

    def end_by_peer(self, code: int, reason: str) -> None:
        """Answer that the peer has closed; what waits is dropped."""
        if self._ends(code, reason):
            self.outgoing.cut(self._framing.close(code, ""))

    def lose(self) -> None:
        """Note that its connection is gone."""
        if self._ends(LOST, ""):
            self.outgoing.lose()

    def ping(self) -> None:
        """Send what makes a living peer answer, ahead of what waits."""
        self.outgoing.put_ahead(self._framing.ping)

    def _ends(self, code: int, reason: str) -> bool:
        was_open = self.is_open
        if was_open:
            self.is_open = False
            self.close_code, self.close_reason = code, reason
            self._wake()
        return was_open


class LinkStatistics(msgspec.Struct, frozen=True):
    """Counters of a door's streams since its start.

    Of `frames_put` some are sent, conflated or dropped, the rest waits; `sent_bytes` count frames
    with their headers. `cut_slow` did not keep up, `cut_silent` did not answer.
    """

    name: str
    active: int
    opened: int
    cut_slow: int
    cut_silent: int
    frames_put: int
    frames_sent: int
    frames_conflated: int
    frames_dropped: int
    frames_waiting: int
    sent_bytes: int
    waiting_bytes: int


class Links:
    """The open streams of one door, in order of opening; iterate to send to all."""

    def __init__(self, limits: LimitSettings, *, name: str = "streams") -> None:
        self.limits = limits
        self.name = name
        self.opened = 0
        self.cut_slow = 0
        self.cut_silent = 0
        self._links: dict[int, Link] = {}
        self._leaving: dict[int, Link] = {}  # over, but not all is sent yet
        self._places: Counter[str] = Counter()  # taken, by principal, also while they open or end
        self._ended: Counter[str] = Counter()  # frames of links that are over, by what became
        self._farewell: tuple[int, str] | None = None
        self._is_empty = asyncio.Event()
        self.web_sockets = web_socket_framing()
        self.events = event_framing()

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    @property
    def active(self) -> int:
        """How many are open."""
        return len(self._links)

    def statistics(self) -> LinkStatistics:
        """Return the counters as of now."""
        counts = self._ended.copy()
        for link in (*self._links.values(), *self._leaving.values()):
            counts.update(_frames(link.outgoing.outbox))
        return LinkStatistics(
            name=self.name,
            active=self.active,
            opened=self.opened,
            cut_slow=self.cut_slow,
            cut_silent=self.cut_silent,
            frames_put=counts["frames_put"],
            frames_sent=counts["frames_sent"],
            frames_conflated=counts["frames_conflated"],
            frames_dropped=counts["frames_dropped"],
            frames_waiting=counts["frames_waiting"],
            sent_bytes=counts["sent_bytes"],
            waiting_bytes=counts["waiting_bytes"],
        )

    async def close_all(self, code: int, reason: str, wait_s: float) -> None:
        """End all behind what waits to be sent, and refuse new ones.

        Returns once their connections are gone; those that are not after `wait_s` are cut.
        """
        self._farewell = code, reason
        for link in self:
            link.farewell_s = wait_s
            link.close(code, reason)
        with anyio.move_on_after(wait_s):
            await self.wait_empty()
        for link in self._leaving.values():
            link.outgoing.abort()

    async def wait_empty(self) -> None:
        """Return once no stream is open, opening or ending."""
        while self._places:
            self._is_empty.clear()
            await self._is_empty.wait()

    # -- for whoever serves a stream -----------------------------------------------------------

    def take_place(self, principal: Principal) -> None:
        """Count one stream more; every success is followed by one `leave_place`.

        Raises:
            Refused: there are too many, or this principal has, or the server is stopping.
        """
        limits, places = self.limits, self._places
        if self._farewell is not None:
            raise Refused(RefusalKind.STOPPING, "the server is stopping", retry_after_s=RETRY_S)
        if places.total() >= limits.links:
            message = f"{limits.links} streams are open, which is the limit"
            raise Refused(RefusalKind.BUSY, message, retry_after_s=RETRY_S)
        if places[principal.name] >= limits.links_per_token:
            message = f"{principal.name!r} has {limits.links_per_token} streams, which is the limit"
            raise Refused(RefusalKind.TOO_MANY, message, retry_after_s=RETRY_S)
        places[principal.name] += 1

    def leave_place(self, principal: Principal) -> None:
        """Count one stream less."""
        self._places[principal.name] -= 1
        self._places += Counter()  # forgets names without any
        self._is_empty.set()

    def open(
        self, principal: Principal, outgoing: Outgoing, framing: Framing, wake: Callable[[], None]
    ) -> Link:
        """Return a new link that is part of this; while all are ending, one that is ending."""
        self.opened += 1
        number = self.opened
        link = Link(number, principal, outgoing, framing, wake=wake, on_slow=self._count_slow)
        self._links[number] = link
        if self._farewell is not None:
            link.close(*self._farewell)
        return link

    def end(self, link: Link) -> None:
        """Take out a link that is no longer open; what it sent still counts."""
        self._leaving[link.id] = self._links.pop(link.id)

    def forget(self, link: Link) -> None:
        """Forget a link whose connection is over, but for its counters."""
        outbox = self._leaving.pop(link.id).outgoing.outbox
        outbox.end()
        self._ended.update(_frames(outbox))

    def count_silent(self) -> None:
        """Count a peer that did not answer."""
        self.cut_silent += 1

    def _count_slow(self) -> None:
        self.cut_slow += 1


def _frames(outbox: Outbox) -> dict[str, int]:
    return {
        "frames_put": outbox.put_count,
        "frames_sent": outbox.sent_count,
        "frames_conflated": outbox.conflated_count,
        "frames_dropped": outbox.dropped_count,
        "frames_waiting": outbox.waiting,
        "sent_bytes": outbox.sent_bytes,
        "waiting_bytes": outbox.waiting_bytes,
    }
