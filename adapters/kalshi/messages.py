"""What a frame of the venue says: the same object in all three wire generations (K66).

Prices are integers of 1/10_000 dollar, counts of 1/100 contract, money of 1/1_000_000 dollar,
times Unix nanoseconds UTC. A number or time that did not come is None, a text that did not is "".
Names are the wire's, without `_dollars` and `_fp`; `time_ns` is the instant the frame speaks of.
"""

from decimal import Decimal
from typing import Literal

import msgspec

Outcome = Literal["yes", "no"]

Levels = tuple[tuple[int, int], ...]
"""(price, count) per level, in the order of the wire."""


class Subscribed(msgspec.Struct, frozen=True, gc=False):
    """A channel of a `subscribe` was accepted; its frames will carry `sid`."""

    channel: str
    sid: int


class Unsubscribed(msgspec.Struct, frozen=True, gc=False):
    """The subscription of the frame's `sid` is gone."""


class Okay(msgspec.Struct, frozen=True, gc=False):
    """A change was accepted: the resulting markets, or the (channel, sid) of a list reply."""

    market_tickers: tuple[str, ...] = ()
    subscriptions: tuple[tuple[str, int], ...] = ()


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A command failed, or, with a `sid` and no `id` on the frame, a subscription did."""

    code: int
    text: str = ""
    market_tickers: tuple[str, ...] = ()


class Ticker(msgspec.Struct, frozen=True, gc=False):
    """Quote, last trade and totals of one market; `price` is None while it never traded."""

    market_ticker: str
    market_id: str
    price: int | None
    yes_bid: int | None
    yes_ask: int | None
    volume: int | None = None
    open_interest: int | None = None
    dollar_volume: int | None = None
    dollar_open_interest: int | None = None
    yes_bid_size: int | None = None
    yes_ask_size: int | None = None
    last_trade_size: int | None = None
    time_ns: int | None = None


class Trade(msgspec.Struct, frozen=True, gc=False):
    """A public trade; `taker_side` is the outcome that its taker acquired."""

    trade_id: str
    market_ticker: str
    yes_price: int
    no_price: int
    count: int
    taker_side: Outcome | None
    is_block_trade: bool = False
    time_ns: int | None = None


class Book(msgspec.Struct, frozen=True, gc=False):
    """A snapshot: all bids of one market; a side without levels is ().

    With `use_yes_price` the no ladder is on the yes leg's scale, as it came.
    """

    market_ticker: str
    market_id: str
    yes: Levels
    no: Levels


class Level(msgspec.Struct, frozen=True, gc=False):
    """A delta: the signed change of the resting count at one price of one ladder."""

    market_ticker: str
    market_id: str
    side: Outcome
    price: int
    change: int
    client_order_id: str = ""
    time_ns: int | None = None
    subaccount: int = 0


class PriceRange(msgspec.Struct, frozen=True, gc=False):
    """Prices from `start` to `end` lie on multiples of `step`."""

    start: int
    end: int
    step: int


class MarketMetadata(msgspec.Struct, frozen=True, gc=False):
    """What a market is about; `custom_strike` is its JSON text."""

    name: str = ""
    title: str = ""
    yes_sub_title: str = ""
    no_sub_title: str = ""
    rules_primary: str = ""
    rules_secondary: str = ""
    can_close_early: bool | None = None
    event_ticker: str = ""
    expected_expiration_ns: int | None = None
    strike_type: str = ""
    floor_strike: Decimal | None = None
    cap_strike: Decimal | None = None
    custom_strike: str = ""


class MarketLifecycle(msgspec.Struct, frozen=True, gc=False):
    """A market was created, opened, paused, closed, decided, settled or described anew."""

    event_type: str
    market_ticker: str
    open_ns: int | None = None
    close_ns: int | None = None
    is_deactivated: bool | None = None
    result: str = ""
    settlement_value: int | None = None
    determination_ns: int | None = None
    settled_ns: int | None = None
    additional_metadata: MarketMetadata | None = None
    price_level_structure: str = ""
    price_ranges: tuple[PriceRange, ...] = ()
    strike_type: str = ""
    floor_strike: Decimal | None = None
    cap_strike: Decimal | None = None
    custom_strike: str = ""
    yes_sub_title: str = ""
    exchange_index: int = 0
    time_ns: int | None = None


class EventLifecycle(msgspec.Struct, frozen=True, gc=False):
    """An event, which groups markets, was created or changed."""

    event_ticker: str
    title: str = ""
    subtitle: str = ""
    collateral_return_type: str = ""
    series_ticker: str = ""
    strike_ns: int | None = None
    strike_period: str = ""
    exchange_index: int = 0
    time_ns: int | None = None


class EventFeeUpdate(msgspec.Struct, frozen=True, gc=False):
    """An event's own fees; both None: those of its series hold again."""

    event_ticker: str
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None
    time_ns: int | None = None


class Leg(msgspec.Struct, frozen=True, gc=False):
    """One market and outcome of a combination."""

    event_ticker: str
    market_ticker: str
    side: str
    yes_settlement_value: int | None = None


class MultivariateLookup(msgspec.Struct, frozen=True, gc=False):
    """Somebody looked a combination up; it trades as `market_ticker`."""

    collection_ticker: str
    event_ticker: str
    market_ticker: str
    selected_markets: tuple[Leg, ...] = ()
    time_ns: int | None = None


class Fill(msgspec.Struct, frozen=True, gc=False):
    """An execution of ours; `trade_id` is its identity.

    `outcome_side` is the outcome acquired: yes adds to `post_position`, no subtracts. The wire's
    `action` has no sign and is left out.
    """

    trade_id: str
    order_id: str
    client_order_id: str
    market_ticker: str
    outcome_side: Outcome
    yes_price: int
    count: int
    is_taker: bool | None = None
    fee_cost: int | None = None
    post_position: int | None = None
    exchange_index: int = 0
    subaccount: int = 0
    time_ns: int | None = None


class UserOrder(msgspec.Struct, frozen=True, gc=False):
    """How an order of ours stands; `outcome_side` yes is a bid, no an ask at `yes_price`."""

    order_id: str
    client_order_id: str
    ticker: str
    status: str
    outcome_side: Outcome
    yes_price: int
    initial_count: int
    fill_count: int
    remaining_count: int
    user_id: str = ""
    taker_fill_cost: int = 0
    maker_fill_cost: int = 0
    taker_fees: int = 0
    maker_fees: int = 0
    order_group_id: str = ""
    self_trade_prevention_type: str = ""
    expiration_ns: int | None = None
    created_ns: int | None = None
    last_update_ns: int | None = None
    last_update_reason: str = ""
    subaccount: int = 0
    exchange_index: int = 0


class MarketPosition(msgspec.Struct, frozen=True, gc=False):
    """What we hold of one market; a negative `position` is of the no outcome."""

    market_ticker: str
    position: int
    user_id: str = ""
    position_cost: int | None = None
    realized_pnl: int | None = None
    fees_paid: int | None = None
    position_fee_cost: int | None = None
    volume: int | None = None
    subaccount: int = 0
    time_ns: int | None = None


class OrderGroupUpdate(msgspec.Struct, frozen=True, gc=False):
    """An order group was created, triggered, reset, deleted or given another limit."""

    event_type: str
    order_group_id: str
    contracts_limit: int | None = None
    time_ns: int | None = None


class RfqCreated(msgspec.Struct, frozen=True, gc=False):
    """Somebody asks for quotes; `time_ns` is when it was created."""

    id: str
    creator_id: str
    market_ticker: str
    event_ticker: str = ""
    contracts: int | None = None
    target_cost: int | None = None
    mve_collection_ticker: str = ""
    mve_selected_legs: tuple[Leg, ...] = ()
    time_ns: int | None = None


class RfqDeleted(msgspec.Struct, frozen=True, gc=False):
    """A request for quotes was taken back; `time_ns` is when."""

    id: str
    creator_id: str
    market_ticker: str
    event_ticker: str = ""
    contracts: int | None = None
    target_cost: int | None = None
    time_ns: int | None = None


class QuoteCreated(msgspec.Struct, frozen=True, gc=False):
    """A quote answers a request of ours, or is our own answer; `time_ns` is when."""

    quote_id: str
    rfq_id: str
    quote_creator_id: str
    rfq_creator_id: str
    market_ticker: str
    yes_bid: int
    no_bid: int
    event_ticker: str = ""
    yes_contracts_offered: int | None = None
    no_contracts_offered: int | None = None
    rfq_target_cost: int | None = None
    subaccount: int = 0
    time_ns: int | None = None


class QuoteAccepted(msgspec.Struct, frozen=True, gc=False):
    """A quote was taken, on `accepted_side`."""

    quote_id: str
    rfq_id: str
    quote_creator_id: str
    rfq_creator_id: str
    market_ticker: str
    yes_bid: int
    no_bid: int
    event_ticker: str = ""
    accepted_side: Outcome | None = None
    contracts_accepted: int | None = None
    yes_contracts_offered: int | None = None
    no_contracts_offered: int | None = None
    rfq_target_cost: int | None = None
    subaccount: int = 0
    time_ns: int | None = None


class QuoteExecuted(msgspec.Struct, frozen=True, gc=False):
    """A quote became an order of ours; `time_ns` is when."""

    quote_id: str
    rfq_id: str
    quote_creator_id: str
    rfq_creator_id: str
    order_id: str
    client_order_id: str
    market_ticker: str
    subaccount: int = 0
    time_ns: int | None = None


Message = (
    Subscribed
    | Unsubscribed
    | Okay
    | Refusal
    | Ticker
    | Trade
    | Book
    | Level
    | MarketLifecycle
    | EventLifecycle
    | EventFeeUpdate
    | MultivariateLookup
    | Fill
    | UserOrder
    | MarketPosition
    | OrderGroupUpdate
    | RfqCreated
    | RfqDeleted
    | QuoteCreated
    | QuoteAccepted
    | QuoteExecuted
)
