"""What an error says of a command: refused, certainly never sent, or not known.

no byte has left, or not admitted yet    over, evidence "core"
4xx                                      the gateway's refusal; 429 as well: it did not act
501, 503 SHUTTING_DOWN                   refused before the platform was asked (7.2, 18.4)
409/422 DUPLICATE_CLIENT_ORDER_ID        not known: an order of ours with this id is there
any other 5xx, no answer, nonsense       not known (20.3)
"""

from adapters.tektii.client import answered
from framework.errors import (
    FrameworkError,
    NotSent,
    RateLimited,
    RequestRefusedByVenue,
    VenueUnavailable,
)
from framework.model.commands import CancelOrder, SubmitOrder, VenueCommand
from framework.model.reports import (
    EndKind,
    OrderEnded,
    OrderFact,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)

DUPLICATE = "DUPLICATE_CLIENT_ORDER_ID"
UNSUPPORTED = 501
SHUTTING_DOWN = (503, "SHUTTING_DOWN")


def kind_of(command: VenueCommand) -> RequestKind:
    """Return what a command asks for."""
    if isinstance(command, SubmitOrder):
        return RequestKind.SUBMIT
    return RequestKind.CANCEL if isinstance(command, CancelOrder) else RequestKind.MODIFY


def unsent(command: VenueCommand, reason: str, now_ns: int) -> OrderFact:
    """Return what holds of a command of which certainly nothing has left."""
    if isinstance(command, SubmitOrder):
        return OrderEnded(command.order_id, EndKind.REJECTED, now_ns, reason, "core")
    return RequestRefused(command.order_id, kind_of(command), reason, now_ns)


def refused(command: VenueCommand, reason: str, now_ns: int) -> OrderFact:
    """Return the gateway's refusal of a command."""
    if isinstance(command, SubmitOrder):
        return OrderEnded(command.order_id, EndKind.REJECTED, now_ns, reason)
    return RequestRefused(command.order_id, kind_of(command), reason, now_ns)


def verdict_on(command: VenueCommand, error: FrameworkError, now_ns: int) -> OrderFact:
    """Return what an error says of a command."""
    reason = str(error)
    if isinstance(error, NotSent):
        return unsent(command, reason, now_ns)
    if is_refusal(error):
        return refused(command, reason, now_ns)
    return RequestInDoubt(command.order_id, kind_of(command), reason, now_ns)


def is_refusal(error: FrameworkError) -> bool:
    """Whether the gateway said that it did not act."""
    if isinstance(error, RateLimited):
        return True
    if isinstance(error, RequestRefusedByVenue):
        return DUPLICATE not in error.text and error.code != DUPLICATE
    if isinstance(error, VenueUnavailable):
        said = answered(error)
        return said[0] == UNSUPPORTED or said == SHUTTING_DOWN
    return False
