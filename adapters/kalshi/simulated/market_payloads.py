"""The `msg` of public frames in each profile: tickers, trades and order books (7.1-7.3)."""

from collections.abc import Iterable
from typing import Any

from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.domain import DOLLAR, Book, TickerState, Trade
from adapters.kalshi.simulated.emitted import LevelChanged
from adapters.kalshi.simulated.wire_units import (
    cents,
    contracts,
    dollars,
    fixed_point,
    milliseconds,
    rfc3339,
    seconds,
)

Payload = dict[str, Any]


def ticker_payload(ticker: TickerState, profile: Profile) -> Payload:
    """Return the `msg` of a `ticker` frame."""
    payload: Payload = {
        "market_ticker": ticker.market_ticker,
        "market_id": ticker.market_id,
        "price_dollars": dollars(ticker.price) if ticker.price else "",  # "": never traded
        "yes_bid_dollars": dollars(ticker.yes_bid),
        "yes_ask_dollars": dollars(ticker.yes_ask),
        "volume_fp": fixed_point(ticker.volume),
        "open_interest_fp": fixed_point(ticker.open_interest),
        "dollar_volume": ticker.dollar_volume,
        "dollar_open_interest": ticker.dollar_open_interest,
        "ts": seconds(ticker.time_ns),
        "time": rfc3339(ticker.time_ns),
    }
    if profile is Profile.LEGACY:
        payload |= {
            "no_bid_dollars": dollars(DOLLAR - ticker.yes_ask),
            "no_ask_dollars": dollars(DOLLAR - ticker.yes_bid),
            "price": cents(ticker.price),
            "yes_bid": cents(ticker.yes_bid),
            "yes_ask": cents(ticker.yes_ask),
            "volume": contracts(ticker.volume),
            "open_interest": contracts(ticker.open_interest),
            "Clock": ticker.time_ns // 1000,
        }
    else:
        payload |= {
            "yes_bid_size_fp": fixed_point(ticker.yes_bid_size),
            "yes_ask_size_fp": fixed_point(ticker.yes_ask_size),
            "last_trade_size_fp": fixed_point(ticker.last_trade_size),
        }
    if profile is Profile.CURRENT:
        payload["ts_ms"] = milliseconds(ticker.time_ns)
    return payload


def trade_payload(trade: Trade, profile: Profile) -> Payload:
    """Return the `msg` of a `trade` frame."""
    payload: Payload = {
        "trade_id": trade.trade_id,
        "market_ticker": trade.ticker,
        "yes_price_dollars": dollars(trade.yes_price),
        "no_price_dollars": dollars(DOLLAR - trade.yes_price),
        "count_fp": fixed_point(trade.count),
        "taker_side": trade.taker_side,
        "ts": seconds(trade.time_ns),
    }
    if profile is Profile.LEGACY:
        yes_cents = cents(trade.yes_price)
        payload |= {
            "yes_price": yes_cents,
            "no_price": 100 - yes_cents,
            "count": contracts(trade.count),
        }
    elif profile is Profile.CURRENT:
        payload |= {
            "taker_outcome_side": trade.taker_side,
            "taker_book_side": "bid" if trade.taker_side == "yes" else "ask",
            "is_block_trade": trade.is_block_trade,
            "ts_ms": milliseconds(trade.time_ns),
        }
    return payload


def book_payload(book: Book, profile: Profile, *, uses_yes_price: bool = False) -> Payload:
    """Return the `msg` of an `orderbook_snapshot` frame; a side without levels is left out.

    `uses_yes_price`: the no ladder is priced on the yes leg, and still ascends.
    """
    no: Iterable[tuple[int, int]] = book.no
    if uses_yes_price:
        no = [(DOLLAR - price, count) for price, count in reversed(book.no)]
    payload: Payload = {"market_ticker": book.ticker, "market_id": book.market_id}
    for side, levels in (("yes", book.yes), ("no", no)):
        if not levels:
            continue
        payload[f"{side}_dollars_fp"] = [[dollars(p), fixed_point(n)] for p, n in levels]
        if profile is Profile.LEGACY:
            payload[side] = [[cents(p), contracts(n)] for p, n in levels]
            payload[f"{side}_dollars"] = [[dollars(p), contracts(n)] for p, n in levels]
    return payload


def level_payload(
    level: LevelChanged, profile: Profile, *, uses_yes_price: bool = False, is_own: bool = False
) -> Payload:
    """Return the `msg` of an `orderbook_delta` frame; `is_own` names the order behind it."""
    price = level.price
    if uses_yes_price and level.side == "no":
        price = DOLLAR - price
    payload: Payload = {
        "market_ticker": level.ticker,
        "market_id": level.market_id,
        "price_dollars": dollars(price),
        "delta_fp": fixed_point(level.change),
        "side": level.side,
        "ts": rfc3339(level.time_ns),
    }
    if profile is Profile.LEGACY:
        payload |= {"price": cents(price), "delta": contracts(level.change)}
    elif profile is Profile.CURRENT:
        payload["ts_ms"] = milliseconds(level.time_ns)
    if is_own:
        payload["client_order_id"] = level.client_order_id
        if level.subaccount:
            payload["subaccount"] = level.subaccount
    return payload
