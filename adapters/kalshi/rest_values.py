"""What REST answers say: integers in the units of `messages`, the same for all generations."""

from decimal import Decimal

import msgspec

from adapters.kalshi.messages import PriceRange


class ExchangeStatus(msgspec.Struct, frozen=True, gc=False):
    """Whether the exchange is up, and trades."""

    is_active: bool
    is_trading: bool
    resumes_ns: int | None = None


class Market(msgspec.Struct, frozen=True, gc=False):
    """One market: its grid, its state, its newest prices."""

    ticker: str
    event_ticker: str = ""
    market_type: str = "binary"
    title: str = ""
    subtitle: str = ""
    yes_sub_title: str = ""
    no_sub_title: str = ""
    status: str = ""
    created_ns: int | None = None
    updated_ns: int | None = None
    open_ns: int | None = None
    close_ns: int | None = None
    expected_expiration_ns: int | None = None
    latest_expiration_ns: int | None = None
    settled_ns: int | None = None
    settlement_timer_s: int | None = None
    yes_bid: int | None = None
    yes_ask: int | None = None
    yes_bid_size: int | None = None
    yes_ask_size: int | None = None
    last_price: int | None = None
    previous_price: int | None = None
    volume: int | None = None
    volume_24h: int | None = None
    open_interest: int | None = None
    result: str = ""
    settlement_value: int | None = None
    notional_value: int | None = None
    strike_type: str = ""
    floor_strike: Decimal | None = None
    cap_strike: Decimal | None = None
    can_close_early: bool = False
    is_fractional: bool = False
    price_level_structure: str = ""
    price_ranges: tuple[PriceRange, ...] = ()


class Prices(msgspec.Struct, frozen=True, gc=False):
    """Open, high, low, close; None where nothing traded or stood."""

    open: int | None
    high: int | None
    low: int | None
    close: int | None
    previous: int | None = None


class MarketCandle(msgspec.Struct, frozen=True, gc=False):
    """One candle of trades, bids and asks; `end_ns` is its end, the next one's beginning."""

    end_ns: int
    price: Prices
    yes_bid: Prices
    yes_ask: Prices
    volume: int
    open_interest: int


class MarketEvent(msgspec.Struct, frozen=True, gc=False):
    """What groups markets."""

    event_ticker: str
    series_ticker: str = ""
    title: str = ""
    sub_title: str = ""
    collateral_return_type: str = ""
    is_mutually_exclusive: bool = False
    strike_ns: int | None = None
    markets: tuple[Market, ...] = ()


class Series(msgspec.Struct, frozen=True, gc=False):
    """What groups events, and its fees."""

    ticker: str
    title: str = ""
    fee_type: str = ""
    fee_multiplier: Decimal | None = None


class Balance(msgspec.Struct, frozen=True, gc=False):
    """Cash that can be used, and the value of positions, in 1/1_000_000 dollar."""

    cash: int
    portfolio_value: int = 0
    updated_ns: int | None = None


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """What a settled market paid; money in 1/1_000_000 dollar, `value` is a price."""

    ticker: str
    result: str
    yes_count: int
    no_count: int
    revenue: int
    fee_cost: int = 0
    settled_ns: int | None = None
    event_ticker: str = ""
    yes_total_cost: int | None = None
    no_total_cost: int | None = None
    value: int | None = None


class HistoricalCutoff(msgspec.Struct, frozen=True, gc=False):
    """What is older than this is only in the `is_historical` lists."""

    market_settled_ns: int | None = None
    trades_created_ns: int | None = None
    orders_updated_ns: int | None = None


class EndpointCost(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one request; for a batch, of each item."""

    method: str
    path: str
    cost: float


class EndpointCosts(msgspec.Struct, frozen=True, gc=False):
    """What a request costs that is not listed, and those that are."""

    default_cost: float
    costs: tuple[EndpointCost, ...] = ()


class OrderAnswer(msgspec.Struct, frozen=True, gc=False):
    """How an order stands after a request about it.

    The second generation names no status: it is inferred (section 10.5), and "" where the answer
    has no counts to infer it from. `reduced_by` is what a cancel took away.
    """

    order_id: str
    client_order_id: str
    status: str
    fill_count: int
    remaining_count: int
    reduced_by: int = 0
    time_ns: int | None = None


class ItemFailure(msgspec.Struct, frozen=True, gc=False):
    """Why one item of a batch failed."""

    client_order_id: str
    order_id: str
    code: str
    text: str


class OrderGroup(msgspec.Struct, frozen=True, gc=False):
    """A cap on contracts matched in 15 seconds, and the orders under it."""

    id: str
    contracts_limit: int | None = None
    is_auto_cancel_enabled: bool = False
    orders: tuple[str, ...] = ()


class NewOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An order to create: `is_bid` buys yes at `price`, else sells it, which is to buy no."""

    ticker: str
    client_order_id: str
    is_bid: bool
    count: int
    price: int
    time_in_force: str = "good_till_canceled"
    self_trade_prevention_type: str = "taker_at_cross"
    expiration_s: int | None = None
    is_post_only: bool = False
    is_reduce_only: bool = False
    cancels_on_pause: bool = False
    order_group_id: str = ""
    subaccount: int = 0
    exchange_index: int = 0


class Amendment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A new price and total count (filled and wanted) of an order."""

    ticker: str
    is_bid: bool
    count: int
    price: int
    client_order_id: str = ""
    updated_client_order_id: str = ""


class Limits(msgspec.Struct, frozen=True, gc=False):
    """Tokens per second that the venue grants; capacities where it names them."""

    usage_tier: str
    read_per_s: float
    write_per_s: float
    read_capacity: float | None = None
    write_capacity: float | None = None
