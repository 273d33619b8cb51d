"""What goes over the trading desk: who asks, for what, and plain values as answers.

Whoever trades from outside a strategy (front doors, command line, dashboards) speaks to the core in
these words alone; see `TradingDesk` in `framework/interfaces.py`.
"""

from decimal import Decimal
from enum import Enum

import msgspec

from framework.model.account import Margin
from framework.model.orders import NO_BUCKET, Bucket, Order, OrderIntent, OrderStatus, Side
from framework.model.records import HoldRole


class Verb(Enum):
    """What a token allows; nothing is allowed that is not named."""

    READ = "read"  # orders, positions, funds, runs
    MARKET = "market"  # quotes, candles, instruments, market data on streams
    TRADE = "trade"  # submit and modify
    REDUCE = "reduce"  # cancel and close
    ADMIN = "admin"  # reset breakers and the like


ALL_VERBS = frozenset(Verb)
READ_ONLY = frozenset({Verb.READ, Verb.MARKET})


class View(Enum):
    """Whose orders and positions a principal sees and may end: its run's, or the account's."""

    RUN = "run"
    ACCOUNT = "account"


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a principal trades at one venue: new orders belong to `run` on `account`."""

    venue: str
    account: str
    run: str


class Principal(msgspec.Struct, frozen=True, gc=False):
    """Who asks: `name` is written down with everything that it does (T-05).

    `places` are one per venue; the first is what is meant where no instrument is named.
    `instruments` are ids, `"<venue>:*"` or `"*"`.
    """

    name: str
    places: tuple[Place, ...]
    view: View = View.RUN
    verbs: frozenset[Verb] = frozenset()
    instruments: tuple[str, ...] = ("*",)

    def allows(self, verb: Verb, instrument: str | None = None) -> bool:
        """Tell whether it may do this, with this instrument where one is named."""
        if verb not in self.verbs:
            return False
        if instrument is None or "*" in self.instruments:
            return True
        venue = instrument.partition(":")[0]
        return instrument in self.instruments or f"{venue}:*" in self.instruments


class DeskOrder(msgspec.Struct, frozen=True, gc=False):
    """An order as it stands, with what was asked for.

    `intent` is as first asked for (exits, groups, options); what may change since is in `order`.
    `role` says what an order that the core keeps is for; `order.parent` is then the entry's id.
    `stop_loss` and `take_profit` are where its exits are (to be), None where it has none.
    """

    order: Order
    intent: OrderIntent
    role: HoldRole | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """A row of a list, behind which the next part of it begins, even once the row has left it.

    `time_ns` is what the list is sorted by: the order's creation or last change, the execution's
    time; `execution_id` is "" in a list of orders.
    """

    time_ns: int
    order_id: str
    execution_id: str = ""


class OrderQuery(msgspec.Struct, frozen=True, gc=False):
    """Which orders: every condition that is set must hold. Newest first, at most `limit`.

    `since_ns` is inclusive, `until_ns` exclusive, both of the time of creation. `by_update` sorts
    by the last change instead. `after` is the row behind which the answer begins.
    """

    instrument: str | None = None
    statuses: frozenset[OrderStatus] | None = None
    side: Side | None = None
    key: str | None = None
    oco_group: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    limit: int | None = None
    by_update: bool = False
    after: Cursor | None = None


class FillQuery(msgspec.Struct, frozen=True, gc=False):
    """Which executions; newest first. `since_ns` is inclusive, `until_ns` exclusive.

    `after` is the row behind which the answer begins.
    """

    instrument: str | None = None
    order_id: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    limit: int | None = None
    after: Cursor | None = None


class DeskPosition(msgspec.Struct, frozen=True, gc=False):
    """What a run holds of an instrument, valued at `price` (None: no price is known).

    `quantity` is signed. `unrealised` is zero without a price. `opened_ns` is when it last was
    flat or changed sides, `updated_ns` its last fill or booking; both go on over restarts.
    """

    account: str
    run: str
    instrument: str
    quantity: Decimal
    average_price: Decimal
    price: Decimal | None
    unrealised: Decimal
    realised: Decimal
    opened_ns: int
    updated_ns: int
    bucket: Bucket = NO_BUCKET


class Money(msgspec.Struct, frozen=True, gc=False):
    """What a place has, in the account's currency, at one mark.

    equity = balance + unrealised: `balance` is cash with what positions cost. `bound` is what
    positions bind (margin, or the cost of what is paid in full), `reserved` what open orders do;
    `available` = equity − bound − reserved, never below zero.
    """

    account: str
    currency: str
    balance: Decimal
    equity: Decimal
    unrealised: Decimal
    realised: Decimal
    bound: Decimal
    reserved: Decimal
    available: Decimal
    time_ns: int
    margins: tuple[Margin, ...] = ()


class Preview(msgspec.Struct, frozen=True, gc=False):
    """What would become of an intent now: `refusal` is "" where it would be sent.

    `notional` and `reserve` are in the instrument's currency, None where no price is known.
    """

    refusal: str
    price: Decimal | None = None
    notional: Decimal | None = None
    reserve: Decimal | None = None


class VenueHealth(msgspec.Struct, frozen=True, gc=False):
    """How a venue's links stand; `links` are (link, state), `stale` instruments without a true
    price. `time_ns` is when anything was last heard of it, 0 for never.
    """

    venue: str
    is_simulated: bool
    is_connected: bool
    links: tuple[tuple[str, str], ...] = ()
    stale: tuple[str, ...] = ()
    time_ns: int = 0


class Breaker(msgspec.Struct, frozen=True, gc=False):
    """A breaker that only a person closes: open once `failures` in a row were counted."""

    name: str
    is_open: bool = False
    failures: int = 0
