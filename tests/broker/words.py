"""The simulator's words in the framework's: rows to facts and reports, commands to requests."""

from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder, VenueCommand
from framework.model.decimals import ZERO
from framework.model.identity import instrument_id, symbol_of
from framework.model.orders import Fee, OrderStatus, OrderType, Side
from framework.model.reports import (
    EndKind,
    FillCorrection,
    OrderAccepted,
    OrderEnded,
    OrderFact,
    OrderFilled,
    OrderReplaced,
    RequestInDoubt,
    RequestKind,
    RequestRefused,
)
from framework.model.venue_state import ExecutionReport, OrderReport
from tests.broker import protocol as wire

STATUSES = {
    "filled": OrderStatus.FILLED,
    "cancelled": OrderStatus.CANCELLED,
    "rejected": OrderStatus.REJECTED,
}


def request_of(command: VenueCommand, number: int) -> wire.Command:
    """Return the request that a command becomes."""
    if isinstance(command, CancelOrder):
        return wire.Cancel(number, command.order_id)
    if isinstance(command, ModifyOrder):
        return wire.Modify(
            number,
            command.order_id,
            command.revision,
            command.quantity,
            command.price,
            command.stop_price,
        )
    intent = command.intent
    return wire.Submit(
        number,
        command.order_id,
        symbol_of(intent.instrument),
        intent.side.value,
        intent.type.value,
        command.quantity,
        intent.price,
        intent.stop_price,
        intent.time_in_force.value,
        command.reduce_only,
    )


def kind_of(command: VenueCommand) -> RequestKind:
    """Return what kind of request a command is."""
    if isinstance(command, SubmitOrder):
        return RequestKind.SUBMIT
    return RequestKind.CANCEL if isinstance(command, CancelOrder) else RequestKind.MODIFY


def unsent(command: VenueCommand, now_ns: int) -> OrderFact:
    """Return what holds when not a byte of a command has left: it is certain, not in doubt."""
    reason = "not connected: nothing was sent"
    if isinstance(command, SubmitOrder):
        return OrderEnded(command.order_id, EndKind.REJECTED, now_ns, reason, "core")
    return RequestRefused(command.order_id, kind_of(command), reason, now_ns)


def in_doubt(command: VenueCommand, reason: str, now_ns: int) -> RequestInDoubt:
    """Return what holds when no answer came."""
    return RequestInDoubt(command.order_id, kind_of(command), reason, now_ns)


def refused(command: VenueCommand, answer: wire.Refused) -> OrderFact:
    """Return what a refusal means."""
    if isinstance(command, SubmitOrder):
        return OrderEnded(command.order_id, EndKind.REJECTED, answer.time_ns, answer.reason)
    return RequestRefused(command.order_id, kind_of(command), answer.reason, answer.time_ns)


def facts_of(row: wire.OrderRow, *, known_revision: int) -> list[OrderFact]:
    """Return what an order's row says of an order of ours; a revision is told once."""
    order_id, time_ns = row.client_id, row.time_ns
    if row.status == "rejected":
        return [OrderEnded(order_id, EndKind.REJECTED, time_ns, row.reason)]
    facts: list[OrderFact] = [OrderAccepted(order_id, time_ns, row.venue_order_id)]
    if row.revision > known_revision:
        facts.append(
            OrderReplaced(
                order_id,
                row.revision,
                row.quantity,
                time_ns,
                row.price,
                row.stop_price,
                row.venue_order_id,
            )
        )
    if row.status == "cancelled":
        facts.append(OrderEnded(order_id, EndKind.CANCELLED, time_ns, row.reason))
    return facts


def execution_fact(row: wire.ExecutionRow) -> OrderFilled | FillCorrection:
    """Return what an execution of an order of ours means."""
    fees = (Fee(row.currency, row.fee),)
    order_id, number = row.client_id, row.execution_id
    if row.is_corrected:
        reason = "corrected" if row.quantity else "bust"
        return FillCorrection(order_id, number, row.quantity, row.price, row.time_ns, fees, reason)
    return OrderFilled(order_id, number, row.quantity, row.price, row.time_ns, fees)


def order_report(row: wire.OrderRow, account: str, venue: str) -> OrderReport:
    """Return an order's row as a report."""
    working = OrderStatus.PARTIALLY_FILLED if row.filled > ZERO else OrderStatus.ACCEPTED
    return OrderReport(
        account=account,
        venue_order_id=row.venue_order_id,
        instrument=instrument_id(venue, row.symbol),
        side=Side(row.side),
        quantity=row.quantity,
        filled=row.filled,
        status=STATUSES.get(row.status, working),
        time_ns=row.time_ns,
        order_id=row.client_id,
        type=OrderType(row.type),
        price=row.price,
        stop_price=row.stop_price,
        revision=row.revision,
        reason=row.reason,
    )


def execution_report(row: wire.ExecutionRow, account: str, venue: str) -> ExecutionReport:
    """Return an execution's row as a report; a busted one has the quantity zero."""
    return ExecutionReport(
        account=account,
        execution_id=row.execution_id,
        venue_order_id=row.venue_order_id,
        instrument=instrument_id(venue, row.symbol),
        side=Side(row.side),
        quantity=row.quantity,
        price=row.price,
        time_ns=row.time_ns,
        order_id=row.client_id,
        fees=(Fee(row.currency, row.fee),),
        is_corrected=row.is_corrected,
    )
