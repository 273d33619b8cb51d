"""The nouns of the simulated exchange: markets, orders, portfolios, RFQs, and what it is asked.

What the exchange emits is in `emitted.py`. Units, always integers:

    price   1/10 000 dollar, of the yes leg unless the name says otherwise
    count   1/100 contract
    money   1/1 000 000 dollar, so that money = price × count, exactly
    time    nanoseconds UTC; `_s` seconds
"""

from typing import Literal

import msgspec

DOLLAR = 10_000  # as a price
CONTRACT = 100  # as a count
DOLLAR_OF_MONEY = 1_000_000
CENT_OF_MONEY = 10_000

Side = Literal["yes", "no"]
Action = Literal["buy", "sell"]
MarketStatus = Literal[
    "initialized", "inactive", "active", "closed", "determined", "disputed", "amended", "finalized"
]
OrderStatus = Literal["resting", "canceled", "executed"]
TimeInForce = Literal["good_till_canceled", "immediate_or_cancel", "fill_or_kill"]
SelfTradePrevention = Literal["taker_at_cross", "maker"]
QuoteStatus = Literal["open", "accepted", "executed", "cancelled"]


class Refusal(Exception):
    """The exchange refuses a request; nothing has happened.

    `status` and `code` are those of HTTP and of the venue's error body (10.1).
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class PriceRange(msgspec.Struct, frozen=True):
    """Part of a price grid: `start`, `start + step`, ... up to `end`, both ends included."""

    start: int
    end: int
    step: int


class SeriesInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A family of events, e.g. rain in Boston; it sets the fees."""

    ticker: str
    title: str = ""
    category: str = ""
    frequency: str = "daily"
    fee_type: str = "quadratic"
    fee_multiplier: float = 1.0


class EventInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One question with one or more markets."""

    event_ticker: str
    series_ticker: str
    title: str = ""
    sub_title: str = ""
    collateral_return_type: str = ""  # MECNET, DIRECNET or ""
    mutually_exclusive: bool = False
    strike_ns: int | None = None
    strike_period: str = ""
    fee_type_override: str | None = None
    fee_multiplier_override: float | None = None
    updated_ns: int = 0


class SelectedLeg(msgspec.Struct, frozen=True):
    """One leg of a multivariate market, or of an RFQ on one."""

    event_ticker: str
    market_ticker: str
    side: Side


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """A market's definition and status; `TickerState` holds what trading changes.

    To create one, leave `market_id`, `created_ns` and `updated_ns` out: the exchange fills them.
    """

    ticker: str
    event_ticker: str
    market_id: str = ""
    market_type: Literal["binary", "scalar"] = "binary"
    title: str = ""
    subtitle: str = ""
    yes_sub_title: str = ""
    no_sub_title: str = ""
    status: MarketStatus = "initialized"
    created_ns: int = 0
    updated_ns: int = 0
    open_ns: int = 0  # 0: at once
    close_ns: int = 0  # 0: never by itself
    expected_expiration_ns: int = 0
    latest_expiration_ns: int = 0
    settlement_timer_s: int = 60
    can_close_early: bool = True
    fractional_trading_enabled: bool = False
    price_level_structure: str = "linear_cent"
    price_ranges: tuple[PriceRange, ...] = ()  # (): those of the structure
    result: str = ""  # yes, no, scalar
    settlement_value: int | None = None  # a price: what one yes contract pays
    determined_ns: int | None = None
    settled_ns: int | None = None
    expiration_value: str = ""
    rules_primary: str = ""
    rules_secondary: str = ""
    strike_type: str = ""
    floor_strike: float | None = None
    cap_strike: float | None = None
    functional_strike: str = ""
    custom_strike: dict[str, str] | None = None
    mve_collection_ticker: str = ""  # not "": a multivariate market
    mve_selected_legs: tuple[SelectedLeg, ...] = ()
    exchange_index: int = 0

    @property
    def is_multivariate(self) -> bool:
        """Whether it combines other markets; its lifecycle has a channel of its own."""
        return bool(self.mve_collection_ticker)


class Book(msgspec.Struct, frozen=True):
    """Both bid ladders, each (price of that leg, count), ascending by price."""

    ticker: str
    market_id: str
    yes: tuple[tuple[int, int], ...]
    no: tuple[tuple[int, int], ...]


class TickerState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What trading says about a market at one moment. No bid is 0, no ask is one dollar."""

    market_ticker: str
    market_id: str
    price: int = 0  # last trade; 0: never traded
    yes_bid: int = 0
    yes_ask: int = DOLLAR
    yes_bid_size: int = 0
    yes_ask_size: int = 0
    last_trade_size: int = 0
    volume: int = 0
    open_interest: int = 0
    dollar_volume: int = 0  # whole dollars
    dollar_open_interest: int = 0  # whole dollars
    time_ns: int = 0


class Trade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One match, as the public sees it."""

    trade_id: str
    ticker: str
    yes_price: int
    count: int
    taker_side: Side  # the outcome the taker acquired: yes is a bid, no is an ask
    is_block_trade: bool = False
    time_ns: int


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an order. Both generations of order entry map onto it:

    the first gives `side` and `action` (a no price q is the yes price 1 - q); in the second a bid
    is buy/yes and an ask is sell/yes.
    """

    ticker: str
    side: Side
    action: Action
    price: int  # of the yes leg
    count: int
    client_order_id: str = ""  # "": the exchange makes one
    time_in_force: TimeInForce = "good_till_canceled"
    expiration_ns: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    cancel_order_on_pause: bool = False
    buy_max_cost: int | None = None  # money; implies fill_or_kill
    self_trade_prevention_type: SelfTradePrevention = "taker_at_cross"
    order_group_id: str = ""
    subaccount: int = 0
    order_type: Literal["limit", "market"] = "limit"


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """A request to change a resting order; `count` is the new total, filled part included."""

    price: int  # of the yes leg
    count: int
    ticker: str = ""  # "": not checked; the same for `side` and `action`
    side: Side | None = None
    action: Action | None = None
    client_order_id: str = ""  # "": not checked
    updated_client_order_id: str = ""  # "": unchanged


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order as it stands; every change makes a new one."""

    order_id: str
    account: str
    user_id: str
    client_order_id: str
    ticker: str
    side: Side  # as it was asked for, with `action`
    action: Action
    order_type: Literal["limit", "market"]
    status: OrderStatus
    yes_price: int
    initial_count: int
    fill_count: int
    remaining_count: int  # 0 as soon as it is canceled
    taker_fill_cost: int  # money
    maker_fill_cost: int
    taker_fees: int
    maker_fees: int
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    cancel_order_on_pause: bool
    self_trade_prevention_type: SelfTradePrevention
    order_group_id: str
    subaccount: int
    expiration_ns: int | None
    created_ns: int
    updated_ns: int
    last_update_reason: str  # of 7.8; "" when new, and after a plain cancel

    @property
    def is_bid(self) -> bool:
        """Whether it adds to the yes position."""
        return (self.side == "yes") == (self.action == "buy")

    @property
    def outcome_side(self) -> Side:
        """The outcome it acquires."""
        return "yes" if self.is_bid else "no"


class Reduction(msgspec.Struct, frozen=True):
    """The answer to a cancel: the order, and how much rested until then."""

    order: Order
    reduced_by: int


class Fill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One account's half of a match."""

    trade_id: str
    order_id: str
    client_order_id: str
    account: str
    ticker: str
    outcome_side: Side  # acquired: yes is a bid, no is an ask
    action: Action  # of the order; carries no sign
    yes_price: int
    count: int
    is_taker: bool
    fee: int  # money
    post_position: int  # count, negative is no contracts
    subaccount: int
    time_ns: int


class Position(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an account holds in one market, and what that has cost."""

    account: str
    user_id: str
    ticker: str
    position: int = 0  # count, negative is no contracts
    position_cost: int = 0  # money paid for what is held, fees apart
    realized_pnl: int = 0
    fees_paid: int = 0
    position_fee_cost: int = 0  # fees paid for what is held
    volume: int = 0  # count ever traded
    total_traded: int = 0  # money ever traded
    updated_ns: int = 0


class Balance(msgspec.Struct, frozen=True):
    """An account's money."""

    available: int  # cash that no resting order reserves
    cash: int
    portfolio_value: int  # positions at the last price
    updated_ns: int


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What a settled market paid to one account."""

    account: str
    ticker: str
    event_ticker: str
    market_result: str
    yes_count: int
    no_count: int
    yes_total_cost: int
    no_total_cost: int
    revenue: int
    fee_cost: int
    value: int  # price: what one yes contract paid
    settled_ns: int


class OrderGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A cap on what its orders match within the rolling window."""

    group_id: str
    account: str
    contracts_limit: int
    is_triggered: bool = False
    order_ids: tuple[str, ...] = ()  # those that rest
    subaccount: int = 0


class Rfq(msgspec.Struct, frozen=True, kw_only=True):
    """A request for quotes. One of `contracts` and `target_cost` is set."""

    rfq_id: str
    account: str
    creator_id: str  # anonymised
    market_ticker: str
    event_ticker: str
    contracts: int | None = None
    target_cost: int | None = None
    mve_collection_ticker: str = ""
    mve_selected_legs: tuple[SelectedLeg, ...] = ()
    is_open: bool = True
    created_ns: int = 0
    deleted_ns: int | None = None


class RfqQuote(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to an RFQ: the quoter's bid for either outcome; 0 is no bid."""

    quote_id: str
    rfq_id: str
    account: str  # the quoter
    quote_creator_id: str  # anonymised
    rfq_account: str
    rfq_creator_id: str  # anonymised
    market_ticker: str
    event_ticker: str
    yes_bid: int
    no_bid: int  # of the no leg
    yes_contracts_offered: int
    no_contracts_offered: int
    rfq_target_cost: int | None = None
    status: QuoteStatus = "open"
    accepted_side: Side | None = None  # what the quoter buys
    contracts_accepted: int | None = None
    created_ns: int = 0
    subaccount: int = 0


class CandlePrices(msgspec.Struct, frozen=True, gc=False):
    """Open, high, low and close of a price within a period."""

    open: int
    high: int
    low: int
    close: int


class MarketCandle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A market's candle of 1, 60 or 1 440 minutes."""

    end_s: int  # inclusive end of the period
    yes_bid: CandlePrices
    yes_ask: CandlePrices
    price: CandlePrices | None  # None: no trade in the period
    mean: int | None  # volume-weighted trade price
    previous: int | None  # last trade price before the period
    volume: int
    open_interest: int
