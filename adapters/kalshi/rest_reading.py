"""REST bodies to values: per field, whichever generation wrote it."""

import msgspec

from adapters.kalshi.messages import Book, Fill, Levels, MarketPosition, Trade, UserOrder
from adapters.kalshi.reading_private import user_order
from adapters.kalshi.rest_values import (
    Balance,
    EndpointCost,
    EndpointCosts,
    ExchangeStatus,
    HistoricalCutoff,
    ItemFailure,
    Limits,
    Market,
    MarketCandle,
    MarketEvent,
    OrderAnswer,
    OrderGroup,
    Prices,
    Series,
    Settlement,
)
from adapters.kalshi.units import DOLLAR, seconds
from adapters.kalshi.values import (
    count,
    instant,
    ladder,
    money,
    money_or_cents,
    needed,
    number,
    outcome,
    price,
    price_ranges,
    signed_count,
)
from adapters.kalshi.wire_rest import (
    AcknowledgementBody,
    BalanceBody,
    BooksBody,
    CandleBody,
    CostsBody,
    CutoffBody,
    ErrorDetails,
    EventBody,
    FillBody,
    FlatError,
    GroupBody,
    LimitsBody,
    MarketBody,
    OrderBody,
    PositionBody,
    PricesBody,
    SeriesBody,
    SettlementBody,
    StatusBody,
    TradeBody,
)

NOTHING = PricesBody()


def read_error(status: int, body: bytes) -> tuple[str, str]:
    """Return code and text of a refusal, in any of the three shapes (K63)."""
    flat = msgspec.json.decode(body, type=FlatError)
    inner = bytes(flat.error)
    if inner.startswith(b"{"):
        details = msgspec.json.decode(inner, type=ErrorDetails)
        texts = [text for text in (details.message, details.details) if text]
        return details.code or "", ": ".join(dict.fromkeys(texts))
    if inner and inner != b"null":
        return "", msgspec.json.decode(inner, type=str)
    return flat.code or "", flat.message or ""


def order(body: OrderBody) -> UserOrder:
    """Return an order; buying yes and selling no are for yes."""
    acquired = outcome(body.outcome_side, body.book_side, None)
    if acquired is None and body.side is not None:
        acquired = "yes" if (body.side == "yes") == (body.action != "sell") else "no"
    return user_order(msgspec.structs.replace(body, outcome_side=acquired))


def fill(body: FillBody) -> Fill:
    """Return a fill; one without an identity would be booked twice, and is refused."""
    return Fill(
        trade_id=needed(body.trade_id or body.fill_id, "trade_id"),
        order_id=needed(body.order_id, "order_id"),
        client_order_id=body.client_order_id or "",
        market_ticker=needed(body.ticker or body.market_ticker, "ticker"),
        outcome_side=needed(outcome(body.outcome_side, body.book_side, body.side), "side"),
        yes_price=needed(price(body.yes_price_dollars, body.yes_price), "yes_price"),
        count=needed(count(body.count_fp, body.count), "count"),
        is_taker=body.is_taker,
        fee_cost=money(body.fee_cost),
        subaccount=body.subaccount_number or 0,
        time_ns=instant(body.created_time or body.ts, body.ts_ms),
    )


def position(body: PositionBody) -> MarketPosition:
    """Return what is held of a market."""
    return MarketPosition(
        market_ticker=body.ticker,
        position=needed(signed_count(body.position_fp, body.position), "position"),
        position_cost=money_or_cents(body.market_exposure_dollars, body.market_exposure),
        realized_pnl=money_or_cents(body.realized_pnl_dollars, body.realized_pnl),
        fees_paid=money_or_cents(body.fees_paid_dollars, body.fees_paid),
        time_ns=instant(body.last_updated_ts),
    )


def settlement(body: SettlementBody) -> Settlement:
    """Return what a market paid."""
    return Settlement(
        ticker=body.ticker,
        result=body.market_result or "",
        yes_count=count(body.yes_count_fp, body.yes_count) or 0,
        no_count=count(body.no_count_fp, body.no_count) or 0,
        revenue=needed(money_or_cents(None, body.revenue), "revenue"),
        fee_cost=money(body.fee_cost) or 0,
        settled_ns=instant(body.settled_time),
        event_ticker=body.event_ticker or "",
        yes_total_cost=money_or_cents(body.yes_total_cost_dollars, body.yes_total_cost),
        no_total_cost=money_or_cents(body.no_total_cost_dollars, body.no_total_cost),
        value=price(None, body.value),
    )


def balance(body: BalanceBody) -> Balance:
    """Return the cash; dollars where they come, else cents."""
    return Balance(
        cash=needed(money_or_cents(body.balance_dollars, body.balance), "balance"),
        portfolio_value=money_or_cents(None, body.portfolio_value) or 0,
        updated_ns=instant(body.updated_ts),
    )


def trade(body: TradeBody) -> Trade:
    """Return a trade of the tape."""
    yes_price = needed(price(body.yes_price_dollars, body.yes_price), "yes_price")
    return Trade(
        trade_id=body.trade_id,
        market_ticker=body.ticker,
        yes_price=yes_price,
        no_price=DOLLAR - yes_price,
        count=needed(count(body.count_fp, body.count), "count"),
        taker_side=outcome(body.taker_outcome_side, body.taker_book_side, body.taker_side),
        is_block_trade=bool(body.is_block_trade),
        time_ns=instant(body.created_time),
    )


def market(body: MarketBody) -> Market:
    """Return a market."""
    return Market(
        ticker=body.ticker,
        event_ticker=body.event_ticker or "",
        market_type=body.market_type or "binary",
        title=body.title or "",
        subtitle=body.subtitle or "",
        yes_sub_title=body.yes_sub_title or "",
        no_sub_title=body.no_sub_title or "",
        status=body.status or "",
        created_ns=instant(body.created_time),
        updated_ns=instant(body.updated_time),
        open_ns=instant(body.open_time),
        close_ns=instant(body.close_time),
        expected_expiration_ns=instant(body.expected_expiration_time),
        latest_expiration_ns=instant(body.latest_expiration_time),
        settled_ns=instant(body.settlement_ts),
        settlement_timer_s=body.settlement_timer_seconds,
        yes_bid=price(body.yes_bid_dollars, body.yes_bid),
        yes_ask=price(body.yes_ask_dollars, body.yes_ask),
        yes_bid_size=count(body.yes_bid_size_fp),
        yes_ask_size=count(body.yes_ask_size_fp),
        last_price=price(body.last_price_dollars, body.last_price),
        previous_price=price(body.previous_price_dollars, body.previous_price),
        volume=count(body.volume_fp, body.volume),
        volume_24h=count(body.volume_24h_fp, body.volume_24h),
        open_interest=count(body.open_interest_fp, body.open_interest),
        result=body.result or "",
        settlement_value=price(body.settlement_value_dollars),
        notional_value=money(body.notional_value_dollars),
        strike_type=body.strike_type or "",
        floor_strike=number(body.floor_strike),
        cap_strike=number(body.cap_strike),
        can_close_early=bool(body.can_close_early),
        is_fractional=bool(body.fractional_trading_enabled),
        price_level_structure=body.price_level_structure or "",
        price_ranges=price_ranges(body.price_ranges),
    )


def candle(body: CandleBody) -> MarketCandle:
    """Return a candle; its inclusive end is the second before the next one begins, or that."""
    end_s = body.end_period_ts + (-body.end_period_ts) % 60
    return MarketCandle(
        end_ns=seconds(end_s),
        price=_prices(body.price or NOTHING),
        yes_bid=_prices(body.yes_bid or NOTHING),
        yes_ask=_prices(body.yes_ask or NOTHING),
        volume=count(body.volume_fp, body.volume) or 0,
        open_interest=count(body.open_interest_fp, body.open_interest) or 0,
    )


def _prices(body: PricesBody) -> Prices:
    return Prices(
        price(body.open_dollars, body.open),
        price(body.high_dollars, body.high),
        price(body.low_dollars, body.low),
        price(body.close_dollars, body.close),
        price(body.previous_dollars, body.previous),
    )


def event(body: EventBody) -> MarketEvent:
    """Return an event with its markets, where they came."""
    return MarketEvent(
        event_ticker=body.event_ticker,
        series_ticker=body.series_ticker or "",
        title=body.title or "",
        sub_title=body.sub_title or "",
        collateral_return_type=body.collateral_return_type or "",
        is_mutually_exclusive=bool(body.mutually_exclusive),
        strike_ns=instant(body.strike_date),
        markets=tuple(market(item) for item in body.markets or ()),
    )


def series(body: SeriesBody, ticker: str) -> Series:
    """Return a series."""
    return Series(
        body.ticker or ticker, body.title or "", body.fee_type or "", number(body.fee_multiplier)
    )


def book(body: BooksBody, ticker: str = "") -> Book:
    """Return a REST book. It has no number: it can be compared with a stream, not joined to it."""
    sides = needed(body.orderbook_fp or body.orderbook, "orderbook")
    return Book(
        ticker or needed(body.ticker, "ticker"),
        "",
        _ladder(sides.yes_dollars, sides.yes),
        _ladder(sides.no_dollars, sides.no),
    )


def _ladder(
    dollars: list[tuple[str, str | int]] | None, cents: list[tuple[int, int]] | None
) -> Levels:
    """Return one side; counts beside dollars are texts, or whole contracts on older servers."""
    if dollars is None:
        return ladder(None, None, cents)
    texts = [(at, size if isinstance(size, str) else str(size)) for at, size in dollars]
    return ladder(texts, None, None)


def acknowledgement(body: AcknowledgementBody) -> OrderAnswer:
    """Return a thin answer with the status that its counts tell (section 10.5)."""
    filled, remaining = count(body.fill_count), count(body.remaining_count)
    return OrderAnswer(
        order_id=body.order_id,
        client_order_id=body.client_order_id or "",
        status=_status(filled, remaining, is_cancel=body.reduced_by is not None),
        fill_count=filled or 0,
        remaining_count=remaining or 0,
        reduced_by=count(body.reduced_by) or 0,
        time_ns=instant(None, body.ts_ms),
    )


def _status(filled: int | None, remaining: int | None, *, is_cancel: bool) -> str:
    """Return what the counts of a thin answer mean; "" where too few of them came."""
    if remaining:
        return "resting"
    if is_cancel:
        return "canceled"
    if remaining is None:
        return ""
    return "executed" if filled else "canceled"


def answer_of(found: UserOrder, reduced_by: str | None = None) -> OrderAnswer:
    """Return a whole order as the answer to a request about it."""
    return OrderAnswer(
        order_id=found.order_id,
        client_order_id=found.client_order_id,
        status=found.status,
        fill_count=found.fill_count,
        remaining_count=found.remaining_count,
        reduced_by=count(reduced_by) or 0,
        time_ns=found.last_update_ns or found.created_ns,
    )


def failure(details: ErrorDetails, client_order_id: str, order_id: str) -> ItemFailure:
    """Return why an item of a batch failed."""
    texts = [text for text in (details.message, details.details) if text]
    return ItemFailure(client_order_id, order_id, details.code or "", ": ".join(texts))


def group(body: GroupBody, group_id: str = "") -> OrderGroup:
    """Return an order group."""
    return OrderGroup(
        body.id or body.order_group_id or group_id,
        count(body.contracts_limit_fp, body.contracts_limit),
        bool(body.is_auto_cancel_enabled),
        tuple(body.orders or ()),
    )


def status(body: StatusBody) -> ExchangeStatus:
    """Return whether the exchange is up."""
    resumes_ns = instant(body.exchange_estimated_resume_time)
    return ExchangeStatus(body.exchange_active, body.trading_active, resumes_ns)


def cutoff(body: CutoffBody) -> HistoricalCutoff:
    """Return where the past begins."""
    return HistoricalCutoff(
        instant(body.market_settled_ts),
        instant(body.trades_created_ts),
        instant(body.orders_updated_ts),
    )


def limits(body: LimitsBody) -> Limits:
    """Return what the account may spend, of either shape."""
    tier = body.usage_tier or ""
    read, write = body.read, body.write
    if read is None or write is None:
        return Limits(
            tier, needed(body.read_limit, "read_limit"), needed(body.write_limit, "write_limit")
        )
    return Limits(
        tier,
        needed(read.refill_rate, "refill_rate"),
        needed(write.refill_rate, "refill_rate"),
        read.bucket_capacity,
        write.bucket_capacity,
    )


def endpoint_costs(body: CostsBody) -> EndpointCosts:
    """Return what requests cost."""
    return EndpointCosts(
        needed(body.default_cost, "default_cost"),
        tuple(
            EndpointCost(item.method, item.path, item.cost) for item in body.endpoint_costs or ()
        ),
    )
