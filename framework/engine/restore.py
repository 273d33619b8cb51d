"""The log read back: snapshot and tail, or all of it, to the state that was there.

Every start is a crash recovery. Records are applied one by one as the desk applied them, without
sending, telling or writing anything down. Afterwards nobody knows whether the requests without an
answer left: `unanswered` returns the doubt about them, to be recorded like any fact. What was never
durable never left, so it needs no thought.

What is said of one order, long closed or not, is read by `archive.py`.
"""

from collections import deque
from collections.abc import Callable

import msgspec
import structlog

from framework.clock.clock import VirtualClock
from framework.engine.archive import (
    FACTS,
    MAKES_ORDER,
    REQUESTS,
    Archive,
    Definitions,
    advance,
    make_order,
)
from framework.engine.snapshots import (
    NEWEST,
    CoreParts,
    OrderSnapshot,
    Snapshot,
    from_bytes,
    needed_orders,
)
from framework.errors import JournalError, UnknownInstrument
from framework.interfaces import OrderLog
from framework.model.account import CashBooked, Settled
from framework.model.commands import SubmitOrder
from framework.model.identity import OrderIds
from framework.model.instrument import Instrument, InstrumentChanged
from framework.model.orders import RequestState, Side
from framework.model.records import (
    AdoptOrder,
    HoldOrder,
    PositionAssigned,
    Record,
    order_of,
)
from framework.model.reports import (
    OrderFact,
    RequestInDoubt,
    RequestKind,
)
from framework.model.runs import Run
from framework.model.venue_state import VenueState
from framework.orders.application import FactApplication
from framework.orders.kept import KeptOrders
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderRegistry
from framework.portfolio.holding import is_paid_in_full

log = structlog.get_logger("restore")

OPEN_REQUESTS = frozenset({RequestState.WAITING, RequestState.SENT})
KEPT_CLOSED = 10_000  # while reading: a late fact about an older one reads its entries again


class Restored(msgspec.Struct, frozen=True):
    """What was read: the snapshot's position (0: none), the last entry, and what was wrong."""

    snapshot_position: int
    position: int
    entry_count: int
    notes: tuple[str, ...] = ()


class Restoring:
    """Applies records to empty parts."""

    def __init__(
        self,
        parts: CoreParts,
        archive: Archive,
        instrument: Definitions,
        instruments: dict[str, Instrument],
    ) -> None:
        self._parts = parts
        self._archive = archive
        self._instrument = instrument
        self._instruments = instruments
        self._registry = parts.registry
        self._application = FactApplication(
            registry=parts.registry,
            ledger=parts.ledger,
            clock=VirtualClock(),
            emit=_nothing,
            wants=_nobody,
            record=_nothing,
        )
        self._application.after_change += [parts.openings.after_change, self._after_change]
        self._closed: deque[str] = deque()
        self._kept = KeptOrders(parts.registry, parts.ledger)
        self._steps: dict[type, Callable[..., object]] = {
            **dict.fromkeys(FACTS, self._application.apply),
            **dict.fromkeys((CashBooked, Settled), self._book),
            **dict.fromkeys(MAKES_ORDER, self._make),
            **dict.fromkeys(REQUESTS, self._advance),
            **dict.fromkeys(NEWEST, parts.note),
            InstrumentChanged: self._found,
            PositionAssigned: self._assign,
            Run: parts.runs.restore,
            VenueState: self._reconciled,
        }
        self._of_known = frozenset((*FACTS, *REQUESTS))  # nothing is in the log before an order is

    def load(self, snapshot: Snapshot) -> None:
        """Take a snapshot over."""
        parts = self._parts
        parts.ledger.load_state(snapshot.ledger)
        parts.openings.load_state(snapshot.openings, self._instruments)
        for saved in snapshot.orders:
            self._load_order(saved)
        for run in snapshot.runs:
            parts.runs.restore(run)
        for record in snapshot.newest:
            parts.note(record)
            if isinstance(record, InstrumentChanged):
                self._found(record)
        for order_id in snapshot.external_facts:
            for fact in snapshot.external_facts[order_id]:
                self._registry.keep_external(fact)
        self._registry.external_dropped_count = snapshot.external_dropped_count
        parts.recent.forgotten_ns.update(snapshot.forgotten_ns)
        for entry in snapshot.recent:
            parts.recent.remember(
                entry.account, entry.venue_order_id, entry.order_id, entry.time_ns
            )
        parts.reconciled_ns.update(snapshot.reconciled_ns)

    def apply(self, position: int, record: Record) -> None:
        """Apply one record; what tells of no state is passed over.

        Raises:
            JournalError: it is about an instrument that no venue here has.
        """
        kind = record.__class__
        step = self._steps.get(kind)
        if step is None:
            return
        self._archive.before = position
        try:
            if kind in self._of_known:
                self._know(order_of(record))
            step(record)
        except UnknownInstrument as error:
            raise JournalError(f"entry {position} of the journal: {error}") from error
        if len(self._closed) > KEPT_CLOSED:
            self._release(self._closed.popleft())

    def finish(self) -> None:
        """Let closed orders go that nothing hangs on; the archive answers for them from now on."""
        self._archive.before = None
        needed = {order.order_id for order in needed_orders(self._registry, self._parts.ledger)}
        for order in list(self._registry):
            if order.order_id not in needed:
                self._registry.release(order.order_id)

    def _release(self, order_id: str) -> None:
        order = self._registry.get(order_id)
        if order is None:
            return
        if self._kept.keeps(order):
            self._closed.append(order_id)
        elif self._registry.release(order_id):
            self._kept.forget(order)

    def _after_change(self, order: OrderState, _fact: OrderFact | None) -> None:
        self._kept.take_in(order)  # also one that came back
        if order.facts.is_closed:
            self._parts.recent.close(order)
            self._closed.append(order.order_id)

    def _make(self, record: SubmitOrder | HoldOrder | AdoptOrder) -> None:
        known = self._registry.get(record.order_id)
        if known is not None:
            if isinstance(record, AdoptOrder):  # given to another run
                self._registry.reassign(known, record.intent)
            else:  # the core kept it until now
                self._advance(record)
            return
        order = make_order(self._registry, record, self._instrument(record.intent.instrument))
        self._registry.add(order)
        self._kept.take_in(order)
        if isinstance(record, AdoptOrder):
            self._application.apply_kept(order)
        elif order.parent:  # an exit needs its entry, long closed or not
            self._know(order.parent)

    def _know(self, order_id: str) -> None:
        """Bring an order back that has left memory, as it was before this record."""
        if order_id and order_id not in self._registry.orders:
            self._registry.find(order_id)

    def _book(self, record: CashBooked | Settled) -> None:
        self._application.apply(record)
        self._parts.openings.note(record)
        self._parts.openings.catch_up()

    def _assign(self, record: PositionAssigned) -> None:
        self._parts.ledger.assign(record)
        self._parts.openings.note(record)
        self._parts.openings.catch_up()

    def _advance(self, record: Record) -> None:
        order = self._registry.get(order_of(record))
        if order is not None:
            advance(order, record)
            self._registry.track(order)

    def _found(self, record: InstrumentChanged) -> None:
        """Know an instrument that no venue listed at its start; what one lists now holds."""
        self._parts.note(record)
        self._instruments.setdefault(record.instrument, record.definition)

    def _reconciled(self, record: VenueState) -> None:
        """Take a mark: everything before it is known."""
        if not record.failures:
            self._parts.reconciled_ns[record.account] = record.asked_ns

    def _load_order(self, saved: OrderSnapshot) -> None:
        intent, account = saved.intent, saved.account
        instrument = self._instrument(intent.instrument)
        order = OrderState(
            saved.order_id,
            intent,
            account,
            instrument,
            saved.facts,
            self._registry.working(intent.run, intent.instrument),
            saved.created_ns,
            intent.side is Side.BUY,
            self._registry.reserved_cash(account),
            is_paid_in_full(instrument),
            saved.reduce_only,
            saved.valuation,
            pending=saved.pending,
            parent=saved.parent,
            role=saved.role,
            extreme=saved.extreme,
            is_released=saved.is_released,
            replaced_exits=saved.replaced_exits,
            changed_trail=saved.changed_trail,
            noted_cover=saved.noted_cover,
        )
        self._registry.add(order)
        self._kept.take_in(order)
        for name in saved.facts.venue_order_ids:
            self._registry.name(order, name)


def restore(
    order_log: OrderLog, parts: CoreParts, *, ids: OrderIds, instruments: dict[str, Instrument]
) -> Restored:
    """Read snapshot and log into empty parts, and let their registry ask the log from now on.

    `instruments` are the definitions that the parts use; what only snapshot or log know is added.

    Raises:
        JournalError: the log names an instrument that neither a venue nor the snapshot defines.
    """

    def define(name: str) -> Instrument:
        found = instruments.get(name)
        if found is None:
            raise UnknownInstrument(name)
        return found

    notes: list[str] = []
    archive = Archive(order_log, ids, define)
    archive.attach(parts.registry)
    restoring = Restoring(parts, archive, define, instruments)
    snapshot = _usable_snapshot(order_log, notes)
    after = 0
    if snapshot is not None:
        after = snapshot.position
        for known in snapshot.instruments:
            instruments.setdefault(known.id, known)
        restoring.load(snapshot)
    position, count = after, 0
    for position, record in order_log.read(after):
        restoring.apply(position, record)
        count += 1
    restoring.finish()
    parts.restored_position = position
    return Restored(after, position, count, tuple(notes))


def unanswered(registry: OrderRegistry, now_ns: int) -> list[OrderFact]:
    """Return the doubt about every request that has no answer: nobody knows whether it left."""
    found: list[OrderFact] = []
    for order in registry:
        facts = order.facts
        if facts.is_closed:
            continue
        for kind, state in (
            (RequestKind.SUBMIT, facts.submit_state),
            (RequestKind.CANCEL, facts.cancel_state),
            (RequestKind.MODIFY, facts.modify_state),
        ):
            if state in OPEN_REQUESTS:
                found.append(RequestInDoubt(order.order_id, kind, "the process ended", now_ns))
    return found


def _usable_snapshot(order_log: OrderLog, notes: list[str]) -> Snapshot | None:
    """Return the newest snapshot, or None with a note why there is none to be used."""
    newest = order_log.newest_snapshot()
    if newest is None:
        return None
    try:
        snapshot = from_bytes(newest[1])
        if snapshot.journal_id != order_log.journal_id:
            raise JournalError(f"the snapshot is of journal {snapshot.journal_id!r}")
        if snapshot.position > order_log.position:
            raise JournalError(f"the snapshot is ahead of the log, which ends at {newest[0]}")
    except JournalError as error:
        notes.append(f"{error}: the whole log was read instead")
        log.warning("snapshot_unusable", reason=str(error))
        return None
    return snapshot


def _nothing(_: object) -> None:
    """Tell nobody and write nothing down."""


def _nobody(_kind: type, _key: str) -> bool:
    return False
