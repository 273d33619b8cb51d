"""What the core tells a broker to do, and what callers ask of the core beyond an order."""

from decimal import Decimal

import msgspec

from framework.model.orders import NO_BUCKET, Bucket, OrderIntent


class SubmitOrder(msgspec.Struct, frozen=True, gc=False, tag="submit_order"):
    """Send this order; `order_id` is also the client order id at the venue."""

    order_id: str
    account: str
    intent: OrderIntent
    quantity: Decimal
    time_ns: int
    reduce_only: bool = False


class ModifyOrder(msgspec.Struct, frozen=True, gc=False, tag="modify_order"):
    """Change a working order; None leaves a value as it is. `revision` counts from 1."""

    order_id: str
    account: str
    instrument: str
    revision: int
    time_ns: int
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None


class CancelOrder(msgspec.Struct, frozen=True, gc=False, tag="cancel_order"):
    """Take a working order back."""

    order_id: str
    account: str
    instrument: str
    time_ns: int


VenueCommand = SubmitOrder | ModifyOrder | CancelOrder


class ClosePosition(msgspec.Struct, frozen=True, gc=False, tag="close_position"):
    """Cancel the run's working entries in an instrument and send one reducing order."""

    run: str
    instrument: str
    bucket: Bucket = NO_BUCKET


class CancelAll(msgspec.Struct, frozen=True, gc=False, tag="cancel_all"):
    """Take back a run's working orders, all or those of one instrument."""

    run: str
    instrument: str | None = None


class Flatten(msgspec.Struct, frozen=True, gc=False, tag="flatten"):
    """Cancel everything of a run and close all its positions."""

    run: str


class PauseRun(msgspec.Struct, frozen=True, gc=False, tag="pause_run"):
    """Refuse a run's entries until it is resumed; exits still pass."""

    run: str
    reason: str


class ResumeRun(msgspec.Struct, frozen=True, gc=False, tag="resume_run"):
    """Let a paused run enter again."""

    run: str


Command = VenueCommand | ClosePosition | CancelAll | Flatten | PauseRun | ResumeRun
