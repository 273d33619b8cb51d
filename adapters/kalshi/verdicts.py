"""Pure: what failed requests, and orders that ended as they came, mean to the core."""

from typing import NamedTuple

from framework.errors import (
    Conflict,
    FrameworkError,
    MalformedMessage,
    NotSent,
    VenueUnavailable,
)
from framework.model.commands import ModifyOrder, SubmitOrder, VenueCommand
from framework.model.reports import EndKind, RequestKind


class Verdict(NamedTuple):
    """What a failed request means."""

    is_in_doubt: bool
    reason: str
    evidence: str = "venue"


def end_on_arrival(command: SubmitOrder) -> tuple[EndKind, str]:
    """Return what it means that an order was taken and at once canceled (section 10.5)."""
    if command.intent.post_only:
        return EndKind.REJECTED, "post-only, and it would have traded"
    return EndKind.CANCELLED, "nothing to trade with"


def verdict_on(error: FrameworkError) -> Verdict:
    """Return what a failed request means for its order.

    A used client id (409) is no refusal of this order: it may be this very one (section 10.1). An
    answer that cannot be read says that the venue acted, not how.
    """
    if isinstance(error, NotSent):
        return Verdict(False, str(error), "core")
    if isinstance(error, Conflict) and error.code != "trading_is_paused":
        return Verdict(True, str(error))
    if isinstance(error, VenueUnavailable | MalformedMessage):
        return Verdict(True, str(error))
    return Verdict(False, str(error))


def kind_of(command: VenueCommand) -> RequestKind:
    """Return what a command asks for."""
    if isinstance(command, SubmitOrder):
        return RequestKind.SUBMIT
    return RequestKind.MODIFY if isinstance(command, ModifyOrder) else RequestKind.CANCEL
