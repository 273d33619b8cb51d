"""How a link behaves."""

from typing import Literal

import msgspec

TransportName = Literal["auto", "aiohttp", "picows"]


class LinkOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a link behaves; seconds of transport time, and bytes.

    Attributes:
        transport: `auto` takes picows where it is installed and the loop is real.
        connect_s: for TCP, TLS and the upgrade together; the endpoint's own making not counted.
        stable_s: how long a connection must last for the back-off to begin anew.
        most_attempts: connects in a row that come to nothing (they fail, or are lost before they
            stream or last `stable_s`) before the link gives up; None: it never does.
        ping_s: between own pings; None: none are sent.
        silence_s: without any frame, pings and pongs included; a frame counts when it is whole.
        data_silence_s: without text or binary frames (R-42).
        close_s: for the venue to answer our close frame.
        largest_frame: the largest message, in however many frames.
        most_queued_bytes: sent by us and not yet taken by the kernel.
    """

    transport: TransportName = "auto"
    connect_s: float = 10.0
    floor_s: float = 0.1
    base_s: float = 0.5
    cap_s: float = 30.0
    stable_s: float = 60.0
    most_attempts: int | None = None
    retries_first_connect: bool = True
    ping_s: float | None = 20.0
    pong_s: float = 30.0
    silence_s: float | None = 30.0
    data_silence_s: float | None = None
    close_s: float = 5.0
    largest_frame: int = 4 * 1024 * 1024
    most_queued_bytes: int = 1024 * 1024
