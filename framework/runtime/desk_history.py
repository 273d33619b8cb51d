"""Closed orders of earlier starts, for the desk's lists: read from the log, back from its end.

A start keeps only the orders that decide about something. Nobody waits at a start for the rest: it
is read when somebody first asks for a list, a few entries in each turn of the loop.
"""

from contextlib import suppress
from operator import attrgetter

import anyio
import structlog

from framework.engine.archive import FACTS, MAKES_ORDER, REQUESTS
from framework.errors import JournalError, UnknownInstrument
from framework.interfaces import OrderLog
from framework.model.commands import SubmitOrder
from framework.model.orders import Order, OrderIntent, OrderSession, OrderType
from framework.model.records import HoldOrder, IntentDenied, Record, order_of
from framework.orders.cover import Bracket
from framework.orders.eviction import KEPT
from framework.orders.order_state import OrderState
from framework.orders.registry import OrderArchive, OrderRegistry

_created = attrgetter("created_ns")
log = structlog.get_logger("desk")

PAGE = 128  # entries of one turn: about a millisecond
LOOK_UPS = 8  # orders looked up one by one, of one turn
TELLING = frozenset((*FACTS, *MAKES_ORDER, *REQUESTS, Order, IntentDenied))
SENT_AT_ONCE = (OrderType.MARKET, OrderType.LIMIT)

Entry = tuple[int, Record]


class PastOrders:
    """The newest closed orders that were not in memory at the start, as far as there is room.

    With the closed orders in memory they are `kept`: as many as there would be without a restart.
    """

    def __init__(
        self, registry: OrderRegistry, order_log: OrderLog, end: int, *, kept: int = KEPT
    ) -> None:
        """`end` is the last entry of earlier starts."""
        self._registry = registry
        self._log = order_log
        self._kept = kept
        self._unread = end  # what follows has been looked at
        self._wanted = 0
        # In order of the last entry, the newest first; None: not all of its entries are there yet.
        self._states: dict[str, OrderState | None] = {}
        self._entries: dict[str, list[Entry]] = {}  # of those, newest first
        self._positions: dict[str, int] = {}  # of the first entry
        self._foreign: set[str] = set()  # seen while reading, and none of ours
        self._legs: dict[str, list[OrderState]] = {}  # exits by their entry, oldest first
        self._rows: list[OrderState] = []  # past ones and `shared` ones, in order of their making
        self._shared: set[str] = set()  # in memory, and made in the same instant as a past one
        self._fault = ""
        self._lock = anyio.Lock()
        self.is_read = end == 0

    async def read(self) -> None:
        """Return once all is read; who asks meanwhile waits, and goes on where another gave up."""
        if self.is_read:
            return
        async with self._lock:
            if not self._states:
                self._wanted = self._room()
            while not self.is_read:
                if self._is_enough():
                    await self._finish()
                else:
                    self._read_on()
                await anyio.lowlevel.checkpoint()

    def after_change(self, order: OrderState, _fact: object) -> None:
        """Forget an order that a late fact brought back to memory: it is shown from there."""
        if order.order_id in self._states:
            del self._states[order.order_id]
            self._entries.pop(order.order_id, None)
            self._legs.pop(order.order_id, None)

    def get(self, order_id: str) -> OrderState | None:
        """Return one of these, as far as they are read."""
        return self._states.get(order_id)

    def bracket_of(self, entry: OrderState) -> Bracket | None:
        """Return the exits that one of these had; nothing of them goes on any more."""
        if self._states.get(entry.order_id) is not entry:
            return None
        bracket = Bracket(entry)
        for leg in self._legs.get(entry.order_id, ()):
            bracket.take_in(leg)
        return bracket

    def merged(self) -> list[OrderState]:
        """Return these and all orders in memory, in the order in which they were made."""
        orders = self._registry.orders
        room = self._room()
        while len(self._states) > room:
            self._forget(self._states.popitem()[0])
        self._rows = [
            state
            for state in self._rows
            if self._states.get(state.order_id) is state or orders.get(state.order_id) is state
        ]
        shared = self._shared
        rows = self._rows + [state for state in orders.values() if state.order_id not in shared]
        # All but sorted: a stable sort costs little, and leaves those of one instant as they are.
        rows.sort(key=_created)
        return rows

    def _is_enough(self) -> bool:
        """Tell whether all is there, or nothing more can be."""
        is_full = not self._unread or len(self._states) >= self._wanted
        return bool(self._fault) or (is_full and not self._entries)

    def _read_on(self) -> None:
        """Do the work of one turn."""
        try:
            if self._unread and len(self._states) < self._wanted:
                first = max(0, self._unread - PAGE)
                for entry in reversed(list(self._log.read(first, self._unread - first))):
                    self._take(entry)
                self._unread = first
                return
            for order_id in list(self._entries)[:LOOK_UPS]:
                found = self._entries.pop(order_id)
                entries = self._log.of_order(order_id) if self._unread else found[::-1]
                self._rebuild(order_id, entries)
        except JournalError as error:  # what is there is better than no list at all
            self._fault = str(error)
            log.error("past_orders_unreadable", reason=self._fault)

    def _take(self, entry: Entry) -> None:
        """Take an entry that comes before all that were seen of its order."""
        record = entry[1]
        if record.__class__ not in TELLING:
            return
        order_id = order_of(record)
        entries = self._entries.get(order_id)
        if entries is None:
            if len(self._states) >= self._wanted or self._is_settled(order_id):
                return
            self._states[order_id] = None
            entries = self._entries[order_id] = []
        entries.append(entry)
        if is_first(record):
            self._rebuild(order_id, self._entries.pop(order_id)[::-1])

    def _rebuild(self, order_id: str, entries: list[Entry]) -> None:
        """Make an order of its entries, oldest first; one that is open, or not ours, is none."""
        archive: OrderArchive | None = self._registry.archive
        state = None
        if archive is not None and order_id not in self._registry.orders:
            with suppress(UnknownInstrument):  # of a venue that is not configured any more
                state = archive.rebuild(self._registry, [record for _, record in entries])
        if state is None or not state.is_closed:
            del self._states[order_id]
            self._foreign.add(order_id)
        else:
            self._states[order_id] = state
            self._positions[order_id] = entries[0][0]

    def _is_settled(self, order_id: str) -> bool:
        """Tell whether it is known already what this order is, or that it is in memory."""
        return (
            order_id in self._states
            or order_id in self._foreign
            or order_id in self._registry.orders
        )

    async def _finish(self) -> None:
        """Make what there is one list: gather exits, and place what was made in one instant."""
        self._entries.clear()
        self._foreign.clear()
        self._legs.clear()
        self._states = {name: state for name, state in self._states.items() if state}
        states = sorted(filter(None, self._states.values()), key=self._place)
        await anyio.lowlevel.checkpoint()
        for state in states:
            if state.parent:
                self._legs.setdefault(state.parent, []).append(state)
        instants = {state.created_ns for state in states}
        shared = [order for order in self._registry if order.created_ns in instants]
        for order in shared:
            self._positions[order.order_id] = first_position(self._log, order.order_id)
            await anyio.lowlevel.checkpoint()
        if shared:
            states = sorted(states + shared, key=self._place)
        self._rows = states
        self._shared = {order.order_id for order in shared}
        self._positions.clear()
        self.is_read = True

    def _forget(self, order_id: str) -> None:
        self._legs.pop(order_id, None)

    def _room(self) -> int:
        registry = self._registry
        open_count = sum(len(working.orders) for working in registry.lines())
        return max(0, self._kept - (len(registry) - open_count))

    def _place(self, state: OrderState) -> tuple[int, int]:
        return state.created_ns, self._positions[state.order_id]


def is_first(record: Record) -> bool:
    """Tell whether nothing of an order can come before this: it began with being sent, or kept.

    What the core may keep before it is sent may have begun earlier; an adopted order too.
    """
    if isinstance(record, HoldOrder | IntentDenied):
        return True
    return isinstance(record, SubmitOrder) and is_sent_at_once(record.intent)


def is_sent_at_once(intent: OrderIntent) -> bool:
    """Tell whether the core never keeps such an order, whatever its venue can do."""
    return (
        intent.type in SENT_AT_ONCE
        and intent.exits is None
        and not intent.oco_group
        and not intent.options
        and intent.session is OrderSession.NOW
        and "/" not in intent.key  # an exit of a bracket
    )


def first_position(order_log: OrderLog, order_id: str) -> int:
    """Return where an order begins in the log; 0: nowhere."""
    entries = order_log.of_order(order_id)
    return entries[0][0] if entries else 0
