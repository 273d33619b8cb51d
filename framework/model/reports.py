"""Order facts: what a venue (or our own gate) says happened to an order.

Facts are never refused; an order's status is a function of the set of them, whatever the
order of arrival (`framework/orders/lifecycle.py`). Brokers publish them on the bus.
"""

from decimal import Decimal
from enum import Enum

import msgspec

from framework.model.orders import Fee, Liquidity


class OrderAccepted(msgspec.Struct, frozen=True, gc=False, tag="order_accepted"):
    """The venue has the order."""

    order_id: str
    time_ns: int
    venue_order_id: str = ""


class OrderFilled(msgspec.Struct, frozen=True, gc=False, tag="order_filled"):
    """One execution: `quantity` is of this execution alone."""

    order_id: str
    execution_id: str
    quantity: Decimal
    price: Decimal
    time_ns: int
    fees: tuple[Fee, ...] = ()
    liquidity: Liquidity = Liquidity.UNKNOWN


class OrderTriggered(msgspec.Struct, frozen=True, gc=False, tag="order_triggered"):
    """A stop's condition was met; `evidence` says who judged it: the venue, or our own core."""

    order_id: str
    time_ns: int
    evidence: str = "venue"


class OrderReplaced(msgspec.Struct, frozen=True, gc=False, tag="order_replaced"):
    """The order was changed as asked, by the venue or (`evidence`) in our own core.

    The highest `revision` holds.
    """

    order_id: str
    revision: int
    quantity: Decimal
    time_ns: int
    price: Decimal | None = None
    stop_price: Decimal | None = None
    venue_order_id: str = ""
    evidence: str = "venue"


class EndKind(Enum):
    """How an order ended without being filled."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class OrderEnded(msgspec.Struct, frozen=True, gc=False, tag="order_ended"):
    """The order will not trade any more; `evidence` says who or what tells so."""

    order_id: str
    kind: EndKind
    time_ns: int
    reason: str = ""
    evidence: str = "venue"


class RequestKind(Enum):
    """What we asked the venue to do."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    MODIFY = "modify"


class RequestRefused(msgspec.Struct, frozen=True, gc=False, tag="request_refused"):
    """The venue refused a cancel or modify; the order goes on as it was."""

    order_id: str
    request: RequestKind
    reason: str
    time_ns: int


class RequestInDoubt(msgspec.Struct, frozen=True, gc=False, tag="request_in_doubt"):
    """No answer came: whether the venue acted is unknown until evidence says so."""

    order_id: str
    request: RequestKind
    reason: str
    time_ns: int


class FillCorrection(msgspec.Struct, frozen=True, gc=False, tag="fill_correction"):
    """The venue says that an execution was really of this quantity (zero: busted) and price."""

    order_id: str
    execution_id: str
    quantity: Decimal
    price: Decimal
    time_ns: int
    fees: tuple[Fee, ...] = ()
    reason: str = ""


OrderFact = (
    OrderAccepted
    | OrderFilled
    | OrderTriggered
    | OrderReplaced
    | OrderEnded
    | RequestRefused
    | RequestInDoubt
    | FillCorrection
)
