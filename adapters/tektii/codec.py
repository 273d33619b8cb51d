"""Times, amounts and market data between a gateway's words (`heard.py`) and ours: pure."""

import re
from datetime import datetime
from decimal import Decimal
from math import isfinite

from adapters.tektii import heard
from adapters.tektii.settings import TIMEFRAMES
from framework.errors import MalformedMessage
from framework.model.decimals import ZERO
from framework.model.identity import instrument_id
from framework.model.market_data import Candle, Quote

NS_PER_S = 1_000_000_000
LONGEST_AMOUNT = 40  # digits before or behind the point: more is no amount of anything

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,18}))?([Zz]|[+-]\d\d:?\d\d)", re.ASCII
)


# -- times and amounts -------------------------------------------------------------------------


def time_ns(text: str | None) -> int | None:
    """Return a time of RFC 3339 in nanoseconds UTC, or None where it is none."""
    found = None if text is None else _TIME.fullmatch(text)
    if found is None:
        return None
    date, clock, fraction, offset = found.groups()
    offset = "+00:00" if offset in "Zz" else offset
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}{offset}")
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError, OSError):
        return None
    return seconds * NS_PER_S + int(f"{fraction or '0':<09.9}")


def past_ns(text: str | None, now_ns: int) -> int:
    """Return a time that has happened: the gateway's, or ours where it says none, or one ahead."""
    found = time_ns(text)
    return now_ns if found is None or not 0 < found <= now_ns else found


def amount(value: Decimal | None, what: str) -> Decimal:
    """Return an amount as it came.

    Raises:
        MalformedMessage: it is missing, no number, or negative.
    """
    if value is None or not value.is_finite() or abs(value.adjusted()) > LONGEST_AMOUNT:
        raise MalformedMessage(f"{what} {value} is no amount")
    if value < ZERO:
        raise MalformedMessage(f"{what} {value} is negative")
    return value


def signed(value: Decimal | None, what: str) -> Decimal:
    """Return an amount that may be negative, such as cash. Raises MalformedMessage: it is none."""
    if value is None or not value.is_finite() or abs(value.adjusted()) > LONGEST_AMOUNT:
        raise MalformedMessage(f"{what} {value} is no amount")
    return value


# -- market data -------------------------------------------------------------------------------


def to_quote(
    quote: heard.Quote, venue: str, *, stamp: str | None, received_ns: int, unstated: float
) -> Quote:
    """Return the best bid and ask; `stamp` is the frame's time, `unstated` a size that is not said.

    Raises:
        MalformedMessage: it names no instrument, a number is none, or it is crossed.
    """
    if not quote.symbol:
        raise MalformedMessage("a quote of nothing")
    bid, bid_size = _level(quote.bid, quote.bid_size, unstated)
    ask, ask_size = _level(quote.ask, quote.ask_size, unstated)
    if bid_size > 0.0 < ask_size and bid >= ask:
        raise MalformedMessage(f"{quote.symbol}: bid {bid} is not below ask {ask}")
    happened_ns = past_ns(quote.timestamp or stamp, received_ns)
    name = instrument_id(venue, quote.symbol)
    return Quote(name, happened_ns, received_ns, bid, ask, bid_size, ask_size)


def _level(price: float | None, size: float | None, unstated: float) -> tuple[float, float]:
    """Return a side of a quote; without a price nobody quotes it."""
    if price is None or price == 0.0:
        return 0.0, 0.0
    size = unstated if size is None else size
    if not (isfinite(price) and price > 0.0 and isfinite(size) and size >= 0.0):
        raise MalformedMessage(f"{size} at {price} cannot be quoted")
    return price, size


def to_candle(
    bar: heard.Bar, venue: str, *, stamp: str | None, received_ns: int, is_past: bool = False
) -> Candle:
    """Return a candle; one whose frame was sent before its end (`stamp`) is still forming.

    `is_past`: it comes from history, where only its end tells whether it has closed.

    Raises:
        MalformedMessage: it names no instrument or interval, or contradicts itself.
    """
    length_s = TIMEFRAMES.get(bar.timeframe or "")
    open_ns = time_ns(bar.timestamp)
    if not bar.symbol or bar.timeframe is None or length_s is None or open_ns is None:
        raise MalformedMessage(f"a bar of {bar.symbol!r}, {bar.timeframe!r} at {bar.timestamp!r}")
    prices = (bar.open, bar.high, bar.low, bar.close)
    volume = 0.0 if bar.volume is None else bar.volume
    opened, high, low, closed = (0.0 if one is None else one for one in prices)
    if not all(isfinite(one) and one > 0.0 for one in (opened, high, low, closed)):
        raise MalformedMessage(f"{bar.symbol}: a price of {bar!r} is none")
    if not (isfinite(volume) and volume >= 0.0):
        raise MalformedMessage(f"{bar.symbol}: a volume of {volume}")
    if not low <= min(opened, closed) <= max(opened, closed) <= high:
        raise MalformedMessage(f"{bar.symbol}: {bar!r} contradicts itself")
    close_ns = open_ns + length_s * NS_PER_S
    told_ns = received_ns if is_past else past_ns(stamp, received_ns)
    is_closed = close_ns <= told_ns
    return Candle(
        instrument_id(venue, bar.symbol),
        close_ns if is_closed else min(told_ns, received_ns),
        received_ns,
        bar.timeframe,
        open_ns,
        close_ns,
        opened,
        high,
        low,
        closed,
        volume,
        is_closed,
    )
