"""Past candles by REST, page by page from the newest back.

A gateway without a filter by time gives its newest bars again and again (7.5): a page that brings
nothing older ends the search. In a market that never closes, a minute in which nothing traded is
left out by many; it is flat at the last price.
"""

import msgspec

from adapters.tektii.client import MOST_ROWS, GatewayClient
from adapters.tektii.codec import NS_PER_S, to_candle
from adapters.tektii.settings import TIMEFRAMES
from adapters.tektii.words import time_text
from framework.interfaces import Clock
from framework.model.identity import symbol_of, venue_of
from framework.model.instrument import Instrument
from framework.model.market_data import Candle

ALWAYS_OPEN = "24/7"
MOST_FLAT = 1_440  # candles in one hole: what is longer is a market that was closed


async def past_candles(
    client: GatewayClient,
    clock: Clock,
    instrument: Instrument,
    interval: str,
    *,
    end_ns: int,
    limit: int,
) -> list[Candle]:
    """Return the last `limit` closed candles with `close_ns <= end_ns`, oldest first.

    Raises:
        VenueError: an answer is missing or cannot be read.
    """
    length_ns = TIMEFRAMES[interval] * NS_PER_S
    symbol, venue = symbol_of(instrument.id), venue_of(instrument.id)
    found: dict[int, Candle] = {}
    last_open_ns = end_ns - length_ns
    while len(found) < limit:
        wanted = min(limit - len(found) + 1, MOST_ROWS)  # the newest may not have closed yet
        query = (
            ("timeframe", interval),
            ("end", time_text(last_open_ns)),
            ("limit", str(wanted)),
        )
        bars = await client.bars(symbol, query)
        now_ns = clock.now_ns
        page = [
            to_candle(
                msgspec.structs.replace(
                    bar, symbol=bar.symbol or symbol, timeframe=bar.timeframe or interval
                ),
                venue,
                stamp=None,
                received_ns=now_ns,
                is_past=True,
            )
            for bar in bars
        ]
        fresh = {
            candle.open_ns: candle
            for candle in page
            if candle.is_closed
            and candle.interval == interval
            and candle.open_ns <= last_open_ns
            and candle.open_ns not in found
        }
        if not fresh:
            break
        found |= fresh
        last_open_ns = min(fresh) - length_ns
    candles = [found[open_ns] for open_ns in sorted(found)]
    if instrument.calendar == ALWAYS_OPEN:
        candles = without_holes(candles)
    return candles[-limit:] if limit > 0 else []


def without_holes(candles: list[Candle]) -> list[Candle]:
    """Return the candles with flat ones where some are missing; longer holes stay."""
    whole: list[Candle] = []
    for candle in candles:
        if whole:
            last, length_ns = whole[-1], candle.close_ns - candle.open_ns
            missing = (candle.open_ns - last.close_ns) // length_ns
            for _ in range(missing if missing <= MOST_FLAT else 0):
                whole.append(_flat_after(whole[-1], length_ns))
        whole.append(candle)
    return whole


def _flat_after(last: Candle, length_ns: int) -> Candle:
    close_ns = last.close_ns + length_ns
    return msgspec.structs.replace(
        last,
        time_ns=close_ns,
        open_ns=last.close_ns,
        close_ns=close_ns,
        open=last.close,
        high=last.close,
        low=last.close,
        volume=0.0,
    )
