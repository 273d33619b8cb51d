"""Bodies of public frames, and replies to commands, to messages."""

from adapters.kalshi import units
from adapters.kalshi.messages import (
    Book,
    EventFeeUpdate,
    EventLifecycle,
    Level,
    MarketLifecycle,
    MultivariateLookup,
    Okay,
    Refusal,
    Ticker,
    Trade,
)
from adapters.kalshi.values import (
    count,
    instant,
    json_text,
    ladders,
    legs,
    metadata,
    needed,
    number,
    outcome,
    price,
    price_ranges,
    quoted_price,
    signed_count,
    whole_dollars,
)
from adapters.kalshi.wire import (
    DeltaBody,
    ErrorBody,
    EventFeeUpdateBody,
    EventLifecycleBody,
    MarketLifecycleBody,
    Markets,
    MultivariateLookupBody,
    SnapshotBody,
    TickerBody,
    TradeBody,
)


def ticker(body: TickerBody) -> Ticker:
    """Both quotes must have come, if only as "" for none."""
    return Ticker(
        market_ticker=body.market_ticker,
        market_id=body.market_id or "",
        price=price(body.price_dollars, body.price),
        yes_bid=quoted_price(body.yes_bid_dollars, body.yes_bid, "yes_bid"),
        yes_ask=quoted_price(body.yes_ask_dollars, body.yes_ask, "yes_ask"),
        volume=count(body.volume_fp, body.volume),
        open_interest=count(body.open_interest_fp, body.open_interest),
        dollar_volume=whole_dollars(body.dollar_volume),
        dollar_open_interest=whole_dollars(body.dollar_open_interest),
        yes_bid_size=count(body.yes_bid_size_fp),
        yes_ask_size=count(body.yes_ask_size_fp),
        last_trade_size=count(body.last_trade_size_fp),
        time_ns=instant(body.ts, body.ts_ms, body.time),
    )


def trade(body: TradeBody) -> Trade:
    """A leg's price that did not come is what the other leaves of a dollar."""
    yes_price = price(body.yes_price_dollars, body.yes_price)
    no_price = price(body.no_price_dollars, body.no_price)
    if yes_price is None:
        yes_price = units.DOLLAR - needed(no_price, "yes_price")
    return Trade(
        trade_id=body.trade_id,
        market_ticker=body.market_ticker,
        yes_price=yes_price,
        no_price=units.DOLLAR - yes_price if no_price is None else no_price,
        count=needed(count(body.count_fp, body.count), "count"),
        taker_side=outcome(body.taker_outcome_side, body.taker_book_side, body.taker_side),
        is_block_trade=bool(body.is_block_trade),
        time_ns=instant(body.ts, body.ts_ms),
    )


def book(body: SnapshotBody) -> Book:
    """A ladder that is there must be readable: an empty side is a statement."""
    yes, no = ladders(body)
    return Book(body.market_ticker, body.market_id or "", yes, no)


def level(body: DeltaBody) -> Level:
    """A price, a change and a side must have come."""
    return Level(
        body.market_ticker,
        body.market_id or "",
        body.side,
        needed(price(body.price_dollars, body.price), "price"),
        needed(signed_count(body.delta_fp, body.delta), "delta"),
        body.client_order_id or "",
        instant(body.ts, body.ts_ms),
        body.subaccount or 0,
    )


def market_lifecycle(body: MarketLifecycleBody) -> MarketLifecycle:
    """Which fields came depends on `event_type`."""
    about = body.additional_metadata
    return MarketLifecycle(
        event_type=body.event_type,
        market_ticker=body.market_ticker,
        open_ns=instant(body.open_ts),
        close_ns=instant(body.close_ts),
        is_deactivated=body.is_deactivated,
        result=body.result or "",
        settlement_value=price(body.settlement_value),
        determination_ns=instant(body.determination_ts),
        settled_ns=instant(body.settled_ts),
        additional_metadata=None if about is None else metadata(about),
        price_level_structure=body.price_level_structure or "",
        price_ranges=price_ranges(body.price_ranges),
        strike_type=body.strike_type or "",
        floor_strike=number(body.floor_strike),
        cap_strike=number(body.cap_strike),
        custom_strike=json_text(body.custom_strike),
        yes_sub_title=body.yes_sub_title or "",
        exchange_index=body.exchange_index or 0,
        time_ns=instant(body.ts, body.ts_ms),
    )


def event_lifecycle(body: EventLifecycleBody) -> EventLifecycle:
    """The subtitle had another spelling once."""
    return EventLifecycle(
        event_ticker=body.event_ticker,
        title=body.title or "",
        subtitle=body.subtitle or body.sub_title or "",
        collateral_return_type=body.collateral_return_type or "",
        series_ticker=body.series_ticker or "",
        strike_ns=instant(body.strike_date),
        strike_period=body.strike_period or "",
        exchange_index=body.exchange_index or 0,
        time_ns=instant(body.ts, body.ts_ms),
    )


def event_fee_update(body: EventFeeUpdateBody) -> EventFeeUpdate:
    """Both overrides are null once they are cleared."""
    return EventFeeUpdate(
        event_ticker=body.event_ticker,
        fee_type_override=body.fee_type_override,
        fee_multiplier_override=number(body.fee_multiplier_override),
        time_ns=instant(body.ts, body.ts_ms),
    )


def multivariate_lookup(body: MultivariateLookupBody) -> MultivariateLookup:
    """Only the two older generations have it."""
    return MultivariateLookup(
        collection_ticker=body.collection_ticker,
        event_ticker=body.event_ticker,
        market_ticker=body.market_ticker,
        selected_markets=legs(body.selected_markets),
        time_ns=instant(body.ts, body.ts_ms),
    )


def refusal(body: ErrorBody) -> Refusal:
    """The markets come as one or as several; a code that did not is 0."""
    markets = body.market_tickers or ([body.market_ticker] if body.market_ticker else [])
    return Refusal(code=body.code or 0, text=body.msg or "", market_tickers=tuple(markets))


def okay(body: Markets) -> Okay:
    """Either list may be missing, for `skip_ticker_ack` both are."""
    return Okay(
        market_tickers=tuple(body.market_tickers or ()),
        subscriptions=tuple((entry.channel, entry.sid) for entry in body.subscriptions or ()),
    )
