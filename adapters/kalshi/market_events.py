"""Pure: what the venue says of its markets, as events of the core.

A market is one instrument: its yes contract. A yes bid is a bid; a no bid at q is an ask at 1 - q.
Prices are dollars, sizes contracts. `received_ns` bounds every time from above: the venue's clock
may be ahead of ours, and nothing happens after it was heard of.
"""

from adapters.kalshi import messages
from adapters.kalshi.ladders import CONTRACT, DOLLAR
from framework.model.market_data import (
    Aggressor,
    MarketPhase,
    MarketStatus,
    Quote,
    Ticker,
    Trade,
)

AGGRESSORS = {"yes": Aggressor.BUYER, "no": Aggressor.SELLER, None: Aggressor.UNKNOWN}
PHASES = {
    "activated": MarketPhase.OPEN,
    "deactivated": MarketPhase.HALTED,
    "determined": MarketPhase.CLOSED,
    "settled": MarketPhase.SETTLED,
}
STATUSES = {  # of `GET /markets`
    "initialized": MarketPhase.CLOSED,
    "inactive": MarketPhase.HALTED,
    "active": MarketPhase.OPEN,
    "closed": MarketPhase.CLOSED,
    "determined": MarketPhase.CLOSED,
    "disputed": MarketPhase.CLOSED,
    "amended": MarketPhase.CLOSED,
    "finalized": MarketPhase.SETTLED,
}


def quote_of(ticker: messages.Ticker, instrument: str, received_ns: int) -> Quote | None:
    """Return the best prices; a side nobody quotes has size 0. None: they cross, for a moment.

    Older frames carry no sizes: a quoted side then counts one contract, the least there can be.
    """
    bid, ask = ticker.yes_bid or 0, ticker.yes_ask or DOLLAR
    if bid >= ask:
        return None
    return Quote(
        instrument,
        _time_ns(ticker.time_ns, received_ns),
        received_ns,
        bid / DOLLAR,
        ask / DOLLAR,
        _size(ticker.yes_bid_size, is_quoted=bid > 0),
        _size(ticker.yes_ask_size, is_quoted=ask < DOLLAR),
    )


def ticker_of(ticker: messages.Ticker, instrument: str, received_ns: int) -> Ticker | None:
    """Return last price and totals, or None while the market never traded."""
    if not ticker.price:
        return None
    return Ticker(
        instrument,
        _time_ns(ticker.time_ns, received_ns),
        received_ns,
        last=ticker.price / DOLLAR,
        volume=None if ticker.volume is None else ticker.volume / CONTRACT,
        open_interest=None if ticker.open_interest is None else ticker.open_interest / CONTRACT,
    )


def trade_of(trade: messages.Trade, instrument: str, received_ns: int) -> Trade:
    """Return a trade of the tape: who takes yes buys, who takes no sells."""
    return Trade(
        instrument,
        _time_ns(trade.time_ns, received_ns),
        received_ns,
        trade.yes_price / DOLLAR,
        trade.count / CONTRACT,
        AGGRESSORS[trade.taker_side],
        trade.trade_id,
    )


def status_of(
    lifecycle: messages.MarketLifecycle, instrument: str, received_ns: int
) -> MarketStatus | None:
    """Return the phase that a lifecycle message begins, or None where it begins none."""
    phase = PHASES.get(lifecycle.event_type)
    if phase is None:
        return None
    if phase is MarketPhase.OPEN and lifecycle.is_deactivated:
        phase = MarketPhase.HALTED
    reason = f"determined {lifecycle.result}" if lifecycle.result else lifecycle.event_type
    time_ns = _time_ns(lifecycle.time_ns, received_ns)
    return MarketStatus(instrument, time_ns, received_ns, phase, reason)


def _time_ns(time_ns: int | None, received_ns: int) -> int:
    return received_ns if time_ns is None else min(time_ns, received_ns)


def _size(count: int | None, *, is_quoted: bool) -> float:
    if not is_quoted:
        return 0.0
    return 1.0 if count is None else count / CONTRACT
