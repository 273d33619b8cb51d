"""The core's state as bytes and back: what a start needs besides the end of the log.

A snapshot holds the open orders with everything known about them (and the closed ones that still
decide about others), positions and since when they are held, cash, runs, and of every kind of
record that tells how something stands now the newest one. Other closed orders are not in it: the
log answers for them. It is a
shortcut and nothing more: without one, or with one that cannot be read, the whole log is read.
"""

from collections.abc import Callable
from decimal import Decimal
from hashlib import blake2b

import msgspec

from framework.errors import JournalError
from framework.model.commands import ModifyOrder
from framework.model.instrument import Instrument, InstrumentChanged
from framework.model.orders import Offset, OrderIntent, Percent, RequestState
from framework.model.protection import ProtectionState
from framework.model.records import (
    CoverNoted,
    DayBegan,
    ExitsReplaced,
    GateSet,
    HoldRole,
    JournalOpened,
    Record,
    StrategyState,
)
from framework.model.reports import OrderFact
from framework.model.runs import Run
from framework.orders.external import RecentIds
from framework.orders.kept import KeptOrders
from framework.orders.lifecycle import OrderFacts
from framework.orders.openings import Opening, Openings
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.portfolio.ledger import Ledger
from framework.portfolio.ledger_state import HoldingState, LedgerState
from framework.portfolio.runs import Runs

VERSION = 3  # those before do not say since when positions are held: the log does
NEWEST: dict[type, Callable[[Record], str]] = {
    GateSet: lambda record: getattr(record, "by", ""),
    StrategyState: lambda record: getattr(record, "run", ""),
    ProtectionState: lambda record: getattr(record, "run", ""),
    DayBegan: lambda record: "",
    InstrumentChanged: lambda record: getattr(record, "instrument", ""),
    JournalOpened: lambda record: "",
}
"""Records that tell how something stands: the newest of each key holds (runs are kept apart)."""


class OrderSnapshot(msgspec.Struct, frozen=True):
    """One order with everything known about it."""

    order_id: str
    intent: OrderIntent
    account: str
    facts: OrderFacts
    created_ns: int
    reduce_only: bool
    valuation: Decimal | None
    pending: ModifyOrder | None
    parent: str
    role: HoldRole | None
    extreme: Decimal | None
    is_released: bool
    replaced_exits: ExitsReplaced | None = None
    changed_trail: Offset | Percent | None = None
    noted_cover: CoverNoted | None = None


class RecentId(msgspec.Struct, frozen=True):
    """What the venue calls an order that has ended."""

    account: str
    venue_order_id: str
    order_id: str
    time_ns: int


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """The core's state as of a log position."""

    version: int
    journal_id: str
    position: int
    instruments: tuple[Instrument, ...] = ()
    orders: tuple[OrderSnapshot, ...] = ()
    ledger: LedgerState = LedgerState()
    runs: tuple[Run, ...] = ()
    newest: tuple[Record, ...] = ()
    external_facts: dict[str, tuple[OrderFact, ...]] = {}
    external_dropped_count: int = 0
    recent: tuple[RecentId, ...] = ()
    forgotten_ns: dict[str, int] = {}
    reconciled_ns: dict[str, int] = {}
    openings: tuple[Opening, ...] = ()


class CoreParts(msgspec.Struct):
    """The parts of the core whose state survives a restart.

    `newest` holds the newest record of each key of the kinds in `NEWEST`; `reconciled_ns` is the
    reconciliation's own; `restored_position` is where the log ended at the start (0: it was empty).
    """

    registry: OrderRegistry
    ledger: Ledger
    runs: Runs
    recent: RecentIds
    reconciled_ns: dict[str, int]
    newest: dict[tuple[str, str], Record]
    openings: Openings
    restored_position: int = 0

    def note(self, record: Record) -> None:
        """Keep a record that tells how something stands now; call it for all that is logged."""
        self.openings.note(record)
        key = NEWEST.get(type(record))
        if key is not None:
            self.newest[type(record).__name__, key(record)] = record


def take_snapshot(parts: CoreParts, *, journal_id: str, position: int) -> Snapshot:
    """Return the state as of now; `position` is that of the newest entry it contains."""
    orders = needed_orders(parts.registry, parts.ledger)
    ledger = parts.ledger.state()
    definitions = {order.instrument.id: order.instrument for order in orders}
    for holding in parts.ledger.holdings():
        definitions[holding.instrument.id] = holding.instrument
    registry, recent = parts.registry, parts.recent
    return Snapshot(
        VERSION,
        journal_id,
        position,
        tuple(definitions.values()),
        tuple(_order_snapshot(order) for order in orders),
        ledger,
        tuple(parts.runs),
        tuple(parts.newest.values()),
        {order_id: tuple(facts) for order_id, facts in registry.external_facts.items()},
        registry.external_dropped_count,
        tuple(RecentId(*entry) for entry in recent.entries()),
        dict(recent.forgotten_ns),
        dict(parts.reconciled_ns),
        parts.openings.state(),
    )


def to_bytes(snapshot: Snapshot) -> bytes:
    """Return a snapshot as MessagePack behind a checksum of it."""
    body = msgspec.msgpack.encode(snapshot)
    return blake2b(body, digest_size=16).digest() + body


def from_bytes(state: bytes) -> Snapshot:
    """Return the snapshot in `state`.

    Raises:
        JournalError: it is damaged, or of a version that this build does not read.
    """
    checksum, body = state[:16], state[16:]
    if blake2b(body, digest_size=16).digest() != checksum:
        raise JournalError("the snapshot does not bear out its checksum")
    try:
        snapshot = msgspec.msgpack.decode(body, type=Snapshot)
    except (msgspec.MsgspecError, ArithmeticError) as error:
        raise JournalError(f"the snapshot cannot be read: {error}") from error
    if snapshot.version != VERSION:
        raise JournalError(f"the snapshot is of version {snapshot.version}, not {VERSION}")
    return snapshot


def needed_orders(registry: OrderRegistry, ledger: Ledger) -> list[OrderState]:
    """Return the open orders and the closed ones that still decide about others, oldest first."""
    kept = KeptOrders(registry, ledger)
    return [order for order in registry if not order.is_closed or kept.keeps(order)]


def state_of(parts: CoreParts) -> bytes:
    """Return the state in one canonical form: equal states, equal bytes.

    What differs from one start to the next without meaning is left out: how an order was valued,
    whether an unanswered request had left, positions and purses that never were anything.
    """
    ledger = parts.ledger.state()
    holdings = [one for one in ledger.holdings if one.quantity or one.cost or one.realised]
    purses = [item for item in ledger.purses if item.purse.cash or item.purse.fees]
    orders = sorted(needed_orders(parts.registry, parts.ledger), key=lambda order: order.order_id)
    canonical = (
        [_canonical_order(order) for order in orders],
        sorted(holdings, key=_holding_key),
        sorted(purses, key=lambda item: (item.account, item.run)),
        ledger.seen_bookings,
        ledger.settlements,
        sorted(parts.runs, key=lambda run: run.id),
        [parts.newest[key] for key in sorted(parts.newest)],
        sorted(parts.registry.external_facts.items()),
    )
    return msgspec.msgpack.encode(canonical)


def state_hash(parts: CoreParts) -> str:
    """Return a hash of `state_of`, to compare states by."""
    return blake2b(state_of(parts), digest_size=16).hexdigest()


def _order_snapshot(order: OrderState) -> OrderSnapshot:
    return OrderSnapshot(
        order.order_id,
        order.intent,
        order.account,
        order.facts,
        order.created_ns,
        order.reduce_only,
        order.valuation,
        order.pending,
        order.parent,
        order.role,
        order.extreme,
        order.is_released,
        order.replaced_exits,
        order.changed_trail,
        order.noted_cover,
    )


def _canonical_order(order: OrderState) -> tuple[object, ...]:
    facts = order.facts
    return (
        msgspec.structs.replace(
            order.event(),
            submit_state=_unanswered(facts.submit_state),
            cancel_state=_unanswered(facts.cancel_state),
            modify_state=_unanswered(facts.modify_state),
        ),
        [facts.executions[name] for name in sorted(facts.executions)],
        facts.notional,
        facts.end,
        facts.replaced,
        facts.modify_revision,
        order.pending,
        order.role,
        order.extreme,
        order.is_released,
        order.replaced_exits,
        order.changed_trail,
        order.noted_cover,
    )


def _unanswered(state: RequestState) -> RequestState:
    return RequestState.WAITING if state is RequestState.SENT else state


def _holding_key(holding: HoldingState) -> tuple[str, ...]:
    bucket = holding.bucket
    return (
        holding.account,
        holding.run,
        holding.instrument,
        bucket.product,
        bucket.position_id,
    )
