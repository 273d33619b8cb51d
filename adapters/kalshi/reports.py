"""What `on_error` is told: the venue's error envelopes and what went wrong on our side."""

from enum import Enum

import msgspec

from adapters.kalshi.actions import (
    Action,
    Alarm,
    Fault,
    GapFound,
    Interrupted,
    Reread,
    Told,
)
from adapters.kalshi.subscription import Subscription

NS_PER_S = 1e9


class Trouble(Enum):
    """What a report is about."""

    SERVER_ERROR = "server_error"  # an error envelope of the venue (K53)
    UNKNOWN_TYPE = "unknown_type"  # the rest is K54 and B
    UNDECODABLE = "undecodable"
    EARLY_FRAMES_LOST = "early_frames_lost"
    INCONSISTENT_BOOK = "inconsistent_book"
    NO_ANSWER = "no_answer"
    RENEWAL_FAILED = "renewal_failed"  # it could not be subscribed again
    INTERRUPTED = "interrupted"  # the venue ended a subscription, which is asked for again
    ENDED = "ended"  # a subscription is over, and will not come back
    GAP = "gap"
    REREAD = "reread"  # frames are missing that only REST can make good
    BOOKS_MISSING = "books_missing"
    QUIET = "quiet"  # a subscription said nothing, asked or not
    OVERFLOW = "overflow"
    CALLBACK = "callback"  # a callback or a hook raised
    CONNECTION = "connection"  # it is over for good


class Report(msgspec.Struct, frozen=True):
    """One trouble; `code` and `id` are the venue's, 0 and None where there are none."""

    trouble: Trouble
    text: str
    channel: str = ""
    code: int = 0
    id: int | None = None
    error: Exception | None = None


TROUBLES = {fault: Trouble(fault.value) for fault in Fault}


def report_of(action: Action) -> Report | None:
    """Return what is to be reported of an action, or None."""
    match action:
        case Told():
            channel = action.subscription.channel if action.subscription is not None else ""
            trouble = TROUBLES[action.fault]
            return Report(trouble, action.text, channel, action.code, action.id)
        case Interrupted(subscription=subscription, error=error):
            text = f"{error.text}; asked again in {action.pause_s:.1f} s"
            return Report(Trouble.INTERRUPTED, text, subscription.channel, error.code, error=error)
        case GapFound(subscription=subscription):
            text = f"expected number {action.expected}, received {action.received}"
            return Report(Trouble.GAP, text, subscription.channel)
        case Reread(subscription=subscription, reason=reason):
            return Report(Trouble.REREAD, reason, subscription.channel)
        case Alarm(subscription=subscription):
            text = f"no true book of {', '.join(action.markets)}"
            text += f" for {action.age_ns / NS_PER_S:.1f} s"
            return Report(Trouble.BOOKS_MISSING, text, subscription.channel)
    return None


def quiet(subscription: Subscription, age_ns: int) -> Report:
    """Return what is to be reported of a mute subscription."""
    text = f"nothing for {age_ns / NS_PER_S:.0f} s: it is subscribed anew"
    return Report(Trouble.QUIET, text, subscription.channel)
