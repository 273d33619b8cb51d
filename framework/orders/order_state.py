"""One order as it stands, what it has at stake, and the open orders it is counted among."""

from decimal import Decimal

import msgspec

from framework.model.commands import ModifyOrder
from framework.model.decimals import ZERO, absolute, subtract
from framework.model.instrument import Instrument
from framework.model.orders import (
    Exits,
    Fill,
    FillCorrected,
    Offset,
    Order,
    OrderIntent,
    OrderStatus,
    Percent,
)
from framework.model.records import CoverNoted, ExitsReplaced, HoldRole
from framework.model.reports import FillCorrection, OrderFilled
from framework.orders.executions import Execution
from framework.orders.lifecycle import OrderFacts
from framework.portfolio.holding import Holding

HELD = OrderStatus.HELD


class WorkingOrders:
    """The open orders of one run in one instrument, and what they may still do.

    `reserved` = Σ open quantity × valuation × multiplier, in the instrument's currency.
    """

    # A class with slots where most structs would do: it is made once and written per order,
    # and a slot is written in a third of the time.
    __slots__ = ("instrument", "open_buy", "open_sell", "orders", "reserved", "run")

    def __init__(self, run: str, instrument: str) -> None:
        self.run = run
        self.instrument = instrument
        self.orders: dict[str, OrderState] = {}
        self.open_buy = ZERO
        self.open_sell = ZERO
        self.reserved = ZERO


class OrderState(msgspec.Struct, eq=False):
    """One order as it stands: what was asked for and every fact since.

    `open_quantity` and `reserved` are its share of the sums in `working`. `valuation` is the price
    it was valued at when it was sent, None where none was known: it then reserves no cash.
    `pending` is a modify request without an answer; until then the larger of both counts.
    `holding` is the position its fills go to, known from the moment it is sent; `role` says why
    the core keeps or kept it, `extreme` is the best price a trailing stop has followed;
    `reserved_cash` is what the whole account reserves: buys add to it where a trade moves its
    full value (`is_paid_in_full`). `replaced_exits` and `changed_trail` say what holds instead of
    the intent's exits and trail; `noted_cover` is what its exits' sizes do not show.
    """

    order_id: str
    intent: OrderIntent
    account: str
    instrument: Instrument
    facts: OrderFacts
    working: WorkingOrders
    created_ns: int
    is_buy: bool
    reserved_cash: dict[str, Decimal]
    is_paid_in_full: bool
    reduce_only: bool = False
    valuation: Decimal | None = None
    open_quantity: Decimal = ZERO
    reserved: Decimal = ZERO
    pending: ModifyOrder | None = None
    parent: str = ""
    holding: Holding | None = None
    role: HoldRole | None = None
    extreme: Decimal | None = None
    is_released: bool = False
    replaced_exits: ExitsReplaced | None = None
    changed_trail: Offset | Percent | None = None
    noted_cover: CoverNoted | None = None

    @property
    def exits(self) -> Exits | None:
        """The exits that are to follow its fills, as of now."""
        replaced = self.replaced_exits
        return self.intent.exits if replaced is None else replaced.exits

    @property
    def trail(self) -> Offset | Percent | None:
        """The distance at which it trails, as of now."""
        return self.intent.trail if self.changed_trail is None else self.changed_trail

    @property
    def run(self) -> str:
        """The run that owns it."""
        return self.intent.run

    @property
    def status(self) -> OrderStatus:
        """Where it stands."""
        return self.facts.status

    @property
    def is_closed(self) -> bool:
        """No more fills are expected."""
        return self.facts.is_closed

    @property
    def quantity(self) -> Decimal:
        """The current quantity."""
        return self.facts.quantity

    @property
    def price(self) -> Decimal | None:
        """The current limit price."""
        return self.facts.price

    @property
    def filled(self) -> Decimal:
        """What has been filled, after corrections."""
        return self.facts.filled

    @property
    def reason(self) -> str:
        """Why it was denied, or why it ended."""
        return self.facts.reason

    def event(self) -> Order:
        """Return the whole state as an event."""
        facts, intent = self.facts, self.intent
        end = facts.end
        return Order(
            self.order_id,
            intent.run,
            self.account,
            intent.instrument,
            intent.side,
            intent.type,
            facts.status,
            facts.quantity,
            facts.filled,
            facts.average_price,
            facts.updated_ns,
            self.created_ns,
            intent.key,
            facts.price,
            facts.stop_price,
            intent.time_in_force,
            intent.post_only,
            self.reduce_only,
            intent.bucket,
            facts.submit_state,
            facts.cancel_state,
            facts.modify_state,
            facts.refusal if end is None else end.reason,
            facts.venue_order_ids,
            intent.tags,
            self.parent,
            False,
            intent.trail if self.changed_trail is None else self.changed_trail,
        )

    def fill(self, fact: OrderFilled, realised: Decimal, received_ns: int) -> Fill:
        """Return an execution of this order as an event."""
        intent = self.intent
        return Fill(
            fact.execution_id,
            self.order_id,
            intent.run,
            self.account,
            intent.instrument,
            intent.side,
            fact.quantity,
            fact.price,
            fact.time_ns,
            received_ns,
            fact.fees,
            fact.liquidity,
            intent.bucket,
            realised,
        )

    def fill_corrected(self, fact: Execution, received_ns: int) -> FillCorrected:
        """Return what now holds for an execution reported before."""
        intent = self.intent
        return FillCorrected(
            fact.execution_id,
            self.order_id,
            intent.run,
            self.account,
            intent.instrument,
            intent.side,
            fact.quantity,
            fact.price,
            fact.time_ns,
            received_ns,
            fact.fees,
            fact.reason if isinstance(fact, FillCorrection) else "",
        )


def at_stake(order: OrderState) -> tuple[Decimal, Decimal]:
    """Return what an order may still fill, and what that is worth at the worst known price."""
    facts = order.facts
    if facts.is_closed or (facts.origin is HELD and order.parent):
        return ZERO, ZERO  # an exit that the core keeps can only shrink what is held
    quantity, price = facts.quantity, order.valuation
    pending = order.pending
    if pending is not None or facts.replaced is not None:
        price = highest(price, facts.price, facts.stop_price)
        if pending is not None:
            quantity = max(quantity, pending.quantity or ZERO)
            price = highest(price, pending.price, pending.stop_price)
    opened = quantity if not facts.executions else subtract(quantity, facts.filled)
    if opened < ZERO:
        opened = ZERO
    if price is None:
        return opened, ZERO
    return opened, order.instrument.notional(price, opened)


def highest(*prices: Decimal | None) -> Decimal | None:
    """Return the highest by amount of the prices that are known and finite, as a positive one."""
    found: Decimal | None = None
    for price in prices:
        if price.__class__ is Decimal and price is not None and price.is_finite():
            amount = absolute(price)
            if found is None or amount > found:
                found = amount
    return found
