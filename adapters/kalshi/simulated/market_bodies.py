"""What public reads say, in the three profiles: the old one adds cents and whole contracts.

Plain dictionaries: which fields there are depends on the profile and on the market, and each is
named once. Source: section 10.2 of the protocol notes.
"""

from typing import Any, TypeAlias

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.domain import (
    DOLLAR,
    Book,
    CandlePrices,
    EventInfo,
    Market,
    MarketCandle,
    SeriesInfo,
    TickerState,
    Trade,
)
from adapters.kalshi.simulated.wire_units import cents, contracts, dollars, fixed_point, rfc3339

Body: TypeAlias = dict[str, Any]
BOOK_SIDE = {"yes": "bid", "no": "ask"}


def market_body(
    market: Market,
    ticker: TickerState,
    previous: TickerState,
    *,
    volume_24h: int,
    profile: Profile,
) -> Body:
    """Return a market with its quotes; `previous` is its ticker of a day ago."""
    prices = {
        "yes_bid": ticker.yes_bid,
        "yes_ask": ticker.yes_ask,
        "no_bid": DOLLAR - ticker.yes_ask,
        "no_ask": DOLLAR - ticker.yes_bid,
        "last_price": ticker.price,
        "previous_yes_bid": previous.yes_bid,
        "previous_yes_ask": previous.yes_ask,
        "previous_price": previous.price,
        "notional_value": DOLLAR,
        "liquidity": 0,  # the venue always says so
    }
    if market.settlement_value is not None:
        prices["settlement_value"] = market.settlement_value
    counts = {
        "volume": ticker.volume,
        "volume_24h": volume_24h,
        "open_interest": ticker.open_interest,
    }
    body: Body = {
        **definition(market),
        **{f"{name}_dollars": dollars(price) for name, price in prices.items()},
        **{f"{name}_fp": fixed_point(count) for name, count in counts.items()},
        "yes_bid_size_fp": fixed_point(ticker.yes_bid_size),
        "yes_ask_size_fp": fixed_point(ticker.yes_ask_size),
    }
    if profile is Profile.LEGACY:
        body |= {name: cents(price) for name, price in prices.items()}
        body |= {name: contracts(count) for name, count in counts.items()}
        body |= {"response_price_units": "usd_cent", "risk_limit_cents": 0, "category": ""}
        body["tick_size"] = cents(market.price_ranges[0].step) or 1
    return body


def definition(market: Market) -> Body:
    """Return what trading does not change in a market."""
    expiry = rfc3339(market.latest_expiration_ns)
    body: Body = {
        "ticker": market.ticker,
        "event_ticker": market.event_ticker,
        "market_type": market.market_type,
        "title": market.title,
        "subtitle": market.subtitle,
        "yes_sub_title": market.yes_sub_title,
        "no_sub_title": market.no_sub_title,
        "status": market.status,
        "created_time": rfc3339(market.created_ns),
        "updated_time": rfc3339(market.updated_ns),
        "open_time": rfc3339(market.open_ns),
        "close_time": rfc3339(market.close_ns),
        "expiration_time": expiry,
        "latest_expiration_time": expiry,
        "expected_expiration_time": rfc3339(market.expected_expiration_ns),
        "settlement_timer_seconds": market.settlement_timer_s,
        "can_close_early": market.can_close_early,
        "fractional_trading_enabled": market.fractional_trading_enabled,
        "result": market.result,
        "expiration_value": market.expiration_value,
        "rules_primary": market.rules_primary,
        "rules_secondary": market.rules_secondary,
        "price_level_structure": market.price_level_structure,
        "price_ranges": [
            {"start": dollars(part.start), "end": dollars(part.end), "step": dollars(part.step)}
            for part in market.price_ranges
        ],
    }
    optional = {
        "strike_type": market.strike_type or None,
        "floor_strike": market.floor_strike,
        "cap_strike": market.cap_strike,
        "functional_strike": market.functional_strike or None,
        "custom_strike": market.custom_strike,
        "mve_collection_ticker": market.mve_collection_ticker or None,
        "mve_selected_legs": market.mve_selected_legs or None,
        "settlement_ts": None if market.settled_ns is None else rfc3339(market.settled_ns),
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def book_body(book: Book, profile: Profile) -> Body:
    """Return both ladders under the profile's names, ascending by price."""
    ladders = {"yes": book.yes, "no": book.no}
    body: Body = {
        "orderbook_fp": {
            f"{side}_dollars": [[dollars(price), fixed_point(count)] for price, count in levels]
            for side, levels in ladders.items()
        }
    }
    if profile is Profile.LEGACY:
        old: Body = {}
        for side, levels in ladders.items():
            old[side] = [[cents(price), contracts(count)] for price, count in levels]
            old[f"{side}_dollars"] = [  # whole contracts too, but as text
                [dollars(price), str(contracts(count))] for price, count in levels
            ]
        body["orderbook"] = old
    return body


def trade_body(trade: Trade, profile: Profile) -> Body:
    """Return one match as the public sees it."""
    body: Body = {
        "trade_id": trade.trade_id,
        "ticker": trade.ticker,
        "count_fp": fixed_point(trade.count),
        "yes_price_dollars": dollars(trade.yes_price),
        "no_price_dollars": dollars(DOLLAR - trade.yes_price),
        "taker_side": trade.taker_side,
        "created_time": rfc3339(trade.time_ns),
    }
    if profile is Profile.CURRENT:
        body["taker_outcome_side"] = trade.taker_side
        body["taker_book_side"] = BOOK_SIDE[trade.taker_side]
        body["is_block_trade"] = trade.is_block_trade
    if profile is Profile.LEGACY:
        body["count"] = contracts(trade.count)
        body["yes_price"] = cents(trade.yes_price)
        body["no_price"] = cents(DOLLAR - trade.yes_price)
        body["price"] = trade.yes_price / DOLLAR
    return body


def candle_body(candle: MarketCandle, profile: Profile) -> Body:
    """Return one candle; what no trade made is null."""
    is_legacy = profile is Profile.LEGACY
    traded: dict[str, int | None] = {
        **dict.fromkeys(("open", "low", "high", "close", "min", "max")),
        **({} if candle.price is None else _four(candle.price)),
        "mean": candle.mean,
        "previous": candle.previous,
    }
    if candle.price is not None:
        traded |= {"min": candle.price.low, "max": candle.price.high}
    body: Body = {
        "end_period_ts": candle.end_s,
        "yes_bid": _prices(_four(candle.yes_bid), is_legacy=is_legacy),
        "yes_ask": _prices(_four(candle.yes_ask), is_legacy=is_legacy),
        "price": _prices(traded, is_legacy=is_legacy),
        "volume_fp": fixed_point(candle.volume),
        "open_interest_fp": fixed_point(candle.open_interest),
    }
    if is_legacy:
        body["volume"] = contracts(candle.volume)
        body["open_interest"] = contracts(candle.open_interest)
    return body


def event_body(event: EventInfo) -> Body:
    """Return one event, without its markets."""
    body: Body = {
        "event_ticker": event.event_ticker,
        "series_ticker": event.series_ticker,
        "title": event.title,
        "sub_title": event.sub_title,
        "collateral_return_type": event.collateral_return_type,
        "mutually_exclusive": event.mutually_exclusive,
        "category": "",
        "available_on_brokers": False,
        "product_metadata": {},
        "last_updated_ts": rfc3339(event.updated_ns),
    }
    if event.strike_ns is not None:
        body["strike_date"] = rfc3339(event.strike_ns)
    if event.strike_period:
        body["strike_period"] = event.strike_period
    return body


def series_body(series: SeriesInfo) -> Body:
    """Return one series."""
    return {
        "ticker": series.ticker,
        "title": series.title,
        "category": series.category,
        "frequency": series.frequency,
        "tags": [],
        "settlement_sources": [],
        "contract_url": "",
        "contract_terms_url": "",
        "additional_prohibitions": [],
        "fee_type": series.fee_type,
        "fee_multiplier": series.fee_multiplier,
    }


def _four(prices: CandlePrices) -> dict[str, int | None]:
    return {
        "open": prices.open,
        "low": prices.low,
        "high": prices.high,
        "close": prices.close,
    }


def _prices(prices: dict[str, int | None], *, is_legacy: bool) -> Body:
    body: Body = {
        f"{name}_dollars": None if price is None else dollars(price)
        for name, price in prices.items()
    }
    if is_legacy:
        body |= {name: None if price is None else cents(price) for name, price in prices.items()}
    return body
