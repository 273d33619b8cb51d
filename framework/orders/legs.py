"""One exit of a bracket as it stands: where it is, what it may still fill, how it came to end.

held          the core keeps it
due           held, and its price was met: it goes out as soon as no other leg is at the venue
live          sent and not known to have ended: it may fill
resting       live, waiting at the venue for its price
executing     live, sent because its price was met
given up      somebody asked for its end (a run, an operator, the bracket itself)
failed        ended unfilled though nobody asked: refused, expired, cancelled by the venue
"""

from decimal import Decimal

from framework.model.decimals import subtract
from framework.model.orders import OrderStatus, RequestState
from framework.model.records import HoldRole
from framework.model.reports import EndKind
from framework.orders.order_state import OrderState

HELD = OrderStatus.HELD
NONE = RequestState.NONE
IN_CORE = "core"


def is_held(leg: OrderState) -> bool:
    """Tell whether the core keeps it."""
    return leg.facts.status is HELD


def is_due(leg: OrderState) -> bool:
    """Tell whether it is held and its price was met."""
    return leg.facts.status is HELD and leg.facts.is_triggered


def is_live(leg: OrderState) -> bool:
    """Tell whether it may fill."""
    return leg.is_released and not leg.facts.is_closed


def is_executing(leg: OrderState) -> bool:
    """Tell whether it was sent because its price was met."""
    return is_live(leg) and leg.facts.is_triggered and leg.role is not HoldRole.TAKE_PROFIT


def is_given_up(leg: OrderState) -> bool:
    """Tell whether its end was asked for, whatever the venue answered."""
    facts = leg.facts
    if facts.cancel_request is not NONE:
        return True
    end = facts.end
    return end is not None and end.evidence == IN_CORE and end.kind is EndKind.CANCELLED


def is_failed(leg: OrderState) -> bool:
    """Tell whether it ended unfilled though nobody asked for that."""
    return leg.facts.is_closed and not leg.facts.filled and not is_given_up(leg)


def is_unsent(leg: OrderState) -> bool:
    """Tell whether it failed here, before a byte of it had left: no venue has refused it."""
    end = leg.facts.end
    return is_failed(leg) and end is not None and end.evidence == IN_CORE


def intended(leg: OrderState) -> Decimal:
    """Return what it is to fill from now on: as asked for, answered or not."""
    facts, pending = leg.facts, leg.pending
    total = facts.quantity
    if pending is not None and pending.quantity is not None:
        total = pending.quantity
    return subtract(total, facts.filled)
