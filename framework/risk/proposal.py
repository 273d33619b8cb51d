"""What a check judges: an order as it would be sent, and what its run holds and has open."""

from decimal import Decimal
from typing import Protocol, runtime_checkable

import msgspec

from framework.model.decimals import ZERO, absolute, add, negate
from framework.model.instrument import Instrument
from framework.model.orders import OrderIntent, OrderType, Side

BUY = Side.BUY


class Proposal(msgspec.Struct, gc=False):
    """An order, or the change of one, before it is sent.

    `quantity` is the whole order's, `remaining` what it may still fill, `added` what it adds to
    the open quantity: all three are equal for a new order and differ for a change.
    `is_closing` marks the one order by which the core itself closes a position. `order_id` is the
    order to be changed, "" for a new one, and `reserved` the cash that it reserves already.
    """

    run: str
    instrument: Instrument
    side: Side
    type: OrderType
    quantity: Decimal
    remaining: Decimal
    added: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    has_trail: bool = False
    reduce_only: bool = False
    is_closing: bool = False
    account: str = ""
    order_id: str = ""
    reserved: Decimal = ZERO
    intent: OrderIntent | None = None

    @property
    def is_exit(self) -> bool:
        """Whether it is bound to shrink: reduce-only, or the core's own closing order."""
        return self.reduce_only or self.is_closing

    def shrinks(self, position: Decimal) -> bool:
        """Tell whether it trades against `position` and for no more than all of it."""
        if self.side is BUY:
            return position < ZERO and self.remaining <= negate(position)
        return position > ZERO and self.remaining <= position

    def only_shrinks(self, view: "View") -> bool:
        """Tell whether it can but shrink what the run holds, whichever of its open orders fill.

        Two sells of all that is held would each shrink it and together turn it: the open orders of
        its side count, except for exits, which are not to fill beyond the position together.
        """
        if self.is_exit:
            return True
        opened = view.open_buy if self.side is BUY else view.open_sell
        return self.shrinks(view.held) and add(opened, self.added) <= absolute(view.held)


class View(msgspec.Struct, gc=False):
    """What the checks compare with, of one run and instrument at `now_ns` (UTC).

    `position` is signed and over all buckets, `held` its part in the order's bucket; `open_buy`
    and `open_sell` are the quantities that working and in-doubt orders may still fill, without
    the proposal; `price` is None where no price is known.
    """

    position: Decimal
    held: Decimal
    open_buy: Decimal
    open_sell: Decimal
    price: Decimal | None
    now_ns: int


class Check(Protocol):
    """One reason why an order may be refused."""

    def check(self, proposal: Proposal, view: View) -> str | None:
        """Return None, or the reason for refusing.

        Raises:
            InputFault: what it judges by is missing, stale or failed; the gate refuses then.
        """


@runtime_checkable
class Reserving(Protocol):
    """A check that counts what passed."""

    def reserve(self, proposal: Proposal, view: View) -> None:
        """Count one order that passed every check."""
