"""What a venue says of an order beside fills: accepted, replaced, ended, or a request refused.

Of answers that contradict each other the higher-ranked holds, whichever came first. Every
function here adds a fact to an order's `OrderFacts` and tells whether it was news.
"""

from decimal import Decimal
from typing import TYPE_CHECKING

from framework.model.decimals import ZERO
from framework.model.orders import OrderStatus, RequestState
from framework.model.reports import (
    EndKind,
    OrderAccepted,
    OrderEnded,
    OrderReplaced,
    OrderTriggered,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)

if TYPE_CHECKING:  # which in turn applies these functions
    from framework.orders.lifecycle import OrderFacts

FILLED = OrderStatus.FILLED
NONE = RequestState.NONE
END_CANCELLED = EndKind.CANCELLED
END_EXPIRED = EndKind.EXPIRED
END_REJECTED = EndKind.REJECTED
SUBMIT = RequestKind.SUBMIT
CANCEL = RequestKind.CANCEL
BY_VENUE = "venue"
NO_PRICE = Decimal("-Infinity")  # ranks below every price


def accept(facts: "OrderFacts", fact: OrderAccepted) -> bool:
    """Note that the venue has the order."""
    is_news = not facts.is_accepted
    if is_news and facts.is_closed and facts.status is not FILLED:
        facts.note(f"accepted after it was {facts.status.value}")
    facts.is_accepted = facts.has_evidence = True
    facts.submit_state = NONE
    if fact.venue_order_id and _name(facts, fact.venue_order_id, fact.time_ns):
        return True
    return is_news


def trigger(facts: "OrderFacts", fact: OrderTriggered) -> bool:
    """Note that the stop price was reached."""
    is_news = not facts.is_triggered
    facts.is_triggered = True
    if fact.evidence == BY_VENUE:
        facts.has_evidence = facts.is_at_venue = True
        facts.submit_state = NONE
    return is_news


def replace(facts: "OrderFacts", fact: OrderReplaced) -> bool:
    """Let the highest revision hold, each price and the quantity for itself."""
    if facts.is_closed and facts.status is not FILLED:
        facts.note(f"replaced after it was {facts.status.value}")
    is_news = False
    if fact.evidence == BY_VENUE:
        facts.has_evidence = facts.is_at_venue = True
        facts.submit_state = NONE
    if _is_newer(fact, facts.replaced):
        facts.replaced, facts.quantity, is_news = fact, fact.quantity, True
    if fact.price is not None and _is_newer(fact, facts.priced_by):
        facts.priced_by, facts.price, is_news = fact, fact.price, True
    if fact.stop_price is not None and _is_newer(fact, facts.stop_priced_by):
        facts.stop_priced_by, facts.stop_price, is_news = fact, fact.stop_price, True
    if fact.venue_order_id:
        is_news = _name(facts, fact.venue_order_id, fact.time_ns) or is_news
    if is_news and facts.filled > facts.quantity:
        facts.note(f"filled {facts.filled} of {facts.quantity}: more than was ordered")
    return is_news


def _is_newer(fact: OrderReplaced, known: OrderReplaced | None) -> bool:
    return known is None or _revision_rank(fact) > _revision_rank(known)


def _revision_rank(fact: OrderReplaced) -> tuple[int, int, Decimal, Decimal, Decimal, str, str]:
    """Order replacements; every field counts, so that no two different ones are equal."""
    price, stop = fact.price, fact.stop_price
    return (
        fact.revision,
        fact.time_ns,
        fact.quantity,
        NO_PRICE if price is None else price,
        NO_PRICE if stop is None else stop,
        fact.venue_order_id,
        fact.evidence,
    )


def end(facts: "OrderFacts", fact: OrderEnded) -> bool:
    """Let the end of the highest rank hold."""
    known = facts.end
    if known == fact:
        return False
    if known is not None and known.kind is not fact.kind:
        facts.note(f"ended as {known.kind.value} and as {fact.kind.value}")
    elif fact.kind is END_REJECTED and (facts.is_accepted or facts.filled > ZERO):
        facts.note("rejected although it had been accepted or filled")
    if known is not None and _end_rank(fact) <= _end_rank(known):
        return False
    facts.end = fact
    facts.has_evidence = True
    facts.submit_state = NONE
    return True


def _end_rank(fact: OrderEnded) -> tuple[bool, int, int, str, str]:
    """Order ends: the venue's word first, then the kind that concedes most, then the earliest."""
    weight = 2 if fact.kind is END_CANCELLED else 1 if fact.kind is END_EXPIRED else 0
    return (fact.evidence == BY_VENUE, weight, -fact.time_ns, fact.reason, fact.evidence)


def refuse(facts: "OrderFacts", fact: RequestRefused) -> bool:
    """Note that the venue said no to a request; of a submit, that ends the order."""
    facts.has_requests = True
    if fact.request is SUBMIT:  # a refused submit is a rejection, whatever the venue calls it
        return end(facts, OrderEnded(fact.order_id, END_REJECTED, fact.time_ns, fact.reason))
    if fact.request is CANCEL:
        is_news, facts.is_cancel_refused = not facts.is_cancel_refused, True
    else:
        is_news, facts.is_modify_refused = not facts.is_modify_refused, True
    return is_news


def doubt(facts: "OrderFacts", fact: RequestInDoubt) -> bool:
    """Note that nobody knows whether a request reached the venue."""
    facts.has_requests = True
    if fact.request is SUBMIT:
        is_news, facts.is_submit_doubted = not facts.is_submit_doubted, True
    elif fact.request is CANCEL:
        is_news, facts.is_cancel_doubted = not facts.is_cancel_doubted, True
    else:
        is_news, facts.is_modify_doubted = not facts.is_modify_doubted, True
    return is_news


def _name(facts: "OrderFacts", venue_order_id: str, time_ns: int) -> bool:
    """Keep the venue's ids of this order, the earliest first; tell whether they changed."""
    times, before = facts.venue_ids_ns, facts.venue_order_ids
    known_ns = times.get(venue_order_id)
    if known_ns is not None and known_ns <= time_ns:
        return False
    times[venue_order_id] = time_ns
    if len(times) == 1:
        facts.venue_order_ids = (venue_order_id,)
        return known_ns is None
    facts.venue_order_ids = tuple(sorted(times, key=lambda name: (times[name], name)))
    return facts.venue_order_ids != before
