"""Entries of the order log: what must survive a crash, in the order in which it was decided.

Besides these, the log holds commands, DENIED orders, order facts, venue reports, bookings and
instruments that were found on the way, as they are. Reading the entries from the first (or from a
snapshot) on gives the core's state back.
"""

from decimal import Decimal
from enum import Enum

import msgspec

from framework.model.account import CashBooked, Settled
from framework.model.commands import CancelOrder, ModifyOrder, SubmitOrder
from framework.model.instrument import InstrumentChanged
from framework.model.orders import (
    NO_BUCKET,
    Bucket,
    Exits,
    Offset,
    Order,
    OrderIntent,
    Percent,
)
from framework.model.protection import ProtectionState
from framework.model.reports import OrderFact
from framework.model.runs import Execution, Run
from framework.model.venue_state import ExecutionReport, OrderNotFound, OrderReport, VenueState


class HoldRole(Enum):
    """Why the core keeps an order instead of sending it."""

    ENTRY = "entry"  # a stop or trailing stop the venue lacks, or an order for later
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAIL = "trail"


class HoldOrder(msgspec.Struct, frozen=True, gc=False, tag="hold_order"):
    """The core keeps this order (HELD) until its condition is met; `parent` is its entry's id."""

    order_id: str
    account: str
    intent: OrderIntent
    quantity: Decimal
    time_ns: int
    role: HoldRole = HoldRole.ENTRY
    parent: str = ""


class OrderTrailed(msgspec.Struct, frozen=True, gc=False, tag="order_trailed"):
    """A held trailing stop moved: the best price since its activation, and the stop from it.

    With `trail` it was given another distance, before its activation perhaps: then neither of the
    two is known.
    """

    order_id: str
    extreme: Decimal | None
    stop_price: Decimal | None
    time_ns: int
    trail: Offset | Percent | None = None


TO_MAKE = -1
TO_PRICE = -2


class ExitsReplaced(msgspec.Struct, frozen=True, gc=False, tag="exits_replaced"):
    """An entry has other exits from now on; without any of them it has none.

    `legs` are its exits that are to follow, each with the number of its last change before this
    one, so that it can be told which have done so. One that had ended is to be made again:
    `TO_MAKE` at once, `TO_PRICE` for what fills later, as nothing was held.
    """

    order_id: str
    exits: Exits
    time_ns: int
    legs: tuple[tuple[str, int], ...] = ()


class CoverNoted(msgspec.Struct, frozen=True, gc=False, tag="cover_noted"):
    """How much of an entry's fills its exits need not cover, while no exit's size shows it.

    It holds as long as `legs`, each with the number of its last change, are the newest exits.
    """

    order_id: str
    written_off: Decimal
    time_ns: int
    legs: tuple[tuple[str, int], ...]


class AdoptOrder(msgspec.Struct, frozen=True, gc=False, tag="adopt_order"):
    """An order that nobody here sent is kept from now on, in the run of its intent."""

    order_id: str
    account: str
    intent: OrderIntent
    quantity: Decimal
    time_ns: int
    venue_order_ids: tuple[str, ...] = ()


class IntentDenied(msgspec.Struct, frozen=True, gc=False, tag="intent_denied"):
    """What was asked for with the DENIED order that follows, where it does not show all of it."""

    order_id: str
    intent: OrderIntent
    time_ns: int


class PositionAssigned(msgspec.Struct, frozen=True, gc=False, tag="position_assigned"):
    """A person moved a signed quantity at a price from one run of an account to another."""

    account: str
    instrument: str
    from_run: str
    to_run: str
    quantity: Decimal
    price: Decimal
    time_ns: int
    assignment_id: str
    bucket: Bucket = NO_BUCKET


class GateSet(msgspec.Struct, frozen=True, gc=False, tag="gate_set"):
    """The gate's state was changed: `active`, `reducing` or `halted`; it holds over restarts."""

    state: str
    reason: str
    by: str
    time_ns: int


class DayBegan(msgspec.Struct, frozen=True, gc=False, tag="day_began"):
    """The day of the daily loss began: profits by (account, run, currency); run "": all of them."""

    ends_ns: int
    profits: tuple[tuple[tuple[str, str, str], Decimal], ...]
    time_ns: int


class OperatorAction(msgspec.Struct, frozen=True, gc=False, tag="operator_action"):
    """Who asked for what (T-05); `outcome` is "" when it is taken."""

    request_id: str
    by: str
    verb: str
    request: str
    time_ns: int
    outcome: str = ""


class StrategyState(msgspec.Struct, frozen=True, gc=False, tag="strategy_state"):
    """What a strategy asked to keep, and the position up to which it has seen the log."""

    run: str
    session: int
    cursor: int
    state: bytes
    time_ns: int


class AlertRaised(msgspec.Struct, frozen=True, gc=False, tag="alert_raised"):
    """Something a person should know; `count` is how often it was raised under this key."""

    name: str
    level: str
    message: str
    time_ns: int
    key: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    count: int = 1


class AccountPlace(msgspec.Struct, frozen=True, gc=False):
    """What an account of the configuration is: where, in which money, how really it trades."""

    account: str
    venue: str
    adapter: str
    currency: str
    execution: Execution


class JournalOpened(msgspec.Struct, frozen=True, gc=False, tag="journal_opened"):
    """A process start: who wrote what follows, with which build and configuration (R-67).

    `places` has every account that this journal has ever had, those of today as they are today.
    """

    journal_id: str
    epoch: int
    time_ns: int
    build: str = ""
    mode: str = ""
    accounts: tuple[str, ...] = ()
    config_hash: str = ""
    seed: int = 0
    python: str = ""
    places: tuple[AccountPlace, ...] = ()


class DataFile(msgspec.Struct, frozen=True, gc=False):
    """One input file of recorded data, as it was when it was played."""

    path: str
    byte_count: int
    sha256: str


class DataPlayed(msgspec.Struct, frozen=True, gc=False, tag="data_played"):
    """The recorded or generated data that a backtest plays to a venue: what stands in for inputs.

    Generated data is a function of `settings_hash` and `seed`; `files` are empty then. The range is
    that of all venues together: from the first event to the last, None until the end is known.
    """

    venue: str
    adapter: str
    settings_hash: str
    seed: int
    files: tuple[DataFile, ...]
    time_ns: int
    first_ns: int | None = None
    last_ns: int | None = None
    event_count: int = 0


class StepFailed(msgspec.Struct, frozen=True, gc=False, tag="step_failed"):
    """A step of the core failed, a bug of ours: the engine halted on this event."""

    event: str
    error: str
    time_ns: int


Record = (
    SubmitOrder
    | ModifyOrder
    | CancelOrder
    | Order
    | OrderFact
    | CashBooked
    | Settled
    | HoldOrder
    | OrderTrailed
    | ExitsReplaced
    | CoverNoted
    | AdoptOrder
    | IntentDenied
    | PositionAssigned
    | Run
    | GateSet
    | StrategyState
    | DayBegan
    | OperatorAction
    | InstrumentChanged
    | ProtectionState
    | AlertRaised
    | JournalOpened
    | DataPlayed
    | StepFailed
    | OrderReport
    | ExecutionReport
    | OrderNotFound
    | VenueState
)
"""One entry of the order log."""


def order_of(record: Record) -> str:
    """Return the id of the order a record is about, "" for any other record."""
    return getattr(record, "order_id", "")
