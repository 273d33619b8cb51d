"""What a venue answers when it is asked how things stand: orders, executions, positions, cash.

Brokers publish these as inputs, asked for or not. The core turns them into order facts and
bookings; what nobody here sent goes to the run `external` (R-26).
"""

from decimal import Decimal

import msgspec

from framework.model.decimals import ZERO
from framework.model.orders import (
    NO_BUCKET,
    Bucket,
    Fee,
    Liquidity,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)


class OrderReport(
    msgspec.Struct, frozen=True, gc=False, tag="order_report", rename={"type": "order_type"}
):
    """One order as the venue has it; `order_id` is the client id it carries, "" if none.

    `status` is ACCEPTED, TRIGGERED, PARTIALLY_FILLED, FILLED, CANCELLED, EXPIRED or REJECTED.
    `filled` is the total so far; executions are reported apart and may come later. `revision` is
    the newest replacement it stands for, None where the venue does not say.
    """

    account: str
    venue_order_id: str
    instrument: str
    side: Side
    quantity: Decimal
    filled: Decimal
    status: OrderStatus
    time_ns: int
    order_id: str = ""
    type: OrderType = OrderType.LIMIT
    price: Decimal | None = None
    stop_price: Decimal | None = None
    average_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    bucket: Bucket = NO_BUCKET
    revision: int | None = None
    reason: str = ""
    tags: tuple[str, ...] = ()


class ExecutionReport(msgspec.Struct, frozen=True, gc=False, tag="execution_report"):
    """One execution as the venue has it now; `order_id` is the client id of its order, "" if none.

    `is_corrected`: the venue changed it since it first told of it. A quantity of zero, which is
    always a correction, says that it was busted. `time_ns` is then when it was changed, so that
    whoever asks for executions since a time before that hears of it.
    """

    account: str
    execution_id: str
    venue_order_id: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    time_ns: int
    order_id: str = ""
    fees: tuple[Fee, ...] = ()
    liquidity: Liquidity = Liquidity.UNKNOWN
    bucket: Bucket = NO_BUCKET
    is_corrected: bool = False

    @property
    def is_correction(self) -> bool:
        """Whether this overrides what was told of the execution before."""
        return self.is_corrected or not self.quantity


class OrderNotFound(msgspec.Struct, frozen=True, gc=False, tag="order_not_found"):
    """The venue answered that it has no such order; an outage or an error is no such answer.

    `in_history`: past orders and executions were looked through as well (R-22).
    """

    account: str
    order_id: str
    time_ns: int
    in_history: bool = False


class PositionReport(msgspec.Struct, frozen=True, gc=False, tag="position_report"):
    """What an account holds of an instrument, signed, over all runs."""

    account: str
    instrument: str
    quantity: Decimal
    time_ns: int
    average_price: Decimal | None = None
    bucket: Bucket = NO_BUCKET


class BalanceReport(msgspec.Struct, frozen=True, gc=False, tag="balance_report"):
    """An account's cash of one currency, what is reserved included."""

    account: str
    currency: str
    total: Decimal
    time_ns: int
    reserved: Decimal = ZERO


class VenueState(msgspec.Struct, frozen=True, gc=False, tag="venue_state"):
    """All answers of one reconciliation of one account; None: that question got no answer.

    A question without an answer is never read as "nothing there" (R-34). `asked_ns` is when the
    first question left, `since_ns` from when on executions were asked for.
    """

    account: str
    asked_ns: int
    time_ns: int
    since_ns: int
    orders: tuple[OrderReport, ...] | None = None
    executions: tuple[ExecutionReport, ...] | None = None
    positions: tuple[PositionReport, ...] | None = None
    balances: tuple[BalanceReport, ...] | None = None
    failures: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every question was answered."""
        return not self.failures and None not in (
            self.orders,
            self.executions,
            self.positions,
            self.balances,
        )


VenueReport = OrderReport | ExecutionReport | OrderNotFound | VenueState
"""What the core takes as an input about a venue's state."""
