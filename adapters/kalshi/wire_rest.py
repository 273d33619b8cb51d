"""Bodies of REST answers in the venue's words, all generations at once (section 10)."""

import msgspec

from adapters.kalshi.wire import (
    BookSide,
    CentLadder,
    Cents,
    Contracts,
    Count,
    Flag,
    Index,
    Milliseconds,
    Moment,
    Money,
    Number,
    Price,
    RangeBody,
    Side,
    SignedContracts,
    SignedCount,
    Subaccount,
    SureMoney,
    Text,
    WholeCents,
)
from adapters.kalshi.wire_private import UserOrderBody


class OrderBody(UserOrderBody, frozen=True, gc=False):
    """An order of `GET /portfolio/orders` and of the first generation's answers.

    It has an `action` that the frame lacks: `side` is then what was ordered, not what is acquired.
    """

    action: Text = None


class FillBody(msgspec.Struct, frozen=True, gc=False):
    """A fill; `side` alone is the outcome acquired."""

    trade_id: Text = None
    fill_id: Text = None
    order_id: Text = None
    client_order_id: Text = None
    ticker: Text = None
    market_ticker: Text = None
    side: Side | None = None
    outcome_side: Side | None = None
    book_side: BookSide | None = None
    count_fp: Count = None
    count: Contracts = None
    yes_price_dollars: Price = None
    yes_price: Cents = None
    is_taker: Flag = None
    fee_cost: Money = None
    created_time: Moment = None
    ts: Moment = None
    ts_ms: Milliseconds = None
    subaccount_number: Subaccount = None


class PositionBody(msgspec.Struct, frozen=True, gc=False):
    """What is held of one market; legacy money is in cents here, unlike on the stream."""

    ticker: str
    position_fp: SignedCount = None
    position: SignedContracts = None
    market_exposure_dollars: Money = None
    market_exposure: WholeCents = None
    realized_pnl_dollars: Money = None
    realized_pnl: WholeCents = None
    fees_paid_dollars: Money = None
    fees_paid: WholeCents = None
    last_updated_ts: Moment = None


class SettlementBody(msgspec.Struct, frozen=True, gc=False):
    """What a market paid when it was settled."""

    ticker: str
    event_ticker: Text = None
    market_result: Text = None
    yes_count_fp: Count = None
    yes_count: Contracts = None
    no_count_fp: Count = None
    no_count: Contracts = None
    yes_total_cost_dollars: Money = None
    yes_total_cost: WholeCents = None
    no_total_cost_dollars: Money = None
    no_total_cost: WholeCents = None
    revenue: WholeCents = None
    fee_cost: SureMoney = None
    value: Cents = None
    settled_time: Moment = None


class BalanceBody(msgspec.Struct, frozen=True, gc=False):
    """Cash and the value of positions, in cents; newer servers name dollars too."""

    balance: WholeCents = None
    balance_dollars: Money = None
    portfolio_value: WholeCents = None
    updated_ts: Moment = None


class TradeBody(msgspec.Struct, frozen=True, gc=False):
    """One trade of the tape."""

    trade_id: str
    ticker: str
    count_fp: Count = None
    count: Contracts = None
    yes_price_dollars: Price = None
    yes_price: Cents = None
    taker_side: Side | None = None
    taker_outcome_side: Side | None = None
    taker_book_side: BookSide | None = None
    is_block_trade: Flag = None
    created_time: Moment = None


class MarketBody(msgspec.Struct, frozen=True, gc=False):
    """A market, without the long texts of its rules."""

    ticker: str
    event_ticker: Text = None
    market_type: Text = None
    title: Text = None
    subtitle: Text = None
    yes_sub_title: Text = None
    no_sub_title: Text = None
    status: Text = None
    created_time: Moment = None
    updated_time: Moment = None
    open_time: Moment = None
    close_time: Moment = None
    expected_expiration_time: Moment = None
    latest_expiration_time: Moment = None
    settlement_ts: Moment = None
    settlement_timer_seconds: Index = None
    yes_bid_dollars: Price = None
    yes_bid: Cents = None
    yes_ask_dollars: Price = None
    yes_ask: Cents = None
    yes_bid_size_fp: Count = None
    yes_ask_size_fp: Count = None
    last_price_dollars: Price = None
    last_price: Cents = None
    previous_price_dollars: Price = None
    previous_price: Cents = None
    volume_fp: Count = None
    volume: Contracts = None
    volume_24h_fp: Count = None
    volume_24h: Contracts = None
    open_interest_fp: Count = None
    open_interest: Contracts = None
    result: Text = None
    settlement_value_dollars: Price = None
    notional_value_dollars: Money = None
    strike_type: Text = None
    floor_strike: Number = None
    cap_strike: Number = None
    can_close_early: Flag = None
    fractional_trading_enabled: Flag = None
    price_level_structure: Text = None
    price_ranges: list[RangeBody] | None = None


class PricesBody(msgspec.Struct, frozen=True, gc=False):
    """Open, high, low and close of one line of a candle; null where nothing traded."""

    open_dollars: Price = None
    high_dollars: Price = None
    low_dollars: Price = None
    close_dollars: Price = None
    previous_dollars: Price = None
    open: Cents = None
    high: Cents = None
    low: Cents = None
    close: Cents = None
    previous: Cents = None


class CandleBody(msgspec.Struct, frozen=True, gc=False):
    """One candle; `end_period_ts` is its end, inclusive."""

    end_period_ts: int
    price: PricesBody | None = None
    yes_bid: PricesBody | None = None
    yes_ask: PricesBody | None = None
    volume_fp: Count = None
    volume: Contracts = None
    open_interest_fp: Count = None
    open_interest: Contracts = None


class MarketCandlesBody(msgspec.Struct, frozen=True, gc=False):
    """The candles of one market of the bulk form."""

    market_ticker: Text = None
    ticker: Text = None
    candlesticks: list[msgspec.Raw] | None = None


class EventBody(msgspec.Struct, frozen=True, gc=False):
    """What groups markets."""

    event_ticker: str
    series_ticker: Text = None
    title: Text = None
    sub_title: Text = None
    collateral_return_type: Text = None
    mutually_exclusive: Flag = None
    strike_date: Moment = None
    markets: list[MarketBody] | None = None


class SeriesBody(msgspec.Struct, frozen=True, gc=False):
    """What groups events, and its fees."""

    ticker: Text = None
    title: Text = None
    fee_type: Text = None
    fee_multiplier: Number = None


class ErrorDetails(msgspec.Struct, frozen=True, gc=False):
    """The inner part of the newest error shape."""

    code: Text = None
    message: Text = None
    details: Text = None


class AcknowledgementBody(msgspec.Struct, frozen=True, gc=False):
    """The thin answer of the second generation; counts are texts without a suffix."""

    order_id: str
    client_order_id: Text = None
    fill_count: Count = None
    remaining_count: Count = None
    reduced_by: Count = None
    ts_ms: Milliseconds = None


class GroupBody(msgspec.Struct, frozen=True, gc=False):
    """An order group, alone or in a list."""

    id: Text = None
    order_group_id: Text = None
    contracts_limit_fp: Count = None
    contracts_limit: Contracts = None
    is_auto_cancel_enabled: Flag = None
    orders: list[str] | None = None


class CutoffBody(msgspec.Struct, frozen=True, gc=False):
    """Where the past begins that only `/historical` has."""

    market_settled_ts: Moment = None
    trades_created_ts: Moment = None
    orders_updated_ts: Moment = None


class QueueBody(msgspec.Struct, frozen=True, gc=False):
    """What is ahead of one order."""

    order_id: str
    queue_position_fp: Count = None
    queue_position: Contracts = None


class StatusBody(msgspec.Struct, frozen=True, gc=False):
    """Whether the exchange is up; a 5xx of `GET /exchange/status` has it too."""

    exchange_active: bool
    trading_active: bool
    exchange_estimated_resume_time: Moment = None


class FreshnessBody(msgspec.Struct, frozen=True, gc=False):
    """As of when portfolio reads speak."""

    as_of_time: Moment = None


class CostBody(msgspec.Struct, frozen=True, gc=False):
    """What one endpoint costs."""

    method: str
    path: str
    cost: float


class CostsBody(msgspec.Struct, frozen=True, gc=False):
    """The endpoints that cost other than the default."""

    default_cost: float | None = None
    endpoint_costs: list[CostBody] | None = None


class BucketBody(msgspec.Struct, frozen=True, gc=False):
    """A token bucket of `GET /account/limits`."""

    bucket_capacity: float | None = None
    refill_rate: float | None = None


class LimitsBody(msgspec.Struct, frozen=True, gc=False):
    """`GET /account/limits`, flat as documented or nested as served."""

    usage_tier: Text = None
    read_limit: float | None = None
    write_limit: float | None = None
    read: BucketBody | None = None
    write: BucketBody | None = None


class BookBody(msgspec.Struct, frozen=True, gc=False):
    """Both sides of a REST book, whose names are not those of the stream."""

    yes_dollars: list[tuple[str, str | int]] | None = None
    no_dollars: list[tuple[str, str | int]] | None = None
    yes: CentLadder = None
    no: CentLadder = None


class BooksBody(msgspec.Struct, frozen=True, gc=False):
    """One market's book under either key, with its ticker in the bulk form."""

    ticker: Text = None
    orderbook_fp: BookBody | None = None
    orderbook: BookBody | None = None


class FlatError(msgspec.Struct, frozen=True, gc=False):
    """The outer part of the three error shapes."""

    code: Text = None
    message: Text = None
    error: msgspec.Raw = msgspec.Raw()
