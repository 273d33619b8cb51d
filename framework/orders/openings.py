"""Since when each position is held, and when it last changed: over restarts too.

A position opens with what makes it other than flat or turns its side, whatever that is: a fill, a
correction, cash in its base asset, an assignment. The ledger books without a time, so this looks
at a position behind each fact that can have changed it.
"""

from collections.abc import Iterable
from decimal import Decimal
from operator import itemgetter

import msgspec

from framework.model.account import CashBooked, Settled
from framework.model.decimals import ZERO, add, negate
from framework.model.instrument import Instrument
from framework.model.orders import Bucket
from framework.model.records import PositionAssigned, Record
from framework.model.reports import FillCorrection, OrderFact, OrderFilled
from framework.orders.order_state import OrderState
from framework.portfolio.holding import Holding
from framework.portfolio.ledger import Ledger

EXECUTIONS = (OrderFilled, FillCorrection)
BOOKINGS = (CashBooked, Settled, PositionAssigned)
Booking = CashBooked | Settled | PositionAssigned


class Opening(msgspec.Struct, frozen=True):
    """One position that is not flat, for snapshots."""

    account: str
    run: str
    instrument: str
    bucket: Bucket
    opened_ns: int
    updated_ns: int


class Since:
    """When a position was opened and last changed, and what it was then."""

    __slots__ = ("opened_ns", "quantity", "updated_ns")

    def __init__(self, opened_ns: int, updated_ns: int, quantity: Decimal) -> None:
        self.opened_ns = opened_ns
        self.updated_ns = updated_ns
        self.quantity = quantity


class Openings:
    """Keeps the times of every position of a ledger.

    Attributes:
        is_told: somebody tells it of changes: a session that restored it, or the trading desk.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.is_told = False
        self._ledger = ledger
        self._since: dict[Holding, Since] = {}  # as many as the ledger has positions
        self._booking: Booking | None = None

    def of(self, holding: Holding) -> Since | None:
        """Return the times of a position; None: it never was other than flat, or nobody told."""
        self.catch_up()
        return self._since.get(holding)

    def note(self, record: Record) -> None:
        """Hear of a record: to be called for each, before or after it is applied.

        What one changed besides orders is looked at when the next one comes, or somebody asks.
        """
        if self._booking is not None:
            self.catch_up()
        if record.__class__ in BOOKINGS:
            self._booking = record

    def catch_up(self) -> None:
        """Look at what the newest booking changed, if nobody has yet."""
        booking, self._booking = self._booking, None
        if booking is None or not booking.instrument:
            return
        for holding in self._ledger.holdings(
            account=booking.account, instrument=booking.instrument
        ):
            since = self._since.get(holding)
            if holding.quantity != (ZERO if since is None else since.quantity):
                self._look(holding, holding.quantity, booking.time_ns)

    def after_change(self, order: OrderState, fact: OrderFact | None) -> None:
        """Hear of an order that changed, once the ledger has booked it."""
        if isinstance(fact, EXECUTIONS):
            holding = order.holding or self._holding_of(order)
            self._look(holding, holding.quantity, fact.time_ns)

    def recall(self, orders: Iterable[OrderState]) -> None:
        """Find the times out from the executions of orders, for somebody who was not told."""
        filled = [
            (execution.time_ns, order, execution.quantity)
            for order in orders
            for execution in order.facts.executions.values()
            if execution.quantity
        ]
        sums: dict[Holding, Decimal] = {}
        for time_ns, order, quantity in sorted(filled, key=itemgetter(0)):
            holding = self._holding_of(order)
            signed = quantity if order.is_buy else negate(quantity)
            held = sums[holding] = add(sums.get(holding, ZERO), signed)
            self._look(holding, held, time_ns)

    def state(self) -> tuple[Opening, ...]:
        """Return the times of what is held, in the order in which the positions were made."""
        found = []
        for holding in self._ledger.holdings():
            since = self.of(holding)
            if since is not None and holding.quantity:
                found.append(
                    Opening(
                        holding.account,
                        holding.run,
                        holding.instrument.id,
                        holding.bucket,
                        since.opened_ns,
                        since.updated_ns,
                    )
                )
        return tuple(found)

    def load_state(self, state: Iterable[Opening], instruments: dict[str, Instrument]) -> None:
        """Take a state over, once the ledger has its own."""
        for item in state:
            instrument = instruments[item.instrument]
            holding = self._ledger.holding(item.account, item.run, instrument, item.bucket)
            self._since[holding] = Since(item.opened_ns, item.updated_ns, holding.quantity)

    def _holding_of(self, order: OrderState) -> Holding:
        return self._ledger.holding(
            order.account, order.intent.run, order.instrument, order.intent.bucket
        )

    def _look(self, holding: Holding, held: Decimal, time_ns: int) -> None:
        since = self._since.get(holding)
        if since is None:
            if held:
                self._since[holding] = Since(time_ns, time_ns, held)
            return
        before = since.quantity
        if held and (not before or (before > ZERO) is not (held > ZERO)):
            since.opened_ns = time_ns
        since.updated_ns = time_ns
        since.quantity = held
