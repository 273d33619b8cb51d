"""What a venue's report says about an order of ours, as order facts; repeats say nothing new.

A fill that the venue counts but does not tell of is made up only when executions were asked for
and do not explain it. Its id is a pure function of (account, venue order id, cumulative filled);
real executions that come later replace it piece by piece: it is corrected down by what they bring.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import blake2b

from framework.model.decimals import CONTEXT, ZERO, add, divide, multiply, subtract
from framework.model.identity import EXTERNAL_RUN
from framework.model.orders import OrderStatus, RequestState
from framework.model.reports import (
    EndKind,
    FillCorrection,
    OrderAccepted,
    OrderEnded,
    OrderFact,
    OrderFilled,
    OrderReplaced,
    OrderTriggered,
    RequestKind,
    RequestRefused,
)
from framework.model.venue_state import ExecutionReport, OrderReport
from framework.orders.executions import Execution
from framework.orders.order_state import OrderState

NONE = RequestState.NONE
MADE_UP = "made-up:"
PRICE_STEP = Decimal("1e-12")
ENDS = {
    OrderStatus.CANCELLED: EndKind.CANCELLED,
    OrderStatus.EXPIRED: EndKind.EXPIRED,
    OrderStatus.REJECTED: EndKind.REJECTED,
}
REPORTED = frozenset(
    {
        OrderStatus.ACCEPTED,
        OrderStatus.TRIGGERED,
        OrderStatus.PARTIALLY_FILLED,
        OrderStatus.FILLED,
        *ENDS,
    }
)


def facts_from(report: OrderReport | ExecutionReport, order: OrderState) -> list[OrderFact]:
    """Return what is news in a report about `order`; the same report again gives []."""
    if isinstance(report, ExecutionReport):
        return _from_execution(report, order)
    return _from_order(report, order)


def flaw(report: OrderReport | ExecutionReport) -> str:
    """Return why a report makes no sense and is no evidence of anything, "" where it does."""
    if isinstance(report, ExecutionReport):
        if not report.quantity.is_finite() or report.quantity < ZERO:
            return f"quantity {report.quantity} is none of an execution"
        if not report.execution_id:
            return "an execution without an id"
        return "" if report.price.is_finite() else f"price {report.price} is not finite"
    if not report.quantity.is_finite() or report.quantity <= ZERO:
        return f"quantity {report.quantity} is not positive"
    if not report.filled.is_finite() or report.filled < ZERO:
        return f"filled {report.filled} is not a quantity"
    if report.status not in REPORTED:
        return f"status {report.status.value} is none that a venue reports"
    for price in (report.price, report.stop_price, report.average_price):
        if price is not None and not price.is_finite():
            return f"price {price} is not finite"
    return ""


def mismatch(report: OrderReport | ExecutionReport, order: OrderState) -> str:
    """Return how a report contradicts the order whose id it carries, "" where it does not."""
    ours = (order.account, order.intent.instrument, order.intent.side)
    theirs = (report.account, report.instrument, report.side)
    if ours == theirs:
        return ""
    return " ".join(f"{mine} is {other}" for mine, other in zip(ours, theirs, strict=True))


def naming(report: OrderReport | ExecutionReport, order: OrderState) -> list[OrderFact]:
    """Return the acceptance that a report proves, if that or the venue's id is news."""
    facts, name = order.facts, report.venue_order_id
    if facts.is_accepted and (not name or name in facts.venue_ids_ns):
        return []
    return [OrderAccepted(order.order_id, report.time_ns, name)]


def made_up_id(account: str, venue_order_id: str, filled: Decimal) -> str:
    """Return the id of the execution made up when the venue counts `filled` in all."""
    text = f"{account}\0{venue_order_id}\0{filled.normalize(CONTEXT):f}"
    return MADE_UP + blake2b(text.encode(), digest_size=10).hexdigest()


def missing_fill(report: OrderReport, order: OrderState) -> Decimal:
    """Return how much more the venue counts as filled than we know of; negative: less."""
    return subtract(report.filled, order.facts.filled)


def make_up(report: OrderReport, order: OrderState) -> list[OrderFact] | None:
    """Return what brings an order's filled quantity to the venue's; None: no price is known.

    Missing quantity becomes a made-up fill at the price that explains the venue's average. Where
    we count more than the venue, only fills that were made up are taken back.
    """
    missing = missing_fill(report, order)
    if missing <= ZERO:
        return list(_take_back(order, subtract(ZERO, missing)))
    price = _missing_price(report, order, missing)
    if price is None:
        return None
    execution_id = made_up_id(report.account, report.venue_order_id, report.filled)
    known = order.facts.executions.get(execution_id)
    if known is not None:  # it had been taken back
        quantity = add(known.quantity, missing)
        return [_correction(order, known, quantity, report.time_ns, "the venue still counts it")]
    return [OrderFilled(order.order_id, execution_id, missing, price, report.time_ns)]


def replace_made_up(order: OrderState, fill: OrderFilled) -> list[OrderFact]:
    """Return the corrections of made-up fills that a real one stands for; ask once, after it."""
    if fill.execution_id.startswith(MADE_UP):
        return []
    return list(_take_back(order, fill.quantity, since_ns=fill.time_ns))


def _from_order(report: OrderReport, order: OrderState) -> list[OrderFact]:
    facts = order.facts
    found: list[OrderFact] = []
    kind = ENDS.get(report.status)
    if kind is not EndKind.REJECTED:
        found += naming(report, order)
        if report.status is OrderStatus.TRIGGERED and not facts.is_triggered:
            found.append(OrderTriggered(order.order_id, report.time_ns))
    if kind is None:
        found += _replacement(report, order) or _refusal(report, order)
    elif facts.end is None or facts.end.kind is not kind or facts.end.evidence != "venue":
        found.append(OrderEnded(order.order_id, kind, report.time_ns, report.reason))
    return found


def _refusal(report: OrderReport, order: OrderState) -> list[OrderFact]:
    """Return that a replacement came too late: what is filled takes none any more."""
    if report.status is not OrderStatus.FILLED or order.facts.modify_state is NONE:
        return []
    reason = "the order was filled before"
    return [RequestRefused(order.order_id, RequestKind.MODIFY, reason, report.time_ns)]


def _replacement(report: OrderReport, order: OrderState) -> list[OrderFact]:
    """Return the replacement that the venue's values show: ours, or one nobody here asked for."""
    facts, pending = order.facts, order.pending
    shown = (report.quantity, report.price, report.stop_price)
    if pending is not None and facts.modify_state is not NONE:
        wanted = (
            facts.quantity if pending.quantity is None else pending.quantity,
            facts.price if pending.price is None else pending.price,
            facts.stop_price if pending.stop_price is None else pending.stop_price,
        )
        is_done = report.revision is not None and report.revision >= pending.revision
        if not is_done and (report.revision is not None or _differ(shown, wanted)):
            return []  # not yet, or not at all: asked about again until it is certain
        return [_replaced(report, order, pending.revision)]
    if not _differ(shown, (facts.quantity, facts.price, facts.stop_price)):
        return []
    known = facts.replaced
    if known is not None and report.time_ns <= known.time_ns:
        return []  # how it was before
    revision = max(facts.modify_revision, 0 if known is None else known.revision)
    return [_replaced(report, order, revision)]


def _differ(
    shown: tuple[Decimal, Decimal | None, Decimal | None],
    ours: tuple[Decimal, Decimal | None, Decimal | None],
) -> bool:
    """Compare quantity and prices; a price that either side does not state is no difference."""
    return any(
        one is not None and other is not None and one != other
        for one, other in zip(shown, ours, strict=True)
    )


def _replaced(report: OrderReport, order: OrderState, revision: int) -> OrderReplaced:
    facts = order.facts
    return OrderReplaced(
        order.order_id,
        revision,
        report.quantity,
        report.time_ns,
        None if facts.price is None else report.price,
        None if facts.stop_price is None else report.stop_price,
        report.venue_order_id,
    )


def _from_execution(report: ExecutionReport, order: OrderState) -> list[OrderFact]:
    known = order.facts.executions.get(report.execution_id)
    if report.is_correction:
        return _from_correction(report, order, known)
    fill = OrderFilled(
        order.order_id,
        report.execution_id,
        report.quantity,
        report.price,
        report.time_ns,
        report.fees,
        report.liquidity,
    )
    if known is not None and not _says_more(fill, known):
        return []
    found = naming(report, order)
    if known is None:
        found += _widening(order, fill)
    return [*found, fill]


def _from_correction(
    report: ExecutionReport, order: OrderState, known: Execution | None
) -> list[OrderFact]:
    """Return the correction that a report stands for, if it is not known or older than ours."""
    if isinstance(known, FillCorrection) and (
        known.time_ns >= report.time_ns
        or (known.quantity, known.price) == (report.quantity, report.price)
    ):
        return []
    reason = "corrected by the venue" if report.quantity else "busted by the venue"
    correction = FillCorrection(
        order.order_id,
        report.execution_id,
        report.quantity,
        report.price,
        report.time_ns,
        report.fees,
        reason,
    )
    return [*naming(report, order), correction]


def _says_more(fill: OrderFilled, known: Execution) -> bool:
    """Compare two statements about one execution; pushed and polled ones may differ in time."""
    if isinstance(known, FillCorrection):
        return False
    if (fill.quantity, fill.price) != (known.quantity, known.price):
        return True
    return bool(fill.fees) and not known.fees


def _widening(order: OrderState, fill: OrderFilled) -> list[OrderFact]:
    """Widen an order of others to what it turns out to be: its size was known from fills alone."""
    facts = order.facts
    total = add(facts.filled, fill.quantity)
    if order.intent.run != EXTERNAL_RUN or total <= facts.quantity:
        return []
    known = facts.replaced
    time_ns = fill.time_ns if known is None else max(fill.time_ns, known.time_ns + 1)
    revision = 0 if known is None else known.revision
    return [OrderReplaced(order.order_id, revision, total, time_ns)]


def _take_back(
    order: OrderState, quantity: Decimal, *, since_ns: int | None = None
) -> list[FillCorrection]:
    """Lower made-up fills by up to `quantity`, the newest first; none made up before `since_ns`."""
    made_up = [
        known
        for known in order.facts.executions.values()
        if known.execution_id.startswith(MADE_UP) and known.quantity > ZERO
    ]
    found = []
    for known in sorted(made_up, key=lambda one: (one.time_ns, one.execution_id), reverse=True):
        taken = min(quantity, known.quantity)
        if taken > ZERO and (since_ns is None or known.time_ns >= since_ns):
            left = subtract(known.quantity, taken)
            found.append(_correction(order, known, left, 0, "explained by real executions"))
            quantity = subtract(quantity, taken)
    return found


def _correction(
    order: OrderState, known: Execution, quantity: Decimal, time_ns: int, reason: str
) -> FillCorrection:
    # Later than what it corrects, as the latest of two corrections holds, but hardly: up to then
    # a made-up fill stands for real ones.
    time_ns = max(time_ns, known.time_ns + 1)
    return FillCorrection(
        order.order_id, known.execution_id, quantity, known.price, time_ns, reason=reason
    )


def _missing_price(report: OrderReport, order: OrderState, missing: Decimal) -> Decimal | None:
    facts = order.facts
    if report.average_price is not None:
        value = subtract(multiply(report.average_price, report.filled), facts.notional)
        price = divide(value, missing).quantize(PRICE_STEP, ROUND_HALF_EVEN, CONTEXT)
        # Rounded averages can leave nonsense for a small rest.
        return price if price > ZERO else report.average_price
    for candidate in (report.price, facts.average_price, facts.price, order.valuation):
        if candidate is not None:
            return candidate
    return None
