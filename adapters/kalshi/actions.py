"""What a session wants done or known, in the order in which it must happen.

About frames:      Deliver, LevelApplied, BookApplied, LevelDropped
About books:       BookInvalid, GapFound, Alarm, Reread
About wishes:      Acknowledged, Interrupted, Ended, Done, Refused
To the connection: Send, AskReconnect
About the venue:   Told
"""

from collections.abc import Callable
from enum import Enum

import msgspec

from adapters.kalshi.codec import Frame
from adapters.kalshi.ladders import BookState
from adapters.kalshi.subscription import Subscription
from framework.errors import SubscriptionRefused


class Send(msgspec.Struct, frozen=True):
    """Write one text frame to the socket."""

    text: bytes


class AskReconnect(msgspec.Struct, frozen=True):
    """Drop the connection and open a new one."""

    reason: str


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """A frame for the consumers; `frame.message` is None for types and bodies unknown to us."""

    subscription: Subscription
    frame: Frame


class LevelApplied(msgspec.Struct, frozen=True, gc=False):
    """A change reached its live book; the level now has `count` (0: it is gone)."""

    subscription: Subscription
    frame: Frame
    count: int


class BookApplied(msgspec.Struct, frozen=True, gc=False):
    """A snapshot replaced its book, which is live; `is_resync`: it was not before."""

    subscription: Subscription
    frame: Frame
    is_resync: bool


class LevelDropped(msgspec.Struct, frozen=True, gc=False):
    """A change that follows on, but whose market has no live book to apply it to."""

    subscription: Subscription
    frame: Frame


class BookInvalid(msgspec.Struct, frozen=True):
    """A book can be trusted no more, or less than before."""

    subscription: Subscription
    market: str
    state: BookState
    reason: str


class GapFound(msgspec.Struct, frozen=True):
    """Numbers of the subscription's sid are missing; `received` below `expected`: began anew."""

    subscription: Subscription
    expected: int
    received: int


class Reread(msgspec.Struct, frozen=True):
    """Frames were lost for which no snapshot exists: read the truth by REST (B23)."""

    subscription: Subscription
    reason: str


class Alarm(msgspec.Struct, frozen=True):
    """Tell a person: these markets have had no true book for `age_ns`."""

    subscription: Subscription
    markets: tuple[str, ...]
    age_ns: int


class Acknowledged(msgspec.Struct, frozen=True):
    """The venue took a subscription, at first or, `is_renewal`, once more."""

    subscription: Subscription
    is_renewal: bool


class Interrupted(msgspec.Struct, frozen=True):
    """The venue ended a subscription, or refused to renew it; it is asked again in `pause_s`."""

    subscription: Subscription
    error: SubscriptionRefused
    pause_s: float


class Ended(msgspec.Struct, frozen=True):
    """Nothing more will come for a subscription; `error` None: as its owner wished."""

    subscription: Subscription
    error: SubscriptionRefused | None


class Done(msgspec.Struct, frozen=True):
    """A change, an unsubscription or a listing was completed; `listed` is (channel, sid)."""

    request: int
    listed: tuple[tuple[str, int], ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """A change or a listing failed; the subscription goes on as it was."""

    request: int
    error: SubscriptionRefused


class Fault(Enum):
    """What `Told` tells of."""

    SERVER_ERROR = "server_error"  # an error envelope of the venue (K53)
    UNKNOWN_TYPE = "unknown_type"
    UNDECODABLE = "undecodable"
    EARLY_FRAMES_LOST = "early_frames_lost"  # more came before an acknowledgement than is kept
    INCONSISTENT_BOOK = "inconsistent_book"
    NO_ANSWER = "no_answer"
    RENEWAL_FAILED = "renewal_failed"


class Told(msgspec.Struct, frozen=True):
    """Something went wrong that somebody may want to hear of (K53, K54); nothing is to be done."""

    fault: Fault
    text: str
    code: int = 0
    id: int | None = None
    sid: int | None = None
    subscription: Subscription | None = None


Action = (
    Send
    | AskReconnect
    | Deliver
    | LevelApplied
    | BookApplied
    | LevelDropped
    | BookInvalid
    | GapFound
    | Reread
    | Alarm
    | Acknowledged
    | Interrupted
    | Ended
    | Done
    | Refused
    | Told
)

Emit = Callable[[Action], None]
"""Takes each action at once and in order; must not call the session back from inside."""
