"""What the link and its transports say to each other: connect, frames in, frames out.

A transport opens sockets; a socket carries frames until it is gone. What comes in passes through
an `Intake`, which counts it and keeps an error of the handler from ending anything (K55).
"""

import ssl
from collections.abc import Callable
from typing import Protocol

import msgspec

from framework.errors import RateLimited, VenueError, VenueUnavailable
from framework.model.events import ConnectionState
from framework.net.heartbeat import Heard
from framework.net.refusals import error_of, retry_after_s

FRAMES_PER_TURN = 256  # delivered at most before the loop may do something else
NORMAL = 1000  # the close code of an orderly end
TOO_BIG = 1009
TOO_MANY_REQUESTS = 429
CUT = "the connection ended without a close frame"


class Endpoint(msgspec.Struct, frozen=True):
    """Where to connect to, and what to show there; made afresh for every attempt (R-43)."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()


class LinkHandler(Protocol):
    """Who hears of one link: on the loop's thread, never awaiting anything."""

    def on_open(self) -> None:
        """The socket is up; send what must come first."""

    def on_text(self, data: bytes | str) -> None: ...
    def on_binary(self, data: bytes) -> None: ...
    def on_ping(self, data: bytes) -> None:
        """The venue pinged and has its pong."""

    def on_lost(self, reason: str) -> None:
        """The socket is gone, and nothing of it will come any more."""

    def on_state(self, old: ConnectionState, new: ConnectionState, reason: str) -> None:
        """The link moved; once per move, in order."""


class Intake:
    """Hands what comes in to the handler, and counts it over all connections of a link.

    Sockets deliver text by themselves, as they have no time for a call in between: they add to
    `texts`, call `on_text`, and give what it raises to `failed`.
    """

    def __init__(self, handler: LinkHandler, failed: Callable[[str, Exception], None]) -> None:
        self.texts = self.binaries = self.pings = self.pongs = self.oversized = 0
        self.on_text = handler.on_text
        self.failed = failed
        self._on_binary = handler.on_binary
        self._on_ping = handler.on_ping

    @property
    def heard(self) -> Heard:
        """What has come so far."""
        return Heard(self.texts + self.binaries, self.pings, self.pongs)

    def text(self, data: bytes) -> None:
        """Deliver a text off the fast path."""
        self.texts += 1
        try:
            self.on_text(data)
        except Exception as error:
            self.failed("on_text", error)

    def binary(self, data: bytes) -> None:
        """Deliver a binary message."""
        self.binaries += 1
        try:
            self._on_binary(data)
        except Exception as error:
            self.failed("on_binary", error)

    def ping(self, data: bytes) -> None:
        """Tell of a ping that has been answered."""
        self.pings += 1
        try:
            self._on_ping(data)
        except Exception as error:
            self.failed("on_ping", error)


class Socket(Protocol):
    """One open connection. It answers pings by itself, before it tells of them."""

    @property
    def queued_bytes(self) -> int:
        """What was sent and is still on this side of the kernel."""

    def send(self, data: bytes) -> bool:
        """Write one text frame; false if the connection is going or gone."""

    def ping(self) -> None: ...
    async def receive(self) -> str:
        """Deliver frames until the connection is over; return why it is.

        May be called again after it was cancelled.
        """

    def close(self) -> None:
        """Send the close frame and deliver nothing more; `receive` ends with the answer."""

    def abort(self) -> None:
        """Be gone at once: deliver nothing more, lose what is queued."""

    async def release(self) -> None:
        """Give back what the connection held; the last call."""


class Transport(Protocol):
    """Opens sockets of one kind."""

    name: str

    async def connect(self, endpoint: Endpoint, intake: Intake) -> Socket:
        """Return an open socket, of which nothing is delivered before `receive`.

        Raises:
            VenueError: the other side refused (see `refusal`), or cannot be reached. Neither it
                nor its cause shows the endpoint's URL or headers, which may hold credentials.
            ConfigError: the URL makes no sense.
        """


def refusal(venue: str, status: int, retry_after: str | None, now_ns: int) -> VenueError:
    """Return the error for an HTTP answer that is no upgrade, with the pause it asks for."""
    pause_s = retry_after_s(retry_after, now_ns)
    if status == TOO_MANY_REQUESTS or (pause_s is not None and status >= 400):
        return RateLimited(venue, pause_s or 0.0)
    return error_of(venue, status, "", "the handshake was refused")


def unreachable(error: BaseException) -> VenueUnavailable:
    """Return the error for a connect that failed; only the system's own words are repeated."""
    untrusted = getattr(error, "certificate_error", error)  # aiohttp's own error has it inside
    if isinstance(untrusted, ssl.SSLCertVerificationError):
        why = untrusted.verify_message
        return VenueUnavailable(f"cannot connect: the certificate is not trusted: {why}")
    words = getattr(error, "strerror", None) or type(error).__name__
    return VenueUnavailable(f"cannot connect: {words}")


def closed_by_venue(code: int, text: str) -> str:
    """Return the reason for an end that the venue asked for."""
    return " ".join(part for part in ("closed by the venue:", str(code), text) if part)
