"""What the streams of the simulated venue may be told at start."""

from enum import StrEnum

import msgspec

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.faults import FaultPlan


class SecondSubscribe(StrEnum):
    """What another `subscribe` to a channel of the connection does (sources disagree)."""

    SEPARATE = "separate"  # a sid of its own
    MERGE = "merge"  # its markets join the old sid, answered by `ok`
    ERROR = "error6"


class UnknownMarket(StrEnum):
    """What naming a market that does not exist does (sources disagree)."""

    REFUSE = "refuse"  # error 16
    ACCEPT = "accept"  # taken, and nothing ever comes for it
    IGNORE = "ignore"  # no reply at all


class Overflow(StrEnum):
    """What happens to a peer that reads too slowly."""

    ERROR = "error"  # the subscription that does not fit any more ends with error 25
    CUT = "cut"  # the connection is aborted


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The streams' side of the simulated venue.

    Raises:
        ValueError: a number is out of range.
    """

    profile: Profile = Profile.CURRENT
    second_subscribe: SecondSubscribe = SecondSubscribe.SEPARATE
    unknown_market: UnknownMarket | None = None  # None: refused, accepted in `current`
    counts_control_frames: bool = True  # `ok`, `unsubscribed`, `error` take numbers of their sid
    also_sequenced: tuple[str, ...] = ()  # channels that carry `seq` though the profile says no
    has_private_books: bool = False  # anonymous sockets get error 9 on `orderbook_delta` too
    has_single_communications_type: bool = False  # instead of the five types of 7.11
    ping_s: float = 10.0  # 0: never
    pong_s: float = 0.0  # a peer that owes a pong for so long is cut; 0: never
    outbox_frames: int = 10_000  # what a connection may have waiting
    overflow: Overflow = Overflow.ERROR
    most_markets: int = 2_000  # per subscription; more is error 26
    most_commands_per_s: int = 100  # per subscription; more is error 27
    largest_command: int = 1 << 20  # bytes; more closes the socket with 1009
    commands_kept: int = 100_000  # that the control interface can list
    faults: FaultPlan = FaultPlan()

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.ping_s < 0 or self.pong_s < 0:
            raise ValueError("ping_s and pong_s must not be negative")
        counts = (self.outbox_frames, self.most_markets, self.most_commands_per_s)
        if min(*counts, self.largest_command, self.commands_kept) < 1:
            raise ValueError("outbox, limits and commands_kept must be at least 1")
